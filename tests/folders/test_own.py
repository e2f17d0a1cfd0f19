"""Folders of strangers in which something leads out: they are neither read nor written."""

import os
import shutil

import pytest
from made_runs import made
from running import assert_one_error, run_circles, run_cli

from equidiff.errors import RunFolderError
from equidiff.folders.paths import OF_A_BEGINNING, check_own, has_only


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_circles("-n", 2, "--out", tmp_path_factory.mktemp("own") / "run", "-q").path


LINKS = ("tensors", "members.jsonl", "run.json", "prior.safetensors", ".owner.json", "grid.png", "partial")
COMMANDS = ("run --resume RUN", "report RUN", "evaluate RUN", "figure RUN", "select RUN", "compare RUN", "path RUN 0 1")


@pytest.mark.parametrize(("name", "command"), [*zip(LINKS, COMMANDS, strict=True)])
def test_no_command_follows_a_link_out_of_a_run(name, command, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    place = tmp_path / "run" / name
    if place.exists():
        place.rename(tmp_path / "elsewhere")
    else:
        (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    before = _state(tmp_path / "elsewhere")
    words = [tmp_path / "run" if word == "RUN" else word for word in command.split()]
    assert_one_error(run_cli(*words, "-q"), 1, "leads out of it", name)
    assert _state(tmp_path / "elsewhere") == before


def _state(path):
    return {each: (each.stat().st_size, each.stat().st_mtime_ns) for each in [path, *path.rglob("*")]}


def test_a_pipe_is_not_waited_for(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    os.mkfifo(tmp_path / "run" / ".owner.json")
    assert_one_error(run_cli("run", "--resume", tmp_path / "run", "-q"), 1, "a pipe or a device")


def test_links_within_a_folder_and_to_it_are_followed(tmp_path):
    made(count=3).save(tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    (tmp_path / "run" / "again").symlink_to("images")
    (tmp_path / "run" / "loop").symlink_to("loop")
    assert run_cli("report", tmp_path / "link").code == 0
    (tmp_path / "run" / "up").symlink_to("../other")
    with pytest.raises(RunFolderError, match="leads out of it"):
        check_own(tmp_path / "run")


def test_a_folder_with_a_link_is_no_beginning_of_a_run(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    assert has_only(tmp_path / "run", OF_A_BEGINNING)
    (tmp_path / "run" / "images").symlink_to(tmp_path / "elsewhere")
    assert not has_only(tmp_path / "run", OF_A_BEGINNING)


def test_a_run_of_a_sweep_that_is_a_link_is_left_alone(tmp_path):
    (tmp_path / "s.yaml").write_text("generator: toy:circles\nobjective: neuron:0-1\nsamples: 1\ntarget: 0.5\n")
    assert run_cli("sweep", tmp_path / "s.yaml", "--out", tmp_path / "sweep", "-q").code in {0, 3}
    name = next((tmp_path / "sweep" / "runs").iterdir()).name
    (tmp_path / "sweep" / "runs" / name).rename(tmp_path / "elsewhere")
    (tmp_path / "sweep" / "runs" / name).symlink_to(tmp_path / "elsewhere")
    for command in (("sweep", "--resume", tmp_path / "sweep"), ("report", tmp_path / "sweep")):
        assert_one_error(run_cli(*command, "-q"), 1, "leads out of it", name)
