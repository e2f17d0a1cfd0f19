"""Runs that named relative paths, looked at from another folder."""

import shutil
from importlib import resources

import pytest
from running import assert_one_error, read_run, run_cli

from equidiff.run.info import read_info
from equidiff.run.places import folders_of

QUICK = ("-g", "pixels:8", "-r", "none", "-n", "2", "--tolerance", "1e9", "--query", "prior:1")
SPEC = "neuron:17,model=fashion,checkpoint=nets/a+b.safetensors"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with weights and a run that names them by a relative path; the test works in another one."""
    folder = tmp_path / "project"
    (folder / "nets").mkdir(parents=True)
    shipped = resources.files("equidiff") / "weights" / "fashion_classifier.safetensors"
    with resources.as_file(shipped) as path:
        shutil.copy(path, folder / "nets" / "a+b.safetensors")
    monkeypatch.chdir(folder)
    assert run_cli("run", *QUICK, "-o", SPEC, "--out", "run").code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def opened(run):
    return run_cli("select", run, "--count", "1")


def test_the_run_says_where_its_paths_start(project):
    info = read_run(project / "run")
    assert info["specs"]["objective"] == "neuron:17,model=fashion,checkpoint=nets/a%2Bb.safetensors"
    assert (info["folder"], info["run_folder"]) == (str(project), str(project / "run"))


def test_it_opens_from_another_folder(project):
    assert opened(project / "run").code == 0


def test_it_opens_where_all_was_moved_together(project, tmp_path):
    moved = project.rename(tmp_path / "moved")
    assert folders_of(read_info(moved / "run"), moved / "run") == [project, tmp_path / "elsewhere", moved]
    assert opened(moved / "run").code == 0


def test_it_opens_where_the_weights_are_here(project, tmp_path):
    run = (project / "run").rename(tmp_path / "run")
    (project / "nets").rename(tmp_path / "elsewhere" / "nets")
    assert opened(run).code == 0


def test_an_error_says_where_it_was_searched(project, tmp_path):
    shutil.rmtree(project / "nets")
    done = opened(project / "run")
    assert_one_error(done, 1, "does not exist", "nets/a+b.safetensors", f"searched in: {project}, {tmp_path}/elsewhere")


def test_other_weights_of_the_same_name_are_refused(project, tmp_path):
    (tmp_path / "elsewhere" / "nets").mkdir()
    (project / "nets" / "a+b.safetensors").rename(tmp_path / "elsewhere" / "nets" / "a+b.safetensors")
    with (tmp_path / "elsewhere" / "nets" / "a+b.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert_one_error(opened(project / "run"), 1, "no longer those")
