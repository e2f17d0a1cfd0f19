"""Harmonic sounds: their contract, and their spectrum against what the latents say."""

import math
import runpy
import sys
from pathlib import Path

import pytest
import torch
from crepe_cases import published
from equidiff_audio.harmonic import SILENT, Harmonic, divide_by_peak

import equidiff
from equidiff.testing import check_generator, load_plugins

PLUGINS = ("equidiff.builtin", "equidiff_audio.plugin")


def draw(generator, rows=32):
    return torch.randn(rows, *generator.latent_shape, generator=torch.Generator().manual_seed(0))


def quiet(generator, rows=32):
    """Latents of sounds with as good as no noise."""
    latents = draw(generator, rows)
    generator.split(latents).noise_level.fill_(-9)
    return latents


def fitted(sound, frequency, partials, first=0):
    """Sine and cosine amplitudes of each harmonic by least squares, with phases counted from the middle."""
    times = (torch.arange(len(sound)) - len(sound) / 2).double() / 16_000
    angles = 2 * math.pi * frequency * times[:, None] * torch.arange(1, partials + 1)
    basis = torch.cat([angles.sin(), angles.cos()], dim=1)
    solution = torch.linalg.lstsq(basis, sound.double()[:, None]).solution[:, 0]
    left = (sound - basis @ solution).square().mean() / sound.square().mean()
    return solution[:partials], solution[partials:], left.item()


def test_generator_keeps_its_contract():
    check_generator(Harmonic(length=256, partials=3))


def test_the_fundamental_is_log_uniform():
    generator = Harmonic(low=100, high=400)
    latents = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0)).expand(-1, *generator.latent_shape)
    frequency = generator.frequency(generator.split(latents))[:, 0]
    octaves = (frequency / 100).log2().sort().values
    assert (octaves - torch.linspace(0, 2, 4000)).abs().max() < 0.06


def test_a_sound_is_the_sum_of_its_harmonics():
    generator = Harmonic(partials=8)
    latents = quiet(generator, rows=4)
    parts = generator.split(latents)
    sounds = generator.generate(latents)
    for row, sound in enumerate(sounds):
        sines, cosines, left = fitted(sound, generator.frequency(parts)[row].item(), 8)
        assert left < 1e-5
        amplitude = (sines.square() + cosines.square()).sqrt()
        wanted = generator.amplitudes(parts)[row]
        torch.testing.assert_close((amplitude / amplitude.max()).float(), wanted / wanted.max(), rtol=0.01, atol=0.001)
        # the phase of the loudest one
        loudest = int(wanted.argmax())
        angle = torch.atan2(parts.cosines[row, loudest], parts.sines[row, loudest])
        assert math.cos(float(torch.atan2(cosines[loudest], sines[loudest]) - angle)) > 0.999


def test_amplitudes_fall_by_the_tilt_and_a_level_of_their_own():
    generator = Harmonic(low=100, high=200, partials=4)
    latents = torch.zeros(2, *generator.latent_shape)
    parts = generator.split(latents)
    parts.tilt[1], parts.levels[1, 2] = 2.0, 1.0
    decibel = 20 * generator.amplitudes(parts).log10()
    torch.testing.assert_close(decibel[0], torch.tensor([0.0, -6.0, -6 * math.log2(3), -12.0]))
    torch.testing.assert_close(decibel[1], torch.tensor([0.0, 0.0, 9.0, 0.0]), atol=1e-5, rtol=0)


def test_noise_has_its_level_and_its_colour():
    generator = Harmonic(noise=-20, length=4096)
    latents = draw(generator, rows=64)
    parts = generator.split(latents)
    parts.noise_level[:] = torch.linspace(-1, 1, 64)[:, None]
    parts.noise_colour[:] = 1.0  # -3 + 3 dB per octave: white
    noise = generator._noise(parts)
    power = 10 * noise.square().mean(dim=1).log10()
    torch.testing.assert_close(power, torch.linspace(-30, -10, 64), atol=0.4, rtol=0)
    parts.noise_colour[:] = 0.0
    spectrum = torch.fft.rfft(generator._noise(parts)).abs().square().mean(dim=0)
    octave = 10 * (spectrum[1024:2048].mean() / spectrum[512:1024].mean()).log10()
    assert octave.item() == pytest.approx(-3, abs=0.6)


