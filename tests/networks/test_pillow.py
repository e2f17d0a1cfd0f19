"""Resizing of 8-bit images: Pillow's own values, and gradients that pass through the rounding."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from equidiff.images.convert import image_to_tensor
from equidiff.networks import pillow
from equidiff.networks.pillow import PillowResizing

SIZES = [
    ((16, 16), (24, 8)),
    ((64, 64), (248, 248)),
    ((100, 66), (51, 51)),
    ((66, 100), (51, 51)),
    ((40, 60), (40, 30)),
]


def image(height, width):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def resize(samples, size, mode):
    return F.interpolate(samples, size, mode=mode, antialias=True)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_values_are_pillows(before, after, mode):
    picture = image(*before)
    samples = image_to_tensor(picture)
    expected = image_to_tensor(picture.resize(after[::-1], Image.Resampling[mode.upper()]))
    with PillowResizing():
        found = resize(samples, after, mode)
    differ = (found - expected).abs() > 1e-6
    assert differ.float().mean() < 0.05  # ties, which Pillow breaks with weights of 22 bits
    assert (found - expected).abs().max() < 1.01 / 255
    plain = resize(samples, after, mode)
    assert ((plain - expected).abs() > 1e-3).float().mean() > 0.3


def test_the_order_of_the_passes_is_that_of_the_installed_pillow(monkeypatch):
    """The negative control: in the other order many values differ."""
    picture, after = image(100, 66), (51, 51)
    expected = image_to_tensor(picture.resize(after, Image.Resampling.BICUBIC))
    own = pillow._chooses()
    monkeypatch.setattr(pillow, "_chooses", lambda: not own)
    with PillowResizing():
        found = resize(image_to_tensor(picture), after, "bicubic")
    assert ((found - expected).abs() > 1e-6).float().mean() > 0.15


def test_other_samples_are_resized_without_rounding_row_by_row():
    samples = torch.cat(
        [image_to_tensor(image(20, 20)), torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))]
    )
    with PillowResizing():
        found = resize(samples, (30, 30), "bicubic")
        alone = resize(samples[:1], (30, 30), "bicubic")
    plain = resize(samples, (30, 30), "bicubic")
    assert torch.equal(found[1], plain[1])
    assert not torch.equal(found[0], plain[0])
    assert torch.equal(found[:1], alone)


def test_the_gradient_is_that_without_rounding():
    samples = image_to_tensor(image(20, 20)).requires_grad_()
    weights = torch.rand(1, 3, 30, 30, generator=torch.Generator().manual_seed(0))
    with PillowResizing():
        (found,) = torch.autograd.grad((weights * resize(samples, (30, 30), "bicubic")).sum(), samples)
    (expected,) = torch.autograd.grad((weights * resize(samples, (30, 30), "bicubic")).sum(), samples)
    torch.testing.assert_close(found, expected)


def test_a_resize_that_does_not_antialias_is_left_alone():
    samples = image_to_tensor(image(20, 20))
    with PillowResizing():
        found = F.interpolate(samples, (30, 30), mode="bilinear", align_corners=False)
    assert torch.equal(found, F.interpolate(samples, (30, 30), mode="bilinear", align_corners=False))
