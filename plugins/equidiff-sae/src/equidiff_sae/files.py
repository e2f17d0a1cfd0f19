"""Readers of weights files that run no code in them, and read no more of them than necessary."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equidiff.errors import WeightsError

EXPECTED = "tensors alone: safetensors, or a state dict written by torch.save"
# classes that Prisma pickles beside the tensors; they become shells, of which only attributes are read
PRISMA_CLASSES = (
    "vit_prisma.sae.config.VisionModelSAERunnerConfig",
    "vit_prisma.configs.HookedViTConfig.HookedViTConfig",
)


class Shell:
    """Stand-in for a pickled settings object: holds its attributes, but no code."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        WeightsError: the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"The weights are damaged: {error}", given=path, expected=EXPECTED) from error


def read_pickle(path: Path) -> dict[str, Any]:
    """Read a file of torch.save: tensors are mapped if the format allows it, Prisma's settings objects become shells.

    Raises:
        WeightsError: the file is damaged, or holds code, which is not run.
    """
    stubs: list[Any] = [(Shell, name) for name in PRISMA_CLASSES]
    with torch.serialization.safe_globals(stubs):
        try:
            try:
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError as error:
                if "mmap" not in str(error):
                    raise
                content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise _refused(path) from error
        except Exception as error:  # torch.load raises whatever its many formats raise
            raise WeightsError(f"The weights cannot be read: {_first(error)}", given=path, expected=EXPECTED) from error
    if not isinstance(content, dict):
        raise WeightsError(f"The file holds a {type(content).__name__}.", given=path, expected=EXPECTED)
    return content


def read_header(path: Path) -> dict[str, Any] | None:
    """Read the first line of saev's files, which is JSON; None for other files."""
    with path.open("rb") as file:
        if file.read(1) != b"{":
            return None
        file.seek(0)
        try:
            content = json.loads(file.readline())
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
        raise _refused(path) from error
    except Exception as error:
        raise WeightsError(f"The weights cannot be read: {_first(error)}", given=path, expected=EXPECTED) from error
    return content if isinstance(content, dict) else {}


def _refused(path: Path) -> WeightsError:
    return WeightsError(
        "The weights are damaged, or hold more than tensors; code in them is not run.",
        given=path,
        expected=EXPECTED,
        hint="save them as safetensors, on a machine where you trust them",
    )


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
