"""Run `equidiff evaluate`: progress, verdicts, tables and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from equidiff.analysis.evaluation import Plan, evaluate
from equidiff.analysis.evaluation.fidelity import SPREADS
from equidiff.analysis.evaluation.folder import write_evaluation
from equidiff.analysis.evaluation.measure import count_rows
from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.handlers.memory import explain_out_of_memory
from equidiff.run.finished import Finished
from equidiff.run.own_code import name_again

SAME_AS_L2 = ("l1", "max")  # for a single output
SPARE = ("unit", "95 % interval", "prior")  # columns that a narrow terminal has no room for


def perform(finished: Finished, plan: Plan, terminal: Terminal, as_json: bool, tables: bool) -> int:
    """Evaluate the run, write `metrics.json`, print the verdicts, and return the exit code.

    Args:
        finished: the run.
        plan: settings.
        terminal: the output.
        as_json: print `metrics.json` instead.
        tables: print all numbers, too.
    """
    batch = plan.batch or finished.session.settings.batch
    expected, hint = "a smaller batch, or fewer members", f"equidiff evaluate {finished.path} --batch 1"
    try:
        with (
            explain_out_of_memory(batch, expected, hint),
            terminal.progress(count_rows(finished, plan), 0, "evaluating") as show,
        ):
            metrics = evaluate(finished, plan, show)
    except KeyboardInterrupt:
        terminal.note("Interrupted: nothing was written.")
        return INTERRUPTED
    path = write_evaluation(finished, metrics)
    if as_json:
        terminal.json(path.read_text(encoding="utf-8"))
    else:
        for verdict in metrics["verdicts"]:
            terminal.prose(verdict["sentence"], "" if verdict.get("holds") else "yellow")
        if tables:
            _show(metrics, len(finished.session.problem.objective.names) == 1, terminal)
    for warning in metrics["warnings"]:
        terminal.note(warning, "yellow")
    terminal.facts([("written", path)])
    if not tables and not as_json:
        words = ("equidiff", "evaluate", str(finished.path), "--all")
        terminal.command("all numbers", name_again(words, finished.found.info.specs.objective))
    return 0


def _show(metrics: Mapping[str, Any], single: bool, terminal: Terminal) -> None:
    """Print a table for each group, and the reasons for what was not measured."""
    terminal.result("")
    about = [
        ("members", _count(metrics["members"], metrics["members_of_run"])),
        ("prior", f"{metrics['plain']} prior samples of the generator"),
        ("reference", metrics["reference"]["source"]),
        ("features", f"{metrics['features']['space']}, {metrics['features']['size']} numbers per sample"),
    ]
    terminal.facts(about, result=True)
    for group, measured in metrics["groups"].items():
        real = any("reference" in metric for metric in measured.values())
        columns = (group, "members", "95 % interval", "prior", *(["real"] if real else []), "unit")
        rows = list(_rows(measured, single, real))
        terminal.table(columns, rows, spare=SPARE)
    reasons: dict[str, list[str]] = {}
    for name, reason in metrics["absent"].items():
        reasons.setdefault(reason, []).append(name)
    if reasons:
        terminal.facts([(f"not measured: {_shorten(names)}", reason) for reason, names in reasons.items()], result=True)


def _rows(measured: Mapping[str, Mapping[str, Any]], single: bool, real: bool) -> Iterator[tuple[str, ...]]:
    for name, metric in measured.items():
        norm = name.removeprefix("views_").removesuffix("_spreads")
        if single and norm in SAME_AS_L2:
            continue
        label = metric["label"].removesuffix(", L2") if single else metric["label"]
        if metric["unit"] == SPREADS:
            label += ", in spreads"  # a narrow terminal has no room for units
        interval = metric.get("interval")
        yield (
            label,
            _number(metric["value"]),
            "" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}",
            _number(metric.get("plain")),
            *([_number(metric.get("reference"))] if real else []),
            metric["unit"],
        )


def _count(evaluated: int, total: int) -> str:
    return str(total) if evaluated == total else f"{evaluated} of {total}, drawn by the seed of the run"


def _shorten(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
