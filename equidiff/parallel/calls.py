"""Calls: the samples that one worker is asked for at a time, and the queue that they are cut from."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from equidiff.parallel.work import Function, Work

T = TypeVar("T")

ROUNDS = 4  # calls that a worker gets, at least, where there are enough samples: the last ones are the shortest
TRIES = 3  # of a call, before it is halved, and of a sample
Item = tuple[Work[T], int]


@dataclass(eq=False)
class Call(Generic[T]):
    """Samples that one worker is asked for.

    Attributes:
        items: the samples, each a work and an index.
        tries: how often it was submitted and lost.
        half: True for a part of a call that was lost too often.
    """

    items: list[Item[T]]
    tries: int = 0
    half: bool = False

    @property
    def left(self) -> list[Item[T]]:
        """The samples that nobody has found yet."""
        return [item for item in self.items if item[1] in item[0].todo]

    @property
    def function(self) -> Function:
        """Carries out the call."""
        return self.items[0][0].function

    def pieces(self) -> list[tuple[Work[T], list[int]]]:
        """What is left, work by work."""
        found: dict[Work[T], list[int]] = {}
        for work, index in self.left:
            found.setdefault(work, []).append(index)
        return list(found.items())

    def lost(self) -> list[Call[T]]:
        """What to do next where the worker died: the same again, or its halves; nothing for a sample that is lost."""
        left, tries = self.left, self.tries + 1
        if tries < (TRIES if not self.half or len(left) == 1 else 1):
            return [Call(left, tries, self.half)] if left else []
        if len(left) < 2:
            return []
        middle = len(left) // 2
        return [Call(left[:middle], half=True), Call(left[middle:], half=True)]


@dataclass
class Queue(Generic[T]):
    """Samples that wait for a worker.

    Attributes:
        workers: that take from it.
        costly: calls take long to begin: as many as there are workers are cut, in place of several for each.
    """

    workers: int
    costly: bool = False
    again: deque[Call[T]] = field(default_factory=deque)
    units: deque[list[Item[T]]] = field(default_factory=deque)
    _share: int = 0  # units in a call, where these are costly

    def add(self, work: Work[T]) -> None:
        """Append the samples of a work."""
        units: dict[int, list[Item[T]]] = {}
        for index in work.indices:
            units.setdefault(index // work.unit, []).append((work, index))
        self.units.extend(units.values())
        self._share = -(-len(self.units) // self.workers)

    def __bool__(self) -> bool:
        return bool(self.again or self.units)

    def next(self) -> Call[T] | None:
        """Cut off a call; None where nothing waits."""
        while self.again:
            call = self.again.popleft()
            if call.left:
                return call
        count = self._share if self.costly else max(1, len(self.units) // (ROUNDS * self.workers))
        items: list[Item[T]] = []
        while self.units and count > 0 and (not items or self.units[0][0][0].function is items[0][0].function):
            unit = [item for item in self.units.popleft() if item[1] in item[0].todo]
            items += unit
            count -= bool(unit)
        return Call(items) if items else None
