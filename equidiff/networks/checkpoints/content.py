"""Recognition of weights files by their content: suffixes lie, and half of a download has one too."""

from __future__ import annotations

import re
import zipfile
from enum import Enum
from operator import index
from pathlib import Path

from equidiff.errors import WeightsError
from equidiff.folders.json_files import parse_json
from equidiff.networks.checkpoints.archives import open_archive

EXPECTED = "a safetensors file, or a state dict written by torch.save(model.state_dict(), PATH)"
START = 4096  # bytes that tell what a file is
LARGEST_HEADER = 100_000_000  # bytes, of a safetensors file: the format's own limit
MOST_TENSORS = 20_000  # in a safetensors file: each costs half a millisecond, even if it is empty
ZIP, CUT_ZIP = (
    b"PK\x03\x04",
    "The checkpoint is cut short: its end is missing, as after a download that was interrupted.",
)
AGAIN = "download the file again"
# first bytes of files that are no weights of torch
OTHERS = {
    b"GGUF": "a GGUF file of llama.cpp",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes them",
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x93NUMPY": "a single NumPy array",
}


class Kind(Enum):
    """Formats of weights that can be read."""

    SAFETENSORS = "safetensors"
    TORCH = "torch.save"
    NUMPY = "NumPy archive"


def recognise(path: Path) -> Kind:
    """Format of a weights file, by its content.

    Raises:
        WeightsError: it is no weights file, or a part of one; the message names what it is.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(START)
    if not start:
        raise _error(path, "The checkpoint is an empty file.", AGAIN)
    if start.startswith(ZIP):
        return _recognise_zip(path)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= LARGEST_HEADER:
        _check_complete(path, size)
        return Kind.SAFETENSORS
    if start[0] == 0x80 and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):  # a pickle, with its protocol
        return Kind.TORCH
    _refuse_text(path, start)
    found = next((what for first, what in OTHERS.items() if start.startswith(first)), None)
    if start[257:262] == b"ustar":
        found = "a tar archive"
    if found:
        raise _error(path, f"The checkpoint is {found}, not a weights file.")
    raise _error(path, "The checkpoint is damaged, or not a weights file: it begins as no known format does.")


def _recognise_zip(path: Path) -> Kind:
    if not zipfile.is_zipfile(path):
        raise _error(path, CUT_ZIP, AGAIN)
    with open_archive(path, EXPECTED) as archive:
        names = archive.namelist()
    tails = {name.rpartition("/")[2] for name in names}
    if names and all(name.endswith(".npy") for name in names):
        return Kind.NUMPY
    if "constants.pkl" in tails:
        raise _error(path, "The checkpoint is a TorchScript program, not a weights file.")
    if "data.pkl" in tails:
        return Kind.TORCH
    if "serialized_exported_program.json" in tails or "archive_format" in tails:
        raise _error(path, "The checkpoint is an exported program of torch, not a weights file.")
    raise _error(path, f"The checkpoint is a ZIP archive without weights (it holds {', '.join(sorted(names)[:3])}).")


def _check_complete(path: Path, size: int) -> None:
    """Compare the size of a safetensors file with what its header announces."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, size))
    if len(header) < length:
        raise _cut(path, size, f"more than {8 + length:,}")
    try:
        entries = parse_json(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
        whole = 8 + length + max(map(index, ends), default=0)
        if len(ends) > MOST_TENSORS:
            raise _error(path, f"The checkpoint has {len(ends):,} tensors, more than {MOST_TENSORS:,}.")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _error(path, "The checkpoint is damaged: its safetensors header cannot be read.", AGAIN) from error
    if size < whole:
        raise _cut(path, size, f"{whole:,}")


def _refuse_text(path: Path, start: bytes) -> None:
    """Raise if the file is a text: a pointer to the weights, or an error that was saved in their place."""
    if b"\0" in start:
        return
    text = start.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if text.startswith(("version https://git-lfs.github.com/", "version https://hawser.github.com/")):
        announced = re.search(r"^size (\d+)$", text, re.MULTILINE)
        size = f" of {int(announced[1]):,} bytes" if announced else ""
        problem = f"The checkpoint is a Git LFS pointer to the weights{size}, not the weights themselves."
        raise _error(path, problem, f"git lfs pull --include '{path.name}'   # in the clone; git-lfs must be installed")
    if "/annex/objects/" in text[:500]:
        raise _error(path, "The checkpoint is a git-annex pointer, not the weights.", f"git annex get '{path.name}'")
    if re.match(r"<!doctype html|<html|<\?xml|<head|<error", text, re.IGNORECASE):
        raise _error(path, "The checkpoint is a web page, not a weights file: perhaps an error or a login form.", AGAIN)
    if text.startswith(("{", "[")):
        raise _error(path, f"The checkpoint is a JSON text, not a weights file: {_quote(text)}")
    if "\ufffd" not in text and _is_prose(text):
        raise _error(path, f"The checkpoint is a text, not a weights file: {_quote(text)}", AGAIN)


def _is_prose(text: str) -> bool:
    return all(character.isprintable() or character in "\t\r\n" for character in text)


def _quote(text: str) -> str:
    line = text.split("\n", maxsplit=1)[0]
    return repr(line if len(line) <= 60 else line[:57] + "...")


def _cut(path: Path, size: int, whole: str) -> WeightsError:
    return _error(path, f"The checkpoint is cut short: {size:,} of {whole} bytes are there.", AGAIN)


def _error(path: Path, problem: str, hint: str | None = None) -> WeightsError:
    return WeightsError(problem, given=path, expected=EXPECTED, hint=hint)
