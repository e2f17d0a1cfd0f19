import cmath
import math

import pytest
import torch
from analytic import variation_by_loops
from torch.testing import assert_close

from equidiff.builtin.generators.circles import Circles
from equidiff.builtin.regularizers.descriptors import LowPassOptions
from equidiff.builtin.regularizers.lowpass import LowPass, build
from equidiff.builtin.regularizers.tv import TotalVariation, total_variation
from equidiff.builtin.regularizers.tv import build as build_tv
from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, SpecError
from equidiff.registry.descriptors import Options


def by_definition(image, cutoff):
    """The ideal filter by the sums that define the discrete Fourier transform."""
    height, width = image.shape
    out = [[0j] * width for _ in range(height)]
    for u in range(height):
        for v in range(width):
            fu, fv = (u - height if u > height / 2 else u) / height, (v - width if v > width / 2 else v) / width
            if math.hypot(fu, fv) / 0.5 > cutoff:
                continue
            coefficient = sum(
                image[y, x].item() * cmath.exp(-2j * cmath.pi * (u * y / height + v * x / width))
                for y in range(height)
                for x in range(width)
            )
            for y in range(height):
                for x in range(width):
                    out[y][x] += coefficient * cmath.exp(2j * cmath.pi * (u * y / height + v * x / width))
    return torch.tensor([[value.real for value in row] for row in out]) / (height * width)


@pytest.mark.parametrize("shape", [(6, 6), (5, 7), (4, 9)])
@pytest.mark.parametrize("cutoff", [0.3, 0.55, 1.0])
def test_the_ideal_filter_is_the_definition(shape, cutoff):
    image = torch.rand(*shape)
    (view,) = LowPass(cutoff).views(image[None, None])
    assert_close(view[0, 0], by_definition(image, cutoff), atol=1e-5, rtol=0)


def test_waves_below_the_cutoff_pass_and_waves_above_vanish():
    columns = torch.arange(28) / 28
    for cycles, passes in ((3, True), (6, True), (8, False), (13, False)):
        wave = torch.cos(2 * torch.pi * cycles * columns).expand(1, 3, 28, 28)
        (view,) = LowPass(0.5).views(wave)  # half of Nyquist: 7 cycles in 28 pixels
        assert_close(view, wave if passes else torch.zeros_like(wave), atol=1e-5, rtol=0)


def test_filtering_twice_with_the_ideal_filter_is_filtering_once():
    images = torch.rand(2, 3, 28, 28)
    (once,) = LowPass(0.4).views(images)
    (twice,) = LowPass(0.4).views(once)
    assert_close(once, twice, atol=1e-5, rtol=0)


def test_the_smooth_edge_falls_from_one_to_zero_around_the_cutoff_and_rings_less():
    gain = LowPass(0.5, smooth=True).response(28, 28)[0]
    assert gain[0] == 1
    assert gain[7] == pytest.approx(0.5)  # exactly at the cut-off
    assert gain[14] == pytest.approx(0.0, abs=1e-6)  # at twice the cut-off
    assert torch.all(gain[1:] <= gain[:-1])
    step = torch.zeros(1, 1, 56, 56)
    step[..., 14:42] = 1
    overshoot = {smooth: (LowPass(0.5, smooth).views(step)[0].max() - 1).item() for smooth in (False, True)}
    assert overshoot[True] < 0.1 * overshoot[False]


@pytest.mark.parametrize("smooth", [False, True])
def test_gradients_match_finite_differences(smooth):
    images = torch.rand(1, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: LowPass(0.6, smooth).views(x)[0], images)


@pytest.mark.parametrize("argument", ["0", "-0.5", "1.2", "nan", "half"])
def test_a_cutoff_outside_of_0_to_1_is_refused(argument):
    with pytest.raises(SpecError, match="fraction of the Nyquist"):
        build(argument, LowPassOptions(), BuildContext())


def test_points_have_no_frequencies():
    with pytest.raises(EquiDiffError, match="needs images"):
        build("0.5", LowPassOptions(), BuildContext(generator=Circles()))


@pytest.mark.parametrize("shape", [(1, 4, 7), (3, 5, 2), (1, 6, 1), (1, 1, 1)])
def test_total_variation_is_the_loop(shape):
    images = torch.rand(3, *shape)
    assert_close(total_variation(images), torch.tensor([variation_by_loops(each) for each in images]))


def test_total_variation_is_that_of_known_pictures():
    checks = (torch.arange(6)[:, None] + torch.arange(6)) % 2 * 1.0
    ramp = torch.linspace(0, 1, 5).expand(5, 5)
    assert total_variation(checks[None, None]).item() == 2  # the most there is
    assert total_variation(ramp[None, None]).item() == pytest.approx(0.25)
    assert total_variation(torch.full((1, 1, 4, 4), 0.3)).item() == 0


def test_the_penalty_is_zero_within_the_limit_and_the_squared_relative_excess_above():
    images = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    for limit in (0.4, 0.6, 0.7, 0.8, 1.5):
        excess = [max(0.0, variation_by_loops(each) - limit) / limit for each in images]
        found = TotalVariation(limit).penalty(images, torch.zeros(4, 2))
        assert_close(found, torch.tensor([each**2 for each in excess]), atol=1e-6, rtol=1e-4)
        assert [bool(amount == 0) for amount in found] == [each == 0 for each in excess]
    assert TotalVariation(0.5).views(images) == []


def test_the_gradient_of_total_variation_matches_finite_differences():
    images = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: TotalVariation(0.2).penalty(x, x), images)


def test_a_flat_picture_has_a_gradient():
    """It lies on every kink at once; the penalty is zero there, and so is its slope."""
    image = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    (slope,) = torch.autograd.grad(TotalVariation(0.1).penalty(image, image).sum(), image)
    assert slope.tolist() == torch.zeros(1, 1, 4, 4).tolist()


@pytest.mark.parametrize("argument", ["0", "-0.1", "inf", "nan", "little"])
def test_a_limit_that_is_none_is_refused(argument):
    with pytest.raises(SpecError, match="limit of 'tv'"):
        build_tv(argument, Options(), BuildContext())


def test_points_have_no_total_variation():
    with pytest.raises(EquiDiffError, match="needs images"):
        build_tv(None, Options(), BuildContext(generator=Circles()))
