"""All checks of one component that a plugin offers: its descriptor, its contract, and what it does to the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from equidiff.registry.build import build
from equidiff.registry.check import check_text
from equidiff.registry.manager import Offer
from equidiff.registry.options import read_options
from equidiff.testing.attribution import attribution_checks
from equidiff.testing.bench import Bench
from equidiff.testing.effects import check_effects
from equidiff.testing.executor import check_executor
from equidiff.testing.failure import Check
from equidiff.testing.faithful import check_device
from equidiff.testing.generator import generator_checks
from equidiff.testing.law import law_checks
from equidiff.testing.objective import objective_checks
from equidiff.testing.plugin import offer_checks
from equidiff.testing.regularizer import regularizer_checks
from equidiff.testing.solver import solver_checks

CALLS = {"generator": "generate", "objective": "measure", "regularizer": "views", "attribution": "attribute"}


@dataclass
class Trial:
    """The checks of one component, in two parts: the second needs the component that the first builds.

    Args:
        offer: of the component.
        spec: that it is built from.
        bench: that it is tried on.
    """

    offer: Offer
    spec: str
    bench: Bench
    _made: list[Any] = field(default_factory=list)

    @property
    def component(self) -> Any | None:
        """The component; None before it is built."""
        return self._made[-1] if self._made else None

    @property
    def uses_samples(self) -> bool:
        """True for a component that is tried on samples of a generator."""
        return self.bench.context(self.offer.kind).generator is not None

    def first(self) -> list[Check]:
        """Checks of its descriptor, and its building, in which it is tried as before a run."""
        return [*offer_checks(self.offer, self.bench.plugins), Check("built, and tried as before a run", self._build)]

    def second(self) -> list[Check]:
        """Checks of the component that was built."""
        kind, made = self.offer.kind, self.component
        checks = _checks_of(kind, made, self.bench)
        call = f"{type(made).__name__}.{CALLS.get(kind)}"
        if kind in CALLS:
            checks.append(Check("calls leave the process as it was", lambda: check_effects(self._call, call)))
        if kind in CALLS and kind != "attribution":  # those work on the objective's network, wherever that is
            checks.append(Check("device of the run", lambda: check_device(self._on, call)))
        return checks

    def _build(self) -> None:
        kind, plugins = self.offer.kind, self.bench.plugins
        context = self.bench.context(kind)
        if context.generator is not None:
            self.bench.warm_up()  # what the bench itself loads is not the component's doing

        def work() -> None:
            self._made.append(build(plugins, kind, self.spec, context).component)

        check_effects(work, f"building {self.spec}", draws=True)

    def _call(self) -> object:
        if self.offer.kind == "attribution" and self.component is not None and self.component.random:
            return None  # it may draw: a run seeds the generators before, and restores them
        return _call_of(self.offer.kind, self.component, self.bench, self.bench.device)()

    def _on(self, device: str) -> Callable[[], object]:
        kind = self.offer.kind
        (spec,) = check_text(self.bench.plugins, kind, self.spec)[:1]
        factory = self.bench.plugins.factory(self.offer)
        context = self.bench.context(kind, device)
        made = factory(spec.argument, read_options(self.offer.descriptor, spec), context)
        return _call_of(kind, made, self.bench, device)


def _checks_of(kind: str, made: Any, bench: Bench) -> list[Check]:
    if kind == "generator":
        return generator_checks(made, device=bench.device)
    if kind == "objective":
        return objective_checks(made, bench.samples)
    if kind == "regularizer":
        return regularizer_checks(made, bench.samples, bench.latents)
    if kind == "attribution":
        return attribution_checks(made, bench.scalar, bench.samples)
    if kind == "solver":
        return solver_checks(made)
    if kind == "law":
        return law_checks(made)
    return [Check("calls, errors and lost workers", lambda: check_executor(made))]


def _call_of(kind: str, made: Any, bench: Bench, device: str) -> Callable[[], object]:
    """One call of the method that a run calls most, with tensors on a device."""
    if kind == "generator":
        latents = torch.randn(2, *made.latent_shape, generator=torch.Generator().manual_seed(1)).to(device)
        return lambda: made.generate(latents, None)
    rows: Tensor = bench.samples[:2].to(device)
    if kind == "attribution":
        return lambda: made.attribute(bench.scalar, rows)
    return lambda: getattr(made, CALLS[kind])(rows)
