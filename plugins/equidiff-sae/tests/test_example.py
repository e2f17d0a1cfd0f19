"""The example and the figures that the documentation shows."""

import re
import runpy
from importlib.resources import files
from pathlib import Path

import pytest
from equidiff_sae.catalog import fashion_facts


def test_the_example_of_the_documentation(capsys):
    runpy.run_path(str(Path(__file__).parents[1] / "examples" / "encode.py"))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("on in the bag: [")
    error, variance = (float(word) for word in second.split() if word[0].isdigit())
    assert error < 0.4 * variance


def test_the_documentation_shows_the_features_and_figures_that_ship():
    page = Path(__file__).parents[3] / "docs" / "how-to" / "sae-features.md"
    if not page.exists():
        pytest.skip("the documentation is not part of an installed plugin")
    text, facts = page.read_text(), fashion_facts()
    rows = re.findall(r"\| (\d+) \| ([^|]+) (?=\|)", text)
    assert sorted((int(index), shows) for index, shows in rows) == [
        (each["index"], each["shows"]) for each in facts["features"]
    ]
    prose = " ".join(text.split())  # lines may break anywhere
    assert f"{100 * facts['explained_variance']:.2f} % of the variance with {facts['l0']} features" in prose
    assert f"{facts['dead']} of the {facts['d_sae']} are never on" in prose


def test_the_shipped_weights_are_small():
    folder = Path(str(files("equidiff_sae"))) / "weights"
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 6e6
