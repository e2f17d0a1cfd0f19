"""The contract of sample kinds: how samples are kept, drawn, compared and named."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL.Image import Image
from torch import Tensor

from equidiff.errors import QueryError

Change = Callable[[Tensor], Tensor]  # from samples `[batch, ...]` to samples
SHEET, CONTOUR, LINES = "sheet", "contour", "lines"  # drawings of many samples
PIXELS, STRIP, BARS = "pixels", "strip", "bars"  # drawings of a map over one

MOST_BARS = 24


class SampleKind(ABC):
    """A kind of sample. A generator names its own in `Generator.kind`; a run folder records it.

    Attributes:
        name: of the kind, in `run.json`.
        noun: for one sample, in sentences.
        plural: for several.
        heading: for one sample, at the head of a table.
        values: for the numbers that a sample consists of.
        compared_by: for the numbers by which two samples are compared, see `compared`.
        precision: of the numbers in a sample's file, as `saved` of a run has it; "float" where no file rounds them.
        regularizer: spec of the one that runs have by default.
        bounded: its numbers have a range, in which they usually lie.
        is_image: people look at its samples as they are.
        suffix: of a sample's file; None where samples have no files of their own.
        folder: of these files in a run folder.
        one_file: name of the file that has all members; None where there is none.
        query_in_words: a query beside the generator's own.
        query_hint: an example of one, as it is typed.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    plural: ClassVar[str]
    heading: ClassVar[str]
    values: ClassVar[str]
    compared_by: ClassVar[str]
    precision: ClassVar[str] = "float"
    bounded: ClassVar[bool] = False
    is_image: ClassVar[bool] = False
    regularizer: ClassVar[str] = "none"
    suffix: ClassVar[str | None] = None
    folder: ClassVar[str] = ""
    one_file: ClassVar[str | None] = None
    query_in_words: ClassVar[str] = "a prior sample"
    query_hint: ClassVar[str] = "--query prior"

    def overview(self, shape: Sequence[int]) -> str:
        """Drawing of many samples of this shape at once: a sheet of tiles, a contour plot, or parallel coordinates."""
        return SHEET

    def names(self, shape: Sequence[int]) -> list[str]:
        """Names of the numbers of a sample of this shape, which has few of them; empty where they have none."""
        return []

    @property
    @abstractmethod
    def shapes(self) -> str:
        """The shapes that its samples may have, in words."""

    @abstractmethod
    def fits(self, shape: Sequence[int]) -> bool:
        """Tell whether a sample of this shape, without the batch axis, can be of this kind."""

    def describe(self, shape: Sequence[int]) -> str:
        """Words for samples of this shape, as in "images of shape (1, 28, 28)"."""
        return f"{self.plural} of shape {tuple(shape)}"

    @property
    def rounds(self) -> bool:
        """True if a sample's file holds rounded numbers."""
        return self.precision != "float"

    def rounded(self, samples: Tensor) -> Tensor:
        """Samples as their files hold them."""
        return samples

    def saved(self, samples: Tensor) -> Tensor:
        """The same, differentiable: the gradient goes straight through the rounding and stops at the clamp."""
        return samples

    def excess(self, samples: Tensor) -> Tensor:
        """Signed distance of each number from the range that the kind's numbers have; zeros where it has none."""
        return torch.zeros_like(samples)

    def ranges(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Ends of the range in which each number of a sample is drawn; those of the given samples by default."""
        return samples.amin(dim=0), samples.amax(dim=0)

    def beyond(self, distance: str) -> str:
        """The end of a sentence about members whose numbers are outside of their range, by this distance at most."""
        return f"the range of {self.plural} by much (up to {distance}, root mean square): look at them with care."

    def compared(self, samples: Tensor) -> Tensor:
        """The numbers by which samples are compared, `[batch, size]`."""
        return samples.flatten(1)

    def fit(self, query: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A query `[1, ...]` in the shape of samples, so that the two can be compared."""
        return query

    def write(self, file: Path, sample: Tensor) -> None:
        """Write the file of a sample."""
        raise NotImplementedError(f"{self.plural} have no files of their own")

    def write_all(self, file: Path, samples: Iterable[tuple[int, Tensor]]) -> None:
        """Write the file that has all members, from their indices and samples."""
        raise NotImplementedError(f"{self.plural} have no file in common")

    def read(self, file: Path, shape: tuple[int, ...]) -> Tensor:
        """Read the file of a sample of this shape, `[1, ...]`, as float32.

        Raises:
            QueryError: it is missing, or cannot be read.
        """
        raise NotImplementedError(f"{self.plural} have no files of their own")

    def read_query(self, source: str, shape: tuple[int, ...]) -> tuple[str, Tensor]:
        """Read the file that `--query` names, and say its name.

        Args:
            source: as it was typed.
            shape: of the generator's samples.

        Returns:
            The name of what was read, and the sample, `[1, *shape]`.

        Raises:
            QueryError: it is missing, cannot be read or does not fit; or the kind has no such files.
        """
        raise QueryError(
            f"This generator makes {self.plural}, so a file cannot be its query.",
            given=source,
            expected=f"the index of one of the generator's own queries, or {self.query_in_words}",
            hint=self.query_hint,
        )

    def tile(self, sample: Tensor, side: int) -> Image | None:
        """Draw a sample in a square of this side; None where it cannot be drawn alone."""
        return None

    def sound(self, sample: Tensor) -> bytes | None:
        """The content of an audio file with the sample; None where there is nothing to hear."""
        return None

    @property
    def changes(self) -> Mapping[str, tuple[str, Change]]:
        """Small changes that samples undergo in practice: words and a function, by their names in `metrics.json`."""
        return {}

    def grid_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Channels, height and width of a sample of this shape, as attribution methods see it: a row of places."""
        return 1, 1, math.prod(shape)

    def to_grid(self, samples: Tensor) -> Tensor:
        """Samples `[batch, *sample_shape]` as attribution methods see them, `[batch, channels, height, width]`."""
        return samples.reshape(len(samples), *self.grid_shape(samples.shape[1:]))

    def from_grid(self, samples: Tensor, shape: Sequence[int]) -> Tensor:
        """Samples of this shape again, from those on the grid; differentiable."""
        return samples.reshape(len(samples), *shape)

    def maps(self, shape: Sequence[int]) -> str:
        """Drawing of a map over a sample of this shape: an image, bars, or a strip where bars would be too many."""
        return BARS if math.prod(shape) <= MOST_BARS else STRIP

    @property
    def parameters(self) -> dict[str, Any]:
        """The rest of its description in `run.json`."""
        return {}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> SampleKind:
        """The kind that a description describes.

        Raises:
            ValueError: it describes none.
        """
        return cls()

    def to_json(self) -> dict[str, Any]:
        """Its description in `run.json`."""
        return {"name": self.name, **self.parameters}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SampleKind) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(repr(self.to_json()))

    def __repr__(self) -> str:
        return f"<kind {self.to_json()}>"


class StraightThrough(torch.autograd.Function):
    """Rounded samples, with the gradient of those before rounding where they lie within a range.

    References:
        Bengio, Leonard and Courville (2013), "Estimating or Propagating Gradients Through Stochastic Neurons for
        Conditional Computation", the straight-through estimator. https://arxiv.org/abs/1308.3432
    """

    @staticmethod
    def forward(ctx: Any, samples: Tensor, rounded: Tensor, low: float, high: float) -> Tensor:  # pyrefly: ignore[bad-override]
        ctx.save_for_backward((samples >= low) & (samples <= high))
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # pyrefly: ignore[bad-override]
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None
