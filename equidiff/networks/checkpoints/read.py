"""Readers of weights files: safetensors, or files of torch.save that contain no code."""

from __future__ import annotations

import argparse
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equidiff.errors import WeightsError, first_line
from equidiff.folders.tensors import map_tensors
from equidiff.networks.checkpoints.archives import is_mappable
from equidiff.networks.checkpoints.content import EXPECTED, Kind, recognise
from equidiff.networks.checkpoints.files import refuse_part, weights_files
from equidiff.networks.checkpoints.pickles import check_old_pickle

# entries of a larger checkpoint that hold the state dict, in timm's order: weights averaged in training come first
ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and torch.compile, in any order and number
AVERAGES = "n_averaged"  # a counter beside the weights that torch's AveragedModel wraps
DEEPEST = 4  # levels of dictionaries around a state dict
MOST_STATED = 2**24  # bytes of a tensor that may state more values than its file has, as one that was expanded does


@dataclass(frozen=True)
class Checkpoint:
    """Content of a weights file.

    Attributes:
        weights: the state dict, on the CPU, without the prefixes of wrappers.
        entry: keys under which a larger checkpoint holds it, e.g. "state_dict_ema"; None if it is the whole content.
        passed_over: other entries that hold weights, too, e.g. "state_dict".
    """

    weights: dict[str, Tensor]
    entry: str | None = None
    passed_over: tuple[str, ...] = ()


def read_checkpoint(path: Path, entries: Sequence[str] = ENTRIES) -> Checkpoint:
    """Read a checkpoint as timm's `load_state_dict` does, and some more.

    Args:
        path: a weights file of any format and suffix, the index of one in several parts, or a folder with either.
        entries: keys under which a larger checkpoint may hold the state dict, in order of preference. Under other keys
            it is found if it is the only one.

    Raises:
        WeightsError: the file is missing or damaged, holds no state dict, or several, or code, which is never run.
    """
    refuse_part(path)
    content: dict[str, Any] = {}
    for file in weights_files(path):
        content |= _mapping(read_content(file), file)
    return _unwrap(content, path, entries)


def read_weights(path: Path, entries: Sequence[str] = ENTRIES) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint; see `read_checkpoint`."""
    return read_checkpoint(path, entries).weights


def read_content(path: Path, shells: Sequence[Any] = ()) -> Any:
    """Read one file, on the CPU, whatever its suffix.

    Args:
        path: of the file.
        shells: classes without code, or pairs of such a class and the name of that which it stands in for, that
            `torch.load` may build. `argparse.Namespace` is always among them: timm's training scripts save one.

    Raises:
        WeightsError: the file is missing, damaged, of another format, or contains code, which is never run.
    """
    if not path.is_file():
        weights_files(path)  # says what is there instead
        raise WeightsError("The checkpoint is a folder.", given=path, expected=EXPECTED)
    kind = recognise(path)
    if kind is Kind.NUMPY:
        raise WeightsError(
            "The checkpoint is a NumPy archive, as JAX programs write them.",
            given=path,
            expected=EXPECTED,
            hint="timm's own networks read it: model=vit_base_patch16_224,checkpoint=PATH.npz",
        )
    content = _read_safetensors(path) if kind is Kind.SAFETENSORS else _read_pickle(path, shells)
    check_tensors(content, path)
    return content


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError

    try:
        return map_tensors(path)
    except (SafetensorError, OSError, LookupError, ValueError, AttributeError) as error:  # types that torch lacks
        raise WeightsError(
            f"The checkpoint is a damaged safetensors file: {first_line(error)}", given=path, expected=EXPECTED
        ) from error


def _read_pickle(path: Path, shells: Sequence[Any]) -> Any:
    if not zipfile.is_zipfile(path):
        check_old_pickle(path)
    try:
        # mapped, an optimizer's state (often twice the weights) stays on disk; the older format cannot be mapped
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace, *shells]):
            warnings.simplefilter("ignore")  # about the protocol of a pickle that is refused next
            if is_mappable(path):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            with path.open("rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path) from error
    except Exception as error:  # each of the formats of torch.load has its own errors
        raise WeightsError(
            f"The checkpoint is damaged, or cut short: {first_line(error)}", given=path, expected=EXPECTED
        ) from error


def check_tensors(content: Any, path: Path) -> None:
    """Refuse tensors that state more values than their file has: a few bytes may stand for any number of them.

    Args:
        content: of the file: tensors, perhaps within lists and dictionaries.
        path: of the file.

    Raises:
        WeightsError: there is such a tensor, or one that is sparse, quantized or without any values.
    """
    most = max(path.stat().st_size, MOST_STATED)
    for name, tensor in _tensors(content):
        dense = tensor.layout is torch.strided and not (tensor.is_quantized or tensor.is_meta)
        if not dense or tensor.is_complex() or tensor.dtype is torch.float4_e2m1fn_x2:
            raise WeightsError(
                f"The tensor {name} of the checkpoint cannot be used as weights.",
                given=f"{path}, {tensor.dtype}, {tensor.layout}{', without values' if tensor.is_meta else ''}",
                expected="dense tensors of real numbers",
            )
        if tensor.numel() * tensor.element_size() > most:
            raise WeightsError(
                f"The tensor {name} of the checkpoint states more values than the file has.",
                given=f"{path}, shape {tuple(tensor.shape)}",
                expected="at most the values that the file has",
            )


def _tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Tensors within lists and dictionaries, each of which is looked into once: a file may list one many times."""
    waiting, seen = [("", content)], set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Tensor):
            yield name, value
        elif id(value) not in seen:
            seen.add(id(value))
            inside = vars(value) if hasattr(value, "__dict__") else {}
            inside = value if isinstance(value, Mapping) else inside
            inside = dict(enumerate(value)) if isinstance(value, (list, tuple)) else inside
            waiting += [(str(key), each) for key, each in inside.items()]


