"""Readers of weights files that run no code in them, and read no more of them than necessary."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equidiff.errors import WeightsError, first_line
from equidiff.folders import json_files
from equidiff.networks.checkpoints import recognise

UNKNOWN = re.compile(r"Unsupported global: GLOBAL (\S+)")  # in errors of torch.load
EXPECTED = "tensors alone: safetensors, or a state dict written by torch.save"
# classes that Prisma pickles beside the tensors; they become shells, of which only attributes are read
PRISMA_CLASSES = (
    "vit_prisma.sae.config.VisionModelSAERunnerConfig",
    "vit_prisma.configs.HookedViTConfig.HookedViTConfig",
)


# classes and functions in modules that overcomplete's users save whole, by the packages that define them
OVERCOMPLETE = {
    "overcomplete.sae.base": "SAE",
    "overcomplete.sae.topk_sae": "TopKSAE",
    "overcomplete.sae.batchtopk_sae": "BatchTopKSAE",
    "overcomplete.sae.jump_sae": "JumpSAE",
    "overcomplete.sae.qsae": "QSAE",
    "overcomplete.sae.rasae": "RATopKSAE RAJumpSAE",
    "overcomplete.sae.mp_sae": "MpSAE",
    "overcomplete.sae.omp_sae": "OMPSAE",
    "overcomplete.sae.dictionary": "DictionaryLayer normalize_l2 normalize_max_l2 normalize_l1 normalize_max_l1 "
    "normalize_identity",
    "overcomplete.sae.archetypal_dictionary": "RelaxedArchetypalDictionary",
    "overcomplete.sae.modules": "IdentityEncoder MLPEncoder TieableEncoder AttentionEncoder AttentionBlock "
    "ResNetEncoder ResNetBlock",
    "overcomplete.sae.kernels": "rectangle_kernel gaussian_kernel triangular_kernel cosine_kernel epanechnikov_kernel "
    "quartic_kernel silverman_kernel cauchy_kernel",
    "torch.nn.modules.linear": "Linear Identity",
    "torch.nn.modules.container": "ModuleList Sequential",
    "torch.nn.modules.batchnorm": "BatchNorm1d BatchNorm2d",
    "torch.nn.modules.normalization": "LayerNorm",
    "torch.nn.modules.activation": "ReLU GELU Tanh Sigmoid MultiheadAttention",
}


class Shell:
    """Stand-in for a pickled object: holds its attributes, but no code.

    Attributes:
        kind: name of its class.
    """

    kind = ""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def modules(self) -> dict[str, Shell]:
        """The modules in a pickled module."""
        return {name: module for name, module in vars(self).get("_modules", {}).items() if isinstance(module, Shell)}

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers of a pickled module and of those in it, by the names of a state dict."""
        own = {**vars(self).get("_parameters", {}), **vars(self).get("_buffers", {})}
        found = {name: value.detach() for name, value in own.items() if isinstance(value, Tensor)}
        for prefix, module in self.modules().items():
            found |= {f"{prefix}.{name}": value for name, value in module.tensors().items()}
        return found


def _stand_ins() -> list[Any]:
    """What a pickle may name: pairs of a class without code, and the name that it stands for."""
    whole = [(place, name) for place, names in OVERCOMPLETE.items() for name in names.split()]
    shells = [(type(name, (Shell,), {"kind": name}), f"{place}.{name}") for place, name in whole]
    return [*((Shell, name) for name in PRISMA_CLASSES), *shells, (set, "builtins.set")]


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        WeightsError: the file is missing or holds something else.
    """
    try:
        content = json_files.read_json(path, json_files.MOST_OF_SETTINGS)
    except FileNotFoundError:
        raise WeightsError(
            "The autoencoder's settings are missing.",
            given=path.parent,
            expected=f"{path.name} beside the weights",
            hint=f"put the {path.name} of the same repository into that folder",
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"The autoencoder's settings cannot be read: {error}", given=path) from error
    if not isinstance(content, dict):
        raise WeightsError("The autoencoder's settings are not a JSON object.", given=path)
    return content


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Map the tensors of a safetensors file; pages are read when they are used.

    Raises:
        WeightsError: the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    recognise(path)  # names what it is, if it is not the weights
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"The weights are damaged: {error}", given=path, expected=EXPECTED) from error


def read_pickle(path: Path) -> dict[str, Any] | Shell:
    """Read a file of torch.save: tensors are mapped if the format allows it, known objects become shells.

    Raises:
        WeightsError: the file is damaged, or holds code, which is not run.
    """
    recognise(path)
    with torch.serialization.safe_globals(_stand_ins()):
        try:
            try:
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError as error:
                if "mmap" not in str(error):
                    raise
                content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise _refused(path, error) from error
        except Exception as error:  # torch.load raises whatever its many formats raise
            raise WeightsError(
                f"The weights cannot be read: {first_line(error)}", given=path, expected=EXPECTED
            ) from error
    if not isinstance(content, (dict, Shell)):
        raise WeightsError(f"The file holds a {type(content).__name__}.", given=path, expected=EXPECTED)
    return content


def read_header(path: Path) -> dict[str, Any] | None:
    """Read the first line of saev's files, which is JSON; None for other files."""
    with path.open("rb") as file:
        if file.read(1) != b"{":
            return None
        file.seek(0)
        try:
            content = json_files.parse_json(file.readline(json_files.MOST_BYTES))
        except ValueError:
            return None
    return content if isinstance(content, dict) else None


def read_after_header(path: Path) -> dict[str, Any]:
    """Read the state dict that follows the first line of saev's files.

    Raises:
        WeightsError: the file is damaged or holds code.
    """
    with path.open("rb") as file:
        file.readline()
        rest = io.BytesIO(file.read())
    try:
        content = torch.load(rest, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except Exception as error:
        raise WeightsError(f"The weights cannot be read: {first_line(error)}", given=path, expected=EXPECTED) from error
    return content if isinstance(content, dict) else {}


def _refused(path: Path, error: Exception) -> WeightsError:
    unknown = UNKNOWN.search(str(error))
    return WeightsError(
        "The weights are damaged, or hold more than tensors; code in them is not run.",
        given=f"{unknown[1]} in {path}" if unknown else path,
        expected=EXPECTED,
        hint="save them as safetensors, on a machine where you trust them",
    )
