"""The run folder, schema version 3: files, counts and what a resumed run keeps."""

import json
import os
from pathlib import Path

import pytest
import torch
from made_runs import made_info
from PIL import Image
from running import assert_one_error, damage_tensors, read_lines, read_run, read_tensors, run_circles, run_cli

import equidiff
from equidiff.errors import RunFolderError
from equidiff.folders.paths import check_free, free_path
from equidiff.images.convert import image_to_tensor, quantized
from equidiff.run.folder import RunFolder, read_records
from equidiff.run.info import Counts, read_info
from equidiff.run.record import Record

RUN = {
    "folder", "run_folder", "notes",
    "schema_version", "status", "specs", "options", "target", "seed", "tolerance", "budget", "device", "dtype",
    "started", "finished", "wall_s", "versions", "weights", "counts", "evaluations", "search",
    "tolerance_given", "within", "prior", "called", "segment", "images", "kind",
}  # fmt: skip
MEMBER = {
    "index", "status", "steps", "evaluations", "forwards", "backwards", "loss", "loss_unfiltered", "measurement",
    "latent_norm", "wall_s", "called",
}  # fmt: skip
PICTURE = {"image", "outside"}


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", made_info(asked=3), torch.rand(1, 1, 4, 4))


def record(index, status="member", **more):
    return Record(index, status, 2, 3.0, 1, 4, 0.5, **more)


def rows(value=0.5):
    return {
        "latents": torch.zeros(1, 1, 4, 4),
        "samples": torch.full((1, 1, 4, 4), value),
        "measurements": torch.zeros(1, 1),
    }


def test_every_field_of_the_schema(tmp_path):
    path = run_circles("-n", "3", "--out", tmp_path / "run", "--query", "1").path
    info = read_run(path)
    assert info.keys() == RUN
    assert info["schema_version"] == 3
    assert info["status"] == "complete"
    assert info["specs"].keys() == {"generator", "objective", "regularizer", "solver", "law"}
    assert info["target"].keys() == {"values", "names", "unit", "source"}
    assert info["counts"] == {"asked": 3, "members": 3, "not_converged": 0, "failed": 0}
    assert {"equidiff", "torch"} <= info["versions"].keys()
    assert info["weights"][0].keys() == {"name", "sha256"}
    members = read_lines(path / "members.jsonl")
    assert [line["index"] for line in members] == [0, 1, 2]
    # no filtered loss without a regularizer, no picture of a point: what was not measured is absent
    assert all(line.keys() == MEMBER for line in members)
    assert {name for line in read_lines(path / "steps.jsonl") for name in line} == {
        "index", "step", "evaluations", "loss",
    }  # fmt: skip
    tensors = read_tensors(path)
    assert tensors.keys() == {"latents", "samples", "measurements", "query"}
    assert {value.dtype for value in tensors.values()} == {torch.float32}
    assert [len(tensors[name]) for name in ("latents", "samples", "measurements", "query")] == [3, 3, 3, 1]
    assert info["evaluations"] == pytest.approx(sum(line["evaluations"] for line in members), abs=0.01)


@pytest.mark.parametrize(
    ("objective", "solver", "search"),
    [
        ("neuron:17", "auto", "Newton steps, of intermediate states where the target is far"),
        ("classifier", "auto", "L-BFGS on intermediate states"),
        ("neuron:17", "lbfgs", None),
    ],
)
def test_which_search_was_chosen(tmp_path, objective, solver, search):
    path = tmp_path / "run"
    words = ["run", "-g", "toy:fashion,steps=2", "--query", "3", "-n", "1", "--budget", "2"]
    run_cli(*words, "-o", objective, "-s", solver, "--out", path)
    assert read_run(path).get("search") == search


def test_pictures_are_lossless(folder):
    sample = torch.linspace(-0.2, 1.2, 16).reshape(1, 1, 4, 4)
    folder.add_result(record(0), {**rows(), "samples": sample})
    folder.finish("complete", 1.0)
    found = equidiff.InvariantSet.load(folder.path)
    assert found.records[0].image == "images/00000.png"
    with Image.open(folder.path / "images/00000.png") as image:
        assert torch.allclose(image_to_tensor(image), quantized(sample), atol=1e-6)
    assert torch.equal(found.samples, sample)


def test_a_run_reads_as_running_until_it_is_finished(folder):
    folder.add_result(record(0), rows())
    info = read_run(folder.path)
    assert info["status"] == "running"
    # not measured yet: absent, not zero
    assert not {"finished", "wall_s", "evaluations"} & info.keys()
    assert info["counts"] == {"asked": 3}
    assert (folder.path / "query.png").exists()


def test_rows_follow_the_index_and_failures_are_blank(folder):
    for index, value in ((2, 0.2), (0, 0.0)):
        folder.add_result(record(index), rows(value))
    folder.add_result(record(1, "failed", error="it broke"), None)
    folder.finish("complete", 1.0)
    assert [each.index for each in read_records(folder.path)] == [0, 1, 2]
    samples = read_tensors(folder.path)["samples"][:, 0, 0, 0]
    assert torch.allclose(samples, torch.tensor([0.0, torch.nan, 0.2]), equal_nan=True)
    assert read_info(folder.path).counts == Counts(asked=3, members=2, not_converged=0, failed=1)
    assert not (folder.path / "partial").exists()
    assert not list(folder.path.rglob("*.part"))


