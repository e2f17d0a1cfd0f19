"""The libraries that train autoencoders, imported without what they need for training and for language models.

pip installs them with --no-deps in seconds; the packages that they miss then are replaced by empty ones here. None of
those takes part in encoding.
"""

from __future__ import annotations

import dataclasses
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import ClassVar

from torch import nn

# packages that are imported by the libraries' code, and not used to encode
SPARE = ("natsort", "nnsight", "schedulefree", "simple_parsing", "transformer_lens", "wandb", "zstandard")
# modules that fail with today's versions of what they import
BROKEN = ("overcomplete.visualization",)


class HookPoint(nn.Identity):
    """TransformerLens's, without hooks."""


class HookedRootModule(nn.Module):
    """TransformerLens's, without hooks."""

    hook_dict: ClassVar[dict] = {}

    def setup(self) -> None:
        """Collect nothing."""


class Serializable:
    """simple_parsing's, for settings without nested ones."""

    def to_dict(self) -> dict:
        """The fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict, drop_extra_fields: bool = False) -> object:
        """Settings with these values."""
        return cls(**{name: value for name, value in values.items() if name in cls.__dataclass_fields__})


class _Anything(type):
    """The class of classes that have every attribute, take every argument and may be indexed."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return make(name)

    def __getitem__(cls, _item: object) -> type:
        return cls


def make(name: str) -> type:
    """A class for a name that nothing needs."""
    known = {"HookPoint": HookPoint, "HookedRootModule": HookedRootModule, "Serializable": Serializable}
    return known.get(name) or _Anything(name, (), {"__init__": lambda *_args, **_options: None})


class _Missing(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        made = make(name)
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives empty modules.

    Args:
        names: of the packages and modules to replace.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(self, name, path=None, target=None):
        """Specs of these modules, and of those in them."""
        mine = any(name == each or name.startswith(f"{each}.") for each in self._names)
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if mine else None

    def create_module(self, spec):
        """An empty module."""
        return _Missing(spec.name)

    def exec_module(self, module):
        """Run nothing."""


def find(name: str) -> ModuleType | None:
    """Import a library; None where it is not installed."""
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return None
    first, last = _Finder(BROKEN), _Finder(SPARE)  # what is installed comes before `last`
    sys.meta_path.insert(0, first)
    sys.meta_path.append(last)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    finally:
        sys.meta_path.remove(first)
        sys.meta_path.remove(last)
