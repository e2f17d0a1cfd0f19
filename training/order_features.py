"""Move the features that features.json lists to the front of the shipped autoencoder, in its order.

    python training/order_features.py

Run this once, after choosing the features with `training/draw_features.py` and listing them in features.json with
their current indices.
"""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from train_sae import OUT


def main() -> None:
    """Reorder the weights and renumber features.json."""
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
