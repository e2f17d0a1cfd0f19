"""Break runs in many ways, finish them, and compare each with one that was left alone: `python benchmarks/faults.py`.

Every trial runs the real command line in a process of its own, forked from this one so that torch is imported once.
After a fault, `equidiff run --resume` has to complete the run; what it has then must equal an undisturbed run, bit for
bit: no finished sample lost, none twice, none with the tensors of another.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from same_runs import equal
from tqdm import tqdm

from equidiff.cli import main as equidiff_main
from equidiff.run.folder import read_records

SAMPLES = 96
RUN = ("run", "-g", "toy:circles", "-o", "neuron:17", "--tolerance", "1e-6", "-n", str(SAMPLES), "--batch", "4", "-q")
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Trial:
    """One fault and its end.

    Attributes:
        kept: finished samples that the fault left behind.
        lost: of the samples whose line was written before the fault, those that were gone after it.
        twice: samples that have more than one line at the end.
        equal: the completed run equals an undisturbed one.
    """

    kept: int
    lost: int
    twice: int
    equal: bool


def start(args: Sequence[str], log: Path) -> int:
    """Run a command line in a forked process, in a group of its own, and return its process number."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        equidiff_main(list(args))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def end(pid: int) -> int:
    """Wait for a process, and return its exit code; -9 where it was killed."""
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"process {pid} did not end within {TIMEOUT_S:g} s")


def finished(run: Path) -> list[int]:
    """Indices of the samples that have a whole line."""
    try:
        lines = (run / "members.jsonl").read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError, KeyError):
            found.append(json.loads(line)["index"])
    return found


def complete(run: Path, before: Sequence[int], reference: Path, log: Path, extra: Sequence[str] = ()) -> Trial:
    """Finish a run after a fault, and compare it."""
    kept = finished(run)
    if (run / "run.json").exists():
        end(start(["run", "--resume", str(run), "-q", *extra], log))
    else:  # killed before it began
        end(start([*RUN, "--out", str(run), *extra], log))
    lines = [record.index for record in read_records(run)]
    return Trial(len(kept), len(set(before) - set(kept)), len(lines) - len(set(lines)), equal(run, reference))


Fault = Callable[[int, Path, random.Random], Sequence[int]]


def send(number: int) -> Fault:
    """A signal at a random moment."""

    def fault(pid: int, run: Path, dice: random.Random) -> Sequence[int]:
        wait(run, dice)
        before = finished(run)
        os.kill(pid, number)
        end(pid)
        return before

    return fault


def wait(run: Path, dice: random.Random) -> None:
    """Until a random number of samples is finished; for one trial in six, a moment before the first."""
    until = dice.randrange(SAMPLES) if dice.random() > 1 / 6 else 0
    deadline = time.monotonic() + TIMEOUT_S
    while len(finished(run)) < until and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(dice.random() * 0.05)


def second_process(pid: int, run: Path, dice: random.Random) -> Sequence[int]:
    """Another process that resumes the run while it is alive; the first one goes on, and is then killed."""
    wait(run, dice)
    if not (run / "run.json").exists():
        return send(signal.SIGKILL)(pid, run, dice)
    log = run.with_suffix(".second")
    code = end(start(["run", "--resume", str(run), "-q"], log))
    alive = os.waitpid(pid, os.WNOHANG)[0] == 0
    running = json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "running"
    if alive and running and code == 0:
        raise AssertionError(f"a second process was let into a live run: {log.read_text()}")
    before = finished(run)
    if alive:
        os.kill(pid, signal.SIGKILL)
        end(pid)
    return before


def damage(pick: Callable[[Path], list[Path]]) -> Fault:
    """A kill, and then a damaged byte, an empty file or a missing file among those that `pick` finds."""

    def fault(pid: int, run: Path, dice: random.Random) -> Sequence[int]:
        send(signal.SIGKILL)(pid, run, dice)
        files = pick(run)
        if files:
            file = dice.choice(files)
            content = bytearray(file.read_bytes())
            what = dice.randrange(3)
            if what == 0 and content:
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
                file.write_bytes(content)
            elif what == 1:
                file.write_bytes(b"")
            else:
                file.unlink()
        return []  # what was damaged is done again: it counts as lost if the end is not equal

    return fault


def vanish(pid: int, run: Path, dice: random.Random) -> Sequence[int]:
    """The folder is moved away while the run writes to it, and comes back when the run has given up."""
    wait(run, dice)
    if not run.exists():
        return send(signal.SIGKILL)(pid, run, dice)
    away = run.with_suffix(".away")
    run.rename(away)
    before = finished(away)
    end(pid)
    if run.exists():
        shutil.rmtree(run)
    away.rename(run)
    return before


FAULTS: dict[str, Fault] = {
    "killed (SIGKILL)": send(signal.SIGKILL),
    "ended (SIGTERM)": send(signal.SIGTERM),
    "Ctrl-C (SIGINT)": send(signal.SIGINT),
    "a second process": second_process,
    "journal damaged": damage(lambda run: sorted((run / "partial").glob("*"))),
    "segment damaged": damage(lambda run: sorted((run / "tensors").glob("*"))),
    "members.jsonl damaged": damage(lambda run: [each for each in [run / "members.jsonl"] if each.exists()]),
    "folder moved away": vanish,
}


def attempt(name: str, seed: int, folder: Path, reference: Path, extra: Sequence[str]) -> Trial:
    """Break one run, and finish it."""
    run, log = folder / f"{name.replace(' ', '-')}-{seed}", folder / "log.txt"
    dice = random.Random(f"{name} {seed}")
    pid = start([*RUN, "--out", str(run), *extra], log)
    before = FAULTS[name](pid, run, dice)
    trial = complete(run, before, reference, log, extra)
    if trial.equal:
        shutil.rmtree(run)
    return trial


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="trials of each fault (default: 5)")
    parser.add_argument("--only", choices=FAULTS, action="append", help="this fault alone; may be repeated")
    parser.add_argument("--executor", help="spec of an executor, e.g. processes,workers=2")
    parser.add_argument("--seed", type=int, default=0, help="of the first trial (default: 0)")
    return parser.parse_args()


def main() -> int:
    """Run all trials and print the table; 1 if anything was lost."""
    options = parse()
    extra = ["--executor", options.executor] if options.executor else []
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    reference = folder / "undisturbed"
    if end(start([*RUN, "--out", str(reference)], folder / "log.txt")) not in {0, 3}:
        sys.exit((folder / "log.txt").read_text())
    rows = []
    wrong = 0
    for name in options.only or FAULTS:
        seeds = range(options.seed, options.seed + options.times)
        trials = [attempt(name, seed, folder, reference, extra) for seed in tqdm(seeds, name, leave=False)]
        same = sum(trial.equal for trial in trials)
        lost, twice = sum(trial.lost for trial in trials), sum(trial.twice for trial in trials)
        wrong += lost + twice + len(trials) - same
        kept = f"{min(trial.kept for trial in trials)} to {max(trial.kept for trial in trials)}"
        rows.append(f"| {name} | {len(trials)} | {kept} | {lost} | {twice} | {same} of {len(trials)} |")
    print("| fault | trials | samples kept | lost | twice | equal to an undisturbed run |\n|---|---|---|---|---|---|")
    print("\n".join(rows))
    if wrong:
        print(f"see {folder}")
    else:
        shutil.rmtree(folder)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
