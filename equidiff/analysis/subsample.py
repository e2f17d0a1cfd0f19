"""Some of the members of a run, for analyses that have no room or no time for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

from torch import Tensor

from equidiff.run.folder.rows import ChosenRows
from equidiff.run.invariant_set import InvariantSet
from equidiff.search.engine import MEMBER

BLOCK = 256  # rows in memory at a time, where nothing else says how many


def draw_members(found: InvariantSet, most: int, always: Iterable[int] = ()) -> InvariantSet:
    """Draw members at random by the seed of the run, in index order; the set itself if it has no more than that.

    Each index of a run has a random number of its own, and the members with the lowest are drawn. So a draw depends
    on nothing but the seed and the indices of the members, and a larger draw contains a smaller one.

    Args:
        found: a run.
        most: number of members to draw.
        always: indices of members that are drawn before all others; those that the run lacks are ignored.
    """
    positions = member_positions(found)
    if len(positions) <= most:
        return found
    first = set(always)

    def rank(position: int) -> tuple[bool, bytes]:
        index = found.records[position].index
        return index not in first, sha256(f"{found.info.seed} {index}".encode()).digest()

    return _only(found, sorted(sorted(positions, key=rank)[:most]))


def first_members(found: InvariantSet, most: int) -> InvariantSet:
    """The first members, in index order; the set itself if it has no more than that."""
    positions = member_positions(found)
    return found if len(positions) <= most else _only(found, positions[:most])


def chosen_members(found: InvariantSet, indices: Sequence[int]) -> InvariantSet:
    """The members with these indices, in this order."""
    positions = {found.records[position].index: position for position in member_positions(found)}
    return _only(found, [positions[index] for index in indices])


def row_blocks(found: InvariantSet, name: str, size: int) -> Iterator[Tensor]:
    """The members' rows in index order, this many at a time; `name` is "latents", "samples" or "measurements"."""
    positions = member_positions(found)
    for start in range(0, len(positions), size):
        yield found.rows.take(name, positions[start : start + size])


def member_positions(found: InvariantSet) -> list[int]:
    """Positions of the members among the records."""
    return [position for position, record in enumerate(found.records) if record.status == MEMBER]


def _only(found: InvariantSet, positions: Sequence[int]) -> InvariantSet:
    """A set of the records at these positions, and of nothing else."""
    records = tuple(found.records[position] for position in positions)
    return replace(found, records=records, rows=ChosenRows(found.rows, positions))
