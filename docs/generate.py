"""Write the reference pages that follow from the code: `python docs/generate.py`.

A test fails if a page on disk differs from what this script would write.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer import Typer
from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from equidiff.cli.app import app
from equidiff.registry.descriptors import KINDS, Descriptor, Options
from equidiff.registry.manager import Plugins
from equidiff.testing import load_plugins

REFERENCE = Path(__file__).parent / "reference"
NOTICE = "<!-- Written by docs/generate.py; change the code, not this page. -->"


def pages() -> dict[Path, str]:
    """Content of each generated page."""
    plugins = load_plugins("equidiff.builtin")
    return {
        REFERENCE / "command-line.md": "\n".join([NOTICE, "", *command_line()]),
        REFERENCE / "components.md": "\n".join([NOTICE, "", *components(plugins)]),
    }


def command_line() -> Iterator[str]:
    """Every command with its options, from the declarations of the command line."""
    yield "# Command line"
    yield ""
    yield "`equidiff --help` and `equidiff COMMAND --help` print the same text. Results go to stdout; progress, tables"
    yield "and errors go to stderr. *The thesis* is [Sadlej (2025)](../index.md#citation)."
    yield ""
    yield from command("equidiff", "equidiff [OPTIONS] COMMAND", app.registered_callback.callback)
    for words, each in commands(app):
        name = f"equidiff {words}"
        arguments = [word for word, info in parameters(each.callback) if isinstance(info, ArgumentInfo)]
        yield from command(name, " ".join([name, "[OPTIONS]", *arguments]), each.callback)
        if each.epilog:
            yield "Examples:"
            yield ""
            yield from (f"    {line}" for line in each.epilog.split("\n\n")[1:])
            yield ""


def commands(group: Typer, before: str = "") -> Iterator[tuple[str, CommandInfo]]:
    """Words of each command, and its declaration; those of groups after the others."""
    for each in group.registered_commands:
        yield f"{before}{each.name or each.callback.__name__}", each
    for inner in group.registered_groups:
        yield from commands(inner.typer_instance, f"{before}{inner.name} ")


def command(name: str, usage: str, callback: Callable[..., Any]) -> Iterator[str]:
    """One command's section."""
    yield f"## `{name}`"
    yield ""
    yield inspect.getdoc(callback) or ""
    yield ""
    yield f"    {usage}"
    yield ""
    yield "| argument or option | meaning |"
    yield "|---|---|"
    for word, info in parameters(callback):
        yield f"| {code(word)} | {cell(info.help or '')} |"
    yield ""


def parameters(callback: Callable[..., Any]) -> Iterator[tuple[str, ArgumentInfo | OptionInfo]]:
    """Spelling of each parameter of a command, and its declaration."""
    for name, hint in get_type_hints(callback, include_extras=True).items():
        info = next((each for each in get_args(hint) if isinstance(each, ArgumentInfo | OptionInfo)), None)
        if info is None or info.hidden:
            continue
        optional = inspect.signature(callback).parameters[name].default is not inspect.Parameter.empty
        if isinstance(info, ArgumentInfo):
            word = (info.metavar or name).upper().strip("[]")
            yield f"[{word}]" if optional else word, info
            continue
        flag = get_args(hint)[0] is bool
        # inside Annotated, what typer calls the default is the first spelling
        words = [each for each in (info.default, *(info.param_decls or ())) if isinstance(each, str)]
        kind = "" if flag else f" {info.metavar or type_name(get_args(hint)[0])}"
        yield ", ".join(sorted(words or [f"--{name.replace('_', '-')}"], key=len, reverse=True)) + kind, info


def type_name(hint: Any) -> str:
    """Placeholder for the value of an option."""
    first = next((each for each in get_args(hint) if each is not type(None)), hint)
    return {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}.get(first, "VALUE")


def components(plugins: Plugins) -> Iterator[str]:
    """Every built-in component, from its descriptor."""
    yield "# Components"
    yield ""
    yield "The components that ship with EquiDiff. `equidiff plugins` also lists the components of other installed"
    yield "plugins; `equidiff show KIND NAME` prints the section of one component. *The thesis* is"
    yield "[Sadlej (2025)](../index.md#citation)."
    yield ""
    for kind in KINDS:
        yield f"## {kind.capitalize()}s"
        yield ""
        for offer in plugins.offers(kind):
            yield from component(offer.descriptor)


def component(descriptor: Descriptor) -> Iterator[str]:
    """One component's section."""
    yield f"### `{descriptor.name}`"
    yield ""
    yield descriptor.summary
    yield ""
    if descriptor.argument:
        yield f"`{descriptor.name}:ARGUMENT`: {descriptor.argument}."
        yield ""
    yield from options_table(descriptor.options)
    if descriptor.examples:
        yield "Examples: " + ", ".join(f"`{example}`" for example in descriptor.examples)
        yield ""
    for reference in descriptor.references:
        yield f"- {reference.authors.replace(' and ', '; ')} ({reference.year}). [{reference.title}]({reference.url})"
    if descriptor.references:
        yield ""


def options_table(options: type[Options]) -> Iterator[str]:
    """Table of the options and their allowed values."""
    properties = options.model_json_schema().get("properties", {})
    if not properties:
        return
    yield "| option | values | default | meaning |"
    yield "|---|---|---|---|"
    for name, schema in properties.items():
        default = schema.get("default")
        shown = "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        yield f"| `{name}` | {allowed(schema)} | {shown} | {cell(schema.get('description', ''))} |"
    yield ""


def allowed(schema: dict[str, Any]) -> str:
    """The values that a JSON schema allows, in words."""
    variants = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return " or ".join(_variant(each) for each in variants)


def _variant(schema: dict[str, Any]) -> str:
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    words = {"number": "number", "integer": "whole number", "boolean": "`true`, `false`", "string": "text"}
    bounds = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    limits = [f"{word} {schema[key]:g}" for key, word in bounds.items() if key in schema]
    return " ".join([words[schema["type"]], ", ".join(limits)]).strip()


def code(text: str) -> str:
    """Code in a table: between backticks, renderers disagree about a bar, so it is written as an entity."""
    return f"<code>{escape(text).replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def cell(text: str) -> str:
    """Text that does not break a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for path, content in pages().items():
        path.write_text(content, encoding="utf-8")
        print(f"wrote {path}")
