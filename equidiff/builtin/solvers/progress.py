"""The rule by which a stalled search is given up."""

from __future__ import annotations

from equidiff.contracts import Answer


class Progress:
    """Says when a search has stalled: more than `patience` notes in a row did not halve the loss.

    Args:
        patience: notes that may fail to; any number of them when None.
        loss: to be halved first; the first note's when absent.
    """

    def __init__(self, patience: int | None, loss: float = float("inf")) -> None:
        self._mark, self._since, self._patience = loss, 0, patience

    def note(self, here: Answer) -> None:
        """Note where the search stands."""
        loss = here.loss.item()
        self._mark, self._since = (loss, 0) if loss < self._mark / 2 else (self._mark, self._since + 1)

    @property
    def stalled(self) -> bool:
        """True where the search should be given up."""
        return self._patience is not None and self._since > self._patience
