"""Searches for several targets at once, whose passes are joined: on a CPU they take two thirds of the time.

The engine gives each target passes of its own, of four rows on a CPU, some of them only there to fill a pass. Here each
target has its engine in a thread. A pass waits until all the others wait, too; then those that ask for most rows of one
kind go through the network together. Costs are counted as ever. A row's last digits depend on the rows beside it, so a
search that is long may end elsewhere than it would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from threading import Condition, Thread
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from equidiff.contracts import Answer, GradientAnswer, SplitAnswer
from equidiff.search.problem import Problem
from equidiff.search.trajectory import ProblemTrajectory

Found = TypeVar("Found")


@dataclass(eq=False)
class Call:
    """A pass that one target waits for.

    Attributes:
        name: of the method of `Problem`.
        problem: of the target.
        arguments: of the method; tensors have a row each.
        answer: once it is computed, or the error.
    """

    name: str
    problem: JoinedProblem
    arguments: tuple[Any, ...]
    answer: Answer | BaseException | None = None

    @cached_property
    def rows(self) -> int:
        """Rows that differ from the last one, and that: the others only fill the pass."""
        first = self.arguments[0]
        return next((n for n in range(len(first), 1, -1) if not torch.equal(first[n - 1], first[n - 2])), 1)

    @property
    def key(self) -> tuple[Any, ...]:
        """Calls with equal keys may be joined."""
        settings = (each for each in self.arguments if not isinstance(each, Tensor))
        return (self.name, type(self.problem.generator), *settings)


class Meeting:
    """The place where the passes of several threads are joined."""

    def __init__(self, threads: int) -> None:
        self._changed, self._threads, self._calls = Condition(), threads, list[Call]()

    def compute(self, call: Call) -> Any:
        """The answer to a call, once everybody waits and it is its turn."""
        with self._changed:
            self._calls.append(call)
            self._proceed()
            self._changed.wait_for(lambda: call.answer is not None)
        if isinstance(call.answer, BaseException):
            raise call.answer
        return call.answer

    def leave(self) -> None:
        """Note that a thread has ended."""
        with self._changed:
            self._threads -= 1
            self._proceed()

    def _proceed(self) -> None:
        if not self._calls or len(self._calls) < self._threads:
            return
        groups: dict[tuple[Any, ...], list[Call]] = {}
        for call in self._calls:
            groups.setdefault(call.key, []).append(call)
        chosen = max(groups.values(), key=lambda group: sum(call.rows for call in group))
        _compute(chosen)
        self._calls = [call for call in self._calls if call.answer is None]
        self._changed.notify_all()


def _compute(calls: Sequence[Call]) -> None:
    """Answer calls of one kind in one pass; each row has the target of its own call."""
    targets = torch.cat([call.problem.target.expand(call.rows, -1) for call in calls])
    columns = zip(*(call.arguments for call in calls), strict=True)
    arguments = [
        torch.cat([rows[: call.rows] for rows, call in zip(column, calls, strict=True)])
        if isinstance(column[0], Tensor)
        else column[0]
        for column in columns
    ]
    try:
        answer = getattr(replace(calls[0].problem.alone, target=targets), calls[0].name)(*arguments)
    except Exception as error:
        for call in calls:
            call.answer = error
        return
    start = 0
    for call in calls:
        filling = len(call.arguments[0]) - call.rows
        rows = list(range(start, start + call.rows))
        call.answer = answer.pick(rows + rows[-1:] * filling)
        start += call.rows


@dataclass(frozen=True)
class JoinedProblem(Problem):
    """A problem whose passes are joined with those of others, which have other targets.

    Attributes:
        meeting: of these problems.
    """

    meeting: Meeting = field(default_factory=lambda: Meeting(1))

    @cached_property
    def alone(self) -> Problem:
        """The same, whose passes are its own."""
        return Problem(**{each.name: getattr(self, each.name) for each in fields(Problem)})

    def value(self, latents: Tensor, steps: int | None = None) -> Answer:
        """As that of a problem, as are the others."""
        return cast(Answer, self._ask("value", latents, steps))

    def gradient(self, latents: Tensor, steps: int | None = None) -> GradientAnswer:
        """With the gradient."""
        return cast(GradientAnswer, self._ask("gradient", latents, steps))

    def split(self, latents: Tensor) -> SplitAnswer:
        """With intermediate states."""
        return cast(SplitAnswer, self._ask("split", latents))

    def reencode(self, latents: Tensor, states: Tensor, moved: Tensor) -> SplitAnswer:
        """At latents that lead to moved states."""
        return cast(SplitAnswer, self._ask("reencode", latents, states, moved))

    def trajectory(self, steps: int | None) -> ProblemTrajectory | None:
        """Not joined."""
        return self.alone.trajectory(steps)

    @cached_property
    def tail_share(self) -> float:
        """Counted alone, as the next."""
        return self.alone.tail_share

    @cached_property
    def reencode_share(self) -> float:
        """Of finding a latent."""
        return self.alone.reencode_share

    def _ask(self, name: str, *arguments: Any) -> Answer:
        return self.meeting.compute(Call(name, self, arguments))


def joined(problems: Sequence[Problem], search: Callable[[int, Problem], Found]) -> list[Found]:
    """Results of a search for each of some problems that differ in their targets alone.

    Args:
        problems: with one generator, objective and regularizer.
        search: is given a problem's number and the problem, in a thread of its own.
    """
    meeting = Meeting(len(problems))
    found: dict[int, Found | BaseException] = {}

    def work(number: int) -> None:
        problem = problems[number]
        settings = {each.name: getattr(problem, each.name) for each in fields(Problem)}
        try:
            found[number] = search(number, JoinedProblem(**settings, meeting=meeting))
        except BaseException as error:  # told in the caller's thread
            found[number] = error
        finally:
            meeting.leave()

    threads = [Thread(target=work, args=(number,)) for number in range(len(problems))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [each for each in found.values() if isinstance(each, BaseException)]
    if errors:
        raise errors[0]
    return [cast(Any, found[number]) for number in range(len(problems))]
