"""The messages that mistakes in a plugin lead to, in this process."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import torch
from mistakes import FILE, SOUND, Mistake

from equidiff.cli.handlers.check import FAIL, outcome_of
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.errors import EquiDiffError
from equidiff.numerics.attributions import explain
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.registry.trial.subject import Subject
from equidiff.run.session import prepare
from equidiff.run.settings import Settings
from equidiff.search.result import Result
from equidiff.testing.bench import Bench
from equidiff.testing.component import Trial

BUILTIN = (EntryPoint("builtin", "equidiff.builtin", "equidiff"),)
SETTINGS = Settings("spot", "brightness", "shift", "descent", target=0.45, samples=1, law="still", tolerance=1e-3)


def message(mistake: Mistake, folder: Path) -> str | None:
    """The message that a mistake leads to, without the names of folders; None where nobody notices it.

    Args:
        mistake: the mistake.
        folder: an empty one, for the plugin.
    """
    assert mistake.sound in SOUND, mistake
    path = folder / FILE
    path.write_text(SOUND.replace(mistake.sound, mistake.wrong).lstrip())
    try:
        use, _, kind = mistake.use.partition(" ")
        plugins = Plugins([*BUILTIN], [path])
        found = _check(plugins, kind) if use == "check" else USES[use](plugins, path)
    except EquiDiffError as error:
        found = str(error)
    finally:
        sys.modules.pop(f"equidiff_file_{path.stem}", None)
    return None if found is None else found.replace(f"{folder}/", "")


def _run(plugins: Plugins, path: Path) -> str | None:
    prepare(SETTINGS, plugins, with_prior=False)
    return None


def _notes(plugins: Plugins, path: Path) -> str | None:
    return "\n".join(prepare(SETTINGS, plugins, with_prior=False).context.notes) or None


def _custom(plugins: Plugins, path: Path) -> str | None:
    prepare(replace(SETTINGS, objective=f"custom:{path}:noisy"), plugins, with_prior=False)
    return None


def _search(plugins: Plugins, path: Path) -> str | None:
    """The reason for which the first sample fails."""
    results = [each for each in prepare(SETTINGS, plugins, with_prior=False).run([0]) if isinstance(each, Result)]
    return results[0].error


def _device(plugins: Plugins, path: Path) -> str | None:
    """As on a GPU, which this machine need not have: the result is on the CPU, and the run is not."""
    objective = build(plugins, "objective", "brightness", BuildContext()).component
    subject = Subject(objective, "The objective 'brightness' of plugin 'my_plugin'", "cuda:0", "float32")
    samples = torch.rand(2, 1, 8, 8)
    subject.check_tensor(subject.call("measure", samples), (2, 1), subject.called("measure", samples))
    return None


def _explain(plugins: Plugins, path: Path) -> str | None:
    context = BuildContext()
    scalar = ScalarTarget(build(plugins, "objective", "brightness", context).component, torch.zeros(1))
    method = build(plugins, "attribution", "slope", context).component
    with torch.no_grad():  # as Captum's sensitivity calls it
        explain(method, scalar, torch.rand(2, 1, 8, 8), [0, 1])
    return None


def _executor(plugins: Plugins, path: Path) -> str | None:
    build(plugins, "executor", "here", BuildContext())
    return None


def _check(plugins: Plugins, kind: str) -> str | None:
    """The first failure that `equidiff check` shows."""
    (offer,) = (each for each in plugins.offers(kind) if each.plugin == Path(FILE).stem)
    trial = Trial(offer, offer.descriptor.name, Bench(plugins, "spot", "brightness"))
    outcomes = [outcome_of(check) for check in trial.first()]
    if trial.component is not None:
        outcomes += [outcome_of(check) for check in trial.second()]
    failed = [each for each in outcomes if each.state == FAIL]
    return "\n".join([failed[0].problem, *(f"{name}: {text}" for name, text in failed[0].rows)]) if failed else None


USES = {
    "run": _run, "notes": _notes, "custom": _custom, "search": _search, "device": _device, "explain": _explain,
    "executor": _executor,
}  # fmt: skip
