"""Compares the law of members with the true conditional law, on the plane, where that is known.

    python benchmarks/law.py

The generator is `toy:circles`, the objective `classifier:inner`; the set is a curve in the plane of latents. The prior
given `f(G(z)) = y*` is found twice. By rejection: latents drawn from the prior are kept where the measurement is within
`--width` of the target. By integration: the density exp(-|z|^2 / 2) / |dc/dz| along the curve, which is traced on a
grid. Members of each run are placed on the curve by arc length and compared with both (Kolmogorov and Smirnov,
two-sided; a p-value below 0.05 says that they differ). The first line compares rejection with integration.
"""

import argparse
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import contourpy
import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import ks_1samp, ks_2samp

import equidiff
from equidiff.registry.manager import Plugins
from equidiff.run.session import prepare
from equidiff.run.settings import Settings
from equidiff.search.problem import Problem

LAWS = ("solve", "conditional")
REACH, CELLS = 4.5, 900  # the grid on which the curve is traced: half its side, and its cells
COLOURS = {"solve": "#D55E00", "conditional": "#0072B2"}  # Okabe and Ito


@dataclass(frozen=True)
class Curve:
    """The set, traced in the plane.

    Attributes:
        points: `[n, 2]`, the starts of its pieces, all components one after the other.
        ends: `[n, 2]`, where these pieces end.
        starts: `[n]`, arc length where they start.
        cumulative: `[n + 1]`, the true law's distribution function at the starts, and at the end.
    """

    points: np.ndarray
    ends: np.ndarray
    starts: np.ndarray
    cumulative: np.ndarray

    @property
    def length(self) -> float:
        """Of all components together."""
        return float(self.starts[-1] + np.linalg.norm(self.ends[-1] - self.points[-1]))

    def place(self, latents: np.ndarray) -> np.ndarray:
        """Arc length of the curve's nearest point to each latent, `[count]`."""
        found = []
        for latent in latents:
            along = self.ends - self.points
            size = np.linalg.norm(along, axis=1)
            share = np.clip(((latent - self.points) * along).sum(axis=1) / size**2, 0, 1)
            nearest = np.argmin(np.linalg.norm(self.points + share[:, None] * along - latent, axis=1))
            found.append(self.starts[nearest] + share[nearest] * size[nearest])
        return np.array(found)

    def distribution(self, places: np.ndarray) -> np.ndarray:
        """The true law's distribution function at places on the curve."""
        return np.interp(places, np.append(self.starts, self.length), self.cumulative)


def trace(problem: Problem) -> Curve:
    """Trace the set and integrate the true law's density along it."""
    axis = np.linspace(-REACH, REACH, CELLS + 1)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    heights = problem.value(torch.from_numpy(grid).float()).residuals[:, 0].numpy().reshape(len(axis), len(axis))
    points, ends = [], []
    for line in contourpy.contour_generator(axis, axis, heights).lines(0.0):
        exact, _ = onto(problem, line)
        points.append(exact[:-1])
        ends.append(exact[1:])
    start, end = np.concatenate(points), np.concatenate(ends)
    kept = np.linalg.norm(end - start, axis=1) > 0
    start, end = start[kept], end[kept]
    size = np.linalg.norm(end - start, axis=1)
    middle, slope = onto(problem, (start + end) / 2)
    mass = np.exp(-0.5 * (middle**2).sum(axis=1)) / slope * size
    cumulative = np.append(0, np.cumsum(mass)) / mass.sum()
    return Curve(start, end, np.append(0, np.cumsum(size))[:-1], cumulative)


