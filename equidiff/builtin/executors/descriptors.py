"""Descriptors and options of the executors that ship with EquiDiff."""

from __future__ import annotations

from equidiff.plugin import Descriptor

EXECUTORS = [
    Descriptor(
        "inline",
        "equidiff.builtin.executors.inline:build",
        "This process: one sample after another, with no workers.",
        examples=("inline",),
    ),
]
