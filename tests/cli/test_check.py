"""`equidiff check`: tables of checks, and panels that say what to write."""

import json

import pytest
from mistakes import SOUND
from running import assert_one_error, run_cli

IN_PLACE = ("return values\n", "return values.detach() * values\n")


@pytest.fixture
def plugin(tmp_path):
    """Writes a plugin of one file, the sound one with a part of it replaced, under a name of its own."""

    def write(name, sound="", wrong=""):
        path = tmp_path / f"{name}.py"
        path.write_text(SOUND.replace(sound, wrong, 1) if sound else SOUND)
        return path

    return write


def test_each_component_of_a_sound_file_passes(plugin):
    outcome = run_cli("check", plugin("checked_sound"))
    assert outcome.code == 0, outcome.stderr
    columns, *rows = outcome.stdout.splitlines()
    assert columns.split() == ["kind", "component", "passed", "result"]
    assert [row.split()[1] for row in rows] == ["spot", "brightness", "shift", "descent", "still", "slope", "here"]
    assert all(row.split()[-1] == "pass" for row in rows)


def test_a_failure_has_a_panel_and_an_exit_code(plugin):
    path = plugin("checked_wrong", *IN_PLACE)
    outcome = run_cli("check", "brightness", "--plugin", path, "--generator", "spot", "--kind", "objective")
    assert outcome.code == 1, "two plugins have an objective of this name"
    outcome = run_cli("check", path, "--kind", "objective")
    assert outcome.code == 3
    assert "measurements, their rows and gradients  FAIL" in outcome.stdout
    assert "Brightness.measure has a wrong gradient in row" in outcome.stderr
    assert "contract  a gradient that agrees with finite differences" in outcome.stderr


def test_the_outcomes_are_there_as_json(plugin):
    outcome = run_cli("check", plugin("checked_json", *IN_PLACE), "--kind", "objective", "--json", "--quiet")
    (about,) = json.loads(outcome.stdout)
    assert (about["kind"], about["plugin"], about["passed"]) == ("objective", "checked_json", False)
    results = {each["check"]: each["result"] for each in about["checks"]}
    assert results["names and unit"] == "pass"
    assert results["measurements, their rows and gradients"] == "fail"
    assert outcome.code == 3


def test_a_spec_and_the_name_of_a_plugin_are_checked():
    outcome = run_cli("check", "brightness,middle=0.5")
    assert outcome.code == 0, outcome.stderr
    assert "The objective brightness,middle=0.5 of plugin hello, tried on samples of toy, on cpu" in outcome.stdout
    assert "device of the run                       pass" in outcome.stdout
    outcome = run_cli("check", "hello")
    assert [row.split()[0] for row in outcome.stdout.splitlines()[1:]] == ["objective", "regularizer"]


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (("brightnes",), 1, ("no component or plugin named 'brightnes'", "brightness")),
        (("none", "--kind", "solver"), 1, ("no solver named 'none'",)),
        (("./no_such_file.py",), 1, ("does not exist",)),
        (("brightness,middel=1",), 2, ("has no option 'middel'", "middle")),
        ((), 2, ("Missing argument",)),
    ],
)
def test_bad_input_has_one_panel(words, code, parts):
    outcome = run_cli("check", *words)
    assert outcome.code == code
    for part in parts:
        assert part in outcome.stderr, outcome.stderr


def test_a_name_of_several_kinds_needs_its_kind(plugin):
    path = plugin(
        "checked_twice", 'return offer("still")', 'return [Descriptor("spot", f"{__name__}:build_still", "x")]'
    )
    outcome = run_cli("check", "spot", "--plugin", path)
    assert_one_error(outcome, 2, "--kind generator or --kind law", "equidiff check spot --kind generator")
