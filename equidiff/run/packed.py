"""A finished sample as bytes: the same between processes, in the journals of a run folder, and from folder to folder.

The bytes are a safetensors file. Its metadata holds the record and the steps of the sample as JSON; its tensors are the
sample's rows, none where it failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import save
from safetensors.torch import load
from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders import text
from equidiff.folders.json_files import parse_json
from equidiff.run.record import Record
from equidiff.search.engine import FAILED, StepRecord

ROWS = ("latents", "samples", "measurements")
KEY = "sample"  # one key of metadata: the order of several is not the same in each file


def pack(record: Record, rows: Mapping[str, Tensor] | None, steps: Iterable[StepRecord] = ()) -> bytes:
    """Bytes of a finished sample, which depend on nothing but the sample.

    Args:
        record: what is known about it.
        rows: its latents, samples and measurements, one row each; None where it failed.
        steps: that led to it.
    """
    about = {"record": record.to_dict(), "steps": [step_values(step) for step in steps]}
    own = {} if rows is None else {name: rows[name].detach().cpu().float().numpy() for name in ROWS}
    return save(own, {KEY: text.to_json(about)})


def unpack(data: bytes) -> tuple[Record, dict[str, Tensor] | None, list[StepRecord]]:
    """Record, rows and steps of a packed sample; the rows are None where it failed.

    Raises:
        RunFolderError: the bytes are not a packed sample.
    """
    try:
        rows = load(data)
        about = parse_json(_metadata(data)[KEY])
        record = Record.from_dict(about["record"])
        steps = list(map(read_step, about["steps"]))
    except (SafetensorError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from None
    if not _is_index(record.index) or any(step.index != record.index for step in steps):
        raise _damaged(f"index {record.index!r}")
    if record.status == FAILED:
        return record, None, steps
    if rows.keys() != set(ROWS) or any(len(row.shape) < 1 or len(row) != 1 for row in rows.values()):
        raise _damaged(f"sample {record.index}, tensors {', '.join(sorted(rows)) or 'none'}")
    if any(row.dtype != torch.float32 for row in rows.values()):
        raise _damaged(f"sample {record.index}, tensors that are not float32")
    return record, rows, steps


def step_values(step: StepRecord) -> dict[str, Any]:
    """A line of `steps.jsonl`, as values of JSON."""
    return {**vars(step), "evaluations": round(step.evaluations, 3)}


def read_step(values: Any) -> StepRecord:
    """The step that a line of `steps.jsonl` holds.

    Raises:
        ValueError: it is none.
    """
    return _steps().validate_python(values)


@cache
def _steps() -> TypeAdapter[StepRecord]:
    return TypeAdapter(StepRecord)


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    return parse_json(data[8 : 8 + length])["__metadata__"]


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _damaged(given: str) -> RunFolderError:
    return RunFolderError(
        "This is not a packed sample.", given=given, expected="bytes that equidiff.run.packed.pack returned"
    )
