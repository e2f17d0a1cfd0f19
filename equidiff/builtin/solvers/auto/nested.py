"""A search inside a search, whose steps are not reported."""

from __future__ import annotations

from typing import Any

from equidiff.contracts import Answer, Coroutine, Step


def without_steps(search: Coroutine[Any], here: Answer) -> Coroutine[Answer]:
    """Run a search, keep its steps back, and return where it ended.

    Args:
        search: its requests go on to the run.
        here: where it begins.
    """
    answer = None
    while True:
        try:
            item = search.send(answer)
        except StopIteration:
            return here
        answer = None
        if isinstance(item, Step):
            here = item.answer
        else:
            answer = yield item
