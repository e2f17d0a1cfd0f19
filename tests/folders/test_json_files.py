"""JSON of strangers costs little, and errors are those of damaged files."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equidiff.folders import json_files
from equidiff.folders.json_files import MOST_DEPTH, parse_json, read_json, read_lines

LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(VALUES)
def test_values_are_those_of_the_parser_of_python(value):
    text = json.dumps(value)
    assert parse_json(text) == json.loads(text)
    assert parse_json(b"\xef\xbb\xbf" + text.encode()) == value  # a byte order mark, as some editors write it


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary() | st.text(alphabet='[]{}",:0123456789eE+-.NaInfity\\u ').map(str.encode))
def test_other_texts_are_value_errors(content):
    assert repr(result(parse_json, content)) == repr(result(lambda text: json.loads(text.decode()), content))


def result(parse, content):
    try:
        return parse(content)
    except ValueError:
        return "not JSON"


@pytest.mark.parametrize(
    "content",
    [
        "[" * 1_000_000,
        '{"a":' * 1_000_000,
        "[" * 33 + "]" * 33,
        '"' + "[" * 40,
        "9" * 1_000_000,
        str(2**64),
        "-" + "9" * 19,
    ],
    ids=["lists", "objects", "33", "a string", "digits", "65 bits", "-64 bits"],
)
def test_what_others_trip_over_is_refused(content):
    with pytest.raises(ValueError, match=r"nested|digits|Unterminated"):
        parse_json(content)


def test_limits_are_those_stated():
    deepest = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert json.dumps(parse_json(deepest)) == deepest
    assert parse_json('"' + "[{" * 1000 + '"') == "[{" * 1000  # brackets of a text are none
    assert parse_json(f"[{2**64 - 1}, {-(2**63)}]") == [2**64 - 1, -(2**63)]


def test_files_beyond_the_limit_and_pipes_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MOST_BYTES", 8)
    (tmp_path / "a").write_bytes(b"[1, 2]\n\n[1, 2, 3, 4]\n")
    with pytest.raises(ValueError, match="more than 8 bytes"):
        read_json(tmp_path / "a")
    lines = read_lines(tmp_path / "a")
    assert [next(lines), next(lines)] == [b"[1, 2]", b""]
    with pytest.raises(ValueError, match="more than 8 bytes"):
        next(lines)
    os.mkfifo(tmp_path / "pipe")
    for read in (read_json, lambda path: next(read_lines(path))):
        with pytest.raises(OSError, match="not a file"):
            read(tmp_path / "pipe")


def test_lines_end_at_line_feeds_alone(tmp_path):
    lines = ["a\u2028b", "c\x85d", "e\x0cf", "g\x1ch", "i\rj"]
    (tmp_path / "a").write_text("\n".join(lines), encoding="utf-8", newline="")
    assert [line.decode() for line in read_lines(tmp_path / "a")] == lines
