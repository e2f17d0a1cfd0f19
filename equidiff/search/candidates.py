"""Plain samples to start from: sixteen neighbours share a deck of them, sorted by loss, and each is dealt its hand."""

from __future__ import annotations

from collections import Counter
from functools import partial

import torch
from torch import Tensor

from equidiff.contracts import Answer
from equidiff.numerics.random import stream
from equidiff.search.batching import Passes
from equidiff.search.problem import Problem
from equidiff.search.starts import Start

NEIGHBOURS = 16  # samples that share plain samples


class Dealer:
    """Deals plain samples to neighbours from decks that they share; see `ResidualFunction.pool`.

    Args:
        problem: the equation.
        indices: the samples of this run.
        seed: of the run.
        passes: computes the samples.
        start: where samples start, each from places of its own; from the prior, with shared decks, when absent.
    """

    def __init__(
        self, problem: Problem, indices: list[int], seed: int, passes: Passes, start: Start | None = None
    ) -> None:
        self._problem, self._seed, self._passes, self._start = problem, seed, passes, start
        self._neighbours = Counter(index // NEIGHBOURS for index in indices)
        self._decks: dict[tuple[int, int, int, int | None], Answer] = {}
        self._rounds: Counter[tuple[int, int]] = Counter()

    def deal(self, index: int, count: int, steps: int | None) -> tuple[Answer, float]:
        """The hand of one sample, sorted from the best, and its share of the forward passes.

        Args:
            index: which sample.
            count: plain samples in the hand.
            steps: of the sampler; the generator's own when absent.
        """
        block, seat = divmod(index, NEIGHBOURS)
        turn = self._rounds[index, count]
        self._rounds[index, count] += 1
        if self._start is not None:  # neighbours start from other places, and have nothing to share
            noise = self._noise(count, index, turn, count, 2)
            return self._sorted(self._start.bend(noise, index), steps), count
        deck = (block, turn, count, steps)
        if deck not in self._decks:
            self._decks[deck] = self._shuffle((block, turn, count), steps)
        # back and forth, and another first seat with each deck: nobody always gets the worst
        seat = (seat + 5 * turn) % NEIGHBOURS
        hand = [NEIGHBOURS * card + (NEIGHBOURS - 1 - seat if card % 2 else seat) for card in range(count)]
        return self._decks[deck].pick(hand), NEIGHBOURS * count / self._neighbours[block]

    def _shuffle(self, deck: tuple[int, int, int], steps: int | None) -> Answer:
        # the last number keeps these streams apart from those of the samples, which have two
        return self._sorted(self._noise(NEIGHBOURS * deck[2], *deck, 1), steps)

    def _noise(self, rows: int, *key: int) -> Tensor:
        return torch.randn(rows, *self._problem.generator.latent_shape, generator=stream(self._seed, *key))

    def _sorted(self, latents: Tensor, steps: int | None) -> Answer:
        method = partial(self._problem.value, steps=steps)
        answer = self._passes.compute(method, latents.to(self._problem.target.device))
        return answer.pick(answer.loss.nan_to_num(nan=torch.inf).argsort(stable=True).tolist())
