"""The commands as a user types them; bad input has its own file."""

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from running import CIRCLES, PLUGIN_FILE, assert_one_error, read_lines, read_run, run_circles, run_cli

import equidiff
from equidiff.builtin.solvers.auto import Auto
from equidiff.cli.app import app
from equidiff.contracts import Step
from equidiff.registry.descriptors import KINDS
from equidiff.run.folder import RunFolder

SMALL = ("-g", "toy:fashion,steps=2")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_run_prints_the_folder_and_nothing_else():
    outcome = run_cli("run", *CIRCLES, "--query", "1", "-n", "4")
    assert outcome.code == 0
    with Image.open(outcome.path / "grid.png") as image:
        assert min(image.size) > 500
    assert re.fullmatch(r"runs/\d{8}T\d{6}Z-toy-circles-classifier-inner", str(outcome.path))
    assert {"run.json", "members.jsonl", "steps.jsonl", "tensors", "grid.png"} <= {
        path.name for path in outcome.path.iterdir()
    }
    for words in ("toy:circles", "classifier:inner", "own query 1", "(probability)", "4 of 4", "grid.png"):
        assert words in outcome.stderr
    assert "\x1b" not in outcome.stderr


def test_two_runs_never_get_the_same_folder():
    first, second = run_circles("-n", "1"), run_circles("-n", "1")
    assert first.path != second.path
    assert first.path.parent == second.path.parent == Path("runs")


def test_the_default_query_is_named():
    outcome = run_circles("-n", "1")
    assert "the generator's own query 0 (choose another with --query)" in outcome.stderr
    assert "choose another" not in run_circles("-n", "1", "--query", "0").stderr
    assert read_run(outcome.path)["options"]["query"] == "0"


def test_json_is_run_json_exactly():
    outcome = run_circles("-n", "2", "--json", "--out", "run")
    assert outcome.stdout == Path("run/run.json").read_text()
    assert json.loads(outcome.stdout)["counts"]["members"] == 2


def test_quiet_and_verbose():
    assert run_circles("-n", "2", "-q").stderr == ""
    verbose = run_circles("-n", "2", "-v").stderr
    assert re.search(r"^sample 0: member after \d+ steps", verbose, re.MULTILINE)
    assert re.search(r"^sample 1: member after \d+ steps", verbose, re.MULTILINE)


def test_a_run_with_samples_that_are_not_members(monkeypatch):
    def stay_where_it_starts(_solver, latents, residual, _budget):
        yield Step(0, (yield from residual.value(latents)))

    monkeypatch.setattr(Auto, "solve", stay_where_it_starts)
    outcome = run_circles("--target", "0.5", "--tolerance", "0.1", "-n", "12")
    counts = read_run(outcome.path)["counts"]
    assert 0 < counts["members"] < 12
    assert outcome.code == 3
    assert f"{counts['members']} of 12, {counts['not_converged']} not converged" in outcome.stderr


def test_colour_and_frames_where_there_is_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    outcome = run_cli("run", "--generator", "toi")
    assert outcome.code == 1
    assert outcome.stderr.count("╭") == 1
    assert "did you mean  toy?" in re.sub(r"\x1b\[[0-9;]*m", "", outcome.stderr)
    assert "╭" not in run_cli("run", "--generator", "toi", "--plain").stderr
    run = run_circles("-n", "2", "-v")
    assert run.code == 0
    assert "\x1b[" in run.stderr
    assert run.stdout.startswith("runs/")