def _refused(path: Path) -> WeightsError:
    """Error about a pickle that names more than tensors, with the names where the format tells them."""
    try:
        with path.open("rb") as file:
            named = sorted({*torch.serialization.get_unsafe_globals_in_checkpoint(file)} - {"argparse.Namespace"})
    except Exception:  # the older format cannot be listed
        return _more_than_tensors(path, "The checkpoint is damaged or holds more than tensors; code in it is not run.")
    some = ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
    return _more_than_tensors(path, f"The checkpoint holds more than tensors ({some}); code in it is not run.")


def _more_than_tensors(path: Path, problem: str) -> WeightsError:
    return WeightsError(
        problem, given=path, expected=EXPECTED, hint="convert it to safetensors, on a machine where you trust it"
    )


def _mapping(content: Any, path: Path) -> Mapping[str, Any]:
    if isinstance(content, Mapping) and content:
        return content
    what = "an empty dictionary" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise WeightsError(f"The checkpoint holds {what} that is not a state dict.", given=path, expected=EXPECTED)


def _unwrap(content: Mapping[str, Any], path: Path, entries: Sequence[str]) -> Checkpoint:
    """Find the state dict in the dictionaries around it."""
    taken: list[str] = []
    passed_over: list[str] = []
    while not _is_state_dict(content) and len(taken) < DEEPEST:
        known = [entry for entry in entries if _holds_weights(content.get(entry))]
        found = known or [key for key, value in content.items() if _is_state_dict(value)]
        if not known and len(found) > 1:
            raise _ambiguous(path, found)
        if not found:
            break
        taken.append(found[0])
        passed_over += found[1:]
        content = content[found[0]]
    if not _is_state_dict(content):
        raise _no_state_dict(path, content)
    weights = {_stripped(key): value for key, value in content.items()}
    if weights.keys() != content.keys():
        weights.pop(AVERAGES, None)
    return Checkpoint(weights, ".".join(taken) or None, tuple(passed_over))


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(each, Tensor) for each in value.values())


def _holds_weights(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        if any(map(_is_state_dict, level)):
            return True
        inner = (each for one in level if isinstance(one, Mapping) for each in one.values())
        level = list({id(each): each for each in inner}.values())  # a file may list one dictionary many times
    return False


def _stripped(key: str) -> str:
    while key.startswith(PREFIXES):
        for prefix in PREFIXES:
            key = key.removeprefix(prefix)
    return key


def _ambiguous(path: Path, found: Sequence[str]) -> WeightsError:
    return WeightsError(
        f"The checkpoint holds {len(found)} state dicts: {', '.join(map(str, found[:5]))}.",
        given=path,
        expected="one, or one of them named " + ", ".join(ENTRIES),
        hint=f"torch.save(torch.load('{path.name}')['{found[0]}'], 'weights.pt')   # in Python, with the one you mean",
    )


def _no_state_dict(path: Path, content: Mapping[str, Any]) -> WeightsError:
    others = [f"{key} ({type(value).__name__})" for key, value in content.items() if not isinstance(value, Tensor)]
    some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return WeightsError(
        f"The checkpoint holds a {type(content).__name__} that is not a state dict: beside tensors there are {some}."
        if len(others) < len(content)
        else f"The checkpoint holds a {type(content).__name__} that is not a state dict, of {some}.",
        given=path,
        expected=EXPECTED,
    )
