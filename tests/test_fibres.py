"""The benchmark against fibre sampling, with a small table for data, and networks that are hardly trained."""

import sys
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from equidiff.builtin.solvers.ndtm import Ndtm
from equidiff.contracts import Solver
from equidiff.search.engine import Result, solve

FOLDER = Path(__file__).parents[1] / "benchmarks" / "fibres"


@pytest.fixture(scope="module")
def modules():
    """The scripts' own modules, which import each other by their short names."""
    sys.path.insert(0, str(FOLDER))
    try:
        import colormnist
        import compare
        import denoiser
        import guided
        import htru2
        import measures
        import methods

        parts = (colormnist, compare, denoiser, guided, htru2, measures, methods)
        yield Namespace(**{part.__name__: part for part in parts})
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    """Three hundred candidates whose label is the sign of their first feature."""
    random = np.random.default_rng(0)
    features = random.normal(size=(300, 8)) * np.arange(1, 9) + 100
    path = tmp_path_factory.mktemp("data") / "HTRU_2.csv"
    labels = (features[:, :1] > 100).astype(float)
    np.savetxt(path, np.concatenate([features, labels], axis=1), delimiter=",", fmt="%.6f")
    return path


@pytest.fixture(scope="module")
def task(modules, csv, tmp_path_factory):
    table = modules.htru2.split(modules.htru2.read_table(csv))
    cache = tmp_path_factory.mktemp("cache")
    made, passes = modules.htru2.task_of(table, cache, queries=3, tolerance=0.05, updates=(30, 30))
    again, _ = modules.htru2.task_of(table, cache, queries=3, tolerance=0.05, updates=(0, 0))
    torch.testing.assert_close(again.targets, made.targets)  # from the cache, not trained anew
    assert passes == 20
    return made


def test_a_table_may_name_its_columns_and_is_split_by_class(modules, csv, tmp_path):
    named = tmp_path / "named.csv"
    named.write_text("x1,x2,x3,x4,x5,x6,x7,x8,y\n" + csv.read_text())
    rows = modules.htru2.read_table(csv)
    assert np.array_equal(rows, modules.htru2.read_table(named))
    table = modules.htru2.split(rows)
    assert len(table.train) + len(table.test) == 300
    assert abs(len(table.test) - 60) <= 1
    torch.testing.assert_close(table.train.mean(dim=0), torch.zeros(8), atol=1e-5, rtol=0)
    share = float(table.labels.float().mean())
    assert share == pytest.approx(rows[:, -1].mean(), abs=0.01)


@pytest.mark.parametrize("name", ["bank", "auto", "ndtm,gamma=5,steps=6,updates=2", "encoded:ndtm,steps=4,updates=1"])
def test_a_method_gives_as_many_samples_as_asked_and_its_distances_are_those_of_the_network(modules, task, name):
    found = modules.methods.run_method(name, task, count=2, bank=64)
    assert found.samples.shape == (3, 2, 8)
    values = task.objective.measure(found.samples.flatten(0, 1)).unflatten(0, (3, 2))
    wanted = (values - task.targets[:, None]).square().mean(dim=2).sqrt()
    torch.testing.assert_close(modules.methods.fibre_distances(task, found.samples), wanted)
    assert torch.equal(found.members, 2 * wanted.square() < task.loss)
    if name == "auto":
        assert found.members.any()
    if name == "bank":
        assert found.cost == pytest.approx(64 / 6)


def test_guided_samples_cost_what_their_trajectory_takes(modules, task):
    """Six steps, of which those below a noise level of 3.44 take two gradients each; the objective adds its share."""
    found = modules.methods.run_method("ndtm,steps=6,updates=2", task, count=1, bank=0)
    levels = task.generator.stepwise_sampler(6).noise_levels
    passes = 6 + 2 * 3 * sum(level < 3.44 for level in levels)
    assert passes <= found.cost * 20 < 1.6 * passes


def test_samples_that_are_guided_together_are_those_of_the_solver(modules, task):
    """To rounding, and at the same cost; each query is the target of its own samples."""
    solver = Ndtm(steps=6, updates=3)
    samples, cost = modules.guided.guide_all(task, solver, count=2)
    for query in range(3):
        alone = []

        class Guided(Solver):
            budget = 1000

            def solve(self, latents, residual, budget, found=alone):
                found.append((yield from solver.guide(latents, residual)).samples)

        events = solve(task.problem(query), Guided(), range(2), seed=query, batch=2, budget=1000.0, tolerance=1e-9)
        results = [event for event in events if isinstance(event, Result)]
        torch.testing.assert_close(samples[query], torch.cat(alone), atol=1e-4, rtol=1e-4)
        assert [3 * result.cost.evaluations for result in results] == pytest.approx([cost, cost])


