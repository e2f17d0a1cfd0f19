"""Commands in processes of their own, measured; and runs whose samples are watched as they get their lines."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

BATCH = 256
GENERATORS = {"points": "toy:circles", "garments": "toy:fashion"}
CLI = "import sys; from equidiff.cli import main; main(sys.argv[1:])"
PINNED = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
LOOK_S = 0.05


@dataclass(frozen=True)
class Measured:
    """One process: wall and CPU seconds, and the peak of its memory in MB."""

    seconds: float
    cpu: float
    peak: float


@dataclass
class Watched:
    """A run that was watched.

    Attributes:
        seconds: of the whole command.
        moments: seconds from its start at which lines came, and the number of samples that had one then.
        writer: CPU seconds of the process that writes the folder, without its workers, at these moments.
    """

    seconds: float = 0.0
    moments: list[tuple[float, int]] = field(default_factory=list)
    writer: list[float] = field(default_factory=list)

    @property
    def first(self) -> float:
        """Seconds until the first line."""
        return self.moments[0][0]

    @property
    def rate(self) -> float:
        """Samples in a second, from the first line to the last."""
        (begun, before), (ended, after) = self.moments[0], self.moments[-1]
        return (after - before) / max(ended - begun, 1e-9)

    @property
    def overhead(self) -> float:
        """CPU seconds of the writing process for each sample, from the first line to the last."""
        return (self.writer[-1] - self.writer[0]) / max(self.moments[-1][1] - self.moments[0][1], 1)


def measure(
    code: str, *words: object, stop: tuple[Path, int] | None = None, env: dict[str, str] | None = None
) -> Measured:
    """Run Python code in a process of its own.

    Args:
        code: for `python -c`.
        words: its arguments.
        stop: interrupt it once this file has this many lines.
        env: more environment variables.
    """
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = _start(code, words, said, env)
        if stop is not None:
            while process.poll() is None and lines(stop[0]) < stop[1]:
                time.sleep(4 * LOOK_S)
            process.send_signal(signal.SIGINT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in ({0, 3} if stop is None else {0, 3, 130}):
            said.seek(0)
            raise SystemExit(said.read().decode())
    return Measured(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def watch(words: list[object], folder: Path) -> Watched:
    """Carry out `equidiff run` with one thread a process, and note when its samples get their lines."""
    found, begun, count = Watched(), time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = _start(CLI, words, said, PINNED)
        own = psutil.Process(process.pid)
        while process.poll() is None:
            now = lines(folder / "members.jsonl")
            if now > count:
                with suppress(psutil.Error):  # it has just ended
                    times = own.cpu_times()
                    count = now
                    found.moments.append((time.perf_counter() - begun, now))
                    found.writer.append(times.user + times.system)
            time.sleep(LOOK_S)
        if process.returncode not in {0, 3}:
            said.seek(0)
            raise SystemExit(said.read().decode())
    found.seconds = time.perf_counter() - begun
    return found


def _start(code: str, words: Iterable[object], said: IO[bytes], env: dict[str, str] | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | (env or {}))


def lines(file: Path) -> int:
    """Lines of a file; none where it is missing."""
    return file.read_bytes().count(b"\n") if file.exists() else 0


def run_words(kind: str, count: int, out: Path, *more: object, batch: int = BATCH) -> list[object]:
    """Arguments of `equidiff run`."""
    what = ["-g", GENERATORS[kind], "-o", "neuron:17", "-n", count]
    return ["run", *what, "--batch", batch, "--device", "cpu", "--out", out, *more]


def show(*cells: object) -> None:
    """Print a row of a table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def head(title: str, *columns: str) -> None:
    """Print the heading of a table."""
    print(f"\n{title}\n")
    show(*columns)
    print("|" + "---|" * len(columns), flush=True)
