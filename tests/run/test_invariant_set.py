from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from analytic import Curved, Linear
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

import equidiff
from equidiff.errors import EquiDiffError, RunFolderError, UnknownNameError, UsageError


@pytest.fixture(scope="module")
def found():
    return equidiff.sample("toy:circles", "classifier:inner", query=1, samples=12, tolerance=1e-4, seed=5)


def test_members_measure_the_target(found):
    assert len(found) == 12
    assert found.samples.shape == (12, 2)
    assert (found.measurements - found.target).abs().max() < 0.01
    assert found.contains(found.samples).all()


def test_points_elsewhere_are_not_contained(found):
    assert not found.contains(torch.tensor([[0.0, 0.0], [3.0, 3.0]])).any()


def test_the_query_is_contained(found):
    assert found.contains(found.query).all()


def test_objects_do_as_well_as_specs():
    objective = Linear(torch.tensor([[0.6, 0.8]]))
    found = equidiff.sample(Curved(2), objective, target=0.5, samples=5, tolerance=1e-8)
    assert len(found) == 5
    assert_close(found.measurements, torch.full((5, 1), 0.5), atol=1e-4, rtol=0)
    assert found.info.specs.generator == "<analytic.Curved>"


def test_save_and_load(found, tmp_path):
    path = found.save(tmp_path / "set")
    loaded = equidiff.InvariantSet.load(path)
    assert loaded.records == found.records
    assert_close(loaded.latents, found.latents)
    assert_close(loaded.query, found.query)
    assert loaded.info.counts == found.info.counts
    assert loaded.info.status == "complete"
    assert loaded.contains(found.samples).all()
    with pytest.raises(RunFolderError, match="exists already"):
        found.save(path)


def test_the_repr_is_one_short_line(found, tmp_path):
    loaded = equidiff.load(found.save(tmp_path / "set"))
    target = f"inner = {float(found.target):.6g} (probability)"
    for each in (found, loaded):
        assert (
            repr(each) == f"<InvariantSet of classifier:inner in toy:circles: 12 of 12 samples are members, {target}>"
        )
    specs = found.info.specs.model_copy(update={"objective": "0.5*neuron:17+" * 50 + "neuron:17"})
    assert len(repr(replace(found, info=found.info.model_copy(update={"specs": specs})))) < 200


def test_a_leading_tilde_is_the_home(found, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert found.save("~/set") == tmp_path / "set"
    assert equidiff.load("~/set").records == found.records
    with pytest.raises(RunFolderError, match="not a run folder"):
        equidiff.load("~/nothing")


def test_a_loaded_set_of_objects_does_not_pretend_to_measure(tmp_path):
    found = equidiff.sample(Curved(2), Linear(torch.ones(1, 2)), target=0.5, samples=2)
    loaded = equidiff.InvariantSet.load(found.save(tmp_path / "set"))
    with pytest.raises(RunFolderError, match="object"):
        loaded.contains(found.samples)


def test_a_loaded_set_does_not_judge_with_other_weights(tmp_path):
    checkpoint = tmp_path / "mine.safetensors"
    weights = load_file(files("equidiff.weights") / "circles_mlp.safetensors")
    save_file(weights, checkpoint)
    objective = f"classifier:inner,model=circles,checkpoint={checkpoint}"
    found = equidiff.sample("toy:circles", objective, query=1, samples=2)
    loaded = equidiff.InvariantSet.load(found.save(tmp_path / "set"))
    assert loaded.contains(found.samples).all()
    save_file({name: 1.01 * value for name, value in weights.items()}, checkpoint)
    with pytest.raises(RunFolderError, match="weights are no longer") as caught:
        loaded.contains(found.samples)
    assert caught.value.given == "mine.safetensors"
    assert "SHA-256" in caught.value.expected
    assert found.contains(found.samples).all()  # the set in memory has its own network still


def test_a_loaded_set_runs_no_code_that_was_not_named(tmp_path):
    probe = tmp_path / "mean_probe.py"
    probe.write_text("def score(points):\n    return points.mean(dim=1)\n")
    found = equidiff.sample("toy:circles", f"custom:{probe}:score", query=1, samples=1)
    probe.write_text("raise SystemExit\n")
    with pytest.raises(RunFolderError, match="would be executed") as caught:
        equidiff.InvariantSet.load(found.save(tmp_path / "set")).contains(found.samples)
    assert caught.value.hint is None


def test_samples_that_do_not_converge_are_kept_and_are_not_members():
    found = equidiff.sample("toy:circles", "classifier:inner", target=1.5, samples=3, budget=5)
    assert len(found) == 0
    assert [record.status for record in found.records] == ["not_converged"] * 3
    assert found.samples.shape == (0, 2)
    assert found.rows["samples"].shape == (3, 2)


def test_vector_targets_are_met_in_every_output():
    objective = Linear(torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    found = equidiff.sample(Curved(3), objective, target=[0.3, -0.8], samples=4, tolerance=1e-8)
    assert_close(found.measurements, torch.tensor([[0.3, -0.8]]).expand(4, 2), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"samples": 0}, UsageError, "samples"),
        ({"batch": 0}, UsageError, "batch"),
        ({"budget": -1}, UsageError, "budget"),
        ({"tolerance": float("nan")}, UsageError, "tolerance"),
        ({"dtype": "int8"}, UsageError, "dtype"),
        ({"query": 99}, EquiDiffError, "no such query"),
        ({"query": None}, UsageError, "Neither a query nor a target"),
        ({"query": None, "target": float("nan")}, EquiDiffError, "target"),
        ({"query": None, "target": [0.1, 0.2]}, EquiDiffError, "1 finite number"),
        ({"target": 0.5}, UsageError, "Both"),
        ({"generator": "toi:circles"}, UnknownNameError, "toy"),
        ({"objective": 7}, EquiDiffError, "objective"),
        ({"solver": "auto,pol=3"}, EquiDiffError, "pool"),
        ({"device": "cuda:77"}, UsageError, "device"),
    ],
)
def test_bad_arguments_say_what_was_expected(change, error, words):
    arguments = {"generator": "toy:circles", "objective": "classifier:inner", "query": 0, "samples": 1} | change
    with pytest.raises(error, match=words):
        equidiff.sample(**arguments)


def test_an_array_is_a_query():
    array = np.zeros((28, 28, 3), dtype=np.uint8)
    array[4:24, 8:20] = 200
    found = equidiff.sample("toy:fashion,steps=2", "neuron:17", query=array, samples=1, budget=1)
    assert found.info.target.source == found.info.options.query == "an array given in Python"
    same = equidiff.sample("toy:fashion,steps=2", "neuron:17", query=Image.fromarray(array), samples=1, budget=1)
    assert_close(found.target, same.target)
