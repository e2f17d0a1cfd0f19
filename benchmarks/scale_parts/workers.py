"""Throughput with one and two workers, beside one process: one run each, one thread a process, one after the other."""

import importlib.util
from pathlib import Path

from scale_parts.processes import Watched, head, run_words, show, watch

EXECUTORS = ("inline", "processes,workers=1", "processes,workers=2", "ray,workers=1", "ray,workers=2")
BATCH = 16


def table(count: int, place: Path) -> None:
    """Carry out the same run with each executor.

    The rate is counted from the first line to the last, without the start of workers, which the first line waits for.
    """
    columns = (
        "executor",
        "seconds",
        "first sample after",
        "samples a second",
        "of one worker",
        "writer's CPU a sample",
    )
    head(f"Throughput: {count} garments, one thread a process", *columns)
    rates: dict[str, float] = {}
    for executor in EXECUTORS:
        name = executor.partition(",")[0]
        if name == "ray" and importlib.util.find_spec("ray") is None:
            show(executor, "ray is not installed", "", "", "", "")
            continue
        folder = place / executor.replace(",", "-")
        more = () if name == "inline" else ("--executor", executor)
        found = watch(run_words("garments", count, folder, *more, "--budget", 8, batch=BATCH), folder)
        rates[executor] = found.rate
        one = rates.get(f"{name},workers=1")
        show(executor, *_cells(found), f"{found.rate / one:.2f}" if one else "", _writer(found, name))


def _cells(found: Watched) -> tuple[str, str, str]:
    return f"{found.seconds:.1f}", f"{found.first:.1f} s", f"{found.rate:.2f}"


def _writer(found: Watched, name: str) -> str:
    """CPU of the process that writes, which in one process is also the one that searches."""
    return "" if name == "inline" else f"{1000 * found.overhead:.1f} ms"
