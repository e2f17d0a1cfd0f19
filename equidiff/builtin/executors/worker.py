"""Worker processes and their beginning; imports nothing heavy, as threads are counted when torch is imported."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
STARTING = threading.Lock()


class Process(SpawnProcess):
    """A new Python, which runs neither the user's script again nor hears their Ctrl-C."""

    def start(self) -> None:
        with STARTING:
            main, blocked = sys.modules["__main__"], None
            sys.modules["__main__"] = ModuleType("__main__")  # or the child imports the script, which may have no guard
            if hasattr(signal, "pthread_sigmask"):  # children inherit it, from their first moment on
                blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main
                if blocked is not None:
                    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class Context(SpawnContext):
    """Starts such processes."""

    Process = Process


def begin(log: str, threads: int | None, devices: str | None) -> None:
    """Prepare this process for calls.

    Args:
        log: a file for all that is printed: the terminal belongs to the process that gives the calls.
        threads: that torch may use; those of the environment where None.
        devices: the CUDA devices that it sees, as `CUDA_VISIBLE_DEVICES` names them; all where None.
    """
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # at once, also in the middle of a long pass
    if threads is not None:
        os.environ |= dict.fromkeys(THREADS, str(threads))
    if devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that gives the calls has died: nobody waits for the results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class Caller:
    """An actor of ray: a process somewhere in a cluster, which stays."""

    def call(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        """Carry out a call."""
        return function(*args)
