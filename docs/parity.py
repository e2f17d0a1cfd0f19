"""Write docs/reference/parity.md: how close EquiDiff's values are to those of the libraries that models come from.

    python docs/parity.py                        # measure everything, and write the page: several minutes
    python docs/parity.py diffusers_pipelines    # measure one section anew, and keep the others
    python docs/parity.py --keep                 # write the page from what was measured last

The measurements are made by the modules of benchmarks/parity, which says how to add one. A test fails if the page does
not say what was measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import parity  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "parity.md"
NOTICE = "<!-- Written by docs/parity.py from docs/data/parity; change the code, not this page. -->"
OPENING = """\
# Agreement with other libraries

EquiDiff runs models of other libraries. This page says how close its values are to those of each library's own code, as
measured by

    python docs/parity.py

on the versions named below. *Refused* means an error message that names the model and gives this reason."""


def main() -> None:
    """Measure sections, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of: {', '.join(parity.names())}")
    parser.add_argument("--keep", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    unknown = set(arguments.sections) - set(parity.names())
    if unknown:
        parser.error(f"not in benchmarks/parity: {', '.join(sorted(unknown))}")
    for name in [] if arguments.keep else arguments.sections or parity.names():
        for row in parity.measure(name):
            print(f"{name}: {row.name}, {row.loaded}: {row.refused or row.difference}", file=sys.stderr, flush=True)
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page, from the measurements on disk."""
    sections = [content for name in parity.names() if (content := parity.read(name)) is not None]
    return "\n".join([NOTICE, "", OPENING, "", *(line for each in sections for line in section(each))])


def section(content: dict[str, Any]) -> Iterator[str]:
    """Lines of a section: heading, text, versions, table of what works, table of what is refused."""
    yield f"## {content['heading']}"
    yield ""
    yield content["text"]
    yield ""
    yield "Measured with " + ", ".join(f"{name} {version}" for name, version in content["versions"].items()) + "."
    yield ""
    yield from supported([row for row in content["rows"] if row.refused is None])
    yield from refused([row for row in content["rows"] if row.refused is not None])


def supported(rows: list[parity.Row]) -> Iterator[str]:
    """Table of the models that work."""
    if not rows:
        return
    gradients = any(row.gradient is not None for row in rows)
    notes = any(row.note for row in rows)
    names = ["model", "loaded", "largest difference", *["gradient's error"] * gradients, *["note"] * notes]
    yield from table(names, [cells(row, gradients, notes) for row in rows])


def cells(row: parity.Row, gradients: bool, notes: bool) -> list[str]:
    """Cells of a row of a model that works."""
    return [row.name, row.loaded, number(row.difference), *[number(row.gradient)] * gradients, *[row.note] * notes]


def refused(rows: list[parity.Row]) -> Iterator[str]:
    """Table of the models that are refused."""
    if rows:
        yield from table(["refused", "which", "reason"], [[row.name, row.loaded, row.refused or ""] for row in rows])


def table(names: list[str], rows: list[list[str]]) -> Iterator[str]:
    """A table in Markdown."""
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def number(value: float | None) -> str:
    """A measured number, to two digits; a dash if it was not measured."""
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.1e}"


if __name__ == "__main__":
    main()
