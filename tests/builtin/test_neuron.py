"""The objective `neuron`."""

from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from equidiff.builtin.objectives import neuron
from equidiff.builtin.objectives.descriptors import NeuronOptions
from equidiff.builtin.objectives.neuron import Neuron, build
from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UnsupportedError, UsageError
from equidiff.images.convert import image_to_tensor
from equidiff.networks import Network, Tap, Units, load_network
from equidiff.networks.fashion import FashionNet

DATA = Path(__file__).parents[3] / "shared" / "data"
MOBILENET = DATA / "mobilenetv2_100_imagenet.safetensors"
needs_data = pytest.mark.skipif(not MOBILENET.is_file(), reason="../shared/data is not there")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("fashion") / "fashion.safetensors"
    save_file(FashionNet().state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def random_timm(tmp_path_factory):
    """A function that makes a timm model and its checkpoint."""

    def make(name):
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("timm") / f"{name}.safetensors"
        model = timm.create_model(name).eval()
        save_file(model.state_dict(), path)
        return model, {"model": name, "checkpoint": str(path)}

    return make


def make(argument, **options):
    return build(argument, NeuronOptions(**options), BuildContext())


def wrap(module, shape, **attributes):
    """A network around any module, whose samples need no preparation."""
    return Network(module.eval(), "net", "cpu", shape, lambda samples: samples, lambda image: image, **attributes)


@pytest.fixture
def given_network(monkeypatch):
    """Builds a neuron of a module of the test's own."""

    def make(module, argument, shape, options=None, **attributes):
        network = wrap(module, shape, **attributes)
        monkeypatch.setattr(neuron, "load_network", lambda *_, **__: network)
        return build(argument, NeuronOptions(**(options or {})), BuildContext())

    return make


# values, against a plain forward with the indexing written out


@pytest.mark.parametrize("positions", ["mean", "max", "all"])
def test_a_channel_of_a_feature_map(checkpoint, positions):
    objective = make("block2.5", model="fashion", checkpoint=checkpoint, positions=positions)
    network = FashionNet().eval()
    network.load_state_dict(load_file(checkpoint))
    samples = torch.rand(3, 1, 28, 28)
    channel = network.block2(network.block1(samples))[:, 5]
    expected = {"mean": channel.mean((1, 2))[:, None], "max": channel.amax((1, 2))[:, None], "all": channel.flatten(1)}
    assert torch.allclose(objective.measure(samples), expected[positions], atol=1e-6)
    assert objective.unit == "activation"
    if positions == "all":
        assert objective.names[:2] == ("block2.5[0,0]", "block2.5[0,1]")
        assert objective.names[-1] == "block2.5[6,6]"
        assert len(objective.names) == 49
    else:
        assert objective.names == ("block2.5",)


def test_an_index_alone_is_the_input_of_the_head(checkpoint):
    samples = torch.rand(3, 1, 28, 28)
    alone = make("17", model="fashion", checkpoint=checkpoint)
    named = make("pool.17", model="fashion", checkpoint=checkpoint)
    assert torch.equal(alone.measure(samples), named.measure(samples))
    assert (alone.names, named.names) == (("pre-logits.17",), ("pool.17",))
    points = torch.randn(4, 2)
    assert torch.equal(make("3", model="circles").measure(points), make("act2.3", model="circles").measure(points))


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "test_mambaout"])
def test_an_index_alone_is_timms_pre_logits(random_timm, name):
    model, options = random_timm(name)
    samples = torch.rand(2, 3, 160, 160)
    objective = make("5", **options)
    inputs = load_network(*options.values(), BuildContext()).prepare(samples)
    expected = model.forward_head(model.forward_features(inputs), pre_logits=True)[:, 5:6]
    assert torch.allclose(objective.measure(samples), expected, atol=1e-5)


