"""`equidiff run --executor`: the same run, to the last bit, whatever happens to workers."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from executor_plugin import PLUGIN
from running import assert_equal_runs, assert_one_error, read_lines, read_run, run_circles, run_cli

from equidiff.contracts import Executor
from equidiff.parallel.execute import execute_with
from equidiff.parallel.spool import FOLDER, CallFile, Spool
from equidiff.run.folder import RunFolder, iter_packed, read_query
from equidiff.run.info import read_info
from equidiff.run.packed import unpack

pytestmark = pytest.mark.faults

SETTINGS = ("-n", "40", "--seed", "3", "--plain")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("accidents.py").write_text(PLUGIN)


@pytest.fixture
def inline():
    """An undisturbed run of this process."""
    assert run_circles(*SETTINGS, "--out", "inline").code == 0
    return Path("inline")


def with_accidents(options, *args):
    return run_circles("--plugin", "accidents.py", "--executor", f"accidents{options}", *args)


def test_processes_do_the_same_run(inline):
    outcome = run_circles(*SETTINGS, "--out", "other", "--executor", "processes,workers=2")
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout == "other\n"
    assert "executor     processes,workers=2, 2 workers" in outcome.stderr
    assert_equal_runs(inline, Path("other"))


@pytest.mark.parametrize("options", ["", ",workers=3,lost=2-3-6", ",workers=1,lost=2-3-4-5"])
def test_lost_workers_change_nothing(inline, options):
    outcome = with_accidents(options, *SETTINGS, "--out", "other")
    assert outcome.code == 0, outcome.stderr
    assert_equal_runs(inline, Path("other"))


def test_an_interrupted_run_keeps_what_is_finished_and_goes_on_anywhere(inline):
    outcome = with_accidents(",interrupted=3", *SETTINGS, "--out", "other")
    assert outcome.code == 130, outcome.stderr
    assert "Interrupted: 19 of 40 samples are finished and saved." in outcome.stderr
    assert "equidiff run --resume other" in outcome.stderr
    assert read_run(Path("other"))["status"] == "interrupted"
    outcome = run_cli("run", "--resume", "other", "--plugin", "accidents.py", "--executor", "accidents,lost=1")
    assert outcome.code == 0, outcome.stderr
    assert_equal_runs(inline, Path("other"))


def test_what_workers_left_behind_is_taken_over(inline):
    """The writer was killed with samples on the disk that it had not read yet."""
    info, query = read_info(inline), read_query(inline)
    folder = RunFolder.create(Path("killed"), info, query["query"])
    folder.close()
    spool = Spool(Path("killed") / FOLDER)
    file = CallFile(spool.address, range(40))
    for packed in iter_packed(inline):
        file.append(unpack(packed)[0].index, packed)
    damaged = next(Path("killed", FOLDER).glob("*.frames"))
    damaged.write_bytes(damaged.read_bytes()[:-5])
    outcome = run_cli("run", "--resume", "killed", "--plain")
    assert outcome.code == 0, outcome.stderr
    assert "1 of them still to find" in outcome.stderr
    for name in ("tensors/SHA256SUMS", "steps.jsonl"):
        assert (inline / name).read_bytes() == Path("killed", name).read_bytes()
    assert not Path("killed", FOLDER).exists()


def test_a_sample_that_ends_every_worker_is_failed_with_the_reason():
    outcome = with_accidents(",deadly=7", "-n", "20", "--out", "other", "--plain")
    assert outcome.code == 3, outcome.stderr
    failed = [line for line in read_lines(Path("other/members.jsonl")) if line["status"] != "member"]
    assert [(line["index"], line["status"], line["error"]) for line in failed] == [
        (7, "failed", "WorkerLostError: The worker died.")
    ]
    assert "19 of 20, 1 failed" in outcome.stderr


CUSTOM = """
def height(samples):
    return samples[:, 1:]
