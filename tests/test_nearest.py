"""The comparison of how near solvers come, on circles, which cost nothing."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from equidiff.numerics.random import Stream

FOLDER = Path(__file__).parents[1] / "benchmarks"
SEED, COUNT, QUANTILES, BUDGET = 3, 6, (0.25, 0.75), 2


@pytest.fixture(scope="module")
def modules():
    """The scripts, which import each other by their short names."""
    sys.path.insert(0, str(FOLDER))
    try:
        import cases
        import nearest

        yield Namespace(cases=cases, nearest=nearest)
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
