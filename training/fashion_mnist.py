"""Read Fashion-MNIST from the Debian package `dataset-fashion-mnist` (MIT licence)."""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path("/usr/share/datasets/fashion-mnist")


def load(split: str) -> tuple[Tensor, Tensor]:
    """Load one split: "train" (60,000 images) or "test" (10,000).

    Returns:
        Images `[n, 1, 28, 28]`, float32 in [0, 1], and labels `[n]`, int64 in 0..9.

    Raises:
        SystemExit: the package is not installed.
    """
    prefix = {"train": "train", "test": "t10k"}[split]
    return _read(f"{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28).float() / 255, _read(
        f"{prefix}-labels-idx1-ubyte.gz", 8
    ).long()


def _read(name: str, header: int) -> Tensor:
    path = FOLDER / name
    if not path.exists():
        raise SystemExit(f"{path} is missing. Install it: apt-get install dataset-fashion-mnist")
    return torch.from_numpy(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header).copy())
