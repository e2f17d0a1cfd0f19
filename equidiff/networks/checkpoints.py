"""Weights files: safetensors, or plain state dicts that contain no code."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from equidiff.contracts import Weights
from equidiff.errors import WeightsError, first_line

EXPECTED = "a .safetensors file, or a state dict written by torch.save(model.state_dict(), PATH)"
WRAPPERS = ("state_dict", "model")  # common names of the state dict within a larger checkpoint


def read_weights(path: Path, wrappers: Sequence[str] = WRAPPERS) -> dict[str, Tensor]:
    """Read the state dict of a weights file, on the CPU.

    Args:
        path: a safetensors file by its suffix, else a file of torch.save.
        wrappers: keys under which a larger checkpoint may hold the state dict, in order of preference.

    Raises:
        WeightsError: the file is missing, damaged, holds something else, or contains code, which is never run.
    """
    if not path.is_file():
        raise WeightsError("The checkpoint does not exist.", given=path, expected=EXPECTED)
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path, wrappers)


def hash_weights(path: Path, name: str | None = None, revision: str | None = None) -> Weights:
    """Make the record of a weights file: its name (by default that of the file) and its SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return Weights(name or path.name, digest.hexdigest(), revision)


def put_weights(module: nn.Module, weights: dict[str, Tensor], path: Path, hint: str | None = None) -> None:
    """Copy a state dict into a module; every name and shape must fit.

    Args:
        module: receives the weights.
        weights: the state dict.
        path: file of the state dict, for the error.
        hint: hint of the error.

    Raises:
        WeightsError: a name or a shape does not fit; the message lists a few.
    """
    own = module.state_dict()
    problems = {
        "missing": own.keys() - weights.keys(),
        "unexpected": weights.keys() - own.keys(),
        "of another shape": {key for key in own.keys() & weights.keys() if own[key].shape != weights[key].shape},
    }
    if any(problems.values()):
        text = "; ".join(f"{len(keys)} {what} ({_some(keys)})" for what, keys in problems.items() if keys)
        raise WeightsError(
            f"The checkpoint does not fit the network: {text}.",
            given=path,
            expected=f"the {len(own)} tensors of this architecture",
            hint=hint,
        )
    module.load_state_dict(weights)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"The checkpoint is damaged, or not a safetensors file: {error}", given=path, expected=EXPECTED
        ) from error


def _read_pickle(path: Path, wrappers: Sequence[str]) -> dict[str, Tensor]:
    try:
        # mapped, an optimizer's state (often twice the weights) stays on disk; the older format cannot be mapped
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the protocol of a pickle that is refused next
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "The checkpoint is damaged or holds more than tensors; code in it is not run.",
            given=path,
            expected=EXPECTED,
            hint="convert it to safetensors, on a machine where you trust it",
        ) from error
    except Exception as error:  # each of the formats of torch.load has its own errors
        raise WeightsError(
            f"The checkpoint cannot be read: {first_line(error)}", given=path, expected=EXPECTED
        ) from error
    for wrapper in wrappers:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(
            f"The checkpoint holds a {type(content).__name__} that is not a state dict.", given=path, expected=EXPECTED
        )
    return content


def _some(keys: Iterable[str]) -> str:
    first, *others = sorted(keys)
    return ", ".join([first, *others[:2], *(["..."] if len(others) > 2 else [])])
