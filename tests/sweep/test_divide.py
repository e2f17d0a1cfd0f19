"""Sweeps whose runs are divided among workers equal those of one process, whatever happens on the way."""

import json
import shutil
from functools import partial

import pytest
from running import read_lines
from simulated import Simulated

from equidiff.errors import RunFolderError
from equidiff.folders.lock import Lock
from equidiff.parallel.dispatch import Dispatcher
from equidiff.registry.manager import Plugins
from equidiff.sweep import divide
from equidiff.sweep.divide import carry_out_divided
from equidiff.sweep.execute import Tools, carry_out
from equidiff.sweep.folder import SweepFolder
from equidiff.sweep.table import read_sweep

COMMON = {"generator": "toy:circles", "samples": "18"}  # more than one block
RUNS = [COMMON | {"objective": f"neuron:act1.{unit}", "query": query} for unit in (0, 1) for query in ("0", "1")]


class Observer:
    """Counts what it is told; interrupts after some samples."""

    has_forecast = True

    def __init__(self, most=None):
        self.samples, self.runs, self._most = [], [], most

    def measured(self, measured, workers):
        raise AssertionError("asked for a forecast that is there")

    def result(self, row, record):
        self.samples.append((row.name, record.index))
        if self._most is not None and len(self.samples) >= self._most:
            raise KeyboardInterrupt

    def batch_reduced(self, row, event):
        raise AssertionError("there is memory enough")

    def ended(self, row):
        self.runs.append(row.name)


def sweep(path, executor=None, runs=RUNS, most=None, monkeypatch=None):
    """Carry out a sweep, or go on with it; whoever watched."""
    folder = SweepFolder.reopen(path) if path.exists() else SweepFolder.plan(path, "s.yaml", runs)
    observer, tools = Observer(most), Tools(Plugins(), run_code=True)
    if executor is None:
        carry_out(folder, tools, observer)
        return observer
    with monkeypatch.context() as patch:
        patch.setattr(divide, "Dispatcher", partial(Dispatcher, clock=executor.clock, wait=executor.wait))
        carry_out_divided(folder, tools, executor, observer)
    return observer


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "out"
    sweep(path)
    return path


def assert_equal(path, alone):
    """Every file of each run is the same, but for times."""
    assert read_sweep(path).status == read_sweep(alone).status == "complete"
    runs = sorted(each.name for each in (alone / "runs").iterdir())
    assert runs == sorted(each.name for each in (path / "runs").iterdir())
    for name in runs:
        first, second = path / "runs" / name, alone / "runs" / name
        files = sorted(file.relative_to(second) for file in second.rglob("*") if file.is_file())
        assert files == sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
        for file in files:
            if file.suffix in {".safetensors", ".png"} or file.name == "SHA256SUMS":
                assert (first / file).read_bytes() == (second / file).read_bytes(), file
        assert timeless(first) == timeless(second)
        steps = [sorted(map(json.dumps, read_lines(each / "steps.jsonl"))) for each in (first, second)]
        assert steps[0] == steps[1]


def timeless(folder):
    return [{**line, "wall_s": 0} for line in read_lines(folder / "members.jsonl")]


@pytest.mark.parametrize("costly", [False, True])
def test_workers_that_die_and_straggle_change_nothing(tmp_path, alone, monkeypatch, costly):
    executor = Simulated(3, seed=1, dies=0.25, slow=0.3, costly=costly)
    observer = sweep(tmp_path / "out", executor, monkeypatch=monkeypatch)
    assert_equal(tmp_path / "out", alone)
    assert len(observer.samples) == len(set(observer.samples)) == 4 * 18
    assert sorted(observer.runs) == sorted(row.name for row in read_sweep(alone).runs)


@pytest.mark.parametrize("most", [1, 50])
def test_an_interrupted_sweep_goes_on(tmp_path, alone, monkeypatch, most):
    path = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        sweep(path, Simulated(2), most=most, monkeypatch=monkeypatch)
    info = read_sweep(path)
    assert info.status == "interrupted"
    kept = {(row.name, line["index"]) for row in info.runs if row.asked for line in timeless(path / "runs" / row.name)}
    assert len(kept) >= most
    observer = sweep(path, Simulated(2), monkeypatch=monkeypatch)
    assert not kept & set(observer.samples)  # nothing is done twice
    assert_equal(path, alone)


def test_a_sweep_of_one_process_goes_on_likewise(tmp_path, alone, monkeypatch):
    path = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        sweep(path, most=20)
    (path / "finished.jsonl").write_text("{torn")
    sweep(path, Simulated(2), monkeypatch=monkeypatch)
    assert_equal(path, alone)


def test_runs_that_fail_and_samples_that_kill_are_recorded(tmp_path, monkeypatch):
    bad = COMMON | {"objective": "custom:no_such_module:f", "query": "0"}
    observer = sweep(tmp_path / "out", Simulated(2, deadly={17}), [RUNS[0], bad, RUNS[1]], monkeypatch=monkeypatch)
    first, broken, last = read_sweep(tmp_path / "out").runs
    assert (first.status, broken.status, last.status) == ("complete", "failed", "complete")
    assert "no_such_module" in broken.error
    assert (first.members, first.samples_failed) == (17, 1)
    assert "died" in timeless(tmp_path / "out" / "runs" / first.name)[17]["error"]
    assert len(observer.runs) == 3


def test_a_run_that_somebody_removed_is_done_again(tmp_path, alone):
    path = tmp_path / "out"
    shutil.copytree(alone, path)
    name = read_sweep(path).runs[2].name
    shutil.rmtree(path / "runs" / name)
    assert sweep(path).runs == [name]
    assert_equal(path, alone)


def test_a_sweep_that_is_under_way_is_left_alone(tmp_path, alone):
    path = tmp_path / "out"
    shutil.copytree(alone, path)
    lock = Lock(path)
    try:
        with pytest.raises(RunFolderError, match="at work in another process"):
            sweep(path)
    finally:
        lock.release()
    assert sweep(path).runs == []
