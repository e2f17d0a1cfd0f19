"""Objectives of a network in memory, beside those that a spec names."""

import copy
import json
from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import equidiff
from equidiff.builtin.objectives.in_memory import classifier, layer, neuron
from equidiff.contracts import BuildContext, Generator
from equidiff.errors import EquiDiffError, PluginError, UnknownNameError, UnsupportedError, UsageError
from equidiff.networks import load_network
from equidiff.networks.fashion import CLASSES
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.testing import check_objective

SHAPE = (1, 28, 28)


class Noise(Generator):
    """Samples are their latents."""

    def __init__(self, shape):
        self.latent_shape = self.sample_shape = shape

    def generate(self, latents, steps=None):
        return latents


def context(shape=SHAPE):
    return BuildContext(generator=Noise(shape))


@pytest.fixture(scope="module")
def fashion():
    """The shipped network as a user would have it after training: in train mode, with gradients, in double."""
    module = load_network("fashion", None, BuildContext()).module
    return copy.deepcopy(module).train().requires_grad_(True)


def spec_route(spec, shape=SHAPE):
    return build(Plugins(), "objective", f"{spec},model=fashion", context(shape)).component


LAYERS = {"block1": 32, "block2.0": 64, "block3": 128, "pool": 128, "head": 10}


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_it_measures_what_the_spec_measures(fashion, data):
    channels, side, seed = (data.draw(st.sampled_from(each)) for each in ((1, 3), (20, 28, 40), range(100)))
    name = data.draw(st.sampled_from(list(LAYERS)))
    index = data.draw(st.integers(0, LAYERS[name] - 1))
    label = data.draw(st.sampled_from([None, *CLASSES, 3]))
    output = data.draw(st.sampled_from([None, "probability", "logit", *(["distribution"] if label is None else [])]))
    positions = data.draw(st.sampled_from([None, "mean", "max", "all"])) if name.startswith("block") else None
    reduced = "" if positions is None else f",positions={positions}"
    chosen = ("" if label is None else f":{label}") + ("" if output is None else f",output={output}")
    pairs = [
        (f"neuron:{name}.{index}{reduced}", neuron(fashion, name, index, size=28, positions=positions)),
        (f"layer:{name}{reduced}", layer(fashion, name, size=28, positions=positions)),
        (f"classifier{chosen}", classifier(fashion, label, classes=CLASSES, output=output, size=28)),
    ]
    samples = torch.rand(3, channels, side, side, generator=torch.Generator().manual_seed(seed))
    for spec, in_memory in pairs:
        shape = (channels, side, side)
        expected = spec_route(spec, shape)
        built = in_memory.build(context(shape))
        assert (built.names, built.unit) == (expected.names, expected.unit)
        assert torch.allclose(built.measure(samples), expected.measure(samples), rtol=0, atol=1e-6)
        assert torch.equal(in_memory.measure(samples), built.measure(samples))


def test_a_run_is_the_same_run(fashion, tmp_path):
    names = [name.replace("-", " ").title() for name in CLASSES]
    modes = [each.training for each in fashion.modules()]
    objective = classifier(fashion, "ANKLE_BOOT", classes=names, output="logit")
    found = equidiff.sample("toy:fashion,steps=2", objective, query=7, samples=2)
    expected = equidiff.sample("toy:fashion,steps=2", "classifier:ankle-boot,output=logit", query=7, samples=2)
    assert len(found) == 2
    assert torch.equal(found.samples, expected.samples)
    assert found.contains(found.samples).all()
    assert [each.training for each in fashion.modules()] == modes
    assert all(each.requires_grad for each in fashion.parameters())
    info = json.loads((found.save(tmp_path / "run") / "run.json").read_text())
    assert info["specs"]["objective"] == "<classifier:ANKLE_BOOT of equidiff.networks.fashion.FashionNet>"
    assert info["options"]["objective"] == {
        "label": "ANKLE_BOOT", "output": "logit", "classes": 10, "size": None, "mean": None, "std": None,
    }  # fmt: skip
    assert info["target"]["names"] == ["Ankle Boot"]
    assert info["weights"][-1]["name"] == "FashionNet in memory"
    with pytest.raises(EquiDiffError, match="made in Python"):
        equidiff.load(tmp_path / "run").contains(found.samples)


