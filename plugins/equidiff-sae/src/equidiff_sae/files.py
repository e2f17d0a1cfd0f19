"""Reading weights files without running what may be in them, and without reading all of them."""

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
# what Prisma pickles beside the tensors; they become empty shells, whose attributes are read and nothing else
PRISMA_CLASSES = (
    "vit_prisma.sae.config.VisionModelSAERunnerConfig",
    "vit_prisma.configs.HookedViTConfig.HookedViTConfig",
)


class Shell:
    """Takes the place of a pickled settings object: holds its attributes, and no code."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        WeightsError: it is missing, or holds something else.
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
        raise WeightsError("The autoencoder's settings are no JSON object.", given=path)
    return content


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped: pages are read when they are used.

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
    """What torch.save wrote, its tensors mapped where the format allows it; settings objects of Prisma are shells.

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
        except Exception as error:  # torch.load raises what its many formats raise
            raise WeightsError(f"The weights cannot be read: {_first(error)}", given=path, expected=EXPECTED) from error
    if not isinstance(content, dict):
        raise WeightsError(f"The file holds a {type(content).__name__}.", given=path, expected=EXPECTED)
    return content


def read_header(path: Path) -> dict[str, Any] | None:
    """The line of JSON with which saev's files begin; None for other files."""
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
    """The state dict that follows the first line of saev's files.

    Raises:
        WeightsError: it is damaged, or holds code.
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
        hint="save them again as safetensors, from where they are trusted",
    )


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
