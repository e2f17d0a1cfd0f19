"""Reading a finished run, and building its parts again."""

import json
import shutil

import pytest
import torch
from running import read_tensors, run_circles, run_cli
from safetensors.torch import save_file

from equidiff.errors import EquiDiffError, RunFolderError
from equidiff.registry.manager import Plugins
from equidiff.run.finished import load_members, open_finished

COMMAND = ("equidiff", "evaluate")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run"
    assert run_circles("--samples", 3, "--out", path).code == 0
    return path


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def test_the_parts_built_again_measure_what_the_run_measured(run):
    finished = open_finished(run, Plugins(), COMMAND, device="cpu")
    samples = finished.session.problem.generator.generate(finished.found.latents)
    torch.testing.assert_close(samples, finished.found.samples)
    measured = finished.session.problem.objective.measure(samples)
    torch.testing.assert_close(measured, finished.found.measurements)
    torch.testing.assert_close(finished.session.problem.target, finished.found.target)


def change(path, **values):
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | values))


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_run_that_has_not_ended(copy, status):
    change(copy, status=status)
    with pytest.raises(RunFolderError, match="not ended") as caught:
        load_members(copy)
    assert caught.value.hint == f"equidiff run --resume {copy}"


def test_a_run_of_a_newer_version(copy):
    change(copy, schema_version=4)
    with pytest.raises(RunFolderError, match="another version"):
        load_members(copy)


def test_a_run_without_members(tmp_path):
    outcome = run_circles("--samples", 2, "--target", 7, "--budget", 1, "--out", tmp_path / "none")
    assert outcome.code == 3
    with pytest.raises(RunFolderError, match="no members"):
        load_members(outcome.path)


def test_a_run_that_lacks_a_tensor(copy):
    (copy / "tensors" / "00000.safetensors").unlink()
    with pytest.raises(RunFolderError, match="damaged or lost") as caught:
        load_members(copy)
    assert "3 of 3 samples" in str(caught.value.given)
    assert str(caught.value.hint).startswith(f"equidiff run --resume {copy}")


def test_an_old_run_that_lacks_a_tensor(copy):
    tensors = read_tensors(copy)
    change(copy, schema_version=2)
    save_file({name: tensors[name] for name in ("latents", "measurements")}, copy / "tensors.safetensors")
    with pytest.raises(RunFolderError, match="not complete") as caught:
        load_members(copy)
    assert "samples" in str(caught.value.given)
    (copy / "tensors.safetensors").unlink()
    with pytest.raises(RunFolderError, match="not complete"):
        load_members(copy)


def test_code_of_the_users_own_is_named_again(tmp_path):
    probe = tmp_path / "probe.py"
    probe.write_text("def score(samples):\n    return samples.mean(dim=(1, 2, 3))\n")
    spec = f"custom:{probe}:score"
    path = tmp_path / "run"
    assert (
        run_cli("run", "-g", "toy:fashion,steps=2", "-o", spec, "-r", "none", "--query", 3, "-n", 1, "--out", path).code
        == 0
    )
    with pytest.raises(EquiDiffError, match="would be executed") as caught:
        open_finished(path, Plugins(), COMMAND)
    assert str(caught.value.hint).startswith(f"equidiff evaluate {path} --objective custom:")
    found = open_finished(path, Plugins(), COMMAND, objective=spec, device="cpu").found
    assert len(found) == 1
    assert found.contains(found.samples).all()  # named once, the code may judge
