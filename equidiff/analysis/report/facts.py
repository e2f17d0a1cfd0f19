"""Facts about a member, as names and texts."""

from __future__ import annotations

from collections.abc import Sequence

from equidiff.analysis.figures.captions import tolerated_deviation
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.run.wording import percent, rounded_up

MOST_OUTPUTS = 12  # outputs shown of a measurement


def facts_of(record: Record, found: InvariantSet) -> list[tuple[str, str]]:
    """Facts about a member: its class, its value beside the target, the search."""
    rows: list[tuple[str, str]] = []
    if record.called is not None:
        rows.append(("called", f"{record.called.name} ({percent(record.called.probability)})"))
    shown = record.shown_values
    if shown:
        rows += _single(shown[0], found) if len(found.info.target.values) == 1 else _several(shown, found)
    if record.loss is not None:
        rows.append(("loss", f"{record.loss:.3g}{_parts(record)}"))
    rows.append(("search", f"{record.steps} steps, {record.evaluations:.1f} evaluations"))
    if record.own_file is not None:
        rows.append(("file", record.own_file))
    return rows


def _parts(record: Record) -> str:
    parts = (("unfiltered", record.loss_unfiltered), ("filtered", record.loss_filtered))
    text = ", ".join(f"{value:.3g} {name}" for name, value in parts if value is not None)
    return f" ({text})" if text else ""


def _single(value: float, found: InvariantSet) -> list[tuple[str, str]]:
    unit, target = found.info.target.unit, found.info.target.values[0]
    away = abs(value - target)
    rows = [("value", f"{value:.5g} {unit}"), ("target", f"{target:.5g} {unit}, {away:.2g} away")]
    within = tolerated_deviation(found) if found.info.within is None else found.info.within
    if within is None:
        return rows
    # a run that judged samples before rounding may have members beyond it
    when = " before rounding" if away > within else ""
    return [*rows, ("tolerated", f"up to {rounded_up(within):g} away{when}")]


def _several(values: Sequence[float], found: InvariantSet) -> list[tuple[str, str]]:
    """Values of the outputs with the highest targets, each beside its target."""
    target, names = found.info.target.values, found.info.target.names
    order = sorted(range(len(target)), key=lambda output: -target[output])[:MOST_OUTPUTS]
    rows = [(names[output], f"{values[output]:.4g} (target {target[output]:.4g})") for output in order]
    if len(target) > len(order):
        rows.append((f"{len(target) - len(order)} more outputs", "with lower targets, not shown"))
    return rows
