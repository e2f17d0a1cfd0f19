"""Queries of a calibration: prior samples that no search looks at, or images of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from equidiff.errors import QueryError
from equidiff.images.fit import fit_image
from equidiff.images.folder import find_images, read_ahead
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.query import require_images
from equidiff.run.session import Session


@dataclass(frozen=True, eq=False)
class Queries:
    """Samples to ask about.

    Attributes:
        samples: `[count, *sample_shape]`, as a run writes them, on the CPU.
        latents: of prior samples, `[count, *latent_shape]`; None for images, of which they are not known.
        names: of each, for people.
        unread: images of the folder that cannot be read.
    """

    samples: Tensor
    latents: Tensor | None
    names: tuple[str, ...]
    unread: int = 0

    def __len__(self) -> int:
        return len(self.samples)


@torch.no_grad()
def draw_queries(session: Session, count: int) -> Queries:
    """Prior samples; those of the bank behind the ones that a search may use, where there is a bank."""
    if session.bank is not None:
        latents, samples = session.bank.beyond(count)
        first = session.bank.count
        names = tuple(f"sample {first + row} of the bank" for row in range(count))
        return Queries(session.problem.written(samples), latents, names)
    generator = session.problem.generator
    latents = prior_latents(generator, count, session.settings.seed, Stream.CALIBRATION)
    parts = [generator.generate(rows.to(session.device)).cpu() for rows in latents.split(session.settings.batch)]
    names = tuple(f"prior sample {row}" for row in range(count))
    return Queries(session.problem.written(torch.cat(parts)), latents, names)


def read_queries(session: Session, folder: Path, count: int) -> Queries:
    """Images of a folder, drawn by the seed, and fitted to the generator's samples.

    Raises:
        QueryError: the folder is missing, has no image that can be read, or the generator makes no images.
    """
    require_images(session.problem.generator, str(folder))
    files = find_images(folder)
    random = torch.Generator().manual_seed(session.settings.seed)
    chosen = [files[index] for index in torch.randperm(len(files), generator=random)[:count].tolist()]
    shape = session.problem.generator.sample_shape
    read = list(read_ahead(folder, chosen, lambda image: fit_image(image, shape)))
    fitted = [(file.path, image) for file, image in read if isinstance(image, Tensor)]
    if not fitted:
        raise QueryError("None of these images can be read.", given=folder, expected="images")
    samples = torch.cat([image for _, image in fitted])
    return Queries(samples, None, tuple(name for name, _ in fitted), len(read) - len(fitted))
