"""Tables of results: as text, as HTML for notebooks, and as data frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from equidiff.run.frames import import_pandas


@dataclass(frozen=True)
class Table:
    """Named columns, and rows of texts and numbers; None where there is no value."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def to_text(self) -> str:
        """Lines of aligned columns."""
        texts = [list(self.columns), *(list(map(_text, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts
        )

    def to_html(self) -> Markup:
        """A table element; all text is escaped."""
        head = Markup("").join(Markup("<th>{}</th>").format(column) for column in self.columns)
        rows = (Markup("").join(Markup("<td>{}</td>").format(_text(value)) for value in row) for row in self.rows)
        body = Markup("").join(Markup("<tr>{}</tr>").format(row) for row in rows)
        table = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)
        return Markup('<div style="overflow-x: auto">{}</div>').format(table)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`.

        Raises:
            PluginError: pandas is not installed.
        """
        return import_pandas().DataFrame(list(self.rows), columns=list(self.columns))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else str(value)
