"""Runs with a bank: the first samples are members of the bank, the next ones start from it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from analytic import Identity
from running import assert_one_error, run_cli
from scipy.stats import ks_2samp

import equidiff
from equidiff.bank.store import SAMPLES
from equidiff.contracts import Objective, Shared
from equidiff.errors import UsageError
from equidiff.registry.manager import Plugins
from equidiff.run.info import read_info
from equidiff.run.session import prepare
from equidiff.run.settings import Settings

POINTS = {"generator": "toy:circles", "objective": "classifier:inner", "target": 0.4, "progress": False}
COMMAND = ("run", "-g", "toy:circles", "-o", "classifier:inner", "--target", "0.4", "-q", "--bank", "200")


class Ellipse(Objective):
    """x^2 + 4 y^2: most of its level set is far from where a shortest step leads."""

    names, unit = ("size",), "area"
    calls = 0

    def measure(self, samples):
        return samples[:, :1] ** 2 + 4 * samples[:, 1:] ** 2


class Rough(Ellipse):
    """The same for whoever measures, but members must lie to the right: `compare` is stricter than `measure`."""

    def compare(self, samples, target):
        measurements = self.measure(samples)
        return measurements, torch.cat([measurements - target, (-samples[:, :1]).clamp(min=0)], dim=1)


def ellipse(objective=None, **changes):
    given = {
        "generator": Identity(2), "objective": objective or Ellipse(), "regularizer": "none", "target": 3.0,
        "tolerance": 0.01, "progress": False,
    }  # fmt: skip
    return equidiff.sample(**given | changes)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIDIFF_CACHE", str(tmp_path_factory.mktemp("cache")))
        return equidiff.sample(**POINTS, samples=40, bank=200)


def sources(found):
    return [record.source for record in found.records]


def test_the_first_samples_are_the_banks_members_each_once(found):
    given = [int(source.removeprefix("bank:")) for source in sources(found) if source is not None]
    assert 0 < len(given) < 40
    assert len(given) == found.info.bank.members == len(set(given))
    assert sources(found)[len(given) :] == [None] * (40 - len(given))
    problem = found._session.problem
    bank = found._session.bank.bank
    answer = problem.value(bank.latents(range(200)))
    assert set((answer.loss < found.info.tolerance).nonzero()[:, 0].tolist()) == set(given)
    assert torch.allclose(found.rows["latents"][: len(given)], bank.latents(given))
    assert torch.allclose(found.rows["samples"][: len(given)], answer.samples[given], atol=1e-6)


def test_they_cost_nothing_more_and_the_bank_is_counted_once(found):
    given = [record for record in found.records if record.source is not None]
    assert {(record.status, record.steps, record.evaluations) for record in given} == {("member", 0, 0.0)}
    bank = found.info.bank
    assert (bank.count, bank.made, bank.measured) == (200, 200, 200)
    assert bank.evaluations == pytest.approx(200 / 3, abs=0.001)
    searched = [record for record in found.records if record.source is None]
    assert found.info.evaluations == pytest.approx(sum(record.evaluations for record in searched))
    alone = equidiff.sample(**POINTS, samples=40)
    assert sum(record.forwards for record in searched) < sum(
        record.forwards for record in alone.records[-len(searched) :]
    )


def test_the_others_start_from_its_nearest_samples(found):
    first = found.info.bank.members
    problem, bank = found._session.problem, found._session.bank.bank
    losses = problem.value(bank.latents(range(200))).loss
    nearest = losses.sort().values[first:]
    steps = {step.index: step.loss for step in reversed(found._steps)}
    for place in range(3):
        assert steps[first + place] == pytest.approx(float(nearest[place]), rel=1e-4)


def test_a_sample_depends_on_bank_seed_and_index_alone(found):
    few = equidiff.sample(**POINTS, samples=10, bank=200, tolerance=found.info.tolerance)
    assert sources(few) == sources(found)[:10]
    assert torch.equal(few.rows["latents"], found.rows["latents"][:10])
    others = equidiff.sample(**POINTS, samples=10, bank=200, seed=1)
    assert sources(others) != sources(few)
    assert {*sources(others)} == {*sources(few)}


def test_the_spread_is_that_of_the_whole_bank(found):
    values = found._session.problem.objective.measure(found._session.bank.bank.samples(range(200)))
    assert found.info.prior.spread == pytest.approx(float(values.double().std(correction=0)), rel=1e-3)


def test_a_percentile_is_of_the_whole_bank():
    target = equidiff.sample(**POINTS | {"target": "p99"}, samples=1, bank=400).info
    session = equidiff.sample(**POINTS, samples=1, bank=400)._session
    values = session.problem.objective.measure(session.bank.bank.samples(range(400)))
    assert target.target.values[0] == pytest.approx(float(values.quantile(0.99)), rel=1e-4)
    with pytest.raises(equidiff.EquiDiffError, match="no such prior sample"):
        equidiff.sample(**POINTS | {"target": None, "query": "prior:400"}, samples=1, bank=400)
    asked = equidiff.sample(**POINTS | {"target": None, "query": "prior:399"}, samples=1, bank=400)
    assert asked.info.target.values[0] == pytest.approx(float(values[399]), rel=1e-4)


def test_divided_and_resumed_it_is_the_same_run():
    assert run_cli(*COMMAND, "-n", 40, "--out", "whole").code in {0, 3}
    for number in (1, 2, 3):
        assert run_cli(*COMMAND, "-n", 40, "--part", f"{number}/3", "--out", f"part-{number}").code in {0, 3}
    lines = Path("part-1", "members.jsonl").read_text().split("\n")
    Path("part-1", "members.jsonl").write_text("\n".join(lines[3:]))
    values = json.loads(Path("part-1", "run.json").read_text())
    Path("part-1", "run.json").write_text(json.dumps(values | {"status": "interrupted"}))
    for segment in Path("cache").rglob(f"{SAMPLES}/*.safetensors"):
        segment.unlink()  # the cache may go between the two
    assert run_cli("run", "--resume", "part-1", "-q").code in {0, 3}
    run_cli("merge", "part-1", "part-2", "part-3", "--out", "merged")
    whole, merged = (equidiff.InvariantSet.load(path) for path in ("whole", "merged"))
    assert [replace(each, wall_s=0) for each in whole.records] == [replace(each, wall_s=0) for each in merged.records]
    for name in ("latents", "samples", "measurements"):
        assert torch.equal(whole.rows[name], merged.rows[name])
    assert 0 < read_info(Path("merged")).bank.members < 40


def test_a_part_with_another_bank_is_refused():
    for number, bank in ((1, "200"), (2, "100")):
        run_cli(*COMMAND[:-1], bank, "-n", 20, "--part", f"{number}/2", "--out", f"part-{number}")
    assert_one_error(run_cli("merge", "part-1", "part-2", "--out", "merged"), 1, "not parts of one run", "bank")


def test_the_command_says_what_came_from_the_bank():
    outcome = run_cli(*[word for word in COMMAND if word != "-q"], "-n", 20, "--plain", "--out", "run")
    members = read_info(Path("run")).bank.members
    given = min(members, 20)
    assert (
        f"{given} of 20 members came from the bank of 200 (67 evaluations, made once), {20 - given} were"
        in " ".join(outcome.stderr.split())
    )


def test_members_of_the_bank_follow_the_prior_given_the_target():
    found = ellipse(target=0.5, samples=150, bank=4500, seed=3)
    assert all(source is not None for source in sources(found))
    latents = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(11))
    within = (Ellipse().measure(latents)[:, 0] - 0.5) ** 2 < 0.01
    truth = angles(latents[within])
    assert ks_2samp(angles(found.latents), truth).pvalue > 0.01
    # on the set, too, and typical of the prior, but by another law: prior samples that are stretched until they fit
    assert ks_2samp(angles(latents[:150]), truth).pvalue < 0.001


def angles(latents):
    return torch.atan2(2 * latents[:, 1].abs(), latents[:, 0].abs()).numpy()


def test_a_member_of_the_bank_is_one_by_the_runs_own_judgement():
    found = ellipse(Rough(), samples=30, bank=2000)
    given = [record for record in found.records if record.source is not None]
    assert given
    assert all(record.status == "member" for record in given)
    assert bool((found.latents[: len(given), 0] > -0.11).all())


def test_a_law_begins_at_members_of_the_bank():
    found = ellipse(samples=20, bank=2000, law="conditional,moves=2", tolerance=0.05)
    given = [record for record in found.records if record.source is not None]
    assert given
    assert all(record.moves == 2 and record.steps > 0 for record in given)


def test_from_the_query_nothing_comes_from_the_bank():
    found = equidiff.sample(**POINTS | {"target": None, "query": 0}, samples=4, bank=64, start="query")
    assert sources(found) == [None] * 4
    assert found.info.bank.members == 0


def test_more_samples_than_the_bank_has():
    found = ellipse(samples=30, bank=8)
    assert len(found) == 30


@pytest.mark.parametrize("size", ["-1", "many", "1.5", 10**9, ""])
def test_what_is_no_bank(size):
    with pytest.raises(UsageError, match="The value of bank"):
        Settings(bank=size)


def test_runs_of_one_process_share_a_bank():
    shared, plugins = Shared(), Plugins()
    given = {"generator": "toy:circles", "target": 0.4, "bank": 100}
    sessions = [
        prepare(Settings(objective=objective, **given), plugins, shared=shared)
        for objective in ("classifier:inner", "neuron:act1.0", "classifier:inner")
    ]
    infos = [session.describe().bank for session in sessions]
    assert [(info.made, info.measured) for info in infos] == [(100, 100), (0, 100), (0, 0)]
    assert len({id(session.bank.bank) for session in sessions}) == 1


def test_a_bank_goes_before_another_generator_is_loaded():
    """It holds the generator that made it, and two large ones may not fit."""
    shared = Shared()
    shared.take("generator", "one", lambda: "one")
    assert shared.take("bank", "one", lambda: "first") == "first"
    shared.take("generator", "one", lambda: "again")
    assert shared.take("bank", "one", lambda: "second") == "first"
    there = []
    shared.take("generator", "two", lambda: there.append(shared.take("bank", "one", lambda: "third")))
    assert there == ["third"]


def test_without_a_bank_the_record_says_so():
    found = equidiff.sample(**POINTS, samples=2, bank="none")
    assert found.info.bank is None
    assert found.info.options.bank == 0