@pytest.mark.parametrize("tokens", ["mean", "max", "all", "cls"])
def test_a_channel_of_tokens(random_timm, tokens):
    model, options = random_timm("test_vit")
    objective = make("blocks.1.7", **options, tokens=tokens)
    samples = torch.rand(2, 3, 200, 180)
    inputs = load_network(*options.values(), BuildContext()).prepare(samples)
    channel = model.forward_intermediates(inputs, indices=[1], return_prefix_tokens=True, output_fmt="NLC")
    patches, prefix = channel[1][0]
    channel = torch.cat([prefix, patches], dim=1)[..., 7]
    expected = {
        "mean": channel.mean(1, keepdim=True),
        "max": channel.amax(1, keepdim=True),
        "all": channel,
        "cls": channel[:, :1],
    }[tokens]
    assert torch.allclose(objective.measure(samples), expected, atol=1e-5)
    assert len(objective.names) == expected.shape[1]
    if tokens == "all":
        assert objective.names[:2] == ("blocks.1.7[0]", "blocks.1.7[1]")


@pytest.mark.parametrize(
    ("name", "layer"), [("test_mambaout", "stages.1"), ("test_convnext", "stages.2.blocks.0.mlp.fc1")]
)
def test_channels_last_are_recognised(random_timm, name, layer):
    model, options = random_timm(name)
    seen = {}
    model.get_submodule(layer).register_forward_hook(lambda _m, _a, output: seen.update(output=output))
    network = load_network(*options.values(), BuildContext())
    samples = torch.rand(2, 3, 160, 160)
    model(network.prepare(samples))
    output = seen["output"]
    assert output.shape[1] == output.shape[2] != output.shape[3]
    objective = make(f"{layer}.3", **options, positions="all")
    assert torch.allclose(objective.measure(samples), output[..., 3].flatten(1), atol=1e-5)


class Cube(nn.Module):
    """Puts out a feature map as high and wide as it has channels."""

    def forward(self, samples):
        return samples


def test_a_cube_is_read_as_the_network_says(given_network):
    samples = torch.rand(2, 3, 3, 3)
    first = given_network(nn.Sequential(Cube()), "0.1", (3, 3, 3), {"positions": "all"})
    assert torch.equal(first.measure(samples), samples[:, 1].flatten(1))
    last = given_network(nn.Sequential(Cube()), "0.1", (3, 3, 3), {"positions": "all"}, channels_last=True)
    assert torch.equal(last.measure(samples), samples[..., 1].flatten(1))
    linear = given_network(nn.Sequential(nn.LayerNorm(3)), "0.1", (3, 3, 3))
    assert torch.allclose(linear.measure(samples)[:, 0], nn.LayerNorm(3)(samples)[..., 1].mean((1, 2)))


@needs_data
def test_a_unit_of_mobilenet_on_a_photograph():
    objective = make("blocks.5.2.17", model="mobilenetv2_100", checkpoint=str(MOBILENET))
    image = Image.open(DATA / "imagenet-samples" / "340_n02391049_zebra.jpg")
    model = timm.create_model("mobilenetv2_100").eval()
    model.load_state_dict(load_file(MOBILENET))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    measured = objective.measure(image_to_tensor(image.convert("RGB"))).item()
    # timm's transform of the tensor; Pillow's, which rounds to 8 bits after resizing, is near
    for picture, error in ((image_to_tensor(image.convert("RGB"))[0], 1e-5), (image.convert("RGB"), 0.02)):
        values = model.bn1(model.conv_stem(transform(picture)[None]))
        for stage in model.blocks[:5]:
            values = stage(values)
        for block in model.blocks[5][:3]:
            values = block(values)
        assert measured == pytest.approx(values[0, 17].mean().item(), abs=error)


# gradients and use


