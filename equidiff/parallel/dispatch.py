"""The loop that gives calls to an executor: lost ones again, and those of stragglers to a second worker."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from equidiff.contracts import Executor
from equidiff.errors import WorkerLostError, first_line
from equidiff.parallel.calls import Call, Queue
from equidiff.parallel.work import NEWS, Answer, Broken, Event, Found, Lost, Told, Work

T = TypeVar("T")

EVERY_S = 0.25  # between two looks at what calls have left on a shared disk
SLOW = 2.0  # times as long as calls took so far, from which on a call is given to a second worker
HOPELESS = 20  # calls that were lost, and two more for each worker, before anything was found
COPIES = 3  # of a call, at most, at the same time
PATIENCE_S = 30.0  # for a shared disk to show what a call has left there


def _wait(futures: set[Future[Any]]) -> None:
    """Return when a future is done, or a little later."""
    if futures:
        wait_for(futures, timeout=EVERY_S, return_when=FIRST_COMPLETED)
    else:
        time.sleep(EVERY_S)


@dataclass(eq=False)
class _Active(Generic[T]):
    """A call with a worker.

    Attributes:
        call: given to the worker.
        pieces: of it, as they were given.
        origin: the first call with these samples, of which this may be a copy.
        began: time at which a worker began; None while it waits for one.
    """

    call: Call[T]
    pieces: list[tuple[Work[T], list[int]]]
    origin: Call[T]
    began: float | None = None

    @property
    def size(self) -> int:
        return sum(len(indices) for _, indices in self.pieces)


class Dispatcher(Generic[T]):
    """Divides works into calls, and yields what comes of them: each sample once, whatever happens to workers.

    Works may be added while it is iterated over, which ends when nothing is left to find.

    A call whose worker died is submitted again: three times, then in halves, until a single sample is lost three times.
    When nothing waits and workers are idle, the calls that take much longer than others are submitted a second time,
    and the first result counts. Neither changes a sample, which depends on the run and its index alone. Where worker
    after worker dies and nothing is found, all works are broken.

    Args:
        executor: carries out the calls.
        clock: seconds.
        wait: returns when one of the futures is done, or after a while.
        between: called after each look at the workers, a quarter of a second after the last or sooner.
    """

    def __init__(
        self,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[set[Future[Any]]], None] = _wait,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._executor, self._clock, self._wait, self._between = executor, clock, wait, between
        self._queue: Queue[T] = Queue(max(1, executor.workers), executor.costly)
        self._active: dict[Future[Any], _Active[T]] = {}
        self._late: list[tuple[float, Call[T]]] = []  # calls whose values are on a disk that does not show them yet
        self._works: dict[Work[T], None] = {}
        self._rates: list[float] = []  # seconds a sample, of the calls that have ended
        self._events: deque[Event[T]] = deque()
        self._losses: int | None = 0  # None once something was found

    def add(self, work: Work[T]) -> None:
        """Append a work to those that wait."""
        self._works[work] = None
        self._queue.add(work)

    @property
    def waiting(self) -> bool:
        """True while samples wait for a worker."""
        return bool(self._queue)

    def __iter__(self) -> Iterator[Event[T]]:
        while self._works or self._events:
            self._fill()
            yield from self._told()
            if self._works:
                if not any(future.done() for future in self._active):
                    self._wait(set(self._active))
                self._take()
                self._forget()
                self._between()

    def rest(self) -> Iterator[Event[T]]:
        """What has come of the calls until now, where the iteration was ended early; nothing is submitted again."""
        self._queue = Queue(self._queue.workers)
        self._take()
        yield from self._told()

    def _told(self) -> Iterator[Event[T]]:
        while self._events:
            yield self._events.popleft()

    def _fill(self) -> None:
        """Give calls to idle workers."""
        while len(self._active) < self._executor.workers:
            call = self._queue.next()
            if call is not None:
                self._submit(call, call)
                continue
            straggler = self._straggler()
            if straggler is None:
                return
            self._submit(Call(straggler.left, straggler.tries, straggler.half), straggler)

    def _submit(self, call: Call[T], origin: Call[T]) -> None:
        pieces = call.pieces()
        future = self._executor.submit(call.function, [(work.order, indices) for work, indices in pieces])
        self._active[future] = _Active(call, pieces, origin)
        self._note_beginnings()

    def _note_beginnings(self) -> None:
        now = self._clock()
        for future, active in self._active.items():
            if active.began is None and (future.running() or future.done()):
                active.began = now

    def _straggler(self) -> Call[T] | None:
        """The call that has run longest, of those that take much longer than others took."""
        if not self._rates:
            return None
        now, rate = self._clock(), statistics.median(self._rates)
        copies: dict[Call[T], list[_Active[T]]] = {}
        for active in self._active.values():
            if active.call.left:
                copies.setdefault(active.origin, []).append(active)
        began: dict[Call[T], float] = {}
        for origin, those in copies.items():
            slow = [
                each.began for each in those if each.began is not None and now - each.began > SLOW * rate * each.size
            ]
            if len(slow) == len(those) < COPIES:
                began[origin] = min(slow)
        return min(began, key=began.__getitem__) if began else None

    def _take(self) -> None:
        """Take in what calls have left on a shared disk, and what those that have ended return."""
        self._note_beginnings()
        self._take_arrived()
        for future in [future for future in self._active if future.done()]:
            self._end(future, self._active.pop(future))
        now = self._clock()
        for deadline, call in list(self._late):
            if now > deadline or not call.left:
                self._late.remove((deadline, call))
                self._lose(call, "its results did not reach the shared disk")

    def _take_arrived(self) -> None:
        for work in self._works:
            for index, value in work.arrived() if work.arrived is not None else ():
                self._find(work, index, value)

    def _find(self, work: Work[T], index: int, value: T) -> None:
        if index == NEWS:
            self._events.append(Told(work, value))
        elif index in work.todo:
            work.todo.discard(index)
            self._losses = None
            self._events.append(Found(work, index, value))

    def _end(self, future: Future[Any], active: _Active[T]) -> None:
        """Take in what comes of a call that has ended."""
        call = active.call
        try:
            answers = future.result()
        except (CancelledError, WorkerLostError) as error:
            self._take_arrived()  # what it had found until then
            self._lose(call, first_line(error))
            self._give_up(error)
        except Exception as error:  # of the function itself, or on the way: another worker would not do better
            for work, _ in active.pieces:
                self._break(work, error)
        else:
            if active.began is not None:
                self._rates.append((self._clock() - active.began) / max(active.size, 1))
            for (work, _), answer in zip(active.pieces, answers, strict=True):
                self._accept(work, answer)
            if call.left:
                self._take_arrived()
            if call.left:
                self._late.append((self._clock() + PATIENCE_S, call))

    def _give_up(self, error: BaseException) -> None:
        """Break all works where no worker has found anything before it died."""
        if self._losses is None or not isinstance(error, WorkerLostError):
            return
        self._losses += 1
        if self._losses >= HOPELESS + 2 * self._executor.workers:
            for work in self._works:
                self._break(work, error)

    def _accept(self, work: Work[T], answer: Answer) -> None:
        if isinstance(answer, Exception):
            self._break(work, answer)
            return
        for index, value in answer:
            if value is not None:
                self._find(work, index, value)

    def _lose(self, call: Call[T], reason: str) -> None:
        """Have what is left of a call done again, unless another worker is at it."""
        left = set(call.left)
        if not left or any(left <= set(other.call.left) for other in self._active.values()):
            return
        calls = call.lost()
        self._queue.again.extendleft(reversed(calls))
        if not calls:
            for work, index in left:
                work.todo.discard(index)
                self._events.append(Lost(work, index, reason))

    def _break(self, work: Work[T], error: Exception) -> None:
        if work.todo:
            work.todo.clear()
            self._events.append(Broken(work, error))

    def _forget(self) -> None:
        """Forget the works that are done, and call off the calls for which nothing is left to do."""
        self._works = {work: None for work in self._works if work.todo}
        for future, active in list(self._active.items()):
            if not active.call.left and future.cancel():
                del self._active[future]
