"""Computing many rows in batches of a bounded size, and in smaller ones where memory does not suffice."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from equidiff.contracts import Answer, Equation, PassRequest
from equidiff.devices import is_out_of_memory

ROWS = 4  # kernels sum in another order for other numbers of rows, but for multiples of this they mostly agree


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
    """Computes requests, at most `batch` rows in a pass.

    Args:
        batch: rows in a pass; halved whenever a pass runs out of memory, as long as it has more than one.

    Attributes:
        news: what happened since it was last emptied.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.news: list[BatchReduced] = []

    def compute(self, request: PassRequest, equation: Equation) -> Answer:
        """The answer to a request, its rows in their order.

        Raises:
            RuntimeError: a pass of one row runs out of memory, or the computation raises it for another reason.
        """
        pieces: list[Answer] = []
        start, rows = 0, len(request.latents)
        while start < rows:
            piece = request.take(slice(start, start + self.batch))
            answer = self._try(piece, equation)
            if answer is None:
                # outside the handler: the failed pass, held by the error's traceback, is gone by now
                self._reduce(len(piece.latents))
                continue
            pieces.append(answer)
            start += len(piece.latents)
        return Answer.join(pieces)

    def _try(self, request: PassRequest, equation: Equation) -> Answer | None:
        try:
            return _padded(request, equation, self.batch)
        except (RuntimeError, MemoryError) as error:
            if len(request.latents) == 1 or not is_out_of_memory(error):
                raise
            return None

    def _reduce(self, rows: int) -> None:
        self.batch = max(1, rows // 2)
        self.news.append(BatchReduced(rows, self.batch))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # what is cached in pieces of the old size may not serve the new one


def _padded(request: PassRequest, equation: Equation, batch: int) -> Answer:
    """Compute with the last row repeated up to a multiple of `ROWS`, if the batch has room.

    Else rounding would depend on how many rows there are, and a long search would make a visible difference of it.
    """
    count = len(request.latents)
    missing = -count % ROWS
    if missing and count + missing <= batch:
        request = PassRequest.join([request, *[request.take(slice(count - 1, count))] * missing])
    return request.run(equation).rows(0, count)
