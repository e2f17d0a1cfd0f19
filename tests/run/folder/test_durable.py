"""Runs that end at any moment: nothing that was finished is lost, and the completed run equals an undisturbed one."""

import errno
import json
import os
import random
import shutil
import signal
import time

import pytest
import torch
from made_folders import add, contents, info, make, resume
from power_cut import Disk
from running import make_old, read_lines, read_run, read_tensors
from safetensors.torch import save_file

from equidiff.errors import RunFolderError
from equidiff.folders.lock import Lock, Owner
from equidiff.run.folder import RunFolder, iter_packed
from equidiff.run.folder import commit as commits
from equidiff.run.info import read_info
from equidiff.run.invariant_set import InvariantSet

pytestmark = pytest.mark.faults

COUNT = 40


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make(tmp_path_factory.mktemp("whole") / "run", COUNT)


@pytest.fixture(scope="module")
def whole_of_256(tmp_path_factory):
    return make(tmp_path_factory.mktemp("whole") / "run", COUNT, segment=256)


def assert_same(path, whole):
    assert contents(path) == contents(whole)
    assert read_run(path)["status"] == "complete"
    assert not (path / "partial").exists()


@pytest.mark.parametrize("seed", range(3))
def test_segments_do_not_depend_on_the_order_of_samples(whole, tmp_path, seed):
    order = random.Random(seed).sample(range(COUNT), COUNT)
    assert_same(make(tmp_path / "run", COUNT, order), whole)


