"""Gathers what is compared, lets each group measure, and says what there is to keep in mind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from equidiff.analysis.evaluation.diversity import count_pairs, measure_diversity
from equidiff.analysis.evaluation.fidelity import STEPS, measure_fidelity
from equidiff.analysis.evaluation.material import (
    Material,
    Plan,
    Show,
    Work,
    count_pictures,
    count_plain,
    describe_all,
    describe_folder,
)
from equidiff.analysis.evaluation.realism import measure_realism
from equidiff.analysis.evaluation.results import Results
from equidiff.analysis.evaluation.spectrum import measure_spectrum
from equidiff.contracts import BuildContext
from equidiff.errors import UsageError
from equidiff.folders import timestamp, write_atomically
from equidiff.metrics import PerceptualDistance
from equidiff.metrics.features import FeatureSpace, build_features, default_features
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.finished import Finished

FEW = 50  # members, below which intervals are wide and what is computed of pairs is rough
FILE = "metrics.json"


def _unseen(_done: int, _doing: str) -> None:
    """For those who do not watch."""


def evaluate(finished: Finished, plan: Plan = Plan(), show: Show = _unseen) -> dict[str, Any]:  # noqa: B008  Plan is frozen
    """Measure everything that can be measured of a run's members.

    Args:
        finished: the run.
        plan: what is asked for.
        show: is told how many rows are done, and what is being done; see `count_rows`.

    Returns:
        The content of `metrics.json`.

    Raises:
        EquiDiffError: the feature space or the reference cannot be had.
    """
    results = Results()
    material = gather(finished, plan, show, results)
    results.per_member["index"] = list(material.indices)
    if len(material.indices) < FEW:
        results.warnings.append(
            f"Members: {len(material.indices)}. Below {FEW}, intervals are wide, and a distance between sets, coverage "
            "and the Vendi score are rough: read them beside those of as many prior samples."
        )
    for measure in (measure_fidelity, measure_spectrum, measure_realism, measure_diversity):
        measure(material, results)
    return results.to_json(_about(material, plan))


def write_metrics(folder: Path, metrics: dict[str, Any]) -> Path:
    """Write `metrics.json` into a run folder, in one move."""
    return write_atomically(folder / FILE, json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def count_rows(finished: Finished, plan: Plan) -> int:
    """How many rows will go through generator, objective or feature space, for a progress bar.

    Raises:
        EquiDiffError: there is no reference where the plan says, or it cannot be one.
    """
    if plan.reference is not None and len(finished.session.problem.generator.sample_shape) != 3:
        raise UsageError(
            "The samples of this run are points, which cannot be compared with pictures.",
            given=f"--reference {plan.reference}",
            expected="no --reference",
        )
    members = _count_members(finished, plan)
    plain = count_plain(members)
    reference = plain * 2 if plan.reference is None else count_pictures(plan.reference)
    pairs = 0 if plan.lpips is None else count_pairs(members)
    return plain + reference + (members + plain) * (STEPS + 2) + pairs


def gather(finished: Finished, plan: Plan, show: Show, results: Results) -> Material:
    """Draw prior samples, read the reference, describe all sets.

    Raises:
        EquiDiffError: the feature space or the reference cannot be had.
    """
    session, found = finished.session, finished.found
    generator, device = session.problem.generator, session.device
    count = _count_members(finished, plan)
    seed = found.info.seed if plan.seed is None else plan.seed
    work = Work(device, plan.batch or session.settings.batch, count_rows(finished, plan), show)
    context = BuildContext(device, session.settings.dtype, generator)
    space = _space(plan, context, finished, results)
    lpips = None if plan.lpips is None else PerceptualDistance.load(plan.lpips, device)
    latents = prior_latents(generator, count_plain(count), seed, Stream.CONTROL)
    plain = work.through(generator.generate, latents, "drawing prior samples")
    samples = found.samples[:count]
    members, control = (describe_all(space, each, work) for each in (samples, plain))
    if plan.reference is None:
        others = prior_latents(generator, count_plain(count), seed, Stream.REFERENCE)
        others = work.through(generator.generate, others, "drawing prior samples")
        reference = describe_all(space, others, work)
    else:
        reference = describe_folder(space, plan.reference, generator.sample_shape, seed, work)
        unread = count_pictures(plan.reference) - len(reference)
        if unread:
            results.warnings.append(f"{unread} of {unread + len(reference)} pictures of the reference cannot be read.")
    indices = tuple(record.index for record in found.members[:count])
    return Material(
        finished, indices, samples, found.latents[:count], plain, latents, space, members, control, reference,
        plan.reference is not None, seed, lpips, work,
    )  # fmt: skip


def _count_members(finished: Finished, plan: Plan) -> int:
    return len(finished.found) if plan.members is None else min(plan.members, len(finished.found))


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
            "it, so these numbers say little of how they look to others."
        )
    return space


def _about(material: Material, plan: Plan) -> dict[str, Any]:
    other = f"pictures of {plan.reference}" if material.real else "other prior samples"
    return {
        "made": timestamp(),
        "members": len(material.members),
        "plain": len(material.control),
        "reference": {
            "source": f"{len(material.reference)} {other}",
            "n": len(material.reference),
            "real": material.real,
        },
        "features": {"space": material.space.name, "size": material.members.features.shape[1]},
        "seed": material.seed,
        "confidence": 0.95,
        "device": material.finished.session.device,
        "torch": torch.__version__,
    }
