"""The session of a run: its components, built from settings and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from equidiff.contracts import BuildContext, Generator, Objective, Solver
from equidiff.devices import choose_device
from equidiff.errors import UsageError
from equidiff.registry.build import Built, build
from equidiff.registry.manager import Plugins
from equidiff.registry.provenance import versions
from equidiff.run.info import TARGET_GIVEN, Counts, Inversion, Options, RunInfo, Specs, Target, WeightsFile
from equidiff.run.inversion import invert_query
from equidiff.run.query import Query, default_query, load_query, measure_query, parse_target
from equidiff.run.settings import Settings
from equidiff.run.top_query import resolve_top
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import Result, StepRecord, solve
from equidiff.search.problem import Problem
from equidiff.search.starts import QueryStart

# Settings that `run.json` records among the options: those that have no other place in it.
OPTIONS = {field.name for field in fields(Settings)} - {"query", *Specs.model_fields, *RunInfo.model_fields}


@dataclass(frozen=True)
class Session:
    """Everything a run needs, built and checked."""

    settings: Settings
    problem: Problem
    solver: Solver
    query: Query | None
    budget: float
    tolerance: float
    device: str
    built: dict[str, Built]
    context: BuildContext = field(repr=False)
    start: QueryStart | None = None
    inversion: Inversion | None = None

    def run(self, indices: Iterable[int]) -> Iterator[StepRecord | Result | BatchReduced]:
        """Solve these samples; steps and results come as they happen."""
        return solve(
            self.problem,
            self.solver,
            indices,
            seed=self.settings.seed,
            batch=self.settings.batch,
            budget=self.budget,
            tolerance=self.tolerance,
            start=self.start,
            law=self.built["law"].component,
        )

    def describe(self) -> RunInfo:
        """The content of `run.json` before the first sample is made."""
        objective, settings = self.problem.objective, self.settings
        options: dict[str, Any] = {kind: built.options for kind, built in self.built.items()}
        options |= {name: value for name, value in vars(settings).items() if name in OPTIONS}
        return RunInfo(
            specs=Specs(**{kind: built.spec for kind, built in self.built.items()}),
            options=Options(
                **options,
                query=None if self.query is None else _as_typed(settings.query, self.query),
            ),
            target=Target(
                values=tuple(self.problem.target.tolist()),
                names=objective.names,
                unit=objective.unit,
                source=TARGET_GIVEN if self.query is None else self.query.source,
            ),
            inversion=self.inversion,
            search=self.solver.describe(self.problem),
            seed=settings.seed,
            tolerance=self.tolerance,
            budget=self.budget,
            device=self.device,
            dtype=settings.dtype,
            versions=versions(self.built.values()),
            weights=tuple(WeightsFile(**vars(file)) for file in self.context.weights),
            counts=Counts(asked=settings.samples),
        )


def prepare(settings: Settings, plugins: Plugins, *, default_to_query: bool = False) -> Session:
    """Build the components, read the query, measure the target.

    Args:
        settings: of the run.
        plugins: where specs are looked up.
        default_to_query: take the generator's default query where neither a query nor a target is given.

    Raises:
        EquiDiffError: a component cannot be built, or the query or the target cannot be used.
    """
    device = choose_device(settings.device)
    weights: list[Any] = []
    alone = BuildContext(device=device, dtype=settings.dtype, weights=weights)
    generator = build(plugins, "generator", settings.generator, alone)
    context = BuildContext(device, settings.dtype, generator.component, weights)
    regularizer = settings.regularizer
    if regularizer is None:
        regularizer = default_regularizer(generator.component)
    built = {
        "generator": generator,
        "objective": build(plugins, "objective", settings.objective, context),
        "regularizer": build(plugins, "regularizer", regularizer, context),
        "solver": build(plugins, "solver", settings.solver, alone),
        "law": build(plugins, "law", settings.law, alone),
    }
    objective, solver = built["objective"].component, built["solver"].component
    if default_to_query and settings.query is None and settings.target is None:
        settings = replace(settings, query=default_query(generator.component))
    settings = replace(settings, query=resolve_top(settings.query, built["objective"], weights))
    query, target = _target(settings, generator.component, objective, device)
    problem = Problem(
        generator.component, objective, built["regularizer"].component, target.to(device), weight=solver.weight
    )
    solver.check(problem)
    built["law"].component.check(problem, settings.dtype)
    budget = solver.budget if settings.budget is None else settings.budget
    tolerance = solver.tolerance if settings.tolerance is None else settings.tolerance
    start = inversion = None
    if settings.start == "query":
        if query is None:
            raise UsageError(
                "There is no query to start from.", given="--target", expected="--query with it", hint="--query 3"
            )
        start, inversion = invert_query(query, problem)
    return Session(settings, problem, solver, query, budget, tolerance, device, built, context, start, inversion)


def default_regularizer(generator: Generator) -> str:
    """The low-pass filter for images, none for points."""
    return "lowpass" if len(generator.sample_shape) == 3 else "none"


def _target(
    settings: Settings, generator: Generator, objective: Objective, device: str
) -> tuple[Query | None, torch.Tensor]:
    if settings.target is not None:
        if settings.query is not None:
            raise UsageError(
                "Both a query and a target are given.", given="--query and --target", expected="one of them"
            )
        target = settings.target
        text = target if isinstance(target, str) else ",".join(map(str, torch.as_tensor(target).reshape(-1).tolist()))
        return None, parse_target(text, len(objective.names))
    if settings.query is None:
        raise UsageError(
            "Neither a query nor a target is given.",
            expected="one of them: members have its measurement",
            hint="--query IMAGE.png or --target 1.5",
        )
    query = load_query(settings.query, generator)
    return query, measure_query(query, objective, device)


def _as_typed(given: Any, query: Query) -> str:
    return str(given) if isinstance(given, int | str | Path) else query.source
