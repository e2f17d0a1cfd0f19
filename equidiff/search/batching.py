"""Computing many rows in passes of a bounded size; where memory does not suffice, in smaller ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equidiff.contracts import Answer
from equidiff.devices import is_out_of_memory

ROWS = 4  # kernels sum in another order for other numbers of rows, but for multiples of this they mostly agree
Method = Callable[..., Answer]  # of latents, and of what goes along with each of their rows


@dataclass(frozen=True)
class BatchReduced:
    """The device ran out of memory; passes are smaller from now on.

    Attributes:
        rows: rows in the pass that failed.
        batch: most rows in a pass from now on.
    """

    rows: int
    batch: int


class Passes:
    """Computes rows, at most `batch` of them in a pass.

    Args:
        batch: rows in a pass; halved whenever a pass runs out of memory, as long as it has more than one.

    Attributes:
        news: what happened since it was last emptied.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.news: list[BatchReduced] = []

    def compute(self, method: Method, latents: Tensor, along: Sequence[Any] | None = None) -> Answer:
        """The answers for all rows, in their order.

        Args:
            method: of a chunk of the latents, and of the same rows of `along` where there is such.
            latents: `[rows, ...]`.
            along: one for each row.

        Raises:
            RuntimeError: a pass of one row runs out of memory, or the method raises it for another reason.
        """
        pieces: list[Answer] = []
        start = 0
        while start < len(latents):
            chunk = latents[start : start + self.batch]
            answer = self._try(method, chunk, along and along[start : start + self.batch])
            if answer is None:
                # outside the handler: the failed pass, held by the error's traceback, is gone by now
                self._reduce(len(chunk))
                continue
            pieces.append(answer)
            start += len(chunk)
        return joined(pieces)

    def _try(self, method: Method, chunk: Tensor, along: Sequence[Any] | None) -> Answer | None:
        try:
            return _padded(method, chunk, along, self.batch)
        except (RuntimeError, MemoryError) as error:
            if len(chunk) == 1 or not is_out_of_memory(error):
                raise
            return None

    def _reduce(self, rows: int) -> None:
        self.batch = max(1, rows // 2)
        self.news.append(BatchReduced(rows, self.batch))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # what is cached in pieces of the old size may not serve the new one


def _padded(method: Method, latents: Tensor, along: Sequence[Any] | None, batch: int) -> Answer:
    """Compute with the last row repeated up to a multiple of `ROWS`, if the batch has room.

    Else rounding would depend on how many rows there are, and a long search would make a visible difference of it.
    """
    missing = -len(latents) % ROWS
    rows = [*range(len(latents)), *[len(latents) - 1] * (missing if len(latents) + missing <= batch else 0)]
    answer = method(latents[rows]) if along is None else method(latents[rows], [along[row] for row in rows])
    return answer.rows(0, len(latents))


def joined(answers: list[Answer]) -> Answer:
    """The rows of several answers as one."""
    if len(answers) == 1:
        return answers[0]
    names = [name for name, value in vars(answers[0]).items() if isinstance(value, Tensor)]
    return Answer(**{**vars(answers[0]), **{n: torch.cat([getattr(a, n) for a in answers]) for n in names}})