def test_a_torn_line_is_dropped(folder):
    folder.add_result(record(0), rows())
    with (folder.path / "members.jsonl").open("ab") as file:
        file.write(b'{"index": 1, "status": "member", "st\xc3')
    folder.close()
    assert RunFolder.reopen(folder.path).finished == {0}
    assert len(read_lines(folder.path / "members.jsonl")) == 1


def test_a_line_without_its_tensors_is_dropped(folder):
    folder.add_result(record(0), rows())
    journal = folder.path / "partial" / "00000.journal"
    size = journal.stat().st_size
    folder.add_result(record(1), rows())
    folder.finish("interrupted", 1.0)
    os.truncate(journal, size)
    reopened = RunFolder.reopen(folder.path)
    assert reopened.finished == {0}
    assert reopened.damage == "Damaged: partial/00000.journal; one sample is done again."


def test_reopened_again_and_again(folder):
    for index in range(3):
        folder.add_result(record(index), rows(index / 4))
        folder.finish("interrupted", 1.0)
        folder = RunFolder.reopen(folder.path)
    folder.finish("complete", 1.0)
    tensors = read_tensors(folder.path)
    assert tensors["samples"][:, 0, 0, 0].tolist() == [0.0, 0.25, 0.5]
    assert tensors["query"].shape == (1, 1, 4, 4)
    assert read_info(folder.path).wall_s == 4.0


def test_a_failure_says_why_and_resuming_forgets_it(folder):
    folder.add_result(record(0), rows())
    folder.finish("failed", 1.0, "the disk is full")
    assert read_info(folder.path).error == "the disk is full"
    RunFolder.reopen(folder.path)
    info = read_run(folder.path)
    assert info["status"] == "running"
    assert not {"error", "finished"} & info.keys()


def test_a_measurement_that_is_a_view_of_its_sample(folder):
    point = torch.rand(1, 16)
    folder.add_result(record(0), {"latents": point, "samples": point, "measurements": point[:, :1]})


def test_damaged_tensors(folder):
    for index in range(3):
        folder.add_result(record(index), rows())
    folder.finish("complete", 1.0)
    damage_tensors(folder.path)
    with pytest.raises(RunFolderError, match="damaged or lost"):
        equidiff.InvariantSet.load(folder.path)


def test_saved_and_loaded(tmp_path):
    found = equidiff.sample("toy:circles", "classifier:inner", query=0, samples=3)
    loaded = equidiff.InvariantSet.load(found.save(tmp_path / "saved"))
    assert torch.equal(loaded.samples, found.samples)
    assert torch.equal(loaded.query, found.query)
    assert loaded.info.wall_s == found.info.wall_s
    again = equidiff.InvariantSet.load(loaded.save(tmp_path / "again"))
    assert again.info.wall_s == found.info.wall_s
    assert again.records == loaded.records


def test_check_free(tmp_path):
    check_free(tmp_path / "new")
    check_free(tmp_path / "deep" / "er")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(RunFolderError):
        check_free(tmp_path / "link")


def test_names_are_safe_and_not_taken(tmp_path):
    spec = "0.5*custom:./../probe.py:score + neuron:a b" + "x" * 200
    names = []
    for _ in range(3):
        path = free_path("toy:circles", spec, tmp_path)
        path.mkdir()
        names.append(path.name)
    assert len(set(names)) == 3
    assert all(len(name) < 120 and not set(name) & set("/ :*+") for name in names)
    assert path.parent == tmp_path


def test_records_round_trip():
    one = record(3, loss=0.5, measurement=[1.0], image="images/00003.png")
    values = json.loads(one.to_json())
    assert "error" not in values
    assert Record.from_dict(values | {"of_a_later_version": 1}) == one
    assert Path(values["image"]).name == "00003.png"


@pytest.mark.parametrize(
    "change",
    [
        lambda line: {name: value for name, value in line.items() if name != "status"},
        lambda line: line | {"called": {"indx": 9, "name": "ankle-boot", "probability": 0.9}},
        lambda line: line | {"called": 7},
        lambda line: [line],
    ],
)
def test_a_line_that_is_none_of_a_sample(change, tmp_path):
    path = run_circles("-n", 2, "--out", tmp_path / "run").path
    first, second = read_lines(path / "members.jsonl")
    (path / "members.jsonl").write_text(json.dumps(first) + "\n" + json.dumps(change(second)) + "\n")
    with pytest.raises(RunFolderError, match=r"line of members\.jsonl cannot be read") as caught:
        read_records(path)
    assert caught.value.given == f"{path / 'members.jsonl'}, line 2"
    assert_one_error(run_cli("report", path), 1, "members.jsonl", "line 2")
