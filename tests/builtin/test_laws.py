"""Laws: what the moves along the set leave as it is, against laws that are known exactly."""

import json
import math

import mici
import numpy as np
import pytest
import torch
from analytic import Identity, Linear, Penalised, linear_problem
from running import assert_one_error, run_cli
from scipy.stats import kstest, norm

import equidiff
from equidiff.builtin.laws import conditional, projection
from equidiff.builtin.laws.conditional import (
    MAX_ANGLE,
    TARGET_ACCEPTANCE,
    Conditional,
    StepSizeAdaptation,
    energy,
    propose,
)
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import Objective, ResidualFunction, Solver, Step
from equidiff.errors import UsageError
from equidiff.registry.manager import Plugins
from equidiff.run.info import read_info
from equidiff.run.session import prepare
from equidiff.run.settings import Settings
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem


class Steep(Objective):
    """y = z2 exp(z1): zero on the line z2 = 0, where its gradient is exp(z1) long.

    The prior given y = 0 is exp(-z1^2 / 2) / exp(z1), so z1 ~ N(-1, 1); by arc length alone it would be N(0, 1).
    """

    names = ("y",)
    unit = "value"

    def measure(self, samples):
        return samples[:, 1:] * samples[:, :1].exp()


class Line(Solver):
    """Starts from the true law of `Steep` itself."""

    budget = 10

    def solve(self, latents, residual, budget):
        start = torch.stack([residual.draw(1)[:, 0] - 1, torch.zeros(1)], dim=1)
        yield Step(0, (yield from residual.value(start)))


def moved(problem, solver, law, count, batch=1000, budget=128.0):
    found = solve(problem, solver, range(count), seed=3, batch=batch, budget=budget, tolerance=1e-3, law=law)
    return sorted((each for each in found if isinstance(each, Result)), key=lambda each: each.index)


def latents(results):
    return torch.cat([each.answer.latents for each in results if each.answer is not None])


def steep():
    return Problem(Identity(2), Steep(), NoRegularizer(), torch.zeros(1))


@pytest.mark.parametrize("law", [Conditional(6, 0.3, 0.9), Conditional(6, 1.4, 0.0)])
def test_moves_leave_the_true_law_as_it_is(law, monkeypatch):
    # moves that still adapt depend on where the chain has been: they are what the frozen ones must forget
    monkeypatch.setattr(conditional, "WARM_UP", 0)
    results = moved(steep(), Line(), law, 400)
    places = latents(results)[:, 0].numpy()
    assert kstest(places, norm(-1, 1).cdf).pvalue > 0.01
    assert kstest(places, norm(0, 1).cdf).pvalue < 1e-9
    assert 0.3 < sum(each.transitions.accepted for each in results) / (6 * 400) < 1


def test_without_the_volume_of_the_jacobian_the_law_would_be_another(monkeypatch):
    monkeypatch.setattr(conditional, "WARM_UP", 0)
    of = projection.Point.of

    def flat(answer):
        point = of(answer)
        return projection.Point(point.answer, point.latent, point.jacobian, point.gram, 0.0)

    monkeypatch.setattr(projection.Point, "of", flat)
    places = latents(moved(steep(), Line(), Conditional(6, 1.4, 0.0), 400))[:, 0].numpy()
    assert kstest(places, norm(-1, 1).cdf).pvalue < 1e-6


def test_on_a_flat_set_every_move_is_taken_and_the_law_is_normal_within_it():
    problem = linear_problem(size=12, outputs=2, generator=Identity(12))
    results = moved(problem, Auto(), Conditional(9, 1.2, 0.5), 120)
    assert all(each.transitions.proposed == each.transitions.accepted == 9 for each in results)
    assert all(each.status == "member" for each in results)
    found = latents(results).double()
    weights = problem.objective.weights.double()
    torch.testing.assert_close(found @ weights.T, torch.ones(120, 2, dtype=torch.float64), atol=1e-4, rtol=0)
    within = torch.linalg.svd(weights).Vh[2:]
    assert kstest((found @ within.T).flatten().numpy(), norm.cdf).pvalue > 0.01
    torch.testing.assert_close(torch.cov((found @ within.T).T), torch.eye(10, dtype=torch.float64), atol=0.4, rtol=0)


def test_moves_are_paid_beside_the_budget_and_counted():
    problem = linear_problem(size=12, generator=Identity(12))
    without, with_law = (moved(problem, Auto(), law, 16, budget=8)[0] for law in (None, Conditional(20)))
    assert without.transitions is None
    assert with_law.transitions.proposed == 20
    assert with_law.cost.evaluations > without.cost.evaluations + 20
    assert with_law.steps == without.steps + 1 + 20


def test_a_sample_does_not_depend_on_its_batch():
    alone, beside = (latents(moved(steep(), Auto(), Conditional(8), 8, batch=batch)) for batch in (1, 8))
    torch.testing.assert_close(alone, beside, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("weights", "problem"),
    [(torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]), "depend on each other"), (torch.eye(3), "nowhere to move")],
)
def test_a_law_that_is_not_defined_is_an_error_of_its_sample(weights, problem):
    equation = Problem(Identity(3), Linear(weights), NoRegularizer(), torch.full((len(weights),), 0.5))
    result = moved(equation, Auto(), Conditional(4), 1)[0]
    assert result.status == "failed"
    assert problem in result.error


def test_a_penalty_is_refused():
    with pytest.raises(UsageError, match="cannot be combined with a penalty"):
        equidiff.sample(Identity(4), Linear(torch.ones(1, 4)), Penalised(1.0), target=1.0, samples=1, law="conditional")


