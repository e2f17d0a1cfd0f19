"""The bank of a run: members, starts, spreads and queries from prior samples that are made once for all runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from equidiff.bank.bank import Bank
from equidiff.bank.key import FLOAT32, bank_key, fingerprint
from equidiff.contracts import BuildContext, Stored, Weights
from equidiff.numerics.random import Stream
from equidiff.registry.build import Built
from equidiff.registry.manager import FROM_FILE
from equidiff.registry.provenance import versions
from equidiff.run.components import Components
from equidiff.run.info import is_custom
from equidiff.run.parts import BankInfo
from equidiff.run.prior import COUNT, spread_of
from equidiff.run.prior_query import answer_from_prior
from equidiff.run.query import Query
from equidiff.run.settings import Settings
from equidiff.search.batching import Passes, width_of
from equidiff.search.problem import Problem
from equidiff.search.supply import Supply

SLACK = 1e-4  # of the tolerance, by which sums over measurements may differ from those of a pass

Tell = Callable[[str], None]


def _silent(_doing: str) -> None:
    return None


@dataclass(frozen=True, eq=False)
class RunBank:
    """The first samples of a generator's bank, for one run; they are made when they are first needed.

    Attributes:
        count: how many.
        settings: of the run.
        parts: its components.
    """

    count: int
    settings: Settings
    parts: Components
    _done: Counter[str] = field(default_factory=Counter)  # for this run, of a bank that several may share

    @classmethod
    def of(cls, settings: Settings, parts: Components) -> RunBank | None:
        """The bank that the settings ask for; None where they ask for none."""
        return cls(int(settings.bank), settings, parts) if settings.bank else None

    @cached_property
    def bank(self) -> Bank:
        """The bank, which may have more samples, or not as many yet."""
        return open_bank(self.parts.built["generator"], self.parts.weights, self.parts.context, self.settings)

    def prepare(self, tell: Tell = _silent) -> None:
        """Make the samples, and measure them and their views, so that runs find them."""
        problem = self.parts.without_target
        self.values(problem, tell)
        if self._has_views(problem):
            self._measured(problem, True, tell)

    def values(self, problem: Problem, tell: Tell = _silent) -> Tensor:
        """Measurements `[count, m]`; NaN for a sample that cannot be made or measured."""
        return self._measured(problem, False, tell)[:, 0]

    def spread(self, problem: Problem) -> float:
        """Spread of the measurements, over all samples."""
        return spread_of(problem, self.values(problem))

    def first(self, batch: int, tell: Tell) -> tuple[Tensor, int]:
        """The first samples as `draw_prior` returns them, with the rows of a pass."""
        self._ensure(tell)
        numbers = [number for number in range(min(COUNT, self.count)) if self._usable[number]]
        return self.bank.samples(numbers).to(self.parts.context.device), batch

    def beyond(self, count: int, skipped: int = 0) -> tuple[Tensor, Tensor]:
        """Latents and samples of the bank that the run had nothing to do with, to compare it with; on the CPU.

        They have the numbers behind those that the run may use.

        Args:
            count: how many.
            skipped: how many of these to leave out first.
        """
        first = self.count + skipped
        self.bank.ensure(first + count)
        numbers = range(first, first + count)
        return self.bank.latents(numbers), self.bank.samples(numbers)

    def answer(self, settings: Settings, problem: Problem, tell: Tell) -> tuple[Settings, Query | None]:
        """Settings with the query, or the target, that samples of the bank give; and the query."""
        values = self.values(problem, tell)
        return answer_from_prior(settings, _Rows(self), settings.batch, problem.objective, problem.kind, values)

    def supply(self, problem: Problem, tolerance: float, seed: int) -> Supply:
        """Members and starts for a run with this target."""
        bounds = self._bounds(problem)
        inside = bounds < tolerance * (1 + SLACK)
        members = self._members(problem, tolerance, inside.nonzero()[:, 0].tolist())
        order = torch.randperm(self.count, generator=Stream.BANK_ORDER.open(seed)).tolist()
        others = [number for number in bounds.argsort(stable=True).tolist() if math.isfinite(bounds[number])]
        return Supply(
            tuple(number for number in order if number in members),
            tuple(number for number in others if number not in members),
            lambda numbers: self._fetch(numbers, problem),
        )

    def describe(self, supply: Supply | None) -> BankInfo:
        """The bank as `run.json` records it."""
        members = 0 if supply is None else len(supply.members)
        return BankInfo(
            count=self.count,
            members=members,
            evaluations=round(self.count / 3, 3),
            made=self._done["made"],
            measured=self._done["measured"],
        )

    def _has_views(self, problem: Problem) -> bool:
        return bool(problem.regularizer.views(self.bank.samples([0]).to(problem.target.device)))

    @cached_property
    def _usable(self) -> Tensor:
        return self.bank.outside(range(self.count)).isfinite()

    def _ensure(self, tell: Tell) -> None:
        before = self.bank.made
        self.bank.ensure(self.count, lambda done, total: tell(f"making the bank: {done} of {total} prior samples"))
        self._done["made"] += self.bank.made - before

    def _measured(self, problem: Problem, views: bool, tell: Tell = _silent) -> Tensor:
        """Measurements of the samples, or of their views, `[count, parts, m]`."""
        self._ensure(tell)
        regularizer = self.parts.built["regularizer"]
        key = self._objective_key
        if views and key is not None:
            named = not regularizer.spec.startswith("<") and FROM_FILE not in versions([regularizer]).values()
            key = fingerprint([key, regularizer.spec, regularizer.options]) if named else None
        before = self.bank.measured
        seen = self.bank.measure(
            problem,
            self.count,
            key,
            self.parts.built["objective"].spec,
            problem.regularizer if views else None,
            lambda done, total: tell(f"measuring the bank: {done} of {total}"),
        )
        self._done["measured"] += self.bank.measured - before
        return torch.where(self._usable[:, None, None], seen, torch.nan)

    @cached_property
    def _objective_key(self) -> str | None:
        """All that measurements depend on; None for code that may change without a new version."""
        objective = self.parts.built["objective"]
        code = versions([objective])
        if objective.spec.startswith("<") or is_custom(objective.spec) or FROM_FILE in code.values():
            return None
        files = [(file.name, file.sha256) for file in self.parts.all_weights]
        return fingerprint([objective.spec, objective.options, files, sorted(code.items())])

    def _bounds(self, problem: Problem) -> Tensor:
        """Losses `[count]` as far as measurements alone tell them; infinite for a sample that cannot be used.

        What `Objective.compare` adds to the residual, and a penalty, can only make them larger.
        """
        targets = [problem.target, *(problem.view_targets or ())]
        columns = [self.values(problem)]
        if self._has_views(problem):
            columns += list(self._measured(problem, True).unbind(dim=1))
        targets += [problem.target] * (len(columns) - len(targets))
        losses = [
            problem.weight * problem.objective.discrepancy(column.to(target), target).cpu()
            for column, target in zip(columns, targets, strict=True)
        ]
        return torch.stack(losses).sum(dim=0).nan_to_num(nan=math.inf, posinf=math.inf)

    def _members(self, problem: Problem, tolerance: float, numbers: Sequence[int]) -> set[int]:
        """Those of the samples that are members, judged as the run judges its own."""
        if not numbers:
            return set()
        passes = Passes(self.settings.batch, width_of(problem), self.settings.time_limit)
        answer, failures = passes.compute(self._fetch(numbers, problem), problem)
        if answer is None:
            return set()
        within = (answer.loss < tolerance).tolist()
        return {number for row, number in enumerate(numbers) if within[row] and row not in failures}

    def _fetch(self, numbers: Sequence[int], problem: Problem) -> Stored:
        bank, device = self.bank, problem.target.device
        return Stored(
            bank.latents(numbers).to(device), bank.samples(numbers).to(device), bank.outside(numbers).to(device)
        )


def open_bank(generator: Built, weights: Sequence[Weights], context: BuildContext, settings: Settings) -> Bank:
    """The bank of a generator, or the one that a run of this process has opened before.

    Args:
        generator: as it was built.
        weights: files that it loaded.
        context: that it was built in.
        settings: of the run.
    """
    stored = FLOAT32 if settings.saved == "float" else settings.saved
    key = bank_key(generator, weights, context.dtype, context.device, stored)

    def make() -> Bank:
        return Bank(generator.component, stored, key, context.device, settings.time_limit)

    if context.shared is None or key is None:
        return make()
    return context.shared.take("bank", (key.name, context.device), make)


class _Rows:
    """Samples of a bank, which are read when they are asked for."""

    def __init__(self, bank: RunBank) -> None:
        self._bank = bank

    def __len__(self) -> int:
        return self._bank.count

    def __getitem__(self, rows: slice) -> Tensor:
        return self._bank.bank.samples(range(self._bank.count)[rows])
