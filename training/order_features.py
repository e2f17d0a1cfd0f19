"""Puts the features of the shipped autoencoder that are worth a look first, in the order of its features.json.

    python training/order_features.py

Run it once after having looked at `training/draw_features.py` and written features.json: a line for each, with the
number it has so far.
"""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from train_sae import OUT


def main() -> None:
    """Reorder the weights, renumber the lines."""
    facts = json.loads((OUT / "features.json").read_text(encoding="utf-8"))
    first = [each["index"] for each in facts["features"]]
    order = torch.tensor(first + [index for index in range(facts["d_sae"]) if index not in set(first)])
    write(OUT / "weights.pt", order)
    for index, each in enumerate(facts["features"]):
        each["index"] = index
    (OUT / "features.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def write(path: Path, order: torch.Tensor) -> None:
    """Reorder the features in a weights file."""
    weights = torch.load(path, weights_only=True)
    axes = {"W_enc": 1, "b_enc": 0, "W_dec": 0}
    torch.save(
        OrderedDict(
            (name, tensor.index_select(axes[name], order) if name in axes else tensor)
            for name, tensor in weights.items()
        ),
        path,
    )


if __name__ == "__main__":
    main()
