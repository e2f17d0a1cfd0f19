"""Signals that come when a run is being closed, twice, or from a terminal that is closed."""

import os
import signal
from pathlib import Path

import pytest
from running import CIRCLES, read_lines, read_run, run_cli

from equidiff.cli.handlers.progress import Watch
from equidiff.run.folder import RunFolder
from equidiff.run.signals import held_signals

pytestmark = pytest.mark.faults

RUN = ("run", *CIRCLES, "--target", "0.5", "-n", "8", "--batch", "2", "--out", "run")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background jobs inherit that it is ignored
    yield
    signal.signal(signal.SIGINT, before)


def sending(monkeypatch, owner, name, number, calls=1):
    """Make calls of a method send this process a signal."""
    seen = []
    original = getattr(owner, name)

    def call(self, *args, **kwargs):
        seen.append(args)
        if len(seen) == calls:
            os.kill(os.getpid(), number)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_the_run_is_closed_waits(monkeypatch, second):
    with monkeypatch.context() as patch:
        sending(patch, Watch, "result", signal.SIGINT, calls=3)
        sending(patch, RunFolder, "finish", second)
        outcome = run_cli(*RUN)
    assert outcome.code == 130
    finished = len(read_lines(Path("run/members.jsonl")))
    assert 3 <= finished < 8
    assert f"Interrupted: {finished} of 8 samples are finished and saved." in outcome.stderr
    assert "first sample" not in outcome.stderr
    assert read_run(Path("run"))["status"] == "interrupted"
    assert run_cli("run", "--resume", "run").code in {0, 3}
    assert len(read_lines(Path("run/members.jsonl"))) == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_whole_run_is_closed_waits(monkeypatch, number):
    sending(monkeypatch, RunFolder, "finish", number)
    outcome = run_cli(*RUN)
    assert outcome.code == 130
    assert "the samples are saved, but not all images of them are drawn" in outcome.stderr
    assert read_run(Path("run"))["status"] == "complete"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_a_terminal_that_is_closed_interrupts(monkeypatch):
    sending(monkeypatch, Watch, "result", signal.SIGHUP, calls=3)
    before = signal.getsignal(signal.SIGHUP)
    assert run_cli(*RUN).code == 130
    assert read_run(Path("run"))["status"] == "interrupted"
    assert signal.getsignal(signal.SIGHUP) == before


def test_an_interrupt_before_a_run_goes_on(monkeypatch):
    with monkeypatch.context() as patch:
        sending(patch, Watch, "result", signal.SIGINT, calls=3)
        run_cli(*RUN)

    def reopen(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("equidiff.cli.handlers.run.reopen", reopen)
    outcome = run_cli("run", "--resume", "run")
    assert (outcome.code, outcome.stderr.splitlines()[-1]) == (130, "Interrupted before another sample.")


def test_who_insists_does_not_wait():
    done = []

    def stubborn():
        with held_signals():
            signal.raise_signal(signal.SIGINT)
            done.append("once")
            signal.raise_signal(signal.SIGINT)
            done.append("twice")

    with pytest.raises(KeyboardInterrupt):
        stubborn()
    assert done == ["once"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_signals():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
