"""Building a run's parts again from its folder: the same settings, and no code that was not named."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equidiff.errors import RunFolderError, UsageError
from equidiff.registry.specs import parse_sum, print_sum

if TYPE_CHECKING:
    from equidiff.run.session import Session
    from equidiff.run.settings import Settings
from equidiff.registry.provenance import FROM_FILE

RESUME = ("equidiff", "run", "--resume")


def check_named(
    info: dict[str, Any],
    objective: str | None,
    files: Sequence[Path],
    path: Path,
    command: Sequence[str] = RESUME,
) -> None:
    """Refuse to run code of the user's own that only the run folder names: the folder may be somebody else's.

    Args:
        info: the content of `run.json`.
        objective: the objective's spec as given again by the user, if it was.
        files: the plugin files that the user named.
        path: the run folder, for the errors.
        command: what was typed before the run folder, for the errors.

    Raises:
        UsageError: another objective was given.
        RunFolderError: something must be named again, or cannot be built from its name at all.
    """
    recorded = info["specs"]["objective"]
    if objective is not None and print_sum(parse_sum(objective)) != recorded:
        raise UsageError(
            "A run keeps its objective.",
            given=objective,
            expected=f"{recorded}, or no objective",
            hint=resume_command(path, command=command),
        )
    for kind, spec in info["specs"].items():
        if spec.startswith("<"):
            raise RunFolderError(
                f"This run's {kind} was an object made in Python, which a command cannot make again.",
                given=spec,
                expected="equidiff.sample(...) with that object",
            )
    if objective is None and is_custom(recorded):
        raise RunFolderError(
            "This run's objective is code that is not part of EquiDiff or of a plugin, and would be executed.",
            given=recorded,
            expected="the same objective on the command line, if you trust it",
            hint=resume_command(path, recorded, command=command),
        )
    named = {file.name for file in files}
    for source, version in info["versions"].items():
        if version == FROM_FILE and Path(source).name not in named:
            raise RunFolderError(
                "This run used a plugin file, which would be executed.",
                given=source,
                expected="the same file on the command line, if you trust it",
                hint=resume_command(path, objective, [*files, Path(source)], command),
            )


def resume_command(
    path: Path, objective: str | None = None, files: Iterable[Path] = (), command: Sequence[str] = RESUME
) -> str:
    """What to type to go on with a run, or to do something else with it, ready for a shell.

    Args:
        path: the run folder.
        objective: where it is code of the user's own, which must be named again.
        files: plugin files that must be named again.
        command: what is typed before the run folder.
    """
    words = [*command, str(path)]
    if objective is not None and is_custom(objective):
        words += ["--objective", objective]
    for file in files:
        words += ["--plugin", str(file)]
    return shlex.join(words)


def is_custom(objective: str) -> bool:
    """Whether an objective's spec names code that neither EquiDiff nor a plugin brought."""
    return any(spec.name == "custom" for _, spec in parse_sum(objective))


def settings_of(info: dict[str, Any]) -> Settings:
    """The settings that a run began with; its target as numbers, so that nothing is measured anew."""
    from equidiff.run.settings import Settings

    return Settings(
        **info["specs"],
        target=info["target"]["values"],
        samples=info["counts"]["asked"],
        batch=info["options"]["batch"],
        **{name: info[name] for name in ("budget", "tolerance", "seed", "device", "dtype")},
    )


def restore_start(info: dict[str, Any], session: Session, path: Path) -> Session:
    """The session with the start that the run began with, from its folder."""
    if info["options"].get("start", "prior") == "prior":
        return session
    from equidiff.run.folder import read_query
    from equidiff.search.starts import QueryStart

    latent = read_query(path).get("query_latent")
    if latent is None:
        raise RunFolderError(
            "The query's latent, from which this run started, is lost.",
            given=path,
            expected="query_latent in tensors.safetensors, or in partial/query.safetensors",
            hint="begin a new run",
        )
    return replace(session, start=QueryStart(latent))


def check_weights(info: dict[str, Any], session: Session, path: Path) -> None:
    """Refuse to mix samples of two networks in one run.

    Raises:
        RunFolderError: a weights file is not what it was when the run began.
    """
    before = {weights["name"]: weights["sha256"] for weights in info["weights"]}
    now = {weights.name: weights.sha256 for weights in session.context.weights}
    changed = sorted(name for name in before if now.get(name) != before[name])
    if changed:
        raise RunFolderError(
            "The weights are no longer those that the run began with.",
            given=", ".join(changed),
            expected=f"the SHA-256 in {path / 'run.json'}",
            hint="begin a new run",
        )
