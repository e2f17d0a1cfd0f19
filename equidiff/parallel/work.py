"""Work that is divided into calls, and the events that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Piece = tuple[Any, Sequence[int]]  # the order of a work, and those of its indices that one call is asked for
NEWS = -1  # in place of an index, before something that is no sample and that the user should know
Answer = list[tuple[int, Any]] | Exception  # values by index, None for those left on a shared disk; or what ended it
Function = Callable[[Sequence[Piece]], Sequence[Answer]]


@dataclass(eq=False)
class Work(Generic[T]):
    """Samples of one run that workers are to find.

    Attributes:
        function: carried out by workers. It is given pieces, of this work and of others with the same function, and
            returns an answer for each: the values that it found with their indices, where None stands for a value that
            it left on a shared disk, and `NEWS` for an index where it tells something else; or the exception that ended
            this piece.
        order: all that the function needs to know of the work, besides the indices. It can be pickled.
        indices: of the samples.
        unit: indices are kept in one call with those that are equal to them when divided by it.
        arrived: reads values that calls have left on a shared disk, since it was last called.
    """

    function: Function
    order: Any
    indices: Sequence[int]
    unit: int = 1
    arrived: Callable[[], Iterable[tuple[int, T]]] | None = None
    todo: set[int] = field(init=False)

    def __post_init__(self) -> None:
        self.todo = set(self.indices)


@dataclass(frozen=True)
class Found(Generic[T]):
    """A sample that a worker found."""

    work: Work[T]
    index: int
    value: T


@dataclass(frozen=True)
class Lost(Generic[T]):
    """A sample that ended every worker that tried to find it."""

    work: Work[T]
    index: int
    reason: str


@dataclass(frozen=True)
class Broken(Generic[T]):
    """A work that ended with an error; nothing more comes of it."""

    work: Work[T]
    error: Exception


@dataclass(frozen=True)
class Told(Generic[T]):
    """Something that a worker tells of a work and that is no sample."""

    work: Work[T]
    news: Any


Event = Found[T] | Lost[T] | Broken[T] | Told[T]
