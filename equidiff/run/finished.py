"""A finished run, as the commands that read one get it: its members, and its components built again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from equidiff.contracts.sample_kind import LINES
from equidiff.errors import RunFolderError
from equidiff.folders.status import COMPLETE, INTERRUPTED
from equidiff.folders.text import shell_word
from equidiff.kinds.registry import kind_from
from equidiff.registry.manager import Plugins
from equidiff.run.folder import ROWS, iter_records, read_prior, read_query
from equidiff.run.folder.layout import MOST_ROWS
from equidiff.run.folder.rows import StoredRows
from equidiff.run.folder.stored import Stored
from equidiff.run.info import RunInfo, read_info
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.reopen import reopen
from equidiff.run.session import Session
from equidiff.search.engine import MEMBER


@dataclass(frozen=True)
class Finished:
    """A run that has ended, and everything that made it.

    Attributes:
        path: the run folder.
        found: its records and tensors.
        session: generator, objective, regularizer, solver and target.
    """

    path: Path
    found: InvariantSet
    session: Session


def load_first_members(path: Path, info: RunInfo, most: int) -> InvariantSet:
    """The first members of a run that has ended, of schema version 3; its other samples are not kept.

    Args:
        path: the run folder.
        info: the content of its `run.json`.
        most: number of members.
    """
    records = tuple(islice((record for record in iter_records(path) if record.status == MEMBER), most))
    size = info.segment or MOST_ROWS
    stored = Stored.find(path, size, {record.index // size for record in records})
    rows = StoredRows(stored, [record.index for record in records])
    shape = rows.take("samples", [0]).shape[1:] if records else ()
    in_front_of_prior = kind_from(info.kind, shape).overview(shape) == LINES
    prior = read_prior(path) if in_front_of_prior else {}
    return InvariantSet(info, records, rows, read_query(path).get("query"), prior=prior)


def load_members(path: Path) -> InvariantSet:
    """Read a run that has ended and has members. Loads no component and runs no code.

    Raises:
        RunFolderError: it has not ended, has no member, lacks a tensor, or is no run folder.
    """
    info = read_info(path)
    if info.status not in {COMPLETE, INTERRUPTED}:
        raise RunFolderError(
            "This run has not ended.",
            given=f"{path}, status {info.status}",
            expected="a run that is complete",
            hint=f"equidiff run --resume {shell_word(path)}",
        )
    found = InvariantSet.load(path)
    if not found.members:
        raise RunFolderError(
            "This run has no members.",
            given=f"{path}, {len(found.records)} samples",
            expected="a run with at least one member",
            hint=f"equidiff run with a budget above {info.budget:g}, or a wider --tolerance",
        )
    lacking = [name for name in ROWS if name not in found.rows or found.rows.count(name) != len(found.records)]
    if lacking:
        raise RunFolderError(
            "The tensors of this run are not complete.",
            given=f"{path} without all {', '.join(lacking)}",
            expected=f"a row for each of the {len(found.records)} lines of members.jsonl",
        )
    return found


def open_finished(
    path: Path,
    plugins: Plugins,
    command: Sequence[str],
    *,
    objective: str | None = None,
    files: Sequence[Path] = (),
    device: str = "auto",
) -> Finished:
    """Read a run that has ended and has members, and build its components again.

    Args:
        path: the run folder.
        plugins: where specs are looked up.
        command: what was typed before the run folder, for the errors, e.g. `("equidiff", "evaluate")`.
        objective: where the run's objective is code of the user's own: its spec, named again.
        files: plugin files that the user named.
        device: a torch device, or "auto"; it need not be the run's own.

    Raises:
        EquiDiffError: the run cannot be read, or its components cannot be built again, see `reopen`.
    """
    found = load_members(path)
    session = reopen(
        found.info,
        found.query_latent,
        plugins,
        command=(*command, str(path)) if command else (),
        objective=objective,
        files=files,
        device=device,
        path=path,
    )
    return Finished(path, replace(found, _session=session), session)
