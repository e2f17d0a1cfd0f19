"""Tables on terminals of several widths."""

import re

import pytest

from equidiff.cli.console import Terminal

NAME = "imagenet-sweep-vanilla-x64-Spatial_max_5-hook_resid_post-964.67407226"


@pytest.fixture
def draw(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    def draw(columns, rows, width):
        monkeypatch.setenv("COLUMNS", str(width))
        Terminal().table(columns, rows)
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)

    return draw


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_cell_is_cut(draw, width):
    drawn = draw(("autoencoder", "layer", "site"), [(NAME, 5, "resid_post"), ("short", 6, "mlp_out")], width)
    assert "\u2026" not in drawn
    for cell in ("resid_post", "mlp_out", "short"):
        assert cell in drawn
    assert NAME in drawn.replace(" ", "").replace("\n", "")
    assert max(map(len, drawn.splitlines())) <= width


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_first_column_stays_whole_beside_long_texts(draw, width):
    drawn = draw(("name", "summary"), [("integrated_gradients", "word " * 60)], width)
    assert "integrated_gradients" in drawn
    assert drawn.count("word") == 60


def test_a_table_that_does_not_fit_is_stacked(draw):
    lines = draw(("autoencoder", "layer", "site"), [(NAME, 5, "resid_post")], 80).splitlines()
    assert [line.split() for line in lines] == [["autoencoder"], [NAME], ["layer", "5"], ["site", "resid_post"]]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_word_and_no_number_is_broken(draw, width):
    columns = ("diversity", "members", "95 % interval", "prior", "unit")
    rows = [
        ("correlation of neighbouring numbers", "-0.836", "-2.03 to 0.589", "-0.389", "sd of white noise"),
        ("  over prior samples", "0.679", "0.312 to 1.11", "1", "feature units"),
    ]
    drawn = draw(columns, rows, width)
    assert max(map(len, drawn.splitlines())) <= width
    for row in rows:
        assert row[0] in drawn
    for word in " ".join(" ".join(row) for row in (columns, *rows)).split():
        assert word in drawn.split()


def test_a_long_text_gets_the_room_that_short_ones_leave(draw):
    lines = draw(("name", "count", "summary"), [("one", "2", "word " * 30)], 80).splitlines()
    assert max(line.count("word") for line in lines) >= 11
