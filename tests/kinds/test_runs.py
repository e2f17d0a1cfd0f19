"""Every command on sounds and on rows of a table: runs, files, pictures, pages, and queries from files."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from running import assert_one_error, read_lines, read_run, run_cli

import equidiff
from equidiff.kinds.signal import Signal
from equidiff.run.invariant_set import InvariantSet

TONES = Path(__file__).parents[2] / "examples" / "tones.py"
ROWS = Path(__file__).parent / "body_mass.py"
METHODS = {
    "sounds": "occlusion,gradcam",
    "rows": "integrated_gradients,occlusion,feature_ablation,gradient_shap,gradcam",
}
ASKED = {
    "sounds": (TONES, ("-g", "tones", "-o", "loudness", "--query", "prior")),
    "rows": (ROWS, ("-g", "rows", "-o", "bmi", "--query", "prior")),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each kind, evaluated, compared, selected from, walked through and reported."""
    made = {}
    for name, (plugin, asked) in ASKED.items():
        path = tmp_path_factory.mktemp(name) / "run"
        for words in (
            ("run", *asked, "-n", 6, "--out", path),
            ("evaluate", path, "--device", "cpu"),
            ("select", path, "--count", 2),
            ("path", path, 0, 1, "--frames", 3),
            ("compare", path, "--methods", METHODS[name], "--members", 1),
            ("report", path),
        ):
            outcome = run_cli("--plugin", plugin, *words)
            assert outcome.code == (3 if "compare" in words else 0), outcome.stderr  # Grad-CAM has no convolution
            assert "point" not in outcome.stderr
        made[name] = path
    return made


def test_the_kind_is_recorded_and_found_without_the_generator(runs):
    assert read_run(runs["sounds"])["kind"] == {"name": "signal", "rate": 8000}
    assert [each["name"] for each in read_run(runs["rows"])["kind"]["columns"]][:2] == ["mass", "=cmd|' /C calc'!A0"]
    for name, path in runs.items():
        found = InvariantSet.load(path)
        assert found.kind.name == {"sounds": "signal", "rows": "table"}[name]
        assert found[0].kind == found.kind


def test_each_member_is_judged_as_its_file_holds_it(runs):
    found = InvariantSet.load(runs["sounds"])
    assert read_run(runs["sounds"])["options"]["saved"] == "int16"
    for record, sample in zip(found.members, found.samples, strict=True):
        heard = Signal(8000).read(runs["sounds"] / record.file, (2000,))
        assert torch.equal(heard[0], sample)
        loudness = 10 * (heard.square().mean() + 1e-9).log10()
        assert float(loudness) == pytest.approx(record.measurement[0], abs=1e-4)
    query = Signal(8000).read(runs["sounds"] / "query.wav", (2000,))
    assert torch.equal(query, found.query)


