"""Options that several commands share, and the state that they set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equidiff.cli.completion import complete_run
from equidiff.cli.console import Terminal

if TYPE_CHECKING:
    from equidiff.registry.manager import Plugins
    from equidiff.run.finished import Finished

OUTPUT, COMPUTATION = "Output", "Computation"  # groups of options in a help

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="Also load this one-file plugin, which runs its code. Repeatable."),
]
# read by `main` from the command line itself, so that they hold for usage errors too
Plain = Annotated[
    bool,
    typer.Option(
        "--plain",
        metavar="",
        help="Print plain lines: no colour, no frames, no motion, no thumbnails.",
        rich_help_panel=OUTPUT,
    ),
]
Traceback = Annotated[
    bool,
    typer.Option("--traceback", metavar="", help="Show the full traceback of an error.", rich_help_panel=OUTPUT),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON on stdout.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", metavar="", help="Print nothing but the result and errors.", rich_help_panel=OUTPUT),
]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False, autocompletion=complete_run)
]
# for the commands that rebuild the components of a run
Device = Annotated[
    str,
    typer.Option(metavar="NAME", help="Device: cpu, cuda, cuda:1, mps, or auto.", rich_help_panel=COMPUTATION),
]
Precision = Annotated[
    str,
    typer.Option(metavar="NAME", help="Precision: float32, tf32, bfloat16 or auto.", rich_help_panel=COMPUTATION),
]
RunObjective = Annotated[
    str | None,
    typer.Option("--objective", "-o", metavar="SPEC", help="Repeat the run's objective here if it is your own code."),
]


def examples(*commands: str) -> str:
    """The end of a help: commands to try, a line each."""
    return "\n\n".join(["[bold]Examples[/bold]", *(command.replace("[", "\\[") for command in commands)])


@dataclass(frozen=True)
class Show:
    """Output that was asked for, of a run or a sweep.

    Attributes:
        as_json: the content of run.json or sweep.json, in place of the folder's path.
        verbose: a line about each sample of a run, or each run of a sweep.
        report: write the page, too.
    """

    as_json: bool = False
    verbose: bool = False
    report: bool = False


@dataclass
class State:
    """State that the options before the command set.

    Attributes:
        terminal: the output.
        files: one-file plugins.
        code: the exit code of the command; None until it has ended.
    """

    terminal: Terminal
    files: list[Path] = field(default_factory=list)
    code: int | None = None

    def plugins(self, files: list[Path] | None = None) -> Plugins:
        """Load the installed plugins and all one-file plugins, those named after the command included."""
        # descriptors need pydantic, which `--help` does not
        from equidiff.registry.manager import Plugins

        self.files += files or []
        return Plugins(files=self.files)

    def open_run(
        self, path: Path, command: Sequence[str], objective: str | None, device: str, files: list[Path] | None = None
    ) -> Finished:
        """Open a finished run with its components, for the commands that compute with them.

        Args:
            path: the run folder.
            command: words that were typed before it, for the errors.
            objective: the run's, repeated by the user.
            device: to compute on.
            files: one-file plugins named after the command.
        """
        from equidiff.run.finished import open_finished

        plugins = self.plugins(files)
        return open_finished(path, plugins, command, objective=objective, files=self.files, device=device)
