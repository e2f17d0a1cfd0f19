"""The application: it gathers the commands, and shows errors to the user."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

import equidiff
from equidiff.cli.commands import (
    cite,
    compare,
    doctor,
    evaluate,
    figure,
    measure,
    path,
    plugins,
    rank,
    report,
    run,
    samples,
    select,
    show,
)
from equidiff.cli.completion import whole_words
from equidiff.cli.console import Terminal
from equidiff.cli.options import Plain, PluginFiles, State, Traceback
from equidiff.errors import EquiDiffError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
app.command(epilog=run.EPILOG)(run.run)
app.command(epilog=compare.EPILOG)(compare.compare)
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command()(report.report)
app.command(epilog=figure.EPILOG)(figure.figure)
app.command(epilog=select.EPILOG)(select.select)
app.command(epilog=path.EPILOG)(path.path)
app.command(epilog=rank.EPILOG)(rank.rank)
app.command(epilog=samples.EPILOG)(samples.samples)
app.command(epilog=measure.EPILOG)(measure.measure)
app.command()(plugins.plugins)
app.command()(show.show)
app.command()(cite.cite)
app.command()(doctor.doctor)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"equidiff {equidiff.__version__}")
        raise typer.Exit


@app.callback(epilog="Try [bold]equidiff run[/bold]: it needs no options, no GPU and no internet connection.")
def common(
    context: typer.Context,
    plugin: PluginFiles = None,
    plain: Plain = False,
    traceback: Traceback = False,
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Sample the invariant set of a neuron, class or feature: everything that a network takes for the same thing."""
    context.obj.files += plugin or []


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code.

    Args:
        args: the words after `equidiff`; those of `sys.argv` when absent.
    """
    words = list(sys.argv[1:] if args is None else args)
    terminal = Terminal("--plain" in words)
    try:
        with whole_words():
            code = app(args=words, prog_name="equidiff", standalone_mode=False, obj=State(terminal))
    except Exception as error:  # whatever it is, the user gets one panel
        if type(error).__name__ == "NoArgsIsHelpError":  # no command: the help has been printed
            sys.exit(UsageError.exit_code)
        if "--traceback" in words:
            traceback.print_exc()
            sys.exit(_as_equidiff_error(error).exit_code)
        terminal.error(_as_equidiff_error(error))
        sys.exit(_as_equidiff_error(error).exit_code)
    sys.exit(code or 0)


def _as_equidiff_error(error: Exception) -> EquiDiffError:
    if isinstance(error, EquiDiffError):
        return error
    # duck-typed: typer's own copy of click, or click itself with older typers
    if hasattr(error, "format_message"):
        return _usage(error)
    return EquiDiffError(
        f"EquiDiff failed unexpectedly: {type(error).__name__}: {error}",
        hint="repeat with --traceback, and report what it shows, to the plugin's author if a plugin raised it",
    )


def _usage(error: Any) -> EquiDiffError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "equidiff"
    return UsageError(error.format_message(), hint=f"{command} --help")
