"""A look at what solvers, attribution methods and executors say of themselves: nothing is called."""

from __future__ import annotations

import math

from equidiff.registry.trial.subject import Subject


def look_at_solver(subject: Subject) -> None:
    """Check the numbers that a run takes from a solver."""
    for attribute, example in (("budget", "100"), ("weight", "1.0")):
        value = getattr(subject.component, attribute, None)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            line = f"{attribute} = {example}"
            raise subject.wrong(f"{subject.name}.{attribute}", repr(value), "a finite number above 0", line)
    tolerance = getattr(subject.component, "tolerance", None)
    try:
        text = str(tolerance).strip()
        good = isinstance(tolerance, int | float | str) and 0 < float(text.removesuffix("%")) < math.inf
    except ValueError:
        good = False
    if not good:
        contract = "a loss above 0, or a part of the spread of the measurement"
        raise subject.wrong(f"{subject.name}.tolerance", repr(tolerance), contract, 'tolerance = "8%"')


def look_at_attribution(subject: Subject) -> None:
    """Check the flags of an attribution method."""
    for attribute in ("local", "random"):
        value = getattr(subject.component, attribute)
        if not isinstance(value, bool):
            raise subject.wrong(f"{subject.name}.{attribute}", repr(value), "True or False", f"{attribute} = False")


def look_at_executor(subject: Subject) -> None:
    """Check the number of an executor's workers."""
    workers = getattr(subject.component, "workers", None)
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        contract = "the number of calls carried out at the same time"
        raise subject.wrong(f"{subject.name}.workers", repr(workers), contract, "self.workers = 1")
