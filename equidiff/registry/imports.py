"""Errors of code that a plugin names and that cannot be imported: misspelt, in need of a package, or broken."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from types import ModuleType

from equidiff.errors import PluginError, nearest
from equidiff.registry.trial.source import raised_at

EXPECTED = "an import string package.module:function"
ALIKE = 0.75  # of names of packages: "nunpy" is numpy, but "torchcrepe" is not torch


def import_error(what: str, path: str, error: Exception) -> PluginError:
    """The error for an import string that cannot be followed.

    Args:
        what: the component and its plugin, in words.
        path: "package.module:function", as the descriptor has it.
        error: raised by the import.
    """
    problem = f"{what} cannot be imported: {type(error).__name__}: {error}"
    module, _, function = path.partition(":")
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name
        if module == missing or module.startswith(f"{missing}."):
            near = [name + module.removeprefix(missing) for name in similar_modules(missing)]
            # a factory is the plugin's own: its package is there, since the descriptor came from it
            here = f'f"{{__name__}}:{function}", for one in the same file'
            hint = f'factory="{near[0]}:{function}"' if near else here
            return PluginError(problem, given=path, expected=EXPECTED, similar=near, hint=hint)
        return missing_module(problem, path, error)
    own = _functions(sys.modules.get(module)) if isinstance(error, AttributeError) else []
    near = nearest(function, own)
    if near:
        return PluginError(problem, given=path, expected=EXPECTED, similar=near, hint=f'factory="{module}:{near[0]}"')
    place = raised_at(error)
    given = f"{path}\nraised at {place}" if place else path
    return PluginError(problem, given=given, expected=EXPECTED, hint="--traceback shows all of it")


def missing_module(problem: str, given: str, error: ImportError) -> PluginError:
    """The error for a module that a plugin's code imports and that is not there."""
    place = raised_at(error)
    given = f"{given}\nimported at {place}" if place else given
    near = similar_modules(error.name) if error.name else []
    hint = f"import {near[0]}" if near else install_hint(error.name)
    return PluginError(problem, given=given, similar=near, hint=hint)


def install_hint(missing: str | None) -> str:
    """The command that may bring a missing module; a part of a package that is there cannot be installed."""
    name, _, part = (missing or "").partition(".")
    if not name or (part and importlib.util.find_spec(name)):
        return "equidiff doctor"
    return f"pip install {name}"


def similar_modules(missing: str) -> list[str]:
    """Modules on this machine whose names resemble that of a missing one; at the top only the nearest."""
    parent, _, last = missing.rpartition(".")
    if parent:
        try:
            paths = importlib.import_module(parent).__path__
        except (ImportError, AttributeError):
            return []
        return [f"{parent}.{name}" for name in nearest(last, [each.name for each in pkgutil.iter_modules(paths)])]
    installed = {each.name for each in pkgutil.iter_modules()} | {name for name in sys.modules if "." not in name}
    standard = set(sys.stdlib_module_names)
    # one alone: others may be of files that happened to be loaded before
    return (nearest(last, installed - standard, ALIKE) or nearest(last, standard, ALIKE))[:1]


def _functions(module: ModuleType | None) -> list[str]:
    if module is None:
        return []
    called = [name for name, value in vars(module).items() if callable(value)]
    return sorted(called, key=lambda name: isinstance(getattr(module, name), type))  # functions first
