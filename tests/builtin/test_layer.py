"""The objective `layer`."""

import pytest
import torch

from equidiff.builtin.objectives.descriptors import NeuronOptions
from equidiff.builtin.objectives.layer import build
from equidiff.builtin.objectives.neuron import build as build_neuron
from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UsageError


def make(argument, **options):
    return build(argument, NeuronOptions(model="fashion", **options), BuildContext())


@pytest.mark.parametrize(
    ("name", "units", "options"),
    [
        *(("block2", 64, {"positions": positions}) for positions in ("mean", "max", "all")),
        ("pool", 128, {}), ("head", 10, {}),
    ],
)  # fmt: skip
def test_it_is_every_neuron_of_the_layer(name, units, options):
    objective, samples = make(name, **options), torch.rand(3, 1, 28, 28)
    neurons = [
        build_neuron(f"{name}.{index}", NeuronOptions(model="fashion", **options), BuildContext())
        for index in range(units)
    ]
    assert objective.names == tuple(each for neuron in neurons for each in neuron.names)
    assert torch.allclose(objective.measure(samples), torch.cat([each.measure(samples) for each in neurons], 1))


def test_it_needs_a_layer_that_is_there():
    with pytest.raises(UsageError, match="layer:block3"):
        make(None)
    with pytest.raises(UnknownNameError, match="block3"):
        make("blok3")
    with pytest.raises(UsageError, match="pool has no positions"):
        make("pool", positions="max")
