"""Damaged files of run folders: no error but `RunFolderError`, and no sample ever has the tensors of another."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_folders import contents, make, resume, value
from running import read_lines

from equidiff.errors import RunFolderError
from equidiff.run.folder import RunFolder, Survey, iter_packed
from equidiff.run.folder.journal import append_frame, read_frames
from equidiff.run.info import read_info
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.packed import unpack

pytestmark = pytest.mark.faults

COUNT = 20


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A complete run, and one that was interrupted, with a segment and a journal."""
    folder = tmp_path_factory.mktemp("runs")
    make(folder / "complete", COUNT)
    make(folder / "interrupted", COUNT, [*range(16), 18], "interrupted")
    return folder


def files_of(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and file.name[0] != ".")


def assert_own_tensors(path):
    found = InvariantSet.load(path)
    for position, record in enumerate(found.records):
        if record.status == "member":
            assert found.rows.take("measurements", [position]).item() == value(record.index)
            assert (found.rows.take("latents", [position]) == -value(record.index)).all()
    for packed in iter_packed(path):
        record, rows, _ = unpack(packed)
        assert rows is None or rows["measurements"].item() == value(record.index)


@pytest.mark.parametrize("name", ["complete", "interrupted"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_of_any_file(runs, tmp_path_factory, name, data):
    path = shutil.copytree(runs / name, tmp_path_factory.mktemp("damaged") / "run")
    file = path / data.draw(st.sampled_from(files_of(path)))
    content = bytearray(file.read_bytes())
    kind = data.draw(st.sampled_from(["byte", "cut", "zeros", "absent"]))
    place = data.draw(st.integers(0, max(len(content) - 1, 0)))
    if kind == "byte" and content:
        content[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del content[place:]
    elif kind == "zeros":
        content[place:] = bytes(len(content) - place)
    file.unlink() if kind == "absent" else file.write_bytes(content)
    with suppress(RunFolderError):
        assert_own_tensors(path)
    if file.name in {"run.json", "query.safetensors"}:
        return  # its own words are lost: nothing to resume, or no query to load
    resume(path)
    assert_own_tensors(path)
    members = {line["index"] for line in read_lines(path / "members.jsonl")}
    assert members == set(range(COUNT))
    assert Survey.make(path, read_info(path)).is_whole
    if file.suffix != ".jsonl":  # a changed number in a line is a number
        whole = contents(runs / "complete")
        assert {key: text for key, text in contents(path).items() if key.startswith("tensors/")} == {
            key: text for key, text in whole.items() if key.startswith("tensors/")
        }


@pytest.mark.parametrize(
    ("place", "change", "lost"),
    [
        ("members.jsonl", lambda b: b.replace(b'"index": 3,', b'"index": 4,', 1), [3, 4]),
        ("members.jsonl", lambda b: b.replace(b'"index": 3,', b'"index\x00: 3,', 1), [3]),
        ("tensors/00000.safetensors", lambda b: b[:-1] + bytes([b[-1] ^ 1]), [i for i in range(16) if i % 7 != 6]),
        ("tensors/SHA256SUMS", lambda b: bytes([b[0] ^ 1]) + b[1:], [i for i in range(16) if i % 7 != 6]),
        ("tensors/SHA256SUMS", lambda b: b"", []),
    ],
)
def test_damage_costs_its_own_samples_and_is_said(runs, tmp_path, place, change, lost):
    path = shutil.copytree(runs / "complete", tmp_path / "run")
    before = (path / place).read_bytes()
    (path / place).write_bytes(change(before))
    assert (path / place).read_bytes() != before
    survey = Survey.make(path, read_info(path))
    assert sorted(survey.lost) == lost
    if lost:
        with pytest.raises(RunFolderError, match="damaged or lost") as caught:
            assert_own_tensors(path)
        assert caught.value.hint.startswith(f"equidiff run --resume {path}")
        assert place.replace("SHA256SUMS", "00000.safetensors") in survey.damage
    assert resume(path) == lost
    assert contents(path) == contents(runs / "complete")


def test_a_torn_frame_costs_its_own_sample(tmp_path):
    """A full disk leaves half a frame; what comes behind it is read."""
    file = tmp_path / "00000.journal"
    for number in range(5):
        append_frame(file, bytes([number]) * 40)
        if number == 2:
            os.truncate(file, file.stat().st_size - 30)
    assert [packed[0] for _, packed in read_frames(file)] == [0, 1, 3, 4]


def test_files_are_closed_when_they_have_been_read(runs, tmp_path):
    """Windows removes and replaces no file that is mapped."""
    path = shutil.copytree(runs / "complete", tmp_path / "run")
    found = InvariantSet.load(path)
    kept = [found.rows["samples"], found.rows.take("latents", [3]), found.query]
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert str(path) not in maps.read()
    assert not [each for each in Path("/proc/self/fd").iterdir() if str(path) in os.path.realpath(each)]
    shutil.rmtree(path)
    assert torch.isfinite(kept[1]).all()


def test_usual_modes(runs):
    mask = os.umask(0)
    os.umask(mask)
    for name in files_of(runs / "complete"):
        assert (runs / "complete" / name).stat().st_mode & 0o777 == 0o666 & ~mask, name


def test_images_in_folders_of_a_thousand(tmp_path):
    shape = (1, 2, 2)
    path = make(tmp_path / "run", 1003, [0, 1, 999, 1001, 1002], "interrupted", shape, images="first:1002")
    assert {name for name in files_of(path) if name.startswith("images")} == {
        "images/00000.png", "images/00001.png", "images/00999.png", "images/001/01001.png",
    }  # fmt: skip
    found = InvariantSet.load(path)
    assert [record.image for record in found.records][-2:] == ["images/001/01001.png", None]
    assert len(found.images) == len(found)  # the others are made from the tensors
    none = make(tmp_path / "none", 3, shape=shape, images="none")
    assert not (none / "images").exists()
    folder = RunFolder.reopen(path)
    assert folder.image(1001) is not None
    assert folder.image(1002) is None
    folder.close()
