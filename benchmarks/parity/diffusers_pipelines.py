"""Pipelines of diffusers.

Each pipeline is built from a configuration of a few thousand random weights, and called with two steps. The difference
is that of the image, with values in [0, 1], from the image of `pipeline(...)` for the same noise. The gradient is
that of a random combination of the image's values along one direction, in float32, against the best of five central
finite differences.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

from benchmarks.parity import ROOT, Row

sys.path.insert(0, str(ROOT / "plugins" / "equidiff-diffusers" / "tests"))
warnings.simplefilter("ignore")  # diffusers' own, about configurations

import diffusers  # noqa: E402
import tiny  # noqa: E402
from equidiff_diffusers.build import from_pipeline  # noqa: E402
from equidiff_diffusers.families import FAMILIES, family  # noqa: E402
from tiny import measure  # noqa: E402

from equidiff.errors import UnsupportedError  # noqa: E402

LIBRARIES = ("diffusers", "transformers", "torch")
BASES = ("DiffusionPipeline", "ModularPipeline")  # of the others
NOTES = {"ldm": "its decoder quantises: the gradient is passed straight through, and finite differences see the jumps"}


def rows() -> Iterator[Row]:
    """A row for each family that can be a generator, and for each reason why others cannot."""
    for name in tiny.FAMILIES:
        yield _measured(name)
    yield from _refused()


def _measured(name: str) -> Row:
    pipeline = tiny.build(name)
    call = tiny.CALLS[name]
    generator = from_pipeline(pipeline, **measure.choices(call))
    return Row(
        f"`{type(pipeline).__name__}`",
        f"{name}, with `{type(pipeline.scheduler).__name__}`",
        measure.difference(generator, pipeline, call),
        measure.gradient_error(generator, measure.latents(generator)),
        note=NOTES.get(name, ""),
    )


def _refused() -> Iterator[Row]:
    reasons: dict[str, list[str]] = {}
    for name in dir(diffusers):
        if name.endswith("Pipeline") and name not in {*FAMILIES, *BASES}:
            reasons.setdefault(_reason(name), []).append(name.removesuffix("Pipeline"))
    for reason, names in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
        count = f"{len(names)} others" if len(names) > 1 else "1 other"
        yield Row(count, ", ".join(names), refused=reason)


def _reason(name: str) -> str:
    try:
        family(name)
    except UnsupportedError as error:
        return error.problem.partition(": ")[2].rstrip(".")
    raise AssertionError(f"{name} is on the list")
