"""Fidelity: deviation of the measurement as solved, in filtered views, as saved, and after small changes."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.analysis.evaluation.results import Results, mean_of, share_of
from equidiff.analysis.evaluation.sample_sets import SampleSets
from equidiff.contracts.sample_kind import SampleKind
from equidiff.errors import QueryError
from equidiff.metrics import as_distributions, deviations, kl_divergences, rank_correlations
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.wording import in_spreads
from equidiff.search.result import NOT_CONVERGED

NORMS = {"l1": "L1", "l2": "L2", "max": "largest"}
SPREADS = "spreads"
FEWEST_RANKED = 3  # outputs: two are either in order or not


def passes_of(kind: SampleKind) -> int:
    """Evaluations of the objective for each sample."""
    return 3 + len(kind.changes)


def measure_fidelity(sets: SampleSets, results: Results) -> None:
    """Add the group "fidelity"."""
    problem, runner = sets.finished.session.problem, sets.runner
    target = problem.target.cpu()
    sides = {"": problem.objective.measure, "views_": lambda samples: _of_views(sets, samples)}
    if not problem.regularizer.views(sets.samples[:1].to(problem.target.device)):
        del sides["views_"]
        results.skip("fidelity", [f"views_{norm}" for norm in NORMS], "the regularizer of this run has no views")
    prior = runner.apply(problem.objective.measure, sets.prior_samples, "measuring")
    spreads = prior.double().std(dim=0)
    for side, measure in sides.items():
        own = runner.apply(measure, sets.samples, "measuring")
        other = prior if not side else runner.apply(measure, sets.prior_samples, "measuring")
        views = own.shape[1] // len(target)
        wanted = torch.cat([each.cpu() for each in problem.view_targets]) if side and problem.view_targets else None
        scale = (target.repeat(views) if wanted is None else wanted, spreads.repeat(views))
        _add_norms(results, sets, side, (own, other), scale)
        if not side:
            _add_divergence(results, sets, own, prior)
            _add_ranks(results, own, prior, target)
            results.keep("deviation", deviations(own, target).l2)
    saved = _read_saved(sets, results)
    if saved is not None:
        _add_saved(results, sets, saved)


def add_near_misses(results: Results, found: InvariantSet) -> None:
    """Add how near the samples of a best-effort run came that are no members; nothing for another run.

    Args:
        results: where it is added, to "fidelity".
        found: the whole run.
    """
    if found.info.options.effort is None:
        return
    losses = [each.loss for each in found.records if each.status == NOT_CONVERGED and each.loss is not None]
    spreads = [each for each in (in_spreads(found.info, loss) for loss in losses) if each is not None]
    if spreads:
        results.add("fidelity", "near_misses", mean_of("distance of near misses", SPREADS, torch.tensor(spreads)))
    else:
        why = "the spread is not known" if losses else "every sample that could be measured is a member"
        results.skip("fidelity", "near_misses", why)


def _of_views(sets: SampleSets, samples: Tensor) -> Tensor:
    """Measurements of all views, one after the other, `[batch, views * m]`."""
    problem = sets.finished.session.problem
    return torch.cat([problem.objective.measure(view) for view in problem.regularizer.views(samples)], dim=1)


def _add_norms(
    results: Results,
    sets: SampleSets,
    side: str,
    measured: tuple[Tensor, Tensor],
    scale: tuple[Tensor, Tensor],
) -> None:
    own, prior = measured
    target, spreads = scale
    unit = sets.finished.session.problem.objective.unit
    flat = int((spreads == 0).sum())
    for name, units in (("", None), (f"_{SPREADS}", spreads)):
        if units is not None and flat:
            why = f"{flat} of {len(spreads)} outputs do not vary over prior samples"
            results.skip("fidelity", [f"{side}{norm}{name}" for norm in NORMS], why)
            continue
        pair = [deviations(rows, target, units) for rows in (own, prior)]
        for norm, norm_label in NORMS.items():
            label = f"deviation{' of views' if side else ''}, {norm_label}"
            values, others = (getattr(each, norm) for each in pair)
            metric = mean_of(label, unit if units is None else SPREADS, values, others)
            results.add("fidelity", f"{side}{norm}{name}", metric)


def _add_divergence(results: Results, sets: SampleSets, own: Tensor, prior: Tensor) -> None:
    unit = sets.finished.session.problem.objective.unit
    target = sets.finished.session.problem.target.cpu()
    wanted, *rows = (as_distributions(each, unit) for each in (target[None], own, prior))
    if wanted is None or any(each is None for each in rows):
        results.skip("fidelity", "kl", "the measurement is not a distribution over classes")
        return
    values, others = (kl_divergences(each, wanted[0]) for each in rows if each is not None)
    results.add("fidelity", "kl", mean_of("KL(target || member)", "nats", values, others))


def _add_ranks(results: Results, own: Tensor, prior: Tensor, target: Tensor) -> None:
    if len(target) < FEWEST_RANKED:
        results.skip("fidelity", "rank_correlation", f"it needs a measurement of at least {FEWEST_RANKED} outputs")
        return
    values, others = (rank_correlations(each, target) for each in (own, prior))
    results.add("fidelity", "rank_correlation", mean_of("rank correlation with the target", "", values, others))


def _read_saved(sets: SampleSets, results: Results) -> Tensor | None:
    """The members as they were saved, `[members, *sample_shape]`; from the tensors without a file."""
    kind, shape = sets.kind, tuple(sets.samples.shape[1:])
    changed = [f"{change}_{what}" for change in kind.changes for what in ("shift", "members")]
    names = ["saved_l2", "saved_members", *changed]
    if not kind.changes:
        results.skip("fidelity", names, f"the samples are {kind.plural}, which no file rounds")
        return None
    known = {record.index: record.own_file for record in sets.finished.found.members}
    pieces = []
    for index, sample in zip(sets.indices, sets.samples.split(1), strict=True):
        name = known[index]
        file = None if name is None else sets.finished.path / name
        if file is None or not file.exists():
            pieces.append(kind.rounded(sample))
            continue
        try:
            pieces.append(kind.read(file, shape))
        except QueryError as error:
            results.skip("fidelity", names, f"the {kind.noun} of sample {index}: {error.problem.rstrip('.')}")
            return None
    return torch.cat(pieces)


def _add_saved(results: Results, sets: SampleSets, saved: Tensor) -> None:
    """Measure the saved samples as they are and after each change; on prior samples the change acts alone."""
    session, written = sets.finished.session, sets.kind.rounded(sets.prior_samples)
    target, unit = session.problem.target.cpu(), session.problem.objective.unit
    own, prior = (_judge(sets, rows) for rows in (saved, written))
    deviation, others = (deviations(each[0], target).l2 for each in (own, prior))
    results.add("fidelity", "saved_l2", mean_of("deviation as saved, L2", unit, deviation, others))
    results.add("fidelity", "saved_members", share_of("members as saved", own[1], prior[1]))
    results.keep("saved_deviation", deviation)
    stays = [own[1]]
    for name, (label, change) in sets.kind.changes.items():
        changed = [_judge(sets, change(rows)) for rows in (saved, written)]
        shifts = [deviations(after[0], before[0]).l2 for after, before in zip(changed, (own, prior), strict=True)]
        results.add("fidelity", f"{name}_shift", mean_of(f"shift by {label}, L2", unit, *shifts))
        results.add("fidelity", f"{name}_members", share_of(f"members after {label}", changed[0][1]))
        stays.append(changed[0][1])
    results.keep("stays_member", torch.stack(stays).mean(dim=0))


def _judge(sets: SampleSets, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Measurements `[batch, m]` of samples, and 1 for each that is a member, else 0."""
    session = sets.finished.session

    def judge(chunk: Tensor) -> Tensor:
        measurements, loss = session.problem.judge(chunk)
        return torch.cat([measurements, (loss < session.tolerance).float()[:, None]], dim=1)

    judged = sets.runner.apply(judge, samples, "measuring after small changes")
    return judged[:, :-1], judged[:, -1]
