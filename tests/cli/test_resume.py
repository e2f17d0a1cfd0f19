"""Runs that end early, and their continuation."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from running import CIRCLES, PLUGIN_FILE, assert_one_error, read_lines, read_run, read_tensors, run_circles, run_cli

from equidiff.cli.handlers.progress import Watch
from equidiff.run.folder import RunFolder, commit

pytestmark = pytest.mark.faults

SLOW = ("--target", "0.5", "--tolerance", "1e-8", "-n", "24", "--batch", "2", "--seed", "5")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@contextmanager
def interrupted(count, sent=signal.SIGINT):
    """Make runs send themselves a signal once this many samples are finished."""
    seen = []

    def result(self, record, original=Watch.result):
        original(self, record)
        seen.append(record)
        if len(seen) == count:
            os.kill(os.getpid(), sent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "result", result)
        # a shell's background jobs, and so some CI's, inherit that this signal is ignored
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    assert run_circles(*SLOW, "--out", path).code == 0
    return path


def assert_same_run(path, whole):
    lines, others = read_lines(path / "members.jsonl"), read_lines(whole / "members.jsonl")
    for line, other in zip(lines, others, strict=True):
        for name in ("index", "status", "steps"):
            assert line[name] == other[name], name
        # the samples shared batches with others: equal up to rounding
        assert line["measurement"] == pytest.approx(other["measurement"], abs=1e-5)
    tensors, expected = read_tensors(path), read_tensors(whole)
    assert tensors.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(tensors[name], value, atol=1e-5), name
    steps = sorted((line["index"], line["step"]) for line in read_lines(path / "steps.jsonl"))
    assert steps == sorted((line["index"], line["step"]) for line in read_lines(whole / "steps.jsonl"))
    info, other = read_run(path), read_run(whole)
    # costs depend on the samples that shared a batch
    for name in info.keys() - {"started", "finished", "wall_s", "evaluations", "folder", "run_folder"}:
        assert info[name] == other[name], name
    assert not (path / "partial").exists()


def start_and_send(sent):
    """Start a run in its own process, and send it a signal once a few samples are finished."""
    command = [sys.executable, "-m", "equidiff", "run", *CIRCLES, *SLOW, "--out", "run"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as from a terminal
    )
    members = Path("run/members.jsonl")
    limit = time.monotonic() + 120
    while not (members.exists() and len(members.read_text().splitlines()) >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.005)
    process.send_signal(sent)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def test_control_c_then_resume(uninterrupted):
    code, stdout, stderr = start_and_send(signal.SIGINT)
    assert (code, stdout) == (130, ""), stderr
    assert "Traceback" not in stderr
    saved = re.search(r"Interrupted: (\d+) of 24 samples are finished and saved.\ncontinue with: (.*)", stderr)
    assert saved[2] == "equidiff run --resume run"
    assert read_run(Path("run"))["status"] == "interrupted"
    assert len(read_lines(Path("run/members.jsonl"))) == int(saved[1])
    resumed = run_cli(*saved[2].split()[1:])
    assert resumed.code == 0
    assert f"{24 - int(saved[1])} of them still to find" in resumed.stderr
    assert_same_run(Path("run"), uninterrupted)


@pytest.mark.parametrize("name", ["steps.jsonl", "members.jsonl"])
def test_control_c_while_lines_are_written(uninterrupted, monkeypatch, name):
    """It waits until they are: each sample has its lines once."""
    sent = []

    def append(file, lines, real=commit._append):
        real(file, lines)
        if lines and file.name == name and not sent:
            sent.append(len(lines))
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(commit, "_append", append)
    with interrupted(count=-1):
        outcome = run_circles(*SLOW, "--out", "run")
    assert outcome.code == 130, outcome.stderr
    assert sent
    assert run_cli("run", "--resume", "run").code == 0
    assert_same_run(Path("run"), uninterrupted)


def test_killed_then_resume(uninterrupted):
    code, _, _ = start_and_send(signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert read_run(Path("run"))["status"] == "running"
    with Path("run/members.jsonl").open("a") as file:
        file.write('{"index": 23, "status": "mem')  # a line that a kill may leave half-written
    assert run_cli("run", "--resume", "run").code == 0
    assert_same_run(Path("run"), uninterrupted)


def test_termination_and_two_interruptions(uninterrupted):
    with interrupted(3, signal.SIGTERM):
        assert run_circles(*SLOW, "--out", "run").code == 130
    with interrupted(4):
        assert run_cli("run", "--resume", "run").code == 130
    assert read_run(Path("run"))["counts"]["members"] == len(read_lines(Path("run/members.jsonl"))) >= 7
    assert run_cli("run", "--resume", "run").code == 0
    assert_same_run(Path("run"), uninterrupted)


def test_killed_while_resumed(uninterrupted):
    """The tensors of the first part survive a second part that never ended."""
    with interrupted(3):
        run_circles(*SLOW, "--out", "run")
    folder = RunFolder.reopen(Path("run"))
    before = read_tensors(Path("run"))
    record = replace(next(folder.records), index=23, image=None)
    rows = {name: before[name][:1] for name in ("latents", "samples", "measurements")}
    folder.add_result(record, rows)  # the second part's only sample; then the process is gone
    folder.close()
    reopened = RunFolder.reopen(Path("run"))
    assert reopened.finished == folder.finished
    reopened.close()
    for name, value in read_tensors(Path("run")).items():
        assert torch.equal(value, before[name] if name == "query" else torch.cat([before[name], rows[name]]))


def test_a_resumed_run_keeps_its_query():
    with interrupted(2):
        run_circles("--query", "2", "-n", "6", "--batch", "1", "--out", "run")
    before = read_tensors(Path("run"))["query"]
    target = read_run(Path("run"))["target"]
    assert run_cli("run", "--resume", "run").code == 0
    assert torch.equal(read_tensors(Path("run"))["query"], before)
    assert read_run(Path("run"))["target"] == target


def test_a_complete_run_is_not_run_again():
    run_circles("-n", "2", "--out", "run")
    before = Path("run/run.json").read_text()
    outcome = run_cli("run", "--resume", "run")
    assert outcome.code == 0
    assert "already complete: 2 of 2" in outcome.stderr
    assert outcome.stdout == "run\n"
    assert run_cli("run", "--resume", "run", "--json").stdout == before
    run_circles("-n", "2", "--target", "3", "--budget", "9", "--out", "other")
    assert run_cli("run", "--resume", "other").code == 3


@pytest.mark.parametrize(
    "more", [("-n", "9"), ("--seed", "1"), ("--generator", "toy"), ("--out", "x"), ("--target", "1")], ids=" ".join
)
def test_a_resumed_run_keeps_its_settings(more):
    run_circles("-n", "1", "--out", "run")
    assert_one_error(run_cli("run", "--resume", "run", *more), 2, "keeps its own settings")


def test_another_objective_is_refused():
    run_circles("-n", "1", "--out", "run")
    outcome = run_cli("run", "--resume", "run", "-o", "classifier:outer")
    assert_one_error(outcome, 2, "keeps its objective", "classifier:inner")


def unfinish(path):
    """Turn a complete run into one that was interrupted after its first sample."""
    info = read_run(path) | {"status": "interrupted"}
    (path / "run.json").write_text(json.dumps(info))
    lines = (path / "members.jsonl").read_text().splitlines(keepends=True)
    (path / "members.jsonl").write_text(lines[0])


def test_own_code_runs_only_when_it_is_named_again():
    probe = "from pathlib import Path\nPath('ran').touch()\ndef score(points):\n    return points.sum(dim=1)\n"
    Path("own_probe.py").write_text(probe)
    spec = "custom:./own_probe.py:score"
    assert run_circles("-o", spec, "--query", "0", "-n", "2", "--out", "run").code == 0
    unfinish(Path("run"))
    Path("ran").unlink()
    sys.modules.pop("equidiff_file_own_probe")
    outcome = run_cli("run", "--resume", "run")
    assert_one_error(outcome, 1, spec, f"equidiff run --resume run --objective {spec}")
    assert not Path("ran").exists()
    assert run_cli("run", "--resume", "run", "--objective", spec).code == 0
    assert Path("ran").exists()


def test_a_plugin_file_runs_only_when_it_is_named_again():

    Path("heights.py").write_text(PLUGIN_FILE)
    run = ("--generator", "toy:circles", "--objective", "height", "-n", "2", "--out", "run")
    assert run_cli("run", *run, "--plugin", "heights.py").code == 0
    unfinish(Path("run"))
    assert_one_error(run_cli("run", "--resume", "run"), 1, "equidiff run --resume run --plugin heights.py")
    assert run_cli("run", "--resume", "run", "--plugin", "./heights.py").code == 0


def test_objects_made_in_python_cannot_be_rebuilt():
    run_circles("-n", "2", "--out", "run")
    unfinish(Path("run"))
    info = read_run(Path("run"))
    info["specs"]["solver"] = "<mine.Solver>"
    Path("run/run.json").write_text(json.dumps(info))
    assert_one_error(run_cli("run", "--resume", "run"), 1, "<mine.Solver>", "equidiff.sample")


def test_other_weights_are_refused():
    run_circles("-n", "2", "--out", "run")
    unfinish(Path("run"))
    info = read_run(Path("run"))
    info["weights"][0]["sha256"] = "0" * 64
    Path("run/run.json").write_text(json.dumps(info))
    assert_one_error(run_cli("run", "--resume", "run"), 1, "circles_mlp.safetensors")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema_version": 1}'])
def test_damaged_run_json(content):
    Path("run").mkdir()
    Path("run/run.json").write_text(content)
    assert_one_error(run_cli("run", "--resume", "run"), 1, "run.json of this folder cannot be read")


def test_other_schema_version():
    Path("run").mkdir()
    Path("run/run.json").write_text('{"schema_version": 4}')
    assert_one_error(run_cli("run", "--resume", "run"), 1, "another version")
