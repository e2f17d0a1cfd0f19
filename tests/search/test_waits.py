"""How often the host waits for a device, counted on a device that the CPU emulates.

A wait empties the device's queue, so that it idles until the host has caught up. A pass may cost a few, however many
rows it has; a sampler step must cost none.
"""

import pytest
import torch
from analytic import Identity, Linear, Staged
from emulated_device import DEVICE, EmulatedDevice

from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto
from equidiff.builtin.solvers.imagespace import ImageSpace
from equidiff.builtin.solvers.infinite import Infinite
from equidiff.builtin.solvers.lbfgs import Lbfgs
from equidiff.builtin.solvers.rejection import Rejection
from equidiff.contracts import BuildContext
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem

SAMPLES = 3


class Passes(Identity):
    """Counts the passes through it."""

    passes = 0

    def generate(self, latents, steps=None):
        self.passes += 1
        return latents + 0.3 * latents.sin()


def problem_of(outputs, generator=None, regularizer=None):
    generator = generator or Passes(1, 6, 6)
    size = int(torch.tensor(generator.sample_shape).prod())
    weights = torch.randn(outputs, size, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    target = torch.full((outputs,), 2.5, device=DEVICE)
    return Problem(generator, Linear(weights), regularizer or LowPass(0.5), target)


def search(problem, solver, samples=SAMPLES, budget=30):
    return [
        event
        for event in solve(problem, solver, range(samples), seed=0, batch=4, budget=budget, tolerance=1e-3)
        if isinstance(event, Result)
    ]


def count(problem, solver):
    """Waits for each pass; the first search fills what is computed once."""
    with EmulatedDevice() as device:
        problem = problem()
        search(problem, solver, samples=1)
        device.waits.clear()
        device.places.clear()
        problem.generator.passes = 0
        found = search(problem, solver)
    steps = sum(result.steps for result in found)
    assert steps >= 3
    assert all(result.error is None for result in found)
    return sum(device.waits.values()), problem.generator.passes, steps, device


def test_a_deliberate_wait_is_counted():
    """The negative control: each way to read a device, and what is no reading."""
    with EmulatedDevice() as device:
        values = torch.arange(6.0).to(DEVICE)
        assert device.waits == {"copy to device": 1}
        device.waits.clear()
        total = (values * 2 + torch.zeros(6, device=DEVICE)).sum().sqrt()
        torch.where(values > 2, values, 0 * values)[None].expand(3, -1).flatten(1).norm(dim=1)
        assert not device.waits
        assert float(total) == pytest.approx(30**0.5)
        total.item()
        assert bool(total > 3)
        assert values.tolist() == list(range(6))
        assert device.waits == {"read": 3, "copy to host": 1}
        values[values > 2]
        values.nonzero()
        assert device.waits["shape"] == 2
        values[[0, 2]]
        values.cpu()
        assert device.waits["copy to device"] == 1
        assert device.waits["copy to host"] == 2
        with pytest.raises(RuntimeError, match="same device"):
            values + torch.ones(6)


def test_a_wait_inside_a_generator_is_counted_in_every_pass():
    class Waiting(Passes):
        def generate(self, latents, steps=None):
            return super().generate(latents) * (1 if float(latents.detach().sum()) else 0)

    calm, *_ = count(lambda: problem_of(2), Infinite(lr=0.01))
    waiting, passes, *_ = count(lambda: problem_of(2, Waiting(1, 6, 6)), Infinite(lr=0.01))
    assert waiting == calm + passes


# waits for each step of a sample; besides there is one for the losses of a pass, and twelve for a sample: its draw, its
# candidates, and the tensors of its result
@pytest.mark.parametrize(
    ("solver", "outputs", "most"),
    [
        (Auto(), 1, 7),  # Newton: the Jacobian, the residuals and the step cross over, Broyden's four tensors too
        (Auto(), 8, 2),  # L-BFGS: the latent goes there, the gradient comes back
        (Lbfgs(), 2, 2),
        (Infinite(lr=0.01), 2, 1),
        (Rejection(), 2, 1),
        (ImageSpace(), 2, 5),
    ],
    ids=["auto-newton", "auto-lbfgs", "lbfgs", "infinite", "rejection", "imagespace"],
)
def test_waits_of_a_solver_step_are_few(solver, outputs, most):
    waits, passes, steps, device = count(lambda: problem_of(outputs), solver)
    assert waits <= most * steps + passes + 12 * SAMPLES, device.places.most_common(8)


@pytest.mark.parametrize("name", ["toy:fashion,steps=2", "toy:circles", "pixels:8"])
def test_a_pass_of_a_shipped_generator_waits_for_nothing(name):
    with EmulatedDevice() as device:
        generator = build(Plugins(), "generator", name, BuildContext(DEVICE)).component
        at = torch.randn(2, *generator.latent_shape).to(DEVICE).requires_grad_()
        generator.generate(at)  # what is computed once
        device.waits.clear()
        (slope,) = torch.autograd.grad(generator.generate(at).sum(), at)
        assert not device.waits, device.places
        assert slope.device.type == DEVICE
        assert slope.abs().sum().item() > 0


def test_intermediate_states_are_searched_without_more_waits():
    class OnDevice(Staged):
        def __init__(self):
            super().__init__(16)
            self.matrices = self.matrices.to(DEVICE)

    def problem():
        made = problem_of(8, OnDevice(), NoRegularizer())
        assert made.tail is not None
        return made

    with EmulatedDevice() as device:
        found = search(problem(), Auto(), samples=2, budget=60)
    assert sum(device.waits.values()) < 8 * sum(result.cost.forwards for result in found) + 60
