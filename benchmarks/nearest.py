"""Compares how near to a target with many outputs solvers come at equal cost, members or not.

    python benchmarks/nearest.py --json nearest.json
    python benchmarks/nearest.py --cases layer --solvers auto --tolerance 0.1

A sample counts where it came nearest to its target. Its distance is the root mean square of its residuals, in spreads
an output: those of each output over prior samples. The columns:

- m: outputs;
- samples: of all targets together;
- S: mean cost of a sample, in prior samples; a backward pass counts two;
- <= 0.1, <= 0.2: share of the samples that are this near, in percent;
- quarter, median, three quarters: of the distances;
- |z|/sqrt(d): median and range of the latents' lengths; a typical latent of the prior has 1;
- realism %: percentile of the distance to the nearest of 2,048 prior samples among those of other prior samples, the
  mean over all samples with its 95 % interval; 50 is usual, 100 further away than any;
- minutes: wall time of all samples.

`ndtm` has two lines: of the samples that its way through the sampler ends in, as published, and of those that their
encoded latents lead to, which is what a run keeps. It is given its own number of steps and no other budget: choose
steps and updates for the cost to compare at. Other solvers end within the budget, and where a sample is within the
tolerance: with a small one they go on to the end of the budget.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from cases import Case, realism
from torch import Tensor

from equidiff.builtin.solvers.ndtm import Ndtm
from equidiff.contracts import Answer, BuildContext, Coroutine, ResidualFunction, Solver, Step
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem

CASES = ("map", "layer")
# the last two take fewer steps than published, so that they are about as dear as the budget of the others
SOLVERS = ("auto", "lbfgs", "ndtm,gamma=10,steps=69", "ndtm,gamma=5,steps=69")
QUANTILES = (0.1, 0.3, 0.6, 0.9)
NEAR = (0.1, 0.2)
WIDTHS = {
    "case": 6, "m": 4, "solver": 36, "samples": 8, "S": 5, "<= 0.1": 7, "<= 0.2": 7, "quarter": 8, "median": 8,
    "three quarters": 15, "|z|/sqrt(d)": 17, "realism %": 13, "minutes": 8,
}  # fmt: skip


def main() -> None:
    """Print a line for each case and solver."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--solvers", nargs="+", default=SOLVERS, help="specs")
    parser.add_argument("--samples", type=int, default=4, help="for each target")
    parser.add_argument("--quantiles", type=float, nargs="+", default=QUANTILES, help="of the targets")
    parser.add_argument("--seed", type=int, default=0, help="of the first target; the next has the next")
    parser.add_argument("--budget", type=float, default=64, help="evaluations a sample may cost, three S each")
    parser.add_argument("--tolerance", type=float, default=0.01, help="distance at which a search ends")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="lines are added to those that are there, or take their place")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else []
    print("  ".join(name.ljust(width) for name, width in WIDTHS.items()), flush=True)
    for case in (Case(text, tuple(arguments.quantiles)) for text in arguments.cases):
        for spec in arguments.solvers:
            for row in lines(case, spec, arguments):
                print("  ".join(shown(row[name]).ljust(width) for name, width in WIDTHS.items()), flush=True)
                same = (row["case"], row["solver"])
                rows = [old for old in rows if (old["case"], old["solver"]) != same] + [row]
            if arguments.json:  # after each solver: the table takes long
                arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def shown(value: Any) -> str:
    """A cell."""
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def lines(case: Case, spec: str, arguments: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """The lines of one solver."""
    started = time.monotonic()
    solver: Solver = build(Plugins(), "solver", spec, BuildContext()).component
    guided = Guided(solver) if isinstance(solver, Ndtm) else None
    results = [
        result
        for number, problem in enumerate(case.problems)
        for result in searched(problem, guided or solver, arguments.seed + number, arguments)
    ]
    minutes = (time.monotonic() - started) / 60
    found = [each.answer for each in results if each.answer is not None]
    cost = 3 * sum(each.cost.charged for each in results) / len(results)
    if guided is not None:
        encoding = 1 + guided.encoding(case.problems[0])
        yield line(case, spec, guided.ended, cost - encoding, minutes, latents=False)
        yield line(case, f"{spec}, encoded", found, cost, minutes)
    else:
        ended = "" if arguments.tolerance == NEAR[0] else f" to {arguments.tolerance:g}"
        yield line(case, spec + ended, found, cost, minutes)


def searched(problem: Problem, solver: Solver, seed: int, arguments: argparse.Namespace) -> Iterable[Result]:
    """Results of one target, each at its nearest."""
    events = solve(
        problem,
        solver,
        range(arguments.samples),
        seed=seed,
        batch=16,
        budget=math.inf if isinstance(solver, Guided) else arguments.budget,
        tolerance=len(problem.target) * arguments.tolerance**2,
    )
    return (event for event in events if isinstance(event, Result))


class Guided(Solver):
    """`ndtm`, whose samples are kept before they are encoded, too.

    Attributes:
        ended: the answers for these samples.
    """

    def __init__(self, solver: Ndtm) -> None:
        self.ended: list[Answer] = []
        self._solver = solver

    def solve(self, latents: Tensor, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        """As the solver, and keep what its way ends in."""
        guided = yield from self._solver.guide(latents, residual)
        self.ended.append(replace(guided, latents=latents))
        yield Step(0, (yield from residual.encode(guided.samples, self._solver.steps)))

    def encoding(self, problem: Problem) -> float:
        """Its cost in passes, without that of the sample which the latent leads to."""
        trajectory = problem.trajectory(self._solver.steps)
        assert trajectory is not None
        return trajectory.encode_share


def line(
    case: Case, name: str, found: list[Answer], cost: float, minutes: float, latents: bool = True
) -> dict[str, Any]:
    """One line, of samples with their own latents or with none."""
    distances = torch.cat([each.residuals for each in found]).square().mean(dim=1).sqrt()
    row = {
        "case": case.text, "m": len(case.problems[0].target), "solver": name, "samples": len(found), "S": cost,
        **{f"<= {near}": 100 * (distances < near).float().mean().item() for near in NEAR},
        **dict(zip(("quarter", "median", "three quarters"), quartiles(distances), strict=True)),
        "|z|/sqrt(d)": None, "realism %": realism(case.generator, torch.cat([each.samples for each in found])),
        "minutes": minutes,
    }  # fmt: skip
    if latents:
        norms = torch.cat([each.latents for each in found]).flatten(1).square().mean(dim=1).sqrt()
        row["|z|/sqrt(d)"] = f"{norms.median():.3f} {norms.min():.2f}-{norms.max():.2f}"
    return row


def quartiles(values: Tensor) -> list[float]:
    """The quartiles of some values."""
    return values.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()


if __name__ == "__main__":
    main()
