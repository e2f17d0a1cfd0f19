"""Networks of torchvision: values, published weights from torch's cache, names, and what is refused."""

import re

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from small_images import assert_rounded_alike, make_image
from torchvision.models import MobileNet_V3_Small_Weights, get_model, get_model_weights

from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UnsupportedError, UsageError, WeightsError
from equidiff.networks import Units, find_class, load_network

NAME = "torchvision:mobilenet_v3_small"
SAMPLES = torch.rand(2, 3, 50, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    module = torchvision.models.mobilenet_v3_small().eval()
    for parameter in module.parameters():  # a fresh network gives nearly the same logits to everything
        parameter.data += 0.05 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp("torchvision") / "weights.safetensors"
    save_file(module.state_dict(), path)
    return path, module


@pytest.fixture(scope="module")
def network(saved):
    return load_network(NAME, str(saved[0]), BuildContext())


def publish(monkeypatch, folder, name, state):
    """Put weights into torch's cache, as if they had been downloaded before."""
    monkeypatch.setenv("TORCH_HOME", str(folder))
    path = folder / "hub" / "checkpoints" / get_model_weights(name).DEFAULT.url.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)


def test_values_are_those_of_torchvision(saved, network):
    transform = MobileNet_V3_Small_Weights.DEFAULT.transforms()
    with torch.no_grad():
        wanted = saved[1](transform(SAMPLES))
        own = network.logits(network.prepare(SAMPLES))
        bare = network.logits(SAMPLES)  # the control: without the preprocessing, they differ
    torch.testing.assert_close(own, wanted, rtol=1e-5, atol=1e-5)
    assert (bare - wanted).abs().max() > 1e-3
    image = make_image(300, 260)
    assert_rounded_alike(network.prepare_image(image)[0], transform(image), min(transform.std))


def test_gradients_agree_with_differences(network):
    units = Units.at(network, "features.3")
    samples = SAMPLES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(units.read_one(network.prepare(samples), 3).sum(), samples)
    direction = torch.randn(SAMPLES.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ahead, behind = (
            units.read_one(network.prepare(SAMPLES + step * direction), 3).double().sum() for step in (3e-3, -3e-3)
        )
    assert (gradient * direction).sum().item() == pytest.approx(((ahead - behind) / 6e-3).item(), rel=2e-2, abs=1e-3)


def test_classes_by_any_name(network):
    assert network.head == "classifier.3"
    assert [find_class(network, name, 1000) for name in ("zebra", "n02391049", "great white shark", "17")] == [
        *(340, 340, 2, 17)
    ]
    assert len(set(network.classes)) == 1000


def test_every_published_preprocessing_is_one_that_is_understood():
    for name in torchvision.models.list_models(module=torchvision.models):
        for weights in get_model_weights(name):
            preset = weights.transforms()
            assert type(preset).__name__ == "ImageClassification"
            assert len(preset.crop_size) == len(preset.resize_size) == 1


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "squeezenet1_1", "mnasnet0_5"])
def test_published_weights_are_used_as_torchvision_uses_them(name, tmp_path, monkeypatch):
    """GoogLeNet changes its input, DenseNet's file has old names, SqueezeNet ends in a map, MNASNet's has a version."""
    torch.manual_seed(0)
    module = get_model(name, **({"init_weights": False} if name == "googlenet" else {}))
    state = module.state_dict()
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])")
    without = {key: value for key, value in state.items() if "denselayer" not in key or "batches" not in key}
    published = {old.sub(r"\1.\2", key): value for key, value in without.items()}
    publish(monkeypatch, tmp_path, name, published if name == "densenet121" else state)
    library = get_model(name, weights="DEFAULT").eval()
    context = BuildContext()
    network = load_network(f"torchvision:{name}", None, context)
    inputs = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(network.logits(inputs), library(inputs), rtol=1e-5, atol=1e-6)
    assert context.weights[0].name == f"torchvision {name}"
    assert context.weights[0].revision == "IMAGENET1K_V1"


def test_a_fine_tuned_checkpoint_keeps_its_classes(tmp_path):
    torch.manual_seed(0)
    module = torchvision.models.mobilenet_v3_small(num_classes=7).eval()
    torch.save(module.state_dict(), tmp_path / "seven.pt")
    network = load_network(NAME, str(tmp_path / "seven.pt"), BuildContext())
    assert network.names is None
    inputs = network.prepare(SAMPLES)
    assert torch.equal(network.logits(inputs), module(inputs))


def test_options(saved, tmp_path, monkeypatch):
    other = load_network(NAME, str(saved[0]), BuildContext(), mean=(0.1, 0.2, 0.3), std=0.5)
    own = load_network(NAME, str(saved[0]), BuildContext(), mean=0.0, std=1.0).prepare(SAMPLES)
    torch.testing.assert_close(other.prepare(SAMPLES), (own - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / 0.5)
    first = load_network("torchvision:resnet18", None, BuildContext(), pretrained="IMAGENET1K_V1", weights=False)
    assert first.sample_shape == (3, 224, 224)
    with pytest.raises(UnknownNameError, match="set of weights of resnet50"):
        load_network("torchvision:resnet50", None, BuildContext(), pretrained="IMAGENET1K_V3")
    with pytest.raises(UsageError, match="how images are prepared"):
        load_network(NAME, str(saved[0]), BuildContext(), size=224)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="cannot be fetched") as refused:
        load_network(NAME, None, BuildContext())
    assert str(tmp_path) in str(refused.value.hint)
    assert "curl" in str(refused.value.hint)


def test_what_is_refused(saved):
    with pytest.raises(UnknownNameError, match="resnet50"):
        load_network("torchvision:resnet51", None, BuildContext())
    with pytest.raises(UnsupportedError, match="not a classifier of images"):
        load_network("torchvision:fcn_resnet50", None, BuildContext())
    with pytest.raises(WeightsError, match="does not fit"):
        load_network("torchvision:mobilenet_v3_large", str(saved[0]), BuildContext())