def test_a_power_cut_at_every_moment(whole, tmp_path, monkeypatch):
    """At each moment at which the disk has got something, all that a line speaks of is there."""
    monkeypatch.setattr(commits, "GROUPED_S", 0.0)
    path = tmp_path / "run"
    path.mkdir()
    disk, cuts = Disk(path, monkeypatch), []
    disk.after_sync = lambda: cuts.append(disk.copy(tmp_path / "cuts" / f"{len(cuts):04d}"))
    folder = RunFolder.create(path, info(COUNT), torch.zeros(1, 2))
    for index in random.Random(0).sample(range(COUNT), COUNT):
        add(folder, index)
    folder.finish("complete", 1.0)
    disk.after_sync = lambda: None
    begun = [cut for cut in cuts if (cut / "run.json").exists()]
    assert len(begun) > 2 * COUNT
    for cut in [*begun[:: len(begun) // 12], cuts[-1]]:
        said = {line["index"] for line in read_lines(cut / "members.jsonl")}
        assert not said & set(resume(cut))
        assert_same(cut, whole)
    assert resume(cuts[-1]) == []


def test_control_a_writer_that_does_not_wait_loses_samples(tmp_path, monkeypatch):
    """The simulated disk is strict: without the sync of journals, lines speak of samples that are not there."""
    monkeypatch.setattr(commits, "GROUPED_S", 0.0)
    monkeypatch.setattr(commits, "sync_file", lambda file: None)
    path = tmp_path / "run"
    path.mkdir()
    disk = Disk(path, monkeypatch)
    folder = RunFolder.create(path, info(COUNT), torch.zeros(1, 2))
    for index in range(3):
        add(folder, index)
    cut = disk.copy(tmp_path / "cut")
    folder.close()
    assert len(read_lines(cut / "members.jsonl")) == 3
    assert set(resume(cut)) >= {0, 1, 2}


def write_until_killed(path, seed):
    """A process that writes a run, killed after a random time; the samples that it said were finished."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            folder = RunFolder.reopen(path)
            for index in random.Random(seed).sample(range(COUNT), COUNT):
                if index not in folder.finished:
                    add(folder, index)
                    os.write(writing, bytes([index]))
            folder.finish("complete", 1.0)
        finally:
            os._exit(0)
    os.close(writing)
    said = os.read(reading, 1)
    time.sleep(random.Random(seed).uniform(0, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 256):
        said += more
    os.close(reading)
    return set(said)


def test_killed_at_random_moments(whole, tmp_path):
    for seed in range(6):
        path = tmp_path / f"run-{seed}"
        folder = RunFolder.create(path, info(COUNT), torch.zeros(1, 2))
        folder.close()
        said = write_until_killed(path, seed)
        assert read_run(path)["status"] in {"running", "complete"}
        assert not said & set(resume(path))
        assert_same(path, whole)


def test_a_second_process_is_refused_and_a_dead_one_is_not(tmp_path):
    path = make(tmp_path / "run", COUNT, range(5), "interrupted")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        held = Lock(path)
        os.write(writing, b"x" if held else b"")
        signal.pause()
    os.read(reading, 1)
    with pytest.raises(RunFolderError, match="at work in another process") as caught:
        RunFolder.reopen(path)
    owner = Owner.read(path / ".owner.json")
    assert f"process {child} on {owner.host}" in caught.value.given
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert owner.is_dead
    assert len(resume(path)) == COUNT - 5
    assert not (path / ".owner.json").exists()


def test_a_lock_that_only_children_hold_is_taken_over(tmp_path):
    lock = Lock(tmp_path)
    owner = json.loads((tmp_path / ".owner.json").read_text())
    with pytest.raises(RunFolderError, match="at work"):
        Lock(tmp_path)
    (tmp_path / ".owner.json").write_text(json.dumps(owner | {"boot": "another"}))
    other = Lock(tmp_path)
    with pytest.raises(RunFolderError, match="at work"):
        Lock(tmp_path)
    other.release()
    lock.release()


def full(*_args, **_more):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "place", ["commit.append_frame", "commit.sync_file", "write.write_segment", "write.sort_lines"]
)
def test_a_full_disk_ends_with_the_status_failed(whole, tmp_path, monkeypatch, place):
    path = tmp_path / "run"
    folder = RunFolder.create(path, info(COUNT), torch.zeros(1, 2))
    add(folder, 0)
    with monkeypatch.context() as patch:
        patch.setattr(f"equidiff.run.folder.{place}", full)
        error = None
        try:
            for index in range(1, COUNT):
                add(folder, index)
        except OSError as failure:
            error = str(failure)
        try:
            folder.finish("failed" if error else "complete", 1.0, error)
        except OSError as failure:
            error = str(failure)
    assert "No space left" in error
    assert read_run(path)["status"] == "failed"
    assert "No space left" in read_run(path)["error"]
    assert 0 not in resume(path)
    assert_same(path, whole)


def test_room_is_kept_for_the_last_words(tmp_path, monkeypatch):
    """The status is written with the room that a file has kept for it."""
    path = tmp_path / "run"
    folder = RunFolder.create(path, info(COUNT), torch.zeros(1, 2))
    assert (path / ".reserve").stat().st_size > 16 * len(folder.info.to_json())

    def write_if_there_is_room(file, content, real=commits.append_lines):
        if (path / ".reserve").exists():
            full()
        file.write_text(content)

    monkeypatch.setattr("equidiff.run.folder.write.write_atomically", write_if_there_is_room)
    folder.finish("failed", 1.0, "the disk is full")
    assert read_run(path)["status"] == "failed"


def test_a_run_that_was_killed_before_it_began(tmp_path):
    path = tmp_path / "run"
    folder = RunFolder.create(path, info(COUNT), torch.zeros(1, 2))
    folder.close()
    (path / "run.json").unlink()
    (path / "run.json.part").write_text("{")
    with pytest.raises(RunFolderError, match="before it began") as caught:
        read_info(path)
    assert caught.value.hint.startswith(f"equidiff run --out {path}")
    make(path, COUNT)
    shutil.copytree(path, tmp_path / "other")
    (tmp_path / "other" / "run.json").unlink()  # its samples are there: it is not replaced
    with pytest.raises(RunFolderError, match="exists already"):
        make(tmp_path / "other", COUNT)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("damage", [False, True])
def test_old_runs_go_on_with_todays_files(whole_of_256, tmp_path, version, damage):
    path = make(tmp_path / "run", COUNT, range(0, COUNT, 2), "interrupted")
    make_old(path, version)
    before = read_tensors(path)
    lines = (path / "members.jsonl").read_bytes().split(b"\n")
    if damage:  # of one line: the others keep their tensors
        lines[2] = lines[2].replace(b'"index"', b'"index\x00', 1)
        (path / "members.jsonl").write_bytes(b"\n".join(lines))
    assert set(resume(path)) == {*range(1, COUNT, 2), *({4} if damage else ())}
    assert_same(path, whole_of_256)
    assert read_run(path)["schema_version"] == 3
    assert not (path / "tensors.safetensors").exists()
    torch.testing.assert_close(read_tensors(path)["latents"][::2], before["latents"], equal_nan=True)


def test_an_upgrade_that_was_cut_short(whole_of_256, tmp_path, monkeypatch):
    path = make(tmp_path / "run", COUNT, range(9), "interrupted")
    make_old(path)
    with monkeypatch.context() as patch:
        patch.setattr("equidiff.run.folder.upgrade.write_atomically", full)
        with pytest.raises(RunFolderError, match="No space left"):
            RunFolder.reopen(path)
    assert resume(path) == [*range(9, COUNT)]
    assert_same(path, whole_of_256)


def test_old_runs_keep_samples_that_lie_in_files_of_their_own(whole_of_256, tmp_path):
    """As a killed run of an earlier version left them, one of them damaged."""
    path = make(tmp_path / "run", COUNT, range(9), "interrupted")
    make_old(path)
    found = InvariantSet.load(path)
    (path / "tensors.safetensors").unlink()
    (path / "partial").mkdir()
    for position, record in enumerate(found.records):
        if record.status == "member":
            row = {name: found.rows[name][position : position + 1].clone() for name in found.rows}
            save_file(row, path / "partial" / f"{record.index:05d}.safetensors")
    save_file({"query": found.query}, path / "partial" / "query.safetensors")
    (path / "partial" / "00003.safetensors").write_bytes(b"")
    assert resume(path) == [3, *range(9, COUNT)]
    assert_same(path, whole_of_256)


def test_from_folders_to_a_folder(whole, tmp_path):
    """Samples of several folders, packed: the segments of the whole, byte for byte."""
    halves = {"a": range(19), "b": range(19, COUNT)}
    parts = [make(tmp_path / name, COUNT, indices, "interrupted") for name, indices in halves.items()]
    folder = RunFolder.create(tmp_path / "merged", info(COUNT), torch.zeros(1, 2))
    for part in reversed(parts):
        for packed in iter_packed(part):
            assert folder.add_packed(packed) is not None
    assert folder.add_packed(next(iter_packed(parts[0]))) is None  # it is there
    folder.finish("complete", 2.0)
    assert_same(folder.path, whole)
    assert len(list(iter_packed(whole, [39, 2, 99]))) == 2


def test_a_clock_that_goes_back(tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path / "run", info(3), torch.zeros(1, 2))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    add(folder, 0)
    folder.finish("interrupted", -5.0)
    assert read_info(tmp_path / "run").wall_s == 0.0
    assert resume(tmp_path / "run") == [1, 2]
