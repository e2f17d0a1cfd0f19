"""`equidiff cite`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equidiff.cli.options import Plain, PluginFiles, Traceback
from equidiff.errors import EquiDiffError
from equidiff.runinfo import read_info
from equidiff.specs import Spec, parse_sum

if TYPE_CHECKING:
    from equidiff.descriptors import Reference
    from equidiff.plugins import Plugins

EQUIDIFF = """\
@software{{equidiff,
  author = {{{{The EquiDiff developers}}}},
  title = {{EquiDiff: sampling the invariant sets of neural networks}},
  version = {{{version}}},
}}"""


def cite(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    plugin: PluginFiles = None,
    plain: Plain = False,
    traceback: Traceback = False,
) -> None:
    """Print what to cite for a run, as BibTeX: EquiDiff, and what its components implement."""
    info = read_info(run)
    references, missing = _references(info, context.obj.plugins(plugin))
    entries = [EQUIDIFF.format(version=info["versions"]["equidiff"]), *(each.bibtex() for each in references)]
    context.obj.terminal.result("\n\n".join(entries))
    for what in missing:
        context.obj.terminal.note(f"no references for {what}", "yellow")


def _references(info: dict[str, Any], plugins: Plugins) -> tuple[list[Reference], list[str]]:
    """The references of all components, each once, and the components that nothing is known about."""
    found: dict[str, Reference] = {}
    missing = []
    for kind, text in info["specs"].items():
        if text.startswith("<"):
            missing.append(f"the {kind} {text}: it was made in Python")
            continue
        for spec in [spec for _, spec in parse_sum(text)] if kind == "objective" else [Spec.parse(text)]:
            try:
                references = plugins.find(kind, spec.name).descriptor.references
            except EquiDiffError as error:
                missing.append(f"the {kind} {spec}: its plugin is no longer installed ({error.problem})")
                continue
            found |= {reference.key: reference for reference in references}
    return list(found.values()), missing
