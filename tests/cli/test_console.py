"""Tables, sentences, panels and thumbnails on terminals of several widths."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from equidiff.cli.console import Terminal
from equidiff.cli.console.search import duration
from equidiff.errors import EquiDiffError

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


def test_a_command_at_the_end_of_a_note_that_is_too_long_gets_its_own_line(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    command = "equidiff compare runs/a-run-with-a-long-name --methods saliency,occlusion"
    Terminal().note(f"Interrupted: 2 of 4 methods are finished and saved. Continue with: {command}")
    Terminal().note("Continue with: equidiff doctor")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err).splitlines()
    assert command in lines
    assert lines[-1] == "Continue with: equidiff doctor"
    assert max(len(line) for line in lines if line != command) <= 60


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


WIDTHS = (60, 80, 120)
SENTENCE = "Which samples of toy give pre-logits.17 the value of the generator's own query 3, and which do not? " * 2
COMMAND = "equidiff run --resume runs/20261126T134528Z-lightningdit-sae-6547-layer-9 --plugin ./my/own/plugin.py"


@pytest.fixture
def terminal(monkeypatch, capsys):
    """A terminal of some width, and a function that returns what was printed on it."""
    variables = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor", "LINES": "40"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)

    def make(width, **variables):
        for name, value in {"COLUMNS": str(width), **variables}.items():
            monkeypatch.setenv(name, value)
        return Terminal(), lambda: re.sub(r"\x1b\[[0-9;]*m", "", "".join(capsys.readouterr()))

    return make


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("say", ["note", "prose"])
def test_sentences_wrap_between_words(terminal, width, say):
    made, printed = terminal(width)
    getattr(made, say)(SENTENCE.strip())
    text = printed()
    assert text.split() == SENTENCE.split()
    assert width - 16 < max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_a_command_is_one_line(terminal, width):
    made, printed = terminal(width)
    made.command("continue with", COMMAND)
    assert printed() == f"continue with: {COMMAND}\n"


@pytest.mark.parametrize("width", WIDTHS)
def test_facts_wrap_beside_their_names_and_paths_stay_whole(terminal, width):
    made, printed = terminal(width)
    path = "runs/" + "a" * 130 + "/grid.png"
    made.facts([("called", SENTENCE.strip()), ("picture", path), ("try", COMMAND)])
    lines = printed().splitlines()
    assert path in lines
    assert COMMAND in lines or f"try      {COMMAND}" in lines
    texts = lines[: lines.index("picture")]
    assert all(len(line) <= width for line in texts)
    assert texts[0].startswith("called   Which")
    assert all(line.startswith(" " * 9) for line in texts[1:])
    assert " ".join(texts).split()[1:] == SENTENCE.split()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_panel_keeps_its_command_whole(terminal, width):
    made, printed = terminal(width)
    made.error(EquiDiffError(SENTENCE.strip(), given="x", hint=COMMAND))
    lines = printed().splitlines()
    framed = [line for line in lines if line[0] in "╭│╰"]
    assert {len(line) for line in framed} == {width}
    if width < 120:
        assert lines[-1] == f"try: {COMMAND}"
        assert not any("equidiff" in line for line in framed)
    else:
        assert any(COMMAND in line for line in framed)


@pytest.mark.parametrize(("width", "left_out"), [(60, ["interval", "unit"]), (80, ["unit"]), (120, [])])
def test_columns_are_chosen_by_width_and_those_left_out_are_named_once(terminal, width, left_out):
    made, printed = terminal(width)
    columns = ("fidelity", "members", "interval", "prior", "unit")
    rows = [("latents unlike the prior (p < 0.01)", "0.0625", "0.0111 to 0.283", "0.0156", "feature units")]
    for _ in range(2):
        made.table(columns, rows, spare=("unit", "interval"))
    text = printed()
    header = next(line for line in text.splitlines() if "fidelity" in line).split()
    assert header == [column for column in columns if column not in left_out]
    assert text.count("A wider terminal also shows: " + ", ".join(left_out)) == bool(left_out)
    assert rows[0][0] in text
    assert max(map(len, text.splitlines())) <= width


def test_elsewhere_nothing_is_left_out_or_wrapped(capsys):
    made = Terminal()
    made.note(SENTENCE)
    made.table(("name", "summary"), [("a", "word " * 60)], spare=("summary",))
    outcome = capsys.readouterr()
    assert outcome.err == SENTENCE + "\n"
    assert outcome.out.count("word") == 60


@pytest.mark.parametrize("size", [(16, 16), (10, 16), (16, 10), (16, 14), (40, 40)])
def test_thumbnails_show_the_pixels(terminal, capsys, size):
    made, _ = terminal(80)
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    with made.search(4) as display:
        assert display.pictures
        display.put_query(Image.fromarray(pixels), "query: bag")
        display.add(Image.new("L", (28, 28)), "a name that is far too long")
    shown = capsys.readouterr().err.rpartition("\x1b[?25h")[2]
    assert "query: bag" in shown
    assert "a name that is …" in shown
    drawn = np.zeros((16, 16, 3), dtype=np.uint8)
    for y, line in enumerate(each for each in shown.splitlines() if "▀" in each):
        plain_and_styled = re.findall(r"\x1b\[([0-9;]*)m([▀▄]+)\x1b\[0m|( )", line)
        x = 0
        for codes, blocks, _ in plain_and_styled:
            colours = [tuple(map(int, each)) for each in re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", codes)]
            for _ in blocks or " ":
                if x < 16 and blocks:
                    lower = blocks[0] == "▄"
                    drawn[2 * y + lower, x] = colours[0]
                    drawn[2 * y + 1, x] = colours[-1] if len(colours) > 1 or lower else 0
                x += 1
    expected = Image.fromarray(pixels)
    expected.thumbnail((16, 16))
    canvas = Image.new("RGB", (16, 16))
    canvas.paste(expected, ((16 - expected.width) // 2, (16 - expected.height) // 2))
    np.testing.assert_array_equal(drawn, np.asarray(canvas))


@pytest.mark.parametrize(
    "variables",
    [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "40"}, {"LINES": "10"}, {"COLORTERM": "", "TERM": "xterm"}],
    ids=str,
)
def test_terminals_without_colours_or_room_show_no_thumbnails(terminal, capsys, variables):
    made, _ = terminal(80, **variables)
    with made.search(4) as display:
        assert not display.pictures
        display.add(Image.new("L", (28, 28)), "bag")
    assert "▀" not in capsys.readouterr().err


def test_only_as_many_thumbnails_as_there_is_room_for(terminal, capsys):
    made, printed = terminal(80)
    with made.search(40) as display:
        for index in range(40):
            display.add(Image.new("L", (28, 28)), str(index))
    shown = printed().rpartition("\x1b[?25h")[2].splitlines()[1:]
    assert len(shown) == 18  # two rows
    assert shown[8].split() == ["0", "1", "2", "3"]
    assert shown[17].split() == ["4", "5", "6", "7"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.4, "8 s"), (99, "99 s"), (130, "2 min"), (3599, "1 h 0 min"), (4800, "1 h 20 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


EVIL = "\x1b]0;title\x07\x1b[2J[/bold][red]\x9b31m\u202eevil\x7f\u2028next\x85\ud800"


@pytest.mark.parametrize("colour", [True, False])
def test_escapes_and_markup_of_strangers_are_shown_not_obeyed(colour, monkeypatch, capsys):
    if colour:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    terminal = Terminal()
    terminal.note(EVIL)
    terminal.prose(EVIL)
    terminal.command("next", f"equidiff report {EVIL}")
    terminal.facts([("name", EVIL)])
    terminal.facts([("name", EVIL)], result=True)
    terminal.table(("a", EVIL), [(EVIL, "b")])
    terminal.error(EquiDiffError(EVIL, given=EVIL, expected=EVIL, similar=[EVIL], hint=f"equidiff show {EVIL}"))
    terminal.json(json.dumps({"x": EVIL}, ensure_ascii=False).replace("\ud800", ""))
    with terminal.status(EVIL) as tell:
        tell(EVIL)
    with terminal.progress(2, 0) as show:
        show(1, EVIL)
    printed = "".join(capsys.readouterr())
    assert printed.count("[/bold][red]") >= 10
    own = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed)  # what rich itself writes: colours, the cursor
    assert "\x1b[2J" not in printed
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u202e\ud800]", own)


def test_an_endless_text_of_a_file_is_cut(capsys):
    Terminal().error(EquiDiffError("x" * 10**7, given="y" * 10**7))
    assert len(capsys.readouterr().err) < 50_000


def test_json_with_characters_that_a_terminal_obeys_is_the_same_json(capsys):
    Terminal().json('{"x": "\x9b31m\u202e\x7f"}')
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {"x": "\x9b31m\u202e\x7f"}
