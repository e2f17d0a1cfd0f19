"""`equidiff measure` through the real command line."""

import json

import pytest
from PIL import Image
from running import assert_one_error, read_run, run_cli

from equidiff.registry.specs import Spec


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def garments():
    return run_cli("samples", "--queries", "-n", 5, "--out", "garments").path / "images"


def measure(*args):
    outcome = run_cli("measure", *args, "--json")
    return outcome, json.loads(outcome.stdout)


@pytest.mark.parametrize("objective", ["neuron:17", "classifier:bag", "classifier", "classifier,output=distribution"])
@pytest.mark.parametrize("size", [28, 61])
def test_the_number_is_a_runs_target(objective, size, garments):
    path = garments / "00003.png"
    with Image.open(path) as image:
        image.convert("RGB").resize((size, size)).save("query.png")
    words = ["run", "-g", "toy:fashion,steps=2", "-n", "1", "--budget", "1", "-s", "infinite", "--query", "query.png"]
    run = run_cli(*words, "-o", objective).path
    target = read_run(run)["target"]
    _, measured = measure("-o", objective, "query.png")
    assert measured["images"][0]["values"] == target["values"]
    assert measured["names"] == target["names"]
    assert measured["unit"] == target["unit"]
    assert measured["objective"] == str(Spec.parse(objective))


def test_a_table_of_files_and_folders(garments):
    outcome = run_cli("measure", "-o", "neuron:17", garments, garments / "00000.png")
    assert outcome.code == 0
    lines = outcome.stdout.splitlines()
    assert lines[0].split() == ["image", "pre-logits.17", "(activation)"]
    assert [line.split()[0] for line in lines[1:]] == [str(garments / f"{index:05d}.png") for index in range(5)]


def test_a_classifier_without_a_class_tells_its_five_likeliest(garments):
    outcome = run_cli("measure", "-o", "classifier", garments / "00003.png")
    header, *rows = outcome.stdout.splitlines()
    assert header.split() == ["image", "output", "logit", "probability"]
    assert rows[0].split()[1] == "bag"
    assert float(rows[0].split()[3]) == pytest.approx(0.931, abs=1e-3)
    assert len(rows) == 5
    assert "5 highest of 10 outputs" in outcome.stderr
    _, measured = measure("-o", "classifier", garments / "00003.png")
    assert sum(measured["images"][0]["probabilities"]) == pytest.approx(1)
    _, bag = measure("-o", "classifier:bag", garments / "00003.png")
    probabilities = dict(zip(measured["names"], measured["images"][0]["probabilities"], strict=True))
    assert probabilities["bag"] == pytest.approx(bag["images"][0]["values"][0])
    assert "probabilities" not in bag["images"][0]


def test_many_outputs_are_summarised(garments):
    spec = "neuron:block2.4,positions=all"
    outcome = run_cli("measure", "-o", spec, garments / "00003.png")
    values = [float(line.split()[-1]) for line in outcome.stdout.splitlines()[1:]]
    _, measured = measure("-o", spec, garments / "00003.png")
    everything = measured["images"][0]["values"]
    assert len(everything) == len(measured["names"]) > 5
    assert values == pytest.approx(sorted(everything, reverse=True)[:5], rel=1e-3)


def test_images_that_cannot_be_read_are_counted_and_named(garments):
    (garments / "bad.png").write_text("no image")
    outcome, measured = measure("-o", "neuron:17", garments, "nowhere.png")
    assert outcome.code == 3
    assert len(measured["images"]) == 5
    assert [each["image"] for each in measured["not_measured"]] == [str(garments / "bad.png"), "nowhere.png"]
    for words in ("2 of 7 images", "bad.png: This is not an image.", "nowhere.png: The image does not exist."):
        assert words in outcome.stderr


def test_a_long_list_of_reasons_is_cut(garments):
    outcome = run_cli("measure", "-o", "neuron:17", garments, *(f"{index}.png" for index in range(14)))
    assert outcome.stderr.count("does not exist") == 10
    assert "and 4 more" in outcome.stderr


def test_no_column_is_cut(garments, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    folder = garments.rename("photographs-of-a-very-long-summer-in-the-mountains-of-garments")
    outcome = run_cli("measure", "-o", "classifier", folder)
    assert "…" not in outcome.stdout
    assert "photographs" in outcome.stdout


def test_no_image_can_be_read():
    outcome = run_cli("measure", "-o", "neuron:17", "a.png", "b.png", "--json")
    assert_one_error(outcome, 1, "None of these images", "a.png: The image does not exist.")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-o", "neuron:17"), 2, ("IMAGE",)),
        (("garments",), 2, ("--objective",)),
        (("-o", "nueron:17", "garments/images"), 1, ("did you mean  neuron?",)),
        (("-o", "neuron:17", "empty"), 1, ("The folder is empty",)),
        (("-o", "neuron:17", "-g", "toy:circles", "garments/images"), 1, ("makes points",)),
        (("-o", "neuron:17", "-g", "pixels:8", "garments/images"), 2, ("No network is named",)),
        (("-o", "neuron:17", "--device", "abacus", "garments/images"), 2, ("abacus",)),
    ],
)
def test_bad_input(arguments, code, words, garments, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_one_error(run_cli("measure", *arguments), code, *words)


def test_interrupted(garments, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("equidiff.cli.handlers.measure.measure_files", interrupt)
    outcome = run_cli("measure", "-o", "neuron:17", garments)
    assert outcome.code == 130
    assert outcome.stdout == ""
