"""The tests of latents against simulation, and against faults that were put in."""

import math

import pytest
import torch

from equidiff.metrics import (
    correlation_p_values,
    flatness_p_values,
    neighbour_correlation,
    norm_p_values,
    relative_norms,
    spectral_flatness,
)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_tests_of_latents_reject_as_often_as_they_say():
    latents = draw(4000, 1, 16, 16)
    assert relative_norms(latents).mean().item() == pytest.approx(1, abs=0.005)
    assert spectral_flatness(latents).mean().item() == pytest.approx(1, abs=0.01)
    assert neighbour_correlation(latents).std().item() == pytest.approx(1, abs=0.04)
    for test in (norm_p_values, flatness_p_values, correlation_p_values):
        p = test(latents)
        for level in (0.5, 0.1, 0.01):
            spread = math.sqrt(level * (1 - level) / 4000)
            assert (p < level).double().mean().item() == pytest.approx(level, abs=5 * spread + 0.006), test


def test_norm_p_values_are_those_of_a_simulation():
    latents = draw(1, 30) * 1.15
    square = latents.square().sum()
    many = draw(200_000, 30, seed=9).square().sum(dim=1)
    tail = min((many >= square).double().mean().item(), (many <= square).double().mean().item())
    assert norm_p_values(latents).item() == pytest.approx(2 * tail, rel=0.05)


def test_each_test_sees_its_own_fault():
    white = draw(8, 3, 16, 16)
    longer = 1.2 * white
    assert (norm_p_values(longer) < 1e-6).all()
    torch.testing.assert_close(spectral_flatness(longer), spectral_flatness(white))
    smooth = (white + white.roll(1, -1)) / math.sqrt(2)
    assert (correlation_p_values(smooth) < 1e-6).all()
    assert (neighbour_correlation(smooth) > 0).all()
    assert (flatness_p_values(smooth) < 1e-6).all()
    assert (spectral_flatness(smooth) < 0.9).all()
    # a hidden sinusoid, too weak to change neighbours much
    wave = white + 0.3 * torch.cos(2 * math.pi * 4 * torch.arange(16) / 16)
    assert (spectral_flatness(wave) < spectral_flatness(white)).all()


def test_latents_without_planes_are_one_row():
    assert flatness_p_values(draw(500, 128)).mean().item() == pytest.approx(0.5, abs=0.06)
    assert neighbour_correlation(torch.ones(1, 100)).item() == pytest.approx(10)
