"""The session of a run: its components, built from settings and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from equidiff.contracts import BuildContext, Generator, Objective, Predictor, Shared, Solver
from equidiff.devices import choose_device, choose_dtype
from equidiff.errors import UsageError
from equidiff.kinds.registry import kind_of
from equidiff.registry.build import Built
from equidiff.registry.manager import Plugins
from equidiff.registry.provenance import versions
from equidiff.run.banked import RunBank
from equidiff.run.components import build_all, predictor_for
from equidiff.run.folder.layout import rows_of_segment
from equidiff.run.info import TARGET_GIVEN, Counts, Inversion, Options, RunInfo, Specs, Target, WeightsFile
from equidiff.run.inversion import invert_query
from equidiff.run.parts import CalledInfo, Prior, QueryClass, count_classes
from equidiff.run.prior import PriorSamples, absolute_tolerance, draw_prior, measure_prior
from equidiff.run.prior_query import answer_from_prior, asks_prior
from equidiff.run.query import Query, as_kept, as_measured, default_query, load_query, measure_query, parse_target
from equidiff.run.record import Called
from equidiff.run.settings import Settings, parse_tolerance, size_of_bank
from equidiff.run.top_query import resolve_top
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import Result, StepRecord, solve
from equidiff.search.problem import Problem
from equidiff.search.starts import QueryStart
from equidiff.search.supply import Supply

# Settings that `run.json` records among the options: those that have no other place in it.
OPTIONS = ({field.name for field in fields(Settings)} & {*Options.model_fields}) - {"query", *Specs.model_fields}


@dataclass(frozen=True)
class Session:
    """Everything a run needs, built and checked; of the query as much as its folder keeps."""

    settings: Settings
    problem: Problem
    solver: Solver
    query: Query | None
    budget: float
    tolerance: float
    device: str
    built: dict[str, Built]
    context: BuildContext = field(repr=False)
    plugins: Plugins = field(repr=False)
    start: QueryStart | None = None
    inversion: Inversion | None = None
    predictor: Predictor | None = None
    prior: PriorSamples | None = None
    query_called: Called | None = None
    bank: RunBank | None = None

    @cached_property
    def supply(self) -> Supply | None:
        """Members and starts from the bank; None without a bank, and where samples start from the query."""
        if self.bank is None or self.settings.start != "prior":
            return None
        return self.bank.supply(self.problem, self.tolerance, self.settings.seed)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the user about the bank, as far as it is open."""
        return () if self.bank is None else tuple(self.bank.bank.warnings)

    @property
    def prior_tensors(self) -> dict[str, torch.Tensor]:
        """The content of `prior.safetensors`."""
        return {} if self.prior is None else self.prior.tensors()

    @property
    def kept_query(self) -> torch.Tensor | None:
        """The query as the run folder keeps it, `[1, ...]`; None where the target was given as numbers."""
        return None if self.query is None else self.query.sample

    @torch.no_grad()
    def call(self, sample: torch.Tensor) -> Called | None:
        """The class that the network gives to a sample, `[1, *sample_shape]`; None where it has none."""
        if self.predictor is None:
            return None
        probability, index = self.predictor.probabilities(sample.to(self.device))[0].max(dim=0)
        if not probability.isfinite():
            return None
        return Called(int(index), self.predictor.names[int(index)], round(float(probability), 4))

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
            asked=range(self.settings.samples),
            time_limit=self.settings.time_limit,
            supply=self.supply,
        )

    def describe(self) -> RunInfo:
        """The content of `run.json` before the first sample is made."""
        generator, objective, settings = self.problem.generator, self.problem.objective, self.settings
        options: dict[str, Any] = {kind: built.options for kind, built in self.built.items()}
        options |= {name: value for name, value in vars(settings).items() if name in OPTIONS}
        return RunInfo(
            specs=Specs(**{kind: built.spec for kind, built in self.built.items()}),
            options=Options(**options, query=None if self.query is None else _as_typed(settings.query, self.query)),
            target=Target(
                values=tuple(self.problem.target.tolist()),
                names=objective.names,
                unit=objective.unit,
                source=TARGET_GIVEN if self.query is None else self.query.source,
                views=tuple(tuple(each.tolist()) for each in self.problem.view_targets) or None,
            ),
            kind=self.problem.kind.to_json(),
            inversion=self.inversion,
            search=self.solver.describe(self.problem),
            seed=settings.seed,
            tolerance=self.tolerance,
            tolerance_given=str(self.solver.tolerance if settings.tolerance is None else settings.tolerance),
            within=math.sqrt(self.tolerance / self.solver.weight),
            prior=self._describe_prior(),
            bank=None if self.bank is None else self.bank.describe(self.supply),
            called=self._describe_called(),
            budget=self.budget,
            device=self.device,
            dtype=settings.dtype,
            versions=versions(self.built.values()),
            weights=tuple(WeightsFile(**vars(file)) for file in self.context.weights),
            notes=tuple(dict.fromkeys(self.context.notes)),
            segment=rows_of_segment([generator.latent_shape, generator.sample_shape, (len(self.problem.target),)]),
            counts=Counts(asked=settings.samples),
            folder=str(Path.cwd()),
        )

    def _describe_prior(self) -> Prior | None:
        if self.prior is None:
            return None
        members = int((self.prior.losses < self.tolerance).sum())
        return Prior(count=len(self.prior.losses), members=members, spread=self.prior.spread)

    def _describe_called(self) -> CalledInfo | None:
        if self.predictor is None:
            return None
        names = self.predictor.names
        classes: list[int] = [] if self.prior is None else self.prior.classes.tolist()
        return CalledInfo(
            network=self.predictor.network,
            classes=len(names),
            query=None if self.query_called is None else QueryClass(**vars(self.query_called)),
            prior=count_classes((index, names[index]) for index in classes),
        )


