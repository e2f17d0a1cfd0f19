"""A sweep of 8 units x 8 samples on SLURM and on ray, with jobs killed on the way, compared with this process.

    python benchmarks/clusters.py slurm     needs Debian's slurm-wlm and munge; no privileges
    python benchmarks/clusters.py ray       needs equidiff[ray]

For SLURM, a cluster of one node is started (benchmarks/slurm.sh). The sweep goes through `--executor slurm`; on the way
one job is killed and the node is drained for a few seconds. Then one run goes through a plain array of `--part`s, a
task of which is killed and queued again. For ray, one of two workers is killed with SIGKILL.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from same_runs import equal

HERE = Path(__file__).parent
SWEEP = "generator: toy:fashion\nobjective: neuron:0-7\nsamples: 8\nbudget: 4\n"
RUN = "run -g toy:fashion -o neuron:17 --budget 4 -n 64"
ARRAY = """#!/usr/bin/env bash
part={folder}/part-$SLURM_ARRAY_TASK_ID
if [ -e "$part/run.json" ]; then equidiff run --resume "$part"
else equidiff {run} --part "$SLURM_ARRAY_TASK_ID/4" --out "$part"; fi
code=$?; [ $code -eq 3 ] && code=0; exit $code
"""
QUICK_S, LONG_S = 0.5, 900.0


def command(*words: object, check: bool = True) -> str:
    """Run a command and return its output."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if check and done.returncode not in {0, 3}:
        raise RuntimeError(f"{words}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def wait(until: Callable[[], object]) -> None:
    """Return when something is true."""
    end = time.monotonic() + LONG_S
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing for {LONG_S:g} s")
        time.sleep(QUICK_S)


def finished(folder: Path) -> int:
    """Samples that have a line, in all runs of a folder."""
    return sum(file.read_bytes().count(b"\n") for file in folder.rglob("members.jsonl"))


def sweep(folder: Path, file: Path, executor: str | None, disturb: Callable[[], None] = lambda: None) -> float:
    """Carry out the sweep, disturb it when a quarter of it is done, and return its seconds."""
    words = ["equidiff", "sweep", file, "--out", folder, "-q", *(["--executor", executor] if executor else [])]
    started = time.monotonic()
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)
    if executor is not None:
        wait(lambda: process.poll() is not None or finished(folder) >= 8)
        disturb()
    if process.wait(LONG_S) not in {0, 3}:
        raise RuntimeError(f"the sweep ended with {process.returncode}")
    return time.monotonic() - started


def compare_sweeps(reference: Path, other: Path) -> str:
    """The number of runs that are equal."""
    with (reference / "sweep.csv").open(encoding="utf-8") as table:
        names = [row["name"] for row in csv.DictReader(table)]
    same = sum(equal(reference / "runs" / name, other / "runs" / name) for name in names)
    return f"{same} of {len(names)} runs equal, bit for bit"


def disturb_slurm() -> None:
    """Kill one job, and take the node out of service for a while."""
    node = command("sinfo", "-h", "-o", "%n").strip()
    command("scontrol", "update", f"nodename={node}", "state=drain", "reason=trial")
    jobs = command("squeue", "-h", "-r", "-t", "R", "-o", "%A").split()
    print(f"  the node is drained; of {len(jobs)} jobs, {jobs[0]} is killed")
    command("scancel", "--signal=KILL", "--full", jobs[0])
    time.sleep(5)
    command("scontrol", "update", f"nodename={node}", "state=resume")


def disturb_ray() -> None:
    """Kill one of ray's workers."""
    workers = [
        each for each in psutil.process_iter(["cmdline"]) if (each.info["cmdline"] or [""])[0].startswith("ray::")
    ]
    busy = max(workers, key=lambda each: each.cpu_times().user)
    print(f"  of {len(workers)} processes of ray, {busy.pid} is killed")
    os.kill(busy.pid, signal.SIGKILL)


def array_of_parts(folder: Path) -> float:
    """One run as a SLURM array of four parts, one of which is killed and queued again; returns its seconds."""
    script = folder / "array.sh"
    script.write_text(ARRAY.format(folder=folder, run=RUN), encoding="utf-8")
    started = time.monotonic()
    job = command("sbatch", "--parsable", "--array=1-4", "--requeue", f"--output={folder}/%A-%a.log", script).strip()
    wait(lambda: finished(folder) >= 4)
    task = command("squeue", "-h", "-r", "-t", "R", "-j", job, "-o", "%A").split()[0]
    print(f"  of the array, job {task} is queued again in the middle")
    command("scontrol", "requeue", task)
    wait(lambda: not command("squeue", "-h", "-j", job, check=False).strip())
    command("equidiff", "merge", *sorted(folder.glob("part-*")), "--out", folder / "merged")
    return time.monotonic() - started


def on_slurm(folder: Path, reference: Path | None, file: Path) -> None:
    """The sweep, where there is one to compare with, and the array on a SLURM of one node."""
    script = HERE / "slurm.sh"
    subprocess.run(["bash", "-c", f". {script} start {folder}/slurm"], check=True)
    os.environ["SLURM_CONF"] = f"{folder}/slurm/slurm.conf"
    try:
        if reference is not None:
            seconds = sweep(folder / "by-slurm", file, "slurm,jobs=2,cpus=1", disturb_slurm)
            print(f"slurm, 2 jobs: {seconds:.1f} s; {compare_sweeps(reference, folder / 'by-slurm')}")
        started = time.monotonic()
        command("equidiff", *RUN.split(), "--out", folder / "whole")
        inline = time.monotonic() - started
        (folder / "array").mkdir()
        seconds = array_of_parts(folder / "array")
        same = equal(folder / "whole", folder / "array" / "merged")
        print(f"array of 4 parts, 64 samples: {seconds:.1f} s (inline {inline:.1f} s); equal, bit for bit: {same}")
    finally:
        subprocess.run(["bash", str(script), "stop", f"{folder}/slurm"], check=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the trial and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cluster", choices=("slurm", "ray"))
    parser.add_argument("--only-array", action="store_true", help="of SLURM, the array of parts alone")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="clusters-"))
    file = folder / "sweep.yaml"
    file.write_text(SWEEP, encoding="utf-8")
    reference = folder / "inline"
    if not options.only_array:
        print(f"inline: {sweep(reference, file, None):.1f} s for 8 units x 8 samples", flush=True)
    if options.cluster == "slurm":
        on_slurm(folder, None if options.only_array else reference, file)
    else:
        seconds = sweep(folder / "by-ray", file, "ray,workers=2", disturb_ray)
        print(f"ray, 2 workers: {seconds:.1f} s; {compare_sweeps(reference, folder / 'by-ray')}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
