"""A run in Python that ends early keeps what is finished."""

import pickle

import pytest
from torch.testing import assert_close

import equidiff


class Raises:
    """Raises an error when so many samples are finished, or at the first step."""

    def __init__(self, error, after):
        self.error, self.after, self.finished = error, after, 0

    def step(self, step):
        if self.after == 0:
            raise self.error

    def result(self, record):
        self.finished += 1
        if self.finished == self.after:
            raise self.error

    def batch_reduced(self, event):
        pass


def sample(error=None, after=0):
    observer = None if error is None else Raises(error, after)
    return equidiff.sample(
        "toy:circles", "classifier:inner", query=1, samples=8, batch=2, tolerance=1e-4, seed=5, observer=observer
    )


def assert_finished(found, count, whole):
    assert len(found.records) == len(found.rows["samples"]) == len(found) == count
    assert found.info.counts.asked == 8
    position = whole.records.index(next(each for each in whole.records if each.index == found[0].index))
    assert_close(found[0].sample, whole.rows["samples"][position])


@pytest.fixture(scope="module")
def whole():
    return sample()


def test_an_interrupt_returns_what_is_finished(whole, tmp_path):
    with pytest.warns(UserWarning, match="Interrupted: 3 of 8 samples are finished") as caught:
        found = sample(KeyboardInterrupt(), 3)
    assert caught[0].filename == __file__
    assert_finished(found, 3, whole)
    assert found.info.status == "interrupted"
    assert found.contains(found.samples).all()
    loaded = equidiff.load(found.save(tmp_path / "set"))
    assert (loaded.info.status, loaded.info.counts) == ("interrupted", found.info.counts)


def test_an_error_has_what_is_finished(whole):
    error = ValueError("the disk of the observer is full")
    with pytest.raises(equidiff.SamplingError, match="ValueError: the disk of the observer is full") as caught:
        sample(error, 3)
    assert caught.value.__cause__ is error
    assert caught.value.given == "3 of 8 samples are finished"
    assert_finished(caught.value.found, 3, whole)
    assert caught.value.found.info.status == "failed"
    assert caught.value.found.info.error == "ValueError: the disk of the observer is full"
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.found.records == caught.value.found.records


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("at once")])
def test_where_nothing_is_finished_there_is_nothing_to_keep(error):
    with pytest.raises(type(error)) as caught:
        sample(error)
    assert caught.value is error


def test_an_exit_is_an_exit():
    with pytest.raises(SystemExit):
        sample(SystemExit(), 3)
