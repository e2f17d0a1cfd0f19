"""The content of a bank follows from its generator, however and wherever it was made."""

import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from equidiff.bank.bank import Bank
from equidiff.bank.catalog import bank_folder, list_banks
from equidiff.bank.key import BankKey
from equidiff.bank.segment import NoViews
from equidiff.bank.store import remove
from equidiff.contracts import Generator, Objective
from equidiff.numerics.random import Stream
from equidiff.search.batching import width_of
from equidiff.search.problem import Problem

COUNT = 1100  # more than a segment


class Waves(Generator):
    """Images whose last digits would tell if they were computed otherwise; some latents raise an error."""

    latent_shape, sample_shape = (3,), (1, 4, 4)
    broken = False

    def generate(self, latents, steps=None):
        if self.broken and bool((latents[:, 0] > 2.2).any()):
            raise ValueError("not this one")
        weights = torch.arange(48, dtype=torch.float32).reshape(3, 16).sin()
        return (latents @ weights).sigmoid().reshape(-1, 1, 4, 4) * 1.2 - 0.1


class Mean(Objective):
    names, unit = ("mean",), "grey"
    calls = 0

    def measure(self, samples):
        self.calls += len(samples)
        return samples.flatten(1).mean(dim=1, keepdim=True)


def key(**changes):
    values = {
        "generator": "waves", "options": {}, "weights": (("w", "0"),), "dtype": "float32", "device": "cpu",
        "stored": "uint8", "versions": {},
    }  # fmt: skip
    return BankKey(**values | changes)


def made(count=COUNT, stored="uint8", generator=None, **changes):
    bank = Bank(generator or Waves(), stored, key(stored=stored, **changes), "cpu")
    bank.ensure(count)
    return bank


def problem(objective):
    return Problem(Waves(), objective, NoViews(), torch.zeros(1))


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIDIFF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def expected():
    """The samples, one by one, by an independent way."""
    generator = Waves()
    latents = [torch.randn(1, 3, generator=Stream.BANK.open(0, number)) for number in range(COUNT)]
    return torch.cat([generator.generate(latent) for latent in latents])


def same(bank, expected):
    numbers = range(len(expected))
    found = (bank.samples(numbers) * 255).round()
    return bool(torch.equal(found, (expected.clamp(0, 1) * 255).round()))


def test_the_samples_are_those_of_its_stream(expected):
    bank = made()
    assert bank.made == COUNT
    assert same(bank, expected)
    beyond = (expected - expected.clamp(0, 1)).flatten(1).square().mean(dim=1).sqrt()
    assert torch.allclose(bank.outside(range(COUNT)), beyond)
    assert float(beyond.max()) > 0


def test_what_was_made_is_read_and_only_the_rest_is_made(expected):
    assert made(40).made == 40
    assert made(100).made == 60
    again = made()
    assert again.made == COUNT - 100
    assert same(again, expected)
    assert made().made == 0


def test_floats_are_kept_before_rounding(expected):
    bank = made(50, "float32")
    assert torch.allclose(bank.samples(range(50)), expected[:50])
    assert bank.path != made(50).path


def test_a_damaged_or_missing_segment_is_made_again_and_said_once(expected):
    bank = made()
    first, second = sorted((bank.path / "samples").glob("*.safetensors"))
    content = bytearray(first.read_bytes())
    content[-10] ^= 1
    first.write_bytes(content)
    again = made()
    assert len(again.warnings) == 1
    assert str(first) in again.warnings[0]
    assert again.made == 1024
    assert same(again, expected)
    second.unlink()
    third = made()
    assert (third.made, third.warnings) == (COUNT - 1024, [])
    assert same(third, expected)
    first.write_bytes(b"")
    assert made().made == 1024


