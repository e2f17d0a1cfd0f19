"""Values of a sweep that stand for several: ranges of units, queries and seeds, and patterns of files."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from equidiff.errors import UsageError

BOUNDS = r"(\d{1,9})-(\d{1,9})(?::(\d{1,9}))?"  # 0-511, or 0-511:8 for every eighth
# at the end of a term's argument: neuron:layer3.0-511,model=resnet50 + 0.5*neuron:3
UNITS = re.compile(rf"((?:^|[+*])\s*[A-Za-z][\w-]*:(?:[^,+=]*\.)?){BOUNDS}(?=\s*(?:[,+]|$))")
NUMBERS = re.compile(rf"((?:prior:)?){BOUNDS}")
PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Expansion:
    """The values that a text stands for.

    Attributes:
        parts: texts between ranges, alternating with the numbers of a range.
    """

    parts: tuple[str | range, ...]

    @property
    def count(self) -> int:
        """Their number."""
        count = 1
        for part in self.parts:
            count *= len(part) if isinstance(part, range) else 1
        return count

    def __iter__(self) -> Iterator[str]:
        choices = [part if isinstance(part, range) else (part,) for part in self.parts]
        return ("".join(map(str, chosen)) for chosen in itertools.product(*choices))


def expand(setting: str, text: str) -> Expansion | list[str]:
    """The values that one value of the file stands for; itself alone, where it has no range.

    Args:
        setting: the name of the setting.
        text: its value.

    Raises:
        UsageError: a range is empty, or no file matches.
    """
    if setting == "objective":
        return _expand(text, list(UNITS.finditer(text)))
    if setting in {"query", "seed"} and not os.path.lexists(text):
        whole = NUMBERS.fullmatch(text.strip())
        if whole and (setting == "query" or not whole[1]):
            return _expand(text.strip(), [whole])
        if setting == "query" and PATTERN.search(text) and not text.startswith("top:"):
            return _match(text)
    return [text]


def _expand(text: str, found: list[re.Match[str]]) -> Expansion | list[str]:
    parts: list[str | range] = []
    place = 0
    for match in found:
        parts += [text[place : match.end(1)], _range(text, match)]
        place = match.end()
    return Expansion((*parts, text[place:])) if found else [text]


def _range(text: str, match: re.Match[str]) -> range:
    first, last, step = int(match[2]), int(match[3]), int(match[4] or 1)
    if last < first or step < 1:
        better = f"{min(first, last)}-{max(first, last)}"
        raise UsageError(
            "This range has no numbers.",
            given=text,
            expected="FIRST-LAST, both included, or FIRST-LAST:STEP",
            hint=text[: match.start(2)] + better + text[match.end() :],
        )
    return range(first, last + 1, step)


def _match(text: str) -> list[str]:
    found = sorted(path for path in glob.glob(os.path.expanduser(text)) if os.path.isfile(path))
    if not found:
        raise UsageError("No file matches this pattern.", given=text, expected="a pattern of image files")
    return found
