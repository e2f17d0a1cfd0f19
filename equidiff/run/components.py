"""The components of a run, built from its settings."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from equidiff.contracts import BuildContext, Generator, Objective, Predictor, Shared, Weights
from equidiff.devices import choose_device, set_precision
from equidiff.kinds.registry import kind_of
from equidiff.networks import load_network, predictor_of
from equidiff.registry.build import Built, build, build_generator
from equidiff.registry.manager import Plugins
from equidiff.run.settings import Settings
from equidiff.search.problem import Problem


@dataclass(frozen=True)
class Components:
    """The components of a run.

    Attributes:
        built: by their kind.
        context: that objectives are built in.
        weights: files that the generator loaded.
        all_weights: files that all of them loaded.
    """

    built: dict[str, Built]
    context: BuildContext
    weights: tuple[Weights, ...]
    all_weights: tuple[Weights, ...]

    @property
    def prior_key(self) -> Hashable | None:
        """All that prior samples depend on; None for a generator that was made in Python, of which nothing is known."""
        generator, context = self.built["generator"], self.context
        if generator.spec.startswith("<"):
            return None
        files = tuple((file.name, file.sha256) for file in self.weights)
        return type(generator.component), generator.spec, files, context.device, context.dtype

    @cached_property
    def without_target(self) -> Problem:
        """The equation before its target is known, which prior samples do not depend on."""
        objective = self.built["objective"].component
        unknown = torch.zeros(len(objective.names), device=self.context.device)
        return Problem(self.built["generator"].component, objective, self.built["regularizer"].component, unknown)


def build_all(settings: Settings, plugins: Plugins, shared: Shared | None) -> Components:
    """Build the components of each kind."""
    weights: list[Any] = []
    device = choose_device(settings.device)
    alone = BuildContext(device=device, dtype=set_precision(settings.dtype, device), weights=weights, shared=shared)
    generator = build_generator(plugins, settings.generator, alone)
    own = tuple(weights)
    context = replace(alone, generator=generator.component)
    regularizer = settings.regularizer
    if regularizer is None:
        regularizer = kind_of(generator.component).regularizer
    built = {
        "generator": generator,
        "objective": build(plugins, "objective", settings.objective, context),
        "regularizer": build(plugins, "regularizer", regularizer, context),
        "solver": build(plugins, "solver", settings.solver, alone),
        "law": build(plugins, "law", settings.law, alone),
    }
    return Components(built, context, own, tuple(weights))


def predictor_for(objective: Objective, generator: Generator, context: BuildContext) -> Predictor | None:
    """The classes of the objective's own network, or else those of the generator's natural one."""
    own = objective.predictor()
    if own is not None or generator.network is None:
        return own
    return predictor_of(load_network(generator.network, None, context))
