"""All that a plugin module needs to describe its components; it imports nothing heavy."""

from equidiff.errors import EquiDiffError, PluginError, UnknownNameError, unknown_name
from equidiff.registry.descriptors import Descriptor, Options, Published, Reference
from equidiff.registry.hookspecs import hookimpl

__all__ = [
    "Descriptor",
    "EquiDiffError",
    "Options",
    "PluginError",
    "Published",
    "Reference",
    "UnknownNameError",
    "hookimpl",
    "unknown_name",
]
