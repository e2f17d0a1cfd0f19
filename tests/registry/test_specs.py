"""Spec strings: parsing what was printed is the identity, and what is malformed is refused."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equidiff.errors import SpecError
from equidiff.registry.specs import Spec, parse_list, parse_sum, print_list, print_sum

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)
# surrogates cannot be encoded, so they cannot come from a command line or a file
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SPECS = st.builds(Spec, NAMES, st.none() | TEXTS, st.dictionaries(NAMES, VALUES, max_size=4))
WEIGHTS = st.floats(allow_nan=False, allow_infinity=False)
TERMS = st.lists(st.tuples(WEIGHTS, SPECS), min_size=1, max_size=4)


@given(SPECS)
def test_parse_print_parse_is_the_identity(spec):
    assert Spec.parse(str(spec)) == spec
    assert str(Spec.parse(str(spec))) == str(spec)


@given(TERMS)
def test_parse_print_parse_is_the_identity_for_sums(terms):
    assert parse_sum(print_sum(terms)) == terms
    assert print_sum(parse_sum(print_sum(terms))) == print_sum(terms)


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text):
    try:
        spec = Spec.parse(text)
    except SpecError:
        return
    assert Spec.parse(str(spec)) == spec


@given(st.text(max_size=40))
def test_any_text_is_a_sum_or_refused(text):
    try:
        terms = parse_sum(text)
    except SpecError:
        return
    assert parse_sum(print_sum(terms)) == terms


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("toy", Spec("toy")),
        ("toy:circles", Spec("toy", "circles")),
        ("  toy:circles ", Spec("toy", "circles")),
        ("sae:6547,layer=9,tokens=cls", Spec("sae", "6547", {"layer": "9", "tokens": "cls"})),
        ("custom:./probe.py:score", Spec("custom", "./probe.py:score")),
        ("custom:my_module:my_function", Spec("custom", "my_module:my_function")),
        ("auto,pool=16", Spec("auto", None, {"pool": "16"})),
        ("neuron:3,checkpoint=a=b.pt", Spec("neuron", "3", {"checkpoint": "a=b.pt"})),
        ("neuron:3,checkpoint=", Spec("neuron", "3", {"checkpoint": ""})),
        ("custom:a%2Cb%2Bc%25d:f", Spec("custom", "a,b+c%d:f")),
    ],
)
def test_parsed_as_documented(text, spec):
    assert Spec.parse(text) == spec


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("neuron:a + 0.5*neuron:b", [(1.0, Spec("neuron", "a")), (0.5, Spec("neuron", "b"))]),
        ("-1*neuron:a+.5 * neuron:b", [(-1.0, Spec("neuron", "a")), (0.5, Spec("neuron", "b"))]),
        ("1e-3*neuron:a", [(0.001, Spec("neuron", "a"))]),
        ("1e3*neuron:a", [(1000.0, Spec("neuron", "a"))]),
    ],
)
def test_sums_parsed_as_documented(text, terms):
    assert parse_sum(text) == terms


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not the name of a component"),
        ("   ", "not the name of a component"),
        (":circles", "not the name of a component"),
        ("3toy", "not the name of a component"),
        ("to y", "not the name of a component"),
        ("toy:", "argument after the colon is empty"),
        ("toy,", "written key=value"),
        ("toy,steps", "written key=value"),
        ("toy,=3", "written key=value"),
        ("toy,a b=3", "written key=value"),
        ("toy,steps=3,steps=4", "given twice"),
    ],
)
def test_malformed_specs_are_refused(text, problem):
    with pytest.raises(SpecError, match=problem) as caught:
        Spec.parse(text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "+", "neuron:a +", "+ neuron:a", "neuron:a + + neuron:b", "2*", "x*neuron:a"])
def test_malformed_sums_are_refused(text):
    with pytest.raises(SpecError):
        parse_sum(text)


@pytest.mark.parametrize(
    "text",
    ["toy:circles", "sae:6547,layer=9,tokens=cls", "neuron:layer4.1656", "custom:./probe.py:score", "lowpass:0.5"],
)
def test_specs_need_no_quotes_in_a_shell(text):
    assert shlex.split(text) == [text]
    assert not set(text) & set("*?[]{}()<>|&;$`!#~\"' \\")


METHODS = st.lists(SPECS, min_size=1, max_size=4)


@given(METHODS)
def test_parsing_a_printed_list_gives_the_same_specs(specs):
    assert parse_list(print_list(specs)) == specs


def test_options_belong_to_the_name_before_them():
    specs = parse_list("occlusion,window=7, stride=4,saliency,noise_tunnel:occlusion%2Cwindow=7,samples=3")
    assert [(spec.name, spec.argument, dict(spec.options)) for spec in specs] == [
        ("occlusion", None, {"window": "7", "stride": "4"}),
        ("saliency", None, {}),
        ("noise_tunnel", "occlusion,window=7", {"samples": "3"}),
    ]


@pytest.mark.parametrize("text", ["", "a,,b", "a,", "x=3,a", "a,x=1,x=2", "a, ,b", "a,b:"])
def test_malformed_lists_are_refused(text):
    with pytest.raises(SpecError):
        parse_list(text)


@pytest.mark.parametrize(
    "text",
    [
        "neuron:17" + ",a=1" * 5000,
        " + ".join(["neuron:17"] * 3000),
        "neuron:" + "x" * 20_000,
        "neuron:17" + ",%2C" * 5000,
    ],
    ids=["options", "terms", "letters", "escapes"],
)
@pytest.mark.parametrize("parse", [Spec.parse, parse_sum, parse_list])
def test_a_text_that_nobody_types_is_refused_before_it_is_read(text, parse):
    with pytest.raises(SpecError, match="too long for a spec"):
        parse(text)
