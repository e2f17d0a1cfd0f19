"""Networks of timm: weights, the hub, preprocessing, class names."""

import hashlib

import pytest
import timm
import torch
from hubs import COMMIT, put_in_cache, use_cache
from safetensors.torch import save_file
from small_images import assert_rounded_alike, make_image

from equidiff.builtin.objectives import neuron
from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UsageError, WeightsError
from equidiff.images.convert import image_to_tensor
from equidiff.networks import find_class, load_network
from equidiff.registry.options import read_options
from equidiff.registry.specs import Spec
from equidiff.testing import load_plugins


def save_timm(name, path, **arguments):
    torch.manual_seed(0)
    model = timm.create_model(name, **arguments).eval()
    save_file(model.state_dict(), path)
    return model


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    path = tmp_path_factory.mktemp("vit") / "vit.safetensors"
    save_timm("test_vit", path)
    return path


@pytest.fixture(scope="module")
def vit_network(vit):
    return load_network("test_vit", str(vit), BuildContext())


def test_timm_names_are_checked(vit):
    with pytest.raises(UnknownNameError, match="mobilenetv2_100"):
        load_network("mobilenetv2_10", None, BuildContext())
    with pytest.raises(UnknownNameError, match="fashion"):
        load_network("fashoin", None, BuildContext())
    with pytest.raises(UnknownNameError, match=r"test_vit\.r160_in1k"):
        load_network("test_vit.r160_in2k", str(vit), BuildContext())


def test_timm_only_options(vit, tmp_path):
    with pytest.raises(UsageError, match="mean, pad"):
        load_network("fashion", None, BuildContext(), mean=0.5, pad="same")
    with pytest.raises(UsageError, match="pad=same"):
        load_network("test_vit", str(vit), BuildContext(), pad="same")
    path = tmp_path / "efficientnet.safetensors"
    model = save_timm("test_efficientnet", path, pad_type="same")
    network = load_network("test_efficientnet", str(path), BuildContext(), mean=0.4, std=0.2, pad="same")
    samples = torch.rand(1, 3, 160, 160)
    config = timm.data.resolve_model_data_config(model) | {"mean": (0.4,) * 3, "std": (0.2,) * 3}
    expected = timm.data.create_transform(**config, is_training=False)(make_image())
    assert_rounded_alike(network.prepare_image(make_image())[0], expected, 0.2)
    assert torch.equal(network.module(samples), model(samples))
    plain = load_network("test_efficientnet", str(path), BuildContext())
    assert not torch.allclose(plain.module(samples), model(samples))


