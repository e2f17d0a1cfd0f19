"""Run `equidiff merge`: put the samples of all parts into one folder, and say what the run found."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.cli.handlers.conclusion import conclusion
from equidiff.cli.handlers.grid import draw_images
from equidiff.folders.text import shell_command
from equidiff.run.folder import iter_records
from equidiff.run.merge import RunPart, write_merged
from equidiff.run.summary import Summary
from equidiff.run.wording import question


def perform(parts: Sequence[RunPart], out: Path, terminal: Terminal, as_json: bool) -> int:
    """Merge the parts of a run, print about it, and return the exit code."""
    asked = parts[0].info.options.samples
    terminal.note(question(parts[0].info), "bold")
    terminal.facts([("parts", len(parts)), ("samples", asked)], dim=True)
    try:
        with terminal.progress(asked, 0, "merging") as show:
            info = write_merged(parts, out, lambda done: show(done, ""))
    except KeyboardInterrupt:
        shutil.rmtree(out, ignore_errors=True)
        terminal.note("Interrupted: nothing was merged.")
        return INTERRUPTED
    summary = Summary.of(info, iter_records(out))
    terminal.facts(conclusion(info, summary, draw_images(out, info, summary), None))
    terminal.command("look", shell_command(["equidiff", "report", str(out), "--open"]))
    terminal.answer(out, "run.json" if as_json else None)
    return 0 if info.counts.members == asked else NOT_ALL_MEMBERS
