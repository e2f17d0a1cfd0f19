"""`--query top:FOLDER`: the picture that activates a unit most."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from running import assert_one_error, read_run, run_cli

import equidiff
from equidiff.contracts import BuildContext
from equidiff.errors import QueryError, RunFolderError
from equidiff.images.convert import image_to_tensor
from equidiff.rank import Plan, begin, rank
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.run import top_query
from equidiff.run.top_query import resolve_top

SMALL = ("-g", "toy:fashion,steps=2")
QUICK = ("-n", "1", "--budget", "1", "-r", "none", "-s", "infinite")


@pytest.fixture
def garments(tmp_path):
    folder = tmp_path / "garments"
    shutil.copytree(Path(equidiff.__file__).parent / "queries" / "fashion", folder)
    return folder


def make(spec):
    context = BuildContext()
    generator = build(Plugins(), "generator", "toy:fashion,steps=2", BuildContext()).component
    return build(Plugins(), "objective", spec, context), replace(context, generator=generator)


def measure(objective, image):
    return objective.measure(image_to_tensor(image))


def strongest(spec, folder):
    """The slow second opinion: every picture measured, one after the other."""
    objective = make(spec)[0].component
    values = {}
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as image:
            values[str(path)] = measure(objective, image).mean().item()
    return max(values, key=values.get)


@pytest.mark.parametrize(
    "spec", ["neuron:9,model=fashion", "neuron:block2.4,model=fashion,positions=all", "classifier:bag,model=fashion"]
)
def test_the_picture_with_the_highest_value(spec, garments):
    assert resolve_top(f"top:{garments}", *make(spec)) == strongest(spec, garments)


def test_a_long_search_says_how_far_it_is(garments, monkeypatch):
    told = []
    monkeypatch.setattr(top_query, "TELL_EVERY_S", 0.0)
    resolve_top(f"top:{garments}", *make("neuron:9,model=fashion"), told.append)
    assert told[-1] == "looking for the query: 19 of 20 images are measured"


def test_anything_else_is_left_alone():
    for query in (3, "3", "photo.png", None, Path("top:x"), torch.zeros(1, 4, 4)):
        assert resolve_top(query, *make("neuron:9,model=fashion")) is query


@pytest.mark.parametrize(
    ("layer", "spec"),
    [
        (None, "neuron:9,model=fashion"),
        ("block2", "neuron:block2.4,model=fashion"),
        ("block2", "neuron:block2.4,model=fashion,positions=all"),
        ("block2,positions=max", "neuron:block2.4,model=fashion,positions=max"),
    ],
)
def test_a_ranking_answers_without_measuring(layer, spec, garments, tmp_path, monkeypatch):
    rank(Plan(str(garments), layer=layer), tmp_path / "out")
    objective, context = make(spec)
    monkeypatch.setattr(type(objective.component), "measure", None)
    found = resolve_top(f"top:{tmp_path / 'out'}", objective, context)
    monkeypatch.undo()
    assert found == strongest(spec, garments)


@pytest.mark.parametrize(
    "spec",
    [
        "neuron:block1.4,model=fashion",
        "neuron:block2.4,model=fashion,positions=max",
        "classifier:bag,model=fashion",
        "neuron:block2.4,model=fashion + neuron:block2.5,model=fashion",
    ],
)
def test_a_ranking_of_other_units_is_refused(spec, garments, tmp_path):
    rank(Plan(str(garments), layer="block2"), tmp_path / "out")
    with pytest.raises(QueryError, match="of other units"):
        resolve_top(f"top:{tmp_path / 'out'}", *make(spec))


def test_a_ranking_with_other_weights_is_refused(garments, tmp_path):
    rank(Plan(str(garments)), tmp_path / "out")
    objective, context = make("neuron:9,model=fashion")
    with pytest.raises(QueryError, match="of other units"):
        resolve_top(f"top:{tmp_path / 'out'}", objective, replace(context, weights=[]))


def test_a_ranking_that_did_not_finish_is_refused(garments, tmp_path):
    begin(Plan(str(garments)), tmp_path / "out")
    with pytest.raises(RunFolderError, match="did not finish"):
        resolve_top(f"top:{tmp_path / 'out'}", *make("neuron:9,model=fashion"))


def test_pictures_that_cannot_be_read_are_passed_over(garments):
    best = Path(strongest("neuron:9,model=fashion", garments))
    best.write_bytes(b"")
    assert resolve_top(f"top:{garments}", *make("neuron:9,model=fashion")) == strongest_but(best, garments)


def strongest_but(path, garments):
    path.unlink()
    return strongest("neuron:9,model=fashion", garments)


def test_run_json_names_the_picture(garments, tmp_path):
    outcome = run_cli("run", *SMALL, "-o", "neuron:9", "--query", f"top:{garments}", *QUICK, "--out", tmp_path / "run")
    assert outcome.code in (0, 3), outcome.stderr
    info = read_run(outcome.path)
    assert info["target"]["source"] == info["options"]["query"] == strongest("neuron:9,model=fashion", garments)
    with Image.open(info["target"]["source"]) as image:
        value = measure(make("neuron:9,model=fashion")[0].component, image).item()
    assert info["target"]["values"] == [pytest.approx(value)]


def test_in_python(garments):
    found = equidiff.sample(
        "toy:fashion,steps=2", "neuron:9", "none", query=f"top:{garments}", samples=1, budget=1, solver="infinite"
    )
    assert found.info.target.source == strongest("neuron:9,model=fashion", garments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--query", "top:{empty}"], ["The folder is empty"]),
        (["--query", "top:nowhere"], ["does not exist"]),
        (["--query", "top:"], ["no images"]),
        (["--query", "top:{broken}"], ["None of these images", "empty file"]),
        (["--query", "top:{garments}", "-o", "classifier"], ["10 outputs", "t-shirt"]),
        (["--query", "top:{garments}", "-g", "toy:circles", "-o", "classifier:inner"], ["makes points"]),
        (["--query", "{garments}"], ["is a folder", "--query top:"]),
    ],
)
def test_bad_input(arguments, words, garments, tmp_path, monkeypatch):
    folders = {"garments": garments, "empty": tmp_path / "empty", "broken": tmp_path / "broken"}
    folders["empty"].mkdir()
    folders["broken"].mkdir()
    (folders["broken"] / "a.png").write_bytes(b"")
    monkeypatch.chdir(folders["empty"])
    (folders["empty"] / ".hidden").write_text("") if arguments[1] == "top:" else None
    outcome = run_cli("run", *(argument.format(**folders) for argument in arguments))
    assert_one_error(outcome, 1, *words)
