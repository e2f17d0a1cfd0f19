"""Shell completion of specs and run folders. It imports nothing heavy: a shell waits for it at each TAB."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from equidiff.folders.text import printable

if TYPE_CHECKING:
    from equidiff.registry.descriptors import Descriptor

Words = list[tuple[str, str]]  # texts, and a short help for each
COMPLETE = "_EQUIDIFF_COMPLETE"  # set by the shell's script, which typer writes
# Layers of the networks that ship, with their units; those of others would need torch. A test compares them.
LAYERS = {
    "fashion": {"block1": 32, "block2": 64, "block3": 128, "pool": 128, "head": 10},
    "circles": {"layer1": 32, "act1": 32, "layer2": 32, "act2": 32, "layer3": 1},
}
MOST_RUNS = 20
LONGEST_HELP = 64  # characters: typer would wrap a longer one, and shells take each line for a completion


def complete_kind(kind: str) -> Callable[[typer.Context, str], Words]:
    """A completer of specs of one kind."""

    def complete(ctx: typer.Context, incomplete: str) -> Words:
        return _complete_spec(kind, incomplete, _network(ctx))

    return complete


def complete_methods(incomplete: str) -> Words:
    """Complete the last of several attribution methods, each with its options."""
    done, _, last = incomplete.rpartition(",")
    names = [descriptor for descriptor in _descriptors("attribution") if descriptor.name.startswith(last)]
    start = f"{done}," if done else ""
    words = [(start + descriptor.name, _shorten(descriptor.summary)) for descriptor in names]
    # an option belongs to the method before it
    method = next((part for part in reversed(done.split(",")) if part and "=" not in part), "")
    options = _complete_option(_find("attribution", method), last, set()) if method else []
    return [*words, *((start + word, text) for word, text in options)]


def complete_component(ctx: typer.Context, incomplete: str) -> Words:
    """Complete a kind of component, or the name of one of the kind that was typed before it."""
    kind = ctx.params.get("kind")
    return [(each.name, _shorten(each.summary)) for each in _descriptors(str(kind)) if each.name.startswith(incomplete)]


def complete_kinds(incomplete: str) -> list[str]:
    """Complete a kind of component."""
    from equidiff.registry.descriptors import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


def complete_run(incomplete: str) -> Words:
    """Complete a run folder: those in `runs`, here, and in the folder that was typed so far; the newest first."""
    typed = Path(incomplete)
    folders = {Path(), Path("runs"), typed if incomplete.endswith("/") else typed.parent}
    found = {file.parent: file.stat().st_mtime for folder in folders for file in folder.glob("*/run.json")}
    newest = sorted(found, key=lambda path: found[path], reverse=True)
    hits = [path for path in newest if str(path).startswith(incomplete) and printable(str(path)) == str(path)]
    return [(str(path), _describe_run(path)) for path in hits[:MOST_RUNS]]


def _shorten(text: str) -> str:
    return textwrap.shorten(printable(text), LONGEST_HELP, placeholder=" ...")


def _describe_run(path: Path) -> str:
    from equidiff.errors import EquiDiffError
    from equidiff.run.info import read_info

    try:
        info = read_info(path)
    except EquiDiffError:
        return ""
    return _shorten(f"{info.specs.generator}, {info.specs.objective}, {info.status}")


def _complete_spec(kind: str, incomplete: str, network: str | None) -> Words:
    head, comma, last = incomplete.rpartition(",")
    if comma:
        name = re.split("[:,]", head, maxsplit=1)[0]
        used = set(re.findall(r",(\w+)=", head))
        return [(f"{head},{word}", text) for word, text in _complete_option(_find(kind, name), last, used)]
    if ":" not in incomplete:
        return [(each.name, _shorten(each.summary)) for each in _descriptors(kind) if each.name.startswith(incomplete)]
    name = incomplete.partition(":")[0]
    descriptor = _find(kind, name)
    words = [(each, "example") for each in (descriptor.examples if descriptor else ())]
    if name == "neuron" and network is not None:
        words += _units(LAYERS[network], incomplete)
    return [(word, text) for word, text in words if word.startswith(incomplete)]


def _units(layers: dict[str, int], incomplete: str) -> Words:
    """The layers that fit, as far as the dot before the unit; the units where there is one such layer."""
    named = {f"neuron:{layer}.": count for layer, count in layers.items()}
    fitting = [start for start in named if start.startswith(incomplete) or incomplete.startswith(start)]
    if len(fitting) == 1:
        return [(f"{fitting[0]}{unit}", "") for unit in range(named[fitting[0]])]
    return [(start, f"one of {named[start]}") for start in fitting]


def _complete_option(descriptor: Descriptor | None, incomplete: str, used: set[str]) -> Words:
    """Complete KEY= or KEY=VALUE of a component."""
    if descriptor is None:
        return []
    fields = descriptor.options.model_json_schema().get("properties", {})
    key, equals, _ = incomplete.partition("=")
    if equals:
        values = [f"{key}={value}" for value in _values(fields.get(key, {}))]
        return [(value, "") for value in values if value.startswith(incomplete)]
    names = [name for name in fields if name not in used and name.startswith(key)]
    if len(names) == 1 and (values := _values(fields[names[0]])):
        return [(f"{names[0]}={value}", "") for value in values]
    return [(f"{name}=", _shorten(fields[name].get("description", ""))) for name in names]


def _values(field: dict[str, Any]) -> list[str]:
    """The values that a JSON schema lists, and the beginnings that it gives as examples."""
    variants = field.get("anyOf", [field])
    named = [value for each in variants for value in each.get("enum", [each["const"]] if "const" in each else [])]
    named += ["true", "false"] if any(each.get("type") == "boolean" for each in variants) else []
    return [str(value) for value in [*named, *field.get("examples", [])]]


def _descriptors(kind: str) -> list[Descriptor]:
    from equidiff.registry.descriptors import KINDS
    from equidiff.registry.manager import Plugins

    return [offer.descriptor for offer in Plugins().offers(kind)] if kind in KINDS else []


def _find(kind: str, name: str) -> Descriptor | None:
    return next((each for each in _descriptors(kind) if each.name == name), None)


def _network(context: typer.Context) -> str | None:
    """The network that objectives measure by default, where its layers are known without loading it."""
    generator = context.params.get("generator") or "toy"
    if generator == "toy" or generator.startswith("toy:fashion"):
        return "fashion"
    return "circles" if generator.startswith("toy:circles") else None


@contextmanager
def whole_words() -> Iterator[None]:
    """Let bash complete words with colons and equals signs, at which it splits them.

    The words are put together again before they are completed, and of each completion only the part behind the last
    split is printed, which is what bash replaces. Does nothing unless bash asks for completions.
    """
    if os.environ.get(COMPLETE) != "complete_bash":
        yield
        return
    words = os.environ["COMP_WORDS"].split("\n")
    joined, cursor = join_words(words, int(os.environ["COMP_CWORD"]))
    current = joined[cursor] if cursor < len(joined) else ""
    before = os.environ["COMP_WORDS"], os.environ["COMP_CWORD"]
    os.environ |= {"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(cursor)}
    stdout, sys.stdout = sys.stdout, StringIO()
    try:
        yield
    finally:
        printed, sys.stdout = sys.stdout.getvalue(), stdout
        os.environ |= dict(zip(("COMP_WORDS", "COMP_CWORD"), before, strict=True))
        value = re.sub("^--[a-z-]+=", "", current.strip("\"'"))  # of an option, which completions do not repeat
        cut = value[: max(value.rfind(":"), value.rfind("=")) + 1]
        sys.stdout.write("\n".join(line.removeprefix(cut) for line in printed.split("\n")))


def join_words(words: list[str], cursor: int) -> tuple[list[str], int]:
    """Words as they were typed, from those that bash split at colons and equals signs.

    Args:
        words: of the command line; a colon and an equals sign are words of their own.
        cursor: index of the word that is being completed.

    Returns:
        The words, and the index of the word with the cursor.
    """
    joined: list[str] = []
    place, glue = 0, False
    for index, word in enumerate(words):
        breaks = bool(word) and not word.strip(":=")
        if len(joined) > 1 and (breaks or glue):
            joined[-1] += word
        else:
            joined.append(word)
        if index == cursor:
            place = len(joined) - 1
        glue = breaks
    return joined, place if cursor < len(words) else len(joined)
