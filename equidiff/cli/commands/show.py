"""The `equidiff show` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equidiff.cli.completion import complete_component, complete_kinds
from equidiff.cli.console import Terminal
from equidiff.cli.options import Json, Plain, PluginFiles, Traceback
from equidiff.errors import UsageError
from equidiff.folders.text import to_json

if TYPE_CHECKING:
    from equidiff.networks import Network
    from equidiff.registry.manager import Offer

BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def show(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="generator, objective, regularizer, solver, law, attribution or executor.",
            autocompletion=complete_kinds,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One component of that kind (default: list them all).",
            autocompletion=complete_component,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME[,KEY=VALUE...]", help="With `objective neuron`: list the layers of this network."),
    ] = None,
    as_json: Json = False,
    plugin: PluginFiles = None,
    plain: Plain = False,
    traceback: Traceback = False,
) -> None:
    """Describe a component, its options and its references, or list all components of a kind."""
    terminal: Terminal = context.obj.terminal
    found = context.obj.plugins(plugin)
    if model is not None:
        if (kind, name) != ("objective", "neuron"):
            raise UsageError(
                "--model lists the layers of a network, so it goes with the objective 'neuron' only.",
                given=f"show {kind} {name or ''}",
                expected=f"equidiff show objective neuron --model {model}",
            )
        _show_layers(terminal, model, as_json)
    elif name is None:
        _show_kind(terminal, found.offers(kind), as_json)
    else:
        offer = found.find(kind, name)
        _show_one(terminal, offer, found.listing(offer), as_json)


def _show_kind(terminal: Terminal, offers: list[Offer], as_json: bool) -> None:
    if as_json:
        terminal.json(_dump([_as_dict(offer) for offer in offers]))
        return
    rows = [(offer.descriptor.name, offer.plugin, offer.descriptor.summary) for offer in offers]
    terminal.table(("name", "plugin", "summary"), rows)


def _show_one(
    terminal: Terminal, offer: Offer, listing: tuple[Sequence[str], list[Sequence[object]]] | None, as_json: bool
) -> None:
    about = _as_dict(offer)
    if as_json:
        if listing:
            about["listing"] = [dict(zip(listing[0], row, strict=True)) for row in listing[1]]
        terminal.json(_dump(about))
        return
    terminal.prose(f"{about['name']}: {about['summary']}\n")
    rows = [("kind", about["kind"]), ("plugin", f"{about['plugin']} ({about['distribution']})")]
    rows += [(name, about[name]) for name in ("argument",) if about[name]]
    rows += [(name, "\n".join(about[name])) for name in ("needs", "examples") if about[name]]
    terminal.facts(rows, result=True)
    if about["options"]:
        terminal.result("")
        columns = ("option", "type", "default", "description")
        terminal.table(
            columns, [[option.get(column, "") for column in ("name", *columns[1:])] for option in about["options"]]
        )
    if listing:
        terminal.result("")
        terminal.table(*listing)
    for reference in about["references"]:
        terminal.prose(f"\n{reference['authors']} ({reference['year']}): {reference['title']}\n{reference['url']}")


def _show_layers(terminal: Terminal, model: str, as_json: bool) -> None:
    with terminal.status("loading"):
        from equidiff.networks import describe_layers

        layers = describe_layers(_bare_network(model))
    if as_json:
        terminal.json(_dump([{**layer._asdict(), "shape": layer.shape and list(layer.shape)} for layer in layers]))
        return
    # an Identity repeats the output of the layer before it, which is listed already
    rows = [(layer.name, layer.type, _shape(layer.shape)) for layer in layers if layer.type != "Identity"]
    terminal.table(("layer", "type", "output for one sample"), rows)
    if rows:
        terminal.note(f"Spec of one unit: neuron:LAYER.INDEX,model={model}, e.g. neuron:{rows[-1][0]}.0,model={model}")
    else:
        terminal.note(f"The network has no layers with names. Its outputs: classifier,model={model}")


def _bare_network(model: str) -> Network:
    """Build a network without its weights, which may be large or unreachable, and which its layers do not depend on."""
    from equidiff.contracts import BuildContext
    from equidiff.networks import load_network
    from equidiff.rank.specs import ModelOptions, parse_named

    name, _, options = parse_named("model", model, ModelOptions)
    return load_network(name, context=BuildContext(), **options.settings(), weights=False)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "several tensors, or none" if shape is None else " x ".join(map(str, shape))


def _as_dict(offer: Offer) -> dict[str, Any]:
    described = offer.descriptor
    schema = described.options.model_json_schema()
    return {
        "kind": offer.kind,
        "name": described.name,
        "plugin": offer.plugin,
        "distribution": offer.distribution,
        "summary": described.summary,
        "argument": described.argument,
        "options": [_option(name, field) for name, field in schema.get("properties", {}).items()],
        "references": [vars(reference) for reference in described.references],
        "needs": list(described.needs),
        "examples": list(described.examples),
    }


def _option(name: str, field: dict[str, Any]) -> dict[str, Any]:
    about = {"name": name, "type": type_of(field), "description": field.get("description", "")}
    default = field.get("default")
    return about if default is None else {**about, "default": default}


def type_of(field: dict[str, Any]) -> str:
    """An option's type in words, from its JSON schema."""
    if "anyOf" in field:
        return " | ".join(type_of(part) for part in field["anyOf"] if part.get("type") != "null")
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    bounds = [f"{sign} {field[key]}" for key, sign in BOUNDS.items() if key in field]
    return " ".join([str(field.get("const", field.get("type", "text"))), *bounds])


def _dump(value: object) -> str:
    return to_json(value, indent=2)
