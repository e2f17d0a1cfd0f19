"""Files of sweeps: what they mean, and everything that is refused before anything starts, with its place."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equidiff.errors import EquiDiffError, UsageError
from equidiff.sweep.check import SETTINGS, check_runs
from equidiff.sweep.document import MOST_BYTES, read_document
from equidiff.sweep.plan import combine, name_runs, varied_settings
from equidiff.testing import load_plugins

LETTERS = "abcdefghi"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(LETTERS)
)


def read(tmp_path, text):
    file = tmp_path / "s.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_document(file, SETTINGS)


def runs(tmp_path, text):
    return [run.settings for run in combine(read(tmp_path, text))[0]]


def test_a_value_is_the_text_that_one_would_type(tmp_path):
    (run,) = runs(tmp_path, "tolerance: 1e-3\nseed: 010\nquery: no\nbudget: 1_0\nsaved: 2026-11-26")
    assert run == {"tolerance": "1e-3", "seed": "010", "query": "no", "budget": "1_0", "saved": "2026-11-26"}


def test_lists_multiply_and_the_last_varies_fastest(tmp_path):
    made = runs(tmp_path, "objective: neuron:act1.0-1\nseed: [7, 8]\nsamples: 4")
    assert [(run["objective"], run["seed"]) for run in made] == [
        ("neuron:act1.0", "7"), ("neuron:act1.0", "8"), ("neuron:act1.1", "7"), ("neuron:act1.1", "8"),
    ]  # fmt: skip
    assert {run["samples"] for run in made} == {"4"}


def test_entries_stand_in_for_common_settings(tmp_path):
    text = "samples: 4\nquery: 1\nruns:\n  - seed: 0-2\n  - {target: [p10, 0.5], samples: 8}\n  - query: 2"
    made = runs(tmp_path, text)
    assert made[:3] == [{"samples": "4", "query": "1", "seed": seed} for seed in "012"]
    assert made[3:] == [
        {"samples": "8", "target": "p10"}, {"samples": "8", "target": "0.5"}, {"samples": "4", "query": "2"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "text", "values"),
    [
        ("objective", "neuron:3-5", ["neuron:3", "neuron:4", "neuron:5"]),
        ("objective", "neuron:l.1.0-9:4,model=a", [
            "neuron:l.1.0,model=a", "neuron:l.1.4,model=a", "neuron:l.1.8,model=a",
        ]),
        ("objective", "neuron:0-1 + 0.5*classifier:7-8", [
            "neuron:0 + 0.5*classifier:7", "neuron:0 + 0.5*classifier:8",
            "neuron:1 + 0.5*classifier:7", "neuron:1 + 0.5*classifier:8",
        ]),
        ("objective", "neuron:3,checkpoint=epoch.1-2", ["neuron:3,checkpoint=epoch.1-2"]),
        ("objective", "classifier:t-72", ["classifier:t-72"]),
        ("objective", "custom:./a-1.py:f", ["custom:./a-1.py:f"]),
        ("query", "prior:4-5", ["prior:4", "prior:5"]),
        ("query", "2-3", ["2", "3"]),
        ("seed", "0-4:2", ["0", "2", "4"]),
        ("samples", "1-3", ["1-3"]),
    ],
)  # fmt: skip
def test_ranges(tmp_path, setting, text, values):
    assert [run[setting] for run in runs(tmp_path, f"{setting}: '{text}'")] == values


def test_a_pattern_is_every_file_that_matches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.png", "a[1].png", "c.txt"):
        (tmp_path / name).touch()
    assert [run["query"] for run in runs(tmp_path, "query: '*.png'")] == ["a.png", "a[1].png", "b.png"]
    assert [run["query"] for run in runs(tmp_path, "query: 'a[1].png'")] == ["a[1].png"]  # a file, and no pattern


def test_a_run_that_is_named_twice_is_one(tmp_path):
    made, twice = combine(read(tmp_path, "seed: [0-3, 2, 3]"))
    assert [run.settings["seed"] for run in made] == ["0", "1", "2", "3"]
    assert twice == 2


BAD = [
    ("", ["empty"]),
    ("- 3", ["line 1", "NAME: VALUE"]),
    ("objektive: neuron:3", ["line 1", "no setting 'objektive'", "did you mean: objective", "objective: neuron:3"]),
    ("seed: 0\n\nseed: 1", ["line 3", "given twice"]),
    ("runs: []", ["line 1", "list of settings"]),
    ("seed: 0\nruns:\n  - seed: 1\n  - sead: 2", ["line 4", "'sead'", "seed: 2"]),
    ("seed: []", ["line 1", "is empty"]),
    ("seed: [1, [2]]", ["line 1", "one word"]),
    ("target: [[0.1, 0.2]]", ["line 1", "0.1,0.2"]),
    ("seed:", ["line 1", "has no value"]),
    ("seed: {a: 1}", ["line 1", "one word"]),
    ("query: 1\ntarget: 2", ["Both a query and a target"]),
    ("runs:\n  - {query: 1, target: 2}", ["line 2", "Both"]),
    ("objective: neuron:9-3", ["line 1", "no numbers", "objective: neuron:3-9"]),
    ("query: 'nothing-*.png'", ["line 1", "No file matches"]),
    ("seed: 0-99999\nquery: [1, 2]", ["200,000 runs", "100,000"]),
    ("seed: 0-999999999\nobjective: neuron:0-999999999", ["1,000,000,000,000,000,000 runs"]),
    ("seed: 'a\n", ["line", "not YAML"]),
    ("seed: [1\n", ["not YAML"]),
    (BOMB, ["line 1", "aliases"]),
    ("[" * 100_000, ["nest"]),
    ("{a: " * 100_000, ["nest"]),
    ("[" * 9, ["nested too deeply"]),
    (b"\xff\xfe\xff", ["UTF-8"]),
    ("#" * (MOST_BYTES + 1), ["too large"]),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_bad_files(tmp_path, text, words):
    with pytest.raises(UsageError) as caught:
        combine(read(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


def test_tags_are_texts_and_construct_nothing(tmp_path):
    (run,) = runs(tmp_path, "query: !!python/name:os.system x\nseed: !!int 3")
    assert run == {"query": "x", "seed": "3"}


@settings(max_examples=60, deadline=None)
@given(st.text("[]{}:-&*!?|>#%@,'\"\n seda01", max_size=60) | st.text(max_size=40) | st.binary(max_size=40))
def test_any_text_is_runs_or_one_error(tmp_path_factory, text):
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    with suppress(EquiDiffError):
        combine(read(tmp_path_factory.mktemp("any"), content))


def test_names_are_safe_and_unique():
    queries = ("/etc/passwd", "../" * 50, "ü ' \n;", "..")
    made = [
        {"objective": text, "query": query} for text in ("custom:../../x.py:f", "neuron:3 + x") for query in queries
    ]
    names = [run.name for run in name_runs(made, varied_settings(made))]
    assert len(set(names)) == len(made)
    for name in names:
        assert name.isascii()
        assert not set(name) & set("/\\ '\n;:")
        assert len(name) < 100
        assert name[:5].isdecimal()
        assert not name.endswith(".")


@pytest.mark.parametrize(("name", "count"), [("units", 12), ("questions", 100)])
def test_the_examples_are_sweeps(name, count):
    document = read_document(Path(__file__).parents[2] / "examples" / f"{name}.yaml", SETTINGS)
    runs, twice = combine(document)
    check_runs(document, runs, load_plugins("equidiff.builtin"), run_code=False)
    assert (len(runs), twice) == (count, 0)
