"""A set is a sequence of its members, and a table of all its records."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from analytic import Curved, Linear
from torch.testing import assert_close

import equidiff
from equidiff.errors import PluginError, RunFolderError, UnsupportedError


@pytest.fixture(scope="module")
def found():
    """A set in which the first and the fourth sample are not members."""
    found = equidiff.sample("toy:circles", "classifier:inner", query=1, samples=6, tolerance=1e-4, seed=5)
    assert len(found) == 6
    records = [replace(each, status="not_converged") if each.index in {0, 3} else each for each in found.records]
    return replace(found, records=tuple(records))


@pytest.fixture(scope="module")
def images():
    return equidiff.sample("pixels:4", Linear(torch.ones(1, 16) / 16), target=0.5, samples=2, tolerance=1e-6)


def test_positions_are_those_of_members(found):
    assert len(found) == len(list(found)) == 4
    for position, member in enumerate(found):
        assert member.record is found[position].record is found.members[position]
        assert_close(member.sample, found.samples[position])
        assert_close(member.measurement, found.measurements[position])
        assert_close(member.latent, found.latents[position])
        assert member.index == member.record.index
    assert found[-1].index == found.members[-1].index
    assert found[torch.tensor(0)].index == found.members[0].index


def test_slices_are_tuples_of_members(found):
    assert [member.index for member in found[1:]] == [record.index for record in found.members[1:]]
    assert found[len(found) :] == ()


def test_positions_that_there_are_not(found):
    with pytest.raises(IndexError):
        found[len(found)]
    with pytest.raises(TypeError):
        found["first"]


def test_images_are_those_that_a_run_saves(images):
    assert [image.size for image in images.images] == [(4, 4)] * 2
    assert images[0].image.tobytes() == images.images[0].tobytes()
    assert repr(images[1]) == "<Member of index 1: measurement 0.49951, sample (1, 4, 4)>"


def test_points_have_no_images(found):
    with pytest.raises(UnsupportedError, match="not images"):
        found.images  # noqa: B018
    with pytest.raises(UnsupportedError, match=r"shape \(2,\)"):
        found[0].image  # noqa: B018


def test_a_set_without_members_is_an_empty_sequence():
    found = equidiff.sample("toy:circles", "classifier:inner", target=1.5, samples=2, budget=5)
    assert not found
    assert list(found) == found.images == []
    assert len(found.to_pandas()) == 2


def test_an_old_run_that_was_killed_has_records_without_samples(found, tmp_path):
    path = found.save(tmp_path / "set")
    shutil.rmtree(path / "tensors")
    with pytest.raises(RunFolderError, match="damaged or lost"):
        equidiff.load(path)
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | {"schema_version": 2, "status": "running"}))
    with pytest.raises(RunFolderError, match="records without samples"):
        list(equidiff.load(path))


def test_all_records_are_rows_of_a_table(found):
    pytest.importorskip("pandas")
    table = found.to_pandas()
    assert list(table.index) == list(range(6))
    assert (table.status == "member").sum() == len(found)
    assert table.measurement[1] == found.records[1].measurement[0]
    assert isinstance(found.records[1].measurement, list)


def test_several_measurements_are_lists():
    pytest.importorskip("pandas")
    objective = Linear(torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    found = equidiff.sample(Curved(3), objective, target=[0.3, -0.8], samples=1)
    assert found.to_pandas().measurement[0] == found.records[0].measurement


def test_a_table_without_pandas(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PluginError, match="missing") as caught:
        found.to_pandas()
    assert caught.value.hint == "pip install pandas"
