"""Run `equidiff check`: find what is to be checked, check it, and print a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equidiff.cli.console import PROGRESS_DELAY_S, Terminal
from equidiff.cli.exit_codes import CONTRACT_BROKEN
from equidiff.cli.options import State
from equidiff.devices import choose_device
from equidiff.errors import EquiDiffError, UsageError, first_line, unknown_name
from equidiff.folders.text import to_json
from equidiff.registry.check import check_text
from equidiff.registry.descriptors import KINDS
from equidiff.registry.manager import Offer, Plugins
from equidiff.registry.specs import parse_sum
from equidiff.registry.trial.source import raised_at
from equidiff.testing.bench import Bench
from equidiff.testing.component import Trial
from equidiff.testing.failure import Check, ContractError

PASS, FAIL, SKIPPED = "pass", "FAIL", "not tried"
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Given:
    """The words of the command."""

    what: str
    kind: str | None
    generator: str | None
    objective: str | None
    device: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check.

    Attributes:
        title: of the check.
        state: "pass", "FAIL" or "not tried".
        problem: of one that failed, or the reason for which it was not tried.
        rows: what the contract asks for, and what to write.
    """

    title: str
    state: str
    problem: str = ""
    rows: tuple[tuple[str, str], ...] = ()


def prepare(state: State, files: list[Path] | None, given: Given) -> list[Trial]:
    """Find the components that are named.

    Raises:
        EquiDiffError: nothing has this name, or several things have.
    """
    is_file = given.what.endswith(".py")
    own = Path(given.what).expanduser()
    plugins = state.plugins([*(files or ()), own] if is_file else files)
    targets = _examples(plugins, own.stem) if is_file else _named(plugins, given.what, given.kind)
    first = {offer.kind: spec for offer, spec in reversed(targets)} if len(targets) > 1 else {}
    bench = Bench(
        plugins,
        given.generator or first.get("generator", "toy"),
        given.objective or first.get("objective", "neuron:17"),
        choose_device(given.device),
    )
    return [Trial(offer, spec, bench) for offer, spec in targets if given.kind in (None, offer.kind)]


def _named(plugins: Plugins, what: str, kind: str | None) -> list[tuple[Offer, str]]:
    """The components that a spec, or the name of a plugin, stands for."""
    names = [spec.name for _, spec in parse_sum(what)]
    kinds = KINDS if kind is None else (kind,)
    offers = [offer for each in kinds for offer in plugins.offers(each) if offer.descriptor.name == names[0]]
    if not offers and what in {plugin.name for plugin in plugins.plugins if plugin.offers}:
        return _examples(plugins, what)
    if not offers:
        known = [offer.descriptor.name for each in kinds for offer in plugins.offers(each)]
        raise unknown_name(kind or "component or plugin", names[0], known, "equidiff plugins")
    if len({offer.kind for offer in offers}) > 1:
        raise UsageError(
            "Components of several kinds have this name.",
            given=what,
            expected=" or ".join(f"--kind {offer.kind}" for offer in offers),
            hint=f"equidiff check {what} --kind {offers[0].kind}",
        )
    check_text(plugins, offers[0].kind, what)
    return [(plugins.find(offers[0].kind, names[0]), what)]


def _examples(plugins: Plugins, name: str) -> list[tuple[Offer, str]]:
    """Each component of a plugin, and its first example."""
    offers = plugins.prefer(name).offers
    return [(offer, next(iter(offer.descriptor.examples), offer.descriptor.name)) for offer in offers]


def perform(trials: Sequence[Trial], terminal: Terminal, as_json: bool) -> int:
    """Carry out the checks, print about them, and return the exit code."""
    found = [(trial, _try(trial, terminal)) for trial in trials]
    if as_json:
        terminal.json(to_json([_as_dict(trial, outcomes) for trial, outcomes in found], indent=2))
    elif len(found) == 1:
        _print_one(terminal, *found[0])
    else:
        _print_many(terminal, found)
    failed = [(trial, each) for trial, outcomes in found for each in outcomes if each.state == FAIL]
    for trial, each in failed:
        terminal.panel(f"{trial.offer.kind} {trial.spec}", each.problem, [("check", each.title), *each.rows], "red")
    return CONTRACT_BROKEN if failed else 0


def _try(trial: Trial, terminal: Terminal) -> list[Outcome]:
    with terminal.status(f"building {trial.spec}"):
        outcomes = [outcome_of(check) for check in trial.first()]
    if trial.component is None:
        return outcomes
    checks = trial.second()
    with terminal.progress(len(checks), 0, doing="checking", delay=PROGRESS_DELAY_S) as show:
        for done, check in enumerate(checks):
            show(done, f"{trial.spec}: {check.title}")
            outcomes.append(outcome_of(check))
    return outcomes


def outcome_of(check: Check) -> Outcome:
    """Carry out one check."""
    try:
        found = check.run()
    except ContractError as error:
        asked: Rows = [] if error.asked is None else _asked(error.asked)
        return Outcome(check.title, FAIL, f"{error.problem}.".replace("..", "."), tuple(asked))
    except EquiDiffError as error:
        return Outcome(check.title, FAIL, error.problem, tuple(error.rows))
    except Exception as error:
        place = raised_at(error)
        rows = () if place is None else (("at", place),)
        return Outcome(check.title, FAIL, f"It raised {type(error).__name__}: {first_line(error)}", rows)
    return Outcome(check.title, SKIPPED, found) if isinstance(found, str) else Outcome(check.title, PASS)


def _asked(text: str) -> Rows:
    contract, _, write = text.partition("; write: ")
    return [("contract", contract), *([("write", write)] if write else [])]


def _print_one(terminal: Terminal, trial: Trial, outcomes: Sequence[Outcome]) -> None:
    terminal.prose(_heading(trial))
    rows = [(each.title, _in_words(each)) for each in outcomes]
    terminal.table(("check", "result"), rows, bad=[each.state == FAIL for each in outcomes])


def _print_many(terminal: Terminal, found: Iterable[tuple[Trial, Sequence[Outcome]]]) -> None:
    found = list(found)
    rows = []
    for trial, outcomes in found:
        tried = [each for each in outcomes if each.state != SKIPPED]
        failed = [each.title for each in tried if each.state == FAIL]
        passed = f"{len(tried) - len(failed)} of {len(tried)}"
        rows.append((trial.offer.kind, trial.spec, passed, ", ".join(failed) or PASS))
    bad = [any(each.state == FAIL for each in outcomes) for _, outcomes in found]
    terminal.table(("kind", "component", "passed", "result"), rows, bad=bad)


def _heading(trial: Trial) -> str:
    bench, offer = trial.bench, trial.offer
    beside = f", tried on samples of {bench.generator_spec}" if trial.uses_samples else ""
    return f"The {offer.kind} {trial.spec} of plugin {offer.plugin}{beside}, on {bench.device}\n"


def _in_words(outcome: Outcome) -> str:
    return f"{outcome.state}: {outcome.problem}" if outcome.state == SKIPPED else outcome.state


def _as_dict(trial: Trial, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    about: dict[str, Any] = {"kind": trial.offer.kind, "spec": trial.spec, "plugin": trial.offer.plugin}
    checks = [
        {"check": each.title, "result": each.state.lower(), "problem": each.problem or None, **dict(each.rows)}
        for each in outcomes
    ]
    return about | {"passed": all(each.state != FAIL for each in outcomes), "checks": checks}
