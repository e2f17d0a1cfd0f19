"""Results of the experiment, as text tables."""

from __future__ import annotations

from statistics import median
from typing import Any

from shortcut.criterion import separation, wilson
from shortcut.networks import CONTROL, SHORTCUT

Summary = dict[str, Any]
SET = "invariant set"


def tables(summaries: list[Summary]) -> dict[str, str]:
    """All tables, by name; each summary is that of a decision (`Decision.summary`)."""
    return {
        "called": calls_table(summaries),
        "looks": f"{decisions_table(summaries)}\n\n{methods_key(summaries)}",
        "totals": totals_table(summaries),
    }


def calls_table(summaries: list[Summary]) -> str:
    """Share of new images that each kind of network calls stars: mean, minimum and maximum over seeds."""
    groups = list(summaries[0]["called_stars"])
    lines = ["called a star   " + "".join(f"{group:>22}" for group in groups)]
    for kind in (SHORTCUT, CONTROL):
        line = f"{kind + ' network':16}"
        for group in groups:
            values = [each["called_stars"][group] for each in summaries if each["network"] == kind]
            line += f"{sum(values) / len(values):8.3f} ({min(values):.3f}-{max(values):.3f})".rjust(22)
        lines.append(line)
    return "\n".join(lines)


def decisions_table(summaries: list[Summary]) -> str:
    """A line for each decision: the numbers of its set, and for each method x (exposed) or . (not exposed)."""
    lines = [
        f"{'seed':4}  {'network':8}  {'query':6}  | {'logit':>6}  {'members':>8}  {'evaluations':>11}  {'no star':>7}  "
        f"{'marked of these':>15}  {'p':>7}  {'rivals':>6} | set  {_letters(summaries)}"
    ]
    for each in summaries:
        marked, lost, *_ = each["set"]["counts"]
        crosses = "".join(_cross(verdict["exposed"]) for verdict in each["maps"].values())
        members = f"{each['members']} of {each['asked']}"
        lines.append(
            f"{each['seed']:4}  {each['network']:8}  {each['query']:6}  | {each['target']:6.2f}  {members:>8}  "
            f"{each['evaluations']:11.0f}  {lost:7}  {marked:15}  {each['set']['p']:7.0e}  {each['rivals']:6} | "
            f"{_cross(each['set']['exposed']):>3}  {crosses}"
        )
    return "\n".join(lines)


def methods_key(summaries: list[Summary]) -> str:
    """Key that explains the letters of the methods."""
    names = [f"{letter} = {name}" for letter, name in zip(_letters(summaries), summaries[0]["maps"], strict=True)]
    return "\n".join("".join(f"{name:26}" for name in names[k : k + 4]).rstrip() for k in range(0, len(names), 4))


def totals(summaries: list[Summary]) -> dict[str, dict[str, dict[str, Any]]]:
    """Frequency of exposure and separation of scores, for each query and method.

    The score of a set is the share of its members that have lost the object and agree with the query in having or
    lacking the mark; that of a map is the share of its strongest pixels that lie on the mark.
    """
    found = {}
    for query in dict.fromkeys(each["query"] for each in summaries):
        chosen = [each for each in summaries if each["query"] == query]
        found[query] = {way: _total(chosen, way) for way in (SET, *summaries[0]["maps"])}
    return found


def totals_table(summaries: list[Summary]) -> str:
    """The totals, with 95 % intervals (Wilson)."""
    asked, members = (sum(each[count] for each in summaries) for count in ("asked", "members"))
    evaluations = sum(each["evaluations"] for each in summaries)
    seconds = median(each["wall_s"] for each in summaries)
    lines = [
        f"{members} of {asked} samples are members, the furthest {_largest(summaries):.3f} logits off; "
        f"{evaluations / asked:.1f} evaluations a sample, {seconds:.1f} s a set (median)"
    ]
    for query, ways in totals(summaries).items():
        lines += [
            "",
            f"{query + ' query':22}{'shortcut exposed':24}{'control accused':24}{'median scores':16}separation",
        ]
        for way, total in ways.items():
            line = f"{way:22}"
            for kind in (SHORTCUT, CONTROL):
                low, high = total[kind]["interval"]
                counted = f"{total[kind]['exposed']} of {total[kind]['of']}"
                line += f"{counted:10}{f'{low:.2f}-{high:.2f}':14}"
            medians = " and ".join(f"{total[kind]['median_score']:.2f}" for kind in (SHORTCUT, CONTROL))
            lines.append(f"{line}{medians:16}{total['separation']:10.2f}")
        lines += [_without_object(summaries, query, kind) for kind in (SHORTCUT, CONTROL)]
    return "\n".join(lines)


def _total(summaries: list[Summary], way: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    scores = {}
    for kind in (SHORTCUT, CONTROL):
        chosen = [each for each in summaries if each["network"] == kind]
        exposed = sum((each["set"] if way == SET else each["maps"][way])["exposed"] for each in chosen)
        scores[kind] = [_score(each, way) for each in chosen]
        result[kind] = {
            "exposed": exposed,
            "of": len(chosen),
            "interval": wilson(exposed, len(chosen)),
            "median_score": median(scores[kind]),
        }
    return {**result, "separation": separation(scores[SHORTCUT], scores[CONTROL])}


def _score(summary: Summary, way: str) -> float:
    if way != SET:
        hits, size, *_ = summary["maps"][way]["counts"]
        return hits / size
    marked, lost, *_ = summary["set"]["counts"]
    return (marked if summary["query"] == "marked" else lost - marked) / max(summary["members"], 1)


def _without_object(summaries: list[Summary], query: str, kind: str) -> str:
    chosen = [each for each in summaries if (each["query"], each["network"]) == (query, kind)]
    marked, lost = (sum(each["set"]["counts"][k] for each in chosen) for k in (0, 1))
    members = sum(each["members"] for each in chosen)
    return f"{kind} network: {lost} of {members} members are no star, {marked} of these are marked"


def _largest(summaries: list[Summary]) -> float:
    return max((each["largest_miss"] for each in summaries if each["members"]), default=0.0)


def _letters(summaries: list[Summary]) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[: len(summaries[0]["maps"])]


def _cross(exposed: bool) -> str:
    return "x" if exposed else "."
