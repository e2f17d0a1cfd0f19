"""Sessions of runs in a worker: what one call has loaded is there for the next."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

import torch

from equidiff.contracts import Shared
from equidiff.errors import EquiDiffError, PluginError
from equidiff.registry.manager import Plugins
from equidiff.run.session import Session

MOST = 2  # sessions that are kept: those of a few runs are alternately asked for

SHARED = Shared()  # generators and networks of the runs that this process has seen
_sessions: OrderedDict[Hashable, Session] = OrderedDict()
_plugins: dict[tuple[str, ...], Plugins] = {}


def kept_session(key: Hashable) -> Session | None:
    """The session of a run that this process has prepared before."""
    if key in _sessions:
        _sessions.move_to_end(key)
    return _sessions.get(key)


def keep_session(key: Hashable, session: Session) -> None:
    """Keep a session for the next call, and forget the oldest."""
    _sessions[key] = session
    _sessions.move_to_end(key)
    while len(_sessions) > MOST:
        _sessions.popitem(last=False)


def plugins_of(files: tuple[str, ...]) -> Plugins:
    """The installed plugins and these files."""
    if files not in _plugins:
        _plugins[files] = Plugins(files=map(Path, files))
    return _plugins[files]


def own_device(device: str) -> str:
    """A run's device as this process calls it: a worker may see one CUDA device only, which is the first one then."""
    index = torch.device(device).index
    return "cuda" if device.startswith("cuda") and (index or 0) >= max(torch.cuda.device_count(), 1) else device


def enter(folder: str) -> None:
    """Go to the folder in which the command was typed, from which its relative paths start."""
    if Path.cwd() != Path(folder) and Path(folder).is_dir():
        os.chdir(folder)


def portable(error: Exception) -> Exception:
    """An error that can be sent to another process, which may not have the user's own classes."""
    if isinstance(error, EquiDiffError) or type(error).__module__ in {"builtins", "torch"}:
        return error
    return PluginError(f"{type(error).__name__}: {error}", hint="the same command without --executor, with --traceback")
