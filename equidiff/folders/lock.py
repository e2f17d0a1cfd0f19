"""Locks of folders: one process at a time writes into a run."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from equidiff.errors import RunFolderError
from equidiff.folders.json_files import MOST_OF_SETTINGS, read_json
from equidiff.folders.paths import check_own, unwritable

FILE, OWNER = ".lock", ".owner.json"
LARGEST_PID = 2**31  # of Linux and macOS; psutil takes no larger number
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock.

    Attributes:
        pid: of the process.
        host: its machine.
        boot: an identifier of the machine's start, another one after it was started again; empty where there is none.
        started: time at which the process was started, in seconds of Unix.
    """

    pid: int
    host: str
    boot: str
    started: float

    @classmethod
    def read(cls, file: Path) -> Owner | None:
        """The owner that a file names; None where it names none."""
        try:
            owner = cls(**read_json(file, MOST_OF_SETTINGS))
        except (OSError, ValueError, TypeError):
            return None
        named = isinstance(owner.host, str) and isinstance(owner.boot, str)
        return owner if named and isinstance(owner.pid, int) and 0 < owner.pid < LARGEST_PID else None

    @classmethod
    def this(cls) -> Owner:
        """The process that asks."""
        return cls(os.getpid(), socket.gethostname(), _boot(), psutil.Process().create_time())

    @property
    def is_dead(self) -> bool:
        """True for a process that is known to be gone: of this machine, and ended, or before it was started again."""
        if self.host != socket.gethostname():
            return False
        return self.boot != _boot() or not psutil.pid_exists(self.pid)


class Lock:
    """The lock of a folder; the process that made it holds it until `release`, or until the process ends.

    The operating system keeps the lock. A file beside it names the owner, for people, and for the rare case that a
    process has ended and its children hold the lock on.

    Args:
        folder: the folder, which exists.

    Raises:
        RunFolderError: another process holds the lock, or something in the folder leads out of it.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        check_own(folder)
        self._folder = folder
        self._lock = FileLock(folder / FILE, timeout=0, thread_local=False)
        try:
            self._acquire()
        except Timeout:
            owner = Owner.read(folder / OWNER)
            if owner is None or not owner.is_dead:
                raise _refused(folder, owner) from None
            (folder / FILE).unlink(missing_ok=True)  # held by what its children have inherited
            self._lock = FileLock(folder / FILE, timeout=0, thread_local=False)
            try:
                self._acquire()
            except Timeout:
                raise _refused(folder, Owner.read(folder / OWNER)) from None

    def _acquire(self) -> None:
        self._lock.acquire()
        (self._folder / OWNER).write_text(json.dumps(asdict(Owner.this())) + "\n", encoding="utf-8")

    def release(self) -> None:
        """Let others write into the folder."""
        if self._lock.is_locked:
            with suppress(OSError):
                (self._folder / OWNER).unlink(missing_ok=True)
            self._lock.release(force=True)


def check_unlocked(folder: Path) -> None:
    """Raise an error if another process writes into a folder, or this one cannot.

    Raises:
        RunFolderError: it does, or the system refuses.
    """
    try:
        Lock(folder).release()
    except OSError as error:
        raise unwritable(folder, error) from error


@cache
def _boot() -> str:
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""  # the time of the start would change when somebody sets the clock


def _refused(folder: Path, owner: Owner | None) -> RunFolderError:
    who = "another process" if owner is None else f"process {owner.pid} on {owner.host}"
    return RunFolderError(
        "This run is at work in another process.",
        given=f"{folder}, in which {who} writes",
        expected="a run that has ended, or was interrupted or killed",
        hint=f"wait for it, or end it: kill {owner.pid}" if owner is not None else "wait for it",
    )
