"""Images and tensors, and one way to fit a query to the shape of samples."""

import numpy as np
import pytest
import torch
from PIL import Image
from running import run_cli

from equidiff.analysis.compare.comparison import prepare_subject
from equidiff.analysis.figures.thesis.source import Source
from equidiff.analysis.report.sort_keys import sort_keys
from equidiff.images.convert import image_to_tensor, quantized
from equidiff.images.fit import fit_image, fit_query
from equidiff.registry.manager import Plugins
from equidiff.run.finished import open_finished
from equidiff.run.invariant_set import InvariantSet


def smooth(width, height, mode="RGB"):
    pixels = np.random.default_rng(0).integers(60, 196, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize(("mode", "size"), [("RGB", (50, 40)), ("L", (40, 61)), ("RGB", (28, 28)), ("L", (28, 28))])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28), (3, 14, 28)])
def test_a_query_is_fitted_as_an_image_is(mode, size, shape):
    image = smooth(*size, mode)
    ours, theirs = fit_query(image_to_tensor(image), shape), fit_image(image, shape)
    assert ours.shape == theirs.shape == (1, *shape)
    # Pillow rounds to 8 bits, and crops to parts of a pixel
    assert (ours - theirs).abs().mean() < 0.015


def test_a_query_of_the_samples_own_shape_is_returned_as_it_is():
    own = 3 * torch.randn(1, 1, 28, 28)
    assert fit_query(own, (1, 28, 28)) is own
    point = torch.randn(1, 2)
    assert fit_query(point, torch.Size([2])) is point


def test_the_middle_of_a_wide_query_is_kept():
    wide = torch.zeros(1, 1, 4, 12)
    wide[..., 4:8] = torch.rand(4, 4)
    assert torch.equal(fit_query(wide, (1, 4, 4)), wide[..., 4:8])
    assert torch.equal(fit_query(wide, (3, 4, 4)), wide[..., 4:8].expand(1, 3, 4, 4))
    assert torch.equal(fit_query(wide.transpose(2, 3), (1, 4, 4)), wide[..., 4:8].transpose(2, 3))


def test_colours_become_the_grey_of_itu_r_601():
    red, green, blue = (torch.eye(3)[channel].reshape(1, 3, 1, 1).expand(1, 3, 4, 4) for channel in range(3))
    for colour, grey in ((red, 0.299), (green, 0.587), (blue, 0.114)):
        torch.testing.assert_close(fit_query(colour, (1, 4, 4)), torch.full((1, 1, 4, 4), grey))


def test_report_figures_and_compare_see_the_same_of_a_wide_query(tmp_path):
    image = smooth(90, 40)
    image.save(tmp_path / "wide.png")
    made = run_cli(
        "run", "-g", "toy:fashion,steps=1", "-o", "classifier:bag,output=logit", "-r", "none", "-n", 2,
        "--tolerance", 1e4, "--query", tmp_path / "wide.png", "--out", tmp_path / "run",
    )  # fmt: skip
    assert made.code == 0, made.stderr
    found = InvariantSet.load(made.path)
    assert found.query.shape == (1, 3, 40, 90)
    expected = fit_image(image, (1, 28, 28))

    subject = prepare_subject(open_finished(made.path, Plugins(), ("equidiff", "compare"), device="cpu"), 2, 2)
    compared = subject.samples[:1]
    assert (compared - expected).abs().mean() < 0.01
    assert torch.equal(Source(found, None).query, compared)
    (distance,) = (key.values for key in sort_keys(found) if key.name == "distance")
    apart = (quantized(found.samples) - quantized(compared)).flatten(1).square().mean(dim=1).sqrt()
    assert distance == pytest.approx(apart.tolist())
