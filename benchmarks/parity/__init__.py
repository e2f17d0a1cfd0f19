"""Agreement with the libraries that models come from, measured: the sections of docs/reference/parity.md.

    python docs/parity.py                 # measure all sections, and write the page
    python docs/parity.py timm            # measure one of them; the others stay as they were measured

Each module of this package is a section, in the order of their names. To add one, write a module with

- a docstring: its first line is the section's heading, and the rest is the text below it;
- `LIBRARIES`, names of the distributions that it compares with, which the page lists with their versions;
- `rows()`, which yields a `Row` for each model, as soon as it has been measured.

A row says what was loaded, and by how much EquiDiff's values differ from those of the library's own code. Random
weights will do where a library needs a network to get trained ones: what is compared is the code. Measurements are kept
in docs/data/parity, one file for each section.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
DATA = ROOT / "docs" / "data" / "parity"


@dataclass(frozen=True)
class Row:
    """One line of a section's table.

    Attributes:
        name: of the family, class or model, in Markdown.
        loaded: what was loaded, and how, in Markdown.
        difference: largest difference of a value from that of the library's own code; None if there is none to compare.
        gradient: relative difference of a derivative from a finite difference; None if it was not measured.
        refused: the reason why it cannot be used; None if it can.
        note: what a reader must know beside the numbers.
    """

    name: str
    loaded: str
    difference: float | None = None
    gradient: float | None = None
    refused: str | None = None
    note: str = ""


def names() -> list[str]:
    """Names of the sections."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def section(name: str) -> ModuleType:
    """Module of a section; it may import libraries that are not installed."""
    return importlib.import_module(f"{__name__}.{name}")


def measure(name: str) -> Iterator[Row]:
    """Measure a section, and keep its rows when all are there."""
    module = section(name)
    rows = []
    for row in module.rows():
        rows.append(row)
        yield row
    heading, _, text = (module.__doc__ or name).partition("\n")
    content = {
        "heading": heading.rstrip("."),
        "text": " ".join(text.split()),
        "versions": {each: importlib.metadata.version(each) for each in module.LIBRARIES},
        "rows": [asdict(row) for row in rows],
    }
    DATA.mkdir(parents=True, exist_ok=True)
    _file(name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(name: str) -> dict[str, Any] | None:
    """Measurements of a section: heading, text, versions and rows; None if it has never been measured."""
    file = _file(name)
    if not file.is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    return {**content, "rows": [Row(**row) for row in content["rows"]]}


def _file(name: str) -> Path:
    return DATA / f"{name}.json"
