"""The hooks that a plugin may implement; this file is the whole contract.

Every hook returns descriptors, never components: importing a plugin must stay cheap, as every look-up does it.

    from equidiff.plugin import Descriptor, hookimpl

    @hookimpl
    def equidiff_objectives():
        return [Descriptor(name="brightness", factory="my_package.brightness:build", summary="Mean grey level.")]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from equidiff.registry.descriptors import Descriptor

PROJECT = "equidiff"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def equidiff_generators() -> Iterable[Descriptor]:  # type: ignore[empty-body]
    """Generators: differentiable maps from a standard normal latent to a sample."""


@hookspec
def equidiff_objectives() -> Iterable[Descriptor]:  # type: ignore[empty-body]
    """Objectives: differentiable maps from a sample to a measurement."""


@hookspec
def equidiff_regularizers() -> Iterable[Descriptor]:  # type: ignore[empty-body]
    """Regularizers: filtered views on which the measurement must hold too, or a penalty."""


@hookspec
def equidiff_solvers() -> Iterable[Descriptor]:  # type: ignore[empty-body]
    """Solvers: methods that start from a latent and drive the residual to zero."""


@hookspec
def equidiff_laws() -> Iterable[Descriptor]:  # type: ignore[empty-body]
    """Laws: distributions of the members, sampled by steps that follow the search for each of them."""


@hookspec
def equidiff_attributions() -> Iterable[Descriptor]:  # type: ignore[empty-body]
    """Attribution methods: maps of the pixels of a sample that its measurement comes from."""


@hookspec
def equidiff_executors() -> Iterable[Descriptor]:  # type: ignore[empty-body]
    """Executors: places where the samples of a run are found, such as processes or the machines of a cluster."""