"""


def test_code_of_the_users_own_is_handed_on_because_it_was_named():
    Path("probe.py").write_text(CUSTOM)
    settings = ("-g", "toy:circles", "-o", "custom:./probe.py:height", "-n", "20", "--plain")
    assert run_cli("run", *settings, "--out", "one").code == 0
    more = ("--plugin", "accidents.py", "--executor", "accidents")
    outcome = run_cli("run", *settings, *more, "--out", "two")
    assert outcome.code == 0, outcome.stderr
    assert Path("one/tensors/SHA256SUMS").read_bytes() == Path("two/tensors/SHA256SUMS").read_bytes()
    info = json.loads(Path("two/run.json").read_text())
    Path("two/run.json").write_text(json.dumps({**info, "status": "interrupted"}))
    Path("two/tensors/00000.safetensors").unlink()
    assert_one_error(run_cli("run", "--resume", "two", *more), 1, "--objective")


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        ("proceses", ("processes",)),
        ("processes,worker=2", ("workers",)),
        ("processes,workers=0", ("workers",)),
        ("processes:2", ("processes",)),
    ],
)
def test_a_typo_is_found_before_anything_is_loaded(executor, words):
    outcome = run_circles("-n", "1", "--executor", executor, "--out", "never")
    assert outcome.code in {1, 2}
    assert_one_error(outcome, outcome.code, *words)
    assert not Path("never").exists()


def test_errors_of_the_run_are_those_of_an_inline_run():
    wrong = ("-n", "1", "--query", "99", "--plain")
    texts = [run_circles(*wrong).stderr, with_accidents("", *wrong).stderr]
    assert "error: " in texts[0]
    assert texts[0].split("error: ")[1] == texts[1].split("error: ")[1]


NARROW = """
import torch

def height(samples):
    if len(samples) > 4:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return samples[:, 1:]
"""


def test_workers_tell_once_that_passes_have_become_smaller():
    Path("probe.py").write_text(NARROW)
    settings = ("-g", "toy:circles", "-o", "custom:./probe.py:height", "-n", "40", "--batch", "8", "--plain")
    more = ("--plugin", "accidents.py", "--executor", "accidents")
    outcome = run_cli("run", *settings, *more, "--out", "one")
    assert outcome.code == 0, outcome.stderr
    notes = [line for line in outcome.stderr.splitlines() if "Out of memory" in line]
    assert notes == ["Out of memory with 8 samples in one pass: continuing with 4. Use --batch 4 to start there."]
    Path("s.yaml").write_text(
        "generator: toy:circles\nobjective: custom:./probe.py:height\nsamples: 20\nbatch: 8\nquery: [0, 1]\n"
    )
    outcome = run_cli("sweep", "s.yaml", "--run-code", *more, "--plain")
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.count("Out of memory with 8 samples in one pass: continuing with 4.") == 1


class Patient(Executor):
    """One worker, which finds nothing before the samples of the call before have their lines."""

    workers = 2

    def __init__(self, members):
        self._members, self._threads, self._asked = members, ThreadPoolExecutor(1), 0

    def submit(self, function, /, *args):
        expected, self._asked = self._asked, self._asked + sum(len(indices) for _, indices in args[0])
        return self._threads.submit(self._carry_out, function, args, expected)

    def _carry_out(self, function, args, expected):
        until = time.monotonic() + 20
        while len(read_lines(self._members)) < expected:
            assert time.monotonic() < until, "a sample waits for the next one"
            time.sleep(0.01)
        return function(*args)

    def shutdown(self, *, wait=True, cancel_futures=False):
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)


def test_a_finished_sample_has_its_line_before_the_next_one_comes(inline):
    """Also where two samples come at once, of which only the first gives them a reason to write."""
    info, query = read_info(inline), read_query(inline)
    folder = RunFolder.create(Path("other"), info, query["query"])
    execute_with(Patient(folder.path / "members.jsonl"), folder, range(40))
    assert folder.info.status == "complete"
    assert_equal_runs(inline, folder.path)
