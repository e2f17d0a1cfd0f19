"""The page about agreement with other libraries: it says what was measured, and what was measured agrees."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARITY = runpy.run_path(str(ROOT / "docs" / "parity.py"))
measured = PARITY["parity"]
SECTIONS = measured.names()


def test_the_page_says_what_was_measured():
    assert PARITY["PAGE"].read_text() == PARITY["page"](), "run: python docs/parity.py --keep"


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_has_been_measured_and_agrees(name):
    content = measured.read(name)
    assert content is not None, f"run: python docs/parity.py {name}"
    assert content["versions"]
    for row in content["rows"]:
        if row.refused is None:
            assert row.difference < 1e-4, row
            assert row.gradient is None or row.gradient < 1e-2 or row.note, row


def test_a_measurement_is_kept_and_read_back(tmp_path, monkeypatch):
    section = tmp_path / "planted.py"
    section.write_text(
        '"""A planted section.\n\nWith a text\nof two lines.\n"""\n'
        "from benchmarks.parity import Row\n"
        "LIBRARIES = ('numpy',)\n"
        "def rows():\n"
        "    yield Row('a|b', 'weights', 2e-7, 3e-4)\n"
        "    yield Row('c', 'more', refused='it is a video')\n"
    )
    monkeypatch.setattr(measured, "DATA", tmp_path / "data")
    monkeypatch.setattr(measured, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "benchmarks.parity.planted", raising=False)
    assert measured.names() == ["planted"]
    assert measured.read("planted") is None
    assert [row.name for row in measured.measure("planted")] == ["a|b", "c"]
    page = PARITY["page"]()
    assert "## A planted section\n\nWith a text of two lines.\n\nMeasured with numpy " in page
    assert "| a\\|b | weights | 2.0e-07 | 3.0e-04 |" in page
    assert "| c | more | it is a video |" in page
