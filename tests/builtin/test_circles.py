import torch
from torch.testing import assert_close

from equidiff.builtin.generators.circles import RINGS, WIDTH, Circles, radius_of, sample_points


def test_the_map_is_the_exact_one_between_the_two_laws():
    """Radii of many generated points against radii drawn from the mixture directly (Kolmogorov and Smirnov)."""
    stream = torch.Generator().manual_seed(0)
    radii = sample_points(20_000, stream).norm(dim=1).sort().values
    rings = torch.tensor(RINGS)[torch.randint(len(RINGS), (20_000,), generator=stream)]
    direct = (rings + WIDTH * torch.randn(20_000, generator=stream)).abs().sort().values
    merged = torch.cat([radii, direct]).sort().values
    gap = (torch.searchsorted(radii, merged, right=True) - torch.searchsorted(direct, merged, right=True)).abs().max()
    assert gap / 20_000 < 1.63 * (2 / 20_000) ** 0.5  # the 1 % point of the two-sample statistic


def test_angles_are_kept():
    z = torch.randn(100, 2)
    x = Circles().generate(z)
    assert_close(x / x.norm(dim=1, keepdim=True), z / z.norm(dim=1, keepdim=True))


def test_gradients_match_finite_differences():
    length = torch.linspace(0.2, 2.8, 25, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(radius_of(length).sum(), length)
    with torch.no_grad():
        by_difference = (radius_of(length + 1e-6) - radius_of(length - 1e-6)) / 2e-6
    assert_close(slope, by_difference, rtol=1e-3, atol=1e-5)


def test_float32_is_enough_also_in_the_tails():
    length = torch.cat([torch.linspace(1e-3, 7, 5001), torch.randn(20_000, 2).norm(dim=1)])
    assert_close(radius_of(length).double(), radius_of(length.double()), atol=1e-5, rtol=0)


def test_inversion_finds_the_latents():
    z = torch.randn(200, 2)
    assert_close(Circles().invert(Circles().generate(z)), z, atol=2e-4, rtol=2e-4)
