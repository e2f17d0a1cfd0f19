"""Print how far the members of a run spread in each column: `python examples/pulsars/ranges.py RUN`.

A column in which members spread as far as prior samples do is one that the classifier does not care about, as long as
the others make up for it. Spreads are those between the 10th and the 90th percentile.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

import equidiff

SHARES = (0.1, 0.9)


def spread(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The 10th and the 90th percentile of each column."""
    low, high = rows.quantile(torch.tensor(SHARES), dim=0)
    return low, high


def main() -> None:
    """Print a line for each column, and the largest distance between two members."""
    found = equidiff.load(sys.argv[1])
    names = [column["name"] for column in found.info.kind["columns"]]
    query = found.query[0] if found.query is not None else torch.full((len(names),), torch.nan)
    (low, high), (lowest, highest) = spread(found.samples), spread(found.prior["samples"])
    shares = (high - low) / (highest - lowest)
    print(f"{'column':<24} {'query':>8}  {'members':>17}  {'prior samples':>17}  share")
    for index, name in enumerate(names):
        members, prior = (f"{ends[0][index]:.4g} to {ends[1][index]:.4g}" for ends in ((low, high), (lowest, highest)))
        print(f"{name:<24} {query[index]:8.4g}  {members:>17}  {prior:>17}  {100 * shares[index]:.0f} %")


if __name__ == "__main__":
    main()
