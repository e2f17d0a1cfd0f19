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


def test_a_table_with_a_wide_first_column_is_stacked(draw):
    rows = [(NAME, 5, "resid_post"), ("short", 10, "mlp_out")]
    lines = draw(("autoencoder", "layer", "site"), rows, 80).splitlines()
    assert lines[0] == "autoencoder"
    assert [line.split() for line in lines[1:]] == [
        ["layer", "site"], [NAME], ["5", "resid_post"], ["short"], ["10", "mlp_out"]
    ]  # fmt: skip
    assert (
        len({line.index(word) for line, word in zip(lines[1::2], ("site", "resid_post", "mlp_out"), strict=True)}) == 1
    )


def test_a_stacked_table_whose_other_columns_do_not_fit_names_each_cell(draw):
    lines = draw(("autoencoder", "layer", "site"), [(NAME, 5, "word " * 20)], 80).splitlines()
    assert [line.split() for line in lines[:3]] == [["autoencoder"], [NAME], ["layer", "5"]]
    assert lines[3].split()[:2] == ["site", "word"]


METHODS = ["saliency", "integrated_gradients", "random"]
NUMBERS = ["ranks, members", "ranks, query", "top, members", "top, query", "AUC", "AUC, seen", "infidelity", "seconds"]


@pytest.mark.parametrize(("width", "tables"), [(60, 3), (80, 2), (120, 1)])
def test_a_table_of_many_columns_is_split_into_tables_that_fit(draw, width, tables):
    rows = [[name, *(f"0.{place}{column}7" for column in range(len(NUMBERS)))] for place, name in enumerate(METHODS)]
    drawn = draw(["method", *NUMBERS], rows, width)
    lines = drawn.splitlines()
    assert max(map(len, lines)) <= width
    assert "\u2026" not in drawn
    for row in rows:
        below = [line.split() for line in lines if line.split()[:1] == row[:1]]
        assert len(below) == tables
        assert [cell for line in below for cell in line[1:]] == row[1:]
        assert min(map(len, below)) > 2, "a table with one other column is no comparison"


def test_a_long_table_is_not_split(draw):
    rows = [[f"method {place}", *("0.125" for _ in NUMBERS)] for place in range(60)]
    lines = draw(["method", *NUMBERS], rows, 60).splitlines()
    assert sum("method 7 " in f"{line} " for line in lines) == 1


def test_a_note_is_wrapped_between_words_and_a_command_is_not(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    Terminal().note("many words and more of them, " * 6)
    Terminal().note(
        command := "Continue with: equidiff compare runs/a-run-with-a-long-name --methods saliency,occlusion"
    )
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err).splitlines()
    assert lines[-1] == command
    assert max(map(len, lines[:-1])) <= 60
    assert {word for line in lines[:-1] for word in line.split()} == {"many", "words", "and", "more", "of", "them,"}


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
