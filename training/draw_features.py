"""Draw features of the shipped autoencoder: for each, the test images with the highest mean over patches.

    python training/draw_features.py                      # those of features.json
    python training/draw_features.py --features 0-79 --out build/features.png

Patches where a feature is active are tinted, more strongly for higher activations.
"""

import argparse
import json
from pathlib import Path

import fashion_mnist
import torch
import torch.nn.functional as F
from equidiff_sae import load_sae
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision
from PIL import Image, ImageDraw
from torch import Tensor
from train_sae import LAYER, OUT, SITE, collect

from equidiff.contracts import BuildContext
from equidiff.networks.fashion import CLASSES

OUTPUT = Path(__file__).parents[1] / "docs/images/sae-features.png"
TOP = 10  # images per feature
ZOOM, GAP, LABEL = 2, 2, 34
TINT = torch.tensor([1.0, 0.1, 0.1])[:, None, None]


@torch.no_grad()
def main() -> None:
    """Draw the features, and print the frequency, strength and classes of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", help="e.g. 0-79 or 3,5,8")
    parser.add_argument("--columns", type=int, default=2, help="features side by side")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images, labels = fashion_mnist.load("test")
    vision = Vision(load_tower("fashion-vit", None, BuildContext()), f"blocks.{LAYER}.{SITE}")
    tokens = collect(vision, images)
    autoencoder = load_sae(OUT)
    chosen = features_of(arguments.features)
    values = torch.cat([autoencoder.encode(batch)[..., chosen] for batch in tokens.split(100)])
    rows = []
    for position, index in enumerate(chosen):
        own = values[..., position]
        top = own.mean(dim=1).topk(TOP).indices
        describe(index, own, labels, top)
        rows.append(feature_row(index, images[top], own[top]))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows, arguments.columns).save(arguments.out, optimize=True)


def features_of(text: str | None) -> list[int]:
    """Indices from "0-79" or "3,5,8"; those of features.json when absent."""
    if text is None:
        return [each["index"] for each in json.loads((OUT / "features.json").read_text(encoding="utf-8"))["features"]]
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else list(map(int, text.split(",")))


def describe(index: int, values: Tensor, labels: Tensor, top: Tensor) -> None:
    """Print a line about one feature; values are `[images, patches]`."""
    active = (values > 0).double()
    common = torch.bincount(labels[top], minlength=10)
    kinds = " ".join(f"{CLASSES[kind]}:{common[kind]}" for kind in common.argsort(descending=True)[:3] if common[kind])
    where = active.mean(dim=0).reshape(7, 7).mean(dim=1)
    rows = " ".join(f"{100 * share:.0f}" for share in where)
    print(
        f"{index:5}  active at {active.mean():6.1%} of patches, in {active.amax(dim=1).mean():6.1%} of images, "
        f"strongest mean {values.mean(dim=1).max():.2f}  by row (%): {rows:24}  {kinds}"
    )


def feature_row(index: int, images: Tensor, values: Tensor) -> Image.Image:
    """Row of a feature: its number and its images, `[top, 1, 28, 28]`, tinted by values `[top, 49]`."""
    heat = F.interpolate(values.reshape(-1, 1, 7, 7), scale_factor=4, mode="nearest") / values.max().clamp(min=1e-6)
    tinted = images.expand(-1, 3, -1, -1) * (1 - 0.65 * heat) + 0.65 * heat * TINT
    tiles = F.pad(tinted.repeat_interleave(ZOOM, 2).repeat_interleave(ZOOM, 3), (0, GAP, 0, GAP), value=1.0)
    row = torch.cat(list(tiles), dim=2)
    drawn = Image.new("RGB", (LABEL + row.shape[2], row.shape[1]), "white")
    drawn.paste(Image.fromarray((row * 255).round().byte().permute(1, 2, 0).numpy()), (LABEL, 0))
    ImageDraw.Draw(drawn).text((2, row.shape[1] // 2 - 6), str(index), fill="black")
    return drawn


def sheet(rows: list[Image.Image], columns: int) -> Image.Image:
    """All rows on one sheet, in reading order."""
    lines = -(-len(rows) // columns)
    width, height = rows[0].size
    whole = Image.new("RGB", (columns * (width + 12) - 12, lines * height), "white")
    for position, each in enumerate(rows):
        whole.paste(each, (position % columns * (width + 12), position // columns * height))
    return whole


if __name__ == "__main__":
    main()
