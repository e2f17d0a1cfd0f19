"""The members most worth a look: a diverse handful, the most novel ones, the most typical ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.contracts import BuildContext
from equidiff.errors import UsageError, unknown_name
from equidiff.images.convert import is_image, quantized, to_image
from equidiff.metrics import gaussian_kernel, median_distance
from equidiff.metrics.features import FeatureSpace, build_features, default_features
from equidiff.metrics.realism import distances
from equidiff.numerics.gaussian import is_in_shell
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.query import Query, as_sample
from equidiff.run.session import Session
from equidiff.types import PerSample

WAYS = ("diversity", "novelty", "typicality")
PLAIN = 128  # prior samples that novelty and typicality compare with
NEIGHBOURS = 5
Features = Float[Tensor, "rows size"]
Show = Callable[[int, str], None]


@dataclass(frozen=True)
class Selected:
    """A member that was selected.

    Attributes:
        index: of the sample in the run.
        score: why, see `Selection.meaning`; the higher the better.
        nearest: distance to the nearest of the others that were selected; None where it is the only one.
        from_query: distance to the query; None where there is none.
    """

    index: int
    score: float
    nearest: float | None
    from_query: float | None


@dataclass(frozen=True)
class Selection:
    """Some of a run's members, the best first.

    Attributes:
        by: "diversity", "novelty" or "typicality".
        features: the space in which distances are taken.
        doubt: what speaks against that space, if anything.
        plain: prior samples that were compared with; 0 where none were needed.
        members: those selected.
    """

    by: str
    features: str
    doubt: str | None
    plain: int
    members: tuple[Selected, ...]

    @property
    def meaning(self) -> str:
        """What the scores mean."""
        return {
            "diversity": "share of it that those before it, and the query, do not explain: 1 is unlike any of them",
            "novelty": "how far it is from the query and from the nearest prior sample, where prior samples have 1",
            "typicality": "how near the prior samples around it are, where prior samples have 1",
        }[self.by]


def select(
    session: Session,
    found: InvariantSet,
    count: int = 8,
    by: str = "diversity",
    features: str | None = None,
    show: Show = lambda _done, _doing: None,
) -> Selection:
    """Select members of a run.

    Args:
        session: the run's components, as `open_finished` builds them.
        found: the run's members.
        count: how many.
        by: "diversity": members unlike each other and unlike the query; "novelty": unlike the query and unlike plain
            samples; "typicality": amid many prior samples, with latents of a typical length.
        features: the space to compare samples in, see `build_features`; the usual one when absent.
        show: is told how many samples are described, and what is being done.

    Raises:
        UnknownNameError: there is no such way to select.
        UsageError: there are not so many members.
        EquiDiffError: the feature space cannot be had.
    """
    if by not in WAYS:
        raise unknown_name("way to select", by, WAYS, f"--by {WAYS[0]}")
    if not 1 <= count <= len(found):
        raise UsageError(
            "The run does not have so many members.",
            given=f"--count {count}",
            expected=f"from 1 to {len(found)}",
            hint=f"--count {min(max(count, 1), len(found))}",
        )
    space, doubt = _space(session, features)
    eye = _Eye(session, space, show)
    members, query = eye.see(found.samples), _query_features(session, found, eye)
    plain = eye.see_plain(PLAIN) if by != "diversity" else None
    if plain is None:
        chosen, scores = pick_diverse(members, count, query)
    else:
        scores = novelty(members, plain, query) if by == "novelty" else typicality(members, plain)
        last = ~is_in_shell(found.latents) if by == "typicality" else torch.zeros(len(members), dtype=torch.bool)
        chosen = sorted(range(len(members)), key=lambda row: (bool(last[row]), -float(scores[row])))[:count]
    selected = tuple(_describe(found, chosen, scores, members, query))
    return Selection(by, space.name, doubt, 0 if plain is None else len(plain), selected)


def pick_diverse(features: Features, count: int, given: Features | None = None) -> tuple[list[int], PerSample]:
    """Rows that are unlike each other, and unlike the given ones: greedily, the likeliest of a determinantal process.

    Each row is the one that makes the determinant of the kernel of all those chosen the largest. The kernel is
    Gaussian, as wide as the median distance.

    Args:
        features: at least `count` rows.
        count: how many to pick.
        given: rows that count as chosen before the first.

    Returns:
        The rows picked, in that order; and of each row what was left of it when it was picked, 1 to 0.

    References:
        Chen, Zhang, Zhou (2018), "Fast greedy MAP inference for determinantal point process", algorithm 1.
            https://arxiv.org/abs/1709.05135
    """
    everything = features if given is None else torch.cat([features, given])
    width = median_distance(everything) if len(everything) > 1 else 0.0
    kernel = gaussian_kernel(width or 1.0)(everything, everything)  # 0 where most rows are alike
    left, factors = kernel.diagonal().clone(), kernel.new_zeros(len(kernel), 0)
    for row in range(len(features), len(everything)):
        left, factors = _explain(kernel, left, factors, row)
    scores = torch.zeros(len(features), dtype=torch.float64)
    chosen: list[int] = []
    while len(chosen) < count:
        open_ = left[: len(features)].clone()
        open_[chosen] = -torch.inf
        row = int(open_.argmax())
        scores[row] = left[row].clamp(min=0)
        chosen.append(row)
        left, factors = _explain(kernel, left, factors, row)
    return chosen, scores


def _explain(kernel: Tensor, left: Tensor, factors: Tensor, row: int) -> tuple[Tensor, Tensor]:
    """What is left of each row's own kernel once this row is chosen, and one more column of the Cholesky factor."""
    # where nothing is left of the row, it explains nothing
    column = (kernel[:, row] - factors @ factors[row]) / left[row].clamp(min=1e-12).sqrt()
    return left - column.square(), torch.cat([factors, column[:, None]], dim=1)


