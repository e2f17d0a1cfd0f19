"""Folder that `equidiff path` writes into a run folder: `paths/FIRST-SECOND/`, written atomically."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from equidiff.analysis.figures.contour_plot import Measure
from equidiff.analysis.path.drawing import animate, draw_path
from equidiff.analysis.path.search import SetPath
from equidiff.analysis.path.steps import JUMP, Steps
from equidiff.contracts.sample_kind import SampleKind
from equidiff.folders.atomic import write_atomically
from equidiff.folders.json_files import parse_json
from equidiff.folders.paths import unwritable
from equidiff.folders.status import timestamp
from equidiff.folders.text import to_json
from equidiff.run.invariant_set import InvariantSet
from equidiff.search.engine import FAILED, MEMBER, NOT_CONVERGED

SCHEMA_VERSION = 1
FRAME_MS = 120


def path_folder(run: Path, ends: tuple[int, int]) -> Path:
    """Folder of a path between these members."""
    return run / "paths" / "-".join(f"{end:03d}" for end in ends)


def describe_path(path: SetPath, found: InvariantSet) -> dict[str, Any]:
    """Content of `path.json`; numbers that were not measured are absent."""
    losses, straight = path.straight
    tolerance = found.info.tolerance
    return {
        "schema_version": SCHEMA_VERSION,
        "made": timestamp(),
        "ends": list(path.ends),
        "tolerance": tolerance,
        "target": found.info.target.model_dump(),
        "counts": {"frames": len(path.records), "members": len(path.members)}
        | {status: sum(each.status == status for each in path.records) for status in (NOT_CONVERGED, FAILED)},
        "evaluations": round(path.evaluations, 3),
        "steps": _describe_steps(path.steps),
        "jumps": [{"from": before, "to": after} for before, after in path.jumps],
        "jump_ratio": JUMP,
        "straight": {
            "losses": [loss if math.isfinite(loss) else None for loss in losses],
            "inside": sum(loss < tolerance for loss in losses),
            "steps": _describe_steps(straight),
        },
        "traces": dict(path.traces),
        "frames": [
            parse_json(record.to_json()) | {"image": _file(path, record.index, found.kind)} for record in path.records
        ],
    }


def write_path(run: Path, path: SetPath, found: InvariantSet, measure: Measure, animated: bool) -> Path:
    """Write a path, replacing an earlier one between the same members.

    Args:
        run: the run folder.
        path: the path to write; only frames that are members get an image.
        found: the set that it lies in.
        measure: the objective, from samples to measurements; for the contour plot of points.
        animated: write `path.gif` too.

    Raises:
        RunFolderError: it cannot be written.
    """
    folder = path_folder(run, path.ends)
    try:
        folder.parent.mkdir(exist_ok=True)
        return write_atomically(folder, lambda part: _write(part, path, found, measure, animated))
    except OSError as error:
        raise unwritable(folder, error) from error


def _write(folder: Path, path: SetPath, found: InvariantSet, measure: Measure, animated: bool) -> None:
    folder.mkdir()
    save_file({name: value.contiguous() for name, value in path.rows.items()}, folder / "tensors.safetensors")
    if found.kind.suffix is not None:
        (folder / "frames").mkdir()
        for frame in path.members:
            found.kind.write(folder / "frames" / _name(frame, found.kind), path.rows["samples"][frame])
    draw_path(path, found, measure).save(folder / "path.png")
    if animated:
        first, *others = animate(path)
        first.save(folder / "path.gif", save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    text = to_json(describe_path(path, found), indent=2)
    (folder / "path.json").write_text(text + "\n", encoding="utf-8")


def _file(path: SetPath, frame: int, kind: SampleKind) -> str | None:
    written = path.records[frame].status == MEMBER and kind.suffix is not None
    return f"frames/{_name(frame, kind)}" if written else None


def _name(frame: int, kind: SampleKind) -> str:
    return f"{frame:02d}{kind.suffix}"


def _describe_steps(steps: Steps) -> dict[str, Any]:
    return {
        "angles": steps.angles,
        "images": steps.images,
        "largest_angle": max(steps.angles),
        "largest_image": max(steps.images),
        "largest_ratio": steps.ratio,
    }