def test_measurements_are_kept_and_only_the_rest_is_measured():
    objective = Mean()
    bank = made(100)
    values = bank.measure(problem(objective), 40, "column", "mean")
    assert torch.allclose(values[:, 0, 0], bank.samples(range(40)).flatten(1).mean(dim=1))
    assert bank.measured == 40
    bank = made(100)
    more = bank.measure(problem(objective), 100, "column", "mean")
    assert bank.measured == 60
    assert torch.equal(more[:40], values)
    before = objective.calls
    assert torch.equal(made(100).measure(problem(objective), 40, "column", "mean"), values)
    assert objective.calls == before
    (entry,) = list_banks()
    assert (entry.count, entry.objectives) == (100, ("mean",))


def test_a_damaged_column_is_measured_again():
    values = made(30).measure(problem(Mean()), 30, "column", "mean")
    (file,) = (bank_folder(key().name) / "measurements").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    bank = made(30)
    assert torch.equal(bank.measure(problem(Mean()), 30, "column", "mean"), values)
    assert (bank.measured, len(bank.warnings)) == (30, 1)


def test_a_sample_that_cannot_be_made_is_marked(expected):
    generator = Waves()
    generator.broken = True
    bank = made(200, generator=generator)
    latents = bank.latents(range(200))
    failed = latents[:, 0] > 2.2
    assert failed.any()
    assert torch.equal(bank.outside(range(200)).isnan(), failed)
    kept = [number for number in range(200) if not failed[number]]
    assert torch.equal(bank.samples(kept), made(200, weights=(("w", "1"),)).samples(kept))


@pytest.mark.parametrize(
    "change", [{"weights": (("w", "1"),)}, {"dtype": "tf32"}, {"device": "cuda"}, {"options": {"steps": 2}}]
)
def test_another_generator_has_another_bank(change):
    assert made(20).path != made(20, **change).path
    assert len(list_banks()) == 2


def test_without_a_key_nothing_is_written():
    bank = Bank(Waves(), "uint8", None, "cpu")
    bank.ensure(20)
    assert bank.path is None
    assert torch.equal(bank.samples(range(20)), made(20).samples(range(20)))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EQUIDIFF_CACHE", str(tmp_path / "file"))
    bank = made(20)
    assert bank.path is None
    assert bank.count == 20
    assert "not kept" in bank.warnings[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_bank_that_others_made_is_read_where_it_cannot_be_written():
    there = made(40)
    for folder in (there.path, *filter(Path.is_dir, there.path.iterdir())):
        folder.chmod(0o500)
    try:
        assert made(40).made == 0
        more = made(60)
        assert (more.count, more.path) == (60, None)
    finally:
        for folder in (there.path, *filter(Path.is_dir, there.path.iterdir())):
            folder.chmod(0o700)


def test_a_bank_whose_description_is_damaged_is_described_again():
    there = made(20)
    (there.path / "bank.json").write_text("{")
    assert list_banks() == []
    assert made(20).made == 0
    assert [entry.count for entry in list_banks()] == [20]


def test_banks_that_nobody_uses_go_when_there_is_no_room(monkeypatch):
    old, used, new = (made(1024, weights=(("w", str(number)),)) for number in range(3))
    for age, bank in enumerate((old, used, new)):
        os.utime(bank.path / "bank.json", (1000 + age, 1000 + age))
    old.close()
    new.close()
    monkeypatch.setenv("EQUIDIFF_CACHE_GB", str(3.5 * 1024 * 16 / 1e9))
    last = made(1024, weights=(("w", "3"),))
    assert [bank.path.exists() for bank in (old, used, new, last)] == [False, True, False, True]
    assert same(used, last.samples(range(1024)))


def test_a_bank_in_use_is_not_removed():
    bank = made(20)
    assert not remove(bank.path)
    bank.close()
    assert remove(bank.path)
    assert list_banks() == []


def _make(cache, barrier):
    os.environ["EQUIDIFF_CACHE"] = cache
    barrier.wait()
    made(COUNT)


def test_two_processes_at_once_make_one_bank(expected, tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    processes = [context.Process(target=_make, args=(str(tmp_path / "cache"), barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    bank = made()
    assert (bank.made, bank.warnings) == (0, [])
    assert same(bank, expected)


def test_passes_of_the_cpu_have_one_size():
    """The last digits of a sample depend on the rows of its pass, and a bank is extended by any number."""
    assert width_of(problem(Mean())) is not None