def test_harmonics_beyond_half_the_rate_do_not_come_back():
    generator = Harmonic(low=3000, high=3001, partials=4)
    latents = quiet(generator, rows=4)
    generator.split(latents).levels.zero_()
    power = torch.fft.rfft(generator.generate(latents) * torch.hann_window(1024)).abs().square()
    bins = torch.fft.rfftfreq(1024, 1 / 16_000)
    near = ((bins - 3000).abs() < 100) | ((bins - 6000).abs() < 100)
    assert (power[:, ~near].sum(dim=1) / power.sum(dim=1)).max() < 1e-4


@pytest.mark.parametrize("length", [256, 1024, 8000])
def test_the_peak_is_at_most_one_and_not_far_below(length):
    generator = Harmonic(length=length)
    peaks = generator.generate(draw(generator)).abs().amax(dim=1)
    assert peaks.max() <= 1
    assert peaks.min() > 0.75


def test_loudness_does_not_change_what_is_divided_by_the_peak():
    sounds = torch.randn(3, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(divide_by_peak(1000 * sounds), divide_by_peak(sounds))
    # the scale that has no gradient of its own needs none
    assert torch.autograd.gradcheck(divide_by_peak, (sounds[:1, :20],))


def test_longer_sounds_begin_and_end_in_silence():
    generator = Harmonic(length=4000)
    sounds = generator.generate(draw(generator))
    assert sounds[:, [0, -1]].abs().max() < 1e-3
    assert sounds[:, 200:-200].abs().amax(dim=1).min() > 0.5


def test_queries_are_four_sounds_that_latents_can_make():
    generator = Harmonic()
    sounds = generator.queries()
    assert torch.equal(sounds, generator.queries())
    for sound, frequency, silent in zip(
        sounds, (220, 440, 220, 110 * 2**0.5), ([], range(1, 12), [0], range(1, 12, 2)), strict=True
    ):
        sines, cosines, left = fitted(sound, frequency, 12)
        amplitude = (sines.square() + cosines.square()).sqrt()
        assert left < 1e-3
        for index in silent:
            assert amplitude[index] < 0.01 * amplitude.max(), index
    assert SILENT * 9 < -60  # dB


@published
def test_members_have_one_pitch_and_many_timbres(tmp_path, monkeypatch, capsys):
    found = equidiff.sample(
        "harmonic", "crepe", "none", query=0, samples=8, tolerance=5, plugins=load_plugins(*PLUGINS)
    )
    assert len(found) == 8
    generator = Harmonic()
    parts = generator.split(found.latents)
    cents = 1200 * (generator.frequency(parts) / 220).log2()
    assert cents.abs().max() < 25  # prior samples differ by hundreds
    lowest = generator.amplitudes(parts)[:, 0].square() / generator.amplitudes(parts).square().sum(dim=1)
    assert lowest.max() > 3 * lowest.min()
    prior = generator.split(draw(generator, 100))
    assert (1200 * (generator.frequency(prior) / 220).log2()).abs().median() > 200
    # the script says the same
    found.save(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["heard.py", str(tmp_path / "run")])
    runpy.run_path(str(Path(__file__).parents[1] / "examples" / "heard.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    for line, record, row in zip(lines[1:-2], found.members, generator.frequency(parts), strict=True):
        index, made, _, heard, _, measured, *_ = line.split()
        assert (index, made) == (str(record.index), f"{row.item():.1f}")
        assert float(heard) == pytest.approx(220, rel=0.01)
        assert float(measured) == pytest.approx(220, rel=0.02)
    assert lines[-1] == f"made with another pitch than CREPE tiny hears: 0 of {len(found)}"
