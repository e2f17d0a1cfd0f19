"""Selection of members by diversity, novelty or typicality."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.analysis.limits import SELECTED_FROM
from equidiff.analysis.subsample import BLOCK, draw_members, row_blocks
from equidiff.contracts import BuildContext
from equidiff.errors import UsageError, unknown_name
from equidiff.images.convert import to_image
from equidiff.metrics import gaussian_kernel, median_distance
from equidiff.metrics.features import FeatureSpace, build_features, default_features
from equidiff.metrics.realism import distances
from equidiff.numerics.gaussian import is_in_shell
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.query import Query, as_sample
from equidiff.run.session import Session
from equidiff.types import PerSample

CRITERIA = ("diversity", "novelty", "typicality")
PRIOR = 128  # prior samples for novelty and typicality
NEIGHBOURS = 5
MOST_PAIRED = 2000  # rows whose distances are taken, for the median of all
Features = Float[Tensor, "rows size"]
Show = Callable[[int, str], None]


@dataclass(frozen=True)
class Selected:
    """A member that was selected.

    Attributes:
        index: index of the sample in the run.
        score: see `Selection.meaning`; the higher the better.
        nearest: distance to the nearest other selected member; None if it is the only one.
        from_query: distance to the query; None if there is none.
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
        features: the space in which distances are measured.
        warning: a caution about that space, if there is one.
        prior: number of prior samples compared with; 0 if none were needed.
        members: the selected members.
        among: number of members that were compared.
    """

    by: str
    features: str
    warning: str | None
    prior: int
    members: tuple[Selected, ...]
    among: int

    @property
    def meaning(self) -> str:
        """Meaning of the scores."""
        return {
            "diversity": "1 is unlike the query and all members selected before, 0 is a copy of one of them",
            "novelty": "distance from the query and from the nearest prior sample; prior samples have 1",
            "typicality": "density of prior samples around it; prior samples have 1",
        }[self.by]


def select(
    session: Session,
    found: InvariantSet,
    count: int = 8,
    by: str = "diversity",
    features: str | None = None,
    show: Show = lambda _done, _doing: None,
    members: int = SELECTED_FROM,
) -> Selection:
    """Select members of a run.

    Args:
        session: the run's components, as `open_finished` builds them.
        found: the run's members.
        count: number of members to select.
        by: "diversity": members unlike each other and unlike the query; "novelty": unlike the query and unlike prior
            samples; "typicality": amid many prior samples, with latents of a typical length.
        features: spec of the space to compare samples in, see `build_features`; by default one that suits them.
        show: called with the number of samples done, and with what is being done.
        members: how many to select from at most; of a run that has more, they are drawn by its seed.

    Raises:
        UnknownNameError: there is no such criterion.
        UsageError: the run has fewer members than that.
        EquiDiffError: the feature space is not available.
    """
    if by not in CRITERIA:
        raise unknown_name("criterion", by, CRITERIA, f"--by {CRITERIA[0]}")
    found = draw_members(found, max(members, count))
    if not 1 <= count <= len(found):
        raise UsageError(
            "The run has fewer members than that.",
            given=f"--count {count}",
            expected=f"from 1 to {len(found)}",
            hint=f"--count {min(max(count, 1), len(found))}",
        )
    space, warning = _space(session, features)
    extractor = _FeatureExtractor(session, space, show)
    rows, query = extractor.extract_members(found), _query_features(session, found, extractor)
    prior = extractor.extract_prior(PRIOR) if by != "diversity" else None
    if prior is None:
        chosen, scores = pick_diverse(rows, count, query)
    else:
        scores = novelty(rows, prior, query) if by == "novelty" else typicality(rows, prior)
        last = _unlikely(found) if by == "typicality" else torch.zeros(len(rows), dtype=torch.bool)
        chosen = sorted(range(len(rows)), key=lambda row: (bool(last[row]), -float(scores[row])))[:count]
    selected = tuple(_describe(found, chosen, scores, rows, query))
    return Selection(by, space.name, warning, 0 if prior is None else len(prior), selected, len(found))


def pick_diverse(features: Features, count: int, given: Features | None = None) -> tuple[list[int], PerSample]:
    """Pick rows unlike each other and unlike the given ones: the greedy mode of a determinantal point process.

    Each row is the one that makes the determinant of the kernel of all chosen rows the largest. The kernel is Gaussian,
    as wide as the median distance.

    Args:
        features: at least `count` rows.
        count: number of rows to pick.
        given: rows that count as chosen already.

    Returns:
        The picked rows, in order; and for each row its conditional variance when it was picked, from 1 to 0.

    References:
        Chen, Zhang, Zhou (2018), "Fast greedy MAP inference for determinantal point process", algorithm 1.
            https://arxiv.org/abs/1709.05135
    """
    greedy = _Greedy(features if given is None else torch.cat([features, given]))
    for row in range(len(features), len(greedy.rows)):
        greedy.condition(row)
    scores = torch.zeros(len(features), dtype=torch.float64)
    chosen: list[int] = []
    while len(chosen) < count:
        open_ = greedy.variances[: len(features)].clone()
        open_[chosen] = -torch.inf
        row = int(open_.argmax())
        scores[row] = greedy.variances[row].clamp(min=0)
        chosen.append(row)
        greedy.condition(row)
    return chosen, scores


class _Greedy:
    """Conditional variances of rows, once some of them are chosen.

    The kernel is computed a column at a time: that of many rows would not fit into memory.

    Args:
        rows: their features.

    Attributes:
        rows: as given.
        variances: of each row.
    """

    def __init__(self, rows: Features) -> None:
        width = median_distance(_some(rows)) if len(rows) > 1 else 0.0
        self.rows = rows
        self.variances = rows.new_ones(len(rows), dtype=torch.float64)
        self._kernel = gaussian_kernel(width or 1.0)  # 0 where most rows are alike
        self._factors = self.variances.new_zeros(len(rows), 0)  # of Cholesky, a column for each chosen row

    def condition(self, row: int) -> None:
        """Choose a row."""
        column = self._kernel(self.rows, self.rows[row : row + 1])[:, 0]
        # a row without variance left changes nothing
        column = (column - self._factors @ self._factors[row]) / self.variances[row].clamp(min=1e-12).sqrt()
        self.variances = self.variances - column.square()
        self._factors = torch.cat([self._factors, column[:, None]], dim=1)


def _some(rows: Features) -> Features:
    """Rows at equal distances from the first to the last, or all if they are few."""
    return rows if len(rows) <= MOST_PAIRED else rows[torch.linspace(0, len(rows) - 1, MOST_PAIRED).round().long()]


def novelty(features: Features, prior: Features, query: Features | None) -> PerSample:
    """Distance of rows from the query and from the nearest prior sample, relative to that of prior samples.

    The geometric mean of both; without a query, only the second.
    """
    usual = (distances(prior, prior) + torch.diag(torch.full((len(prior),), torch.inf))).amin(dim=1).median()
    away = distances(features, prior).amin(dim=1) / usual.clamp(min=1e-12)
    if query is None:
        return away
    from_query = distances(features, query)[:, 0] / distances(prior, query)[:, 0].median().clamp(min=1e-12)
    return (away * from_query).sqrt()


def typicality(features: Features, prior: Features) -> PerSample:
    """Density of prior samples around each row: their median distance to their fifth neighbour, over the row's."""
    own = distances(prior, prior).kthvalue(NEIGHBOURS + 1, dim=1).values  # the nearest of all is the row itself
    return own.median() / distances(features, prior).kthvalue(NEIGHBOURS, dim=1).values.clamp(min=1e-12)


