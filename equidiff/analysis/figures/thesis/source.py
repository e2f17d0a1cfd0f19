"""Source of a figure: the data of a run; and the style that all figures share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from equidiff.analysis.figures.captions import headline
from equidiff.errors import UnsupportedError
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.session import Session

# the palette of Okabe and Ito, which suits all kinds of colour vision
QUERY, MEMBER, PRIOR, TARGET = "#000000", "#d55e00", "#0072b2", "#666666"
TEXT = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a name with dollar signs is not a formula
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "equidiff",  # the same figure is the same file
}

Show = Callable[[int, str], None]


@dataclass(frozen=True)
class Source:
    """A run, as figures need it.

    Attributes:
        found: its records and tensors.
        session: its components; None for figures that need none.
        show: called with the number of rows that went through generator or objective.
    """

    found: InvariantSet
    session: Session | None = None
    show: Show = lambda _done, _state: None

    @property
    def parts(self) -> Session:
        """The run's components.

        Raises:
            UnsupportedError: the source has none.
        """
        if self.session is None:
            raise UnsupportedError("This figure needs the components of the run.", expected="an opened run")
        return self.session

    @property
    def query(self) -> Tensor | None:
        """The query in the samples' size, `[1, *sample_shape]`; None if there is none."""
        return None if self.found.query is None else self.found.kind.fit(self.found.query, self.found.sample_shape)

    @property
    def title(self) -> str:
        """Title of the figure: the objective and its value."""
        return headline(self.found)[0]

    @property
    def target_name(self) -> str:
        """Source of the value that the members have: "query" or "target"."""
        return "target" if self.found.query is None else "query"

    def part(self, drawn: InvariantSet) -> str:
        """Note for a title that not all members are drawn; empty if they are."""
        total = len(self.found)
        return "" if len(drawn) == total else f" ({len(drawn)} of {total} members, drawn by the seed)"

    @torch.no_grad()
    def apply(
        self, function: Callable[[Tensor], Tensor], rows: Tensor, doing: str, done: int = 0, axis: int = 0
    ) -> Tensor:
        """Apply a function to rows, in batches as large as the run's, and join the results on the CPU.

        Args:
            function: takes rows on the run's device.
            rows: `[n, ...]`.
            doing: description for the progress bar.
            done: rows done before.
            axis: axis of the results along which the rows lie.
        """
        pieces = []
        for chunk in rows.split(self.parts.settings.batch):
            pieces.append(function(chunk.to(self.parts.device)).float().cpu())
            done += len(chunk)
            self.show(done, doing)
        return torch.cat(pieces, dim=axis)


def unit_label(found: InvariantSet) -> str:
    """Axis label for measurements: the unit, and the name of the output if there is only one."""
    target = found.info.target
    return f"{target.names[0]} ({target.unit})" if len(target.names) == 1 else target.unit
