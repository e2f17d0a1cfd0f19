"""The folder of a bank: segments of samples and columns of measurements, each with a checksum of its own.

bank.json                  the key; its time of change is when the bank was last used
samples/00000.safetensors  samples, and how far each pixel was outside of [0, 1]
measurements/NAME.safetensors
users/HOST-PID.json        processes that use the bank, which is not removed under them
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor

from equidiff.bank.key import BankKey
from equidiff.folders import text
from equidiff.folders.atomic import write_atomically
from equidiff.folders.json_files import parse_json, read_json
from equidiff.folders.lock import Owner
from equidiff.folders.tensors import map_tensors, utf8_path, write_tensors

BANKS = "banks"
DESCRIPTION, SAMPLES, MEASUREMENTS, USERS, LOCK = "bank.json", "samples", "measurements", "users", ".lock"
SCHEMA_VERSION = 1
ABOUT, CHECKSUM = "about", "sha256"


class Damaged(Exception):
    """A file of a bank that is not as it was written."""


class BankFolder:
    """The folder of one bank.

    Args:
        path: of the folder, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, key: BankKey) -> None:
        """Make the folder, if it is not there, and note that it is used now, by this process.

        Raises:
            OSError: there is none, and none can be made.
        """
        if read_key(self.path) is None:
            for name in (SAMPLES, MEASUREMENTS, USERS):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            values = {"schema_version": SCHEMA_VERSION, "key": asdict(key)}
            write_atomically(self.path / DESCRIPTION, text.to_json(values, indent=2) + "\n")
        with suppress(OSError):  # a bank that others have made may be there to read
            os.utime(self.path / DESCRIPTION)
            mark = self.path / USERS / f"{socket.gethostname()}-{os.getpid()}.json"
            mark.write_text(text.to_json(asdict(Owner.this())) + "\n", encoding="utf-8")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process writes into the folder, and keep others out.

        Raises:
            OSError: the folder cannot be written.
        """
        with FileLock(self.path / LOCK):
            yield

    def segment(self, number: int) -> Path:
        """File of a segment of samples."""
        return self.path / SAMPLES / f"{number:05d}.safetensors"

    def column(self, name: str) -> Path:
        """File of the measurements of one objective, or of its views."""
        return self.path / MEASUREMENTS / f"{name}.safetensors"


def write_file(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors with their checksum.

    Args:
        path: of the file.
        tensors: by name.
        about: what else the file says, as values of JSON.

    Raises:
        OSError: it cannot be written.
    """
    values = {**about, CHECKSUM: _checksum(tensors)}
    write_tensors(path, tensors, {ABOUT: text.to_json(values)})


def read_file(path: Path) -> dict[str, Tensor] | None:
    """Tensors of a file, mapped into memory; None where there is no file.

    Raises:
        Damaged: it is not as it was written.
    """
    try:
        tensors, about = map_tensors(path), _about(path)
        if about.get(CHECKSUM) != _checksum(tensors):
            raise Damaged(path)
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise Damaged(path) from error
    return tensors


def read_about(path: Path) -> dict[str, Any]:
    """What a file says besides its tensors; nothing where it cannot be read."""
    try:
        return _about(path)
    except (OSError, SafetensorError, ValueError, LookupError, AttributeError, TypeError):
        return {}


def users(path: Path) -> list[Owner]:
    """Processes that use a bank; the marks of those that are gone are removed."""
    found = []
    for file in sorted((path / USERS).glob("*.json")):
        owner = Owner.read(file)
        if owner is not None and not owner.is_dead:
            found.append(owner)
        else:
            file.unlink(missing_ok=True)
    return found


def leave(path: Path) -> None:
    """Note that this process no longer uses a bank."""
    with suppress(OSError):
        (path / USERS / f"{socket.gethostname()}-{os.getpid()}.json").unlink(missing_ok=True)


def remove(path: Path) -> bool:
    """Remove a bank, unless a process uses it; True if it is gone."""
    if not path.is_dir():
        return True
    if users(path):
        return False
    with suppress(OSError):
        (path / DESCRIPTION).unlink(missing_ok=True)  # first: what is left of it is no bank
        shutil.rmtree(path)
    return not path.exists()


def read_key(path: Path) -> dict[str, Any] | None:
    """The key of the bank in a folder; None where there is no bank, or one of another version."""
    try:
        values = read_json(path / DESCRIPTION)
        key = values["key"]
        return key if values["schema_version"] == SCHEMA_VERSION and isinstance(key["generator"], str) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _about(path: Path) -> dict[str, Any]:
    with utf8_path(path) as file, safe_open(file, framework="pt") as opened:
        about = parse_json(opened.metadata()[ABOUT])
    if not isinstance(about, dict):
        raise ValueError("not an object")
    return about


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        found.update(tensors[name].detach().contiguous().numpy().data)
    return found.hexdigest()
