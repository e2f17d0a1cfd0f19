"""Descriptors and options of the executors that ship with EquiDiff."""

from __future__ import annotations

from pydantic import Field

from equidiff.plugin import Descriptor, Options


class ProcessesOptions(Options):
    """Options of `processes`."""

    workers: int | None = Field(
        None, ge=1, le=1024, description="number of processes; by default one a CUDA device, or one a core, at most 8"
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="threads of each process; by default its share of the cores, or OMP_NUM_THREADS where that is set",
    )


EXECUTORS = [
    Descriptor(
        "inline",
        "equidiff.builtin.executors.inline:build",
        "This process: one sample after another, with no workers.",
        examples=("inline",),
    ),
    Descriptor(
        "processes",
        "equidiff.builtin.executors.processes:build",
        "Processes of this machine: one for each CUDA device, or several that share the cores.",
        options=ProcessesOptions,
        examples=("processes", "processes,workers=2"),
        synonyms={
            **dict.fromkeys(("n", "jobs", "processes", "max_workers", "n_jobs", "num_workers"), "workers"),
            **dict.fromkeys(("cpus", "cores", "num_threads"), "threads"),
        },
    ),
]
