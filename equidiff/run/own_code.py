"""Code of the user's own, which a run folder only names: it runs where the user names it again, and never else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from equidiff.errors import RunFolderError, UsageError
from equidiff.folders.text import shell_command
from equidiff.registry.specs import parse_sum, print_sum
from equidiff.run.info import RunInfo, Specs, is_custom

RESUME = ("equidiff", "run", "--resume")


def check_named(info: RunInfo, objective: str | None, files: Sequence[Path], command: Sequence[str] = ()) -> None:
    """Refuse to run code of the user's own that only the run folder names: the folder may be somebody else's.

    Args:
        info: the content of `run.json`.
        objective: the objective's spec as given again by the user, if it was.
        files: the plugin files that the user named.
        command: words that were typed, as far as the run folder, for the errors; empty in Python.

    Raises:
        UsageError: another objective was given.
        RunFolderError: something must be named again, or cannot be built from its name at all.
    """
    recorded = info.specs.objective
    if objective is not None and print_sum(parse_sum(objective)) != recorded:
        raise UsageError(
            "A run keeps its objective.",
            given=objective,
            expected=f"{recorded}, or no objective",
            hint=_hint(command),
        )
    _check_objects(info.specs)
    if objective is None and info.specs.is_custom:
        raise RunFolderError(
            "This run's objective is code that is not part of EquiDiff or of a plugin, and would be executed.",
            given=recorded,
            expected="the same objective, named again, if you trust it",
            hint=_hint(command, recorded),
        )
    named = {file.name for file in files}
    for source in info.plugin_files:
        if Path(source).name not in named:
            raise RunFolderError(
                "This run used a plugin file, which would be executed.",
                given=source,
                expected="the same file, named again, if you trust it",
                hint=_hint(command, objective, [*files, Path(source)]),
            )


def _check_objects(specs: Specs) -> None:
    for kind, spec in specs.objects.items():
        raise RunFolderError(
            f"This run's {kind} was an object made in Python, which cannot be made again from the run folder.",
            given=spec,
            expected="equidiff.sample(...) with that object",
        )


def check_portable(specs: Specs) -> None:
    """Refuse a run whose components the workers of an executor cannot build.

    Raises:
        UsageError: a component was an object made in Python.
    """
    for kind, spec in specs.objects.items():
        raise not_portable(kind, spec)


def not_portable(kind: str, name: str) -> UsageError:
    """The error for a component that was made in Python, and cannot be made again in another process."""
    return UsageError(
        f"The {kind} of this run is an object made in Python, which the workers of an executor cannot have.",
        given=name,
        expected=f"the spec of a {kind}, which each worker builds for itself; or the executor inline",
    )


def name_again(command: Sequence[str], objective: str | None = None, files: Iterable[Path] = ()) -> str:
    """A command with all that it must name again, ready for a shell.

    Args:
        command: its words, as far as the run folder.
        objective: the run's; named where it is code of the user's own.
        files: plugin files.
    """
    words = list(command)
    if objective is not None and is_custom(objective):
        words += ["--objective", objective]
    for file in files:
        words += ["--plugin", str(file)]
    return shell_command(words)


def _hint(command: Sequence[str], objective: str | None = None, files: Iterable[Path] = ()) -> str | None:
    return name_again(command, objective, files) if command else None