def _unlikely(found: InvariantSet) -> Tensor:
    """True for each member whose latent is longer or shorter than the prior's usually are."""
    return torch.cat([~is_in_shell(block) for block in row_blocks(found, "latents", BLOCK)])


class _FeatureExtractor:
    """Computes features of samples, and reports progress."""

    def __init__(self, session: Session, space: FeatureSpace, show: Show) -> None:
        self._session, self._space, self._show = session, space, show
        self._done = 0

    @torch.no_grad()
    def extract(self, samples: Tensor, doing: str = "describing members") -> Features:
        """Compute features of samples, on the CPU; they are rounded first as their files hold them."""
        pieces: list[Tensor] = []
        for chunk in samples.split(self._session.settings.batch):
            shown = self._session.problem.kind.rounded(chunk)
            pieces.append(self._space.extract(shown.to(self._session.device)).float().cpu())
            self._done += len(chunk)
            self._show(self._done, doing)
        return torch.cat(pieces)

    def extract_members(self, found: InvariantSet) -> Features:
        """Compute features of members, of which few are in memory at a time."""
        batch = self._session.settings.batch
        size = batch * max(1, BLOCK // batch)  # whole passes: those of other rows would be rounded differently
        return torch.cat([self.extract(block) for block in row_blocks(found, "samples", size)])

    @torch.no_grad()
    def extract_prior(self, count: int) -> Features:
        """Compute features of prior samples."""
        generator = self._session.problem.generator
        latents = prior_latents(generator, count, self._session.settings.seed, Stream.SELECTION)
        rows = latents.to(self._session.device).split(self._session.settings.batch)
        return torch.cat([self.extract(generator.generate(chunk), "drawing prior samples") for chunk in rows])


def _space(session: Session, features: str | None) -> tuple[FeatureSpace, str | None]:
    context = BuildContext(session.device, session.context.dtype, session.problem.generator)
    if features is not None:
        return build_features(features, context), None
    return default_features(context, frozenset(weights.sha256 for weights in session.context.weights))


def _query_features(session: Session, found: InvariantSet, extractor: _FeatureExtractor) -> Features | None:
    if found.query is None:
        return None
    image = to_image(found.query[0]) if session.problem.kind.is_image else None
    return extractor.extract(as_sample(Query("the run's query", found.query, image), session.problem.generator))


def _describe(
    found: InvariantSet, chosen: Sequence[int], scores: PerSample, members: Features, query: Features | None
) -> list[Selected]:
    among = distances(members[list(chosen)], members[list(chosen)])
    among.fill_diagonal_(torch.inf)
    nearest = among.amin(dim=1).tolist()
    away = [None] * len(chosen) if query is None else distances(members[list(chosen)], query)[:, 0].tolist()
    records = found.members
    return [
        Selected(records[row].index, float(scores[row]), near if math.isfinite(near) else None, far)
        for row, near, far in zip(chosen, nearest, away, strict=True)
    ]
