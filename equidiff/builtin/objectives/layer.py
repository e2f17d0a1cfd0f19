"""All units of a layer of a network at once."""

from __future__ import annotations

from typing import final

from torch import nn

from equidiff.builtin.objectives.descriptors import NeuronOptions
from equidiff.builtin.objectives.neuron import name_unit
from equidiff.contracts import BuildContext, Objective, Predictor
from equidiff.errors import UsageError
from equidiff.networks import Units, load_network, predictor_of
from equidiff.types import Measurements, Samples


def build(argument: str | None, options: NeuronOptions, context: BuildContext) -> Layer:
    """Build `layer:LAYER`, and run the layer once on a grey sample.

    Raises:
        UsageError: no layer is named, or an option does not apply to it.
        UnknownNameError: there is no such layer.
        UnsupportedError: the layer's output is not a single tensor of numbers.
    """
    if not argument:
        raise UsageError("layer needs the name of a layer.", expected="a dotted name", hint="layer:block3")
    network = load_network(options.model, context=context, **options.settings())
    given = {name: getattr(options, name) for name in ("positions", "tokens") if name in options.model_fields_set}
    return Layer(Units.at(network, argument, **given))


@final
class Layer(Objective):
    """All features of a layer, or all channels of its feature map or token sequence, as activations.

    Args:
        units: the units of the layer.
    """

    unit = "activation"

    def __init__(self, units: Units) -> None:
        self._units = units
        self.resizes = units.tap.network.resizes
        self.names = tuple(name for index in range(units.count) for name in name_unit(units, index))

    def measure(self, samples: Samples) -> Measurements:
        return self._units.read_all(self._units.tap.network.prepare(samples))

    def networks(self) -> list[nn.Module]:
        return [self._units.tap.network.module]

    def predictor(self) -> Predictor | None:
        return predictor_of(self._units.tap.network)
