"""Prior samples to start from: a block of sixteen samples shares a pool of them, sorted by loss."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container
from dataclasses import dataclass

import torch
from torch import Tensor

from equidiff.contracts import Answer, Candidates, Value
from equidiff.numerics.random import Stream
from equidiff.search.batching import Passes
from equidiff.search.blocks import BLOCK
from equidiff.search.problem import Problem
from equidiff.search.starts import Start
from equidiff.search.supply import Supply

SHIFT = 5  # ranks by which the order of a block turns with each pool; prime to the block, so that everybody comes first


@dataclass(frozen=True)
class _Pool:
    """The candidates of a block, sorted, and the samples that have not taken theirs."""

    answer: Answer | BaseException  # the error, where not one of them can be computed
    users: set[int]


class CandidatePool:
    """Shares prior samples out among the samples of a block; see `ResidualFunction.candidates`.

    Args:
        problem: the equation.
        indices: the samples to find.
        asked: the samples of the whole run, which share the cost, whether they are found already or elsewhere.
        seed: of the run.
        passes: computes the prior samples.
        start: where samples start, each from places of its own; from the prior, with shared pools, when absent.
        supply: samples of a bank, which are the first candidates of those for which there is one.
    """

    def __init__(
        self,
        problem: Problem,
        indices: list[int],
        asked: Container[int],
        seed: int,
        passes: Passes,
        start: Start | None = None,
        supply: Supply | None = None,
    ) -> None:
        self._problem, self._seed, self._passes, self._start = problem, seed, passes, start
        self._searching = set(indices)
        self._supply, self._supplied = supply, set[int]()
        self._asked = asked
        self._pools: dict[tuple[int, int, Candidates], _Pool] = {}
        self._rounds: defaultdict[int, Counter[int]] = defaultdict(Counter)

    def share(self, index: int, request: Candidates) -> tuple[Answer | BaseException, float, float]:
        """The candidates of one sample, sorted from the best, and the forward passes that it is charged.

        One that cannot be computed comes last; where none can, the error takes their place. From a bank there is one.

        Args:
            index: of the sample.
            request: how many, and with how many sampler steps.

        Returns:
            The candidates, the passes, and those of the passes that it pays because its block is not full.
        """
        banked = self._from_bank(index)
        if banked is not None:
            return banked, self._problem.objective_share, 0.0
        answer, share = self._from_prior(index, request)
        depth = self._problem.depth(request.steps)
        return answer, depth * share, depth * (share - request.count)

    def _from_bank(self, index: int) -> Answer | None:
        """The sample of the bank that a sample starts from, the first time that it asks."""
        number = None if self._supply is None or index in self._supplied else self._supply.start(index)
        if self._supply is None or number is None:
            return None
        self._supplied.add(index)
        return self._supply.answer(number, self._problem, self._passes)

    def _from_prior(self, index: int, request: Candidates) -> tuple[Answer | BaseException, float]:
        count = request.count
        block, place = divmod(index, BLOCK)
        number = self._rounds[index][count]
        self._rounds[index][count] += 1
        if self._start is not None:  # the samples of a block start from other places, and have nothing to share
            noise = self._noise(Stream.SAMPLE_CANDIDATES, count, index, number, count)
            return self._sorted(self._start.transform(noise, index), request.steps, self._passes), count
        key = (block, number, request)
        if key not in self._pools:
            noise = self._noise(Stream.BLOCK_CANDIDATES, BLOCK * count, block, number, count)
            users = {each for each in _block(block) if each in self._searching}
            self._pools[key] = _Pool(self._sorted(noise, request.steps, self._passes.wide), users)
        candidates = self._pools[key].answer
        self._release(key, index)
        place = (place + SHIFT * number) % BLOCK
        # back and forth: nobody always gets the worst
        ranks = [BLOCK * row + (BLOCK - 1 - place if row % 2 else place) for row in range(count)]
        sharing = sum(each in self._asked for each in _block(block))
        picked = candidates if isinstance(candidates, BaseException) else candidates.pick(ranks)
        return picked, BLOCK * count / max(sharing, 1)

    def finish(self, index: int) -> None:
        """Note that a sample ended, and forget the pools that nobody else waits for."""
        self._searching.discard(index)
        self._rounds.pop(index, None)
        self._supplied.discard(index)
        for key in [key for key in self._pools if key[0] == index // BLOCK]:
            self._release(key, index)

    def _release(self, key: tuple[int, int, Candidates], index: int) -> None:
        """A pool is in the device's memory: it goes with the last sample that may still take its share."""
        users = self._pools[key].users
        users.discard(index)
        if not users:
            del self._pools[key]

    def _noise(self, purpose: Stream, rows: int, *numbers: int) -> Tensor:
        random = purpose.open(self._seed, *numbers)
        return torch.randn(rows, *self._problem.generator.latent_shape, generator=random)

    def _sorted(self, latents: Tensor, steps: int | None, passes: Passes) -> Answer | BaseException:
        request = Value(latents.to(self._problem.target.device), steps)
        answer, failures = passes.compute(request, self._problem)
        if answer is None:
            return failures[0]
        answer = answer.with_loss_on_cpu()
        return answer.pick(answer.loss.nan_to_num(nan=torch.inf).argsort(stable=True).tolist())


def _block(number: int) -> range:
    """The samples of a block."""
    return range(number * BLOCK, (number + 1) * BLOCK)
