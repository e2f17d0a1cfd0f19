"""The supply of a run from a bank of prior samples: members for nothing, and starts near the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from equidiff.contracts import Answer, Stored
from equidiff.search.batching import Passes
from equidiff.search.blocks import BLOCK
from equidiff.search.problem import Problem

NEAR = 0.25  # share of the starts; the best of three prior samples, which a search has without a bank, is as near


@dataclass(frozen=True)
class Banked:
    """A member that comes from a bank: its number there, and its answer."""

    number: int
    answer: Answer


@dataclass(frozen=True, eq=False)
class Supply:
    """Samples of a bank, each for one sample of the run at most.

    The first samples of the run get the members, the next ones start from the nearest of the others, and the rest from
    the prior. So what a sample gets depends on the bank, the seed and the sample's index alone, however many samples
    there are and wherever they are found.

    Attributes:
        members: numbers in the bank of those within the tolerance, in the order in which they are given away.
        starts: numbers of the others, the nearest to the target first.
        fetch: reads samples of the bank by their numbers.
    """

    members: tuple[int, ...]
    starts: tuple[int, ...]
    fetch: Callable[[Sequence[int]], Stored]

    def take(self, index: int, tolerance: float, problem: Problem, passes: Passes) -> Banked | None:
        """The member of the bank that this sample of the run is; None where it has to be searched for."""
        if index >= len(self.members):
            return None
        number = self.members[index]
        answer = self.answer(number, problem, passes)
        # on a GPU the last digits depend on the rows of the pass, and the measurement may have been just within
        return None if answer is None or not answer.loss.item() < tolerance else Banked(number, answer)

    def start(self, index: int) -> int | None:
        """The sample of the bank that this sample of the run starts from; None where none that is near is left."""
        place = index - len(self.members)
        return self.starts[place] if 0 <= place < len(self.starts) and index < self._first_from_prior else None

    @cached_property
    def _first_from_prior(self) -> int:
        """The first sample that starts from the prior; whole blocks do, as theirs share candidates and their cost."""
        return BLOCK * math.ceil((len(self.members) + NEAR * len(self.starts)) / BLOCK)

    def answer(self, number: int, problem: Problem, passes: Passes) -> Answer | None:
        """Loss and residuals of a sample of the bank; None where the objective raises an error."""
        answer, _ = passes.compute(self.fetch([number]), problem)
        return None if answer is None else answer.with_loss_on_cpu()