def test_a_name_in_brackets_is_not_markup(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "[bold]x" in run_cli("run", "--query", "[bold]x").stderr


@pytest.mark.parametrize("before", [True, False])
def test_one_file_plugin(before):
    Path("heights.py").write_text(PLUGIN_FILE)
    plugin = ("--plugin", "./heights.py")
    run = ("run", "--generator", "toy:circles", "--objective", "height", "-n", "2", "--out", "run")
    outcome = run_cli(*plugin, *run) if before else run_cli(*run, *plugin)
    assert outcome.code == 0, outcome.stderr
    assert read_run(outcome.path)["versions"]["heights.py"] == "a file"


def test_unexpected_errors_are_one_panel_too(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("by naught")

    monkeypatch.setattr(RunFolder, "add_result", fail)
    outcome = run_circles("-n", "1")
    assert outcome.code == 1
    assert outcome.stderr.count("error: ") == 1
    assert "ZeroDivisionError: by naught" in outcome.stderr
    assert "--traceback" in outcome.stderr
    assert "Traceback (most recent" not in outcome.stderr
    outcome = run_circles("-n", "1", "--traceback")
    assert outcome.code == 1
    assert "Traceback (most recent" in outcome.stderr
    assert "in fail" in outcome.stderr


def test_traceback_keeps_the_exit_code():
    outcome = run_cli("run", "--samples", "0", "--traceback")
    assert outcome.code == 2
    assert "Traceback (most recent" in outcome.stderr


def test_full_disk(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "members.jsonl")

    monkeypatch.setattr(RunFolder, "add_result", full)
    outcome = run_circles("-n", "2", "--out", "run")
    assert_one_error(outcome, 1, "No space left on device", "equidiff run --resume run")
    info = read_run(Path("run"))
    assert info["status"] == "failed"
    assert "No space left" in info["error"]


def test_plugins():
    outcome = run_cli("plugins")
    assert outcome.code == 0
    assert re.search(
        r"builtin +0\.1\.0 +generator toy, pixels; objective neuron, layer, classifier, custom;", outcome.stdout
    )
    builtin = json.loads(run_cli("plugins", "--json").stdout)[0]
    assert builtin["name"] == "builtin"
    assert builtin["offers"]["solver"] == ["auto", "infinite", "lbfgs", "imagespace", "ndtm", "rejection"]


def test_a_broken_plugin_costs_one_line(monkeypatch):
    from importlib.metadata import EntryPoint, entry_points

    installed = [*entry_points(group="equidiff"), EntryPoint("sick", "no_such_module", "equidiff")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: installed)
    outcome = run_cli("plugins")
    assert outcome.code == 0
    assert re.search(r"^sick +no_such_module +ModuleNotFoundError: No module named", outcome.stdout, re.MULTILINE)
    assert "builtin" in outcome.stdout
    listed = json.loads(run_cli("plugins", "--json").stdout)
    assert [each["name"] for each in listed if "problem" in each] == ["sick"]
    assert run_circles("-n", "1").code == 0
    assert "could not be loaded: sick" in run_circles("--solver", "sickly").stderr
    doctor = run_cli("doctor")
    assert doctor.code == 1
    assert re.search(r"^plugin sick +ModuleNotFoundError", doctor.stdout, re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_show_every_component(kind):
    listed = json.loads(run_cli("show", kind, "--json").stdout)
    table = run_cli("show", kind).stdout
    for about in listed:
        assert about["name"] in table
        shown = run_cli("show", kind, about["name"])
        assert shown.code == 0
        assert about["summary"] in shown.stdout
        for option in about["options"]:
            assert option["name"] in shown.stdout
            assert option["description"] in shown.stdout
        for reference in about["references"]:
            assert reference["url"] in shown.stdout
        for example in about["examples"]:
            assert example in shown.stdout


def test_show_types_and_defaults():
    text = run_cli("show", "solver", "infinite").stdout
    assert re.search(r"^lr +number > 0 +10\.0 ", text, re.MULTILINE)
    assert re.search(r"^optimizer +sgd \| adam \| shampoo +sgd ", text, re.MULTILINE)
    text = run_cli("show", "solver", "lbfgs").stdout
    assert re.search(r"^history +integer >= 1 <= 1000 +20 ", text, re.MULTILINE)


def test_show_layers():
    text = run_cli("show", "objective", "neuron", "--model", "circles").stdout
    assert re.search(r"^act1 +Tanh +32$", text, re.MULTILINE)
    layers = json.loads(run_cli("show", "objective", "neuron", "--model", "circles", "--json").stdout)
    assert {"name": "layer3", "type": "Linear", "shape": [1]} in layers
    # neither the hub nor a checkpoint is needed to look at an architecture
    text = run_cli("show", "objective", "neuron", "--model", "mobilenetv2_050").stdout
    assert re.search(r"^blocks\.5\.2 +InvertedResidual +80 x 7 x 7$", text, re.MULTILINE)
    assert_one_error(run_cli("show", "objective", "neuron", "--model", "mobilenetv2_05"), 1, "mobilenetv2_050")


def test_cite():
    run_circles("-n", "1", "--out", "run")
    info = read_run(Path("run"))
    info["specs"]["solver"] = "infinite,optimizer=shampoo"
    Path("run/run.json").write_text(json.dumps(info))
    outcome = run_cli("cite", "run")
    assert outcome.code == 0
    assert outcome.stdout.startswith("@software{equidiff,")
    assert f"version = {{{equidiff.__version__}}}" in outcome.stdout
    assert outcome.stdout.count("@misc{augustin2024digin,") == 1
    assert outcome.stdout.count("{") == outcome.stdout.count("}")
    assert outcome.stderr == ""


def test_cite_names_a_missing_plugin():
    Path("heights.py").write_text(PLUGIN_FILE)
    spec = ("--generator", "toy:circles", "--objective", "height + 0.5*height")
    assert run_cli("run", *spec, "-n", "1", "--out", "run", "--plugin", "heights.py").code == 0
    outcome = run_cli("cite", "run")
    assert outcome.code == 0
    assert outcome.stdout.startswith("@software{equidiff,")
    assert "no longer installed" in outcome.stderr
    assert "no longer installed" not in run_cli("cite", "run", "--plugin", "heights.py").stderr


def test_doctor():
    outcome = run_cli("doctor")
    assert re.search(r"^torch +\d", outcome.stdout, re.MULTILINE)
    assert re.search(r"^cpu +\d+ cores, [\d.]+ of [\d.]+ GiB free$", outcome.stdout, re.MULTILINE)
    assert re.search(r"^weights of toy:circles +load: circles_mlp", outcome.stdout, re.MULTILINE)
    assert outcome.code == 0, outcome.stdout


def test_help_and_version():
    assert run_cli("--version").stdout == f"equidiff {equidiff.__version__}\n"
    text = run_cli("--help").stdout
    assert all(kind in run_cli("show", "--help").stdout for kind in KINDS)
    for command in ("run", "plugins", "show", "cite", "doctor"):
        assert command in text
        assert run_cli(command, "--help").code == 0


def test_entry_point_runs():
    command = [str(Path(sys.executable).with_name("equidiff")), "run", *CIRCLES, "-n", "3", "--out", "run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run\n"
    assert len(read_lines(Path("run/members.jsonl"))) == 3


def test_fashion_images():
    outcome = run_cli("run", *SMALL, "-o", "classifier:bag", "--query", "8", "-n", "1", "--budget", "4", "--out", "run")
    assert outcome.code in {0, 3}, outcome.stderr
    (line,) = read_lines(Path("run/members.jsonl"))
    for name in (line["image"], "query.png"):
        with Image.open(Path("run") / name) as image:
            assert image.size == (28, 28)
    assert "measurement_saved" not in line
    assert "lowpass" in outcome.stderr


@pytest.mark.parametrize("command", sorted(each.callback.__name__ for each in app.registered_commands))
def test_no_help_is_cut_at_80_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = run_cli(command, "--help").stdout
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_help_of_run_is_in_groups_with_examples_at_its_end():
    text = run_cli("run", "--help").stdout
    places = [text.index(f"─ {group} ") for group in ("Question", "Search", "Computation", "Output")]
    assert places == sorted(places)
    groups = dict(zip(("question", "search", "computation", "output"), text.split("╭─")[-4:], strict=True))
    for group, options in {
        "question": ("--generator", "--objective", "--query", "--target", "--tolerance"),
        "search": ("--solver", "--law", "--samples", "--seed"),
        "computation": ("--batch", "--device", "--dtype"),
        "output": ("--out", "--resume", "--report", "--json", "--plain"),
    }.items():
        assert all(option in groups[group] for option in options)
    examples = text[text.index("Examples") :]
    assert len(re.findall(r"^ equidiff run\b", examples, re.MULTILINE)) == 5


@pytest.mark.parametrize(
    "query",
    [
        "9" * 5000,
        "-" + "9" * 30,
        "prior:" + "9" * 5000,
        "x" * 5000,
        "[" * 3000,
        "top:" + "x" * 5000,
        "top:a\0b",
        "a\0b",
    ],
)
def test_a_query_that_no_file_can_have_is_one_panel(query):
    assert_one_error(run_cli("run", "--query", query), 1)
