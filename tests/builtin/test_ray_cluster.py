"""A ray cluster that runs already: two runs share it and leave it as it is, and a run outlives its head."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from running import CIRCLES, assert_equal_runs, read_lines, read_run, run_cli

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.faults

LONGEST_S = 120
SETTINGS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # or workers wait for all else that this machine does
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",  # seconds until ray gives a head up; it waits a minute by itself
}
START = ("--head", "--block", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats")
ADDRESS = r"--address='([^']+)'\n"  # in what the head prints
PROBE = """
import pathlib, time

hold, lines = pathlib.Path("hold"), pathlib.Path("long", "members.jsonl")

def height(samples):
    while hold.exists() and lines.exists() and lines.stat().st_size:
        time.sleep(0.05)
    return samples[:, 1:]
"""
SHORT = ("run", *CIRCLES, "-n", "4", "--plain")
LONG = ("run", "-g", "toy:circles", "-o", "custom:./probe.py:height", "-n", "48", "--batch", "2", "--plain")


def wait_until(condition):
    ends = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.fixture
def head(monkeypatch):
    """Process and address of the head of a cluster, all of whose processes are in its group."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "head.log"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *START, f"--temp-dir={folder}"]
        with log.open("w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        try:
            wait_until(lambda: process.poll() is not None or re.search(ADDRESS, log.read_text()))
            (address,) = re.findall(ADDRESS, log.read_text())
            yield process, address
        finally:
            kill(process)


def kill(process):
    """As the failure of a machine does."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(LONGEST_S)


def start(*command):
    words = [sys.executable, "-m", "equidiff", *map(str, command)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(path):
    file = path / "members.jsonl"
    return read_lines(file) if file.exists() else []


def test_runs_share_a_cluster_and_outlive_its_head(tmp_path, monkeypatch, head):
    monkeypatch.chdir(tmp_path)
    Path("probe.py").write_text(PROBE)
    Path("hold").touch()
    process, address = head
    executor = ("--executor", f"ray,address={address},workers=1")
    long, short = start(*LONG, *executor, "--out", "long"), start(*SHORT, *executor, "--out", "short")
    _, told = short.communicate(timeout=LONGEST_S)
    assert short.returncode == 0, told
    wait_until(lambda: finished(Path("long")) or long.poll() is not None)
    assert process.poll() is None
    assert long.poll() is None
    kill(process)
    kept = finished(Path("long"))
    stdout, stderr = long.communicate(timeout=LONGEST_S)
    assert (long.returncode, stdout) == (1, "")
    assert stderr.count("error: ") == 1, stderr
    assert "The head of the ray cluster has ended." in stderr
    assert "Traceback" not in stderr
    assert read_run(Path("long"))["status"] == "failed"
    Path("hold").unlink()
    assert run_cli("run", "--resume", "long", "-o", "custom:./probe.py:height", "--plain").code == 0
    for name, command in (("long", LONG), ("short", SHORT)):
        assert run_cli(*command, "--out", f"{name}-inline").code == 0
        assert_equal_runs(Path(name), Path(f"{name}-inline"))
    assert all(line in finished(Path("long")) for line in kept)
