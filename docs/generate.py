"""Write the reference pages that follow from the code: `python docs/generate.py`.

A test fails if a page on disk differs from what this script would write.
"""

from __future__ import annotations

import inspect
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from importlib import import_module
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args, get_type_hints

from typer import Typer
from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from equidiff.cli.app import app
from equidiff.cli.new_plugin import Draft, check_name
from equidiff.registry.descriptors import KINDS, Descriptor, Options
from equidiff.registry.manager import Plugins
from equidiff.testing import load_plugins

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
SNIPPETS = DOCS / "snippets"
FILL = runpy.run_path(str(DOCS / "filling.py"))["fill"]
# distributions that the tutorials have `equidiff new plugin` write
TUTORIALS = {
    "generator": "equidiff-textures",
    "objective": "equidiff-contrast",
    "regularizer": "equidiff-mirror",
    "solver": "equidiff-gauss-newton",
    "law": "equidiff-within",
    "attribution": "equidiff-smooth-gradient",
    "executor": "equidiff-pool",
}
if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it
    import tomli as tomllib

LABELS = {"called", "returned", "contract", "write", "at", "given", "expected", "did you mean", "try"}
NOTICE = "<!-- Written by docs/generate.py; change the code, not this page. -->"


def pages() -> dict[Path, Callable[[], str]]:
    """The function that writes each generated page."""
    return {
        REFERENCE / "command-line.md": lambda: page(command_line()),
        REFERENCE / "components.md": lambda: page(components(load_plugins("equidiff.builtin"))),
        REFERENCE / "plugins.md": lambda: page(directory()),
        REFERENCE / "plugin-mistakes.md": lambda: page(plugin_mistakes()),
        **{SNIPPETS / f"{kind}.py": partial(new_component, kind) for kind in TUTORIALS},
    }


def page(lines: Iterator[str]) -> str:
    """A page with the notice that it is generated."""
    return "\n".join([NOTICE, "", *lines])


def new_component(kind: str) -> str:
    """The file with the component that `equidiff new plugin` writes in the tutorial of its kind."""
    names = check_name(TUTORIALS[kind], kind, load_plugins("equidiff.builtin"))
    return Draft(names, kind).files[f"src/{names.module}/{kind}.py"]


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


def directory() -> Iterator[str]:
    """Plugins of this repository, from their pyproject.toml and their descriptors, and those of others."""
    yield "# Plugins"
    yield ""
    yield "A plugin is a distribution that adds [components](components.md). `equidiff plugins` lists those that are"
    yield "installed."
    yield ""
    yield "## In this repository"
    yield ""
    yield "| plugin | adds | about |"
    yield "|---|---|---|"
    for project, folder in own_plugins():
        page = guide(folder)
        name = f"[`{project['name']}`]({page})" if page else f"`{project['name']}`"
        (module,) = project["entry-points"]["equidiff"].values()
        offers = load_plugins(module).plugins[0].offers
        adds = "; ".join(f"{offer.kind} `{offer.descriptor.name}`" for offer in offers)
        yield f"| {name} | {adds} | {cell(project['description'])} |"
    yield ""
    yield "Install any of them from the folder that holds the source:"
    yield ""
    yield from (f"    pip install ./plugins/{folder.name}" for _, folder in own_plugins())
    yield ""
    yield from by_others()


def own_plugins() -> list[tuple[dict[str, Any], Path]]:
    """The `[project]` table of each plugin of this repository, and its folder."""
    files = sorted(DOCS.parent.glob("plugins/*/pyproject.toml"))
    return [(tomllib.loads(file.read_text(encoding="utf-8"))["project"], file.parent) for file in files]


def guide(folder: Path) -> str | None:
    """The page that says how to use a plugin: the first one that installs it, relative to the reference."""
    line = re.compile(rf"^    pip install .*\./plugins/{folder.name}\b", re.MULTILINE)
    pages = sorted([*DOCS.glob("how-to/*.md"), *DOCS.glob("tutorials/*.md")])
    found = [page for page in pages if page.stem != "install" and line.search(page.read_text(encoding="utf-8"))]
    return f"../{found[0].relative_to(DOCS)}" if found else None


def by_others() -> Iterator[str]:
    """Plugins that others asked to have listed."""
    listed = tomllib.loads((DOCS / "plugins.toml").read_text(encoding="utf-8")).get("plugin", [])
    yield "## By others"
    yield ""
    if listed:
        yield "| plugin | adds | about | license |"
        yield "|---|---|---|---|"
    for each in listed:
        yield f"| [`{each['name']}`]({each['url']}) | {each['adds']} | {cell(each['about'])} | {each['license']} |"
    if not listed:
        yield "None is listed yet."
    yield ""
    yield "## Get yours listed"
    yield ""
    yield "[`equidiff new plugin`](../tutorials/writing-a-plugin.md) writes a plugin to begin with. To have it listed:"
    yield ""
    yield "1. Publish it on PyPI, with a license and a README that has a command to try."
    yield "2. Have its tests call `check_plugin` and the check of each component, from [the test kit](testing.md)."
    yield "3. Add it to `docs/plugins.toml` of EquiDiff's source, and send the change."
    yield ""
    yield "All plugins share the names of components: two that offer one name of the same kind cannot be used together."
    yield "`equidiff show KIND` lists the names that are taken."
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


def plugin_mistakes() -> Iterator[str]:
    """Every mistake of the tests, with the message that it leads to."""
    sys.path.append(str(ROOT / "tests"))
    made, table = import_module("made_mistakes"), import_module("mistakes")
    yield "# Mistakes in a plugin"
    yield ""
    yield "The ways in which a plugin can be wrong, and the message that each leads to. The tests make each mistake in"
    yield "a plugin that is sound otherwise, `my_plugin.py`, and this page shows what they are told."
    yield ""
    yield "A run calls each component of a plugin, or made in Python, with two rows before it begins, which finds most"
    yield "of them. The last ones need [`equidiff check`](command-line.md#equidiff-check)."
    yield ""
    mistakes = sorted(table.MISTAKES, key=lambda each: table.PARTS.index(each.part))
    for part, some in groupby(mistakes, attrgetter("part")):
        yield f"## {part}"
        yield ""
        yield "| mistake | message |"
        yield "|---|---|"
        for mistake in some:
            with TemporaryDirectory() as folder:
                message = made.message(mistake, Path(folder))
            yield f"| {cell(mistake.title)} | {'<br>'.join(map(labelled, message.splitlines()))} |"
        yield ""


def labelled(line: str) -> str:
    """A line of a message, its label in italics and the rest as code."""
    label, colon, text = line.partition(": ")
    if colon and label in LABELS:
        return f"*{label}* {code(text)}"
    return cell(line).replace("`", "\\`").replace("__", "\\_\\_")


if __name__ == "__main__":
    for path, write in pages().items():
        path.write_text(write(), encoding="utf-8")
        print(f"wrote {path}")
    for path in sorted(DOCS.rglob("*.md")):
        written = path.read_text(encoding="utf-8")
        filled = FILL(written)
        if filled != written:
            path.write_text(filled, encoding="utf-8")
            print(f"filled {path}")