def prepare(
    settings: Settings,
    plugins: Plugins,
    *,
    default_to_query: bool = False,
    with_prior: bool = True,
    tell: Callable[[str], None] = lambda _doing: None,
    shared: Shared | None = None,
) -> Session:
    """Build the components, read the query, measure the target.

    Args:
        settings: of the run.
        plugins: where specs are looked up.
        default_to_query: take the generator's default query where neither a query nor a target is given.
        with_prior: measure prior samples, which a relative tolerance needs.
        tell: called with what is being done, where that takes time.
        shared: generators and networks of the runs before, where several are done in one process.

    Raises:
        EquiDiffError: a component cannot be built, or the query or the target cannot be used.
    """
    exact = settings.law != "solve"  # a law moves where residuals are zero
    settings = replace(settings, dtype=choose_dtype(settings.dtype, choose_device(settings.device), exact))
    parts = build_all(settings, plugins, shared)
    built, context = parts.built, parts.context
    generator, device = built["generator"].component, context.device
    objective, solver = built["objective"].component, built["solver"].component
    kind = kind_of(generator)
    if settings.saved != "float":
        settings = replace(settings, saved=kind.precision)
    settings = replace(settings, bank=size_of_bank(settings.bank))
    bank = RunBank.of(settings, parts)
    if default_to_query and settings.query is None and settings.target is None:
        settings = replace(settings, query=default_query(generator))
    settings = replace(settings, query=resolve_top(settings.query, built["objective"], context, tell))
    chosen = drawn = None
    if asks_prior(settings):
        tell("drawing prior samples")
        if bank is None:
            drawn = draw_prior(parts.without_target, settings.batch, parts.prior_key, settings.time_limit)
            settings, chosen = answer_from_prior(settings, *drawn, objective, kind)
        else:
            settings, chosen = bank.answer(settings, parts.without_target, tell)
    query, target = _target(settings, generator, objective, device, chosen)
    problem = Problem(
        generator,
        objective,
        built["regularizer"].component,
        target.to(device),
        weight=solver.weight,
        saved=settings.saved != "float",
        view_targets=() if query is None else _measure_views(query, generator, built, device),
    )
    predictor = predictor_for(objective, generator, context)
    solver.check(problem)
    built["law"].component.check(problem, settings.dtype)
    budget = next(each for each in (settings.effort, settings.budget, solver.budget) if each is not None)
    prior = start = inversion = None
    if with_prior:
        tell("measuring prior samples")
        drawn = drawn if bank is None else bank.first(settings.batch, tell)
        prior = measure_prior(problem, predictor, settings.batch, parts.prior_key, drawn, settings.time_limit)
        prior = prior if bank is None else replace(prior, spread=bank.spread(problem))
    given = solver.tolerance if settings.tolerance is None else settings.tolerance
    tolerance = absolute_tolerance(parse_tolerance(given), problem, prior)
    if settings.start == "query":
        tell("finding the query's latent")
        start, inversion = _start(query, problem)
    session = Session(
        settings, problem, solver, query, budget, tolerance, device, built, context, plugins, start, inversion,
        predictor, prior, bank=bank,
    )  # fmt: skip
    if query is None:
        return session
    return replace(session, query=as_kept(query, generator), query_called=session.call(query.sample))


def _start(query: Query | None, problem: Problem) -> tuple[QueryStart, Inversion]:
    if query is None:
        raise UsageError(
            "There is no query to start from.", given="--target", expected="--query with it", hint="--query 3"
        )
    return invert_query(query, problem)


def _target(
    settings: Settings, generator: Generator, objective: Objective, device: str, chosen: Query | None
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
            hint="--query IMAGE.png, --query prior or --target 1.5",
        )
    query = as_measured(chosen or load_query(settings.query, generator), objective, generator)
    if settings.saved != "float" and query.image is None:
        query = replace(query, sample=kind_of(generator).rounded(query.sample))
    return query, measure_query(query, objective, device)


def _measure_views(
    query: Query, generator: Generator, built: dict[str, Built], device: str
) -> tuple[torch.Tensor, ...]:
    """Measurements of the query's filtered views; of its views as a sample, where the query is larger than those."""
    sample = kind_of(generator).fit(query.sample, generator.sample_shape).to(device)
    views = built["regularizer"].component.views(sample)
    return tuple(measure_query(replace(query, sample=view), built["objective"].component, device) for view in views)


def _as_typed(given: Any, query: Query) -> str:
    return str(given) if isinstance(given, int | str | Path) else query.source