def test_a_fine_tuned_checkpoint_keeps_its_classes(tmp_path):
    path = tmp_path / "seven.safetensors"
    model = save_timm("test_efficientnet", path, num_classes=7)
    network = load_network("test_efficientnet", str(path), BuildContext())
    samples = torch.rand(1, 3, 160, 160)
    assert torch.equal(network.module(samples), model(samples))
    assert network.classes is None
    assert find_class(network, "6", 7) == 6
    with pytest.raises(UnknownNameError, match="names of the 7 classes"):
        find_class(network, "zebra", 7)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache, and no hub."""
    use_cache(monkeypatch, tmp_path / "cache")


@pytest.mark.usefixtures("hub")
def test_pretrained_weights_come_from_the_hub_cache(tmp_path):
    (tmp_path / "files").mkdir()
    model = save_timm("test_vit", tmp_path / "files" / "model.safetensors")
    put_in_cache("timm/test_vit.r160_in1k", tmp_path / "files")
    context = BuildContext()
    network = load_network("test_vit", None, context)
    samples = torch.rand(1, 3, 160, 160)
    assert torch.equal(network.module(samples), model(samples))
    (record,) = context.weights
    digest = hashlib.sha256((tmp_path / "files" / "model.safetensors").read_bytes()).hexdigest()
    assert (record.name, record.sha256, record.revision) == ("timm/test_vit.r160_in1k", digest, COMMIT)


@pytest.mark.usefixtures("hub")
def test_without_a_hub_the_error_says_what_to_type():
    with pytest.raises(WeightsError, match="model=test_vit,checkpoint=PATH"):
        load_network("test_vit", None, BuildContext())
    with pytest.raises(WeightsError, match="no weights for coatnet_0_224"):
        load_network("coatnet_0_224", None, BuildContext())


def test_timm_transform_is_used_for_images_and_samples(vit_network):
    model = timm.create_model("test_vit")
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    for image in (make_image(), make_image(30, 70, "L")):
        prepared = vit_network.prepare_image(image)
        assert_rounded_alike(prepared[0], transform(image.convert("RGB")), 0.5)
        as_samples = vit_network.prepare(image_to_tensor(image).repeat(2, 1, 1, 1))
        assert torch.allclose(as_samples[1], prepared[0], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 160, 160), (3, 300, 211)])
def test_samples_are_prepared_to_the_bit_as_timm_does(shape, dtype, vit_network):
    samples = torch.rand(2, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert torch.equal(vit_network.prepare(samples), transforms_of(timm.create_model("test_vit"))(samples))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28), (1, 40, 33), (3, 9, 9)])
def test_preparation_passes_the_gradient(shape, vit_network):
    network = vit_network
    torch.manual_seed(0)
    samples = torch.rand(2, *shape, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(samples)
    weights = torch.randn_like(network.prepare(samples))
    (gradient,) = torch.autograd.grad((network.prepare(samples) * weights).sum(), samples)
    # the preparation is affine, so that a finite difference is exact
    moved = ((network.prepare(samples + direction) - network.prepare(samples)) * weights).sum()
    assert torch.allclose((gradient * direction).sum(), moved, rtol=1e-6)


def test_the_units_of_the_thesis(tmp_path):
    """ResNet-50, last feature layer, channels 1656, 1052 and 421, each with all of its 49 positions."""
    path = tmp_path / "resnet50.safetensors"
    model = save_timm("resnet50", path)
    descriptor = load_plugins("equidiff.builtin").find("objective", "neuron").descriptor
    specs = [Spec.parse(each) for each in descriptor.examples if "resnet50" in each]
    assert [spec.argument for spec in specs] == ["layer4.1656", "layer4.1052", "layer4.421"]
    inputs = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        maps = model.forward_features(transforms_of(model)(inputs))
    # the other two differ by the channel alone, and each costs another network
    options = read_options(descriptor, Spec("neuron", None, {**specs[0].options, "checkpoint": str(path)}))
    objective = neuron.build(specs[0].argument, options, BuildContext())
    assert len(objective.names) == 49
    assert objective.names[8] == "layer4.1656[1,1]"
    torch.testing.assert_close(objective.measure(inputs), maps[:, 1656].flatten(1), atol=1e-5, rtol=1e-4)


def transforms_of(model):
    return timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)


# class names


@pytest.mark.parametrize("text", ["340", "n02391049", "zebra", "ZEBRA"])
def test_zebra_by_any_name(vit_network, text):
    assert find_class(vit_network, text, 1000) == 340
    assert vit_network.classes[340] == "zebra"


@pytest.mark.parametrize("text", ["great white shark", "great-white_shark", "White-Shark", "man-eating shark"])
def test_blanks_hyphens_and_underscores(vit_network, text):
    assert find_class(vit_network, text, 1000) == 2


def test_unknown_and_ambiguous_classes(vit_network):
    with pytest.raises(UnknownNameError, match="zebra"):
        find_class(vit_network, "zebar", 1000)
    with pytest.raises(UnknownNameError, match="0 to 999"):
        find_class(vit_network, "1000", 1000)
    with pytest.raises(UnknownNameError, match=r"134 \(.*517 \("):
        find_class(vit_network, "crane", 1000)


def test_every_shown_class_name_can_be_typed(vit_network):
    assert [find_class(vit_network, name, 1000) for name in vit_network.classes] == list(range(1000))
