"""Fill the pages with what mkdocs would fetch: snippets of files, and the reference of objects.

An author writes `--8<-- "path"` as the only line of a fence, or `::: package.object`, and `python docs/generate.py`
writes the file or the reference below it, between comments, so that a code host shows it too. In the site,
`docs/hooks.py` puts the directives of objects back in their places.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NEW_SNIPPET = re.compile(r'^```(\w+)\n--8<-- "(.+)"\n```$', re.MULTILINE)
SNIPPET = re.compile(r"^<!-- from (\S+) -->\n(`{3,})(\w+)\n.*?^\2$", re.MULTILINE | re.DOTALL)
NEW_OBJECT = re.compile(r"^::: ([\w.]+)\n((?:    [^\n]*\n)*)", re.MULTILINE)
OBJECT = re.compile(r"^<!-- ::: ([\w.]+)\n((?:    [^\n]*\n)*)-->\n.*?^<!-- end of \1 -->$", re.MULTILINE | re.DOTALL)
LONG_SIGNATURE = 100


def fill(text: str) -> str:
    """A page with the current content of each snippet and each object."""
    text = NEW_SNIPPET.sub(lambda found: snippet(found[1], found[2]), text)
    text = SNIPPET.sub(lambda found: snippet(found[3], found[1]), text)
    text = NEW_OBJECT.sub(lambda found: reference(found[1], found[2]) + "\n", text)
    return OBJECT.sub(lambda found: reference(found[1], found[2]), text)


def without_filling(text: str) -> str:
    """A page as its author wrote it."""
    text = SNIPPET.sub(lambda found: f'```{found[3]}\n--8<-- "{found[1]}"\n```', text)
    return with_directives(text)


def with_directives(text: str) -> str:
    """A page in which mkdocs writes the reference of objects."""
    return OBJECT.sub(lambda found: f"::: {found[1]}\n{found[2]}".rstrip("\n"), text)


def snippet(language: str, file: str) -> str:
    """A file in a fence."""
    content = (ROOT / file).read_text(encoding="utf-8").rstrip("\n")
    fence = "`" * (4 if "```" in content else 3)
    return f"<!-- from {file} -->\n{fence}{language}\n{content}\n{fence}"


def reference(name: str, options: str) -> str:
    """Signature, first sentence and members of an object, between comments that name it."""
    heading = [] if "show_root_heading: false" in options else [f"### {name.rpartition('.')[2]}", ""]
    lines = [f"<!-- ::: {name}\n{options}-->", "", *heading, *described(name), f"<!-- end of {name} -->"]
    return "\n".join(lines)


def described(name: str) -> Iterator[str]:
    """The reference of an object, a line each."""
    found = resolve(name)
    signature = signature_of(found, name.rpartition(".")[2])
    if signature:
        yield from ["```python", signature, "```", ""]
    if summary(found):
        yield from [summary(found), ""]
    members = list(members_of(found)) if isinstance(found, type) else []
    yield from members
    if members:
        yield ""


def resolve(name: str) -> Any:
    """The object of a dotted name."""
    module, _, attribute = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ImportError:
        return getattr(resolve(module), attribute)


def signature_of(found: Any, name: str) -> str:
    """The signature of a function or a class, a parameter a line where it is long."""
    if not callable(found):
        return ""
    try:
        signature = inspect.signature(found)
    except (ValueError, TypeError):
        return ""
    given = [
        each.replace(annotation=_written(each.annotation), default=_repeatable(each.default))
        for each in signature.parameters.values()
    ]
    signature = signature.replace(parameters=given, return_annotation=_written(signature.return_annotation))
    text = f"{'class ' if isinstance(found, type) else ''}{name}{signature}".replace(" -> None", "").removesuffix("()")
    if len(text) <= LONG_SIGNATURE or not signature.parameters:
        return text
    start, end = text.index("(") + 1, text.rindex(")")
    shown = [str(each) for each in given]
    first = next((i for i, each in enumerate(given) if each.kind is each.KEYWORD_ONLY), None)
    if first is not None and not any(each.startswith("*") for each in shown):
        shown.insert(first, "*")
    return "\n".join([text[:start], *(f"    {each}," for each in shown), text[end:]])


class _Text(str):
    """An annotation as it is written, without quotation marks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _written(annotation: Any) -> Any:
    return _Text(annotation) if isinstance(annotation, str) else annotation


def _repeatable(default: Any) -> Any:
    """A default whose text does not name a place in memory."""
    return _Text("...") if " at 0x" in repr(default) else default


def summary(found: Any) -> str:
    """The first paragraph of an object's docstring, on one line."""
    return " ".join((inspect.getdoc(found) or "").partition("\n\n")[0].split())


def members_of(found: type) -> Iterator[str]:
    """The public methods and properties of a class, a line each."""
    for name, member in vars(found).items():
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property | classmethod)):
            continue
        shown = name
        if not isinstance(member, property):
            function = member.__func__ if isinstance(member, classmethod) else member
            shown += "(" + ", ".join(list(inspect.signature(function).parameters)[1:]) + ")"
        about = summary(member)
        yield f"- `{shown}`: {about}" if about else f"- `{shown}`"
