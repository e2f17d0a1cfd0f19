"""Figure 3.1 of the thesis: invariant sets of a network in the plane are the level curves of its probability.

    python examples/circles.py --out circles.png

Exits with 1 if any member's probability is further than 0.01 from its target.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

import equidiff
from equidiff.builtin.generators.circles import sample_points
from equidiff.contracts import BuildContext
from equidiff.networks import load_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

Probability = Callable[[torch.Tensor], torch.Tensor]

POINTS = 1500
LIMIT = 2.1
ALLOWED = 0.01
OUTER, INNER, MEMBER, INK = "#4c78a8", "#e377a2", "#f28e2b", "#222222"


def main(out: Path, members: int) -> int:
    """Sample three sets, draw and judge them; return the exit code."""
    network = load_network("circles", None, BuildContext()).module

    def probability(points: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return network(points).sigmoid().squeeze(-1)

    # the tolerance is on the squared difference in probability; four times finer than allowed, for the figure
    sets = [
        equidiff.sample(
            "toy:circles", "classifier:inner", query=query, samples=members, tolerance=(ALLOWED / 4) ** 2, batch=members
        )
        for query in range(3)
    ]
    draw(out, sets, probability)
    return judge(sets, probability)


def judge(sets: list[equidiff.InvariantSet], probability: Probability) -> int:
    """Print the members' distance from their level curve; return 0 if all are close enough."""
    good = True
    for query, found in enumerate(sets):
        error = (probability(found.samples) - found.target).abs().max().item()
        print(
            f"query {query}: p* = {found.target.item():.3f}, {len(found)} of {len(found.records)} are members, ", end=""
        )
        print(f"largest |p - p*| = {error:.4f}")
        good &= error < ALLOWED and len(found) == len(found.records)
    if not good:
        print(f"A sample is not a member, or is further than {ALLOWED} from its level curve.", file=sys.stderr)
    return 0 if good else 1


def draw(out: Path, sets: list[equidiff.InvariantSet], probability: Probability) -> None:
    """Draw the five panels and write the figure."""
    points = sample_points(POINTS, torch.Generator().manual_seed(7))
    inside = points.norm(dim=1) < 1
    accuracy = ((probability(points) > 0.5) == inside).float().mean().item()
    print(f"test accuracy, on {POINTS} fresh points: {accuracy:.3f}")
    with mpl.rc_context({"font.size": 11, "axes.titlesize": 12, "axes.titlepad": 9, "axes.linewidth": 0.6}):
        figure = Figure(figsize=(18, 4.1), dpi=80, layout="constrained")
        figure.get_layout_engine().set(wspace=0.03, h_pad=0.08, w_pad=0.08)
        panels = figure.subplots(1, 5, sharex=True, sharey=True)
        draw_data(panels[0], points, inside)
        heat = draw_probability(panels[1], probability)
        panels[1].set_title(f"(b) learned probability\ntest accuracy {accuracy:.3f}")
        for letter, panel, found in zip("cde", panels[2:], sets, strict=True):
            draw_set(panel, found, probability)
            panel.set_title(f"({letter}) invariant set of the star\np = {found.target.item():.3f}")
        figure.colorbar(heat, ax=panels, shrink=0.8, pad=0.01, aspect=25, ticks=[0, 0.25, 0.5, 0.75, 1], label="p")
        figure.savefig(out)
    print(f"wrote {out}")


def draw_data(panel: Axes, points: torch.Tensor, inside: torch.Tensor) -> None:
    """Draw panel (a): the points, and the unit circle that labels them."""
    prepare(panel)
    for name, colour, chosen in (("outer", OUTER, ~inside), ("inner", INNER, inside)):
        panel.scatter(*points[chosen].T, s=7, color=colour, linewidths=0, alpha=0.75, label=name)
    angle = torch.linspace(0, 2 * torch.pi, 200)
    panel.plot(angle.cos(), angle.sin(), "--", color=INK, linewidth=1.4)
    panel.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none", markerscale=2, handletextpad=0.1)
    panel.set_title(f"(a) {len(points):,} points,\nlabelled by the unit circle")


def draw_probability(
    panel: Axes, probability: Probability, levels: tuple[float, ...] = (0.5,), alpha: float = 1.0
) -> AxesImage:
    """Draw the network's probability in colour, with some of its level curves."""
    prepare(panel)
    axis = torch.linspace(-LIMIT, LIMIT, 301)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    values = probability(torch.stack([x, y], dim=-1).reshape(-1, 2)).reshape(x.shape)
    window = (-LIMIT, LIMIT, -LIMIT, LIMIT)
    heat = panel.imshow(values, extent=window, origin="lower", vmin=0, vmax=1, cmap="RdPu", alpha=alpha)
    panel.contour(x, y, values, levels=list(levels), colors=INK, linewidths=1.4)
    return heat


def draw_set(panel: Axes, found: equidiff.InvariantSet, probability: Probability) -> None:
    """Draw a panel of (c) to (e): the members on their level curve."""
    draw_probability(panel, probability, (found.target.item(),), alpha=0.3)
    panel.scatter(*found.samples.T, s=20, color=MEMBER, edgecolors="white", linewidths=0.4, zorder=3)
    panel.scatter(*found.query[0], s=300, marker="*", color=INK, edgecolors="white", linewidths=1, zorder=5)


def prepare(panel: Axes) -> None:
    """Set a panel's window to a square of the plane."""
    panel.set(
        xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal", xticks=[-2, -1, 0, 1, 2], yticks=[-2, -1, 0, 1, 2]
    )
    panel.tick_params(length=2, labelsize=9)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the invariant sets of three points in the plane.")
    parser.add_argument("--out", type=Path, default=Path("circles.png"), help="file to write the figure to")
    parser.add_argument("--members", type=int, default=150, help="members per query")
    arguments = parser.parse_args()
    raise SystemExit(main(arguments.out, arguments.members))
