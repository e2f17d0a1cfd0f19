"""How well the members keep the measurement: as solved, in their views, as saved, and after small changes."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.analysis.evaluation.material import Material
from equidiff.analysis.evaluation.results import Results, mean_of, share_of
from equidiff.errors import QueryError
from equidiff.images.convert import image_to_tensor, quantized
from equidiff.images.read import read_image
from equidiff.metrics import CHANGES, as_distributions, deviations, kl_divergences, rank_correlations

NORMS = {"l1": "L1", "l2": "L2", "max": "largest"}
SPREADS = "spreads"
FEWEST_RANKED = 3  # outputs: two are in order or not
LABELS = {
    "jpeg_90": "JPEG 90", "jpeg_75": "JPEG 75", "resize_0.75": "size x 0.75", "resize_0.5": "size x 0.5",
    "noise_0.01": "noise 0.01", "noise_0.02": "noise 0.02",
}  # fmt: skip
STEPS = 3 + len(CHANGES)  # passes through the objective that each sample makes here


def measure_fidelity(material: Material, results: Results) -> None:
    """Add the group "fidelity"."""
    problem, work = material.finished.session.problem, material.work
    target = problem.target.cpu()
    sides = {"": problem.objective.measure, "views_": lambda samples: _of_views(material, samples)}
    if not problem.regularizer.views(material.samples[:1].to(problem.target.device)):
        del sides["views_"]
        results.skip("fidelity", [f"views_{norm}" for norm in NORMS], "the regularizer of this run has no views")
    plain = work.through(problem.objective.measure, material.plain, "measuring")
    spreads = plain.double().std(dim=0)
    for side, measure in sides.items():
        own = work.through(measure, material.samples, "measuring")
        other = plain if not side else work.through(measure, material.plain, "measuring")
        views = own.shape[1] // len(target)
        _add_norms(results, material, side, (own, other), (target.repeat(views), spreads.repeat(views)))
        if not side:
            _add_divergence(results, material, own, plain)
            _add_ranks(results, own, plain, target)
            results.keep("deviation", deviations(own, target).l2)
    saved = _read_saved(material, results)
    if saved is not None:
        _add_saved(results, material, saved)


def _of_views(material: Material, samples: Tensor) -> Tensor:
    """Measurements of all views, one after the other, `[batch, views * m]`."""
    problem = material.finished.session.problem
    return torch.cat([problem.objective.measure(view) for view in problem.regularizer.views(samples)], dim=1)


def _add_norms(
    results: Results,
    material: Material,
    side: str,
    measured: tuple[Tensor, Tensor],
    scale: tuple[Tensor, Tensor],
) -> None:
    own, plain = measured
    target, spreads = scale
    unit = material.finished.session.problem.objective.unit
    flat = int((spreads == 0).sum())
    for name, units in (("", None), (f"_{SPREADS}", spreads)):
        if units is not None and flat:
            why = f"{flat} of {len(spreads)} outputs do not vary over prior samples"
            results.skip("fidelity", [f"{side}{norm}{name}" for norm in NORMS], why)
            continue
        pair = [deviations(rows, target, units) for rows in (own, plain)]
        for norm, label in NORMS.items():
            what = f"deviation{' of views' if side else ''}, {label}"
            values, others = (getattr(each, norm) for each in pair)
            metric = mean_of(what, unit if units is None else SPREADS, values, others)
            results.add("fidelity", f"{side}{norm}{name}", metric)


def _add_divergence(results: Results, material: Material, own: Tensor, plain: Tensor) -> None:
    unit = material.finished.session.problem.objective.unit
    target = material.finished.session.problem.target.cpu()
    wanted, *rows = (as_distributions(each, unit) for each in (target[None], own, plain))
    if wanted is None or any(each is None for each in rows):
        results.skip("fidelity", "kl", "the measurement is no distribution over classes")
        return
    values, others = (kl_divergences(each, wanted[0]) for each in rows if each is not None)
    results.add("fidelity", "kl", mean_of("KL(target || member)", "nats", values, others))


def _add_ranks(results: Results, own: Tensor, plain: Tensor, target: Tensor) -> None:
    if len(target) < FEWEST_RANKED:
        results.skip("fidelity", "rank_correlation", f"it needs a measurement of at least {FEWEST_RANKED} outputs")
        return
    values, others = (rank_correlations(each, target) for each in (own, plain))
    results.add("fidelity", "rank_correlation", mean_of("rank correlation with the target", "", values, others))


def _read_saved(material: Material, results: Results) -> Tensor | None:
    """The members' pictures as they were saved, `[members, channels, height, width]`."""
    names = ["saved_l2", "saved_members", *(f"{change}_{what}" for change in CHANGES for what in ("shift", "members"))]
    if not material.images:
        results.skip("fidelity", names, "the samples are points, not pictures")
        return None
    known = {record.index: record.image for record in material.finished.found.members}
    pieces = []
    for index in material.indices:
        try:
            picture = image_to_tensor(read_image(material.finished.path / str(known[index])))
        except QueryError as error:
            results.skip("fidelity", names, f"the picture of sample {index}: {error.problem.rstrip('.')}")
            return None
        pieces.append(picture)
    return torch.cat(pieces)


def _add_saved(results: Results, material: Material, saved: Tensor) -> None:
    """How the members' pictures fare, and after each change; prior samples show what the change does by itself."""
    session = material.finished.session
    target, unit = session.problem.target.cpu(), session.problem.objective.unit
    own, plain = (_judge(material, rows) for rows in (saved, quantized(material.plain)))
    off = deviations(own[0], target).l2
    results.add("fidelity", "saved_l2", mean_of("deviation as saved, L2", unit, off, deviations(plain[0], target).l2))
    results.add("fidelity", "saved_members", share_of("members as saved", own[1], plain[1]))
    results.keep("saved_deviation", off)
    stays = [own[1]]
    for name, change in CHANGES.items():
        changed = [_judge(material, change(rows)) for rows in (saved, quantized(material.plain))]
        shifts = [deviations(now[0], before[0]).l2 for now, before in zip(changed, (own, plain), strict=True)]
        what = LABELS[name]
        results.add("fidelity", f"{name}_shift", mean_of(f"shift by {what}, L2", unit, *shifts))
        results.add("fidelity", f"{name}_members", share_of(f"members after {what}", changed[0][1]))
        stays.append(changed[0][1])
    results.keep("stays_member", torch.stack(stays).mean(dim=0))


def _judge(material: Material, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Measurements `[batch, m]` of samples, and 1 for each that is a member, else 0."""
    session = material.finished.session

    def judge(chunk: Tensor) -> Tensor:
        measurements, loss = session.problem.judge(chunk)
        return torch.cat([measurements, (loss < session.tolerance).float()[:, None]], dim=1)

    judged = material.work.through(judge, samples, "measuring after small changes")
    return judged[:, :-1], judged[:, -1]
