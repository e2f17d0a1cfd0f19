"""Memory of a pass, predicted without computing it: only shapes go through the program, no values."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from equidiff.contracts import Generator, Objective, Solver
from equidiff.search.problem import Problem
from equidiff.types import Latents, Measurements, Samples

STEPS = (4, 8)  # sampler steps to predict from: multiples of the evaluations that any integrator needs per interval

Pass = Callable[[Tensor], object]


@dataclass(frozen=True)
class Memory:
    """Bytes on the device.

    Attributes:
        weights: bytes of the weights that the pass uses.
        pass_: the most that the pass holds besides them at any time.
    """

    weights: int
    pass_: int

    @property
    def peak(self) -> int:
        """Weights and pass together."""
        return self.weights + self.pass_


def predict(work: Pass, latent_shape: tuple[int, ...], rows: int, device: str = "cpu") -> Memory:
    """Predict the memory of a pass.

    Every tensor that an operation makes is counted for as long as it lives. Workspace inside kernels and memory that
    the allocator keeps in reserve are not.

    Args:
        work: the pass, called with latents `[rows, *latent_shape]`.
        latent_shape: shape of one latent.
        rows: number of latents in the pass.
        device: the device of the weights and the pass.

    Raises:
        Exception: whatever `work` raises when it reads values, which are not computed.
    """
    # the mode entered last sees an operation first: the count sees real weights, before they become mere shapes
    with FakeTensorMode(allow_non_fake_inputs=True), _Count() as count:
        latents = torch.empty(rows, *latent_shape, device=device)  # held throughout, as by a solver
        work(latents)
    return Memory(sum(count.weights.values()), count.peak)


def predict_pass(problem: Problem, solver: Solver, rows: int, device: str = "cpu") -> Memory:
    """Predict the costliest pass of a solver; an upper bound if it searches from intermediate states.

    A sampler of many steps is followed for 4 and for 8 of them, from which memory grows linearly with further steps.
    """
    generator = problem.generator
    few, more = STEPS
    if generator.steps is None or generator.steps <= more:
        return _predict_problem(problem, solver, rows, device)
    first, second = (
        _predict_problem(replace(problem, generator=_Shortened(generator, steps)), solver, rows, device)
        for steps in STEPS
    )
    growth = (second.pass_ - first.pass_) / (more - few)
    return replace(second, pass_=round(second.pass_ + growth * (generator.steps - more)))


def _predict_problem(problem: Problem, solver: Solver, rows: int, device: str) -> Memory:
    shape = problem.generator.latent_shape
    # one real sample first: whatever components compute once and keep would have no values otherwise
    problem.value(torch.zeros(1, *shape, device=device))
    request = solver.costliest(problem)
    return predict(lambda latents: request(latents).run(problem), shape, rows, device)


@final
class _Shortened(Generator):
    """A generator with another number of sampler steps."""

    def __init__(self, generator: Generator, steps: int) -> None:
        self._generator = generator
        self.latent_shape, self.sample_shape = generator.latent_shape, generator.sample_shape
        self.kind = generator.kind
        self.steps = steps

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        return self._generator.generate(latents, steps or self.steps)


@final
class SampleSum(Objective):
    """Sum of all values of a sample, for a pass of a generator alone."""

    names = ("sum",)
    unit = "value"

    def measure(self, samples: Samples) -> Measurements:
        return samples.flatten(1).sum(dim=1, keepdim=True)


class _Count(TorchDispatchMode):
    """Sum of the sizes of all storages that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: dict[int, int] = {}
        self.peak = self._alive = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and not isinstance(value, FakeTensor):
                storage = value.untyped_storage()
                self.weights[storage.data_ptr()] = storage.nbytes()
        result = func(*args, **(kwargs or {}))
        # an alias (a view, or a result written in place) lies in memory that is counted already or belongs to a weight
        if not any(returned.alias_info for returned in func._schema.returns):
            for value in tree_leaves(result):
                if isinstance(value, Tensor):
                    self._born(value.untyped_storage())
        return result

    def _born(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        size = storage.nbytes()
        self._alive += size
        self.peak = max(self.peak, self._alive)
        weakref.finalize(storage, self._died, key, size)

    def _died(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._alive -= size
