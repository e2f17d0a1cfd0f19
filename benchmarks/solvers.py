"""Compares solvers on the same generators, objectives, targets, seeds and tolerance, in one process.

    python benchmarks/solvers.py
    python benchmarks/solvers.py --cases neuron logits+lowpass:rare --samples 64 --json table.json --plot table.png

A case is NAME[+lowpass][:rare]; the names are in benchmarks/cases.py. Costs are in S, one prior sample: a forward pass
is 1 S, a backward pass 2 S. Residuals are in units of their spread over prior samples, and the loss is their squared
sum over all outputs and views, so a member of a case with one output and no view is within a tenth of a spread. With
`--per-output` the tolerance is for each residual: their root mean square is below a tenth of a spread, for any m.

Cases of `face` and `digit` are of generators and networks that nobody here made: see benchmarks/foreign.

Descent with a fixed rate is given the best of a grid, tried on a few samples first; what the grid cost is printed. The
rate is the one that makes the most members, and of those the cheapest.

The last column is of the samples that are no members: their distances, each where it came nearest, so that methods can
be compared at equal cost where neither reaches the target.
"""

import argparse
import json
import math
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from cases import OBJECTIVES, Case, realism, reference_samples
from without_latents import guided

from equidiff.contracts import BuildContext, Solver
from equidiff.images.convert import quantized
from equidiff.metrics.diversity import mean_pairwise_distance
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.engine import MEMBER, NOT_CONVERGED, Result, solve
from equidiff.search.problem import Problem

CASES = ("circles", "neuron", "neuron+lowpass", "neuron:rare", "probability+lowpass", "logits", "map", "layer")
SOLVERS = ("auto", "rejection", "lbfgs", "imagespace", "sgd", "adam", "guided", "pixels")
PIXELS = "infinite,optimizer=adam,lr=0.2"  # of `pixels`, where it moves a pixel by about 0.02
RATES = {"sgd": (0.3, 3.0, 30.0), "adam": (0.01, 0.05, 0.2)}
COLUMNS = (
    "case", "m", "solver", "members", "S", "S/member", "forward", "backward", "wall", "|z|/sqrt(d)", "realism %",
    "diversity", "8-bit", "missed by",
)  # fmt: skip


def main() -> None:
    """Print a line for each case and solver."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=CASES, help=", ".join(OBJECTIVES))
    parser.add_argument("--solvers", nargs="+", default=SOLVERS, help="these words, or specs such as infinite,lr=10")
    parser.add_argument("--samples", type=int, default=48, help="shared out among a case's targets")
    parser.add_argument("--tuning", type=int, default=6, help="samples for each rate of a grid")
    parser.add_argument("--budget", type=float, default=64, help="evaluations a sample may cost")
    parser.add_argument("--tolerance", type=float, default=0.01)
    parser.add_argument("--per-output", action="store_true", help="the tolerance is for the mean over residuals")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="lines are added to those that are there, or take their place")
    parser.add_argument("--plot", type=Path, help="of all lines in the JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else []
    print("  ".join(name.ljust(width(name)) for name in COLUMNS), flush=True)
    for case in map(Case, arguments.cases):
        unit = seconds_of_a_prior_sample(case)
        for solver in arguments.solvers:
            if solver in {"guided", "pixels"} and OBJECTIVES[case.name][0] != "toy:fashion":
                continue
            row = measured(case, solver, unit, arguments)
            rows = [old for old in rows if (old["case"], old["solver"]) != (row["case"], row["solver"])] + [row]
            print("  ".join(show(row[name]).ljust(width(name)) for name in COLUMNS), row.get("note", ""), flush=True)
            if arguments.json:  # after each line: the table takes long
                arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.plot:
        from plotting import plot

        plot(rows, arguments.plot)


def width(column: str) -> int:
    """Of a column, in letters."""
    return {"case": 19, "solver": 16, "realism %": 13, "|z|/sqrt(d)": 16}.get(column, max(len(column), 7))


def show(value: Any) -> str:
    """A cell."""
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def seconds_of_a_prior_sample(case: Case) -> float:
    """S in seconds, in batches of sixteen."""
    generator = case.generator
    latents = torch.randn(16, *generator.latent_shape)
    with torch.no_grad():
        generator.generate(latents)
        started = time.monotonic()
        for _ in range(3):
            generator.generate(latents)
    return (time.monotonic() - started) / 48


def measured(case: Case, solver: str, unit: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """One line of the table."""
    started = time.monotonic()
    if solver == "guided":
        return _without_latents(case, unit, started, arguments)
    if solver == "pixels":
        return _in_pixels(case, unit, started, arguments)
    note = ""
    if solver in RATES:
        solver, note = tuned(case, solver, arguments)
        started = time.monotonic()
    results = solved(case, solver, arguments.samples, arguments)
    wall = (time.monotonic() - started) / len(results) / unit
    members = [result.answer for result in results if result.status == MEMBER and result.answer is not None]
    costs = [3 * result.cost.charged for result in results]
    row = {
        "solver": solver, "S": median(costs), "S/member": sum(costs) / len(members) if members else None,
        "forward": mean(result.cost.forwards for result in results),
        "backward": mean(result.cost.backwards for result in results), "wall": wall, "note": note,
    }  # fmt: skip
    if members:
        size = math.sqrt(members[0].latents.numel())
        norms = [float(answer.latents.norm()) / size for answer in members]
        row["|z|/sqrt(d)"] = f"{median(norms):.3f} {min(norms):.2f}-{max(norms):.2f}"
    row["missed by"] = missed_by(case, results)
    samples = torch.cat([answer.samples for answer in members]) if members else None
    targets = [i for i, result in zip(_which(case, len(results)), results, strict=True) if result.status == MEMBER]
    return _judged(case, row, samples, targets, len(results), tolerance_of(case, arguments))


def missed_by(case: Case, results: list[Result]) -> float | None:
    """Median distance of the samples that are no members, each where it came nearest, in spreads an output."""
    residuals = len(case.problems[0].target) * (2 if case.lowpass else 1)
    missed = [each.answer.loss.item() for each in results if each.status == NOT_CONVERGED and each.answer is not None]
    return math.sqrt(median(missed) / residuals) if missed else None


def tolerance_of(case: Case, arguments: argparse.Namespace) -> float:
    """Loss below which a sample of this case is a member."""
    residuals = len(case.problems[0].target) * (2 if case.lowpass else 1)
    return arguments.tolerance * (residuals if arguments.per_output else 1)


def solved(
    case: Case,
    solver: str,
    count: int,
    arguments: argparse.Namespace,
    problems: list[Problem] | None = None,
    share: float = 1,
) -> list[Result]:
    """Results of all samples, in order, shared out among the case's targets.

    With other problems than the case's own, whose evaluations cost a share of the case's.
    """
    method: Solver = build(Plugins(), "solver", solver, BuildContext()).component
    shares = _which(case, count)
    results: list[Result] = []
    for number, problem in enumerate(problems or case.problems):
        events = solve(
            problem,
            method,
            range(shares.count(number)),
            seed=number,
            batch=16,
            budget=arguments.budget / share,
            tolerance=tolerance_of(case, arguments),
        )
        results += sorted((e for e in events if isinstance(e, Result)), key=lambda result: result.index)
    return results


def tuned(case: Case, optimizer: str, arguments: argparse.Namespace) -> tuple[str, str]:
    """The best rate of the grid, and what finding it cost."""
    tried = []
    for rate in RATES[optimizer]:
        spec = f"infinite,optimizer={optimizer},lr={rate:g}"
        results = solved(case, spec, arguments.tuning, arguments)
        members = sum(result.status == MEMBER for result in results)
        tried.append((-members, sum(3 * result.cost.charged for result in results), spec))
    return min(tried)[2], f"the grid cost {sum(cost for _, cost, _ in tried):.0f} S"


def _in_pixels(case: Case, unit: float, started: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Without a prior. A pass is what the objective takes of one, for the sample and its view."""
    share = case.problems[0].objective_share * (2 if case.lowpass else 1)
    results = solved(case, PIXELS, arguments.samples, arguments, case.in_pixels, share)
    found = [result.answer.samples for result in results if result.status == MEMBER and result.answer is not None]
    costs = [3 * share * result.cost.charged for result in results]
    row = {
        "solver": "pixels", "S": median(costs), "S/member": sum(costs) / len(found) if found else None,
        "forward": share * mean(result.cost.forwards for result in results),
        "backward": share * mean(result.cost.backwards for result in results),
        "wall": (time.monotonic() - started) / len(results) / unit, "note": PIXELS,
    }  # fmt: skip
    targets = [i for i, result in zip(_which(case, len(results)), results, strict=True) if result.status == MEMBER]
    samples = torch.cat(found) if found else None
    return _judged(case, row, samples, targets, len(results), tolerance_of(case, arguments), case.in_pixels)


