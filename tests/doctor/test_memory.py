"""Predicted memory against what torch's profiler measures, and against bytes counted by hand."""

from functools import partial

import pytest
import timm
import torch
from allocations import most_allocated
from analytic import linear_problem
from safetensors.torch import save_file
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.utils.checkpoint import checkpoint

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import BuildContext, Generator, Objective
from equidiff.doctor.memory import SampleSum, _Shortened, predict, predict_pass
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.problem import Problem
from equidiff.testing import load_plugins


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins("equidiff.builtin")


def problem_of(plugins, generator, objective=None):
    source: Generator = build(plugins, "generator", generator, BuildContext()).component
    context = BuildContext(generator=source)
    if objective is None:
        return Problem(source, SampleSum(), NoRegularizer(), torch.zeros(1))
    measures = build(plugins, "objective", objective, context).component
    regularizer = build(plugins, "regularizer", "lowpass", context).component
    return Problem(source, measures, regularizer, torch.zeros(len(measures.names)))


def parameter_bytes(module):
    return sum(parameter.nbytes for parameter in module.parameters())


@pytest.mark.parametrize("rows", [4, 16])
@pytest.mark.parametrize("objective", [None, "neuron:17"])
def test_the_prediction_is_what_the_profiler_measures(plugins, objective, rows):
    problem = problem_of(plugins, "toy:fashion,steps=2", objective)
    found = predict_pass(problem, Auto(), rows)
    latents = torch.randn(rows, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    problem.jacobian(latents[:1])  # what is computed once and kept is no part of a pass
    assert found.pass_ == pytest.approx(most_allocated(problem.jacobian, latents), rel=0.2)
    assert found.peak == found.weights + found.pass_


def test_a_pass_that_keeps_no_graph_needs_less(plugins):
    problem = problem_of(plugins, "toy:fashion,steps=2")
    latents = torch.randn(8, 1, 28, 28)
    found = predict(problem.value, (1, 28, 28), 8)
    assert found.pass_ == pytest.approx(most_allocated(problem.value, latents), rel=0.2)
    assert 5 * found.pass_ < predict(problem.gradient, (1, 28, 28), 8).pass_


def test_weights_are_those_of_the_networks_used(plugins):
    flow = problem_of(plugins, "toy:fashion,steps=2")
    of_flow = parameter_bytes(flow.generator.flow)
    assert predict_pass(flow, Auto(), 4).weights == of_flow + flow.target.nbytes
    linear = linear_problem(size=12, outputs=2)
    # the target, and W
    assert predict_pass(linear, Auto(), 4).weights == 4 * 2 + 4 * 2 * 12


def test_bytes_counted_by_hand():
    found = predict(lambda latents: (latents * 2).sum(), (10,), 5)
    # the latents, their double, the sum
    assert found.pass_ == 4 * (50 + 50 + 1)
    assert found.weights == 0

    def freed(latents):
        for _ in range(20):
            latents = latents + 1
        return latents.view(-1)

    # the first latents are held by their caller; the old and the new ones beside them
    assert predict(freed, (10,), 5).pass_ == 4 * 50 * 3


class Walk(Generator):
    """Many steps of a small network; each is recomputed in the backward pass if asked for."""

    latent_shape = sample_shape = (4, 16, 16)

    def __init__(self, steps, recompute):
        self.steps, self.recompute = steps, recompute
        self.weights = 0.1 * torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0))

    def generate(self, latents, steps=None):
        for _ in range(steps or self.steps):
            step = partial(checkpoint, self._step, use_reentrant=False) if self.recompute else self._step
            latents = step(latents)
        return latents

    def _step(self, state):
        return state + torch.conv2d(torch.conv2d(state, self.weights, padding=1).sin().exp(), self.weights, padding=1)


def test_many_steps_are_foretold_from_few():
    sizes = []
    latents = torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    for recompute in (False, True):
        problem = Problem(Walk(50, recompute), SampleSum(), NoRegularizer(), torch.zeros(1))
        direct, found = predict(problem.jacobian, (4, 16, 16), 8), predict_pass(problem, Auto(), 8)
        assert found.pass_ == pytest.approx(direct.pass_, rel=0.01)
        assert found.weights == direct.weights == problem.generator.weights.nbytes + problem.target.nbytes
        assert found.pass_ == pytest.approx(most_allocated(problem.jacobian, latents), rel=0.2)
        sizes.append(found.pass_)
    assert 2 * sizes[1] < sizes[0]


def test_a_shortened_generator_is_the_generator_with_fewer_steps(plugins):
    generator = problem_of(plugins, "toy:fashion").generator
    latents = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(_Shortened(generator, 3).generate(latents), generator.generate(latents, steps=3))
        assert torch.equal(_Shortened(generator, 3).generate(latents, 2), generator.generate(latents, 2))


def test_an_objective_that_looks_at_numbers_cannot_be_predicted():
    class Looks(Objective):
        names, unit = ("sum",), "value"

        def measure(self, samples):
            return samples * (2 if float(samples.sum()) > 0 else 1)

    problem = linear_problem()
    with pytest.raises(DataDependentOutputException, match="_local_scalar_dense"):
        predict_pass(Problem(problem.generator, Looks(), NoRegularizer(), torch.zeros(12)), Auto(), 4)


def test_the_memory_of_a_timm_network_is_predicted(plugins, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=10)
    path = tmp_path / "resnet18.safetensors"
    save_file(model.state_dict(), path)
    problem = problem_of(plugins, "toy:fashion,steps=1", f"neuron:layer4.3,model=resnet18,checkpoint={path}")
    found = predict_pass(problem, Auto(), 2)
    latents = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    work = problem.jacobian if len(problem.target) <= 4 else problem.gradient
    work(latents[:1])
    assert found.pass_ == pytest.approx(most_allocated(work, latents), rel=0.2)
    trunk = parameter_bytes(model) - parameter_bytes(model.fc)
    running = sum(buffer.nbytes for buffer in model.buffers())
    flow = parameter_bytes(problem.generator.flow)
    assert found.weights == pytest.approx(trunk + running + flow, rel=0.01)