def onto(problem: Problem, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring points near the set onto it; also the length of dc/dz there."""
    for _ in range(4):
        answer = problem.jacobian(torch.from_numpy(points).float())
        assert answer.jacobian is not None
        slope = answer.jacobian[:, 0].double().numpy()
        points = points - answer.residuals.double().numpy() * slope / (slope**2).sum(axis=1, keepdims=True)
    return points, np.linalg.norm(slope, axis=1)


def reject(problem: Problem, count: int, width: float) -> np.ndarray:
    """Latents from the prior whose measurement is within `width` of the target, `[count, 2]`."""
    stream = torch.Generator().manual_seed(0)
    kept: list[torch.Tensor] = []
    while sum(map(len, kept)) < count:
        latents = torch.randn(200_000, 2, generator=stream)
        kept.append(latents[problem.value(latents).residuals[:, 0].abs() < width])
    return torch.cat(kept)[:count].double().numpy()


def main() -> None:
    """Print a line for each seed, then the summary; write the numbers and the plot."""
    arguments = parse()
    torch.set_num_threads(1)
    settings = Settings("toy:circles", arguments.objective, query=arguments.query)
    problem = prepare(settings, Plugins()).problem
    curve = trace(problem)
    truth = curve.place(reject(problem, arguments.reference, arguments.width))
    test = ks_1samp(truth, curve.distribution)
    print(
        f"curve of length {curve.length:.2f}; rejection ({len(truth)} samples, width {arguments.width:g}) against "
        f"integration: D {test.statistic:.4f}, p {test.pvalue:.3f}"
    )
    print("seed  law          members  evaluations  seconds  D       p (rejection)  p (integration)")
    rows, places = [], {name: [] for name in LAWS}
    seeds = [(seed, name) for seed in range(arguments.seeds) for name in LAWS]
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as workers:
        for row, where in workers.map(partial(measure, arguments, curve, truth), *zip(*seeds, strict=True)):
            print(line(row), flush=True)
            rows.append(row)
            places[str(row["law"])].append(where)
    print(summary(rows, arguments))
    for name in LAWS:
        test = ks_1samp(np.concatenate(places[name]), curve.distribution)
        print(f"{name:11}: all seeds together D {test.statistic:.4f}, p (integration) {test.pvalue:.2g}")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "law.json").write_text(json.dumps({"query": arguments.query, "rows": rows}, indent=2) + "\n")
        draw(curve, {name: np.concatenate(found) for name, found in places.items()}, arguments.out / "law.png")


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objective", default="classifier:inner", help="one output")
    parser.add_argument("--query", type=int, default=2, help="0: inside, 1: at the edge, 2: outside")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--law", default="conditional", help="the law that is compared with solve")
    parser.add_argument("--reference", type=int, default=20_000, help="samples by rejection")
    parser.add_argument("--width", type=float, default=0.001, help="of the tube for rejection, to either side")
    parser.add_argument("--workers", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--out", type=Path, default=None, help="a folder for law.json and law.png")
    return parser.parse_args()


def measure(
    arguments: argparse.Namespace, curve: Curve, truth: np.ndarray, seed: int, name: str
) -> tuple[dict[str, object], np.ndarray]:
    """One run under a law, and where its members lie on the curve."""
    torch.set_num_threads(1)
    started = time.process_time()
    found = equidiff.sample(
        "toy:circles",
        arguments.objective,
        query=arguments.query,
        samples=arguments.samples,
        batch=arguments.samples,
        seed=seed,
        law=arguments.law if name == "conditional" else name,
        tolerance=1e-3,
    )
    seconds = time.process_time() - started
    places = curve.place(found.latents.double().numpy())
    one, two = ks_1samp(places, curve.distribution), ks_2samp(places, truth)
    cost = found.info.evaluations / arguments.samples
    row = {"seed": seed, "law": name, "members": len(found), "evaluations": cost, "seconds": seconds}
    return {**row, "d": one.statistic, "p_rejection": two.pvalue, "p_integration": one.pvalue}, places


def line(row: dict[str, object]) -> str:
    """A row of the table."""
    return (
        "{seed:4}  {law:11}  {members:7}  {evaluations:11.1f}  {seconds:7.1f}  {d:.4f}  {p_rejection:13.2g}  "
        "{p_integration:15.2g}"
    ).format(**row)


def summary(rows: list[dict[str, object]], arguments: argparse.Namespace) -> str:
    """Pass rate and error of each law."""
    lines = []
    for name in LAWS:
        own = [row for row in rows if row["law"] == name]
        passed = {kind: sum(row[kind] > 0.05 for row in own) for kind in ("p_rejection", "p_integration")}
        lines.append(
            f"{name:11}: p > 0.05 on {passed['p_rejection']} of {len(own)} seeds (rejection), on "
            f"{passed['p_integration']} (integration); mean D {np.mean([row['d'] for row in own]):.3f}"
        )
    # Kolmogorov's distribution has the mean sqrt(pi / 2) log 2
    ideal = math.sqrt(math.pi / 2) * math.log(2) / math.sqrt(arguments.samples)
    lines.append(f"mean D of {arguments.samples} draws from the true law itself: {ideal:.3f}")
    return "\n".join(lines)


def draw(curve: Curve, places: dict[str, np.ndarray], path: Path) -> None:
    """The share of members along the curve, beside the true density."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(0, curve.length, 61)
    width = edges[1] - edges[0]
    for name, found in places.items():
        counts, _ = np.histogram(found, edges)
        axes.stairs(counts / len(found) / width, edges, color=COLOURS[name], label=f"--law {name}", linewidth=1.5)
    middles = np.append(curve.starts, curve.length)
    axes.plot(
        (middles[1:] + middles[:-1]) / 2,
        np.diff(curve.cumulative) / np.diff(middles),
        color="black",
        label="true law",
        linewidth=1,
    )
    axes.set(
        xlabel="arc length along the set, in the plane of latents",
        ylabel="density of members",
        xlim=(0, curve.length),
        ylim=(0, None),
    )
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
