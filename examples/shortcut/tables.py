"""What was found, as text."""

from __future__ import annotations

from typing import Any

from shortcut.criterion import separation, wilson
from shortcut.networks import CONTROL, SHORTCUT

Summary = dict[str, Any]
SET = "invariant set"


def looks_table(summaries: list[Summary]) -> str:
    """A line for each decision: the set in numbers, the methods as x (exposes) or . (does not)."""
    names = list(summaries[0]["maps"])
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(names)]
    lines = [", ".join(f"{letter} = {name}" for letter, name in zip(letters, names, strict=True)), ""]
    lines += [
        f"seed  network   query   logit  members  evaluations  object gone  of these marked        p  set  {letters}"
    ]
    for each in summaries:
        worn, gone, *_ = each["set"]["counts"]
        marks = "".join(_cross(verdict["exposed"]) for verdict in each["maps"].values())
        lines.append(
            f"{each['seed']:4}  {each['network']:8}  {each['query']:6}  {each['target']:5.1f}  "
            f"{each['members']:3} of {each['asked']:<3}{each['evaluations']:10.0f}  {gone:11}  {worn:15}  "
            f"{each['set']['p']:7.1e}  {_cross(each['set']['exposed']):>3}  {marks}"
        )
    return "\n".join(lines)


def totals(summaries: list[Summary]) -> dict[str, dict[str, dict[str, Any]]]:
    """For each query and each way of looking: how often each network is exposed, and how far apart the scores are.

    A set's score is the share of its members that have lost the object and are in the query's own state, marked or
    clean; a map's is the share of its strongest pixels that lie on the mark.
    """
    ways = [SET, *summaries[0]["maps"]]
    queries = dict.fromkeys(each["query"] for each in summaries)
    return {
        query: {way: _total([each for each in summaries if each["query"] == query], way) for way in ways}
        for query in queries
    }


def totals_table(summaries: list[Summary]) -> str:
    """The totals, with 95 % intervals (Wilson)."""
    lines = []
    for query, ways in totals(summaries).items():
        lines += ["", f"{query + ' query':22}  shortcut exposed     control accused      median score      separation"]
        for way, total in ways.items():
            counted = "  ".join(
                f"{total[kind]['exposed']:3} of {total[kind]['of']:<3} {_interval(total[kind]['interval'])}"
                for kind in (SHORTCUT, CONTROL)
            )
            medians = " and ".join(f"{total[kind]['median']:.2f}" for kind in (SHORTCUT, CONTROL))
            lines.append(f"{way:22}  {counted}  {medians}  {total['separation']:10.2f}")
    return "\n".join(lines[1:])


def _total(summaries: list[Summary], way: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    scores = {}
    for kind in (SHORTCUT, CONTROL):
        chosen = [each for each in summaries if each["network"] == kind]
        verdicts = [each["set"] if way == SET else each["maps"][way] for each in chosen]
        scores[kind] = [_score(each, way) for each in chosen]
        exposed = sum(verdict["exposed"] for verdict in verdicts)
        result[kind] = {
            "exposed": exposed,
            "of": len(chosen),
            "interval": wilson(exposed, len(chosen)),
            "median": sorted(scores[kind])[len(chosen) // 2],
        }
    result["separation"] = separation(scores[SHORTCUT], scores[CONTROL])
    return result


def _score(summary: Summary, way: str) -> float:
    if way != SET:
        hits, size, *_ = summary["maps"][way]["counts"]
        return hits / size
    worn, gone, *_ = summary["set"]["counts"]
    return (worn if summary["query"] == "marked" else gone - worn) / max(summary["members"], 1)


def _interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"


def _cross(exposed: bool) -> str:
    return "x" if exposed else "."
