"""Tables of the page about the run: its settings, and its samples that are not members."""

from __future__ import annotations

import math

from equidiff.run.info import RunInfo
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.run.wording import agreement, in_spreads
from equidiff.search.result import MEMBER

BITS = {"uint8": "as saved, in 8 bits", "int16": "as saved, in 16 bits"}


def settings_rows(info: RunInfo) -> list[tuple[str, str]]:
    """Settings of the run, and how it ended, as names and texts."""
    asked = "" if info.tolerance_given is None else f"asked for as {info.tolerance_given}; "
    rows: list[tuple[str, str | None]] = [
        *info.specs,
        ("query", None if info.target.is_given else info.target.source),
        ("target", str(info.target)),
        ("tolerance", f"{asked}{info.tolerance:g} on the loss, a sum of squared differences"),
        ("agreement", None if info.within is None else agreement(info)),
        ("judged", BITS.get(info.options.saved)),
        ("budget" if info.options.effort is None else "effort", f"{info.budget:g} evaluations per sample"),
        ("search", info.search),
        ("seed", str(info.seed)),
        ("samples", f"{info.counts.asked} requested, {info.counts.members} members"),
        ("status", info.status),
        ("device", f"{info.device}, {info.dtype}"),
        ("started", info.started),
        ("finished", info.finished),
    ]
    if info.prior is not None:
        text = f"{info.prior.count}, of which {info.prior.members} are members before any search"
        rows.insert(-5, ("prior samples", text))
    if info.bank is not None:
        cost = f"{info.bank.evaluations:.0f} evaluations, made once for all runs"
        rows.insert(-5, ("bank", f"{info.bank.count} prior samples, {info.bank.members} of them members; {cost}"))
    if info.evaluations is not None:
        rows.append(("cost", f"{info.evaluations:g} evaluations in all, {info.wall_s or 0:.0f} s"))
    return [(name, text) for name, text in rows if text is not None]


def other_rows(found: InvariantSet, most: int) -> list[dict[str, str]]:
    """Rows of the table of samples that are not members: by index, or the nearest first where near misses were wanted.

    Args:
        found: the run.
        most: rows.
    """
    others = [record for record in found.records if record.status != MEMBER]
    if found.info.options.effort is not None:
        others.sort(key=lambda record: math.inf if record.loss is None else record.loss)
    return [_other_row(record, found.info) for record in others[:most]]


def _other_row(record: Record, info: RunInfo) -> dict[str, str]:
    spreads = None if record.loss is None else in_spreads(info, record.loss)
    return {
        "index": str(record.index),
        "status": record.status.replace("_", " "),
        "steps": str(record.steps),
        "evaluations": f"{record.evaluations:.1f}",
        "loss": "" if record.loss is None else f"{record.loss:.3g}",
        "away": "" if spreads is None else f"{spreads:.2g}",
        "value": f"{record.measurement[0]:.4g}" if record.measurement and len(record.measurement) == 1 else "",
        "error": record.error or "",
    }