def novelty(features: Features, plain: Features, query: Features | None) -> PerSample:
    """How far rows are from the query and from the nearest plain row, each in units of what is usual of plain rows.

    The geometric mean of both; without a query, the second alone.
    """
    usual = (distances(plain, plain) + torch.diag(torch.full((len(plain),), torch.inf))).amin(dim=1).median()
    away = distances(features, plain).amin(dim=1) / usual.clamp(min=1e-12)
    if query is None:
        return away
    from_query = distances(features, query)[:, 0] / distances(plain, query)[:, 0].median().clamp(min=1e-12)
    return (away * from_query).sqrt()


def typicality(features: Features, plain: Features) -> PerSample:
    """How dense plain rows are around each row: the usual distance of their fifth neighbour, over that of the row."""
    own = distances(plain, plain).kthvalue(NEIGHBOURS + 1, dim=1).values  # the nearest of all is the row itself
    return own.median() / distances(features, plain).kthvalue(NEIGHBOURS, dim=1).values.clamp(min=1e-12)


class _Eye:
    """Samples as the feature space sees them."""

    def __init__(self, session: Session, space: FeatureSpace, show: Show) -> None:
        self._session, self._space, self._show = session, space, show
        self._done = 0

    @torch.no_grad()
    def see(self, samples: Tensor, doing: str = "describing members") -> Features:
        """Features of samples, on the CPU; of pictures as they are shown."""
        pieces: list[Tensor] = []
        for chunk in samples.split(self._session.settings.batch):
            shown = quantized(chunk) if is_image(chunk) else chunk
            pieces.append(self._space.extract(shown.to(self._session.device)).float().cpu())
            self._done += len(chunk)
            self._show(self._done, doing)
        return torch.cat(pieces)

    @torch.no_grad()
    def see_plain(self, count: int) -> Features:
        """Features of prior samples."""
        generator = self._session.problem.generator
        latents = prior_latents(generator, count, self._session.settings.seed, Stream.SELECTION)
        rows = latents.to(self._session.device).split(self._session.settings.batch)
        return torch.cat([self.see(generator.generate(chunk), "making prior samples") for chunk in rows])


def _space(session: Session, features: str | None) -> tuple[FeatureSpace, str | None]:
    context = BuildContext(session.device, session.settings.dtype, session.problem.generator)
    if features is not None:
        return build_features(features, context), None
    return default_features(context, frozenset(weights.sha256 for weights in session.context.weights))


def _query_features(session: Session, found: InvariantSet, eye: _Eye) -> Features | None:
    if found.query is None:
        return None
    picture = to_image(found.query[0]) if is_image(found.query) else None
    return eye.see(as_sample(Query("the run's query", found.query, picture), session.problem.generator))


def _describe(
    found: InvariantSet, chosen: Sequence[int], scores: PerSample, members: Features, query: Features | None
) -> list[Selected]:
    among = distances(members[list(chosen)], members[list(chosen)])
    among.fill_diagonal_(torch.inf)
    nearest = among.amin(dim=1).tolist()
    away = [None] * len(members) if query is None else distances(members, query)[:, 0].tolist()
    return [
        Selected(found.members[row].index, float(scores[row]), near if math.isfinite(near) else None, away[row])
        for row, near in zip(chosen, nearest, strict=True)
    ]
