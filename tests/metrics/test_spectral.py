"""The spectrum of images that are known exactly: sinusoids, coloured noise, sums of explicit loops."""

import cmath
import math

import pytest
import torch
from analytic import Identity, Linear

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.metrics import (
    band_powers,
    cutoff_curve,
    high_frequency_share,
    mean_log_spectrum,
    power_spectrum,
    radial_frequencies,
    radial_spectrum,
    spectrum_slope,
)
from equidiff.search.problem import Problem


def sinusoid(cycles_down, cycles_across, size=32, amplitude=0.3):
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    phase = 2 * math.pi * (cycles_down * rows + cycles_across * columns) / size
    return (0.5 + amplitude * phase.double().cos())[None, None]


def coloured(slope, count=4, size=128, seed=0):
    """Noise of random phases whose power is frequency^slope at every frequency."""
    white = torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    phases = torch.fft.fft2(white)
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.fftfreq(size)[None]).double()
    gain = torch.where(frequency > 0, frequency.clamp(min=1e-9) ** (slope / 2), 0)
    return size * torch.fft.ifft2(phases / phases.abs() * gain).real


def slow_power(image):
    """|sum x exp(-2 pi i ...)|^2 / pixels, by four loops."""
    height, width = image.shape
    power = torch.zeros(height, width, dtype=torch.float64)
    for u in range(height):
        for v in range(width):
            total = sum(
                image[y, x].item() * cmath.exp(-2j * math.pi * (u * y / height + v * x / width))
                for y in range(height)
                for x in range(width)
            )
            power[u, v] = abs(total) ** 2 / (height * width)
    return power


def test_power_is_that_of_an_explicit_sum_and_averages_channels():
    samples = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(1))
    expected = sum(slow_power(channel) for channel in samples[0]) / 3
    torch.testing.assert_close(power_spectrum(samples)[0], expected)


@pytest.mark.parametrize(("down", "across", "ring"), [(0, 5, 5), (7, 0, 7), (3, 4, 5), (6, 8, 10)])
def test_a_sinusoid_has_its_power_in_its_ring(down, across, ring):
    spectrum = radial_spectrum(sinusoid(down, across))[0]
    assert spectrum.argmax() == ring - 1
    assert radial_frequencies(32, 32)[ring - 1] == pytest.approx(ring / 16)
    assert spectrum.sum() - spectrum[ring - 1] == pytest.approx(0, abs=1e-12)
    # two frequencies of amplitude a / 2 each: a^2 / 4 times the pixels, shared by the frequencies of the ring
    radius = 16 * torch.hypot(torch.fft.fftfreq(32)[:, None], torch.fft.fftfreq(32)[None]) / 0.5
    members = int(((radius > ring - 0.5) & (radius < ring + 0.5)).sum())
    assert spectrum[ring - 1] == pytest.approx(2 * 32 * 32 * 0.3**2 / 4 / members)


@pytest.mark.parametrize("slope", [-3, -2, -1, 0])
def test_the_slope_of_coloured_noise(slope):
    assert spectrum_slope(coloured(slope)).tolist() == pytest.approx([slope] * 4, abs=0.03)


def test_white_noise_has_its_variance_at_every_frequency():
    assert radial_spectrum(0.2 * coloured(0, count=16)).mean() == pytest.approx(0.04, rel=0.01)


def test_the_slope_does_not_depend_on_contrast_and_a_blank_image_has_none():
    samples = coloured(-2)
    torch.testing.assert_close(spectrum_slope(samples), spectrum_slope(3 * samples + 1), atol=1e-3, rtol=0)
    assert spectrum_slope(torch.full((1, 1, 28, 28), 0.7)).item() == pytest.approx(0, abs=1e-9)


def test_the_image_of_a_spectrum_has_frequency_zero_in_the_middle():
    samples = torch.cat([sinusoid(0, 5), sinusoid(0, 5)])
    spectrum = mean_log_spectrum(samples)
    assert spectrum.shape == (32, 32)
    highest = spectrum.flatten().argsort(descending=True)[:3]
    places = sorted(divmod(place, 32) for place in highest.tolist())
    assert places == [(16, 11), (16, 16), (16, 21)]
    torch.testing.assert_close(
        spectrum[16, 16], torch.tensor(0.5**2 * 32 * 32, dtype=torch.float64).log10(), atol=1e-6, rtol=0
    )


def test_bands_by_brute_force():
    samples = torch.rand(2, 1, 20, 14, generator=torch.Generator().manual_seed(2))
    power, bands = power_spectrum(samples), band_powers(samples, 5)
    for band in range(5):
        inside = [
            power[1, u, v].item()
            for u in range(20)
            for v in range(14)
            if band / 5 < 2 * math.hypot(min(u, 20 - u) / 20, min(v, 14 - v) / 14) <= (band + 1) / 5
        ]
        assert bands[1, band].item() == pytest.approx(math.log10(sum(inside) / len(inside)), abs=1e-4)


def test_a_band_without_a_frequency_is_not_a_number():
    bands = band_powers(torch.rand(1, 1, 8, 8), 10)[0]
    # of 8 pixels a side: 1/4, 1/2, 3/4, 1 of Nyquist, and their hypotenuses 0.35, 0.56, 0.71, 0.79, 0.90 within it
    assert bands.isnan().tolist() == [True, True, False, False, False, False, True, False, True, False]


def test_the_share_of_high_frequencies():
    samples = sinusoid(0, 4, amplitude=0.3) + sinusoid(0, 12, amplitude=0.1) - 0.5
    assert high_frequency_share(samples).item() == pytest.approx(0.01 / (0.01 + 0.09))


def test_a_measurement_that_low_frequencies_carry_survives_the_filter():
    size = 16
    low, high = sinusoid(0, 2, size)[0, 0].float() - 0.5, sinusoid(0, 6, size)[0, 0].float() - 0.5
    weights = torch.stack([low.flatten(), high.flatten()])
    problem = Problem(Identity(1, size, size), Linear(weights), NoRegularizer(), torch.zeros(2))
    samples = (low + high + 0.5)[None, None]
    curve = cutoff_curve(problem, samples, (0.2, 0.3, 0.7, 0.8))
    whole = problem.objective.measure(samples)[0]
    assert curve.shape == (4, 1, 2)
    torch.testing.assert_close(curve[:, 0, 0], torch.stack([torch.tensor(0.0), *[whole[0]] * 3]), atol=1e-4, rtol=0)
    torch.testing.assert_close(curve[:, 0, 1], torch.stack([*[torch.tensor(0.0)] * 3, whole[1]]), atol=1e-4, rtol=0)
