"""The parts of a run put together: a folder like that of the undivided run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from equidiff.errors import RunFolderError, UsageError
from equidiff.folders.paths import check_own
from equidiff.folders.status import COMPLETE
from equidiff.folders.text import shell_word
from equidiff.run.folder import RunFolder, iter_packed, read_prior, read_query
from equidiff.run.info import RunInfo, read_info
from equidiff.run.parts import Counts
from equidiff.search.blocks import Share

# What each part has of its own in its run.json.
OWN = {
    "images",
    "status",
    "started",
    "part",
    "counts",
    "finished",
    "wall_s",
    "evaluations",
    "error",
    "folder",
    "run_folder",
}
SHOWN = 60  # characters of a value in an error


@dataclass(frozen=True)
class RunPart:
    """A part of a run, done.

    Attributes:
        path: its folder.
        info: the content of its run.json.
        share: its part of the run.
    """

    path: Path
    info: RunInfo
    share: Share


def read_parts(paths: Sequence[Path]) -> list[RunPart]:
    """The parts of one run in the order of their samples.

    Raises:
        RunFolderError: a folder is no part, or its part is not done; or they are not the parts of one run, each once.
        UsageError: no folder is given.
    """
    if not paths:
        raise UsageError("There is nothing to merge.", expected="the folders of all parts", hint="equidiff merge RUN-*")
    parts = sorted(map(_read_part, paths), key=lambda part: (part.share.of, part.share.number))
    for part in parts[1:]:
        _check_same(parts[0], part)
    _check_all_there(parts)
    for part in parts:
        _check_done(part)
    return parts


def write_merged(parts: Sequence[RunPart], out: Path, tell: Callable[[int], None] = lambda _done: None) -> RunInfo:
    """Write the folder of the whole run; nothing is left of it where that fails.

    Args:
        parts: of the run, as `read_parts` returns them.
        out: the folder to create.
        tell: called with the number of samples that are written.

    Returns:
        The content of its run.json.

    Raises:
        RunFolderError: a part is damaged, or the folder cannot be written.
    """
    first = parts[0]
    info = first.info.model_copy(update={"part": None, "counts": Counts(asked=first.info.options.samples)})
    query = read_query(first.path)
    folder = RunFolder.create(
        out,
        info.model_copy(update={"wall_s": None}),
        query.get("query"),
        query.get("query_latent"),
        read_prior(first.path),
    )
    try:
        folder.info = folder.info.model_copy(update={"started": min(str(part.info.started) for part in parts)})
        for part in parts:
            for packed in iter_packed(part.path, part.info.indices):
                folder.add_packed(packed)
                tell(len(folder.finished))
            _check_whole(part, folder.finished)
        folder.finish(COMPLETE, sum(part.info.wall_s or 0.0 for part in parts))
    except BaseException:
        folder.close()
        shutil.rmtree(out, ignore_errors=True)
        raise
    return folder.info


def _check_whole(part: RunPart, finished: set[int]) -> None:
    lost = sum(index not in finished for index in part.info.indices)
    if lost:
        raise RunFolderError(
            f"{lost} samples of part {part.share} are lost.",
            given=part.path,
            expected="the files as equidiff run wrote them",
            hint=f"equidiff run --resume {shell_word(part.path)}   # does these samples again",
        )


def _read_part(path: Path) -> RunPart:
    check_own(path)
    info = read_info(path)
    if info.part is None:
        raise RunFolderError(
            "This run is not a part of another.", given=path, expected="folders of equidiff run --part K/N"
        )
    try:
        return RunPart(path, info, Share.parse(info.part))
    except UsageError:
        raise RunFolderError(
            "The run.json of this folder cannot be read.",
            given=f"{path}, part {info.part}",
            expected="a part such as 3/16",
        ) from None


def _check_same(one: RunPart, other: RunPart) -> None:
    """Refuse parts of two runs: their samples would not be those of either."""
    for place, here, there in _differences(_shared(one.info), _shared(other.info)):
        raise RunFolderError(
            "These are not parts of one run.",
            given=f"{place}: {_shown(here)} in {one.path}, {_shown(there)} in {other.path}",
            expected="the same settings, seed, target, versions and weights",
        )
    if one.share.of != other.share.of:
        raise RunFolderError(
            "These are parts of two divisions of a run.",
            given=f"{one.path} is part {one.share}, {other.path} is part {other.share}",
            expected="the parts of one",
        )


def _check_all_there(parts: Sequence[RunPart]) -> None:
    for one, other in pairwise(parts):
        if one.share == other.share:
            raise RunFolderError(
                "A part is given twice.", given=f"{one.path} and {other.path} are part {one.share}", expected="one"
            )
    there = {part.share.number for part in parts}
    missing = [number for number in range(1, parts[0].share.of + 1) if number not in there]
    if missing:
        raise RunFolderError(
            f"{len(missing)} of the {parts[0].share.of} parts are missing.",
            given=f"no folder of part {', '.join(map(str, missing[:8]))}{', ...' if len(missing) > 8 else ''}",
            expected="the folders of all parts",
            hint=f"--part {missing[0]}/{parts[0].share.of}, with the options of the others",
        )


def _check_done(part: RunPart) -> None:
    if part.info.status != COMPLETE:
        raise RunFolderError(
            f"Part {part.share} is not finished.",
            given=f"{part.path}, status {part.info.status}",
            expected="parts that are complete",
            hint=f"equidiff run --resume {shell_word(part.path)}",
        )


def _shared(info: RunInfo) -> dict[str, Any]:
    """What all parts of a run have in common; of devices their kind, as the parts may run on cuda:0 and cuda:1."""
    values = info.model_dump(exclude=OWN)
    if values.get("called") is not None:
        values["called"]["members"] = ()
    if values.get("bank") is not None:
        values["bank"] |= {"made": 0, "measured": 0}
    return values | {"device": info.device.partition(":")[0]}


def _differences(one: Any, other: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            yield from _differences(one.get(key), other.get(key), f"{place}.{key}" if place else str(key))
    elif one != other:
        yield place, one, other


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
