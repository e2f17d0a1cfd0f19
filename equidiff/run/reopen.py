"""The one way to build a run's components again: the same settings, the same weights, no code that was not named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from equidiff.contracts import Shared
from equidiff.errors import RunFolderError
from equidiff.registry.manager import Plugins
from equidiff.run.info import RunInfo
from equidiff.run.own_code import check_named
from equidiff.run.places import build_where_it_was
from equidiff.run.session import Session, prepare
from equidiff.run.settings import Settings
from equidiff.search.starts import QueryStart


def reopen(
    info: RunInfo,
    query_latent: Tensor | None,
    plugins: Plugins,
    *,
    command: Sequence[str] = (),
    objective: str | None = None,
    files: Sequence[Path] = (),
    device: str | None = None,
    path: Path | None = None,
    shared: Shared | None = None,
) -> Session:
    """Build a run's components again.

    Args:
        info: the content of `run.json`.
        query_latent: `[1, *latent_shape]`, the start of a run that starts from its query.
        plugins: where specs are looked up.
        command: words that were typed, as far as the run folder, for the errors; empty in Python.
        objective: where the run's objective is code of the user's own: its spec, named again.
        files: plugin files that the user named.
        device: a torch device, or "auto"; the run's own when absent.
        path: the run folder, to find files that were moved together with it.
        shared: generators and networks of the runs before, where several are done in one process.

    Raises:
        RunFolderError: a component was an object, or code that is not named; the weights are not the run's; its start
            is lost.
        EquiDiffError: a component cannot be built.
    """
    check_named(info, objective, files, command)
    settings = Settings.of(info) if device is None else replace(Settings.of(info), device=device)
    session = build_where_it_was(
        settings, info, path, lambda found: prepare(found, plugins, with_prior=False, shared=shared)
    )
    _check_weights(info, session)
    target = session.problem.target
    views = tuple(target.new_tensor(each) for each in info.target.views or ())
    session = replace(session, problem=replace(session.problem, view_targets=views))
    return replace(session, start=_start(query_latent)) if info.starts_from_query else session


def _check_weights(info: RunInfo, session: Session) -> None:
    now = {file.name: file.sha256 for file in session.context.weights}
    changed = sorted({file.name for file in info.weights if now.get(file.name) != file.sha256})
    if changed:
        raise RunFolderError(
            "The weights are no longer those that the run began with.",
            given=", ".join(changed),
            expected="files of the SHA-256 that run.json records",
            hint="begin a new run",
        )


def _start(query_latent: Tensor | None) -> QueryStart:
    if query_latent is None:
        raise RunFolderError(
            "The query's latent, from which this run started, is lost.",
            expected="query_latent in query.safetensors",
            hint="begin a new run",
        )
    return QueryStart(query_latent)
