"""Freedom: which pixels the members near the query leave as they are, and whether a method calls these important."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor

from equidiff.analysis.compare.agreement import importance
from equidiff.numerics.random import prior_samples
from equidiff.run.finished import Finished
from equidiff.types import Samples

NEAR = 16  # members at most that count as near
PLAIN = 32  # prior samples to hold them against
SEEN = 0.05  # of the range of a pixel: prior samples that differ less from the query have nothing to leave free
LATENT, PIXELS = "latent", "pixels"


@final
@dataclass(frozen=True)
class Freedom:
    """How far pixels may go from the query's while the measurement stays.

    Attributes:
        members: indices of the near members, the nearest first.
        measure: "latent" where they were started near the query's latent, "pixels" where only nearness of samples
            could be had: then they may differ from the query in everything.
        freedom: `[height, width]`: root of the mean square difference between near members and query.
        plain: `[height, width]`: the same for prior samples of the generator, which nothing holds.
    """

    members: list[int]
    measure: str
    freedom: Tensor
    plain: Tensor

    @property
    def seen(self) -> Tensor:
        """`[height, width]`, bool: where prior samples differ from the query at all, unlike in a dark border."""
        return self.plain > SEEN

    @property
    def relative(self) -> Tensor:
        """`[height, width]`: freedom as a share of what prior samples have; only where `seen` has it a meaning."""
        return self.freedom / self.plain.clamp(min=SEEN)

    def scores(self, image: Tensor) -> dict[str, float]:
        """Areas under the curve when importance ranks the pixels that the set leaves fixed; 0.5 is chance.

        Args:
            image: the query's map, `[height, width]`.

        Returns:
            `freedom_auc`: of all pixels, those with a freedom of at most the median are fixed. `freedom_auc_seen`: of
            the pixels where prior samples differ from the query, those with a relative freedom of at most the median.
            Absent where there are not both kinds of pixels.
        """
        row = importance(image[None])[0]
        whole = {"freedom_auc": _area(row, self.freedom.flatten().numpy())}
        seen = self.seen.flatten().numpy()
        whole["freedom_auc_seen"] = _area(row[seen], self.relative.flatten().numpy()[seen])
        return {name: value for name, value in whole.items() if value is not None}

    def describe(self) -> dict[str, Any]:
        """What the JSON file says about it."""
        note = (
            "members that were started near the query's latent"
            if self.measure == LATENT
            else "the members whose pixels are nearest; they were not started near the query, so what they share with "
            "it is partly chance"
        )
        return {"near": self.measure, "members": self.members, "note": note, "seen_pixels": int(self.seen.sum())}


def _area(scores: np.ndarray, freedom: np.ndarray) -> float | None:
    fixed = freedom <= np.median(freedom) if len(freedom) else freedom > 0
    return None if fixed.all() or not fixed.any() else float(roc_auc_score(fixed, scores))


def find_freedom(finished: Finished, query: Samples) -> Freedom | str:
    """Compare the members near the query with prior samples.

    Args:
        finished: the run.
        query: `[1, channels, height, width]`, in the shape of a sample.

    Returns:
        What was found, or why it cannot be had.
    """
    found = finished.found
    near, measure = _near(finished, query)
    if len(near) < 2:
        return "fewer than two members are near the query"
    problem = finished.session.problem
    plain = prior_samples(problem.generator, PLAIN, finished.session.settings.seed, problem.target.device).cpu()
    members = [found.members[position].index for position in near]
    return Freedom(members, measure, _spread(found.samples[near], query), _spread(plain, query))


def _near(finished: Finished, query: Samples) -> tuple[list[int], str]:
    """Positions of the near members among all members, the nearest first."""
    found = finished.found
    angles: list[Any] = [getattr(member, "distance", None) for member in found.members]
    # half of them, so that those are meant that are near
    count = min(NEAR, max(2, len(angles) // 2), len(angles))
    if found.info.starts_from_query and None not in angles:
        return np.argsort(angles, kind="stable")[:count].tolist(), LATENT
    distances = (found.samples - query).flatten(1).norm(dim=1)
    return distances.argsort(stable=True)[:count].tolist(), PIXELS


def _spread(samples: Samples, query: Samples) -> Tensor:
    return (samples - query).square().mean(dim=(0, 1)).sqrt()
