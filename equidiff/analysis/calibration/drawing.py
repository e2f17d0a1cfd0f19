"""Drawing of `ranks.png`: a histogram of ranks for each statistic, with the band that chance stays within."""

from __future__ import annotations

import math
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import binom

from equidiff.analysis.calibration.outcome import LEVEL, Calibration, Ranked

COLUMNS = 4
WIDTH, HEIGHT = 2.7, 2.1  # inches of a panel
EVEN, UNEVEN, BAND = "#0072B2", "#D55E00", "0.85"  # Okabe and Ito
BAND_SHARE = 0.95


def draw_ranks(calibration: Calibration, title: str) -> Figure:
    """Draw the ranks of queries among their members.

    Args:
        calibration: the outcome, with a statistic at least.
        title: says what was calibrated.
    """
    statistics = calibration.statistics
    columns = min(COLUMNS, len(statistics))
    rows = math.ceil(len(statistics) / columns)
    width = max(columns * WIDTH, 6.0)
    text = "\n".join(textwrap.wrap(calibration.sentence, round(width * 13)))
    figure = Figure(figsize=(width, rows * HEIGHT + 1.1), layout="constrained")
    figure.suptitle(f"{title}\n{text}", fontsize=9, x=0.01, ha="left")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, ranked in zip(panels, statistics, strict=False):
        _draw(axes, ranked, calibration)
    for axes in panels[len(statistics) :]:
        axes.set_axis_off()
    figure.supxlabel("rank of the query among its members", fontsize=8)
    figure.supylabel("queries", fontsize=8)
    return figure


def _draw(axes: Axes, ranked: Ranked, calibration: Calibration) -> None:
    ranks, queries = len(ranked.counts), calibration.queries["ranked"]
    low, high = binom.interval(BAND_SHARE, queries, 1 / ranks)
    uneven = ranked.p * (len(calibration.statistics) + 1) < LEVEL
    axes.axhspan(low, high, color=BAND, zorder=0, label="95 % of chance")
    axes.axhline(queries / ranks, color="0.5", linewidth=0.8, zorder=1)
    axes.bar(range(ranks), ranked.counts, width=0.85, color=UNEVEN if uneven else EVEN, zorder=2, alpha=0.9)
    axes.set_title(f"{ranked.name}\np = {ranked.p:.2g}", fontsize=8)
    axes.set(xlim=(-0.6, ranks - 0.4), ylim=(0, max(*ranked.counts, high) * 1.1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.tick_params(labelsize=7)
