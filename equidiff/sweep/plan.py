"""The runs of a sweep: every combination of the values of each entry, each run once, each with a name of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from equidiff.errors import EquiDiffError, UsageError
from equidiff.sweep.document import Document, Value
from equidiff.sweep.ranges import Expansion, expand

MOST_RUNS = 100_000
LONGEST_NAME = 80
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
Key = tuple[tuple[str, str], ...]  # settings in the order of their names: two runs with the same are one


@dataclass(frozen=True)
class PlannedRun:
    """A run of the sweep.

    Attributes:
        name: of its folder.
        settings: as texts, by name; those that the file gives.
    """

    name: str
    settings: Mapping[str, str]

    @property
    def key(self) -> Key:
        """The run's identity."""
        return key_of(self.settings)


@dataclass(frozen=True)
class Combination:
    """A run before it has a name.

    Attributes:
        values: by setting, each with its place in the file.
    """

    values: Mapping[str, Value]

    @property
    def settings(self) -> dict[str, str]:
        """The texts of the values."""
        return {name: value.text for name, value in self.values.items()}


def key_of(settings: Mapping[str, str]) -> Key:
    """Settings as the identity of a run."""
    return tuple(sorted(settings.items()))


def combine(document: Document) -> tuple[list[Combination], int]:
    """The runs that a file asks for, each once, in the order of the file: what is written last varies fastest.

    Returns:
        The runs, and the number of them that the file names once more.

    Raises:
        UsageError: there are too many, a range is empty, or a pattern matches nothing.
    """
    expanded = [{name: _expand_all(document, name, entry[name]) for name in entry} for entry in document.entries]
    count = sum(_count(each) for each in expanded)
    if count > MOST_RUNS:
        raise UsageError(
            f"This sweep has {count:,} runs.",
            given=document.path,
            expected=f"at most {MOST_RUNS:,}; divide it into several files",
        )
    found: dict[Key, Combination] = {}
    for entry in expanded:
        lists = [[Value(text, line) for texts, line in each for text in texts] for each in entry.values()]
        for chosen in itertools.product(*lists):
            run = Combination(dict(zip(entry, chosen, strict=True)))
            found.setdefault(key_of(run.settings), run)
    return list(found.values()), count - len(found)


def name_runs(runs: Iterable[Mapping[str, str]], varied: Sequence[str], first: int = 0) -> list[PlannedRun]:
    """Give each run the name of its folder: its number, and the settings in which runs differ.

    Args:
        runs: settings of each.
        varied: names of those settings.
        first: number of the first.
    """
    return [
        PlannedRun(f"{number:05d}{_words(settings, varied)}", settings) for number, settings in enumerate(runs, first)
    ]


def varied_settings(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """Settings in which runs differ, in the order of the file."""
    names = list(dict.fromkeys(name for settings in runs for name in settings))
    return [name for name in names if len({settings.get(name) for settings in runs}) > 1]


def _words(settings: Mapping[str, str], varied: Sequence[str]) -> str:
    told = [
        settings[name] if name == "objective" else f"{name}-{settings[name]}" for name in varied if name in settings
    ]
    words = UNSAFE.sub("-", "-".join(told)).strip("-.")[:LONGEST_NAME].rstrip("-.")
    return f"-{words}" if words else ""


Expanded = dict[str, list[tuple[Expansion | list[str], int]]]


def _expand_all(document: Document, name: str, values: Sequence[Value]) -> list[tuple[Expansion | list[str], int]]:
    return [(_expand(document, name, value), value.line) for value in values]


def _expand(document: Document, name: str, value: Value) -> Expansion | list[str]:
    try:
        return expand(name, value.text)
    except EquiDiffError as error:
        raise placed(document, name, value, error) from None


def _count(entry: Expanded) -> int:
    count = 1
    for values in entry.values():
        count *= sum(_length(each) for each, _ in values)
    return count


def _length(values: Expansion | list[str]) -> int:
    return values.count if isinstance(values, Expansion) else len(values)


def placed(document: Document, name: str, value: Value, error: EquiDiffError) -> EquiDiffError:
    """An error about a value of the file, with its place, and with its hint as the file would have it."""
    error.given = document.place(value, name)
    if error.hint is not None:
        error.hint = re.sub(r"^--([a-z]+) ", r"\1: ", error.hint)
        if not re.match(rf"{name}: |equidiff |pip |[A-Z]+_|begin ", error.hint):
            error.hint = f"{name}: {error.hint}"
    return error
