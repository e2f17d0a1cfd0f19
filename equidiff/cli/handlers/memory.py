"""The panel of a command that runs out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from equidiff.devices import is_out_of_memory
from equidiff.errors import EquiDiffError, first_line


@contextmanager
def explain_out_of_memory(batch: int, expected: str, hint: str) -> Iterator[None]:
    """Turn running out of memory into an error that says what to type; other errors come through.

    Args:
        batch: samples per pass.
        expected: of the command, in words.
        hint: the command with a smaller batch.

    Raises:
        EquiDiffError: the memory of the device ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise EquiDiffError(
            f"This does not fit into memory: {first_line(error)}",
            given=f"{batch} samples in one pass",
            expected=expected,
            hint=hint,
        ) from error
