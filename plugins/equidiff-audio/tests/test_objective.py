"""The pitch: its contract, its arithmetic, and what is heard of known sounds."""

import math
from importlib.metadata import version

import numpy as np
import pytest
import torch
from crepe_cases import network, published, sine
from equidiff_audio.harmonic import Harmonic
from equidiff_audio.network import PACKAGE, Crepe, frequency_of, load_crepe
from equidiff_audio.objective import Pitch, build, confidence, pitch
from equidiff_audio.plugin import CrepeOptions

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError
from equidiff.testing import check_objective, check_plugin, load_plugins

PLUGINS = ("equidiff.builtin", "equidiff_audio.plugin")


def tones(length=1024):
    generator = Harmonic(length=length)
    return generator.generate(torch.randn(3, *generator.latent_shape, generator=torch.Generator().manual_seed(0)))


def test_plugin_keeps_its_contract():
    check_plugin("equidiff_audio.plugin")


@pytest.mark.parametrize("output", ["pitch", "confidence", "bins"])
def test_outputs_keep_the_contract(output):
    check_objective(Pitch(network(), output=output), tones())


def test_a_contour_has_an_output_for_each_frame_and_else_their_mean_is_one():
    sounds = tones(3000)
    whole, contour = Pitch(network(), frames=2, hop=1500), Pitch(network(), frames=2, hop=1500, contour=True)
    check_objective(contour, sounds)
    assert contour.names == ("pitch, frame 0", "pitch, frame 1")
    assert whole.names == ("pitch",)
    one = Pitch(network())
    frames = torch.cat([one.measure(sounds[:, :1024]), one.measure(sounds[:, 1500:2524])], dim=1)
    torch.testing.assert_close(contour.measure(sounds), frames)
    torch.testing.assert_close(whole.measure(sounds), frames.mean(dim=1, keepdim=True))


def by_loops(activations):
    """The local average of the published code, which has no gradient."""
    cents = np.linspace(0, 7180, 360) + 1997.3794084376191
    found = []
    for salience in activations.numpy():
        centre = int(np.argmax(salience))
        start, end = max(0, centre - 4), min(360, centre + 5)
        found.append((salience[start:end] * cents[start:end]).sum() / salience[start:end].sum())
    return torch.tensor(found)[:, None].float()


def test_the_pitch_is_the_local_average_of_the_published_code():
    activations = torch.rand(64, 360, generator=torch.Generator().manual_seed(0))
    activations[0, 0], activations[1, 359], activations[2, 2] = 2.0, 2.0, 2.0  # windows that the ends cut
    torch.testing.assert_close(pitch(activations), by_loops(activations))
    assert torch.equal(confidence(activations)[:, 0], activations.max(dim=1).values)


@published
@pytest.mark.parametrize("frequency", [100, 220, 440, 1000])
def test_the_pitch_of_a_pure_tone_is_its_frequency(frequency):
    heard = frequency_of(pitch(load_crepe("tiny")(sine(frequency)))).item()
    assert abs(1200 * math.log2(heard / frequency)) < 10  # cents


@published
def test_the_pitch_of_a_sound_without_its_fundamental_is_the_same():
    queries = Harmonic().queries()
    whole, without = pitch(load_crepe("tiny")(queries))[[0, 2], 0].tolist()
    assert abs(whole - without) < 5
    power = torch.fft.rfft(queries).abs().square()
    lowest = power[:, 8:21].sum(dim=1) / power.sum(dim=1)  # 125 to 312 Hz
    assert lowest[0] > 0.5
    assert lowest[2] < 0.01


@published
def test_the_weights_are_recorded_and_shared():
    context = BuildContext(generator=Harmonic())
    objective = build(None, CrepeOptions(), context)
    assert objective.names == ("pitch",)
    assert objective.unit == "cents"
    assert [(record.name, record.revision) for record in context.weights] == [(PACKAGE, version(PACKAGE))]
    assert isinstance(objective.networks()[0], Crepe)


@pytest.mark.parametrize(
    ("generator", "objective", "problem"),
    [
        ("toy", "crepe", "cannot hear the samples"),
        ("toy:circles", "crepe", "cannot hear the samples"),
        ("harmonic,length=512", "crepe", "cannot hear the samples"),
        ("harmonic,low=300,high=200", "crepe", "is not below"),
        ("harmonic,f0=3", "crepe", "low"),
        ("harmonic", "crepe,capacity=full", "size"),
        ("harmonic:220", "crepe", "takes no argument"),
    ],
)
def test_bad_specs_are_refused(generator, objective, problem):
    import equidiff

    plugins = load_plugins(*PLUGINS)
    with pytest.raises(EquiDiffError) as caught:
        equidiff.sample(generator, objective, "none", query=0, samples=1, plugins=plugins)
    assert problem in f"{caught.value} {caught.value.expected} {caught.value.hint}"
