"""`equidiff run --effort`: samples that only came near are kept and told, and are no members."""

import json
import re

import pytest
import torch
from analytic import linear_problem
from running import assert_one_error, read_lines, run_circles, run_cli

import equidiff
from equidiff.contracts import Solver, Step
from equidiff.search.engine import Result, solve

HOPELESS = ("--objective", "classifier:inner,output=logit", "--target", "1000", "-n", "3", "--tolerance", "1e-6")


class Wanders(Solver):
    """Steps to multiples of its start; the second is the nearest to zero, the last the farthest."""

    budget = 1000
    factors = (2.0, 0.5, 3.0)

    def solve(self, latents, residual, budget):
        for number, factor in enumerate(self.factors):
            yield Step(number, (yield from residual.value(factor * latents)))


def test_a_sample_that_did_not_converge_is_the_nearest_that_was_seen():
    problem = linear_problem()
    problem.target.zero_()
    events = list(solve(problem, Wanders(), range(3), seed=0, batch=3, budget=100, tolerance=1e-9))
    for result in (event for event in events if isinstance(event, Result)):
        losses = [event.loss for event in events if not isinstance(event, Result) and event.index == result.index]
        assert result.status == "not_converged"
        assert result.steps == len(Wanders.factors) - 1
        assert result.answer.loss.item() == losses[1] == min(losses) < losses[-1]
        assert torch.equal(result.answer.samples, problem.generator.generate(result.answer.latents))


def test_near_misses_are_told_kept_and_no_failure(tmp_path):
    out = tmp_path / "run"
    outcome = run_circles(*HOPELESS, "--effort", "20", "--out", str(out))
    assert outcome.code == 0, outcome.stderr
    assert "near misses  3, no members: " in outcome.stderr
    assert "no member:" not in outcome.stderr
    found = equidiff.load(out)
    assert len(found) == 0
    misses = found.near_misses
    assert [miss.record.loss for miss in misses] == sorted(line["loss"] for line in read_lines(out / "members.jsonl"))
    spread, weight = found.info.prior.spread, found.info.tolerance / found.info.within**2
    for miss in misses:
        away = float((miss.measurement - found.target).norm())
        assert miss.spreads == pytest.approx(away / spread, rel=1e-4)
        assert miss.record.loss == pytest.approx(weight * away**2, rel=1e-4)
    steps = read_lines(out / "steps.jsonl")
    for miss in misses:
        assert miss.record.loss == pytest.approx(min(s["loss"] for s in steps if s["index"] == miss.record.index))


def test_the_same_budget_without_effort_fails_as_ever(tmp_path):
    outcome = run_circles(*HOPELESS, "--budget", "20", "--out", str(tmp_path / "run"))
    assert outcome.code == 3
    assert "near misses" not in outcome.stderr


def test_evaluate_gives_the_distance_of_near_misses(tmp_path):
    out = tmp_path / "run"
    some = ("--objective", "classifier:inner,output=logit", "--query", "1", "-n", "8", "--tolerance", "30%")
    outcome = run_circles(*some, "--solver", "rejection", "--effort", "1", "--seed", "2", "--out", str(out))
    assert outcome.code == 0, outcome.stderr
    found = equidiff.load(out)
    assert 0 < len(found) < 8
    assert run_cli("evaluate", str(out)).code == 0
    metric = json.loads((out / "metrics.json").read_text())["groups"]["fidelity"]["near_misses"]
    assert metric["n"] == 8 - len(found)
    assert run_cli("report", str(out)).code == 0
    page = (out / "report.html").read_text()
    rows = re.findall(r'<tr><th scope="row">(\d+)</th><td>not converged</td>', page[page.index('id="others"') :])
    assert [int(index) for index in rows] == [miss.record.index for miss in found.near_misses]
    assert metric["value"] == pytest.approx(sum(miss.spreads for miss in found.near_misses) / metric["n"], rel=1e-6)


@pytest.mark.parametrize("given", [("--effort", "5", "--budget", "6"), ("--effort", "0"), ("--effort", "nan")])
def test_an_effort_that_cannot_be_used(given, tmp_path):
    assert_one_error(run_circles(*given, "--out", str(tmp_path / "run")), 2, "effort")
