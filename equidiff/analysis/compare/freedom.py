"""Freedom: the pixels that members near the query change or keep, beside the importance a method gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from equidiff.analysis.compare.agreement import importance
from equidiff.analysis.subsample import BLOCK, chosen_members, row_blocks
from equidiff.contracts import SampleKind
from equidiff.numerics.random import prior_samples
from equidiff.run.finished import Finished
from equidiff.types import Samples

NEAR = 16  # members at most that count as near
PRIOR = 32  # prior samples to compare them with
SEEN = 0.05  # of a pixel's range: where prior samples differ less than this from the query, freedom means nothing
LATENT = "latent"


@final
@dataclass(frozen=True)
class Freedom:
    """Distance of each pixel from the query's, in members near the query and in prior samples.

    Attributes:
        members: indices of the near members, the nearest first.
        measure: "latent" if they were started near the query's latent; "pixels", or what else samples consist of, if
            only the samples could be compared: then they may differ from the query in everything.
        freedom: `[height, width]`: root of the mean square difference between near members and query.
        prior: `[height, width]`: the same for prior samples of the generator, which need not keep the measurement.
    """

    members: list[int]
    measure: str
    freedom: Tensor
    prior: Tensor

    @property
    def seen(self) -> Tensor:
        """`[height, width]`, bool: True where prior samples differ from the query, unlike in a dark border."""
        return self.prior > SEEN

    @property
    def relative(self) -> Tensor:
        """`[height, width]`: freedom relative to that of prior samples; meaningful only where `seen`."""
        return self.freedom / self.prior.clamp(min=SEEN)

    def scores(self, image: Tensor) -> dict[str, float]:
        """Areas under the ROC curve when importance predicts the pixels that the set leaves fixed; 0.5 is chance.

        Args:
            image: the query's map, `[height, width]`.

        Returns:
            `freedom_auc`, over all pixels: those with at most the median freedom are fixed. `freedom_auc_seen`, over
            pixels where prior samples differ from the query: those with at most the median relative freedom are
            fixed. Absent unless there are both kinds of pixels.
        """
        row = importance(image[None])[0]
        whole = {"freedom_auc": _area(row, self.freedom.flatten().numpy())}
        seen = self.seen.flatten().numpy()
        whole["freedom_auc_seen"] = _area(row[seen], self.relative.flatten().numpy()[seen])
        return {name: value for name, value in whole.items() if value is not None}

    def describe(self) -> dict[str, Any]:
        """Its part of `attributions.json`."""
        note = (
            "members started near the query's latent"
            if self.measure == LATENT
            else f"the members nearest to the query by their {self.measure}; they were not started near it, so what "
            "they share with it is partly chance"
        )
        return {"near": self.measure, "members": self.members, "note": note, "seen_pixels": int(self.seen.sum())}


def _area(scores: np.ndarray, freedom: np.ndarray) -> float | None:
    fixed = freedom <= np.median(freedom) if len(freedom) else freedom > 0
    return None if fixed.all() or not fixed.any() else float(roc_auc_score(fixed, scores))


def find_freedom(finished: Finished, query: Samples) -> Freedom | str:
    """Compare the members near the query with prior samples.

    Args:
        finished: the run.
        query: `[1, channels, height, width]`, as attribution methods see it.

    Returns:
        The freedom, or the reason why it cannot be measured.
    """
    found, kind = finished.found, finished.session.problem.kind
    near, measure = _near(finished, query, kind)
    if len(near) < 2:
        return "fewer than two members are near the query"
    problem = finished.session.problem
    prior = prior_samples(problem.generator, PRIOR, finished.session.settings.seed, problem.target.device).cpu()
    records = found.members
    members = [records[position].index for position in near]
    own = chosen_members(found, members).samples
    free, usual = (_spread(kind.to_grid(samples), query) for samples in (own, prior))
    return Freedom(members, measure, free, usual)


def _near(finished: Finished, query: Samples, kind: SampleKind) -> tuple[list[int], str]:
    """Positions of the near members among all members, the nearest first."""
    found = finished.found
    angles: list[Any] = [getattr(member, "distance", None) for member in found.members]
    # at most half of them: all members would not be the near ones
    count = min(NEAR, max(2, len(angles) // 2), len(angles))
    if found.info.starts_from_query and None not in angles:
        return np.argsort(angles, kind="stable")[:count].tolist(), LATENT
    blocks = row_blocks(found, "samples", BLOCK)
    distances = torch.cat([(kind.to_grid(block) - query).flatten(1).norm(dim=1) for block in blocks])
    return distances.argsort(stable=True)[:count].tolist(), kind.values


def _spread(samples: Samples, query: Samples) -> Tensor:
    return (samples - query).square().mean(dim=(0, 1)).sqrt()
