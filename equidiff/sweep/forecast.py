"""The cost of a sweep before its search, from a measured pass; from then on finished samples tell it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from equidiff.contracts import Gradient, GradientAnswer
from equidiff.numerics.random import Stream, prior_latents
from equidiff.parallel.prepare import Question
from equidiff.parallel.sessions import SHARED, enter, plugins_of
from equidiff.run.session import Session, prepare
from equidiff.run.settings import Settings
from equidiff.search.batching import Passes
from equidiff.sweep.table import Row

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class MeasuredPass:
    """A pass of the first run, forward and backward.

    Attributes:
        rows: samples in it.
        seconds: that it took.
        evaluations: that it cost, of all its rows.
        budget: evaluations that a sample of that run may cost.
    """

    rows: int
    seconds: float
    evaluations: float
    budget: float

    def at_most(self, rows: Iterable[Row], workers: int = 1) -> float:
        """Seconds that these runs take if every sample costs its whole budget, and all passes take as long as this.

        Args:
            rows: the runs.
            workers: runs that are carried out at the same time.
        """
        evaluations = sum(asked(row) * float(row.settings.get("budget", self.budget)) for row in rows)
        return evaluations * self.seconds / self.evaluations / workers


def measure_pass(session: Session) -> MeasuredPass:
    """Measure one pass of a run, once the session is ready."""
    rows = min(session.settings.batch, session.settings.samples)
    problem, device = session.problem, session.problem.target.device
    request = Gradient(prior_latents(problem.generator, rows, 0, Stream.SPREAD).to(device))
    passes = Passes(rows)
    passes.compute(request, problem)  # the first one also allocates
    started = time.perf_counter()
    answer = passes.compute(request, problem)
    if isinstance(answer, GradientAnswer):
        answer.gradient.sum().item()  # waits for the device
    seconds = time.perf_counter() - started
    forwards, backwards = request.cost(problem)
    return MeasuredPass(rows, seconds, (forwards + 2 * backwards) / 3, session.budget)


def measure_question(question: Question) -> MeasuredPass:
    """Measure one pass of a run in a worker, which prepares it for that."""
    enter(question.folder)
    plugins, settings = plugins_of(question.files), question.settings
    return measure_pass(prepare(settings, plugins, default_to_query=question.default_to_query, shared=SHARED))


def asked(row: Row) -> int:
    """Samples that a run asks for."""
    return int(row.settings.get("samples", Settings.samples))


def duration(seconds: float) -> str:
    """A duration in words, to two digits: "40 s", "12 min", "3.5 h", "2.1 days"."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 2 * MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 2 * DAY else f"{seconds / DAY:.1f} days"
