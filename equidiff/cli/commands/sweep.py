"""The `equidiff sweep` command: its options, and the checks between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equidiff.cli.completion import complete_kind
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.interrupts import prompt_termination
from equidiff.cli.options import COMPUTATION, OUTPUT, Json, Plain, PluginFiles, Quiet, Show, State, Traceback, examples
from equidiff.errors import UsageError

if TYPE_CHECKING:
    from equidiff.registry.manager import Plugins
    from equidiff.sweep.open import Opened

EPILOG = examples(
    "equidiff sweep units.yaml --dry-run",
    "equidiff sweep units.yaml --out sweeps/units --report",
    "equidiff sweep units.yaml --executor processes,workers=2",
    "equidiff sweep --resume sweeps/units",
)

File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="Settings of the runs, in YAML.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder to create, or to go on with (default: sweeps/ and the name of the file).",
        rich_help_panel=OUTPUT,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Continue a sweep from its folder alone, without its file.", rich_help_panel=OUTPUT
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="Check the file, list its runs, and stop.")]
Executor = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="Workers that carry out the runs, such as processes,workers=2 (default: this process).",
        rich_help_panel=COMPUTATION,
        autocompletion=complete_kind("executor"),
    ),
]
RunCode = Annotated[
    bool,
    typer.Option(
        "--run-code",
        metavar="",
        help="Run code of your own that the file names: custom objectives, and exported models.",
    ),
]
Report = Annotated[
    bool, typer.Option("--report", metavar="", help="Also write the page about all runs.", rich_help_panel=OUTPUT)
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", metavar="", help="Print a line about each run.", rich_help_panel=OUTPUT)
]


def sweep(
    context: typer.Context,
    file: File = None,
    out: Out = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    run_code: RunCode = False,
    executor: Executor = None,
    report: Report = False,
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Carry out many runs: every combination of the values in a file, in one folder with one table.

    The file is checked as a whole before anything starts. The same command again goes on where it stopped: runs that
    failed are tried again, and those that were added to the file are added. Prints the folder's path. Exit code: 0 all
    samples are members, 3 some are not, or a run failed, 1 error, 2 usage, 130 interrupted.
    """
    state: State = context.obj
    state.files += plugin or []
    state.terminal.quiet = quiet
    _check(file, out, resume)
    with prompt_termination():  # a job queue sends it before it kills
        try:
            with state.terminal.status("checking"):
                plugins = state.plugins()
                opened = _open(plugins, file, out, resume, run_code, executor)
                from equidiff.cli.handlers import sweep as handler

                work = handler.prepare(opened, plugins, state.files, run_code, executor, verbose)
            if dry_run:
                return handler.list_runs(work, state.terminal, as_json)
            return handler.perform(work, state, Show(as_json, verbose, report))
        except KeyboardInterrupt:
            state.terminal.note("Interrupted before the first run.")
            return INTERRUPTED


def _open(
    plugins: Plugins, file: Path | None, out: Path | None, resume: Path | None, run_code: bool, executor: str | None
) -> Opened:
    from equidiff.registry.check import check_text
    from equidiff.sweep.open import open_file, open_folder  # needs pydantic, which `--help` does not

    if executor is not None:
        check_text(plugins, "executor", executor)
    if file is not None:
        return open_file(file, out, plugins, run_code)
    assert resume is not None
    return open_folder(resume, plugins, run_code)


def _check(file: Path | None, out: Path | None, resume: Path | None) -> None:
    if (file is None) == (resume is None):
        raise UsageError(
            "A sweep needs a file, or a folder to go on with."
            if file is None
            else "Both a file and a folder are given.",
            given=None if file is None else f"{file} and --resume {resume}",
            expected="FILE, or --resume FOLDER",
            hint="equidiff sweep FILE.yaml --dry-run",
        )
    if resume is not None and out is not None:
        raise UsageError(
            "A resumed sweep stays in its folder.", given=f"--out {out}", expected=f"--resume {resume} alone"
        )