def test_rows_are_in_one_table_without_formulas(runs):
    path = runs["rows"]
    with (path / "table.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["index", "mass", "'=cmd|' /C calc'!A0", "<img src=x onerror=alert(1)>", "age$^{x"]
    found = InvariantSet.load(path)
    assert [int(row[0]) for row in rows] == [record.index for record in found.members]
    assert torch.equal(torch.tensor([[float(cell) for cell in row[1:]] for row in rows]), found.samples)
    assert not any("file" in line or "image" in line for line in read_lines(path / "members.jsonl"))


@pytest.mark.parametrize("name", ASKED)
def test_there_are_pictures_of_everything(runs, name):
    drawn = ["grid.png", "selections/diversity.png", "paths/000-001/path.png", "attributions/compare.png"]
    for file in drawn:
        with Image.open(runs[name] / file) as image:
            assert min(image.size) > 100
            assert len(image.convert("RGB").getcolors(2**24)) > 30
    frames = [each.name for each in (runs[name] / "paths" / "000-001").glob("frames/*")]
    assert sorted(frames) == (["00.wav", "01.wav", "02.wav"] if name == "sounds" else [])


def test_the_grid_of_the_thesis_has_tiles_of_sounds_and_none_of_rows(runs, tmp_path):
    outcome = run_cli("--plugin", TONES, "figure", runs["sounds"], "--name", "grid", "--out", tmp_path / "grid.png")
    assert outcome.code == 0, outcome.stderr
    with Image.open(tmp_path / "grid.png") as image:
        assert image.width > image.height
    outcome = run_cli("--plugin", ROWS, "figure", runs["rows"], "--name", "grid", "--out", tmp_path / "rows.png")
    assert_one_error(outcome, 1, "rows of a table", "one by one")


def test_changes_are_those_of_the_kind(runs):
    metrics = {name: json.loads((path / "metrics.json").read_text())["groups"] for name, path in runs.items()}
    heard, read = (metrics[name]["fidelity"].keys() for name in ("sounds", "rows"))
    assert {"rate_0.5_members", "noise_30db_shift", "gain_-6db_members", "saved_members"} <= heard
    assert {"digits_2_members", "noise_0.01_shift", "saved_members"} <= read
    quieter = metrics["sounds"]["fidelity"]["gain_-6db_shift"]
    assert quieter["value"] == pytest.approx(6, abs=0.05)  # the objective measures decibels
    assert metrics["rows"]["fidelity"]["digits_4_members"]["value"] == 1


def test_maps_have_a_value_for_each_place(runs):
    for name, width in (("sounds", 2000), ("rows", 4)):
        folder = runs[name] / "attributions"
        info = json.loads((folder / "attributions.json").read_text())
        status = {each["name"]: each["status"] for each in info["methods"]}
        assert status.pop("gradcam") == "does_not_fit"
        assert set(status.values()) == {"complete"}
        maps = equidiff.load(runs[name])  # the run alone, without its plugin
        assert maps.kind.grid_shape(maps.sample_shape) == (1, 1, width)
    rows = {each["name"]: each.get("numbers") for each in info["methods"]}
    assert rows["occlusion"]["infidelity"] < 1e-6  # one column at a time is covered in both


@pytest.mark.parametrize("name", ASKED)
def test_the_page_plays_sounds_and_has_a_table(runs, name):
    page = (runs[name] / "report.html").read_text()
    assert "media-src data:" in page
    assert "these samples are points" not in page
    assert "onerror=alert(1)>" not in page
    sounds = re.findall(r'<audio controls preload="none" src="data:audio/wav;base64,', page)
    assert len(sounds) == (7 if name == "sounds" else 0)  # members and the query
    assert ('<table id="rows">' in page) == (name == "rows")
    if name == "rows":
        assert "&lt;img src=x onerror=alert(1)&gt; (m)" in page


def test_a_sound_file_and_a_row_of_a_table_are_queries(runs, tmp_path):
    sound = runs["sounds"] / "sounds" / "00002.wav"
    for plugin, asked, query, source in (
        (TONES, ASKED["sounds"][1][:4], sound, str(sound)),
        (ROWS, ASKED["rows"][1][:4], f"{runs['rows'] / 'table.csv'}:2", f"{runs['rows'] / 'table.csv'}, row 2"),
    ):
        path = tmp_path / plugin.stem
        outcome = run_cli("--plugin", plugin, "run", *asked, "--query", query, "-n", 1, "--out", path)
        assert outcome.code == 0, outcome.stderr
        assert read_run(path)["target"]["source"] == source
        asked_of = InvariantSet.load(runs["sounds" if plugin is TONES else "rows"])
        assert torch.equal(InvariantSet.load(path).query, asked_of.samples[2:3])


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("sounds", ("--query", "no.wav"), "does not exist"),
        ("sounds", ("--query", __file__), "cannot be read"),
        ("sounds", ("-r", "lowpass"), "makes sounds"),
        ("sounds", ("--query", "top:."), "makes sounds"),
        ("rows", ("--query", __file__), "lacks columns"),
        ("rows", ("-r", "tv"), "makes rows of a table"),
    ],
)
def test_bad_input_is_one_error(name, words, expected, tmp_path):
    plugin, asked = ASKED[name]
    kept = asked[:4] if "--query" in words else asked
    outcome = run_cli("--plugin", plugin, "run", *kept, *words, "--out", tmp_path / "run")
    assert_one_error(outcome, 1, expected)


@pytest.mark.parametrize("kind", [{"name": "hologram"}, {"name": "signal", "rate": "\x1b[31m"}, {"name": "image"}, {}])
@pytest.mark.parametrize("command", ["report", "select", "path"])
def test_an_unknown_kind_in_a_foreign_run_is_one_error(runs, tmp_path, kind, command):
    path = tmp_path / "foreign"
    shutil.copytree(runs["rows"], path, ignore=shutil.ignore_patterns("report.html", "selections", "paths"))
    info = read_run(path)
    (path / "run.json").write_text(json.dumps(info | {"kind": kind}))
    words = (command, path, *{"path": (0, 1), "select": ("--count", 2)}.get(command, ()))
    outcome = run_cli("--plugin", ROWS, *words)
    assert_one_error(outcome, 1, "of a kind that is not known")
    assert "\x1b" not in outcome.stderr


def test_samples_of_both_kinds_are_written(tmp_path):
    for name, files in (("sounds", {"sounds", "grid.png"}), ("rows", {"table.csv", "grid.png"})):
        plugin, (_, generator, *_) = ASKED[name]
        outcome = run_cli("--plugin", plugin, "samples", "-g", generator, "-n", 3, "--out", tmp_path / name)
        assert outcome.code == 0, outcome.stderr
        assert {each.name for each in (tmp_path / name).iterdir()} == files | {"tensors.safetensors"}


def test_sounds_far_outside_of_their_range_are_a_warning(tmp_path):
    loud = tmp_path / "loud.py"
    loud.write_text(TONES.read_text().replace("return loudness.sigmoid()", "return 30 * loudness.sigmoid()"))
    outcome = run_cli("--plugin", loud, "run", *ASKED["sounds"][1], "-n", 1, "--out", tmp_path / "run")
    assert "makes sounds far outside of their range" in outcome.stderr
    assert "members leave the range of a sound by much" in outcome.stderr
