"""Code of the user's own: Python files and modules that are executed because the user named them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from equidiff.errors import EquiDiffError, PluginError, UsageError, unknown_name

EXPECTED = "module:function, or ./file.py:function"


def find_function(
    argument: str | None, component: str = "custom", meaning: str = "samples in, numbers out"
) -> Callable[..., Any]:
    """Import the function that the user named.

    Args:
        argument: `module:function` or `./file.py:function`.
        component: name of the component, for messages.
        meaning: what the function takes and returns, for messages.

    Raises:
        EquiDiffError: the argument is not the location of a function, or the code cannot be imported.
    """
    place, _, name = (argument or "").rpartition(":")
    if not place or not name:
        raise UsageError(
            f"{component} needs a function.", given=argument, expected=EXPECTED, hint=f"{component}:./probe.py:score"
        )
    module = _import(place, component)
    function = getattr(module, name, None)
    if function is None:
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown_name(f"function in {place}", name, own)
    if not callable(function):
        raise UsageError(f"{name} in {place} is not a function.", given=type(function).__name__, expected=meaning)
    return function


def _import(place: str, component: str) -> ModuleType:
    is_file = place.endswith(".py") or "/" in place
    if is_file and not Path(place).is_file():
        raise UsageError("The file does not exist.", given=Path(place).resolve(), expected="a Python file")
    try:
        return import_file(Path(place)) if is_file else _import_module(place)
    except EquiDiffError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{place} cannot be imported: {type(error).__name__}: {error}",
            given=place,
            expected=EXPECTED,
            hint=None if is_file else f"{component}:./{place}.py:FUNCTION, if it is a file",
        ) from error


def _import_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        # behind everything else: a file that happens to be called random.py must not shadow the library
        sys.path.append(here)
    return importlib.import_module(name)


def import_file(path: Path) -> ModuleType:
    """Execute a Python file that the user named, once, and return it as a module."""
    name = f"equidiff_file_{path.stem}"
    path = path.resolve()
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError("This is not a Python file.", given=path, expected="a file ending in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
