"""Sample with the small LightningDiT that its plugin ships, in Python: `pip install ./plugins/equidiff-lightningdit`.

The same on the command line:

    equidiff run --generator lightningdit:fashion,class=8,steps=8 --objective classifier:bag --query 3 -n 4
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

import equidiff
from equidiff.images.convert import save_png

BAG = 8  # in the order of equidiff.networks.fashion.CLASSES


def draw(samples: Tensor, path: Path) -> None:
    """Write samples `[n, 1, height, width]` side by side, enlarged four times."""
    row = torch.cat(list(samples), dim=-1)
    save_png(path, row.repeat_interleave(4, -1).repeat_interleave(4, -2))


def main() -> None:
    """Sample bags to which the classifier gives the same probability as to query image 3."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("bags.png"), help="file to write the image to")
    arguments = parser.parse_args()
    found = equidiff.sample(f"lightningdit:fashion,class={BAG},steps=8", "classifier:bag", query=3, samples=4)
    print(f"target: {found.target.item():.3f} {found.info.target.unit}")
    for record in found.members:
        print(f"sample {record.index}: {record.measurement[0]:.3f} after {record.evaluations:.1f} evaluations")
    print(f"{len(found)} of {len(found.records)} samples are members")
    draw(found.samples, arguments.out)


if __name__ == "__main__":
    main()
