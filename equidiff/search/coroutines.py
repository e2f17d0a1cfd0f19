"""What solvers and laws may yield: requests, and steps, not too many of them without a request between them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from equidiff.contracts import Coroutine, Request, Step
from equidiff.errors import PluginError

MOST_IDLE_STEPS = 1000
ENDLESS = (
    f"it made {MOST_IDLE_STEPS:,} steps and asked for nothing between them: return once the loss is below "
    "residual.tolerance, or hope is gone"
)
Returned = TypeVar("Returned")


def checked_coroutine(begin: Callable[[], Coroutine[Returned]], what: str) -> Coroutine[Returned]:
    """The coroutine of a solver or a law, as long as it yields what the contract asks for.

    Args:
        begin: makes it.
        what: the method that does, e.g. "Adam.solve()".

    Raises:
        PluginError: it is no coroutine, yields something else, or steps without end.
    """
    try:
        return (yield from _checked(begin(), what))
    except (AttributeError, TypeError) as error:
        if "'generator' object" not in str(error):
            raise
        raise PluginError(f"{what}: {error}: write `yield from` before residual.METHOD(...)") from error


def _checked(coroutine: Coroutine[Returned], what: str) -> Coroutine[Returned]:
    if not isinstance(coroutine, Generator):
        raise PluginError(
            f"{what} returned a {type(coroutine).__name__}: it must `yield` its steps, and `yield from` each request"
        )
    idle, answer = 0, None
    try:
        while True:
            item = coroutine.send(answer)
            if not isinstance(item, Request | Step):
                raise PluginError(
                    f"{what} yielded a {type(item).__name__}: only `yield Step(...)` and "
                    "`yield from residual.METHOD(...)` are allowed"
                )
            idle = 0 if isinstance(item, Request) else idle + 1
            if idle > MOST_IDLE_STEPS:
                raise PluginError(f"{what}: {ENDLESS}")
            answer = yield item
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
