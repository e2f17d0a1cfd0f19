"""Specs of the network and the layer of a scan, and of the objectives for its units."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar, cast

from pydantic import Field

from equidiff.builtin.objectives.descriptors import RUN_AS_CODE, NetworkOptions
from equidiff.contracts import BuildContext
from equidiff.errors import RunFolderError, SpecError, UsageError
from equidiff.folders.text import shell_word
from equidiff.networks import Units, load_network
from equidiff.registry.descriptors import Descriptor, Options
from equidiff.registry.options import read_options
from equidiff.registry.specs import Spec

AnyOptions = TypeVar("AnyOptions", bound=Options)


class ModelOptions(NetworkOptions):
    """Options of `--model`, which names the network itself."""

    model: None = Field(None, exclude=True)


class LayerOptions(Options):
    """Options of `--layer`: those of `neuron` that reduce a unit to one number."""

    positions: Literal["mean", "max"] | None = Field(None, description="a channel of a feature map: mean or maximum")
    tokens: Literal["mean", "max", "cls"] | None = Field(
        None, description="a channel of a token sequence: mean, maximum, or the first token"
    )


def find_units(model: str, layer: str | None, context: BuildContext) -> tuple[Units, list[str]]:
    """Find the units of a layer, and the spec of the objective for each.

    Args:
        model: a network with its options, e.g. "mobilenetv2_100,checkpoint=weights.safetensors".
        layer: a layer with its options; the input of the final layer when absent.
        context: decides the device, and records the weights.

    Raises:
        SpecError: one of them cannot be parsed.
        EquiDiffError: the network or the layer cannot be loaded; see `load_network` and `Units.at`.
    """
    name, given, network_options = parse_named("model", model, ModelOptions)
    network = load_network(name, context=context, **network_options.settings())
    if layer is None:
        place, layer_given, layer_options = None, dict[str, str](), LayerOptions()
    else:
        place, layer_given, layer_options = parse_named("layer", layer, LayerOptions)
    units = Units.at(network, place, **layer_options.model_dump())
    given = {**layer_given, "model": name, **given}
    prefix = "" if place is None else f"{place}."
    return units, [str(Spec("neuron", f"{prefix}{index}", given)) for index in range(units.count)]


def check_model(recorded: str, model: str | None, path: Path) -> None:
    """Refuse a network that is a program, and that only the folder of a ranking names: it may be somebody else's.

    Args:
        recorded: the network in `rank.json`.
        model: the network as named again by the user, if it was.
        path: of the ranking, for the errors.

    Raises:
        UsageError: another network was named.
        RunFolderError: the network must be named again.
    """
    command = f"equidiff rank --resume {shell_word(path)}"
    if model not in {None, recorded}:
        raise UsageError(
            "A resumed scan keeps its network.", given=model, expected=f"{recorded}, or no --model", hint=command
        )
    name, _, _ = parse_named("model", recorded, ModelOptions)
    if model is None and name.startswith(RUN_AS_CODE):
        raise RunFolderError(
            "The network of this ranking is a program of its own, and would be executed.",
            given=recorded,
            expected="the same network, named again, if you trust it",
            hint=f"{command} --model {shell_word(recorded)}",
        )


def parse_named(what: str, text: str, options: type[AnyOptions]) -> tuple[str, dict[str, str], AnyOptions]:
    """Parse `NAME[,key=value...]`, which is a spec without the name of a component.

    Args:
        what: the command line option, for errors.
        text: the value of the option.
        options: model of the options.

    Returns:
        The name, the options as typed, and as checked.

    Raises:
        SpecError: it cannot be parsed.
    """
    try:
        spec = Spec.parse(f"{what}:{text}")
        checked = read_options(Descriptor(what, "", "", options=options), spec)
        return str(spec.argument), dict(spec.options), cast("AnyOptions", checked)
    except SpecError as error:
        raise SpecError(
            error.problem,
            given=f"--{what} {text}",
            expected=error.expected,
            similar=error.similar,
            hint=error.hint and f"--{what} {error.hint.removeprefix(f'{what}:')}",
        ) from None