class Square(Objective):
    """y = |z|^2: on a sphere the volume is the same everywhere, so that its gradient moves nothing."""

    names = ("y",)
    unit = "value"

    def measure(self, samples):
        return samples.square().sum(dim=1, keepdim=True)


def answered(coroutine, problem):
    """Run a coroutine, with the answers that the engine would give."""
    answer = None
    while True:
        try:
            request = coroutine.send(answer)
        except StopIteration as end:
            return end.value
        answer = request.run(problem)


class Bare(ResidualFunction):
    """Requests without a run."""

    tolerance = 1e-3

    def draw(self, count):
        raise NotImplementedError


residual = Bare()


def test_one_move_is_that_of_mici():
    problem = Problem(Identity(3), Square(), NoRegularizer(), torch.tensor([2.0]))
    point = projection.Point.of(problem.jacobian(torch.tensor([[1.0, 1.0, 0.0]])))
    momentum = point.tangent(np.array([0.3, -0.5, 0.4]))
    (end, after), probability = answered(propose(point, momentum, 0.3, -math.inf, residual), problem)

    system = mici.systems.GaussianDenseConstrainedEuclideanMetricSystem(
        neg_log_dens=lambda _: 0.0,
        grad_neg_log_dens=np.zeros_like,
        constr=lambda z: np.array([z @ z - 2]),
        jacob_constr=lambda z: 2 * z[None],
        mhp_constr=lambda _: lambda matrix: 2 * matrix[0],
    )
    state = mici.states.ChainState(pos=point.latent, mom=momentum, dir=1)
    there = mici.integrators.ConstrainedLeapfrogIntegrator(system, step_size=0.3).step(state)
    np.testing.assert_allclose(end.latent, there.pos, atol=1e-4)
    np.testing.assert_allclose(after, there.mom, atol=1e-4)
    # the Hamiltonian itself: mici's log det is that of the Gram matrix's root, too
    gained = system.h(there) - system.h(state)
    assert energy(end, after) - energy(point, momentum) == pytest.approx(gained, abs=1e-4)
    assert probability == pytest.approx(min(1, math.exp(-gained)), abs=1e-4)


def test_a_move_over_a_bend_of_the_set_is_made():
    # the set turns sharply there: the projection needs ten passes on the way out, more on the way back
    problem = prepare(Settings("toy:circles", "classifier:inner", query=2), Plugins()).problem
    point = answered(projection.step_onto(problem.value(torch.tensor([[1.3009, -0.8051]])), residual), problem)
    momentum = point.tangent(np.array([0.709, 1.22]))
    found, probability = answered(propose(point, momentum, 0.5075, -math.inf, residual), problem)
    assert found is not None
    assert probability > 0
    assert problem.value(torch.from_numpy(found[0].latent).float()[None]).loss.item() < 1e-9


def test_the_angle_adapts_to_the_share_wanted_and_is_frozen_then():
    angle = StepSizeAdaptation(0.05, 400)
    for _ in range(400):
        angle.note(math.exp(-angle.now))
    frozen = angle.now
    assert math.exp(-frozen) == pytest.approx(TARGET_ACCEPTANCE, abs=0.01)
    angle.note(0.0)
    assert angle.now == frozen


def test_the_angle_where_all_is_accepted_is_the_longest():
    angle = StepSizeAdaptation(0.2, 100)
    for _ in range(100):
        angle.note(1.0)
    assert angle.now == MAX_ANGLE


def test_the_command_line_records_the_law_and_a_resumed_run_keeps_it(tmp_path):
    path = tmp_path / "run"
    typed = ("run", "-g", "toy:circles", "-o", "classifier:inner", "-n", "6", "--plain", "--out", str(path))
    done = run_cli(*typed, "--law", "conditional,moves=3")
    assert done.code == 0, done.stderr
    assert "3 proposals per member" in done.stderr
    info = read_info(path)
    assert info.specs.law == "conditional,moves=3"
    assert info.options.law == {"moves": 3, "angle": 0.2, "persistence": 0.9}
    assert Settings.of(info).law == "conditional,moves=3"
    lines = [json.loads(line) for line in (path / "members.jsonl").read_text().splitlines()]
    assert all(line["moves"] == 3 and 0 <= line["accepted"] <= 3 for line in lines)

    before = equidiff.InvariantSet.load(path).latents
    (path / "run.json").write_text(info.model_copy(update={"status": "interrupted"}).to_json())
    (path / "members.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:4]))
    assert run_cli("run", "--resume", str(path)).code == 0
    torch.testing.assert_close(equidiff.InvariantSet.load(path).latents, before, atol=1e-4, rtol=0)


def test_without_a_law_nothing_is_said_of_moves(tmp_path):
    done = run_cli("run", "-g", "toy:circles", "-o", "classifier:inner", "-n", "2", "--out", str(tmp_path / "run"))
    assert "moves" not in done.stderr
    assert "moves" not in (tmp_path / "run" / "members.jsonl").read_text()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (("--law", "conditional,move=3"), "conditional,moves=3"),
        (("--law", "conditional,moves=0"), "moves=0"),
        (("--law", "unconditional"), "conditional"),
        (("--law", "conditional", "--dtype", "bfloat16"), "float32"),
    ],
)
def test_what_cannot_be_is_one_error(typed, shown):
    done = run_cli("run", "-g", "toy:circles", "-o", "classifier:inner", *typed)
    assert_one_error(done, 1 if typed[1] == "unconditional" else 2, shown)
