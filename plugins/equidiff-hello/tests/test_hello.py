"""Contract checks and known values of the blur and the brightness."""

import pytest
import torch
from equidiff_hello.blur import Blur
from equidiff_hello.brightness import Brightness

import equidiff
from equidiff.plugin import EquiDiffError
from equidiff.testing import check_objective, check_plugin, check_regularizer, load_plugins

IMAGES = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
LATENTS = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def test_plugin_keeps_its_contract():
    check_plugin("equidiff_hello.plugin")


@pytest.mark.parametrize("middle", [1.0, 0.5, 0.01])
def test_brightness_keeps_its_contract(middle):
    check_objective(Brightness(middle), IMAGES)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 12.0])
def test_blur_keeps_its_contract(sigma):
    check_regularizer(Blur(sigma), IMAGES, LATENTS)


def test_brightness_of_known_images():
    images = torch.zeros(2, 3, 4, 4)
    images[1, :, 1:3, 1:3] = 1
    assert Brightness().measure(images).tolist() == [[0], [25]]
    assert Brightness(middle=0.5).measure(images).tolist() == [[0], [100]]


def test_blur_keeps_flat_images_and_spreads_a_dot():
    (flat,) = Blur(2).views(torch.full((1, 1, 9, 9), 0.7))
    torch.testing.assert_close(flat, torch.full((1, 1, 9, 9), 0.7))
    dot = torch.zeros(1, 1, 9, 9)
    dot[..., 4, 4] = 1
    (spread,) = Blur(1).views(dot)
    # the ratio of neighbours is exp(-1/2) by the formula of the Gaussian
    assert (spread[..., 4, 5] / spread[..., 4, 4]).item() == pytest.approx(0.6065, abs=1e-4)
    assert spread.sum().item() == pytest.approx(1, abs=1e-5)


def test_members_are_as_bright_as_the_query():
    plugins = load_plugins("equidiff.builtin", "equidiff_hello.plugin")
    found = equidiff.sample("toy:fashion,steps=2", "brightness", "none", query=3, samples=2, plugins=plugins)
    assert len(found) == 2
    assert (100 * found.samples.mean(dim=(1, 2, 3)) - found.target).abs().max() < found.info.within
    assert not found.contains(found.samples + 0.2).any()


def test_members_are_members_under_the_blur_too():
    plugins = load_plugins("equidiff.builtin", "equidiff_hello.plugin")
    small = "toy:fashion,steps=2"
    found = equidiff.sample(small, "classifier:bag", "blur:1", query=3, samples=2, plugins=plugins)
    # what the query measures under the blur, its members measure too
    (blurred,) = found.info.target.views
    plain = equidiff.sample(small, "classifier:bag", "none", target=blurred, samples=1, saved="float", plugins=plugins)
    assert len(found) == 2
    assert plain.contains(Blur(1).views(found.samples)[0]).all()
    assert all(record.loss_filtered is not None for record in found.members)


@pytest.mark.parametrize(
    ("generator", "objective", "regularizer", "problem"),
    [
        ("toy", "brightness:3", "none", "takes no argument"),
        ("toy", "brightness,middel=1", "none", "no option 'middel'"),
        ("toy", "brightness,middle=2", "none", "invalid value"),
        ("toy", "brightness", "blur:soft", "standard deviation"),
        ("toy", "brightness", "blur:-1", "standard deviation"),
        ("toy:circles", "brightness", "none", "makes points"),
    ],
)
def test_bad_specs_are_refused(generator, objective, regularizer, problem):
    plugins = load_plugins("equidiff.builtin", "equidiff_hello.plugin")
    with pytest.raises(EquiDiffError, match=problem):
        equidiff.sample(generator, objective, regularizer, query=0, samples=1, plugins=plugins)
