"""The order of passes: how many samples are under way, and which of their requests are computed next.

Requests of one kind share a pass. Those that do not fill it wait, as long as others fill theirs: by then more samples
may ask for the same. Where nobody fills a pass, as at the end of a run, the one that wastes least is next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import torch

from equidiff.contracts import PassRequest
from equidiff.search.problem import Problem

Task = TypeVar("Task")

AHEAD = 4  # full passes that the samples under way could fill, so that those of one kind are enough for one
HELD = 4  # answers that a sample under way holds, about: where it stands, stood, was best, and what it is given
MOST_BYTES = 2**30  # for all of them


def most_under_way(problem: Problem, rows: int) -> int:
    """Most samples under way: enough to fill several passes, in bounded memory.

    Args:
        problem: the equation.
        rows: of a full pass.
    """
    generator = problem.generator
    numbers = math.prod(generator.sample_shape) + math.prod(generator.latent_shape)
    fitting = MOST_BYTES // (HELD * torch.float32.itemsize * numbers)
    return max(rows, min(AHEAD * rows, fitting))


def next_pass(
    groups: Sequence[list[tuple[Task, PassRequest]]], rows: int, problem: Problem
) -> list[tuple[Task, PassRequest]]:
    """As many requests of one group as fill a pass; where none fills one, all of the group that wastes least.

    Args:
        groups: samples and what they ask for; requests of one group may share a pass.
        rows: of a full pass.
        problem: the equation.
    """
    for group in groups:
        filling = _filling([request for _, request in group], rows)
        if filling is not None:
            return group[:filling]
    return min(groups, key=lambda group: _waste([request for _, request in group], rows, problem))


def _filling(requests: Sequence[PassRequest], rows: int) -> int | None:
    """How many requests, from the first on, leave no room in their passes; None where some room is always left."""
    sizes = accumulate(len(request.latents) for request in requests)
    return next((number for number, size in enumerate(sizes, 1) if size % rows == 0), None)


def _waste(requests: Sequence[PassRequest], rows: int, problem: Problem) -> float:
    """The cost of the rows that only fill the passes of some requests, for each row that was asked for."""
    wanted = sum(len(request.latents) for request in requests)
    forwards, backwards = requests[0].cost(problem)
    return (forwards + 2 * backwards) / len(requests[0].latents) * (-wanted % rows) / wanted
