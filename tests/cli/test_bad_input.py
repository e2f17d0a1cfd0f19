"""Every bad input: one panel that helps, the right exit code, nothing on stdout, no traceback."""

import re

import numpy as np
import pytest
from PIL import Image
from running import assert_one_error, run_circles, run_cli

FASHION = ("run", "--objective", "neuron:0")


BAD = [
    (("--generator", "toi"), 1, ["generator named 'toi'", "toy"]),
    (("--generator", "toy:circls"), 1, ["circles"]),
    (("--objective", "nuron:17"), 1, ["objective named 'nuron'", "did you mean  neuron?"]),
    (("--objective", "neuron:act3.1"), 1, ["layer of circles", "act2"]),
    (("--objective", "neuron:act1.999"), 1, ["unit 999", "0 to 31"]),
    (("--objective", "neuron:act1"), 2, ["neuron:act1.0"]),
    (("--objective", "classifier:iner"), 1, ["class named 'iner'", "inner"]),
    (("--objective", "neuron:3,modle=circles"), 2, ["no option 'modle'", "did you mean  model?"]),
    (("--objective", "neuron:3,positions=median"), 2, ["'positions'", "positions=median"]),
    (("--objective", "neuron:3,model=resnet5"), 1, ["resnet50"]),
    (("--objective", "neuron:"), 2, ["argument after the colon"]),
    (("--objective", "neuron:3 + "), 2, ["The sum has an empty term"]),
    (("--objective", "neuron:3,model=fashion"), 1, ["cannot take", "circles"]),
    (("--objective", "custom:./nothing.py:f"), 2, ["does not exist"]),
    (("--objective", "custom:no_such_module:f"), 1, ["no_such_module"]),
    (("--regularizer", "lowpass"), 1, ["needs images", "--regularizer none"]),
    (("--regularizer", "lopass"), 1, ["lowpass"]),
    (("--regularizer", "tv"), 1, ["needs images", "--regularizer none"]),
    (("--regularizer", "tv:0"), 2, ["limit of 'tv'", "above 0", "--regularizer tv:0.15"]),
    (("--generator", "pixels"), 2, ["needs a size", "--generator pixels:28"]),
    (("--generator", "pixels:28x"), 2, ["cannot read this size", "28x", "HEIGHTxWIDTHxCHANNELS"]),
    (("--generator", "pixels:28x28x2"), 2, ["cannot read this size", "1 or 3 channels"]),
    (("--generator", "pixels:28,contrast=0"), 2, ["'contrast'", "contrast=0"]),
    (("--objective", "neuron:17,layer=act2"), 2, ["after the colon: LAYER.INDEX", "neuron:act2.17"]),
    (("--objective", "neuron:act2:17"), 2, ["try       neuron:act2.17"]),
    (("--objective", "classifier:class=inner"), 2, ["try       classifier:inner"]),
    (("--start", "quary"), 2, ["expected      prior or query", "did you mean  query?"]),
    (("--solver", "auto,budget=100"), 2, ["--budget 100"]),
    (("--solver", "atuo"), 1, ["did you mean  auto?"]),
    (("--solver", "auto,pool=0"), 2, ["'pool'", "pool=0"]),
    (("--solver", "auto,coarse=4"), 2, ["not be coarser", "coarse=4", "--solver auto"]),
    (("--samples", "0"), 2, ["samples", "at least 1"]),
    (("--samples", "many"), 2, ["--samples", "equidiff run --help"]),
    (("--batch", "0"), 2, ["batch"]),
    (("--seed", "-1"), 2, ["seed"]),
    (("--budget", "-5"), 2, ["budget", "above 0"]),
    (("--budget", "nan"), 2, ["budget"]),
    (("--tolerance", "inf"), 2, ["tolerance"]),
    (("--target", "nan"), 2, ["1 finite number"]),
    (("--target", "much"), 2, ["1 finite number", "--target 1.5"]),
    (("--target", "1,2"), 2, ["1 finite number"]),
    (("--target", "1", "--query", "0"), 2, ["Both"]),
    (("--dtype", "float16"), 2, ["bfloat16"]),
    (("--device", "abacus"), 2, ["abacus", "--device cpu"]),
    (("--query", "99"), 1, ["no such query", "0 to 2"]),
    (("--query", "picture.png"), 1, ["makes points"]),
    (("--sampels", "3"), 2, ["--samples"]),
    (("--plugin", "nothing.py"), 1, ["does not exist"]),
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("arguments", "code", "words"), BAD, ids=[" ".join(arguments) for arguments, *_ in BAD])
def test_bad_argument(arguments, code, words):
    # of an option that is given twice, the last one counts
    assert_one_error(run_circles(*arguments), code, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runn"], ["'runn'", "run"]),
        (["show"], ["KIND"]),
        (["cite"], ["RUN"]),
        (["run", "surplus"], ["surplus"]),
        (["show", "solver", "auto", "--model", "fashion"], ["equidiff show objective neuron --model fashion"]),
    ],
)
def test_bad_usage(arguments, words):
    assert_one_error(run_cli(*arguments), 2, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "solvr"], ["kind of component", "did you mean  solver?", "generator, objective, regularizer"]),
        (["show", "solver", "nme"], ["one of auto, infinite, lbfgs"]),
        (["show", "solver", "atuo"], ["auto"]),
        (["cite", "nowhere"], ["not a run folder"]),
        (["run", "--resume", "nowhere"], ["not a run folder"]),
    ],
)
def test_bad_name(arguments, words):
    assert_one_error(run_cli(*arguments), 1, *words)


