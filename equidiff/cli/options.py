"""What several commands share: their common options, and what these set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equidiff.cli.console import Terminal

if TYPE_CHECKING:
    from equidiff.registry.manager import Plugins

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="Also use this one-file plugin; its code is run. Repeatable."),
]
# read by `main` from the command line itself, so that they hold for usage errors too
Plain = Annotated[bool, typer.Option("--plain", metavar="", help="Plain lines: no colour, no frames, no motion.")]
Traceback = Annotated[bool, typer.Option("--traceback", metavar="", help="Show where an error came from.")]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON on stdout.")]
# of the commands that build a run's parts again
Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps, or auto.")]
Again = Annotated[
    str | None,
    typer.Option("--objective", "-o", metavar="SPEC", help="The run's objective again, where it is code of yours."),
]


@dataclass
class State:
    """What the options before the command say.

    Attributes:
        terminal: where to show things.
        files: one-file plugins.
    """

    terminal: Terminal
    files: list[Path] = field(default_factory=list)

    def plugins(self, files: list[Path] | None = None) -> Plugins:
        """The installed plugins and the one-file plugins, those named after the command included."""
        # descriptors need pydantic, which `--help` does not
        from equidiff.registry.manager import Plugins

        self.files += files or []
        return Plugins(files=self.files)
