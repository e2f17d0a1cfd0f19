"""One member of an invariant set, or a sample that only came near it, as users of Python see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from equidiff.contracts.sample_kind import SampleKind
from equidiff.errors import UnsupportedError
from equidiff.images.convert import to_image
from equidiff.run.info import RunInfo
from equidiff.run.record import Called, Record
from equidiff.run.wording import in_spreads


@dataclass(frozen=True, eq=False, repr=False)
class Member:
    """One member of an invariant set: `found[3]` is the fourth.

    Attributes:
        record: its status, cost and loss.
        sample: `[*sample_shape]`, as its file holds it, see `saved` of a run.
        measurement: `[m]`, in `found.info.target.unit`.
        latent: `[*latent_shape]`.
        kind: of the sample.
    """

    record: Record
    sample: Tensor
    measurement: Tensor
    latent: Tensor
    kind: SampleKind

    @property
    def index(self) -> int:
        """Its index in the run, where samples that are not members count too."""
        return self.record.index

    @property
    def called(self) -> Called | None:
        """The class that the network gives it; None where it has none."""
        return self.record.called

    @property
    def image(self) -> Image.Image:
        """The sample as an 8-bit image.

        Raises:
            UnsupportedError: the sample is not an image.
        """
        if not self.kind.is_image:
            raise not_images(self.kind, self.sample.shape)
        return to_image(self.sample)

    def __repr__(self) -> str:
        measured = self.measurement.tolist()
        value = f"{measured[0]:.6g}" if len(measured) == 1 else f"{len(measured)} values"
        return f"<Member of index {self.index}: measurement {value}, sample {tuple(self.sample.shape)}>"


@dataclass(frozen=True, eq=False, repr=False)
class NearMiss:
    """A sample that did not reach the target: no member. It is as it was when it came nearest.

    Attributes:
        record: its cost and loss.
        spreads: its distance from the target, views included, in spreads of the measurement over prior samples; None
            where that is not known.
        sample: `[*sample_shape]`, as of a member.
        measurement: `[m]`.
        latent: `[*latent_shape]`.
    """

    record: Record
    spreads: float | None
    sample: Tensor
    measurement: Tensor
    latent: Tensor

    @classmethod
    def of(cls, sample: Member, info: RunInfo) -> NearMiss:
        """A sample of a run, with its distance."""
        spreads = None if sample.record.loss is None else in_spreads(info, sample.record.loss)
        return cls(sample.record, spreads, sample.sample, sample.measurement, sample.latent)

    def __repr__(self) -> str:
        near = f"loss {self.record.loss:.3g}" if self.spreads is None else f"{self.spreads:.2g} spreads from the target"
        return f"<NearMiss of index {self.record.index}: {near}, sample {tuple(self.sample.shape)}>"


def not_images(kind: SampleKind, shape: Sequence[int]) -> UnsupportedError:
    """The error for samples of this kind and shape, which are not images."""
    return UnsupportedError(
        "These samples are not images.",
        given=kind.describe(shape),
        expected="1 or 3 channels, height and width",
        hint="found.samples, which has their numbers",
    )
