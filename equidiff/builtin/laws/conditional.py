"""`conditional`: the prior, given that the residual is zero.

A solver's members are biased towards where it lands. Here each becomes the start of a chain of moves along the set
`{z : c(z) = 0}` that leave invariant the law of z ~ N(0, I) given c(z) = 0. By the co-area formula that law has, by the
set's own area, the density

    exp(-|z|^2 / 2) det(J J^T)^(-1/2),        J = dc / dz.

A move is one step of constrained Hamiltonian dynamics. Position and momentum (z, p) turn along a great circle, which is
the exact motion under the Gaussian; an impulse across the set, J^T a, before the turn brings z back onto the set, and
another after it makes p tangent. This is RATTLE (Andersen 1983) about the exact rotation: it keeps volume, and turned
around it leads back. That the impulse found on the way back is the same one is checked, and what the Hamiltonian

    H(z, p) = |z|^2 / 2 + |p|^2 / 2 + log det(J J^T) / 2

gained is paid by a Metropolis step, so the gradient of the determinant is never needed. For a flat set in any number of
dimensions H does not change at all, whatever the angle: it is the curvature that limits it, not the dimension.

The momentum is renewed by a part before each move and turned around where a move is refused (Horowitz 1991), so that a
chain keeps its direction for a while. The angle adapts during the first fifth of the moves and is frozen then. While it
adapts it depends on where the chain is, and what that does to the law has to be forgotten: so it is early, slight, and
frozen at a mean, which differs little from chain to chain.

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
from collections.abc import Generator as Coroutine
from typing import Any, final

import numpy as np
import torch

from equidiff.builtin.laws.descriptors import ConditionalOptions
from equidiff.builtin.laws.projection import Array, Point, as_array, project, step_onto
from equidiff.contracts import Answer, BuildContext, Law, Moves, Request, ResidualFunction, Step
from equidiff.errors import EquiDiffError

WARM_UP = 1 / 5  # share of the moves during which the angle adapts
WANTED = 0.7  # share of moves accepted
LONGEST = math.pi / 2  # a quarter turn forgets where it came from
RETURNED = 1e-3  # of sqrt(d): the way back must end so near to where it began


@final
class Conditional(Law):
    """Moves along the set that leave the prior given c(z) = 0 invariant.

    Args:
        moves: how many each sample makes from where its solver left it.
        angle: how far the first move turns, in radians.
        persistence: share of the momentum that each move keeps, in [0, 1).
    """

    exact = True

    def __init__(self, moves: int = 48, angle: float = 0.2, persistence: float = 0.9) -> None:
        self.moves = moves
        self.angle = angle
        self.persistence = persistence

    def move(self, start: Step, residual: ResidualFunction) -> Coroutine[Request | Step, Any, Moves | None]:
        here = yield from step_onto(start.answer, residual)
        if len(here.jacobian) >= len(here.latent):
            raise EquiDiffError(f"{len(here.jacobian)} residuals leave a latent of {len(here.latent)} nowhere to move.")
        yield Step(start.number + 1, here.answer)
        momentum = here.tangent(as_array(residual.draw(1)).ravel())
        angle, accepted = Angle(self.angle, int(self.moves * WARM_UP)), 0
        for number in range(1, self.moves + 1):
            fresh, chance = as_array(residual.draw(2)).reshape(2, -1)
            momentum = self.persistence * momentum + math.sqrt(1 - self.persistence**2) * here.tangent(fresh)
            moved, likely = yield from propose(here, momentum, angle.now, _log_uniform(chance[0]), residual)
            # turned around where refused: only so the chain, which keeps a part of its momentum, keeps the law
            here, momentum = (here, -momentum) if moved is None else moved
            accepted += moved is not None
            angle.note(likely)
            yield Step(start.number + 1 + number, here.answer)
        return Moves(self.moves, accepted)


@final
class Angle:
    """How far a move turns: changed after each of the first moves, then frozen at the mean of its logarithms.

    Args:
        first: of the first move, in radians.
        moves: how many moves change it.
    """

    def __init__(self, first: float, moves: int) -> None:
        self.now = first
        self._moves, self._made, self._mean = moves, 0, 0.0

    def note(self, likely: float) -> None:
        """Note how likely the last move was to be accepted, in [0, 1]."""
        self._made += 1
        if self._made > self._moves:
            return
        logarithm = math.log(self.now) + (likely - WANTED) / math.sqrt(self._made)
        self._mean += 2 / (self._made + 1) * (logarithm - self._mean)  # the k-th weighs k
        self.now = min(math.exp(self._mean if self._made == self._moves else logarithm), LONGEST)


def propose(
    start: Point, momentum: Array, angle: float, log_uniform: float, residual: ResidualFunction
) -> Coroutine[Request | Step, Any, tuple[tuple[Point, Array] | None, float]]:
    """A move, or None where it is refused, and how likely the Metropolis step was to accept it.

    Where it cannot be made, or the way back leads elsewhere, that is 0.
    """
    found = yield from _turn(start, momentum, angle, residual)
    if found is None:
        return None, 0.0
    end = Point.of((yield from residual.jacobian(found[0].latents)))
    if end is None:
        return None, 0.0
    after = end.tangent(found[1])
    gained = energy(end, after) - energy(start, momentum)
    likely = math.exp(min(-gained, 0.0))
    if not log_uniform < -gained:
        return None, likely
    back = yield from _turn(end, -after, angle, residual)
    if back is None:
        return None, 0.0
    missed = float(np.linalg.norm(as_array(back[0].latents).ravel() - start.latent))
    return ((end, after), likely) if missed < RETURNED * math.sqrt(start.latent.size) else (None, 0.0)


def energy(point: Point, momentum: Array) -> float:
    """The Hamiltonian: the negative logarithm of the density of position and momentum."""
    return 0.5 * float(point.latent @ point.latent + momentum @ momentum) + point.log_volume


def _turn(
    start: Point, momentum: Array, angle: float, residual: ResidualFunction
) -> Coroutine[Request | Step, Any, tuple[Answer, Array] | None]:
    """Turn by an angle, with the impulse that ends on the set; the momentum that it gives is not tangent yet."""
    cosine, sine = math.cos(angle), math.sin(angle)
    # this impulse would be exact if the set were flat
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
    answer, impulse = found
    return answer, cosine * (momentum + impulse @ start.jacobian) - sine * start.latent


def _log_uniform(normal: float) -> float:
    """The logarithm of a uniform number, from a standard normal one: samples have one stream, of normal numbers."""
    return float(torch.special.log_ndtr(torch.tensor(normal, dtype=torch.float64)))


def build(argument: str | None, options: ConditionalOptions, context: BuildContext) -> Law:
    """Build `conditional`."""
    return Conditional(options.moves, options.angle, options.persistence)
