"""Checks of `equidiff doctor` without options: the installation, its devices and plugins."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

from equidiff.contracts import BuildContext, Finding
from equidiff.devices import device_memory
from equidiff.doctor.components import GIB
from equidiff.errors import EquiDiffError
from equidiff.registry.build import build
from equidiff.registry.manager import Plugin, Plugins

LIBRARIES = ("torch", "timm", "numpy", "pillow", "safetensors", "pydantic", "pluggy", "matplotlib")
SHIPPED = (("toy:fashion", "classifier"), ("toy:circles", "classifier"))


def examine(plugins: Plugins) -> list[Finding]:
    """Report versions, devices, memory, plugins and their requirements, and the weights that ship with EquiDiff."""
    return [
        Finding("equidiff", version("equidiff")),
        # platform.platform() would start `uname`
        Finding("python", f"{platform.python_version()} on {platform.system()} {platform.release()}"),
        *(_library(name) for name in LIBRARIES),
        *_devices(),
        *(finding for plugin in plugins.plugins for finding in _plugin(plugin)),
        *(_weights(plugins, generator, objective) for generator, objective in SHIPPED),
    ]


def _library(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, f"missing: pip install {name}", broken=True)


def _devices() -> Iterator[Finding]:
    yield Finding("cpu", f"{os.cpu_count()} cores, {_free_memory()}")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Finding(f"cuda:{index}", f"{name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free")
    if torch.backends.mps.is_available():
        yield Finding("mps", "available; shares memory with the CPU")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        yield Finding("gpu", "none that torch can use; the toy generators need none")


def _free_memory() -> str:
    memory = device_memory("cpu")
    return "free memory unknown" if memory is None else f"{memory[0] / GIB:.1f} of {memory[1] / GIB:.1f} GiB free"


def _plugin(plugin: Plugin) -> Iterator[Finding]:
    what = f"plugin {plugin.name}"
    if plugin.problem:
        yield Finding(what, plugin.problem, broken=True)
        return
    yield Finding(what, f"{len(plugin.offers)} components from {plugin.source} {plugin.version}".rstrip())
    for offer in plugin.offers:
        missing = [name for name in offer.descriptor.needs if not _importable(name)]
        if missing:
            yield Finding(
                f"  {offer.kind} {offer.descriptor.name}", f"cannot be used yet; missing: {', '.join(missing)}"
            )


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _weights(plugins: Plugins, generator: str, objective: str) -> Finding:
    what = f"weights of {generator}"
    context = BuildContext()
    try:
        made = build(plugins, "generator", generator, context).component
        build(plugins, "objective", objective, BuildContext(generator=made, weights=context.weights))
    except EquiDiffError as error:
        return Finding(what, error.problem, broken=True)
    except Exception as error:  # any failure at all is a finding
        return Finding(what, f"{type(error).__name__}: {error}", broken=True)
    return Finding(what, "load: " + ", ".join(file.name for file in context.weights))
