"""The sets that an evaluation compares: the members, prior samples of the same generator, and a reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import ImageOps
from PIL.Image import Image, Resampling
from torch import Tensor

from equidiff.analysis.limits import EVALUATED
from equidiff.contracts.sample_kind import SampleKind
from equidiff.errors import QueryError
from equidiff.images.convert import image_to_tensor
from equidiff.images.folder import find_images, read_ahead
from equidiff.kinds.image import Image as ImageKind
from equidiff.metrics import PerceptualDistance, band_powers, high_frequency_share, radial_spectrum, spectrum_slope
from equidiff.metrics.features import FeatureSpace
from equidiff.run.finished import Finished

FEWEST_PRIOR = 64  # fewer would say little about how prior samples vary
MOST_IMAGES = 2000  # used of a reference folder, since all pairs are compared
SMALLEST = 4  # pixels a side; below it there is no meaningful spectrum

Show = Callable[[int, str], None]


@dataclass(frozen=True)
class Plan:
    """Settings of an evaluation.

    Attributes:
        features: spec of the space to compare samples in; by default, one that suits the samples.
        reference: a folder of real images; prior samples are the reference when absent.
        members: how many to evaluate at most; of a run that has more, they are drawn by its seed.
        batch: samples in one pass; as in the run when absent.
        seed: for prior samples and resampling; the run's when absent.
        lpips: AlexNet's weights, for LPIPS; without them it is not measured.
    """

    features: str | None = None
    reference: Path | None = None
    members: int = EVALUATED
    batch: int | None = None
    seed: int | None = None
    lpips: Path | None = None


@dataclass(frozen=True)
class Spectra:
    """The spectra of one set of images, row by row.

    Attributes:
        radial: `radial_spectrum`, `[rows, bins]`.
        slopes: `spectrum_slope`, `[rows]`.
        shares: `high_frequency_share`, `[rows]`.
        bands: `band_powers`, `[rows, bands]`.
    """

    radial: Tensor
    slopes: Tensor
    shares: Tensor
    bands: Tensor

    @classmethod
    def of(cls, samples: Tensor) -> Spectra:
        """Spectra of one pass of images."""
        functions = (radial_spectrum, spectrum_slope, high_frequency_share, band_powers)
        return cls(*(function(samples) for function in functions))

    @classmethod
    def joined(cls, parts: Sequence[Spectra]) -> Spectra:
        """Several sets as one."""
        return cls(*(torch.cat([getattr(part, each.name) for part in parts]) for each in fields(cls)))


@dataclass(frozen=True)
class Described:
    """Features and spectra of one set of samples, row by row.

    Attributes:
        features: `[rows, size]`.
        spectra: of images, but not of the smallest.
    """

    features: Tensor
    spectra: Spectra | None = None

    def __len__(self) -> int:
        return len(self.features)


class BatchRunner:
    """Applies functions to rows, a batch at a time, and reports progress.

    Args:
        device: where the functions compute.
        batch: rows in a pass.
        total: rows there will be in all.
        show: called with the number of rows done, and with what is being done.
    """

    def __init__(self, device: str, batch: int, total: int, show: Show) -> None:
        self.batch = batch
        self.device = device
        self._show = show
        self._done, self._total = 0, total

    @torch.no_grad()
    def apply(self, function: Callable[[Tensor], Tensor], rows: Tensor, doing: str, axis: int = 0) -> Tensor:
        """Apply a function to rows, and join the results along an axis, on the CPU."""
        pieces = []
        for chunk in rows.split(self.batch):
            pieces.append(function(chunk.to(self.device)).float().cpu())
            self.count(len(chunk), doing)
        return torch.cat(pieces, dim=axis)

    def count(self, rows: int, doing: str) -> None:
        """Report that this many more rows are done."""
        self._done = min(self._done + rows, self._total)
        self._show(self._done, doing)


@dataclass(frozen=True)
class SampleSets:
    """Everything that metrics are computed from; tensors are on the CPU.

    Attributes:
        finished: the run.
        indices: indices of the members, as in `members.jsonl`.
        samples: the members.
        latents: the latents of the members.
        prior_samples: at least as many as members, and no fewer than `FEWEST_PRIOR`.
        prior_latents: the latents of the prior samples.
        space: the space in which samples are compared.
        members: features and spectra of the members.
        prior: features and spectra of the prior samples.
        reference: features and spectra of the set that both are compared with.
        real: the reference consists of real images.
        files: paths of the real images in their folder, one for each row of the reference; empty without.
        seed: for resampling.
        lpips: the perceptual distance, if its weights were given.
        runner: applies functions to rows, a batch at a time.
    """

    finished: Finished
    indices: tuple[int, ...]
    samples: Tensor
    latents: Tensor
    prior_samples: Tensor
    prior_latents: Tensor
    space: FeatureSpace
    members: Described
    prior: Described
    reference: Described
    real: bool
    files: tuple[str, ...]
    seed: int
    lpips: PerceptualDistance | None
    runner: BatchRunner

    @property
    def kind(self) -> SampleKind:
        """The kind of the samples."""
        return self.finished.session.problem.kind


def count_prior(members: int) -> int:
    """Number of prior samples to draw beside this many members."""
    return max(members, FEWEST_PRIOR)


def describe(space: FeatureSpace, samples: Tensor, kind: SampleKind) -> Described:
    """Compute features and spectra of one pass of samples `[batch, ...]`, on the device of the feature space."""
    features = space.extract(samples).float().cpu()
    # on the CPU: not every accelerator has float64
    spectral = kind.is_image and min(samples.shape[-2:]) >= SMALLEST
    return Described(features, Spectra.of(samples.cpu()) if spectral else None)


@torch.no_grad()
def describe_all(space: FeatureSpace, samples: Tensor, kind: SampleKind, runner: BatchRunner) -> Described:
    """Compute features and spectra of any number of samples, in passes."""
    parts = []
    for chunk in samples.split(runner.batch):
        parts.append(describe(space, chunk.to(runner.device), kind))
        runner.count(len(chunk), "describing samples")
    return _joined(parts)


@torch.no_grad()
def describe_folder(
    space: FeatureSpace, folder: Path, shape: tuple[int, ...], seed: int, runner: BatchRunner
) -> tuple[Described, tuple[str, ...]]:
    """Compute features and spectra of the images in a folder, cropped and resized to the shape of the samples.

    Returns:
        Features and spectra, with the path of each image in the folder.

    Raises:
        QueryError: fewer than two can be read.
    """
    parts: list[Described] = []
    names: list[str] = []
    images = _read_reference(folder, shape, seed)
    while chunk := list(islice(images, runner.batch)):
        names += [name for name, _ in chunk]
        parts.append(describe(space, torch.cat([image for _, image in chunk]).to(runner.device), ImageKind()))
        runner.count(len(chunk), "describing the reference")
    count = sum(map(len, parts))
    if count < 2:
        raise QueryError(
            "A reference needs at least two images that can be read.",
            given=f"{folder}, with {count}",
            expected="2 or more",
        )
    return _joined(parts), tuple(names)


def count_images(folder: Path) -> int:
    """Number of images of a folder that will serve as the reference."""
    return min(len(find_images(folder)), MOST_IMAGES)


def _read_reference(folder: Path, shape: tuple[int, ...], seed: int) -> Iterator[tuple[str, Tensor]]:
    files = find_images(folder)
    if len(files) > MOST_IMAGES:
        chosen = np.random.default_rng(seed).choice(len(files), MOST_IMAGES, replace=False)
        files = [files[index] for index in sorted(chosen.tolist())]
    for file, image in read_ahead(folder, files, lambda image: fit_reference(image, shape)):
        if isinstance(image, Tensor):
            yield file.path, image


def fit_reference(image: Image, shape: tuple[int, ...]) -> Tensor:
    """Crop and resize a real image to the shape of the samples, `[1, channels, height, width]`."""
    channels, height, width = shape
    fitted = ImageOps.fit(image.convert("L" if channels == 1 else "RGB"), (width, height), Resampling.BICUBIC)
    return image_to_tensor(fitted)


def _joined(parts: list[Described]) -> Described:
    spectra = [part.spectra for part in parts if part.spectra is not None]
    return Described(torch.cat([part.features for part in parts]), Spectra.joined(spectra) if spectra else None)
