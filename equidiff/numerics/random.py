"""Random numbers: a stream for each purpose, the same on every device, and draws from the prior.

A few draws have a seed of their own instead of a stream, and are told apart by nothing else:

- prior samples that attributions and freedom maps are compared with: seed 0, and the run's seed (`prior_samples`);
- resampling for intervals: the run's seed plus the position of the set (`equidiff.metrics.intervals`);
- an attribution method: a seed for each sample, made from the run's (`equidiff.numerics.attributions.seed_of`);
- probes of a custom objective, and noise that an inversion averages over: seed 0.
"""

from __future__ import annotations

from enum import Enum, unique

import numpy as np
import torch
from torch import Tensor

from equidiff.contracts import Generator
from equidiff.types import Samples


@unique
class Stream(Enum):
    """Purposes of random numbers; each has streams of its own, one for each key.

    A key is the seed, then the numbers that the purpose counts by, then the tail of the purpose. The value of a purpose
    is how many numbers it counts by, and its tail. No two purposes share both, so no two share a key, but for these:
    `CONTROL` has the keys that `SAMPLE_CANDIDATES` would have for round 0 and no candidates, which nobody asks for.

    The tails are part of what `(seed, i)` means. Changing one changes every number that a run prints.
    """

    SAMPLE = (1, ())
    """All draws of one sample and of its solver, but its candidates; counts by the sample's index."""

    BLOCK_CANDIDATES = (3, (1,))
    """Candidates that a block of samples shares; counts by block, round and candidates for each sample (at least 1)."""

    SAMPLE_CANDIDATES = (3, (2,))
    """Candidates of one sample that starts near the query; counts by index, round and candidates (at least 1)."""

    CONTROL = (1, (0, 0, 2))
    """Prior samples beside which members are evaluated; counts by the prior sample's index."""

    REFERENCE = (1, (0, 0, 3))
    """Prior samples in place of a reference folder; counts by the prior sample's index."""

    SELECTION = (1, (0, 0, 4))
    """Prior samples that typicality and novelty are measured by; counts by the prior sample's index."""

    SHOWN = (1, (0, 0, 5))
    """Prior samples that `equidiff samples` writes; counts by the prior sample's index."""

    SPREAD = (1, (0, 0, 6))
    """Prior samples that a run measures before its search; counts by the prior sample's index, always of seed 0."""

    BANK = (1, (0, 0, 7))
    """Samples of a bank; counts by the sample's number in the bank, always of seed 0."""

    CALIBRATION = (1, (0, 0, 8))
    """Prior samples that a calibration asks about; counts by the prior sample's index."""

    CALIBRATION_REFERENCE = (1, (0, 0, 9))
    """A prior sample to which a calibration measures distances; always of seed 0."""

    BANK_ORDER = (0, (0, 0, 0, 0, 8))
    """The order in which a run takes members from a bank."""

    def key(self, seed: int, *numbers: int) -> tuple[int, ...]:
        """The key of one stream.

        Raises:
            ValueError: there are not as many numbers as this purpose counts by.
        """
        count, tail = self.value
        if len(numbers) != count:
            raise ValueError(f"{self.name} counts by {count} numbers, not by {len(numbers)}")
        return seed, *numbers, *tail

    def open(self, seed: int, *numbers: int) -> torch.Generator:
        """The stream of these numbers from its beginning, on the CPU."""
        return open_stream(*self.key(seed, *numbers))


def open_stream(*key: int) -> torch.Generator:
    """The random stream of a key, on the CPU.

    A key of fewer than four numbers is the same as that key with zeros appended up to four: `numpy.random.SeedSequence`
    pads it. From the fifth number on, a longer key is another one.
    """
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


def prior_latents(generator: Generator, count: int, seed: int, purpose: Stream) -> Tensor:
    """Latents of prior samples, `[count, *latent_shape]`; row i depends on the purpose and `(seed, i)` alone.

    None of them is a latent that a run with this seed started from or looked at: those have other streams.

    Args:
        generator: whose latents.
        count: how many.
        seed: of the run.
        purpose: one that counts by a single number.
    """
    return torch.cat([torch.randn(1, *generator.latent_shape, generator=purpose.open(seed, i)) for i in range(count)])


@torch.no_grad()
def prior_samples(generator: Generator, count: int, seed: int, device: torch.device | str) -> Samples:
    """Prior samples to compare with, `[count, *sample_shape]`, on the device; the same ones for the same seed."""
    latents = torch.randn(count, *generator.latent_shape, generator=torch.Generator().manual_seed(seed))
    return torch.cat([generator.generate(rows.to(device)) for rows in latents.split(4)])