def _without_latents(case: Case, unit: float, started: float, arguments: argparse.Namespace) -> dict[str, Any]:
    shares = _which(case, arguments.samples)
    made = [
        guided(problem, shares.count(number), tolerance_of(case, arguments), seed=number)
        for number, problem in enumerate(case.problems)
    ]
    cost = mean(each for _, _, each in made)
    done = torch.cat([each for _, each, _ in made])
    samples = torch.cat([each for each, _, _ in made])[done]
    row = {
        "solver": "guided", "S": cost, "S/member": cost * len(done) / int(done.sum()) if done.any() else None,
        "wall": (time.monotonic() - started) / len(done) / unit,
    }  # fmt: skip
    targets = [number for number, kept in zip(shares, done.tolist(), strict=True) if kept]
    return _judged(case, row, samples if len(samples) else None, targets, len(done), tolerance_of(case, arguments))


def _which(case: Case, count: int) -> list[int]:
    """The target of each sample."""
    return sorted(index % len(case.problems) for index in range(count))


def _judged(
    case: Case,
    row: dict[str, Any],
    samples: torch.Tensor | None,
    targets: list[int],
    asked: int,
    tolerance: float,
    problems: list[Problem] | None = None,
) -> dict[str, Any]:
    """The row with what the members are like, beside prior samples."""
    row |= {"case": case.text, "m": len(case.problems[0].target), "members": f"{len(targets)}/{asked}"}
    if samples is not None and len(samples) > 1:
        _, others = reference_samples(case.generator)
        row["realism %"] = realism(case.generator, samples)
        row["diversity"] = mean_pairwise_distance(samples.flatten(1)) / mean_pairwise_distance(others)
        if samples.ndim == 4:
            row["8-bit"] = f"{_saved(problems or case.problems, samples, targets, tolerance)}/{len(samples)}"
    return {name: row.get(name) for name in COLUMNS} | {"note": row.get("note", "")}


@torch.no_grad()
def _saved(problems: list[Problem], samples: torch.Tensor, targets: list[int], tolerance: float) -> int:
    """Members that are still within tolerance as 8-bit pictures."""
    kept = 0
    for sample, number in zip(quantized(samples), targets, strict=True):
        kept += bool(problems[number].judge(sample[None])[1] < tolerance)
    return kept


if __name__ == "__main__":
    main()
