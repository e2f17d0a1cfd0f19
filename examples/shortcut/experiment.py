"""One seed: two networks, two decisions each, and the verdict of every method on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import equidiff
from shortcut.criterion import GONE, Verdict, judge_map, judge_set
from shortcut.methods import METHODS, importance
from shortcut.networks import CONTROL, SHORTCUT, called_stars, train
from shortcut.pictures import PRESENCE, Pictures, draw, mark_area, marked, shares, with_mark, with_shape
from shortcut.question import sample_set

QUERIES = {"marked": True, "clean": False}
TESTS_A_SEED = 4  # two networks, two decisions
PRIOR = 512  # samples that members are compared with
OTHERS = range(PRESENCE + 1, 79)  # the latents but for those of the shape and the mark's presence


@dataclass(frozen=True)
class Plan:
    """Settings of the experiment.

    Attributes:
        seeds: how many seeds in all; the level of every test depends on it.
        samples: how many members each set is asked for.
        budget: evaluations a sample may cost; the solver's own when None.
        pictures: training pictures.
        epochs: how often training sees them.
    """

    seeds: int = 10
    samples: int = 32
    budget: float | None = None
    pictures: int = 4096
    epochs: int = 8

    @property
    def tests(self) -> int:
        """Tests that one way of looking makes in all."""
        return self.seeds * TESTS_A_SEED


@dataclass(frozen=True)
class Trained:
    """A network, its kind ("shortcut" or "control"), and what share of which pictures it calls stars."""

    kind: str
    network: nn.Sequential
    calls: dict[str, float]


@dataclass(frozen=True)
class Look:
    """One decision of one network, looked at in every way.

    Attributes:
        seed: of networks, query and samples.
        trained: the network.
        query: "marked" or "clean".
        found: the set, members and others.
        objects: what share of each member's shape is the object, `[members]`.
        marked: whether each member is marked, `[members]`, bool.
        by_set: what the set says.
        rivals: how many of the 76 other latents would be accused at least as strongly as the mark's.
        by_map: what each method's map says.
        maps: the maps, `[32, 32]` each.
        mark: where the mark is or would be, `[32, 32]`, bool.
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
        """The numbers, for a file."""
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
            "evaluations": found.info.evaluations,
            "wall_s": found.info.wall_s,
            "gone": int((self.objects < GONE).sum()),
            "marked": int(self.marked.sum()),
            "set": vars(self.by_set),
            "rivals": self.rivals,
            "maps": {name: vars(verdict) for name, verdict in self.by_map.items()},
        }


def look_at_seed(seed: int, plan: Plan, say: Callable[[str], None]) -> list[Look]:
    """Train both networks and look at two decisions of each: on a marked star, and on the same star without mark."""
    stream = torch.Generator().manual_seed(seed + 2 * 10**6)
    star = with_shape(draw(1, stream), torch.tensor([0]))
    prior = draw(PRIOR, stream)
    looks = []
    for kind in (SHORTCUT, CONTROL):
        say(f"seed {seed}, {kind} network: training")
        network = train(kind, seed, plan.pictures, plan.epochs)
        trained = Trained(kind, network, called_stars(network, seed))
        for name, state in QUERIES.items():
            say(f"seed {seed}, {kind} network: the {name} query")
            looks.append(look(seed, trained, name, with_mark(star, torch.tensor([state])), prior, plan))
    return looks


def look(seed: int, trained: Trained, query: str, latent: Tensor, prior: Tensor, plan: Plan) -> Look:
    """Look at one decision.

    Args:
        seed: for whatever is random.
        trained: the network.
        query: the query's name.
        latent: the query's latent, `[1, 79]`.
        prior: latents of prior samples, `[prior, 79]`.
        plan: how much of everything.
    """
    picture, mark = Pictures().generate(latent), mark_area(latent)[0]
    found = sample_set(trained.network, picture, plan.samples, seed, plan.budget)
    members = found.latents if len(found) else latent[:0]  # what missed the tolerance is not among them
    objects, usual = shares(members)[:, 0], shares(prior)[:, 0]
    by_set = judge_set((objects, marked(members)), (usual, marked(prior)), plan.tests)
    others = [judge_set((objects, members[:, k] > 0), (usual, prior[:, k] > 0), plan.tests) for k in OTHERS]
    maps = {method: importance(method, trained.network, picture, seed) for method in METHODS}
    return Look(
        seed, trained, query, found, objects, marked(members), by_set,
        rivals=sum(other.p <= by_set.p for other in others),
        by_map={method: judge_map(values, mark, plan.tests) for method, values in maps.items()},
        maps=maps, mark=mark,
    )  # fmt: skip
