"""The images of the documentation: each is listed, shown, and drawn by the code as it is."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image
from scipy.io import wavfile

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REDRAW = runpy.run_path(str(DOCS / "redraw.py"))
SOURCES = REDRAW["read_sources"]()
MOST_BYTES = 300_000  # of an image in the gallery, which has several


SOUNDS = [name for name in SOURCES if REDRAW["is_sound"](name)]


def images_of(page):
    return {Path(target).name for target in re.findall(r"!\[[^]]*\]\(([^)]+\.png)\)", page.read_text())}


def sounds_of(page):
    return {Path(target).name for target in re.findall(r"(?<!!)\[[^]]*\]\(([^)]+\.wav)\)", page.read_text())}


def test_every_image_is_listed_and_every_listed_image_exists():
    # docs/screenshot.py draws report.png, which names the templates that it shows
    files = [*(DOCS / "images").glob("*.png"), *(DOCS / "sounds").glob("*")]
    assert {path.name for path in files} - {"report.png"} == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_every_image_is_shown_on_a_page(name):
    assert any(name in images_of(page) | sounds_of(page) for page in [ROOT / "README.md", *DOCS.rglob("*.md")])


@pytest.mark.parametrize("name", SOURCES)
def test_images_are_not_stale(name):
    assert not REDRAW["is_stale"](SOURCES[name]), REDRAW["describe"](name, SOURCES[name])


@pytest.mark.parametrize("name", SOURCES)
def test_images_open_and_their_commands_write_them(name):
    if name not in SOUNDS:
        with Image.open(REDRAW["place_of"](name)) as image:
            assert min(image.size) > 100
    folder = SOURCES[name]["writes"].partition("/")[0]
    assert any(f"OUT/{folder}" in command for command in SOURCES[name]["commands"])


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_can_be_heard(name):
    rate, numbers = wavfile.read(REDRAW["place_of"](name))
    assert rate == 16_000
    assert len(numbers) >= rate / 4
    assert 0.7 < abs(numbers / 2**15).max() <= 1


def test_links_to_sounds_are_players():
    hooks = runpy.run_path(str(DOCS / "hooks.py"))
    page = '<p><a href="../../sounds/query.wav">the query</a> and <a href="x.html">a page</a></p>'
    player = '<span class="sound"><audio controls preload="none" src="../../sounds/query.wav"></audio> the query</span>'
    assert hooks["on_page_content"](page) == f'<p>{player} and <a href="x.html">a page</a></p>'


def test_images_of_the_gallery_are_small():
    shown = images_of(DOCS / "gallery.md")
    assert len(shown) >= 4
    assert all((DOCS / "images" / name).stat().st_size < MOST_BYTES for name in shown)


PROGRAM = '''"""A module."""

SIZE = 3


def draw(canvas):
    """Draw."""
    # a comment
    return canvas * SIZE


def other():
    return 1
'''


@pytest.fixture
def digest(tmp_path, monkeypatch):
    monkeypatch.setitem(REDRAW["code_lines"].__globals__, "ROOT", tmp_path)

    def of(program, place="drawing.py"):
        (tmp_path / "drawing.py").write_text(program)
        return REDRAW["digest"]([place])

    return of


@pytest.mark.parametrize(
    ("before", "after"),
    [("# a comment", "# another"), ('"""Draw."""', '"""Draw it all."""'), ("\n\n\ndef other", "\n\ndef other")],
)
def test_a_change_of_words_makes_no_image_stale(digest, before, after):
    assert before in PROGRAM
    assert digest(PROGRAM.replace(before, after)) == digest(PROGRAM)


@pytest.mark.parametrize(("before", "after"), [("SIZE = 3", "SIZE = 4"), ("canvas * SIZE", "canvas + SIZE")])
def test_a_change_of_code_makes_an_image_stale(digest, before, after):
    assert digest(PROGRAM.replace(before, after)) != digest(PROGRAM)


def test_a_single_function_or_constant_may_be_named(digest):
    changed = PROGRAM.replace("return 1", "return 2")
    for place in ("drawing.py:draw", "drawing.py:SIZE"):
        assert digest(changed, place) == digest(PROGRAM, place)
    assert digest(changed, "drawing.py:other") != digest(PROGRAM, "drawing.py:other")


def test_keeping_an_image_records_the_present_code(tmp_path, monkeypatch, capsys):
    space = REDRAW["main"].__globals__
    sources = {"a.png": {"commands": ["false"], "writes": "a.png", "code": ["drawing.py"], "digest": "old"}}
    (tmp_path / "drawing.py").write_text(PROGRAM)
    (tmp_path / "sources.json").write_text(json.dumps(sources))
    monkeypatch.setitem(space, "ROOT", tmp_path)
    monkeypatch.setitem(space, "SOURCES", tmp_path / "sources.json")
    monkeypatch.setattr("sys.argv", ["redraw.py"])
    assert REDRAW["main"]() == 1
    assert "python docs/redraw.py --keep a.png" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["redraw.py", "--keep", "a.png"])
    assert REDRAW["main"]() == 0
    assert "up to date" in capsys.readouterr().out
    assert json.loads((tmp_path / "sources.json").read_text())["a.png"]["digest"] != "old"


def test_redrawing_runs_the_commands_and_keeps_their_image(tmp_path, monkeypatch):
    monkeypatch.setitem(REDRAW["redraw"].__globals__, "IMAGES", tmp_path)
    code = "from PIL import Image; Image.new('RGB', (5, 7)).save('OUT/b.png')"
    REDRAW["redraw"]("a.png", {"commands": [f'{sys.executable} -c "{code}"'], "writes": "b.png"})
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (5, 7)
    with pytest.raises(SystemExit, match="the command failed: false"):
        REDRAW["redraw"]("a.png", {"commands": ["false"], "writes": "b.png"})
