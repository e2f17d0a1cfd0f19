"""`conditional`: the prior, given that the residual is zero.

A solver's members are biased towards where it lands. Here each becomes the start of a chain of transitions along the
set `{z : c(z) = 0}` that leave invariant the law of z ~ N(0, I) given c(z) = 0. By the co-area formula that law has, by
the set's own area, the density

    exp(-|z|^2 / 2) det(J J^T)^(-1/2),        J = dc / dz.

A transition is one step of constrained Hamiltonian dynamics. Position and momentum (z, p) rotate along a great circle,
which is the exact motion under the Gaussian; a multiplier times J^T before the rotation brings z back onto the set, and
another after it makes p tangent. This is RATTLE (Andersen 1983) about the exact rotation: it keeps volume, and reversed
it leads back. That the multiplier found on the way back is the same one is checked, and what the Hamiltonian

    H(z, p) = |z|^2 / 2 + |p|^2 / 2 + log det(J J^T) / 2

gained is paid by a Metropolis step, so the gradient of the determinant is never needed. For a flat set in any number of
dimensions H does not change at all, whatever the angle: it is the curvature that limits it, not the dimension.

The momentum is renewed in part before each transition and reversed where one is rejected (Horowitz 1991), so that a
chain keeps its direction for a while. The angle adapts during the first fifth of the transitions and is frozen then.
While it adapts it depends on where the chain is, and what that does to the law has to be forgotten: so it is early,
slight, and frozen at a mean, which differs little from chain to chain.

References:
    Graham and Storkey (2017), "Asymptotically exact inference in differentiable generative models".
        https://arxiv.org/abs/1605.07826
    Zappa, Holmes-Cerfon and Goodman (2018), "Monte Carlo on manifolds: sampling densities and integrating functions".
        https://arxiv.org/abs/1702.08446
    Hoffman and Gelman (2014), "The No-U-Turn sampler", section 3.2: adapting to a mean of what was tried.
        https://arxiv.org/abs/1111.4246
    Lelievre, Rousset and Stoltz (2019), "Hybrid Monte Carlo methods for sampling probability measures on submanifolds".
        https://arxiv.org/abs/1807.02356
"""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch

from equidiff.builtin.laws.descriptors import ConditionalOptions
from equidiff.builtin.laws.projection import Array, Point, as_array, project, step_onto
from equidiff.contracts import Answer, BuildContext, Coroutine, Equation, Law, ResidualFunction, Step, Transitions
from equidiff.errors import EquiDiffError, UsageError

WARM_UP = 1 / 5  # share of the transitions during which the angle adapts
TARGET_ACCEPTANCE = 0.7
MAX_ANGLE = math.pi / 2  # a quarter turn forgets where it came from
RETURN_TOLERANCE = 1e-3  # of sqrt(d): the way back must end this near to where it began


@final
class Conditional(Law):
    """Transitions along the set that leave the prior given c(z) = 0 invariant.

    Args:
        moves: transitions that each sample makes from where its solver left it.
        angle: of the first rotation, in radians.
        persistence: share of the momentum that each transition keeps, in [0, 1).
    """

    def __init__(self, moves: int = 48, angle: float = 0.2, persistence: float = 0.9) -> None:
        self.moves = moves
        self.angle = angle
        self.persistence = persistence

    def sample(self, start: Step, residual: ResidualFunction) -> Coroutine[Transitions | None]:
        here = yield from step_onto(start.answer, residual)
        if len(here.jacobian) >= len(here.latent):
            raise EquiDiffError(f"{len(here.jacobian)} residuals leave a latent of {len(here.latent)} nowhere to move.")
        yield Step(start.number + 1, here.answer)
        momentum = here.tangent(as_array(residual.draw(1)).ravel())
        angle, accepted = StepSizeAdaptation(self.angle, int(self.moves * WARM_UP)), 0
        for number in range(1, self.moves + 1):
            fresh, chance = as_array(residual.draw(2)).reshape(2, -1)
            momentum = self.persistence * momentum + math.sqrt(1 - self.persistence**2) * here.tangent(fresh)
            moved, probability = yield from propose(here, momentum, angle.now, _log_uniform(chance[0]), residual)
            # reversed where rejected: only so the chain, which keeps a part of its momentum, keeps the law
            here, momentum = (here, -momentum) if moved is None else moved
            accepted += moved is not None
            angle.note(probability)
            yield Step(start.number + 1 + number, here.answer)
        return Transitions(self.moves, accepted)

    def check(self, equation: Equation, dtype: str) -> None:
        """Refuse arithmetic too coarse to tell when c(z) = 0 holds, and a penalty, which is no part of it."""
        if dtype != "float32":
            raise UsageError(
                f"The law 'conditional' cannot tell in {dtype} when a residual is zero.",
                given=f"dtype {dtype}",
                expected="float32",
                hint="--dtype float32, or --law solve",
            )
        if equation.has_penalty:
            raise UsageError(
                "The law 'conditional' cannot be combined with a penalty.",
                given=f"the penalty of {type(equation.regularizer).__name__}",
                expected="a regularizer without a penalty",
                hint="--regularizer none, or --law solve",
            )