def test_without_a_command_there_is_help_and_no_error():
    outcome = run_cli()
    assert outcome.code == 2
    assert "Usage: equidiff" in outcome.stdout
    assert outcome.stderr == ""


def blank_image(mode, **more):
    return Image.new(mode, (28, 28), **more)


def truncated(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:800])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, ["does not exist"]),
        (lambda path: path.mkdir(), ["is a folder"]),
        (lambda path: path.write_bytes(b""), ["empty file"]),
        (lambda path: path.write_text("no image"), ["not an image"]),
        (truncated, ["cannot be read"]),
        (lambda path: blank_image("RGBA").save(path), ["alpha channel", "-flatten"]),
        (lambda path: blank_image("LA").save(path), ["alpha channel"]),
        (lambda path: blank_image("F").save(path, format="tiff"), ["more than 8 bits", "-depth 8"]),
    ],
    ids=["missing", "folder", "empty", "text", "truncated", "rgba", "grey-alpha", "float"],
)
def test_bad_image(write, words, tmp_path):
    path = tmp_path / "query.png"
    write(path)
    assert_one_error(run_cli(*FASHION, "--query", path), 1, *words)


def test_corrupt_checkpoint(tmp_path):
    for name in ("weights.safetensors", "weights.pt"):
        (tmp_path / name).write_bytes(b"garbage" * 100)
        outcome = run_cli("run", "--objective", f"neuron:0,model=fashion,checkpoint={name}")
        assert_one_error(outcome, 1, "checkpoint", name)
    assert_one_error(run_cli("run", "--objective", "neuron:0,checkpoint=absent.pt"), 1, "does not exist")


def test_out_exists(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("")
    (tmp_path / "file").write_text("")
    assert_one_error(run_circles("--out", "taken"), 1, "exists already", "--out ./another-name")
    assert_one_error(run_circles("--out", "file"), 1, "is a file")


@pytest.mark.parametrize("out", ["/proc/nothing/run", "file/run", "x" * 300])
def test_out_cannot_be_written(out, tmp_path):
    (tmp_path / "file").write_text("")
    assert_one_error(run_circles("--out", out), 1, "cannot be written")


def test_out_is_an_earlier_run():
    assert run_circles("--out", "first", "-n", "1").code == 0
    assert_one_error(run_circles("--out", "first"), 1, "--resume first")


@pytest.mark.parametrize(
    "code", ["import no_such_package", "raise RuntimeError('boom')", "x = (", "value = 1", "import sys; sys.exit(4)"]
)
def test_plugin_file_that_fails(code, tmp_path):
    (tmp_path / "broken_one.py").write_text(code)
    assert_one_error(run_circles("--plugin", "broken_one.py"), 1, "broken_one.py", "cannot be used")
    assert_one_error(run_cli("--plugin", "broken_one.py", "plugins"), 1, "broken_one.py")


def test_target_that_no_sample_can_reach():
    outcome = run_circles("--target", "3", "-n", "2", "--budget", "60")
    assert outcome.code == 3
    assert outcome.path.is_dir()
    assert outcome.stderr.count("no member: None of the 2 samples reached the target.") == 1
    assert "inner = 3 (probability)" in outcome.stderr
    assert re.search(r"nearest  \d\.\d\d \(sample [01]\)", outcome.stderr)
    assert "--budget 240" in outcome.stderr
    assert not (outcome.path / "grid.png").exists()


def test_objective_that_fails_in_the_middle(tmp_path):
    (tmp_path / "bad_probe.py").write_text(
        "calls = []\n"
        "def score(points):\n"
        "    calls.append(1)\n"
        "    if len(calls) > 50:\n"
        "        raise RuntimeError('worn out')\n"
        "    return points.sum(dim=1)\n"
    )
    outcome = run_circles("--objective", "custom:./bad_probe.py:score", "--target", "0.3", "--out", "run", "-n", "30",
                          "--batch", "2", "--tolerance", "1e-9")  # fmt: skip
    assert outcome.code == 1
    assert outcome.stdout == ""
    assert outcome.stderr.count("error: ") == 1
    assert "worn out" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert '"failed"' in (tmp_path / "run" / "run.json").read_text()


@pytest.mark.parametrize("coarse", [8, 2000])
def test_a_coarse_search_that_is_not_coarser(coarse):
    outcome = run_cli(*FASHION, "--solver", f"auto,coarse={coarse}")
    assert_one_error(outcome, 2, "not be coarser", "the generator's 8 steps", "--solver auto,coarse=4")