def test_a_later_training_does_not_move_the_set(fashion):
    module = copy.deepcopy(fashion)
    found = equidiff.sample("toy:fashion,steps=2", neuron(module, "pool", 17), query=3, samples=2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert found.contains(found.samples).all()


@pytest.mark.parametrize(
    "objective",
    [
        lambda net: neuron(net, "block2", 5, positions="all"),
        lambda net: layer(net, "pool"),
        lambda net: classifier(net, 8),
        lambda net: classifier(net, output="distribution"),
    ],
)
def test_they_keep_the_contract_of_objectives(fashion, objective):
    check_objective(objective(fashion).build(context()), torch.rand(3, *SHAPE))


def test_a_function_prepares(fashion):
    def negative(samples):
        return 1 - samples

    samples = torch.rand(2, *SHAPE)
    plain, turned = (neuron(fashion, "pool", 3, preprocess=each) for each in (None, negative))
    assert torch.equal(turned.measure(samples), plain.measure(1 - samples))
    built = build(Plugins(), "objective", turned, context())
    assert built.options["preprocess"].endswith("negative")
    assert built.spec == repr(turned) == "<neuron:pool.3 of equidiff.networks.fashion.FashionNet>"


def test_an_attribution_sees_the_network(fashion):
    (network,) = neuron(fashion, "pool", 3).build(context()).networks()
    assert [name for name, _ in network.named_children()] == ["block1", "block2", "block3", "pool", "head"]
    assert not network.training


def head(outputs, wrap=None):
    """A network of one linear layer, and what it does with its logits."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, outputs)

        def forward(self, samples):
            logits = self.fc(samples.flatten(1))
            return logits if wrap is None else wrap(logits)

    return Net()


SMALL = (1, 2, 2)
POINTS = torch.rand(5, *SMALL)


def measure(objective, samples=POINTS):
    return objective.build(context(tuple(samples.shape[1:]))).measure(samples)


# outputs of many kinds


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: SimpleNamespace(logits=logits, loss=None),
        lambda logits: OrderedDict(logits=logits),
        lambda logits: namedtuple("Outputs", ["logits", "aux_logits"])(logits, None),
    ],
)
def test_outputs_with_logits(wrap):
    module = head(3, wrap)
    assert torch.equal(measure(classifier(module)), module.fc(POINTS.flatten(1)))
    assert torch.equal(measure(layer(module, "fc")), module.fc(POINTS.flatten(1)))


def test_transformers_outputs():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        num_labels=3, id2label={0: "tench, Tinca tinca", 1: "kite", 2: "crane"},
    )  # fmt: skip
    module = transformers.ViTForImageClassification(config)
    samples = torch.rand(2, 3, 8, 8)
    objective = classifier(module, "tinca tinca", classes=module.config.id2label, output="logit")
    with torch.no_grad():
        assert torch.allclose(objective.measure(samples), copy.deepcopy(module).eval()(samples).logits[:, :1])
    assert objective.build(context((3, 8, 8))).names == ("tench, Tinca tinca",)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda logits: (logits, logits), "an output of tuple"),
        (lambda logits: {"out": logits}, "an output of dict"),
        (lambda logits: logits[:, 0], r"an output of shape \(1,\)"),
        (lambda logits: logits[:, :, None, None], r"an output of shape \(1, 3, 1, 1\)"),
    ],
)
def test_outputs_that_are_no_logits(wrap, message):
    module = head(3, wrap)
    with pytest.raises(UnsupportedError, match=message):
        measure(classifier(module, 1))
    assert measure(neuron(module, "fc", 1)).shape == (5, 1)  # a layer inside can be measured all the same


def test_one_logit_is_for_two_classes():
    module = head(1)
    logits = module.fc(POINTS.flatten(1))
    assert torch.equal(measure(classifier(module, "yes", classes=["no", "yes"], output="logit")), logits)
    assert torch.equal(measure(classifier(module, "no", classes=["no", "yes"], output="logit")), -logits)
    assert torch.allclose(measure(classifier(module, 1)), logits.sigmoid())
    with pytest.raises(UsageError, match="2 names, because one logit tells two classes apart"):
        measure(classifier(module, classes=["yes"]))


def test_two_classes_and_a_hundred_thousand():
    two = head(2)
    assert torch.allclose(
        measure(classifier(two, "b", classes=["a", "b"])), two.fc(POINTS.flatten(1)).softmax(1)[:, 1:]
    )
    many = head(100_000)
    names = [f"class {index}" for index in range(100_000)]
    found = equidiff.sample(Noise(SMALL), classifier(many, "class 99999", classes=names, output="logit"), "none",
                            query=POINTS[0], samples=2)  # fmt: skip
    assert len(found) == 2
    assert found.info.target.names == ("class 99999",)
    with pytest.raises(UnknownNameError, match="0 to 99999"):
        measure(classifier(many, 100_000, classes=names))


# class names


@pytest.mark.parametrize("make", [lambda net, names: neuron(net, "pool", 3, classes=names),
                                  lambda net, names: layer(net, "head", classes=names)])  # fmt: skip
def test_a_layer_knows_what_the_network_calls_a_sample(fashion, make):
    samples = torch.rand(3, *SHAPE)
    predictor = make(fashion, CLASSES).build(context()).predictor()
    expected = classifier(fashion, classes=CLASSES, output="probability").measure(samples)
    assert torch.allclose(predictor.probabilities(samples), expected)
    assert predictor.names == CLASSES
    assert make(fashion, None).build(context()).predictor() is None
    with pytest.raises(UsageError, match="given: 2 names"):
        measure(make(fashion, ["a", "b"]), samples)


@pytest.mark.parametrize("label", ["<b>[red]", "<B>[RED]", 1])
def test_names_with_markup_are_text(label):
    objective = classifier(head(2), label, classes=["plain", "<b>[red]"])
    found = equidiff.sample(Noise(SMALL), objective, "none", target=0.5, samples=1)
    assert found.info.target.names == ("<b>[red]",)
    page = found._repr_html_()
    assert "<b>[red]" not in page
    assert "&lt;b&gt;[red]" in page


def test_names_that_are_not_unique():
    objective = classifier(head(3), classes=["crane", "kite", "crane"], output="logit")
    assert objective.build(context(SMALL)).names == ("crane (0)", "kite", "crane (2)")
    with pytest.raises(UnknownNameError, match=r"2 classes are named 'crane'") as caught:
        measure(classifier(head(3), "crane", classes=["crane", "kite", "crane"]))
    assert caught.value.expected == "one of 0 (crane (0), crane); 2 (crane (2), crane)"
    assert measure(classifier(head(3), 2, classes=["crane", "kite", "crane"])).shape == (5, 1)


def test_digits_are_names_where_a_class_has_them():
    module = head(3)
    by_name = measure(classifier(module, "2", classes=["2", "7", "5"], output="logit"))
    assert torch.equal(by_name, module.fc(POINTS.flatten(1))[:, :1])
    by_index = measure(classifier(module, 2, classes=["2", "7", "5"], output="logit"))
    assert torch.equal(by_index, module.fc(POINTS.flatten(1))[:, 2:])


@pytest.mark.parametrize(
    ("label", "classes", "error", "message"),
    [
        ("kite", None, UnknownNameError, "names of the 3 classes of Net are not known"),
        ("kyte", ["crane", "kite", "wren"], UnknownNameError, "did you mean: kite"),
        (3, None, UnknownNameError, "0 to 2"),
        (-1, None, UnknownNameError, "0 to 2"),
        (1, ["crane", "kite"], UsageError, "given: 2 names"),
        (1, "kit", UsageError, "not the names of classes"),
        (1, {"a": "crane"}, UsageError, "by its index from 0"),
        (1, ["crane", 5, "wren"], UsageError, "not the names of classes"),
        (1, [], UsageError, "not the names of classes"),
        (True, None, UsageError, "This is not a class"),
        (1.0, None, UsageError, "This is not a class"),
        (np.int64(3), None, UnknownNameError, "0 to 2"),
    ],
)
def test_classes_that_are_not_there(label, classes, error, message):
    with pytest.raises(error, match=message):
        measure(classifier(head(3), label, classes=classes))


# networks that a search cannot use


class Odd(nn.Module):
    """A layer, and a way to spoil it."""

    def __init__(self, spoil):
        super().__init__()
        self.fc, self.spoil = nn.Linear(4, 3), spoil

    def forward(self, samples):
        return self.spoil(self.fc(samples.flatten(1)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (torch.detach, "has no gradient"),
        (lambda logits: F.dropout(logits, 0.9), "another result when it is called again"),
        (lambda logits: logits / 0, "NaN or infinity"),
        (lambda logits: logits.softmax(1), "returns probabilities"),
        (lambda logits: logits @ torch.ones(7, 2), "cannot take these inputs: mat1"),
    ],
)
def test_networks_that_a_search_cannot_use(spoil, message):
    torch.manual_seed(1)
    with pytest.raises(UnsupportedError, match=message):
        measure(classifier(Odd(spoil)))


def test_a_preprocessing_that_a_search_cannot_use():
    with pytest.raises(PluginError, match="lost the gradient"):
        equidiff.sample("toy", classifier(head(3), 1, preprocess=lambda samples: samples.round()), query=3)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("layr4", UnknownNameError, "did you mean: layer4"),
        ("", UnknownNameError, "no layer of Sequential"),
        ("pair", UnsupportedError, "a tuple, not a tensor"),
    ],
)
def test_layers_that_cannot_be_measured(name, error, message):
    class Pair(nn.Module):
        def forward(self, samples):
            return samples, samples

    module = nn.Sequential(OrderedDict(layer4=nn.Flatten(), pair=Pair()))
    with pytest.raises(error, match=message):
        measure(neuron(module, name, 0))
    with pytest.raises(error, match=message):
        measure(layer(module, name))
    with pytest.raises(UnknownNameError, match="0 to 3"):
        measure(neuron(module, "layer4", 4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda net: neuron(net, "fc", 0, positions="avg"), "value of positions cannot be used"),
        (lambda net: neuron(net, "fc", "17"), "not the index of a unit"),
        (lambda net: neuron(net, "fc", True), "not the index of a unit"),
        (lambda net: layer(net, "fc", tokens="last"), "value of tokens cannot be used"),
        (lambda net: classifier(net, output="logits"), "did you mean: logit"),
        (lambda net: classifier(net, 1, output="distribution"), "distribution covers all classes"),
        (lambda net: classifier("resnet50", "zebra"), r"expected: a torch\.nn\.Module"),
        (lambda net: neuron(net, "fc", 0, size=8, preprocess=torch.sin), "size, mean and std in its place"),
    ],
)
def test_arguments_are_checked_at_once(wrong, message):
    with pytest.raises(UsageError, match=message):
        wrong(head(3))


def test_an_option_that_does_not_apply_is_refused_in_the_run():
    with pytest.raises(UsageError, match="fc has no positions: its output is 3 features"):
        measure(neuron(head(3), "fc", 0, positions="max"))


def test_it_needs_a_generator():
    with pytest.raises(UsageError, match="needs a generator"):
        classifier(head(3)).build(BuildContext())


def test_an_index_from_numpy_and_a_module_of_points():
    module = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2))
    objective = neuron(module, "0", np.int64(4))
    found = equidiff.sample("toy:circles", objective, query=1, samples=2)
    assert len(found) == 2
    with pytest.raises(EquiDiffError, match="points"):
        equidiff.sample("toy:circles", objective, query="garment.png", samples=2)
