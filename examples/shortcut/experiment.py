"""One seed: two networks, two decisions each, and what every way of looking says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import equidiff
from shortcut.criterion import GONE, MARKED, Verdict, judge_map, judge_set
from shortcut.methods import METHODS, importance
from shortcut.networks import CONTROL, SHORTCUT, StarLogit, called_stars, train
from shortcut.pictures import Pictures, draw, mark_area, shares, strength, with_mark, with_shape

QUERIES = {"marked": True, "clean": False}
TESTS_A_SEED = 4  # two networks, two decisions
PLAIN = 512


@dataclass(frozen=True)
class Plan:
    """What is done for each seed.

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
class Look:
    """One decision of one network, looked at in every way.

    Attributes:
        seed: of networks, query and samples.
        network: "shortcut" or "control".
        query: "marked" or "clean".
        called_stars: what share of which pictures the network calls stars.
        found: the set, members and others.
        by_set: what the set says.
        by_map: what each method's map says.
        maps: the maps, `[32, 32]` each.
        mark: where the mark is or would be, `[32, 32]`, bool.
    """

    seed: int
    network: str
    query: str
    called_stars: dict[str, float]
    found: equidiff.InvariantSet
    by_set: Verdict
    by_map: dict[str, Verdict]
    maps: dict[str, Tensor]
    mark: Tensor

    @property
    def objects(self) -> Tensor:
        """What share of each member's shape is the object, `[members]`."""
        return object_of(self.found.latents)

    @property
    def marks(self) -> Tensor:
        """The strength of each member's mark, `[members]`."""
        return strength(self.found.latents)

    def summary(self) -> dict[str, object]:
        """The numbers, for a file."""
        found, target = self.found, self.found.target
        misses = (found.measurements - target).abs()
        return {
            "seed": self.seed,
            "network": self.network,
            "query": self.query,
            "called_stars": self.called_stars,
            "target": target.item(),
            "asked": len(found.records),
            "members": len(found),
            "largest_miss": misses.max().item() if len(found) else None,
            "evaluations": found.info["evaluations"],
            "wall_s": found.info["wall_s"],
            "gone": int((self.objects < GONE).sum()),
            "marked": int((self.marks > MARKED).sum()),
            "set": vars(self.by_set),
            "maps": {name: vars(verdict) for name, verdict in self.by_map.items()},
        }


def look_at_seed(seed: int, plan: Plan, say: Callable[[str], None]) -> list[Look]:
    """Train both networks and look at both of their decisions."""
    stream = torch.Generator().manual_seed(seed + 2 * 10**6)
    star = with_shape(draw(1, stream), torch.tensor([0]))
    plain = draw(PLAIN, stream)
    looks = []
    for kind in (SHORTCUT, CONTROL):
        say(f"seed {seed}, {kind}: training")
        network = train(kind, seed, plan.pictures, plan.epochs)
        calls = called_stars(network, seed)
        for name, marked in QUERIES.items():
            say(f"seed {seed}, {kind}: {name} decision")
            query = with_mark(star, torch.tensor([marked]))
            looks.append(look(seed, (kind, network, calls), (name, query), plain, plan))
    return looks


def look(
    seed: int,
    trained: tuple[str, nn.Sequential, dict[str, float]],
    asked: tuple[str, Tensor],
    plain: Tensor,
    plan: Plan,
) -> Look:
    """Look at one decision.

    Args:
        seed: for whatever is random.
        trained: the network's kind, the network, what it calls stars.
        asked: the query's name and latent, `[1, 79]`.
        plain: latents of plain samples, `[plain, 79]`.
        plan: how much of everything.
    """
    (kind, network, calls), (name, query) = trained, asked
    picture, mark = Pictures().generate(query), mark_area(query)[0]
    found = sample_set(network, picture, seed, plan)
    maps = {method: importance(method, network, picture, seed) for method in METHODS}
    # latents are the members' alone: what missed the tolerance is not among them
    by_set = judge_set(
        (object_of(found.latents), strength(found.latents)), (object_of(plain), strength(plain)), plan.tests
    )
    by_map = {method: judge_map(values, mark, plan.tests) for method, values in maps.items()}
    return Look(seed, kind, name, calls, found, by_set, by_map, maps, mark)


def sample_set(network: nn.Module, picture: Tensor, seed: int, plan: Plan) -> equidiff.InvariantSet:
    """The invariant set of a network's logit for a picture `[1, 3, 32, 32]`.

    Without low-pass view: this generator has no fine detail that could fake a value, every latent moves what one sees.
    """
    return equidiff.sample(
        Pictures(), StarLogit(network), "none", query=picture, samples=plan.samples, budget=plan.budget, batch=32,
        seed=seed, device="cpu",
    )  # fmt: skip


def object_of(latents: Tensor) -> Tensor:
    """What share of the shape is the object, `[batch]`; of no members, none."""
    return shares(latents)[:, 0] if len(latents) else latents.new_empty(0)
