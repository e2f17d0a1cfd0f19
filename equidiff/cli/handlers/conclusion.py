"""Words around a run: its settings before it begins, and what was found when it has ended."""

from __future__ import annotations

import statistics
from pathlib import Path

from equidiff.analysis.figures.captions import format_values
from equidiff.run.info import RunInfo
from equidiff.run.summary import Summary
from equidiff.run.wording import (
    agreement,
    called,
    called_otherwise,
    from_bank,
    largest_deviation,
    near_misses,
    rounded_up,
)

Facts = list[tuple[str, object]]


def settings_of(info: RunInfo, todo: int, default_query: bool) -> Facts:
    """The settings of a run, a line each.

    Args:
        info: of the run.
        todo: number of samples that are still to find.
        default_query: the user chose neither query nor target.
    """
    rows: Facts = [*info.specs]
    if not info.target.is_given:
        rows.append(("query", info.target.source + (" (choose another with --query)" if default_query else "")))
    if info.inversion is not None:
        error = f"{info.inversion.round_trip:.2g}"
        rows.append(
            ("start", f"the query's latent, which gives the query back with an error of {error} standard deviations")
        )
    rows.append(("target", str(info.target)))
    given = info.tolerance_given or ""
    rows.append(("tolerance", f"{given} of the spread: {agreement(info)}" if given.endswith("%") else agreement(info)))
    if info.called is None:
        rows.append(("called", "nothing: there is no network with classes here"))
    rest = "" if todo == info.counts.asked else f", {todo} of them still to find"
    whole = "" if info.part is None else f" of {info.options.samples}, part {info.part}"
    rows.append(("samples", f"{info.counts.asked}{whole}{rest}; seed {info.seed}, on {info.device}{_precision(info)}"))
    return rows


def _precision(info: RunInfo) -> str:
    """The precision in words, where it is not plain float32."""
    words = {"tf32": ", float32 with TF32 products", "bfloat16": ", the generator in bfloat16"}
    return words.get(info.dtype, "")


def conclusion(info: RunInfo, summary: Summary, image: Path | None, page: Path | None) -> Facts:
    """What was found: members, their classes, how near they are to the target, and where to look.

    Args:
        info: of the run, at its end.
        summary: of its samples.
        image: the contact sheet, if there is one.
        page: the report, if it was written.
    """
    rows: Facts = [("members", _describe_counts(info, summary))]
    if summary.missed and info.options.effort is not None:
        rows.append(("near misses", near_misses(info, summary.missed)))
    if info.bank is not None:
        rows.append(("bank", from_bank(info, summary.members, summary.banked)))
    if summary.members:
        named = [text for text in (called(info), called_otherwise(info)) if text is not None]
        rows += [("called", "\n".join(named))] if named else []
        deviation = largest_deviation(info, [summary.loss])
        if deviation is not None:
            limit = agreement(info)
            rows.append(("agrees to", f"{rounded_up(deviation):.2g} ({info.target.unit}); a member must be {limit}"))
    if summary.chains:
        each, accepted = summary.proposed // summary.chains, summary.accepted / summary.proposed
        rows.append(("law", f"{each} proposals per member, {accepted:.0%} accepted"))
    return [*rows, *((name, path) for name, path in (("picture", image), ("page", page)) if path is not None)]


def _describe_counts(info: RunInfo, summary: Summary) -> str:
    counts = info.counts
    others = [("not converged", counts.not_converged), ("failed", counts.failed)]
    found = ", ".join([f"{counts.members} of {counts.asked}", *(f"{count} {name}" for name, count in others if count)])
    time = "" if info.wall_s is None else f"; {info.wall_s:.1f} s"
    if not summary.evaluations:
        return found + time
    searched = ", of those searched for" if summary.banked else ""
    return f"{found}{time}, {statistics.median(summary.evaluations):.1f} evaluations each (median{searched})"


def nearest_miss(info: RunInfo, summary: Summary) -> Facts:
    """The target and the sample that came nearest to it, of a run without members.

    Args:
        info: of the run, at its end.
        summary: of its samples.
    """
    rows: Facts = [("target", str(info.target))]
    if summary.nearest is not None:
        nearest, index = summary.nearest
        rows.append(("nearest", f"{format_values(nearest, info.target.values)} (sample {index})"))
    if summary.error is not None:
        rows.append(("reason", summary.error))
    hint = f"--budget {4 * info.budget:g}, a target within reach, or a larger --tolerance"
    if info.counts.failed == info.counts.asked:
        hint = "equidiff check SPEC, with the spec of the component that the reason names"
    return [*rows, ("try", hint)]
