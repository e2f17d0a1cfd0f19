"""Arguments of objectives, all those of a sweep at once: the layers, units and classes that a network does not have.

A network without its weights has its layers. Only a checkpoint is loaded, which may change the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

from equidiff.builtin.objectives.classifier import count_classes, count_logits
from equidiff.builtin.objectives.descriptors import ClassifierOptions, NetworkOptions, NeuronOptions
from equidiff.builtin.objectives.neuron import check_index, parse_unit
from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError
from equidiff.networks import Network, Units, find_class, load_network

Bad = Iterator[tuple[str | None, EquiDiffError]]


def check_neuron(arguments: Sequence[str | None], options: NeuronOptions, context: BuildContext) -> Bad:
    """Yield each argument of `neuron` that names no unit, with the error."""
    network = _load(options, context)
    find_layer = cache(lambda layer: _units(network, layer, options))

    def check(argument: str | None) -> None:
        layer, index = parse_unit(argument)
        check_index(find_layer(layer), index)

    return _failures(check, arguments)


def check_layer(arguments: Sequence[str | None], options: NeuronOptions, context: BuildContext) -> Bad:
    """Yield each argument of `layer` that names no layer, with the error."""
    network = _load(options, context)
    return _failures(lambda argument: _units(network, argument, options), arguments)


def check_classifier(arguments: Sequence[str | None], options: ClassifierOptions, context: BuildContext) -> Bad:
    """Yield each argument of `classifier` that names no class, with the error."""
    network = _load(options, context)
    classes = count_classes(count_logits(network))
    named = [argument for argument in arguments if argument is not None]
    return _failures(lambda argument: find_class(network, str(argument), classes), named)


def _failures(check: Callable[[str | None], object], arguments: Sequence[str | None]) -> Bad:
    return ((argument, error) for argument in arguments if (error := _error_of(check, argument)) is not None)


def _error_of(check: Callable[[str | None], object], argument: str | None) -> EquiDiffError | None:
    try:
        check(argument)
    except EquiDiffError as error:
        return error
    return None


def _load(options: NetworkOptions, context: BuildContext) -> Network:
    whole = options.checkpoint is not None
    return load_network(options.model, context=context, **options.settings(), weights=whole)


def _units(network: Network, layer: str | None, options: NeuronOptions) -> Units:
    given = {name: getattr(options, name) for name in ("positions", "tokens") if name in options.model_fields_set}
    return Units.at(network, layer, **given)
