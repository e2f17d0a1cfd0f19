"""EquiDiff: what else does this network take for the same thing?

import equidiff

found = equidiff.sample(generator="toy", objective="neuron:17", query=3, samples=16)
found.samples, found.measurements, found.contains(found.samples)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equidiff.api.generators import diffusers as diffusers
    from equidiff.api.invariant_set import InvariantSet as InvariantSet
    from equidiff.api.invariant_set import load as load
    from equidiff.api.sampling import SamplingError as SamplingError
    from equidiff.api.sampling import sample as sample
    from equidiff.builtin.objectives.in_memory import classifier as classifier
    from equidiff.builtin.objectives.in_memory import layer as layer
    from equidiff.builtin.objectives.in_memory import neuron as neuron
    from equidiff.contracts import Attribution as Attribution
    from equidiff.contracts import Generator as Generator
    from equidiff.contracts import Law as Law
    from equidiff.contracts import Objective as Objective
    from equidiff.contracts import Regularizer as Regularizer
    from equidiff.contracts import SampleKind as SampleKind
    from equidiff.contracts import ScalarTarget as ScalarTarget
    from equidiff.contracts import Solver as Solver
    from equidiff.errors import EquiDiffError as EquiDiffError
    from equidiff.kinds.signal import Signal as Signal
    from equidiff.kinds.table import Column as Column
    from equidiff.kinds.table import Table as Table
    from equidiff.run.member import Member as Member

# imported on first use: torch takes seconds to import, which the command line must not wait for
_MODULES = {
    "Attribution": "equidiff.contracts",
    "Column": "equidiff.kinds.table",
    "EquiDiffError": "equidiff.errors",
    "ScalarTarget": "equidiff.contracts",
    "Generator": "equidiff.contracts",
    "InvariantSet": "equidiff.api.invariant_set",
    "Member": "equidiff.run.member",
    "Law": "equidiff.contracts",
    "Objective": "equidiff.contracts",
    "Regularizer": "equidiff.contracts",
    "SampleKind": "equidiff.contracts",
    "SamplingError": "equidiff.api.sampling",
    "Signal": "equidiff.kinds.signal",
    "Solver": "equidiff.contracts",
    "Table": "equidiff.kinds.table",
    "classifier": "equidiff.builtin.objectives.in_memory",
    "diffusers": "equidiff.api.generators",
    "layer": "equidiff.builtin.objectives.in_memory",
    "load": "equidiff.api.invariant_set",
    "neuron": "equidiff.builtin.objectives.in_memory",
    "sample": "equidiff.api.sampling",
}

__all__ = [
    "Attribution",
    "Column",
    "EquiDiffError",
    "Generator",
    "InvariantSet",
    "Law",
    "Member",
    "Objective",
    "Regularizer",
    "SampleKind",
    "SamplingError",
    "ScalarTarget",
    "Signal",
    "Solver",
    "Table",
    "classifier",
    "diffusers",
    "layer",
    "load",
    "neuron",
    "sample",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        import importlib

        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
