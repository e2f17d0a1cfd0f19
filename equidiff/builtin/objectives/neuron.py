"""One unit of any layer of a network."""

from __future__ import annotations

import re
from itertools import product
from typing import final

import torch
from torch import Tensor, nn

from equidiff.builtin.objectives.descriptors import NeuronOptions
from equidiff.contracts import BuildContext, Objective, Predictor
from equidiff.errors import UnknownNameError, UsageError
from equidiff.networks import Units, load_network, predictor_of
from equidiff.types import Measurements, Samples

# conv1:17, conv1/17, conv1[17], conv1#17, 17.conv1
OTHER_WAYS = re.compile(r"(?P<layer>[\w.]+?)\.?[:/#\[](?P<index>\d+)\]?|(?P<first>\d+)[.:/#](?P<last>[A-Za-z_][\w.]*)")
MOST_DIGITS = 18  # of an index
EXPECTED = "LAYER.INDEX such as block3.17, or INDEX alone for the layer before the classifier's head"


def build(argument: str | None, options: NeuronOptions, context: BuildContext) -> Neuron:
    """Build `neuron:LAYER.INDEX`, and run the layer once on a grey sample.

    Raises:
        UsageError: the argument is not LAYER.INDEX, or an option does not apply to the layer.
        UnknownNameError: there is no such layer or unit.
        UnsupportedError: the layer's output is not a single tensor of numbers.
    """
    layer, index = parse_unit(argument)
    network = load_network(options.model, context=context, **options.settings())
    given = {name: getattr(options, name) for name in ("positions", "tokens") if name in options.model_fields_set}
    units = Units.at(network, layer, **given)
    check_index(units, index)
    return Neuron(units, index)


def check_index(units: Units, index: int) -> None:
    """Refuse the index of a unit that a layer does not have.

    Raises:
        UnknownNameError: the layer does not have it.
    """
    if not 0 <= index < units.count:
        raise UnknownNameError(
            f"{units.tap.name} has no unit {index}.", given=index, expected=f"an index from 0 to {units.count - 1}"
        )


@final
class Neuron(Objective):
    """A feature, or a channel of a feature map or token sequence, as an activation.

    Args:
        units: the units of the layer.
        index: index of the unit.
    """

    unit = "activation"

    def __init__(self, units: Units, index: int) -> None:
        self._units = units
        self._index = index
        self.resizes = units.tap.network.resizes
        self.names = name_unit(units, index)

    def measure(self, samples: Samples) -> Measurements:
        return self._units.read_one(self._units.tap.network.prepare(samples), self._index)

    def networks(self) -> list[nn.Module]:
        return [self._units.tap.network.module]

    def predictor(self) -> Predictor | None:
        return predictor_of(self._units.tap.network)

    def others(self, samples: Samples) -> tuple[tuple[str, ...], Tensor] | None:
        units = self._units
        if len(self.names) > 1:  # with all its positions, a unit is no single number
            return None
        values = units.read_every(units.tap.network.prepare(samples))
        names = tuple(f"{units.tap.name}.{index}" for index in range(units.count) if index != self._index)
        return names, torch.cat([values[:, : self._index], values[:, self._index + 1 :]], dim=1)


def parse_unit(argument: str | None) -> tuple[str | None, int]:
    """The layer and the index that `LAYER.INDEX` names.

    Raises:
        UsageError: it names none.
    """
    layer, dot, index = (argument or "").rpartition(".")
    if not index.isdecimal() or len(index) > MOST_DIGITS or (dot and not layer):
        raise UsageError(
            "neuron needs a layer and the index of one of its units.",
            given=argument,
            expected=EXPECTED,
            hint=f"neuron:{_likely(argument)}",
        )
    return layer or None, int(index)


def _likely(argument: str | None) -> str:
    """The argument that is probably meant, from other ways to write a layer and an index."""
    found = OTHER_WAYS.fullmatch(argument or "")
    if found:
        return f"{found['layer'] or found['last']}.{found['index'] or found['first']}"
    return f"{argument.strip('.')}.0" if argument and argument.strip(".") else "17"


def name_unit(units: Units, index: int) -> tuple[str, ...]:
    """Names of a unit's outputs: its own, or one for each position that is kept."""
    name = f"{units.tap.name}.{index}"
    if units.reduction != "all" or not units.position_shape:
        return (name,)
    places = product(*map(range, units.position_shape))
    return tuple(f"{name}[{','.join(map(str, place))}]" for place in places)
