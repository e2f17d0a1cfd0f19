"""A set pickles without its components, and copies share them."""

import pickle
from copy import copy, deepcopy

import pytest
import torch
from analytic import Curved, Linear
from torch.testing import assert_close

import equidiff
from equidiff.errors import RunFolderError


@pytest.fixture(scope="module")
def whole():
    return equidiff.sample("toy:circles", "classifier:inner", query=1, samples=4, tolerance=1e-4, seed=5)


def test_a_pickled_set_is_like_a_loaded_one(whole):
    again = pickle.loads(pickle.dumps(whole))
    assert again.records == whole.records
    assert again.info == whole.info
    assert_close(again.samples, whole.samples)
    assert_close(again.query, whole.query)
    assert again.contains(whole.samples).all()
    assert not again.contains(torch.tensor([[0.0, 0.0]])).any()


def test_a_pickled_set_can_be_saved(whole, tmp_path):
    path = pickle.loads(pickle.dumps(whole)).save(tmp_path / "set")
    assert (path / "steps.jsonl").read_text() == (whole.save(tmp_path / "other") / "steps.jsonl").read_text()


def test_a_pickled_set_of_objects_does_not_pretend_to_measure():
    local = Linear(torch.ones(1, 2))
    local.extra = lambda: "this does not pickle"
    found = equidiff.sample(Curved(2), local, target=0.5, samples=2)
    again = pickle.loads(pickle.dumps(found))
    assert_close(again.samples, found.samples)
    with pytest.raises(RunFolderError, match="object"):
        again.contains(found.samples)
    assert found.contains(found.samples).all()
    for each in (copy(found), deepcopy(found)):  # copies have the objects still
        assert each.contains(found.samples).all()


def test_a_deep_copy_has_tensors_of_its_own(whole):
    other = deepcopy(whole)
    before = whole.samples.clone()
    other.rows["samples"].zero_()
    assert_close(whole.samples, before)
