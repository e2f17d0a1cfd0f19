"""A progress bar for runs in Python: in a terminal as text, in a notebook as a widget where ipywidgets is there."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NoReturn

from tqdm.auto import tqdm

from equidiff.run.execute import Observer
from equidiff.run.record import Record
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import MEMBER, StepRecord

FORMAT = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"  # 80 columns are enough
EVERY = 0.2  # seconds between two states of the bar


class ProgressBar:
    """A context that shows the samples of a run as they finish; an `equidiff.run.execute.Observer`.

    While samples are searched, it shows the median of their losses beside the tolerance that they must get below.

    Args:
        samples: number of them.
        tolerance: loss below which a sample is a member.
        observer: is told everything too.
    """

    def __init__(self, samples: int, tolerance: float, observer: Observer | None = None) -> None:
        self._bar = make_bar(samples)
        self._tolerance, self._observer = tolerance, observer
        self._losses: dict[int, float] = {}  # of samples that are being searched
        self._members, self._shown = 0, time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show()
        self._bar.close()

    def step(self, step: StepRecord) -> None:
        """A sample made a step."""
        self._losses[step.index] = step.loss
        if time.monotonic() - self._shown > EVERY:
            self._show()
        if self._observer:
            self._observer.step(step)

    def result(self, record: Record) -> None:
        """A sample is finished."""
        self._losses.pop(record.index, None)
        self._members += record.status == MEMBER
        self._bar.update()
        if self._observer:
            self._observer.result(record)

    def batch_reduced(self, event: BatchReduced) -> None:
        """A pass ran out of memory; passes are smaller from now on."""
        if self._observer:
            self._observer.batch_reduced(event)

    def _show(self) -> None:
        self._shown = time.monotonic()
        text = f"{self._members} members"
        if self._losses:
            text += f", loss {statistics.median(self._losses.values()):.2g} -> {self._tolerance:.2g}"
        self._bar.set_postfix_str(text)


@contextmanager
def show_progress(total: int, progress: bool | None) -> Iterator[Callable[[int, str], None]]:
    """A function that shows how many steps are done, and a text beside them.

    Args:
        total: steps in all.
        progress: show it; None where somebody watches.
    """
    if not (is_watched() if progress is None else progress):
        yield lambda _done, _text: None
        return
    bar = make_bar(total)

    def show(done: int, text: str) -> None:
        bar.set_postfix_str(text, refresh=False)
        bar.update(done - bar.n)

    try:
        yield show
    finally:
        bar.close()


def make_bar(total: int) -> tqdm[NoReturn]:
    """A bar of so many steps, as text or as a widget."""
    return tqdm(total=total, bar_format=FORMAT)


def is_watched() -> bool:
    """True where somebody sees a bar: stderr is a terminal, or this is a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ()) or (sys.stderr is not None and sys.stderr.isatty())
