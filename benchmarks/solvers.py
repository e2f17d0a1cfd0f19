"""Compares `auto` with Algorithm 1 (`infinite`) at its best learning rate, on the default run.

    python benchmarks/solvers.py

Same generator, objective, query, seeds and tolerance for all. The learning rate is the best of a grid: the one that
makes the most members, and of those the one that needs the fewest evaluations. A large rate can reach a target by
leaving the prior: |z| / sqrt(d) far from 1, where the generator makes what it never saw. So the best rate is named
twice, by all members and by typical ones, whose length is within the central 99 % of the prior's. What the grid itself
cost is printed, and not held against it.
"""

import argparse
import time
from statistics import median

import torch

import equidiff
from equidiff.solvers.auto import typical

RATES = (1.0, 3.0, 10.0, 30.0, 100.0)


def main() -> None:
    """Print a line for each solver, then the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objective", default="neuron:17")
    parser.add_argument("--query", type=int, default=3)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tolerance", type=float, default=None, help="that of auto unless given")
    parser.add_argument("--budget", type=float, default=256, help="evaluations a sample may cost")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("solver                    members  evaluations  median  typical  |z|/sqrt(d)  seconds")
    auto = run(arguments, "auto", arguments.tolerance)
    tuned = [run(arguments, f"infinite,lr={rate:g}", auto.info["tolerance"]) for rate in arguments.rates]
    print(f"the grid cost {sum(found.info['evaluations'] for found in tuned):.0f} evaluations")
    for kind, count in (("members", len), ("typical members", typical_members)):
        best = min(tuned, key=lambda found: (-count(found), found.info["evaluations"]))
        each = [found.info["evaluations"] / max(count(found), 1) for found in (auto, best)]
        print(
            f"evaluations for each of the {kind}: auto {each[0]:.1f}, {best.info['specs']['solver']} {each[1]:.1f} "
            f"({count(best)} of them): ratio {each[0] / each[1]:.2f}"
        )


def typical_members(found: equidiff.InvariantSet) -> int:
    """How many members have a latent of a length that is typical of the prior."""
    kept = typical(found.latents)
    return int(((kept - found.latents).flatten(1).norm(dim=1) < 1e-3).sum()) if len(found) else 0


def run(arguments: argparse.Namespace, solver: str, tolerance: float | None) -> equidiff.InvariantSet:
    """Make one run and print its line."""
    started = time.monotonic()
    found = equidiff.sample(
        "toy",
        arguments.objective,
        solver=solver,
        query=arguments.query,
        samples=arguments.samples,
        tolerance=tolerance,
        budget=arguments.budget,
    )
    costs = [record.evaluations for record in found.records]
    norms = [record.latent_norm for record in found.records if record.latent_norm is not None]
    print(
        f"{solver:24} {len(found):4}/{len(costs):<3} {sum(costs):12.1f} {median(costs):7.1f} "
        f"{typical_members(found):8}  {min(norms):4.2f} - {max(norms):4.2f} {time.monotonic() - started:8.1f}",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
