"""Draws the table of benchmarks/solvers.py: members against cost, a panel for each case."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#7F7F7F",
    "#F0E442",
)
MARKERS = "osD^vPX*h"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the picture."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    names = list(dict.fromkeys(_family(row["solver"]) for row in rows))
    columns = min(3, len(cases))
    lines = -(-len(cases) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(3.6 * columns, 2.8 * lines), squeeze=False, sharex=True, sharey=True
    )
    for axis, case in zip(axes.flat, cases, strict=False):
        for row in (row for row in rows if row["case"] == case):
            index = names.index(_family(row["solver"]))
            members, asked = map(int, row["members"].split("/"))
            axis.plot(row["S"], 100 * members / asked, MARKERS[index], color=COLOURS[index], ms=8, mec="white")
        axis.set(title=case, xscale="log", ylim=(-5, 108))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(cases) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("members (%)")
    for column in range(columns):
        last = max(line for line in range(lines) if line * columns + column < len(cases))
        axes[last, column].set_xlabel("median cost of a sample (prior samples)")
        axes[last, column].tick_params(labelbottom=True)
    handles = [
        plt.Line2D([], [], marker=MARKERS[i], color=COLOURS[i], ls="", mec="white", ms=8) for i in range(len(names))
    ]
    figure.legend(handles, names, ncols=min(len(names), 5), loc="outside lower center", frameon=False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, dpi=110)


def _family(solver: str) -> str:
    if solver.startswith("infinite"):
        return "adam, tuned" if "adam" in solver else "SGD, tuned" if "sgd" in solver else solver
    return solver
