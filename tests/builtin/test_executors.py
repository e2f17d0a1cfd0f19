"""The executors that ship keep their contract."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError

import psutil
import pytest

from equidiff.builtin.executors.descriptors import ProcessesOptions
from equidiff.builtin.executors.inline import Inline
from equidiff.builtin.executors.processes import Processes, build
from equidiff.contracts import BuildContext
from equidiff.errors import WorkerLostError
from equidiff.testing import check_executor

pytestmark = pytest.mark.faults

LONGEST_S = 60


def wait_until(condition):
    ends = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_inline_keeps_its_contract():
    check_executor(Inline())


def test_inline_does_each_call_at_once():
    done = []
    Inline().submit(done.append, 1)
    assert done == [1]


def test_processes_keep_their_contract():
    check_executor(Processes(1, [None, None]))


@pytest.fixture(scope="module")
def pair():
    """Two workers, which see other CUDA devices."""
    with Processes(3, ["0", "GPU-5"]) as executor:
        yield executor


def test_each_worker_has_its_own_device_and_its_share_of_the_threads(pair):
    seen = [pair.submit(os.getenv, "CUDA_VISIBLE_DEVICES") for _ in range(2)]
    assert {future.result(LONGEST_S) for future in seen} == {"0", "GPU-5"}
    assert pair.submit(os.getenv, "OMP_NUM_THREADS").result(LONGEST_S) == "3"


def test_what_a_worker_prints_does_not_reach_the_terminal(pair, capfd):
    assert pair.submit(os.system, "echo out; echo err >&2").result(LONGEST_S) == 0
    assert pair.submit(print, "more").result(LONGEST_S) is None
    assert capfd.readouterr() == ("", "")


def test_a_worker_begins_without_torch(pair):
    """Or the number of its threads would come too late."""
    assert pair.submit(eval, "'torch' in __import__('sys').modules").result(LONGEST_S) is False


def test_a_killed_worker_costs_its_own_call_only(pair):
    other = pair.submit(time.sleep, 1)
    error = pair.submit(eval, "__import__('os').kill(__import__('os').getpid(), 9)").exception(LONGEST_S)
    assert isinstance(error, WorkerLostError)
    assert "SIGKILL" in str(error)
    assert other.result(LONGEST_S) is None
    assert pair.submit(pow, 2, 3).result(LONGEST_S) == 8


def test_a_worker_that_dies_between_two_calls_is_replaced():
    with Processes(1, [None]) as executor:
        process = executor.submit(os.getpid).result(LONGEST_S)
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(process))
        results = [executor.submit(pow, 2, 3) for _ in range(3)]
        values = [future.exception(LONGEST_S) or future.result() for future in results]
        assert values[1:] == [8, 8]
        assert values[0] == 8 or isinstance(values[0], WorkerLostError)


def test_the_last_words_of_a_worker_are_told(pair):
    error = pair.submit(eval, "__import__('os').write(2, b'no space left\\n') and __import__('os')._exit(5)")
    assert error.exception(LONGEST_S).rows == [("given", "no space left")]
    assert "exit code 5" in str(error.exception())


def test_a_call_that_is_cancelled_ends_its_worker(pair):
    hanging = pair.submit(time.sleep, 1000)
    wait_until(hanging.running)
    assert hanging.cancel()
    assert isinstance(hanging.exception(LONGEST_S), CancelledError)
    assert [pair.submit(pow, 2, 3).result(LONGEST_S) for _ in range(4)] == [8] * 4


def test_a_shutdown_ends_calls_that_hang():
    executor = Processes(1, [None])
    process = executor.submit(os.getpid).result(LONGEST_S)
    hanging, waiting = executor.submit(time.sleep, 1000), executor.submit(pow, 2, 2)
    executor.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    assert isinstance(hanging.exception(LONGEST_S), CancelledError)
    assert not psutil.pid_exists(process)


SCRIPT = """
import os, time
from equidiff.builtin.executors.processes import Processes

executor = Processes(1, [None])
print(executor.submit(os.getpid).result(), flush=True)
executor.submit(time.sleep, 1000).result()
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    """The script has no guard for `__main__`, which a worker must not run again."""
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen([sys.executable, tmp_path / "script.py"], stdout=subprocess.PIPE, text=True) as parent:
        process = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: not psutil.pid_exists(process))


@pytest.mark.parametrize(
    ("device", "options", "devices"),
    [
        ("cuda", {}, ["4", "5"]),
        ("cuda", {"workers": 3}, ["4", "5", "4"]),
        ("cuda:1", {"workers": 2}, ["5", "5"]),
        ("cpu", {"workers": 2}, [None, None]),
        ("mps", {}, [None]),
    ],
)
def test_a_worker_for_each_device(device, options, devices, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("equidiff.builtin.executors.processes.choose_device", lambda name: name)
    built = []
    monkeypatch.setattr(
        "equidiff.builtin.executors.processes.Processes", lambda threads, devices: built.append(devices)
    )
    build(None, ProcessesOptions(**options), BuildContext(device=device))
    assert built == [devices]
