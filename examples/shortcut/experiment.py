"""One seed: two networks, two decisions each, and the verdict of every method on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import equidiff
from shortcut.criterion import LOST, Verdict, judge_map, judge_set
from shortcut.images import PRESENCE, ShapeImages, draw, mark_area, marked, shares, with_mark, with_shape
from shortcut.methods import METHODS, importance
from shortcut.networks import CONTROL, SHORTCUT, called_stars, train
from shortcut.objective import sample_set

QUERIES = {"marked": True, "clean": False}
TESTS_A_SEED = 4  # two networks, two decisions
PRIOR = 512  # prior samples that members are compared with
OTHERS = range(PRESENCE + 1, 79)  # all latents except those of the shape and of the mark's presence


@dataclass(frozen=True)
class Plan:
    """Settings of the experiment.

    Attributes:
        seeds: number of seeds; the level of every test depends on it.
        samples: members to search for, per set.
        budget: evaluations that a sample may cost; the solver's default when None.
        pictures: number of training images.
        epochs: passes over the training images.
    """

    seeds: int = 10
    samples: int = 32
    budget: float | None = None
    pictures: int = 4096
    epochs: int = 8

    @property
    def tests(self) -> int:
        """Number of tests of each method."""
        return self.seeds * TESTS_A_SEED


@dataclass(frozen=True)
class Trained:
    """A network, its kind ("shortcut" or "control"), and the share of each kind of image that it calls stars."""

    kind: str
    network: nn.Sequential
    calls: dict[str, float]


@dataclass(frozen=True)
class Decision:
    """A decision of a network, examined by every method.

    Attributes:
        seed: the seed of networks, query and samples.
        trained: the network.
        query: "marked" or "clean".
        found: the set, members and others.
        objects: share of each member's shape that is the object, `[members]`.
        marked: true for members with the mark, `[members]`, bool.
        by_set: the verdict of the set.
        rivals: number of the other 76 latents that would be accused at least as strongly as the mark's.
        by_map: the verdict of each method's map.
        maps: the maps, `[32, 32]` each.
        mark: the place of the mark, whether or not it is there, `[32, 32]`, bool.
    """

    seed: int
    trained: Trained
    query: str
    found: equidiff.InvariantSet
    objects: Tensor
    marked: Tensor
    by_set: Verdict
    rivals: int
    by_map: dict[str, Verdict]
    maps: dict[str, Tensor]
    mark: Tensor

    def summary(self) -> dict[str, object]:
        """The numbers, as written to `results.json`."""
        found = self.found
        return {
            "seed": self.seed,
            "network": self.trained.kind,
            "called_stars": self.trained.calls,
            "query": self.query,
            "target": found.target.item(),
            "asked": len(found.records),
            "members": len(found),
            "largest_miss": (found.measurements - found.target).abs().max().item() if len(found) else None,
            "within": found.info.within,
            "evaluations": found.info.evaluations,
            "wall_s": found.info.wall_s,
            "gone": int((self.objects < LOST).sum()),
            "marked": int(self.marked.sum()),
            "set": vars(self.by_set),
            "rivals": self.rivals,
            "maps": {name: vars(verdict) for name, verdict in self.by_map.items()},
        }


def examine_seed(seed: int, plan: Plan, say: Callable[[str], None]) -> list[Decision]:
    """Train both networks and examine two decisions of each: on a star with the mark, and on the same one without."""
    stream = torch.Generator().manual_seed(seed + 2 * 10**6)
    star = with_shape(draw(1, stream), torch.tensor([0]))
    prior = draw(PRIOR, stream)
    decisions = []
    for kind in (SHORTCUT, CONTROL):
        say(f"seed {seed}, {kind} network: training")
        network = train(kind, seed, plan.pictures, plan.epochs)
        trained = Trained(kind, network, called_stars(network, seed))
        for name, state in QUERIES.items():
            say(f"seed {seed}, {kind} network: the {name} query")
            decisions.append(examine(seed, trained, name, with_mark(star, torch.tensor([state])), prior, plan))
    return decisions


def examine(seed: int, trained: Trained, query: str, latent: Tensor, prior: Tensor, plan: Plan) -> Decision:
    """Examine a decision.

    Args:
        seed: for everything random.
        trained: the network.
        query: the query's name.
        latent: the query's latent, `[1, 79]`.
        prior: latents of prior samples, `[prior, 79]`.
        plan: the settings of the experiment.
    """
    image, mark = ShapeImages().generate(latent), mark_area(latent)[0]
    found = sample_set(trained.network, image, plan.samples, seed, plan.budget)
    members = found.latents if len(found) else latent[:0]  # those within the tolerance
    objects, usual = shares(members)[:, 0], shares(prior)[:, 0]
    by_set = judge_set((objects, marked(members)), (usual, marked(prior)), plan.tests)
    others = [judge_set((objects, members[:, k] > 0), (usual, prior[:, k] > 0), plan.tests) for k in OTHERS]
    maps = {method: importance(method, trained.network, image, seed) for method in METHODS}
    return Decision(
        seed, trained, query, found, objects, marked(members), by_set,
        rivals=sum(other.p <= by_set.p for other in others),
        by_map={method: judge_map(values, mark, plan.tests) for method, values in maps.items()},
        maps=maps, mark=mark,
    )  # fmt: skip
