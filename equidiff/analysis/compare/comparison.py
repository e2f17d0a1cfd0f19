"""Compare attribution methods on one run: their maps, and the numbers about them."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from equidiff.analysis.compare.agreement import agreement
from equidiff.analysis.compare.folder import COMPLETE, DOES_NOT_FIT, FAILED
from equidiff.analysis.compare.freedom import Freedom, find_freedom
from equidiff.analysis.compare.grid import generator_on_grid, on_grid
from equidiff.analysis.compare.panels import Panels
from equidiff.analysis.compare.quality import measure_infidelity, measure_sensitivity
from equidiff.analysis.subsample import first_members
from equidiff.builtin.attributions.random_map import RandomMap
from equidiff.contracts import Attribution, ScalarTarget
from equidiff.devices import is_out_of_memory
from equidiff.errors import EquiDiffError, UnknownNameError, UnsupportedError
from equidiff.numerics.attributions import explain, flatten_channels, seed_of
from equidiff.registry.build import Built, build
from equidiff.registry.manager import Plugins
from equidiff.registry.specs import Spec
from equidiff.run.finished import Finished
from equidiff.run.prior_query import prior_query_latent
from equidiff.types import Samples

CONTROL = "random"
DRAWS = 5  # random maps whose numbers are averaged
PERTURBED = 4  # samples used for the maximum sensitivity: the query and the first members
Done = Callable[[int], None]


@final
@dataclass(frozen=True)
class Subject:
    """A measurement to explain, and the samples to explain it for.

    Attributes:
        scalar: the measurement.
        samples: `[n, channels, height, width]`: the query first, where there is one, then members; see `compare.grid`
            for samples that are not images.
        panels: draw them.
        query: the first sample is the query.
        members: the indices of the members, in their order.
        seeds: one for each sample.
        latents: the latent of each sample, None where it is not known.
        freedom: freedom of the pixels near the query, or the reason why it is not known.
    """

    scalar: ScalarTarget
    samples: Samples
    panels: Panels
    query: bool
    members: list[int]
    seeds: list[int]
    latents: list[Tensor | None]
    freedom: Freedom | str

    def effort(self, spec: str) -> int:
        """Steps that `compare_method` reports: for each sample a map and an infidelity, for some a sensitivity."""
        steps = 2 * len(self.samples) + min(PERTURBED, len(self.samples))
        return DRAWS * steps if spec == CONTROL else steps

    def describe(self) -> dict[str, Any]:
        """Its part of `attributions.json`."""
        scalar = self.scalar
        with torch.no_grad():
            values = [float(scalar(row)) for row in self.samples.split(1)]
        about = {"name": scalar.name, "unit": scalar.unit, "target": scalar.target}
        own = {"query": values[0]} if self.query else {}
        freedom = {"absent": self.freedom} if isinstance(self.freedom, str) else self.freedom.describe()
        return {
            "explained": {**about, **own, "members": values[self.query :]},
            "members": self.members,
            "freedom": freedom,
        }

    def split(self, maps: Tensor) -> dict[str, Tensor]:
        """Split the maps of all samples into those of the query and of the members, as they are saved."""
        return {"query": maps[:1], "members": maps[1:]} if self.query else {"members": maps}


def prepare_subject(finished: Finished, count: int, batch: int) -> Subject:
    """Collect the measurement of a run and the samples to explain it for.

    Args:
        finished: the run.
        count: number of members at most, from the first.
        batch: rows in one pass.

    """
    found, problem, kind = finished.found, finished.session.problem, finished.session.problem.kind
    shape = found.sample_shape
    query = None if found.query is None else kind.to_grid(kind.fit(found.query, shape))
    members = first_members(found, count)
    own = kind.to_grid(members.samples)
    samples = own if query is None else torch.cat([query, own])
    device, seed = problem.target.device, finished.session.settings.seed
    indices = [record.index for record in members.members]
    numbers = indices if query is None else [-1, *indices]
    return Subject(
        ScalarTarget(on_grid(problem.objective, kind, shape), problem.target, batch).to(device),
        samples.to(device),
        Panels(kind, shape),
        query is not None,
        indices,
        [seed_of(seed, number) for number in numbers],
        [*([] if query is None else [_query_latent(finished)]), *members.latents],
        "the run has a target and no query" if query is None else find_freedom(finished, query),
    )


def _query_latent(finished: Finished) -> Tensor | None:
    found = finished.found
    if found.query_latent is not None:
        return found.query_latent[0]
    return None if found.info.bank else prior_query_latent(found.info.target.source, finished.session.problem.generator)


def build_methods(plugins: Plugins, specs: Sequence[Spec], finished: Finished) -> list[Built]:
    """Build the methods that these specs name.

    Raises:
        EquiDiffError: a spec names no known method, or the method cannot be built.
    """

    def nested(spec: str) -> Attribution:
        return build(plugins, "attribution", spec, context).component

    context = finished.session.context
    if context.generator is not None:
        context = replace(context, generator=generator_on_grid(context.generator, finished.session.problem.kind))
    context = replace(context, attribution=nested)
    return [build(plugins, "attribution", str(spec), context) for spec in specs]


def compare_method(built: Built, subject: Subject, done: Done) -> tuple[dict[str, Any], dict[str, Tensor] | None]:
    """Run one method and measure its maps: its entry in `attributions.json`, and its maps if it has any.

    The entry of a method that does not fit, or fails, gives the reason.
    """
    started = time.monotonic()
    name = built.spec.partition(":")[0].partition(",")[0]
    entry: dict[str, Any] = {"name": name, "spec": built.spec, "options": built.options}
    # warnings of a method or its plugin are for the user
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if name == CONTROL:
                numbers, maps = _control(subject, done)
            else:
                numbers, maps = _measure(built.component, subject, done)
        except (UnsupportedError, UnknownNameError) as error:  # such as a layer that is not there
            return entry | {"status": DOES_NOT_FIT, "reason": _message(error)}, None
        except Exception as error:  # whatever a method raises, the others go on
            hint = "; a smaller --batch may fit" if is_out_of_memory(error) else ""
            return entry | {"status": FAILED, "reason": _message(error) + hint}, None
    notes = _distinct(str(each.message) for each in caught)
    flat = int((maps.flatten(1).amax(dim=1) == maps.flatten(1).amin(dim=1)).sum())
    if flat:
        notes.append(f"{flat} of {len(maps)} maps are constant and carry no information")
    entry |= {"status": COMPLETE, "numbers": numbers, "wall_s": round(time.monotonic() - started, 3)}
    return entry | ({"notes": notes} if notes else {}), subject.split(maps)


def _distinct(texts: Iterable[str]) -> list[str]:
    """The texts without those that differ from an earlier one in numbers alone."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(re.sub(r"\d+(\.\d+)?", "0", text), text)
    return list(found.values())