@pytest.mark.parametrize("layer", ["block1", "block2.0", "pool", "head", None])
@pytest.mark.parametrize("reduction", ["mean", "max", "all"])
def test_gradients_against_finite_differences(checkpoint, layer, reduction):
    network = load_network("fashion", checkpoint, BuildContext())
    network.module.double()
    objective = Neuron(Units(Tap.at(network, layer), 1, reduction, 10), 4)
    torch.manual_seed(0)
    samples = torch.rand(2, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(samples)
    weights = torch.randn_like(objective.measure(samples))
    (gradient,) = torch.autograd.grad((objective.measure(samples) * weights).sum(), samples)
    step = 1e-6
    ahead, behind = (objective.measure(samples + sign * step * direction) for sign in (1, -1))
    difference = ((ahead - behind) * weights).sum() / (2 * step)
    assert difference.abs() > 1e-6
    assert torch.allclose((gradient * direction).sum(), difference, rtol=1e-3)


def test_samples_do_not_influence_each_other(checkpoint):
    objective = make("block3.3", model="fashion", checkpoint=checkpoint)
    samples = torch.rand(4, 1, 28, 28)
    one_by_one = torch.cat([objective.measure(sample[None]) for sample in samples])
    assert torch.allclose(objective.measure(samples), one_by_one, atol=1e-6)


def test_colour_pictures_of_another_size_are_prepared(checkpoint):
    objective = make("block3.3", model="fashion", checkpoint=checkpoint)
    image = Image.new("RGB", (60, 50), (255, 0, 0))
    expected = objective.measure(torch.full((1, 1, 28, 28), 76 / 255))  # the luminance of red
    for mode in ("RGB", "L"):
        assert torch.allclose(objective.measure(image_to_tensor(image.convert(mode))), expected, atol=1e-3)


# bad input


@pytest.mark.parametrize("argument", [None, "block3", "block3.x", "block3.-1", "pool.", ".5"])
def test_the_argument_needs_an_index(checkpoint, argument):
    with pytest.raises(UsageError, match=r"LAYER\.INDEX"):
        make(argument, model="fashion", checkpoint=checkpoint)


@pytest.mark.parametrize(("argument", "message"), [("block4.17", "block3"), ("blok2.0.0", "block2.0")])
def test_unknown_layers(checkpoint, argument, message):
    with pytest.raises(UnknownNameError, match=message):
        make(argument, model="fashion", checkpoint=checkpoint)


@pytest.mark.parametrize(("argument", "last"), [("block3.128", 127), ("128", 127), ("head.10", 9)])
def test_an_index_out_of_range(checkpoint, argument, last):
    with pytest.raises(UnknownNameError, match=f"0 to {last}"):
        make(argument, model="fashion", checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("argument", "options", "message"),
    [
        ("pool.3", {"positions": "mean"}, "pool has no positions: its output is 128 features"),
        ("3", {"tokens": "cls"}, "has no tokens"),
        ("block2.3", {"tokens": "all"}, "64 channels of 7x7 positions"),
    ],
)
def test_options_that_do_not_apply(checkpoint, argument, options, message):
    with pytest.raises(UsageError, match=message):
        make(argument, model="fashion", checkpoint=checkpoint, **options)


def test_tokens_options_are_for_tokens(random_timm):
    _, options = random_timm("test_vit")
    with pytest.raises(UsageError, match="101 tokens of 64 channels"):
        make("blocks.0.3", **options, positions="max")
    _, options = random_timm("test_vit_relpos")
    with pytest.raises(UsageError, match="no class token"):
        make("blocks.0.3", **options, tokens="cls")


class Pair(nn.Module):
    def forward(self, samples):
        return samples, samples


class Odd(nn.Module):
    """Layers that cannot be measured."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Identity()
        self.pair = Pair()
        self.twice = nn.ReLU()
        self.boolean = nn.Identity()

    def forward(self, samples):
        samples, other = self.pair(self.twice(self.twice(samples)))
        return samples + other * self.boolean(samples > 0)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("unused", "never called"),
        ("pair", "a tuple, not a tensor"),
        ("twice", "called 2 times"),
        ("boolean", r"torch\.bool of shape \(2, 3, 8, 8\)"),
    ],
)
def test_layers_that_cannot_be_measured(given_network, layer, message):
    with pytest.raises(UnsupportedError, match=message):
        given_network(Odd(), f"{layer}.0", (3, 8, 8))


def test_a_layer_that_mixes_the_batch_axis(given_network):
    with pytest.raises(UnsupportedError, match="for 2 samples"):
        given_network(nn.Sequential(nn.Flatten(0, 1)), "0.0", (3, 8, 8))


def test_a_network_with_two_heads_needs_a_layer(given_network):
    with pytest.raises(UnsupportedError, match="no single final layer"):
        given_network(nn.Sequential(nn.Flatten()), "3", (3, 8, 8))
