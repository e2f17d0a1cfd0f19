"""Samples for run folders, whose numbers all follow from their index."""

import torch
from made_runs import made_info

from equidiff.run.folder import RunFolder
from equidiff.run.record import Record
from equidiff.search.engine import StepRecord


def info(asked, segment=16, **changes):
    return made_info(asked=asked, segment=segment, **changes)


def value(index):
    return float(torch.tensor(index / 7))


def record(index, status="member", **more):
    return Record(index, status, 2, 3.0, 1.0, 4.0, 0.5, measurement=[value(index)], **more)


def rows(index, shape=(2,)):
    return {
        "latents": torch.full((1, *shape), -value(index)),
        "samples": torch.full((1, *shape), value(index)),
        "measurements": torch.tensor([[value(index)]]),
    }


def add(folder, index, shape=(2,)):
    """Every seventh sample fails."""
    folder.add_step(StepRecord(index, 0, 1.0, 0.5))
    folder.add_step(StepRecord(index, 1, 3.0, 0.25))
    if index % 7 == 6:
        folder.add_result(record(index, "failed", error="line\u2028separator"), None)
    else:
        folder.add_result(record(index), rows(index, shape))


def make(path, count, order=None, status="complete", shape=(2,), **changes):
    """A run folder with these samples."""
    folder = RunFolder.create(path, info(count, **changes), torch.zeros(1, *shape))
    for index in range(count) if order is None else order:
        add(folder, index, shape)
    folder.finish(status, 1.0)
    return path


def resume(path):
    """Do what is missing; the indices that were done again."""
    folder = RunFolder.reopen(path)
    todo = [index for index in folder.info.indices if index not in folder.finished]
    for index in todo:
        add(folder, index)
    folder.finish("complete", 1.0)
    return todo


def contents(path):
    """All that a complete run holds, without times: equal for equal runs."""
    files = [path / name for name in ("members.jsonl", "steps.jsonl", "query.safetensors")]
    return {str(file.relative_to(path)): file.read_bytes() for file in [*files, *sorted((path / "tensors").iterdir())]}
