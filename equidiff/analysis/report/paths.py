"""Paths of `equidiff path` on the page: frames to scrub through, with what stands still and what moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from torch import Tensor

from equidiff.analysis.report.data_uris import FRAME, frame_uri
from equidiff.analysis.report.results import damaged, items, text_of
from equidiff.contracts import SampleKind
from equidiff.folders.status import read_description
from equidiff.folders.tensors import read_tensors
from equidiff.images.convert import to_image
from equidiff.run.invariant_set import InvariantSet
from equidiff.search.engine import MEMBER

VERSION = 1
MOST_PATHS, MOST_FRAMES = 12, 200
MOST_CLASSES, MOST_UNITS = 5, 5  # that move most


@dataclass(frozen=True)
class PathStrip:
    """A path between two members.

    Attributes:
        ends: their indices.
        title: such as "member 3 to member 11".
        about: the number of frames that are members.
        data: for the page's script: frames, and what moves from one to the next.
    """

    ends: tuple[int, int]
    title: str
    about: str
    data: dict[str, Any]


def read_paths(path: Path, found: InvariantSet) -> list[PathStrip]:
    """Paths in a run folder whose samples can be drawn one by one; none for others.

    Raises:
        RunFolderError: a file is damaged, or of another version.
    """
    if found.kind.tile(found.samples[0], FRAME) is None:
        return []
    files = sorted((path / "paths").glob("*/path.json"))[:MOST_PATHS]
    return [_read(file, found) for file in files]


def _read(file: Path, found: InvariantSet) -> PathStrip:
    error = damaged(file, "path")
    about = read_description(file, "path", VERSION, {"ends", "frames"}, error, error)
    try:
        samples = read_tensors(file.with_name("tensors.safetensors"))["samples"]
        frames = about["frames"]
        first, second = (int(end) for end in about["ends"])
        if len(frames) != len(samples) or not 1 <= len(frames) <= MOST_FRAMES:
            raise ValueError(f"{len(frames)} frames, {len(samples)} samples")
        kind = found.kind
        shown = [_frame(frame, sample, kind) for frame, sample in zip(frames, samples, strict=True)]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as cause:
        raise error from cause
    members = sum(frame["member"] for frame in shown)
    text = f"{members} of {len(shown)} frames are members{_jumps(about)}"
    data = {"frames": shown, "gauge": _gauge(found, shown), **_traces(about, len(shown))}
    title = f"member {first} to member {second}"
    return PathStrip((first, second), title, text, data)


def _jumps(about: dict[str, Any]) -> str:
    """Places at which the path is not continuous."""
    places = [dict(items(each)) for each in about.get("jumps") or []]
    named = [f"from frame {text_of(each.get('from'))} to {text_of(each.get('to'))}" for each in places]
    return f"; it jumps {' and '.join(named)}" if named else ""


def _frame(frame: dict[str, Any], sample: Tensor, kind: SampleKind) -> dict[str, Any]:
    member = frame.get("status") == MEMBER and bool(sample.isfinite().all())
    values = frame.get("measurement") or []
    called = dict(items(frame.get("called")))
    return {
        "member": member,
        # a frame that is not a member is never shown as one
        "image": _image(kind, sample) if member else None,
        "value": float(values[0]) if len(values) == 1 else None,
        "called": text_of(called.get("name")),
        "chance": called.get("probability") if isinstance(called.get("probability"), float) else None,
    }


def _image(kind: SampleKind, sample: Tensor) -> str | None:
    image = to_image(sample) if kind.is_image else kind.tile(sample, FRAME)
    return None if image is None else frame_uri(image)


def _gauge(found: InvariantSet, frames: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Dial of the unit: from the lowest to the highest measurement of prior samples, and of the frames."""
    target = found.info.target
    values = [frame["value"] for frame in frames if frame["value"] is not None]
    if len(target.values) != 1 or not values:
        return None
    prior = found.prior["measurements"].flatten().tolist() if "measurements" in found.prior else []
    seen = [value for value in (*values, *prior, target.values[0]) if math.isfinite(value)]
    low, high = min(seen), max(seen)
    # a little room on both sides, so that no needle lies on its end
    room = 0.05 * (high - low) or max(abs(high), 1.0) * 0.1
    about = "from the lowest to the highest prior sample" if prior else ""
    return {
        "name": target.names[0],
        "unit": target.unit,
        "target": target.values[0],
        "low": low - room,
        "high": high + room,
        "about": about,
    }


class _Trace(BaseModel):
    """Numbers along a path: a row for each frame, a column for each name."""

    model_config = ConfigDict(allow_inf_nan=False)

    names: list[str]
    values: list[list[float | None]]


def _traces(about: dict[str, Any], frames: int) -> dict[str, Any]:
    """Classes and other units along the path, those that move most; what was not recorded is absent."""
    traces = dict(items(about.get("traces")))
    found: dict[str, Any] = {}
    for name, most in (("classes", MOST_CLASSES), ("units", MOST_UNITS)):
        try:
            trace = _Trace.model_validate(traces.get(name))
        except ValidationError:
            continue
        if len(trace.values) != frames or any(len(row) != len(trace.names) for row in trace.values):
            continue
        columns = [
            {"name": trace.names[each], "values": [row[each] for row in trace.values]}
            for each in range(len(trace.names))
        ]
        found[name] = sorted(columns, key=_movement, reverse=True)[:most]
    return found


def _movement(column: dict[str, Any]) -> float:
    known = [value for value in column["values"] if value is not None]
    return max(known, default=0.0) - min(known, default=0.0)
