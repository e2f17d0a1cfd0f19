"""The comparison of how near solvers come, on circles, which cost nothing."""

import json
import sys
from argparse import Namespace
from itertools import chain
from pathlib import Path

import pytest
import torch
from analytic import Linear

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import BuildContext, Generator
from equidiff.numerics.random import Stream
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem

FOLDER = Path(__file__).parents[1] / "benchmarks"
SEED, COUNT, QUANTILES, BUDGET = 3, 6, (0.25, 0.75), 2


@pytest.fixture(scope="module")
def modules():
    """The scripts, which import each other by their short names."""
    sys.path.insert(0, str(FOLDER))
    try:
        import cases
        import joined
        import nearest

        yield Namespace(cases=cases, joined=joined, nearest=nearest)
    finally:
        sys.path.remove(str(FOLDER))


def table(modules, monkeypatch, path, *solvers):
    words = f"--cases circles --samples {COUNT} --seed {SEED} --budget {BUDGET} --tolerance 0.001 --json {path}"
    targets = ["--quantiles", *map(str, QUANTILES), "--solvers", *solvers]
    monkeypatch.setattr(sys, "argv", ["nearest.py", *words.split(), *targets])
    modules.nearest.main()
    return {row["solver"]: row for row in json.loads(path.read_text())}


def nearest_of_prior_samples(problem, seed):
    """Distances of `rejection`, by its definition: the nearest of the prior samples that its budget pays for."""
    for index in range(COUNT):
        random = Stream.SAMPLE.open(seed, index)
        latents = torch.cat([torch.randn(1, 2, generator=random) for _ in range(3 * BUDGET)])
        values = problem.objective.measure(problem.generator.generate(latents))
        yield problem.objective.residual(values, problem.target).abs().min().item()


def test_a_line_has_the_distances_where_samples_came_nearest(modules, monkeypatch, tmp_path, capsys):
    path = tmp_path / "table.json"
    table(modules, monkeypatch, path, "rejection")
    rows = table(modules, monkeypatch, path, "auto")
    assert list(rows) == ["rejection to 0.001", "auto to 0.001"]  # added to those that were there
    row, problems = rows["rejection to 0.001"], modules.cases.Case("circles", QUANTILES).problems
    found = [each for k, problem in enumerate(problems) for each in nearest_of_prior_samples(problem, SEED + k)]
    distances = torch.tensor(found)
    assert row["samples"] == len(distances) == 12
    assert row["S"] == pytest.approx(3 * BUDGET)
    for name, share in (("quarter", 0.25), ("median", 0.5), ("three quarters", 0.75)):
        assert row[name] == pytest.approx(distances.quantile(share).item(), abs=1e-5)
    for near in (0.1, 0.2):
        assert row[f"<= {near}"] == pytest.approx(100 * (distances < near).float().mean().item())
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_targets_are_at_the_quantiles_that_were_asked_for(modules):
    low, high = modules.cases.Case("circles", (0.0, 0.95)).problems
    values = low.objective.measure(modules.cases.prior_samples(low.generator)).flatten()
    assert low.target.item() == pytest.approx(values.min().item(), abs=1e-5)
    assert (values < high.target.item()).float().mean().item() == pytest.approx(0.95, abs=1e-3)


class Bent(Generator):
    """A curved map from noise, in two parts: a sampler that can be split."""

    latent_shape = sample_shape = (3,)

    def generate(self, latents, steps=None):
        return self.finish(self.begin(latents))

    def begin(self, latents):
        return torch.stack([latents + 0.2 * latents.roll(1, dims=1).sin(), latents], dim=1)

    def finish(self, states):
        return states[:, 0] + 0.3 * states[:, 0].cos()

    def reencode(self, latents, states, moved):
        return latents + (moved - states)[:, 0]

    def split_sampler(self):
        return self


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_joined_searches_find_and_cost_what_each_does_alone(modules, solver):
    weights = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    targets = torch.randn(3, 3, generator=torch.Generator().manual_seed(2)) @ weights.T
    problems = [Problem(Bent(), Linear(weights), NoRegularizer(), target) for target in targets]
    method = build(Plugins(), "solver", solver, BuildContext()).component
    rows = []

    def search(number, problem):
        events = solve(problem, method, range(3), seed=number, batch=4, budget=6, tolerance=1e-3)
        return sorted((each for each in events if isinstance(each, Result)), key=lambda result: result.index)

    def counted(self, latents):
        rows.append(len(latents))
        return finish(self, latents)

    alone = [search(number, problem) for number, problem in enumerate(problems)]
    finish, Bent.finish = Bent.finish, counted
    try:
        together = modules.joined.joined(problems, search)
    finally:
        Bent.finish = finish
    assert max(rows) > 4  # the batch, which is as many as there are in a pass of one
    for each, other in zip(chain(*alone), chain(*together), strict=True):
        assert (each.index, each.status, each.steps) == (other.index, other.status, other.steps)
        assert other.cost.charged == pytest.approx(each.cost.charged)
        torch.testing.assert_close(other.answer.latents, each.answer.latents, atol=1e-4, rtol=0)


def test_an_error_in_a_joined_search_ends_the_others_first(modules):
    problems = [Problem(Bent(), Linear(torch.eye(3)), NoRegularizer(), torch.zeros(3)) for _ in range(2)]
    ended = []

    def search(number, problem):
        if number:
            raise RuntimeError("the second")
        ended.append(problem.value(torch.zeros(1, 3)).loss.item())

    with pytest.raises(RuntimeError, match="the second"):
        modules.joined.joined(problems, search)
    assert ended == [pytest.approx(0.27)]
