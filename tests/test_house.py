"""The code stays a house in which things are found; `python tests/house.py` prints the figures."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import house
import pytest

MOST_FILES_AT_THE_TOP, MOST_FLOORS, MOST_LONG_FUNCTIONS, MOST_INTERROGATIVE = 12, 12, 14, 0.02


@pytest.fixture(scope="module")
def ours():
    return house.House(house.DEFAULT)


@pytest.fixture
def small(tmp_path):
    """A package of three rooms: two import each other, one of them for annotations alone."""
    files = {
        "__init__.py": '"""What it is."""\n',
        "top.py": "def late():\n    from small import middle\n    from small.room.inner import X\n",
        "middle.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import small.room\nimport json\n",
        "room/__init__.py": "from .inner import X\n",
        "room/inner.py": '"""How, and why."""\nclass X:\n    """Whatever it is."""\n    from ..middle import json\n',
    }
    for name, text in files.items():
        path = tmp_path / "small" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return house.House(tmp_path / "small")


def test_few_files_lie_at_the_top(ours):
    assert len(ours.top_files) <= MOST_FILES_AT_THE_TOP


@pytest.mark.parametrize("type_checking", [False, True])
def test_nothing_imports_in_circles(ours, type_checking):
    assert house.circles(ours.room_imports(type_checking=type_checking)) == []
    assert house.circles(ours.imports(type_checking=type_checking)) == []


def test_the_house_is_not_too_high(ours):
    chain = house.longest_chain(ours.room_imports(type_checking=True))
    assert len(chain) <= MOST_FLOORS, chain


def test_functions_and_files_are_short(ours):
    functions = house.over(ours.function_lengths, house.LONG_FUNCTION)
    assert len(functions) <= MOST_LONG_FUNCTIONS, functions
    assert house.over(ours.file_lengths, house.LONG_FILE) == []


def test_what_strangers_wrote_is_read_in_one_place(ours):
    """Images with a list of formats and a limit on pixels; JSON with limits on depth, size and digits.

    Lines end at line feeds: other separators, which `splitlines` takes for ends too, may be anywhere in data.
    """
    plugins = sorted(house.DEFAULT.parent.glob("plugins/*/src/*"))
    houses = (ours, *(house.House(folder) for folder in plugins if folder.is_dir()))
    found = {(name, call) for each in houses for name, tree in each.trees.items() for call in calls(tree)}
    wanted = {("equidiff.images.read", "Image.open"), ("equidiff.folders.json_files", "json.loads")}
    assert found == wanted


def calls(tree):
    """Calls of parsers that have no limits of their own."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    functions = [each for each in functions if isinstance(each, ast.Attribute)]
    named = (f"{getattr(each.value, 'id', '')}.{each.attr}" for each in functions)
    return {name for name in named if name in {"Image.open", "json.load", "json.loads"} or name.endswith(".splitlines")}


def test_every_text_file_is_opened_with_its_encoding(ours):
    """The locale's is ASCII in containers and cp1252 on Windows, and cannot hold a name or an error."""
    plugins = sorted(house.DEFAULT.parent.glob("plugins/*/src/*"))
    houses = (ours, *(house.House(folder) for folder in plugins if folder.is_dir()))
    calls = [(name, node) for each in houses for name, tree in each.trees.items() for node in ast.walk(tree)]
    assert [(name, ast.unparse(node)) for name, node in calls if lacks_encoding(node)] == []
    for text in ("p.open()", "p.open('a')", "open(p)", "open(p, 'w')", "p.read_text()", "p.write_text('x')"):
        assert lacks_encoding(ast.parse(text).body[0].value), text


def lacks_encoding(node):
    if not isinstance(node, ast.Call) or any(each.arg == "encoding" for each in node.keywords):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name in {"read_text", "write_text"}:
        return True
    modes = node.args[1:] if isinstance(node.func, ast.Name) else node.args
    modes = [each.value for each in modes if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    is_file = bool(modes) or len(node.args) == isinstance(node.func, ast.Name)
    return name == "open" and is_file and all(re.fullmatch(r"[rwax+t]+", mode) for mode in modes)


def test_docstrings_name_the_thing(ours):
    asking = [place for place, text in ours.docstrings.items() if house.is_interrogative(text)]
    assert len(asking) <= MOST_INTERROGATIVE * len(ours.docstrings), asking


def test_imports_are_found_wherever_they_stand(small):
    assert small.imports() == {
        "small": set(),
        "small.top": {"small.middle", "small.room.inner"},
        "small.middle": set(),
        "small.room": {"small.room.inner"},
        "small.room.inner": {"small.middle"},
    }
    assert small.imports(type_checking=True)["small.middle"] == {"small.room"}


def test_circles_and_chains_of_rooms(small):
    assert house.circles(small.room_imports()) == []
    assert house.longest_chain(small.room_imports()) == ["top", "room", "middle"]
    assert house.circles(small.room_imports(type_checking=True)) == [{"middle", "room"}]
    assert house.longest_chain(small.room_imports(type_checking=True)) == ["top", "middle", "room"]


def test_lengths_and_docstrings(small):
    assert small.function_lengths == {"small.top:1 late": 3}
    assert small.file_lengths["small.room.inner"] == 4
    assert [house.is_interrogative(text) for text in small.docstrings.values()] == [True, True, False]


def test_the_script_prints_the_figures(small):
    command = [sys.executable, str(Path(house.__file__)), str(small.folder)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "longest chain        3  top > middle > room\n" in printed
    assert "docstrings that ask  2 of 3 (66.7%)\n" in printed


ROOT = Path(__file__).parents[1]


def layers_of(text):
    return [re.findall(r"\w+", line) for line in text]


def test_the_page_draws_the_layers_that_the_linter_checks():
    page = (ROOT / "docs" / "explanation" / "design.md").read_text()
    drawn = re.search(r"\n\n((?:    .+\n)+)", page)[1].splitlines()
    checked = re.search(r"^layers = \[\n(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)[1]
    rooms = layers_of(line.strip().split("  ")[0] for line in drawn)
    assert rooms == layers_of(checked.splitlines())
    assert len(rooms) == 12
    there = {path.stem for path in (ROOT / "equidiff").iterdir() if not path.name.startswith("__")}
    assert {room for layer in rooms for room in layer} == there - {"plugin", "queries", "weights"}


def test_the_files_of_a_runs_life_are_there_and_no_more_than_nine_steps():
    page = (ROOT / "docs" / "explanation" / "design.md").read_text()
    steps = re.search(r"The life of one `equidiff run`:\n\n(.*?)\n\n", page, re.DOTALL)[1]
    assert len(re.findall(r"^\d+\. ", steps, re.MULTILINE)) <= 9
    files = re.findall(r"`([a-z_/]+\.py)`", steps)
    assert len(files) >= 9
    for file in files:
        assert (ROOT / "equidiff" / file).is_file(), file
