"""Evaluate a run: gather the sample sets, measure each group of metrics, and add the warnings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from equidiff.analysis.evaluation.diversity import count_pairs, measure_diversity
from equidiff.analysis.evaluation.fidelity import add_near_misses, measure_fidelity, passes_of
from equidiff.analysis.evaluation.plane import project
from equidiff.analysis.evaluation.realism import measure_realism
from equidiff.analysis.evaluation.results import Results
from equidiff.analysis.evaluation.sample_sets import (
    BatchRunner,
    Plan,
    SampleSets,
    Show,
    count_images,
    count_prior,
    describe_all,
    describe_folder,
)
from equidiff.analysis.evaluation.spectrum import measure_spectrum
from equidiff.analysis.evaluation.verdicts import judge_members
from equidiff.analysis.subsample import draw_members
from equidiff.contracts import BuildContext
from equidiff.errors import UsageError
from equidiff.folders.status import timestamp
from equidiff.metrics import PerceptualDistance
from equidiff.metrics.features import FeatureSpace, build_features, default_features
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.finished import Finished
from equidiff.run.session import Session

FEW = 50  # members; below it, intervals are wide and numbers computed from pairs are rough


def _unseen(_done: int, _doing: str) -> None:
    """Progress that nobody watches."""


def evaluate(finished: Finished, plan: Plan = Plan(), show: Show = _unseen) -> dict[str, Any]:  # noqa: B008  Plan is frozen
    """Measure everything that can be measured of a run's members.

    Args:
        finished: the run.
        plan: settings; they say how many of the members are measured.
        show: called with the number of rows done, out of `count_rows`, and with what is being done.

    Returns:
        The content of `metrics.json`.

    Raises:
        EquiDiffError: the feature space or the reference is not available.
    """
    results, total = Results(), len(finished.found)
    add_near_misses(results, finished.found)
    finished = replace(finished, found=draw_members(finished.found, plan.members))
    sets = gather(finished, plan, show, results)
    results.per_member["index"] = list(sets.indices)
    in_part = total > len(sets.indices)
    if in_part:
        results.warnings.append(
            f"{len(sets.indices)} of {total} members were evaluated, drawn by the run's seed; all numbers are of these."
        )
    if len(sets.indices) < FEW:
        results.warnings.append(
            f"Members: {len(sets.indices)}. Below {FEW}, intervals are wide, and distances between sets, coverage and "
            "the Vendi score are rough: read them beside the numbers of as many prior samples."
        )
    for measure in (measure_fidelity, measure_spectrum, measure_realism, measure_diversity):
        measure(sets, results)
    projected = project(finished.found, sets.kind, sets.members.features, sets.space, sets.runner)
    verdicts = judge_members(results.groups, results.absent, finished.found.info.within, sets.real, in_part)
    known = results.to_json({**_about(sets, plan, total), "verdicts": [each.to_json() for each in verdicts]})
    return known if projected is None else known | {"map": projected}


def count_rows(finished: Finished, plan: Plan) -> int:
    """Number of rows that will go through generator, objective or feature space, for a progress bar.

    Raises:
        EquiDiffError: the folder of the reference is missing, or cannot serve as one.
    """
    kind = finished.session.problem.kind
    if plan.reference is not None and not kind.is_image:
        raise UsageError(
            f"The samples of this run are {kind.plural}, which cannot be compared with images.",
            given=f"--reference {plan.reference}",
            expected="no --reference",
        )
    members = min(len(finished.found), plan.members)
    prior = count_prior(members)
    reference = prior * 2 if plan.reference is None else count_images(plan.reference)
    pairs = 0 if plan.lpips is None else count_pairs(members)
    mapped = len(finished.found.prior.get("samples", ())) + 1
    return mapped + prior + reference + (members + prior) * (passes_of(kind) + 2) + pairs


def gather(finished: Finished, plan: Plan, show: Show, results: Results) -> SampleSets:
    """Draw prior samples, read the reference, and compute features and spectra of all sets.

    Raises:
        EquiDiffError: the feature space or the reference is not available.
    """
    session, found = finished.session, finished.found
    generator, kind, device = session.problem.generator, session.problem.kind, session.device
    count = len(found)
    seed = found.info.seed if plan.seed is None else plan.seed
    runner = BatchRunner(device, plan.batch or session.settings.batch, count_rows(finished, plan), show)
    context = BuildContext(device, session.context.dtype, generator)
    space = _space(plan, context, finished, results)
    lpips = None if plan.lpips is None else PerceptualDistance.load(plan.lpips, device)

    others = count_prior(count)
    drawn, latents = _draw(session, others, seed, Stream.CONTROL, plan, runner)
    samples = found.samples
    members, prior = (describe_all(space, each, kind, runner) for each in (samples, drawn))
    if plan.reference is None:
        compared, _ = _draw(session, others, seed, Stream.REFERENCE, plan, runner)
        reference, files = describe_all(space, compared, kind, runner), ()
    else:
        reference, files = describe_folder(space, plan.reference, generator.sample_shape, seed, runner)
        unread = count_images(plan.reference) - len(reference)
        if unread:
            results.warnings.append(f"{unread} of {unread + len(reference)} images of the reference cannot be read.")
    indices = tuple(record.index for record in found.members)
    return SampleSets(
        finished, indices, samples, found.latents, drawn, latents, space, members, prior, reference,
        plan.reference is not None, files, seed, lpips, runner,
    )  # fmt: skip


def _draw(
    session: Session, count: int, seed: int, purpose: Stream, plan: Plan, runner: BatchRunner
) -> tuple[Tensor, Tensor]:
    """Prior samples to compare members with, and their latents; of a run with a bank those that it did not use."""
    if session.bank is not None and plan.seed is None:
        latents, samples = session.bank.beyond(count, 0 if purpose is Stream.CONTROL else count)
        runner.count(count, "reading prior samples")
        return samples, latents
    problem = session.problem
    latents = prior_latents(problem.generator, count, seed, purpose)

    def draw(rows: Tensor) -> Tensor:
        return problem.written(problem.generator.generate(rows))

    return runner.apply(draw, latents, "drawing prior samples"), latents


def _space(plan: Plan, context: BuildContext, finished: Finished, results: Results) -> FeatureSpace:
    under_test = frozenset(weights.sha256 for weights in finished.session.context.weights)
    if plan.features is None:
        space, why = default_features(context, under_test)
        if why is not None:
            results.warnings.append(f"Samples are compared by their {space.name}: {why}.")
        return space
    space = build_features(plan.features, context)
    if any(weights.sha256 in under_test for weights in space.weights):
        results.warnings.append(
            f"Samples are compared by features of the network under test ({space.name}): the members were made to suit "
            "it, so these numbers say little about how they look to other eyes."
        )
    return space


def _about(sets: SampleSets, plan: Plan, total: int) -> dict[str, Any]:
    other = f"images of {plan.reference}" if sets.real else "other prior samples"
    return {
        "made": timestamp(),
        "members": len(sets.members),
        "members_of_run": total,
        "plain": len(sets.prior),
        "reference": {
            "source": f"{len(sets.reference)} {other}",
            "n": len(sets.reference),
            "real": sets.real,
            **({"folder": str(plan.reference)} if sets.real else {}),
        },
        "features": {"space": sets.space.name, "size": sets.members.features.shape[1]},
        "seed": sets.seed,
        "confidence": 0.95,
        "device": sets.finished.session.device,
        "torch": torch.__version__,
    }