def _measure(method: Attribution, subject: Subject, done: Done) -> tuple[dict[str, Any], Tensor]:
    scalar, samples, seeds = subject.scalar, subject.samples, subject.seeds
    attributions = explain(method, scalar, samples, seeds, done, subject.latents)
    maps = flatten_channels(attributions)
    numbers = agreement(maps, subject.query)
    if subject.query and isinstance(subject.freedom, Freedom):
        numbers |= subject.freedom.scores(maps[0])
    rows = zip(samples.split(1), attributions.split(1), seeds, strict=True)
    infidelities: list[float] = []
    sensitivities: list[float] = []
    for row, values, seed in rows:
        infidelities.append(measure_infidelity(method.local, scalar, row, values, seed))
        done(1)
    for row, seed, latent in zip(samples[:PERTURBED].split(1), seeds, subject.latents, strict=False):
        sensitivities.append(measure_sensitivity(method, scalar, row, seed, latent))
        done(1)
    return numbers | {
        "infidelity": float(np.mean(infidelities)),
        "max_sensitivity": float(np.mean(sensitivities)),
    }, maps


def _control(subject: Subject, done: Done) -> tuple[dict[str, Any], Tensor]:
    """Means and spreads of the numbers of several random maps, and the maps of the first."""
    draws = [_measure(RandomMap(seed), subject, done) for seed in range(DRAWS)]
    numbers, maps = draws[0]
    table = {name: [each[name] for each, _ in draws] for name in numbers}
    means = {name: float(np.mean(values)) for name, values in table.items()}
    return means | {"spread": {name: float(np.std(values, ddof=1)) for name, values in table.items()}}, maps


def _message(error: Exception) -> str:
    if not isinstance(error, EquiDiffError):
        return f"{type(error).__name__}: {str(error).strip().split(chr(10))[0] or 'no message'}"
    rows = [f"({label}: {text})" for label, text in error.rows if label != "try"]
    return " ".join(" ".join([error.problem, *rows]).split())
