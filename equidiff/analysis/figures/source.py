"""What a figure is drawn from, and what all of them look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from equidiff.analysis.figures.overview import headline
from equidiff.errors import UnsupportedError
from equidiff.images.convert import fit_query
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.session import Session

# Okabe and Ito's, which people with any colour vision tell apart
QUERY, MEMBER, PLAIN, TARGET = "#000000", "#d55e00", "#0072b2", "#666666"
TEXT = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a name with dollar signs is no formula
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "equidiff",  # the same figure is the same file
}

Show = Callable[[int, str], None]


@dataclass(frozen=True)
class Source:
    """A run, as figures need it.

    Attributes:
        found: its records and tensors.
        session: its parts; None for figures that need none.
        show: is told how many rows went through generator or objective.
    """

    found: InvariantSet
    session: Session | None = None
    show: Show = lambda _done, _state: None

    @property
    def parts(self) -> Session:
        """The run's parts.

        Raises:
            UnsupportedError: the figure was said to need none.
        """
        if self.session is None:
            raise UnsupportedError("This figure needs the parts of the run.", expected="an opened run")
        return self.session

    @property
    def query(self) -> Tensor | None:
        """The query in the samples' size, `[1, *sample_shape]`; None where there is none."""
        return None if self.found.query is None else fit_query(self.found.query, self.found.samples.shape[1:])

    @property
    def title(self) -> str:
        """What the figure is of."""
        return headline(self.found)[0]

    @property
    def whose(self) -> str:
        """Whose value the members have."""
        return "target" if self.found.query is None else "query"

    @torch.no_grad()
    def through(
        self, function: Callable[[Tensor], Tensor], rows: Tensor, doing: str, done: int = 0, axis: int = 0
    ) -> Tensor:
        """What a function makes of rows, in passes as large as the run's; joined along an axis, on the CPU.

        Args:
            function: takes rows on the run's device.
            rows: `[n, ...]`.
            doing: a word for it.
            done: rows that were done before.
            axis: of the results, along which the rows lie.
        """
        pieces = []
        for chunk in rows.split(self.parts.settings.batch):
            pieces.append(function(chunk.to(self.parts.device)).float().cpu())
            done += len(chunk)
            self.show(done, doing)
        return torch.cat(pieces, dim=axis)


def unit_label(found: InvariantSet) -> str:
    """An axis label for measurements: the output's name, where there is one alone, and the unit."""
    target = found.info.target
    return f"{target.names[0]} ({target.unit})" if len(target.names) == 1 else target.unit
