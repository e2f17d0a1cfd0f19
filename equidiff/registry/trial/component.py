"""The trial of a component, by its kind."""

from __future__ import annotations

from functools import partial
from typing import Any

from equidiff.contracts import BuildContext
from equidiff.registry.trial.generator import try_generator
from equidiff.registry.trial.inputs import trial_latents, trial_samples
from equidiff.registry.trial.objective import try_objective
from equidiff.registry.trial.regularizer import try_regularizer
from equidiff.registry.trial.settings import look_at_attribution, look_at_executor, look_at_solver
from equidiff.registry.trial.subject import Subject, undisturbed, unless_too_large

LOOKS = {"solver": look_at_solver, "attribution": look_at_attribution, "executor": look_at_executor}


def try_component(kind: str, component: Any, owner: str, context: BuildContext) -> None:
    """Try a component as the run will call it, unless it is one of EquiDiff's own, which its tests have tried.

    The random numbers of the run stay as they are, and nothing is charged to it.

    Args:
        kind: of the component.
        component: the component.
        owner: its name in a sentence.
        context: that it was built in; sentences for the user are added to its notes.

    Raises:
        ContractBreachError: the component breaks its contract.
    """
    if type(component).__module__.partition(".")[0] == "equidiff":
        return
    subject = Subject(component, owner, context.device, context.dtype)
    if kind in LOOKS:
        LOOKS[kind](subject)
        return
    with undisturbed(context.device):
        unless_too_large(partial(_call, kind, context), subject)


def _call(kind: str, context: BuildContext, subject: Subject) -> None:
    generator, device = context.generator, context.device
    if kind == "generator":
        context.notes.extend(try_generator(subject))
    elif kind == "objective" and generator is not None:
        try_objective(subject, trial_samples(generator, device))
    elif kind == "regularizer" and generator is not None:
        try_regularizer(subject, trial_samples(generator, device), trial_latents(generator, device))