def test_ancestral_steps_lead_to_the_law_that_the_denoiser_knows(modules):
    """For data from N(0, 0.25) the best v is known. With it the flow gives that variance.

    Ancestral sampling gives the one that products of densities give for its steps, smaller the fewer they are.
    """
    generator = modules.denoiser.Denoised(modules.denoiser.Denoiser(2), steps=20)
    share = generator.share

    def exact(states, times):
        a = share[times][:, None]
        variance = a * 0.25 + 1 - a
        clean, noise = a.sqrt() * 0.25 / variance * states, (1 - a).sqrt() / variance * states
        return a.sqrt() * noise - (1 - a).sqrt() * clean

    generator.denoiser = exact
    latents = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    assert float(generator.generate(latents).std()) == pytest.approx(0.5, rel=0.03)
    sampler = generator.stepwise_sampler(100)
    states = sampler.begin(latents)
    for step in range(99):
        noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(step))
        states = sampler.advance(states, step, noise)
    variance, times = 1.0, [10 * k for k in reversed(range(100))]
    for now, after in pairwise(times):
        a, b = float(share[now]), float(share[after])
        kept, gain = a / b, a**0.5 * 0.25 / (a * 0.25 + 1 - a)
        precision = 1 / (1 - b) + kept / (1 - kept)
        factor = (b**0.5 * gain / (1 - b) + kept**0.5 / (1 - kept)) / precision
        variance = factor**2 * variance + 1 / precision
    wanted = variance**0.5 * float(share[0]) ** 0.5 * 0.25 / float(share[0] * 0.25 + 1 - share[0])
    assert wanted < 0.49
    assert float(sampler.predict(states, 99).std()) == pytest.approx(wanted, rel=0.02)
    samples = generator.generate(latents[:5])
    torch.testing.assert_close(generator.generate(sampler.encode(samples)), samples, atol=0.05, rtol=0)


def test_the_rank_test_counts_only_queries_that_a_solver_answered(modules, task):
    samples = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    members = torch.ones(3, 4, dtype=torch.bool)
    members[1, 2] = False
    found = modules.methods.Found("auto", samples, members, 1.0, 1.0, soft=False)
    assert modules.measures.law(task, found, modules.htru2.statistics)[1] == 2
    soft = modules.methods.Found("bank", samples, members, 1.0, 1.0, soft=True)
    assert modules.measures.law(task, soft, modules.htru2.statistics)[1] == 3


def test_a_classifier_tells_another_distribution_from_the_data(modules):
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 200, 8, generator=random)
    assert modules.measures.two_sample_auc(one, other) < 0.65
    assert modules.measures.two_sample_auc(one, other + 1) > 0.9
    assert modules.measures.wasserstein(one, one + 1) == pytest.approx(1.0)


def test_the_table_is_printed_written_and_drawn(modules, task, tmp_path, capsys):
    options = Namespace(
        samples=4, methods=["bank"], bank=32, full=False, json=tmp_path / "a.json", plot=tmp_path / "a.png"
    )
    (row,) = modules.compare.compare(task, 20, modules.htru2.statistics, options)
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split()[:2] == ["data", "-"]
    assert [line.split()[0] for line in printed[3:]] == ["prior", "bank"]
    assert row["ranked"] == 3
    assert sum(row["ranks"]) == pytest.approx(1)
    assert (tmp_path / "a.json").exists()
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_colours_are_undone_and_have_the_published_law(modules):
    """The mean and the variance of the mixture by hand; a digit is the same whatever its colours."""
    colours = modules.colormnist.backgrounds(50_000, torch.Generator().manual_seed(0))
    mean = 0.6 * 0.7 + 0.35 * 0.5 + 0.05 * 0.1
    square = 0.6 * (0.7**2 + 0.08**2) + 0.35 * (0.5**2 + 0.015**2) + 0.05 * (0.1**2 + 0.02**2)
    assert float(colours.mean()) == pytest.approx(mean, abs=0.002)
    assert float(colours.var()) == pytest.approx(square - mean**2, rel=0.02)
    grey = torch.rand(6, 8, 8, generator=torch.Generator().manual_seed(1))
    grey[:, :, 0] = 0
    painted = modules.colormnist.coloured(grey, torch.Generator().manual_seed(2))
    torch.testing.assert_close(modules.colormnist.without_colour(painted), grey, atol=1e-5, rtol=0)
    again = modules.colormnist.coloured(grey, torch.Generator().manual_seed(3))
    assert (painted - again).abs().amax() > 0.1
    right = modules.colormnist.colour_measures(modules.colormnist.coloured(grey.repeat(100, 1, 1), torch.Generator()))
    wrong = modules.colormnist.colour_measures(painted[:1].repeat(100, 1, 1, 1))
    assert right["colour W1"] < 0.03 < wrong["colour W1"]


def test_the_coloured_task_is_made_and_answered(modules, tmp_path, capsys):
    task, passes = modules.colormnist.task_of(tmp_path, queries=2, tolerance=0.05, updates=(30, 30))
    assert (task.generator.sample_shape, task.targets.shape, passes) == ((3, 8, 8), (2, 4), 20)
    # the components hold nearly all of an image
    components = task.train[:50].flatten(1) - task.generator.decode.mean
    directions = task.generator.decode.directions
    kept = (components @ torch.linalg.pinv(directions)) @ directions
    assert (components - kept).square().mean() < 0.05 * components.square().mean()
    capsys.readouterr()  # says what was trained
    options = Namespace(samples=2, methods=["bank", "ndtm,steps=4,updates=1"], bank=8, full=False, json=None, plot=None)
    rows = modules.compare.compare(
        task, passes, modules.colormnist.statistics, options, modules.colormnist.colour_measures
    )
    assert [row["method"] for row in rows] == options.methods
    assert all(row["colour W1"] > 0 and row["dev"] >= 0 for row in rows)
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "dev"
