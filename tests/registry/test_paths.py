"""Paths inside specs, as people type them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equidiff.errors import SpecError
from equidiff.registry.paths import escape, escape_paths, unescape
from equidiff.registry.specs import Spec, parse_list, parse_sum, print_sum

NAMES = ["a+b.pt", "c,d.pt", "weights%20final.pt", "e=f,g=h.pt", "w%2Bz.pt", "50% [1]:2 'q'\".pt", "z\udce8,\udcff+.pt"]


def holds(*names):
    return lambda path: path in names


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_needs_no_escapes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    first = Spec("classifier", "5", {"model": "resnet18", "checkpoint": name, "pad": "same"})
    second = Spec("custom", f"./{name}:score")
    typed = f"classifier:5,model=resnet18,checkpoint={name},pad=same + 0.5*custom:./{name}:score"
    assert parse_sum(typed) == [(1.0, first), (0.5, second)]
    printed = print_sum(parse_sum(typed))
    printed.encode("ascii")
    assert parse_sum(printed) == parse_sum(typed)
    (tmp_path / name).unlink()
    assert parse_sum(printed) == [(1.0, first), (0.5, second)]
    assert parse_list(f"{first},{second}") == [first, second]


def test_the_longest_name_wins_and_what_was_escaped_stays():
    both = holds("a", "a,b=c", "x%2By", "x+y")
    assert escape_paths("n:1,file=a,b=c", both) == "n:1,file=a%2Cb=c"
    assert escape_paths("n:1,file=a,d=c", both) == "n:1,file=a,d=c"
    assert escape_paths("n:1,file=x%2By", both) == "n:1,file=x%2By"  # x+y, as it was printed
    assert escape_paths("n:1,file=x%2By", holds("x%2By")) == "n:1,file=x%252By"


def test_without_such_a_file_nothing_changes():
    for text in ("neuron:a + 0.5*neuron:b,model=x", "sae:6547,layer=9,tokens=cls", "custom:./a%2Bb.py:score"):
        assert escape_paths(text, holds("a", "b", "x", "9")) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [("neuron:3,checkpoint=a+b.pt", "checkpoint=a%2Bb.pt "), ("neuron:3,checkpoint=a,b.pt", "checkpoint=a%2Cb.pt ")],
)
def test_an_error_shows_how_a_name_is_written_that_is_not_there(text, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as error:
        parse_sum(text)
    assert hint in error.value.hint
    with pytest.raises(SpecError) as error:
        parse_sum("neuron:3 + neuron:4,layer")
    assert "%2C" in error.value.hint


@given(st.binary(max_size=12))
def test_any_name_is_escaped_to_ascii_letters_that_no_parser_splits(name):
    text = os.fsdecode(name)
    assert unescape(escape(text)) == text
    assert not set(escape(text)) & set(",+")
    escape(text).encode("utf-8")
