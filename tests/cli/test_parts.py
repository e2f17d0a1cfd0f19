"""A run in parts: merged, they are the undivided run, to the last byte of their tensors."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from running import assert_one_error, run_cli

import equidiff
from equidiff.run.info import read_info

ROOT = Path(__file__).parents[2]
POINTS = ("run", "-g", "toy:circles", "-o", "neuron:17", "--tolerance", "1e-5", "-n", 36, "--budget", 6, "-q")
GARMENTS = ("run", "-g", "toy:fashion,steps=2", "-o", "classifier:bag", "-n", 20, "--budget", 3, "-q")
OWN = {"started", "finished", "wall_s", "run_folder"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A run, undivided and in three parts, some of whose samples are not members."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_cli(*POINTS, "--out", "whole").code in {0, 3}
        for number in (1, 2, 3):
            assert run_cli(*POINTS, "--part", f"{number}/3", "--out", f"part-{number}").code in {0, 3}
    return folder


@pytest.fixture
def parts(study, tmp_path, monkeypatch):
    """Copies of the parts, for tests that damage them."""
    shutil.copytree(study, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    return [f"part-{number}" for number in (1, 2, 3)]


def edit(path, **changes):
    file = Path(path) / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_merged_parts_are_the_undivided_run(parts):
    outcome = run_cli("merge", parts[2], parts[0], parts[1], "--out", "merged")
    whole, merged = (equidiff.InvariantSet.load(path) for path in ("whole", "merged"))
    assert outcome.path == Path("merged")
    assert outcome.code == (0 if len(merged) == 36 else 3)
    assert [replace(each, wall_s=0) for each in whole.records] == [replace(each, wall_s=0) for each in merged.records]
    for name in ("latents", "samples", "measurements"):
        assert torch.equal(whole.rows[name], merged.rows[name])
    assert whole.info.model_dump(exclude=OWN) == merged.info.model_dump(exclude=OWN)
    for name in ("tensors/SHA256SUMS", "steps.jsonl", "query.safetensors", "prior.safetensors"):
        assert Path("whole", name).read_bytes() == Path("merged", name).read_bytes(), name
    assert merged.info.wall_s == pytest.approx(sum(read_info(Path(part)).wall_s for part in parts))


def test_merged_images_are_those_of_the_undivided_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for extra in (["--out", "whole"], ["--part", "1/2", "--out", "one"], ["--part", "2/2", "--out", "two"]):
        assert run_cli(*GARMENTS, *extra).code in {0, 3}
    run_cli("merge", "one", "two", "--out", "merged")
    files = [*sorted(Path("whole").rglob("*.png")), Path("whole/tensors/00000.safetensors")]
    assert len(files) > 5
    for file in files:
        assert file.read_bytes() == Path("merged", *file.parts[1:]).read_bytes(), file


def test_a_part_says_which_it_is(parts):
    info = read_info(Path(parts[2]))
    assert (info.part, info.counts.asked, info.options.samples) == ("3/3", 4, 36)
    assert [each.index for each in equidiff.InvariantSet.load(parts[2]).records] == [32, 33, 34, 35]


def test_a_part_is_resumed_as_a_part(parts):
    lines = Path(parts[0], "members.jsonl").read_text().split("\n")
    Path(parts[0], "members.jsonl").write_text("\n".join(lines[4:]))
    edit(parts[0], status="interrupted")
    assert run_cli("run", "--resume", parts[0], "-q").code in {0, 3}
    run_cli("merge", *parts, "--out", "merged")
    assert Path("whole/tensors/SHA256SUMS").read_text() == Path("merged/tensors/SHA256SUMS").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 7}, ["not parts of one run", "seed: 0 in part-1, 7 in part-2"]),
        ({"tolerance": 0.5}, ["not parts of one run", "tolerance: "]),
        ({"versions": {"equidiff": "0.0"}}, ["not parts of one run", "versions."]),
        ({"weights": [{"name": "w", "sha256": "0" * 64}]}, ["not parts of one run", "weights: "]),
        ({"device": "mps"}, ["not parts of one run", "device: cpu in part-1, mps in part-2"]),
        ({"part": "2/2"}, ["two divisions of a run", "part-1 is part 1/3", "part-2 is part 2/2"]),
        ({"part": "1/3"}, ["given twice", "part-1 and part-2"]),
        ({"status": "interrupted"}, ["Part 2/3 is not finished", "equidiff run --resume part-2"]),
        ({"part": None}, ["not a part of another", "part-2"]),
        ({"part": "nothing"}, ["part-2"]),
    ],
)
def test_parts_of_different_runs_are_refused(parts, changes, words):
    edit(parts[1], **changes)
    assert_one_error(run_cli("merge", *parts, "--out", "merged"), 1, *words)
    assert not Path("merged").exists()


@pytest.mark.parametrize("words", [["merge", "--out", "m"], ["report"], ["evaluate"], ["run", "--resume"]])
def test_a_path_that_no_folder_can_have_is_one_panel(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_error(run_cli(*words, "x" * 5000), 1)
    assert not any(tmp_path.iterdir())


def test_missing_parts_are_named(parts):
    outcome = run_cli("merge", parts[1], "--out", "merged")
    assert_one_error(outcome, 1, "2 of the 3 parts are missing", "no folder of part 1, 3", "--part 1/3")


def test_a_damaged_part_is_refused_and_can_be_mended(parts):
    Path(parts[1], "tensors", "00000.safetensors").write_bytes(b"")
    assert_one_error(run_cli("merge", *parts, "--out", "merged"), 1, "part-2", "equidiff run --resume part-2")
    assert not Path("merged").exists()
    assert run_cli("run", "--resume", parts[1], "-q").code in {0, 3}
    assert run_cli("merge", *parts, "--out", "merged", "-q").code in {0, 3}
    assert Path("whole/tensors/SHA256SUMS").read_text() == Path("merged/tensors/SHA256SUMS").read_text()


def test_parts_on_other_devices_of_one_kind_belong_together(parts):
    for number, part in enumerate(parts):
        edit(part, device=f"cuda:{number}")
    assert run_cli("merge", *parts, "--out", "merged", "-q").code in {0, 3}


def test_what_cannot_be_divided_so_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_error(run_cli("run", "-n", 40, "--part", "1/4"), 2, "at most 3", "--part 1/3")
    assert_one_error(run_cli("run", "--part", "5/4"), 2, "not a part of a run", "5/4")
    assert not any(tmp_path.iterdir())


@pytest.fixture
def equidiff_says(tmp_path, monkeypatch):
    """A stand-in for the command, which writes down how it was called."""
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "equidiff"
    stand_in.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")

    def says(*command, **variables):
        done = subprocess.run(command, env=os.environ | variables, text=True, capture_output=True)
        return done.returncode, done.stdout.split()

    return says


def test_the_script_for_one_machine_of_the_guide(tmp_path, equidiff_says):
    code, words = equidiff_says("bash", str(ROOT / "examples" / "parts" / "local.sh"), str(tmp_path / "study"))
    assert code == 3  # of merge
    assert sorted(words[at + 1] for at, word in enumerate(words) if word == "--part") == ["1/4", "2/4", "3/4", "4/4"]
    assert words[-3:] == [f"{tmp_path}/study/part-*", "--out", f"{tmp_path}/study/run"]


def test_the_array_job_of_the_guide(tmp_path, equidiff_says):
    script = ("bash", str(ROOT / "examples" / "parts" / "array.sh"), str(tmp_path))
    task = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}
    code, words = equidiff_says(*script, **task)
    assert (code, words[0], words[words.index("--part") + 1]) == (0, "run", "3/4")  # 3: samples that are not members
    (tmp_path / "part-3").mkdir()
    (tmp_path / "part-3" / "run.json").touch()
    assert equidiff_says(*script, **task) == (0, ["run", "--resume", str(tmp_path / "part-3")])


def test_the_indexed_job_of_the_guide(tmp_path, equidiff_says):
    job = yaml.safe_load((ROOT / "examples" / "parts" / "job.yaml").read_text())
    container = job["spec"]["template"]["spec"]["containers"][0]
    script = re.sub("/study", str(tmp_path), container["args"][0])
    calls = [
        equidiff_says(*container["command"], script, JOB_COMPLETION_INDEX=str(index))[1]
        for index in range(job["spec"]["completions"])
    ]
    assert [words[words.index("--part") + 1] for words in calls] == ["1/4", "2/4", "3/4", "4/4"]
