"""Networks: weights files, preprocessing, class names, layers."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from equidiff.contracts import BuildContext, Generator
from equidiff.errors import QueryError, UnsupportedError, UsageError, WeightsError
from equidiff.images.convert import image_to_tensor, to_channels
from equidiff.networks import Tap, describe_layers, load_network
from equidiff.networks.fashion import FashionNet


class Fake(Generator):
    latent_shape = (4,)

    def __init__(self, sample_shape, network=None):
        self.sample_shape = sample_shape
        self.network = network

    def generate(self, latents, steps=None):
        raise NotImplementedError


@pytest.fixture
def fashion(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "fashion.safetensors"
    save_file(FashionNet().state_dict(), path)
    return path


def make_image(width=50, height=40, mode="RGB"):
    pixels = np.random.default_rng(0).integers(60, 196, (height, width, 3), dtype=np.uint8)
    # smooth, and far from black and white: Pillow clamps and rounds after resizing, tensors do neither
    return Image.fromarray(pixels).resize((4 * width, 4 * height), Image.Resampling.BICUBIC).convert(mode)


# what is loaded


def test_weights_are_recorded_once_with_their_hash(fashion):
    context = BuildContext()
    for _ in range(2):
        network = load_network("fashion", str(fashion), context)
    (record,) = context.weights
    assert (record.name, record.sha256) == (fashion.name, hashlib.sha256(fashion.read_bytes()).hexdigest())
    assert not network.module.training
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


def test_the_generator_names_the_network(fashion):
    network = load_network(None, str(fashion), BuildContext(generator=Fake((1, 28, 28), "fashion")))
    assert (network.name, network.classes[8]) == ("fashion", "bag")


@pytest.mark.parametrize("generator", [None, Fake((3, 8, 8))])
def test_no_natural_network(generator):
    with pytest.raises(UsageError, match="model=NAME"):
        load_network(None, None, BuildContext(generator=generator))


@pytest.mark.parametrize(("model", "shape"), [("fashion", (2,)), ("circles", (1, 28, 28)), ("fashion", (4, 28, 28))])
def test_network_and_generator_must_speak_of_the_same(model, shape, fashion):
    checkpoint = str(fashion) if model == "fashion" else None
    with pytest.raises(UnsupportedError, match="cannot take the samples") as caught:
        load_network(model, checkpoint, BuildContext(generator=Fake(shape, "other")))
    assert "other" in str(caught.value)


def test_circles_ships_and_knows_the_unit_circle():
    network = load_network("circles", None, BuildContext())
    points = torch.tensor([[0.3, 0.2], [0.0, -0.8], [1.2, 0.0], [-1.0, 1.2]])
    assert (network.module(network.prepare(points))[:, 0] > 0).tolist() == [True, True, False, False]
    with pytest.raises(QueryError, match="not images"):
        network.prepare_image(make_image())


def test_fashion_ships():
    context = BuildContext()
    network = load_network("fashion", None, context)
    assert network.module(torch.rand(2, 1, 28, 28)).shape == (2, len(network.classes))
    assert [record.name for record in context.weights] == ["fashion_classifier.safetensors"]


@pytest.mark.parametrize("wrapper", ["state_dict", "model", None])
def test_plain_state_dicts(tmp_path, wrapper):
    torch.manual_seed(1)
    weights = FashionNet().state_dict()
    path = tmp_path / "weights.pt"
    torch.save(weights if wrapper is None else {wrapper: weights, "epoch": 3}, path)
    loaded = load_network("fashion", str(path), BuildContext()).module.state_dict()
    assert all(torch.equal(loaded[key], weights[key]) for key in weights)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bomb.pt").write_bytes(pickle.dumps({"head.weight": Bomb()}, protocol=2))
    torch.save({"head.weight": Bomb()}, "zip.pt")
    for file in ("bomb.pt", "zip.pt"):
        with pytest.raises(WeightsError, match="code in it is not run"):
            load_network("fashion", file, BuildContext())
    assert not Path("exploded").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("keep", [0, 7, 3000])
def test_truncated_files(fashion, tmp_path, suffix, keep):
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".pt":
        torch.save(FashionNet().state_dict(), whole)
    else:
        whole = fashion
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(WeightsError) as caught:
        load_network("fashion", str(path), BuildContext())
    assert str(path) in str(caught.value)


def test_missing_path_and_wrong_content(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load_network("fashion", str(tmp_path / "nothing.safetensors"), BuildContext())
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="list that is not a state dict"):
        load_network("fashion", str(tmp_path / "list.pt"), BuildContext())


def test_keys_and_shapes_that_do_not_fit_are_named(tmp_path):
    weights = FashionNet().state_dict()
    del weights["head.bias"]
    weights["tail.bias"] = torch.zeros(2)
    weights["head.weight"] = torch.zeros(10, 3)
    save_file(weights, tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_network("fashion", str(tmp_path / "odd.safetensors"), BuildContext())
    for part in ("1 missing (head.bias)", "1 unexpected (tail.bias)", "1 of another shape (head.weight)"):
        assert part in str(caught.value)


# preprocessing


@pytest.mark.parametrize(("mode", "channels"), [("L", 3), ("RGB", 1), ("RGB", 3), ("L", 1)])
def test_channels_are_converted_as_pillow_does(mode, channels):
    image = make_image(mode=mode)
    expected = image_to_tensor(image.convert("L" if channels == 1 else "RGB"))
    converted = to_channels(image_to_tensor(image), channels)
    # Pillow rounds to 8 bits
    assert (converted - expected).abs().max() <= 0.51 / 255


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28), (1, 40, 33), (3, 9, 9)])
def test_preparation_passes_the_gradient(shape, fashion):
    network = load_network("fashion", str(fashion), BuildContext())
    torch.manual_seed(0)
    samples = torch.rand(2, *shape, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(samples)
    weights = torch.randn_like(network.prepare(samples))
    (gradient,) = torch.autograd.grad((network.prepare(samples) * weights).sum(), samples)
    # the preparation is affine, so that a finite difference is exact
    moved = ((network.prepare(samples + direction) - network.prepare(samples)) * weights).sum()
    assert torch.allclose((gradient * direction).sum(), moved, rtol=1e-6)


def test_samples_of_the_networks_own_size_are_not_touched(fashion):
    network = load_network("fashion", str(fashion), BuildContext())
    samples = torch.randn(3, 1, 28, 28)
    assert network.prepare(samples) is samples
    image = make_image().convert("L").resize((28, 28))
    assert torch.equal(network.prepare_image(image), image_to_tensor(image))


# layers


def test_layers_are_described(fashion):
    network = load_network("fashion", str(fashion), BuildContext())
    layers = {layer.name: layer for layer in describe_layers(network)}
    assert layers["block1"].shape == (32, 14, 14)
    assert layers["pool"].shape == (128,)
    assert (layers["head"].type, layers["head"].shape) == ("Linear", (10,))
    assert "" not in layers


def test_reading_stops_at_the_layer_and_leaves_nothing_behind(fashion):
    network = load_network("fashion", str(fashion), BuildContext())
    calls = []
    network.module.head.register_forward_hook(lambda *_: calls.append("head"))
    tap = Tap.at(network, "block2")
    inputs = torch.rand(2, 1, 28, 28)
    assert torch.equal(tap.read(inputs), network.module.block2(network.module.block1(inputs)))
    assert not calls
    assert not network.module.block2._forward_hooks
    with pytest.raises(RuntimeError):
        tap.read(torch.rand(2, 7, 28, 28))
    assert not network.module.block2._forward_hooks
    network.module(inputs)
    assert calls == ["head"]