@final
class StepSizeAdaptation:
    """The angle of a rotation: adapted after each of the first ones, then frozen at the mean of its logarithms.

    Args:
        first: the first angle, in radians.
        count: rotations that change it.
    """

    def __init__(self, first: float, count: int) -> None:
        self.now = first
        self._count, self._made, self._mean = count, 0, 0.0

    def note(self, probability: float) -> None:
        """Note the acceptance probability of the last transition, in [0, 1]."""
        self._made += 1
        if self._made > self._count:
            return
        logarithm = math.log(self.now) + (probability - TARGET_ACCEPTANCE) / math.sqrt(self._made)
        self._mean += 2 / (self._made + 1) * (logarithm - self._mean)  # the k-th weighs k
        self.now = min(math.exp(self._mean if self._made == self._count else logarithm), MAX_ANGLE)


def propose(
    start: Point, momentum: Array, angle: float, log_uniform: float, residual: ResidualFunction
) -> Coroutine[tuple[tuple[Point, Array] | None, float]]:
    """A transition, or None where it is rejected, and its acceptance probability.

    The probability is 0 where it cannot be made, or the way back leads elsewhere.
    """
    found = yield from _rattle_step(start, momentum, angle, residual)
    if found is None:
        return None, 0.0
    end = Point.of((yield from residual.jacobian(found[0].latents)))
    if end is None:
        return None, 0.0
    after = end.tangent(found[1])
    gained = energy(end, after) - energy(start, momentum)
    probability = math.exp(min(-gained, 0.0))
    if not log_uniform < -gained:
        return None, probability
    back = yield from _rattle_step(end, -after, angle, residual)
    if back is None:
        return None, 0.0
    missed = float(np.linalg.norm(as_array(back[0].latents).ravel() - start.latent))
    return ((end, after), probability) if missed < RETURN_TOLERANCE * math.sqrt(start.latent.size) else (None, 0.0)


def energy(point: Point, momentum: Array) -> float:
    """The Hamiltonian: the negative logarithm of the density of position and momentum."""
    return 0.5 * float(point.latent @ point.latent + momentum @ momentum) + point.log_volume


def _rattle_step(
    start: Point, momentum: Array, angle: float, residual: ResidualFunction
) -> Coroutine[tuple[Answer, Array] | None]:
    """Rotate by an angle, with the multiplier that ends on the set; the momentum that it gives is not tangent yet."""
    cosine, sine = math.cos(angle), math.sin(angle)
    # this multiplier would be exact if the set were flat
    guess = math.tan(angle / 2) * start.normal(start.latent)
    found = yield from project(
        cosine * start.latent + sine * momentum,
        sine * start.jacobian,
        sine * start.gram,
        guess,
        start.answer,
        residual,
    )
    if found is None:
        return None
    answer, multiplier = found
    return answer, cosine * (momentum + multiplier @ start.jacobian) - sine * start.latent


def _log_uniform(normal: float) -> float:
    """The logarithm of a uniform number, from a standard normal one: samples have one stream, of normal numbers."""
    return float(torch.special.log_ndtr(torch.tensor(normal, dtype=torch.float64)))


def build(argument: str | None, options: ConditionalOptions, context: BuildContext) -> Law:
    """Build `conditional`."""
    return Conditional(options.moves, options.angle, options.persistence)
