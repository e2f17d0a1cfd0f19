"""`equidiff doctor` with components: what they are, how they do on images, how much memory they need."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from running import assert_one_error, run_cli

IMAGES = files("equidiff") / "queries" / "fashion"

PLUGIN = """
from equidiff.contracts import Finding, Generator, Objective
from equidiff.plugin import Descriptor, hookimpl

class Doubles(Generator):
    latent_shape = sample_shape = (1, 28, 28)
    network = "fashion"

    def __init__(self, error):
        self.error = error

    def generate(self, latents, steps=None):
        return 2 * latents

    def invert(self, samples):
        return samples / 2 * (1 - self.error)

class Looks(Objective):
    names, unit = ("sum",), "value"

    def measure(self, samples):
        return samples.flatten(1).sum(dim=1, keepdim=True) * (2 if float(samples.sum()) > 0 else 1)

class Fails(Looks):
    def measure(self, samples):
        return samples.flatten(1).numpy() @ 1

class Examines(Looks):
    def __init__(self, broken):
        self.broken = broken

    def measure(self, samples):
        return samples.flatten(1).sum(dim=1, keepdim=True)

    def examine(self, images):
        return [Finding("features", f"{len(images)} images looked at, mode {images[0].mode}", self.broken)]

def doubles(argument, options, context):
    return Doubles(float(argument or 0))

def looks(argument, options, context):
    return Looks()

def fails(argument, options, context):
    return Fails()

def examines(argument, options, context):
    return Examines(argument == "broken")

@hookimpl
def equidiff_generators():
    return [Descriptor("doubles", f"{__name__}:doubles", "Twice the latent.", argument="OFF")]

@hookimpl
def equidiff_objectives():
    return [
        Descriptor(name, f"{__name__}:{name}", "A test.", argument="WORD") for name in ("looks", "fails", "examines")
    ]
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def doctor():
    """Runs the doctor with the components above."""
    Path("parts.py").write_text(PLUGIN)
    return lambda *args: run_cli("doctor", "--plugin", "parts.py", *args)


def state_of(outcome, what):
    """State of one item in the table that doctor prints."""
    (line,) = [line for line in outcome.stdout.splitlines() if line.startswith(what)]
    return line.removeprefix(what).strip()


MIB = r"(\d+\.\d) MiB: (\d+\.\d) MiB of weights, (\d+\.\d) MiB in the pass; \d+\.\d+ GiB free"


def test_a_generator_alone():
    outcome = run_cli("doctor", "-g", "toy:fashion,steps=2", "--samples", "8")
    assert outcome.code == 0, outcome.stderr
    assert state_of(outcome, "generator") == "latents of 1x28x28, samples of 1x28x28, 2 sampler steps"
    assert state_of(outcome, "weights").startswith("fashion_flow.safetensors, SHA-256 ")
    found = re.fullmatch(MIB, state_of(outcome, "memory, 8 samples per pass"))
    whole, weights, in_pass = map(float, found.groups())
    assert whole == pytest.approx(weights + in_pass, abs=0.11)
    assert weights == pytest.approx(
        Path(files("equidiff") / "weights/fashion_flow.safetensors").stat().st_size / 2**20 * 2, rel=0.02
    )


def test_with_an_objective_the_views_are_counted():
    sizes = []
    for regularizer in ("none", "lowpass"):
        outcome = run_cli("doctor", "-g", "toy:fashion,steps=1", "-o", "neuron:17", "-n", "2", "-r", regularizer)
        assert outcome.code == 0, outcome.stderr
        assert state_of(outcome, "objective") == "pre-logits.17"
        sizes.append(float(re.fullmatch(MIB, state_of(outcome, "memory, 2 samples per pass")).group(3)))
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(("error", "median"), [("0", 0.0), ("0.5", None)])
def test_the_round_trip_of_a_generator_that_inverts(doctor, error, median):
    outcome = doctor("-g", f"doubles:{error}", "--images", IMAGES)
    assert outcome.code == 0, outcome.stderr
    text = state_of(outcome, "round trip")
    found = re.fullmatch(
        r"error after inverting and regenerating 16 images: (\S+) standard deviations "
        r"\(median; largest (\S+)\)",
        text,
    )
    assert found, text
    middle, worst = map(float, found.groups())
    if median is None:
        # half of each image is missing: the root of its mean square over its standard deviation, halved
        assert 0.5 < middle < worst
    else:
        assert (middle, worst) == (0, 0)


def test_a_generator_that_cannot_invert_is_no_fault():
    outcome = run_cli("doctor", "-g", "toy:fashion,steps=1", "-n", "1", "--images", IMAGES)
    assert outcome.code == 0
    assert "cannot invert" in state_of(outcome, "round trip")


def test_what_does_not_fit_is_broken(doctor):
    outcome = doctor("-g", "doubles", "--samples", 10**10)
    assert outcome.code == 1
    text = state_of(outcome, f"memory, {10**10} samples per pass")
    most = int(re.search(r"Does not fit; use --batch (\d+)$", text).group(1))
    assert 1000 < most < 10**10
    assert doctor("-g", "doubles", "--samples", most // 2).code == 0
    toy = run_cli("doctor", "-g", "toy:fashion,steps=1", "--samples", 10**7)
    assert toy.code == 1
    assert "Does not fit; use --batch" in toy.stdout


def test_an_objective_that_looks_at_numbers_is_no_fault(doctor):
    outcome = doctor("-g", "doubles", "-o", "looks")
    assert outcome.code == 0, outcome.stderr
    assert state_of(outcome, "memory, 16 samples per pass") == "cannot be predicted: the pass reads values"


def test_components_that_do_not_work_together_are_broken(doctor):
    outcome = doctor("-g", "doubles", "-o", "fails")
    assert_one_error(outcome, 1, "The objective 'fails' of plugin 'parts' raised", "Fails.measure(", "in measure:")


@pytest.mark.parametrize(("argument", "code"), [("sound", 0), ("broken", 1)])
def test_what_the_objective_says_of_images_is_shown(doctor, argument, code):
    outcome = doctor("-g", "doubles", "-o", f"examines:{argument}", "--images", IMAGES)
    assert outcome.code == code, outcome.stderr
    assert state_of(outcome, "features") == "20 images looked at, mode L"
    assert ("One of these is broken" in outcome.stderr) == bool(code)


def test_samples_without_anything_to_examine():
    assert_one_error(run_cli("doctor", "--samples", "8"), 2, "--samples", "equidiff doctor --generator toy --samples 8")
    assert_one_error(run_cli("doctor", "--images", "here", "--device", "cpu"), 2, "--images --device")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--samples", "0"), ("samples", "at least 1")),
        (("--images", "nowhere"), ("does not exist", "nowhere")),
        (("--device", "abacus"), ("device", "abacus")),
        (("--dtype", "float7"), ("dtype", "float7", "bfloat16")),
        (("-o", "nueron:17"), ("neuron",)),
        (("-r", "lowpas", "-o", "neuron:17"), ("lowpass",)),
    ],
)
def test_bad_input_is_one_panel(args, words):
    outcome = run_cli("doctor", "-g", "toy:fashion,steps=1", *args)
    assert_one_error(outcome, outcome.code, *words)
    assert outcome.code in {1, 2}
