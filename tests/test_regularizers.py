import cmath
import math

import pytest
import torch
from torch.testing import assert_close

from equidiff.builtin import LowPassOptions
from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, SpecError
from equidiff.generators.circles import Circles
from equidiff.regularizers.lowpass import LowPass, build


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
