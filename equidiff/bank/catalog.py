"""All banks of the cache: their list, and the removal of those that were not used for longest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from equidiff.bank.store import BANKS, DESCRIPTION, MEASUREMENTS, SAMPLES, read_about, read_key, remove, users
from equidiff.folders.cache import cache_folder, cache_limit


@dataclass(frozen=True)
class BankEntry:
    """A bank on the disk.

    Attributes:
        path: of its folder, named after its key.
        key: all that its samples depend on.
        count: of its samples.
        objectives: that they are measured by.
        size: in bytes.
        used: seconds of Unix at which it was last used.
        busy: a process uses it now.
    """

    path: Path
    key: dict[str, Any]
    count: int
    objectives: tuple[str, ...]
    size: int
    used: float
    busy: bool

    def to_dict(self) -> dict[str, Any]:
        """The entry as values of JSON."""
        used = datetime.fromtimestamp(self.used, timezone.utc).isoformat(timespec="seconds")
        values = {"name": self.path.name, "path": str(self.path), "samples": self.count, "bytes": self.size}
        return {**values, "objectives": list(self.objectives), "used": used, "in_use": self.busy, "key": self.key}


def bank_folder(name: str) -> Path:
    """The folder of the bank with this name, in the cache."""
    return cache_folder() / BANKS / name


def list_banks() -> list[BankEntry]:
    """The banks of the cache, the one that was used last first."""
    entries = [_entry(path) for path in _folders()]
    return sorted((entry for entry in entries if entry is not None), key=lambda entry: -entry.used)


def evict(keep: Path, needed: int) -> list[Path]:
    """Remove banks that nobody uses, longest unused first, until there is room.

    Args:
        keep: the bank that is being made.
        needed: bytes that are about to be written.

    Returns:
        The folders that were removed.
    """
    limit = cache_limit()
    sizes = {path: _size(path) for path in _folders()}
    total = sum(sizes.values()) + needed
    gone: list[Path] = []
    for path in sorted(sizes, key=_used):
        if total <= limit:
            break
        if path != keep and remove(path):
            gone.append(path)
            total -= sizes[path]
    return gone


def _folders() -> list[Path]:
    folder = cache_folder() / BANKS
    return [path for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def _entry(path: Path) -> BankEntry | None:
    key = read_key(path)
    if key is None:
        return None
    segments = [read_about(file) for file in sorted((path / SAMPLES).glob("*.safetensors"))]
    columns = [read_about(file) for file in sorted((path / MEASUREMENTS).glob("*.safetensors"))]
    count = sum(about["rows"] for about in segments if isinstance(about.get("rows"), int))
    objectives = dict.fromkeys(str(about["objective"]) for about in columns if "objective" in about)
    return BankEntry(path, key, count, tuple(objectives), _size(path), _used(path), bool(users(path)))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _used(path: Path) -> float:
    try:
        return (path / DESCRIPTION).stat().st_mtime
    except OSError:
        return 0.0  # what is left of a bank that was being removed
