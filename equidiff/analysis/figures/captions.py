"""Titles, captions and notes of figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from equidiff.run.invariant_set import InvariantSet
from equidiff.run.summary import Summary
from equidiff.run.wording import reached


def headline(found: InvariantSet, whole: Summary | None = None) -> tuple[str, str]:
    """Title and subtitle of an image of a set.

    Args:
        found: the set.
        whole: numbers about the samples of the run, where the set has some of them only.
    """
    target, name = found.info.target.values, found.info.specs.objective
    unit, source = found.info.target.unit, "target" if found.query is None else "query"
    whole = whole or Summary.of(found.info, found.records)
    count = f"{whole.members} of {found.info.counts.asked} samples"
    if len(target) > 1:
        return f"{name} ({len(target)} {unit} values)", f"{count} with the {source}'s values"
    title = f"{name} = {format_values(target, target)} ({unit})"
    return title, f"{count} with the {source}'s {unit}, {reached(found.info, whole.deviation)}"


def footnote(found: InvariantSet, shown: int, whole: Summary | None = None) -> str:
    """Note about the samples that an image leaves out.

    Args:
        found: the set.
        shown: number of members in the image.
        whole: as for `headline`.
    """
    whole = whole or Summary.of(found.info, found.records)
    hidden, more = whole.others, whole.members - shown
    parts = [f"{hidden} that did not reach the target" if hidden else "", f"{more} more members" if more else ""]
    text = " and ".join(filter(None, parts))
    return f"Not shown: {text}." if text else ""


def format_values(values: Sequence[float], target: Sequence[float]) -> str:
    """Format a single value with digits that suit its target; for several, give their distance from it."""
    if len(target) == 1:
        size = abs(target[0])
        digits = 2 - math.floor(math.log10(size)) if size > 0 else 2
        return f"{values[0]:.{min(max(digits, 0), 4)}f}"
    goal = torch.tensor(target)
    distance = float((torch.tensor(values) - goal).norm() / goal.norm().clamp(min=1e-12))
    return f"{100 * distance:.2g} % away"


def tolerated_deviation(found: InvariantSet) -> float | None:
    """Largest deviation of a single value that the tolerance allows; None for several values, or if it is not known.

    The tolerance applies to lambda times the squared residual. The residual is the difference from the target, unless
    the objective is the user's own code.
    """
    info = found.info
    if len(found.target) > 1 or info.specs.is_custom or "objective" in info.specs.objects:
        return None
    if info.within is not None:
        return info.within
    return math.sqrt(info.tolerance / info.options.solver.get("weight", 1.0))
