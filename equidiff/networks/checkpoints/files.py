"""The files of a checkpoint: one, or several parts that an index lists, perhaps in a folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from equidiff.contracts import Weights
from equidiff.errors import WeightsError, first_line
from equidiff.folders.json_files import MOST_OF_SETTINGS, read_json
from equidiff.networks.checkpoints.content import EXPECTED

# names in a folder as timm, transformers and open_clip write them, in timm's order of preference
NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "pytorch_model.pth",
    "model.pth",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".npz")
INDEX = ".index.json"
PART = re.compile(r"-\d{5}-of-\d{5}(?=\.)")  # in the name of one file of several


def weights_files(path: Path) -> list[Path]:
    """The files that hold a checkpoint's tensors.

    Args:
        path: a weights file, the index of one in several parts, or a folder with either.

    Raises:
        WeightsError: there is nothing, a part is missing, or a folder does not tell which of its files is meant.
    """
    if path.is_dir():
        return weights_files(_in_folder(path))
    if not path.is_file():
        raise _absent(path)
    if path.name.endswith(INDEX):
        return _parts(path)
    return [path]


def refuse_part(path: Path) -> None:
    """Refuse one part of a checkpoint whose index lies beside it.

    Raises:
        WeightsError: it is one.
    """
    index = path.with_name(PART.sub("", path.name) + INDEX)
    if PART.search(path.name) and index.is_file():
        raise WeightsError(
            "The checkpoint is one part of several.", given=path, expected="their index", hint=f"checkpoint={index}"
        )


def hash_weights(path: Path, name: str | None = None, revision: str | None = None) -> Weights:
    """Make the record of a checkpoint: its name, and the SHA-256 of its file, or of its parts one after the other.

    Args:
        path: as `weights_files` takes it.
        name: by default that of the file; for a folder, the folder's and the file's.
        revision: commit of the hub.
    """
    files = weights_files(path)
    digest = hashlib.sha256()
    for each in files:
        with each.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    own = f"{path.resolve().name}/{_in_folder(path).name}" if path.is_dir() else path.name
    return Weights(name or own, digest.hexdigest(), revision)


def _in_folder(folder: Path) -> Path:
    known = [folder / name for name in NAMES if (folder / name).is_file()]
    if known:
        return known[0]
    found = sorted(each for each in folder.iterdir() if each.is_file() and each.name.endswith((*SUFFIXES, INDEX)))
    if len(found) == 1:
        return found[0]
    some = ", ".join(each.name for each in found[:4]) + (", ..." if len(found) > 4 else "")
    raise WeightsError(
        f"The folder holds several weights files: {some}." if found else "The folder holds no weights file.",
        given=folder,
        expected=f"one weights file, or {NAMES[0]}, {NAMES[2]} or an index beside others",
        hint=f"checkpoint={found[0]}" if found else None,
    )


def read_index(index: Path) -> list[str]:
    """Names of the files that an index lists, which lie beside it: each once, in order.

    Raises:
        WeightsError: it cannot be read, lists nothing, or names files elsewhere.
    """
    try:
        listed = read_json(index, MOST_OF_SETTINGS)["weight_map"]
        names = sorted({str(name) for name in listed.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"The index of the checkpoint cannot be read: {first_line(error)}",
            given=index,
            expected="JSON with a weight_map",
        ) from error
    outside = [name for name in names if Path(name).name != name]
    if outside or not names:
        raise WeightsError(
            f"The index of the checkpoint lists {'files outside its folder' if outside else 'no files'}.",
            given=f"{index}: {', '.join(outside[:3])}" if outside else index,
            expected="names of files beside it",
        )
    return names


def _parts(index: Path) -> list[Path]:
    """The files that an index lists, all of which are there."""
    names = read_index(index)
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise WeightsError(
            f"Of the checkpoint's {len(names)} parts, {len(missing)} are missing: {some}",
            given=index,
            expected="every part beside the index",
            hint="download the missing files into the same folder",
        )
    return [index.parent / name for name in names]


def _absent(path: Path) -> WeightsError:
    if path.is_symlink():
        return WeightsError(
            "The checkpoint is a link to a file that does not exist.",
            given=f"{path} -> {path.readlink()}",
            expected=EXPECTED,
            hint="download the file again",
        )
    return WeightsError("The checkpoint does not exist.", given=path, expected=EXPECTED)
