"""An executor whose time is simulated: workers that fail, hang and straggle, in no time."""

import heapq
import random
from concurrent.futures import Future
from itertools import count

from equidiff.contracts import Executor
from equidiff.errors import WorkerLostError

HANGS = float("inf")


class Simulated(Executor):
    """Each call takes a second for each sample, times the speed of its worker, unless its worker dies or hangs.

    Args:
        workers: number of them.
        seed: of what happens to them.
        dies: probability that a worker dies during a call; another takes its place.
        slow: share of the workers that take twenty times as long.
        hangs: probability that a call never ends.
        deadly: samples that end each worker that tries to find them.

    Attributes:
        now: simulated seconds.
        calls: what each call was asked for.
        deaths: number of the calls whose worker died.
        speeds: of the workers: seconds a sample.
    """

    def __init__(self, workers=4, seed=0, dies=0.0, slow=0.0, hangs=0.0, deadly=(), costly=False):
        self.workers, self.costly = workers, costly
        self._random, self._dies, self._hangs = random.Random(seed), dies, hangs
        self._deadly = set(deadly)
        self.speeds = [20.0 if self._random.random() < slow else 1.0 for _ in range(workers)]
        self._idle, self._waiting, self._numbers = list(range(workers)), [], count()
        self._ends, self._worker = [], {}
        self.now, self.calls, self.deaths = 0.0, [], 0

    def submit(self, function, /, *args):
        future = Future()
        (pieces,) = args
        self.calls.append([(order, tuple(indices)) for order, indices in pieces])
        self._waiting.append((future, function, args))
        self._begin()
        return future

    def shutdown(self, *, wait=True, cancel_futures=False):
        self._waiting.clear()

    def clock(self):
        return self.now

    def wait(self, futures):
        """Go on to the next thing that happens, at most a second."""
        until = self.now + 1
        while self._ends and self._ends[0][0] <= until:
            self.now, _, finish = heapq.heappop(self._ends)
            if finish():
                self._begin()
                return
        self.now = until

    def _begin(self):
        while self._idle and self._waiting:
            future, function, args = self._waiting.pop(0)
            if not future.set_running_or_notify_cancel():
                continue
            worker = self._idle.pop(self._random.randrange(len(self._idle)))
            indices = [index for _, those in args[0] for index in those]
            length = sum(self.speeds[worker] * self._random.uniform(0.5, 1.5) for _ in indices)
            dies = self._random.random() < self._dies or bool(self._deadly & set(indices))
            if self._random.random() < self._hangs:
                continue  # its worker is never idle again
            moment = self.now + length * (self._random.random() if dies else 1)
            heapq.heappush(self._ends, (moment, next(self._numbers), self._end(future, worker, function, args, dies)))

    def _end(self, future, worker, function, args, dies):
        def finish():
            self._idle.append(worker)
            if dies:
                self.deaths += 1
                future.set_exception(WorkerLostError("The worker died."))
            else:
                future.set_result(function(*args))
            return True

        return finish
