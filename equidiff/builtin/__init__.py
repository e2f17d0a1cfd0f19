"""The plugin that ships: hooks that offer the built-in components. Each kind's package describes its own."""

from __future__ import annotations

from equidiff.builtin.attributions.descriptors import ATTRIBUTIONS
from equidiff.builtin.executors.descriptors import EXECUTORS
from equidiff.builtin.generators.descriptors import GENERATORS
from equidiff.builtin.laws.descriptors import LAWS
from equidiff.builtin.objectives.descriptors import OBJECTIVES
from equidiff.builtin.regularizers.descriptors import REGULARIZERS
from equidiff.builtin.solvers.descriptors import SOLVERS
from equidiff.plugin import Descriptor, hookimpl


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """The toys (a flow model of garments, and rings in the plane), and images without a prior."""
    return GENERATORS


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """Neurons, classes, and functions of the user's own."""
    return OBJECTIVES


@hookimpl
def equidiff_regularizers() -> list[Descriptor]:
    """The low-pass view of the thesis, a limit on total variation, and none."""
    return REGULARIZERS


@hookimpl
def equidiff_solvers() -> list[Descriptor]:
    """The default, Algorithm 1 of the thesis, and baselines."""
    return SOLVERS


@hookimpl
def equidiff_attributions() -> list[Descriptor]:
    """Captum's methods, and a random map as their control."""
    return ATTRIBUTIONS


@hookimpl
def equidiff_laws() -> list[Descriptor]:
    """The solver's own frequencies, and the prior conditioned on the measurement."""
    return LAWS


@hookimpl
def equidiff_executors() -> list[Descriptor]:
    """This process, processes of this machine, ray, and SLURM."""
    return EXECUTORS
