"""The objective `classifier`."""

from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from equidiff.builtin.objectives.classifier import Classifier, build
from equidiff.builtin.objectives.descriptors import ClassifierOptions
from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UnsupportedError
from equidiff.images.convert import image_to_tensor
from equidiff.networks import load_network
from equidiff.networks.fashion import CLASSES, FashionNet

DATA = Path(__file__).parents[3] / "shared" / "data"
MOBILENET = DATA / "mobilenetv2_100_imagenet.safetensors"
ZEBRA = DATA / "imagenet-samples" / "340_n02391049_zebra.jpg"
needs_data = pytest.mark.skipif(not MOBILENET.is_file(), reason="../shared/data is not there")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("fashion") / "fashion.safetensors"
    save_file(FashionNet().state_dict(), path)
    return str(path)


def make(argument, context=None, **options):
    return build(argument, ClassifierOptions(**options), context or BuildContext())


def reference(checkpoint, samples):
    network = FashionNet().eval()
    network.load_state_dict(load_file(checkpoint))
    return network(samples)


@pytest.mark.parametrize("argument", ["bag", "8", "BAG"])
def test_one_class_is_a_probability_unless_asked(checkpoint, argument):
    samples = torch.rand(3, 1, 28, 28)
    logits = reference(checkpoint, samples)
    objective = make(argument, model="fashion", checkpoint=checkpoint)
    assert (objective.names, objective.unit) == (("bag",), "probability")
    by_hand = logits[:, 8].exp() / logits.exp().sum(dim=1)
    assert torch.allclose(objective.measure(samples), by_hand[:, None], atol=1e-6)
    objective = make(argument, model="fashion", checkpoint=checkpoint, output="logit")
    assert objective.unit == "logit"
    assert torch.allclose(objective.measure(samples), logits[:, 8:9], atol=1e-6)


def test_all_classes_are_logits_unless_asked(checkpoint):
    samples = torch.rand(3, 1, 28, 28)
    logits = reference(checkpoint, samples)
    objective = make(None, model="fashion", checkpoint=checkpoint)
    assert (objective.names, objective.unit) == (CLASSES, "logit")
    assert torch.allclose(objective.measure(samples), logits, atol=1e-6)
    objective = make(None, model="fashion", checkpoint=checkpoint, output="probability")
    assert (objective.names, objective.unit) == (CLASSES, "probability")
    assert torch.allclose(objective.measure(samples), logits.softmax(1), atol=1e-6)


def test_circles_has_one_logit_and_two_classes():
    points = torch.randn(5, 2)
    logit = load_network("circles", None, BuildContext()).module(points)
    inner = 1 / (1 + torch.exp(-logit))
    values = {name: make(name, model="circles").measure(points) for name in ("inner", "outer", "0", "1")}
    assert torch.allclose(values["inner"], inner, atol=1e-6)
    assert torch.allclose(values["outer"], 1 - inner, atol=1e-6)
    assert torch.equal(values["0"], values["outer"])
    assert torch.equal(values["1"], values["inner"])
    assert torch.equal(make("inner", model="circles", output="logit").measure(points), logit)
    assert torch.equal(make("outer", model="circles", output="logit").measure(points), -logit)
    everything = make(None, model="circles")
    assert (everything.names, everything.unit) == (("inner",), "logit")
    assert torch.equal(everything.measure(points), logit)
    both = make(None, model="circles", output="probability")
    assert both.names == ("outer", "inner")
    assert torch.allclose(both.measure(points), torch.cat([1 - inner, inner], 1), atol=1e-6)


@pytest.mark.parametrize(("chosen", "unit"), [(3, "probability"), (3, "logit"), (None, "logit"), (None, "probability")])
def test_gradients_against_finite_differences(checkpoint, chosen, unit):
    network = load_network("fashion", checkpoint, BuildContext())
    network.module.double()
    objective = Classifier(network, chosen, unit, (), ())
    torch.manual_seed(0)
    samples = torch.rand(2, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(samples)
    weights = torch.randn_like(objective.measure(samples))
    (gradient,) = torch.autograd.grad((objective.measure(samples) * weights).sum(), samples)
    step = 1e-6
    ahead, behind = (objective.measure(samples + sign * step * direction) for sign in (1, -1))
    assert torch.allclose((gradient * direction).sum(), ((ahead - behind) * weights).sum() / (2 * step), rtol=1e-4)


def test_unknown_classes(checkpoint):
    with pytest.raises(UnknownNameError, match="pullover"):
        make("pulover", model="fashion", checkpoint=checkpoint)
    with pytest.raises(UnknownNameError, match="0 to 9"):
        make("10", model="fashion", checkpoint=checkpoint)
    with pytest.raises(UnknownNameError, match="0 to 1"):
        make("2", model="circles")


def test_a_network_without_classes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, num_classes=0))
    path = tmp_path / "features.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), path)
    with pytest.raises(UnsupportedError, match="is not a classifier"):
        make("zebra", model="test_efficientnet", checkpoint=str(path))


@needs_data
@pytest.mark.parametrize("options", [{}, {"mean": 0.5, "std": 0.5, "pad": "same"}])
def test_a_photograph_is_measured_as_timm_measures_it(options):
    arguments = {"pad_type": "same"} if options else {}
    model = timm.create_model("mobilenetv2_100", **arguments).eval()
    model.load_state_dict(load_file(MOBILENET))
    config = timm.data.resolve_model_data_config(model)
    if options:
        config |= {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    image = Image.open(ZEBRA).convert("RGB")
    with torch.no_grad():
        transform = timm.data.create_transform(**config, is_training=False)
        expected, by_pillow = (
            model(transform(each)[None]).softmax(1)[0, 340].item() for each in (image_to_tensor(image)[0], image)
        )
    objective = make("zebra", model="mobilenetv2_100", checkpoint=str(MOBILENET), **options)
    assert objective.measure(image_to_tensor(image)).item() == pytest.approx(expected, abs=1e-5)
    assert expected == pytest.approx(by_pillow, abs=0.01)  # which rounds to 8 bits after resizing
    assert objective.names == ("zebra",)
    assert expected > 0.5


@needs_data
@pytest.mark.parametrize("name", ["zebra", "n02391049", "340"])
def test_a_photograph_by_name_synset_and_index(name):
    options = {"model": "mobilenetv2_100", "checkpoint": str(MOBILENET), "mean": 0.5, "std": 0.5, "pad": "same"}
    image = Image.open(ZEBRA).convert("RGB")
    one, everything = make(name, **options), make(None, output="distribution", **options)
    probabilities = everything.measure(image_to_tensor(image))
    assert one.names == ("zebra",)
    assert one.measure(image_to_tensor(image)).item() == pytest.approx(probabilities[0, 340].item(), abs=1e-6)
    assert (probabilities.argmax().item(), len(everything.names)) == (340, 1000)
    assert everything.discrepancy(probabilities, probabilities[0]).item() == 0
    uniform = torch.full((1, 1000), 1e-3)
    entropy = torch.special.entr(probabilities).sum().item()
    expected = torch.tensor(1000.0).log().item() - entropy  # KL(p || uniform)
    assert everything.discrepancy(uniform, probabilities[0]).item() == pytest.approx(expected, abs=1e-3)
