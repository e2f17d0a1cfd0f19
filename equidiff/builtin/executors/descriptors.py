"""Descriptors and options of the executors that ship with EquiDiff."""

from __future__ import annotations

from typing import Literal

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


class RayOptions(Options):
    """Options of `ray`."""

    address: str | None = Field(
        None,
        description="of a cluster: auto, or HOST:PORT; by default one starts on this machine and ends with the run",
    )
    workers: int | None = Field(
        None, ge=1, le=100_000, description="number of workers; by default as many as the cluster has room for"
    )
    cpus: float = Field(1.0, ge=0, le=4096, description="CPU cores that each worker takes")
    gpus: float | None = Field(
        None, ge=0, le=64, description="GPUs that each worker takes, 0.5 for half of one; by default 1 for runs on CUDA"
    )


class SlurmOptions(Options):
    """Options of `slurm`."""

    jobs: int = Field(4, ge=1, le=10_000, description="number of jobs, among which the samples are divided")
    partition: str | None = Field(None, description="of the cluster; by default its own default")
    time: str = Field("60", description="of a job, in minutes or as H:MM:SS; at this limit it goes on in a new turn")
    gpus: int | None = Field(None, ge=0, le=64, description="GPUs of each job; by default 1 with --device cuda")
    cpus: int = Field(1, ge=1, le=4096, description="CPU cores of each job")
    mem: str | None = Field(None, description="memory of each job, such as 16GB; by default the cluster's default")
    account: str | None = Field(None, description="that is charged")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features that the nodes must have")
    folder: str | None = Field(
        None, description="for the files of the jobs, on a disk that all nodes share; by default the one you are in"
    )
    cluster: Literal["slurm", "local"] = Field(
        "slurm", description="local runs the jobs as processes of this machine, to try them without SLURM"
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
    Descriptor(
        "ray",
        "equidiff.builtin.executors.ray:build",
        "A ray cluster: one that runs already, or one on this machine that starts and ends with the run.",
        options=RayOptions,
        needs=("ray",),
        examples=("ray,workers=2", "ray,address=auto,gpus=1"),
        synonyms={
            **dict.fromkeys(("n", "jobs", "actors", "max_workers", "n_jobs", "num_workers"), "workers"),
            **dict.fromkeys(("cores", "num_cpus"), "cpus"),
            **dict.fromkeys(("gpu", "num_gpus"), "gpus"),
            **dict.fromkeys(("host", "cluster", "url"), "address"),
        },
    ),
    Descriptor(
        "slurm",
        "equidiff.builtin.executors.slurm:build",
        "Jobs of a SLURM cluster: an array of jobs, each with a share of the samples, which goes on at its time limit.",
        options=SlurmOptions,
        needs=("submitit",),
        examples=("slurm,partition=gpu,gpus=1,jobs=16", "slurm,jobs=8,time=4:00:00,cpus=4,mem=16GB"),
        synonyms={
            **dict.fromkeys(("n", "workers", "array", "n_jobs", "num_workers"), "jobs"),
            **dict.fromkeys(("timeout", "time_limit", "walltime", "timeout_min"), "time"),
            **dict.fromkeys(("gpu", "gpus_per_node", "gres"), "gpus"),
            **dict.fromkeys(("cores", "cpus_per_task"), "cpus"),
            **dict.fromkeys(("memory", "mem_gb"), "mem"),
            "queue": "partition",
        },
    ),
]
