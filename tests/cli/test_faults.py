"""A folder that vanishes or cannot be written, and a clock that goes back: runs go on as if nothing had happened."""

import itertools
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
from running import assert_equal_runs, assert_one_error, read_lines, read_run, run_circles, run_cli

from equidiff.cli.handlers.progress import Watch
from equidiff.errors import RunFolderError
from equidiff.folders import lock, status
from equidiff.run.folder import RunFolder

pytestmark = pytest.mark.faults

SETTINGS = ("-n", "12", "--batch", "4", "--seed", "5", "--plain", "--out", "run")
NOBODY = 65534
RUN = Path("run")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)
        assert run_circles(*SETTINGS).code == 0
    return path


@contextmanager
def after(count, happens):
    """Do something when this many samples of a run are finished."""
    seen = []

    def result(self, record, original=Watch.result):
        original(self, record)
        seen.append(record)
        if len(seen) == count:
            happens()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "result", result)
        yield


def assert_goes_on(undisturbed, kept):
    before = read_lines(RUN / "members.jsonl")
    assert len(before) >= kept
    assert run_cli("run", "--resume", "run", "--plain").code == 0
    assert_equal_runs(RUN, undisturbed)
    after = {line["index"]: line for line in read_lines(RUN / "members.jsonl")}
    assert all(after[line["index"]] == line for line in before)


@pytest.mark.parametrize("count", [1, 6, 12])
def test_a_folder_that_vanishes(undisturbed, count):
    with after(count, lambda: RUN.rename("away")):
        outcome = run_circles(*SETTINGS)
    assert_one_error(outcome, 1)
    if RUN.exists():
        shutil.rmtree(RUN)
    Path("away").rename(RUN)
    assert read_run(RUN)["status"] == "running"
    assert_goes_on(undisturbed, 1)


@contextmanager
def read_only(folder):
    """A folder that this process cannot write; one with all rights becomes one without for a while."""
    places = [folder, *folder.rglob("*")]
    modes = {place: place.stat().st_mode for place in places}
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    powerful = os.geteuid() == 0
    if powerful:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if powerful:
            os.seteuid(0)
        for place, mode in modes.items():
            place.chmod(mode)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such rights on this system")
def test_a_folder_that_becomes_read_only(undisturbed, monkeypatch):
    with tempfile.TemporaryDirectory() as folder:  # nobody may enter those of pytest
        Path(folder).chmod(0o755)
        monkeypatch.chdir(folder)
        taken = None

        def take():
            nonlocal taken
            taken = read_only(RUN)
            taken.__enter__()

        with after(6, take):
            outcome = run_circles(*SETTINGS)
        refused = run_cli("run", "--resume", "run", "--plain")
        taken.__exit__(None, None, None)
        assert_one_error(outcome, 1, "Permission denied")
        assert_one_error(refused, 1, "cannot be written", "Permission denied")
        assert read_run(RUN)["status"] == "running"
        assert_goes_on(undisturbed, 1)
        monkeypatch.undo()


@pytest.fixture
def falling(monkeypatch):
    """Clocks that go back by a minute each time that they are read; the monotonic one does not."""
    seconds = itertools.count(2_000_000_000, -60)

    class Falling(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(next(seconds), timezone.utc)

    monkeypatch.setattr(time, "time", lambda: float(next(seconds)))
    monkeypatch.setattr(status, "datetime", Falling)
    return seconds


@pytest.mark.usefixtures("falling")
def test_a_clock_that_goes_back_during_a_run(undisturbed):
    refused = []

    def reopen():
        owner = lock.Owner.read(RUN / lock.OWNER)
        assert not owner.is_dead
        with pytest.raises(RunFolderError, match="at work in another process") as caught:
            RunFolder.reopen(RUN)
        refused.append(caught)
        raise KeyboardInterrupt

    with after(5, reopen):
        assert run_circles(*SETTINGS).code == 130
    assert refused
    first = read_run(RUN)
    assert first["status"] == "interrupted"
    assert first["finished"] < first["started"]
    assert_goes_on(undisturbed, 5)
    second = read_run(RUN)
    assert second["wall_s"] >= first["wall_s"] > 0
    assert all(line["wall_s"] >= 0 for line in read_lines(RUN / "members.jsonl"))


def test_a_clock_that_is_set_makes_no_lock_stale(tmp_path, monkeypatch):
    """Where the system names no start, the time of the start would change with the clock."""
    monkeypatch.setattr(lock, "BOOT", tmp_path / "none")
    monkeypatch.setattr("psutil.boot_time", iter([1e9, 1e9 - 3600]).__next__)
    lock._boot.cache_clear()
    try:
        held = lock.Lock(tmp_path)
        lock._boot.cache_clear()  # as another process
        assert not lock.Owner.read(tmp_path / lock.OWNER).is_dead
        with pytest.raises(RunFolderError, match="at work"):
            lock.Lock(tmp_path)
        held.release()
    finally:
        lock._boot.cache_clear()
