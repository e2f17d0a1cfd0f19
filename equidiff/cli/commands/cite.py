"""The `equidiff cite` command."""

from __future__ import annotations

import typer

from equidiff.analysis.citations import citations
from equidiff.cli.options import Plain, PluginFiles, Run, Traceback
from equidiff.folders.text import printable


def cite(
    context: typer.Context,
    run: Run,
    plugin: PluginFiles = None,
    plain: Plain = False,
    traceback: Traceback = False,
) -> None:
    """Print what to cite for a run, as BibTeX: EquiDiff, and the work that the run's components implement."""
    from equidiff.run.info import read_info  # needs pydantic, which `--help` does not

    entries, missing = citations(read_info(run), context.obj.plugins(plugin))
    context.obj.terminal.result(printable("\n\n".join(entries)))
    for what in missing:
        context.obj.terminal.note(f"no references for {what}", "yellow")
