"""Pictures without a prior: the generator, and runs with it."""

import json
from importlib.resources import files

import pytest
import torch
from analytic import variation_by_loops
from hypothesis import given
from hypothesis import strategies as st
from running import assert_one_error, read_lines, read_run, read_tensors, run_cli
from torch.testing import assert_close

import equidiff
from equidiff.builtin.generators.descriptors import PixelsOptions
from equidiff.builtin.generators.pixels import Pixels, build, parse_shape
from equidiff.contracts import BuildContext
from equidiff.errors import SpecError
from equidiff.images.convert import quantized

BAG = files("equidiff") / "queries" / "fashion" / "03.png"
RUN = ("run", "-g", "pixels:28", "-o", "neuron:17,model=fashion")
SIDES = st.integers(1, 9999)


def test_a_latent_is_a_picture_but_for_brightness_and_contrast():
    z = torch.randn(2, 3, 4, 5)
    pixels = build("4x5x3", PixelsOptions(contrast=0.2), BuildContext())
    samples = pixels.generate(z)
    assert samples[1, 2, 3, 4].item() == pytest.approx(0.5 + 0.2 * z[1, 2, 3, 4].item())
    assert_close(samples, 0.5 + 0.2 * z)
    assert (pixels.generate(10 * z) > 1).any()  # not clamped
    assert (pixels.steps, pixels.network, pixels.queries()) == (None, None, [])


def test_the_inverse_is_exact():
    pixels = Pixels((1, 28, 28))
    picture = torch.randint(256, (3, 1, 28, 28)) / 255
    assert_close(pixels.generate(pixels.invert(picture)), picture, atol=1e-6, rtol=0)
    z = torch.randn(3, 1, 28, 28)
    assert_close(pixels.invert(pixels.generate(z)), z, atol=1e-5, rtol=0)


@given(SIDES, SIDES, st.sampled_from([1, 3]))
def test_sizes_are_read(height, width, channels):
    assert parse_shape(str(height)) == (1, height, height)
    assert parse_shape(f"{height}x{width}") == (1, height, width)
    assert parse_shape(f"{height}x{width}x{channels}") == (channels, height, width)


@given(st.text(alphabet="0123456789xX -.²३", max_size=9))
def test_what_is_no_size_is_refused(text):
    sides = text.split("x")
    plain = [1 <= len(each) <= 4 and each.isascii() and each.isdecimal() and each[0] != "0" for each in sides]
    if len(sides) <= 3 and all(plain) and sides[2:] in ([], ["1"], ["3"]):
        assert parse_shape(text)[1] == int(sides[0])
    else:
        with pytest.raises(SpecError, match="size"):
            parse_shape(text)


@pytest.mark.parametrize("solver", ["infinite,optimizer=adam,lr=0.2", "auto", "lbfgs"])
def test_members_hold_the_measurement_and_the_limit(solver, tmp_path):
    outcome = run_cli(*RUN, "-r", "tv:0.12", "-s", solver, "--query", BAG, "-n", 3, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.stderr
    info, records = read_run(outcome.path), read_lines(outcome.path / "members.jsonl")
    assert info["specs"]["regularizer"] == "tv:0.12"
    tensors = read_tensors(outcome.path)
    assert_close(tensors["samples"], quantized(0.5 + 0.1 * tensors["latents"]))
    (target,) = info["target"]["values"]
    for sample, measurement, record in zip(tensors["samples"], tensors["measurements"], records, strict=True):
        excess = max(0.0, variation_by_loops(sample) / 0.12 - 1)
        loss = (measurement.item() - target) ** 2 + excess**2
        assert record["loss"] == pytest.approx(loss, abs=1e-5)
        assert record["status"] == "member"
        assert loss < info["tolerance"]


def test_without_the_limit_members_are_outside_of_it():
    """So that `tv` makes a difference, and `contains` sees it."""
    options = {"query": str(BAG), "samples": 2, "seed": 1}
    spec = ("pixels:28", "neuron:17,model=fashion")
    free = equidiff.sample(*spec, "none", **options)
    held = equidiff.sample(*spec, "tv:0.12", **options)
    assert min(map(variation_by_loops, free.samples)) > 0.2
    assert max(map(variation_by_loops, held.samples)) < 0.12 * 1.04
    assert held.contains(held.samples).all()
    assert not held.contains(free.samples).any()
    assert free.contains(held.samples).all()


def test_a_limit_that_cannot_be_met_leaves_no_member(tmp_path):
    """A picture of no variation at all has one measurement only, and this is another."""
    options = ("-r", "tv:1e-6", "--target", "1.5", "-n", 1, "--budget", 20, "--out", tmp_path / "run")
    outcome = run_cli(*RUN, *options)
    assert outcome.code == 3, outcome.stderr
    assert json.loads((outcome.path / "run.json").read_text())["counts"]["members"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-o", "neuron:17", "--target", "1"), 2, ["No network is named", "model=NAME"]),
        (("-o", "neuron:17,model=fashion", "--query", "3"), 1, ["no queries of its own", "IMAGE.png"]),
        (("-o", "neuron:17,model=fashion", "--target", "1", "-s", "auto,coarse=2"), 2, ["not be coarser"]),
        (
            ("-o", "neuron:17,model=fashion", "--target", "1", "-r", "tv", "--law", "conditional"),
            2,
            ["cannot be combined with a penalty"],
        ),
    ],
)
def test_what_cannot_be_asked_of_pixels(arguments, code, words):
    assert_one_error(run_cli("run", "-g", "pixels:28", *arguments), code, *words)
