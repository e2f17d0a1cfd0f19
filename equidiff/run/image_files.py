"""The choice of samples whose images are written as files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from equidiff.errors import UsageError

DEFAULT_IMAGES = "first:1000"


@dataclass(frozen=True)
class ImageFiles:
    """Samples whose images are files of their own: those of the lowest indices. All others are in the tensors only.

    Attributes:
        first: how many; None for all.
    """

    first: int | None

    @classmethod
    def parse(cls, text: str) -> ImageFiles:
        """Read "all", "none" or "first:1000".

        Raises:
            UsageError: it is none of these.
        """
        match = re.fullmatch(r"first:(\d{1,15})", text, re.ASCII)
        if text not in {"all", "none"} and match is None:
            raise UsageError(
                "These are not images to write.",
                given=text,
                expected="all, none, or the first ones, as in first:1000",
                hint=f"--images {DEFAULT_IMAGES}",
            )
        return cls(int(match[1]) if match else None if text == "all" else 0)

    def __str__(self) -> str:
        return "all" if self.first is None else f"first:{self.first}" if self.first else "none"

    def __contains__(self, index: int) -> bool:
        return self.first is None or index < self.first
