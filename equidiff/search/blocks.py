"""Blocks of samples, which share candidates, and the share of them that one part of a divided run does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from equidiff.errors import UsageError

BLOCK = 16  # samples that share a pool of candidates
EXPECTED = "its number and how many there are, as in 3/16"


@dataclass(frozen=True)
class Share:
    """A part of a run that is done in several: a contiguous share of its samples, in whole blocks.

    Attributes:
        number: from 1 to `of`.
        of: number of parts.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read a part such as "3/16".

        Raises:
            UsageError: it is none.
        """
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text, re.ASCII)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError("This is not a part of a run.", given=text, expected=EXPECTED, hint="--part 1/4")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def indices(self, samples: int) -> range:
        """Samples of this part. The parts of a run differ by at most one block, and its last block may be short.

        Args:
            samples: of the whole run.

        Raises:
            UsageError: there are fewer blocks than parts.
        """
        blocks = -(-samples // BLOCK)
        if self.of > blocks:
            raise UsageError(
                f"A run of {samples} samples cannot be divided into {self.of} parts.",
                given=f"--part {self}",
                expected=f"at most {blocks}: {BLOCK} samples share their candidates, and stay together",
                hint=f"--part 1/{blocks}",
            )
        first, end = ((number * blocks // self.of) * BLOCK for number in (self.number - 1, self.number))
        return range(first, min(end, samples))
