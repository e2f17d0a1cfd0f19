"""The application: it gathers the commands, and shows errors to the user."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import equidiff
from equidiff.cli.commands import (
    bank,
    calibrate,
    check,
    cite,
    compare,
    doctor,
    evaluate,
    figure,
    measure,
    merge,
    new,
    path,
    plugins,
    rank,
    report,
    run,
    samples,
    select,
    show,
    sweep,
)
from equidiff.cli.completion import whole_words
from equidiff.cli.console import Terminal
from equidiff.cli.console.streams import safe_streams
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.cli.interrupts import prompt_interruption
from equidiff.cli.options import Plain, PluginFiles, State, Traceback
from equidiff.errors import EquiDiffError, UsageError
from equidiff.folders.text import printable
from equidiff.registry.trial.source import raised_at

DONE = {0, NOT_ALL_MEMBERS}  # exit codes of commands that have a result


class _Commands(TyperGroup):
    """Commands that can be interrupted, also outside of the parts in which they say more about it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            ctx.obj.code = super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.obj.terminal.note("Interrupted.")
            ctx.obj.code = INTERRUPTED
        return ctx.obj.code


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
app.command(epilog=run.EPILOG)(run.run)
app.command(epilog=sweep.EPILOG)(sweep.sweep)
app.command(epilog=merge.EPILOG)(merge.merge)
app.command(epilog=compare.EPILOG)(compare.compare)
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=calibrate.EPILOG)(calibrate.calibrate)
app.command()(report.report)
app.command(epilog=figure.EPILOG)(figure.figure)
app.command(epilog=select.EPILOG)(select.select)
app.command(epilog=path.EPILOG)(path.path)
app.command(epilog=rank.EPILOG)(rank.rank)
app.command(epilog=bank.EPILOG)(bank.bank)
app.command(epilog=samples.EPILOG)(samples.samples)
app.command(epilog=measure.EPILOG)(measure.measure)
app.add_typer(new.app, name="new")
app.command()(plugins.plugins)
app.command(epilog=check.EPILOG)(check.check)
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
    warnings.filterwarnings("ignore", module=r"PIL\.")  # about files; an image that cannot be read gets a panel
    with prompt_interruption(), safe_streams() as (stdout, _):
        code = _run(words)
        stdout.flush()
        if stdout.error is not None and not isinstance(stdout.error, BrokenPipeError):
            code = _show(_lost(stdout.error), words) if code in DONE else code
    sys.exit(code)


def _run(words: list[str]) -> int:
    """The exit code of a command; whatever goes wrong, the user gets one panel."""
    state = State(Terminal(_is_plain(words)))
    try:
        with whole_words():
            code = app(args=words, prog_name="equidiff", standalone_mode=False, obj=state) or 0
        if code == INTERRUPTED != state.code:  # before or after the command itself, where typer says nothing
            raise KeyboardInterrupt
        return code
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # no command: the help has been printed
            return UsageError.exit_code
        if "--traceback" in words:
            sys.stderr.write(printable(traceback.format_exc()))
            return _as_equidiff_error(error).exit_code
        return _show(_as_equidiff_error(error), words)


def _show(error: EquiDiffError, words: list[str]) -> int:
    Terminal(_is_plain(words)).error(error)
    return error.exit_code


def _is_plain(words: list[str]) -> bool:
    return "--plain" in words


def _lost(error: OSError) -> EquiDiffError:
    return EquiDiffError(
        f"The work is done, but its result cannot be written to standard output: {error.strerror or error}",
        expected="a place with room for it",
    )


def _as_equidiff_error(error: Exception) -> EquiDiffError:
    if isinstance(error, EquiDiffError):
        return error
    # duck-typed: typer's own copy of click, or click itself with older typers
    if hasattr(error, "format_message"):
        return _usage(error)
    return EquiDiffError(
        f"EquiDiff failed unexpectedly: {type(error).__name__}: {error}",
        given=_plugin_code(error),
        hint="repeat with --traceback, and report what it shows, to the plugin's author if a plugin raised it",
    )


def _plugin_code(error: Exception) -> str | None:
    """The line of a plugin in which an error was raised; None where it was raised elsewhere."""
    place = raised_at(error, plugins_only=True)
    return None if place is None else f"raised at {place}"


def _usage(error: Any) -> EquiDiffError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "equidiff"
    return UsageError(error.format_message(), hint=f"{command} --help")
