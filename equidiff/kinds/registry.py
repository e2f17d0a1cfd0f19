"""The registry of sample kinds: the kind of a generator, of a shape, and of a description in `run.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from equidiff.contracts.sample_kind import SampleKind
from equidiff.errors import EquiDiffError, PluginError, RunFolderError, one_of
from equidiff.folders.text import printable
from equidiff.kinds.image import Image
from equidiff.kinds.point import Point
from equidiff.kinds.signal import Signal
from equidiff.kinds.table import Table

KINDS: Mapping[str, type[SampleKind]] = {kind.name: kind for kind in (Image, Point, Signal, Table)}


class MakesSamples(Protocol):
    """A generator, as far as its samples are concerned."""

    @property
    def kind(self) -> SampleKind | None:
        """The kind that it names; None where the shape says it."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""


def kind_of(generator: MakesSamples) -> SampleKind:
    """The kind of a generator's samples: the one that it names, or the one of their shape.

    Raises:
        PluginError: it names none that its samples can have.
    """
    kind, shape = generator.kind, tuple(generator.sample_shape)
    if kind is None:
        return kind_of_shape(shape)
    if not isinstance(kind, SampleKind) or not kind.fits(shape):
        raise PluginError(
            f"{type(generator).__name__}.kind does not fit its samples.",
            given=f"{kind!r}, and samples of shape {shape}",
            expected=f"shape {kind.shapes}"
            if isinstance(kind, SampleKind)
            else "Image(), Point(), Signal(rate=...) or Table(...)",
        )
    return kind


def kind_of_shape(shape: Sequence[int]) -> SampleKind:
    """The kind of samples of which only the shape is known: images, or points."""
    image = Image()
    return image if image.fits(shape) else Point()


def kind_from(described: object, shape: Sequence[int]) -> SampleKind:
    """The kind that `run.json` describes; that of the shape where it describes none.

    Args:
        described: the content of the file's `kind`.
        shape: of the samples; empty where there are none.

    Raises:
        RunFolderError: it is none that is known, or none of this shape.
    """
    if described is None:
        return kind_of_shape(shape)
    try:
        if not isinstance(described, Mapping) or described.get("name") not in KINDS:
            raise ValueError
        kind = KINDS[described["name"]].parse(described)
        if shape and not kind.fits(shape):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, EquiDiffError):
        raise RunFolderError(
            "The samples of this run are of a kind that is not known.",
            given=printable(f"{described}, and samples of shape {tuple(shape)}")[:300],
            expected=f"{one_of(KINDS)}, as equidiff run describes it",
            hint="a newer EquiDiff may know it",
        ) from None
    return kind
