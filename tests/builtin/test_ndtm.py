"""`ndtm` against the same method written out for a Gaussian, whose denoiser is a matrix."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from analytic import Linear
from running import assert_one_error, read_tensors, run_cli

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.ndtm import Ndtm
from equidiff.contracts import BuildContext, Generator, Solver, StepwiseSampler
from equidiff.kinds.image import Image
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem

SIZE, MEAN = 3, 0.5
TARGET, WEIGHTS = 2.0, [[1.0, -1.0, 0.5]]


def build_component(kind, spec):
    return build(Plugins(), kind, spec, BuildContext()).component


class Gaussian(Generator):
    """Samples from N(0.5, C), by the flow that leads there from noise; a network call is a product with a matrix."""

    latent_shape = sample_shape = (SIZE,)
    steps = 4

    def __init__(self, stochastic=False):
        self.stochastic = stochastic
        factor = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(5)) / 2
        self.covariance = factor @ factor.T + 0.1 * torch.eye(SIZE)
        self.calls = 0

    def denoise(self, state, time):
        """E[x | state] for state = time x + (1 - time) noise."""
        self.calls += len(state)
        gain = time * self.covariance @ torch.linalg.inv(time**2 * self.covariance + (1 - time) ** 2 * torch.eye(SIZE))
        return MEAN + (state - time * MEAN) @ gain.T

    def generate(self, latents, steps=None):
        sampler, states = self.stepwise_sampler(), latents[:, None]
        for step in range(self.steps - 1):
            states = sampler.advance(states, step, None)
        return sampler.predict(states, self.steps - 1)

    def stepwise_sampler(self, steps=None):
        return Steps(self, steps or self.steps)


class Steps(StepwiseSampler):
    def __init__(self, generator, steps):
        self.generator, self.stochastic = generator, generator.stochastic
        self.times = [k / steps for k in range(steps)]
        self.noise_levels = tuple((1 - time) / time if time else math.inf for time in self.times)

    def begin(self, latents):
        return latents[:, None]

    def predict(self, states, step):
        return self.generator.denoise(states[:, 0], self.times[step])

    def advance(self, states, step, noise):
        now, after = self.times[step : step + 2]
        state, clean = states[:, 0], self.generator.denoise(states[:, 0], now)
        state = state + (after - now) / (1 - now) * (clean - state)
        return (state if noise is None else state + 0.1 * noise)[:, None]

    def encode(self, samples):
        return samples - 1  # wrong, so that whoever trusts it is found out


def problem_of(generator):
    return Problem(generator, Linear(torch.tensor(WEIGHTS)), NoRegularizer(), torch.tensor([TARGET]))


class Guided(Solver):
    """The guided samples before they are encoded."""

    budget = 1000

    def __init__(self, solver):
        self.solver, self.found = solver, []

    def solve(self, latents, residual, budget):
        self.found.append((latents, (yield from self.solver.guide(latents, residual)).samples))
        yield from ()


def results(problem, solver, count=3, budget=1000.0):
    events = solve(problem, solver, range(count), seed=0, batch=8, budget=budget, tolerance=1e-3)
    return [event for event in events if isinstance(event, Result)]


def written_out(latent, solver, generator, noise=None):
    """The same by loops in float64, with every gradient by hand."""
    c = generator.covariance.double().numpy()
    w, x = np.array(WEIGHTS[0]), latent.double().numpy()
    times = [k / solver.steps for k in range(solver.steps)]
    for k, t in enumerate(times):
        gain = t * c @ np.linalg.inv(t**2 * c + (1 - t) ** 2 * np.eye(SIZE))
        if t > 0 and (1 - t) / t < 3.44:
            u, m, v = np.zeros(SIZE), np.zeros(SIZE), np.zeros(SIZE)
            for n in range(1, solver.updates + 1):
                clean = MEAN + gain @ (x + solver.gamma * u - t * MEAN)
                slope = solver.gamma * gain.T @ w * np.sign(w @ clean - TARGET)
                slope = slope + 2 * solver.control * solver.gamma**4 * u
                slope = slope * min(1, 1 / (np.linalg.norm(slope) + 1e-6))
                m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
                rate = solver.lr * (1 - k / solver.steps)
                u = u - rate * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
            x = x + solver.gamma * u
        clean = MEAN + gain @ (x - t * MEAN)
        if k + 1 == solver.steps:
            return clean
        x = x + (times[k + 1] - t) / (1 - t) * (clean - x)
        if noise is not None:
            x = x + 0.1 * noise[k]
    raise AssertionError


@pytest.mark.parametrize("settings", [{}, {"control": 0.01}, {"gamma": 1.0, "updates": 3}])
def test_it_is_the_method_written_out(settings):
    solver = Ndtm(steps=10, **settings)
    generator = Gaussian()
    guided = Guided(solver)
    results(problem_of(generator), guided)
    assert len(guided.found) == 3
    for latents, samples in guided.found:
        assert samples[0].numpy() == pytest.approx(written_out(latents[0], solver, generator), abs=2e-4)


def test_guidance_leads_towards_the_target_and_more_of_it_further():
    far = {}
    for gamma in (1e-6, 1.0, 5.0):
        guided = Guided(Ndtm(gamma=gamma, steps=10))
        results(problem_of(Gaussian()), guided, count=8)
        samples = torch.cat([samples for _, samples in guided.found])
        far[gamma] = float((samples @ torch.tensor(WEIGHTS[0]) - TARGET).abs().mean())
    assert far[1e-6] > 2 * far[1.0] > 4 * far[5.0]


def test_steps_that_add_noise_take_it_from_the_samples_own_stream():
    solver, generator = Ndtm(steps=6), Gaussian(stochastic=True)
    drawn = []

    class Drawing(Guided):
        def solve(self, latents, residual, budget):
            draw = residual.draw
            residual.draw = lambda count: drawn.append(draw(count)) or drawn[-1]
            yield from super().solve(latents, residual, budget)

    guided = Drawing(solver)
    results(problem_of(generator), guided, count=1)
    latents, samples = guided.found[0]
    assert len(drawn) == 5
    noise = [each[0].double().numpy() for each in drawn]
    assert samples[0].numpy() == pytest.approx(written_out(latents[0], solver, generator, noise), abs=2e-4)


def test_the_result_is_what_the_encoded_latent_leads_to():
    """The encoding of this generator is wrong, and the result says so: it is judged at its latent."""
    generator = Gaussian()
    problem = problem_of(generator)
    solver, guided = Ndtm(steps=20), Guided(Ndtm(steps=20))
    results(problem, guided, count=2)
    found = results(problem, solver, count=2)
    for result, (_, samples) in zip(found, guided.found, strict=True):
        torch.testing.assert_close(result.answer.latents, samples - 1)
        torch.testing.assert_close(result.answer.samples, generator.generate(samples - 1))
        assert result.status == "not_converged"


def test_the_comparison_has_samples_as_they_end_and_as_encoded(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from nearest import Guided as Compared

    generator, solver = Gaussian(), Ndtm(steps=10)
    problem, compared = problem_of(generator), Compared(solver)
    encoded = results(problem, compared, count=2)
    for answer, result in zip(compared.ended, encoded, strict=True):
        expected = written_out(answer.latents[0], solver, generator)
        assert answer.samples[0].numpy() == pytest.approx(expected, abs=2e-4)
        assert answer.residuals.item() == pytest.approx(expected @ WEIGHTS[0] - TARGET, abs=2e-3)
        torch.testing.assert_close(result.answer.latents, answer.samples - 1)
    (whole,) = results(problem, solver, count=1)  # which looks at its start first, and that costs one sample
    assert encoded[0].cost.forwards == pytest.approx(whole.cost.forwards - 1)
    assert compared.encoding(problem) == pytest.approx(problem.trajectory(10).encode_share)


def test_every_evaluation_of_the_network_is_counted():
    """A whole pass makes four, and backward passes are as many as gradients; evaluations of others in it are none."""
    generator = Gaussian()
    problem = problem_of(generator)
    solver = Ndtm(steps=10, updates=3)
    trajectory = problem.trajectory(10)
    trajectory.prediction_share, trajectory.advance_share, trajectory.encode_share  # noqa: B018  looks that are made once
    generator.calls = 0
    (result,) = results(problem, solver, count=1)
    guided = sum(level < 3.44 for level in trajectory.sampler.noise_levels)
    forwards = 9 + 3 * guided + 1  # steps, gradients, the last prediction
    rows = 4  # a pass has four at least
    width = generator.calls / (forwards + 2 * 4)  # and two whole passes: of the start and of the end
    assert width == int(width) >= rows
    share = trajectory.prediction_share
    assert share == pytest.approx(0.25, abs=0.1)
    assert result.cost.forwards == pytest.approx(
        2 + 9 * trajectory.advance_share + (3 * guided + 1) * share + trajectory.encode_share
    )
    assert result.cost.backwards == pytest.approx(3 * guided * share)


def test_noise_levels_fall_and_the_first_steps_are_left_alone():
    levels = Gaussian().stepwise_sampler(10).noise_levels
    assert all(after < before for before, after in pairwise(levels))
    assert [level < 3.44 for level in levels] == [False] * 3 + [True] * 7


def test_a_budget_that_ends_on_the_way_leaves_the_start():
    (result,) = results(problem_of(Gaussian()), Ndtm(steps=20), count=1, budget=3.0)
    assert (result.status, result.steps) == ("not_converged", 0)


def test_generators_without_steps_are_refused(tmp_path):
    refused = run_cli("run", "-g", "toy:circles", "-s", "ndtm", "--out", tmp_path / "run")
    assert_one_error(refused, 2, "ndtm", "stepwise_sampler", "Circles")


def test_a_run_of_garments_is_guided_and_encoded(tmp_path):
    """Few steps, so that it takes little time; what is written is what the latents lead to."""
    options = ("-o", "neuron:17", "-s", "ndtm,steps=4,updates=2", "--samples", 2, "--tolerance", 1e6)
    assert run_cli("run", *options, "--out", tmp_path / "run").code == 0
    tensors = read_tensors(tmp_path / "run")
    with torch.no_grad():
        again = build_component("generator", "toy:fashion").generate(tensors["latents"])
    torch.testing.assert_close(Image().saved(again), tensors["samples"], atol=1.5 / 255, rtol=0)
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "4 guided sampler steps" in info["search"]


def test_the_steps_of_garments_lead_to_the_samples_of_the_whole_sampler():
    generator = build_component("generator", "toy:fashion")
    sampler = generator.stepwise_sampler()
    latents = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states = sampler.begin(latents)
        for step in range(len(sampler.noise_levels) - 1):
            states = sampler.advance(states, step, None)
        torch.testing.assert_close(sampler.predict(states, step + 1), generator.generate(latents), atol=1e-5, rtol=0)
