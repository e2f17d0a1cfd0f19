"""`equidiff new plugin`: what it writes works as it is, for each kind, and names that cannot be are refused.

`tests/new_plugins.py`, which CI calls, installs what is written and runs it from end to end.
"""

import importlib.util
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from running import assert_one_error, run_cli

import equidiff
from equidiff.cli.new_plugin import Draft, check_name, write
from equidiff.registry.descriptors import KINDS
from equidiff.registry.manager import Plugins
from equidiff.testing import load_plugins

LONGEST = "a-name-with-36-letters-for-a-plugin"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a plugin of each kind, and one with the longest name."""
    made = tmp_path_factory.mktemp("new")
    for kind in KINDS:
        outcome = run_cli("new", "plugin", f"equidiff-new-{kind}", "--kind", kind, "--directory", made / kind)
        assert outcome.code == 0, outcome.stderr
        write(Draft(check_name(LONGEST + kind[0], kind, Plugins([])), kind), made / "longest" / kind)
    return made


def place(folder, kind):
    return folder / kind


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(function):
    """Arguments that a test is to be called with."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    return list(itertools.product(*[mark.args[1] for mark in marks]))


def test_lint_and_format_of_what_is_written(folder):
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_tests_of_what_is_written(folder, kind, monkeypatch):
    """All but those that start a process or search for members, which the script does too."""
    monkeypatch.syspath_prepend(place(folder, kind) / "src")
    module = load(place(folder, kind) / "tests" / f"test_{kind}.py", f"test_of_new_{kind}")
    functions = {name: each for name, each in vars(module).items() if name.startswith("test_")}
    assert {"test_plugin_keeps_its_contract"} < functions.keys()
    quick = [each for name, each in functions.items() if "plugin" not in name and "members" not in name]
    assert len(quick) >= 2
    for function in quick:
        for values in cases(function)[-1:]:
            function(*values)
    load_plugins(f"equidiff_new_{kind}.plugin")


def test_all_of_them_are_listed_once_installed(folder, monkeypatch):
    for kind in KINDS:
        project = (place(folder, kind) / "pyproject.toml").read_text()
        (entry,) = re.findall(r"^\[project.entry-points.equidiff\]\n(.+)$", project, re.MULTILINE)
        (distribution,) = re.findall(r'^name = "(.+)"$', project, re.MULTILINE)
        installed = place(folder, kind) / "src" / f"equidiff_new_{kind}-0.1.0.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(f"Name: {distribution}\nVersion: 0.1.0\n")
        (installed / "entry_points.txt").write_text("[equidiff]\n" + entry.replace('"', "") + "\n")
        monkeypatch.syspath_prepend(place(folder, kind) / "src")
    listed = {each["name"]: each for each in json.loads(run_cli("plugins", "--json").stdout)}
    for kind in KINDS:
        assert listed[f"new-{kind}"]["source"] == f"equidiff-new-{kind}"
        assert listed[f"new-{kind}"]["offers"] == {kind: [f"new-{kind}"]}


@pytest.mark.parametrize("kind", KINDS)
def test_readme_and_workflow(folder, kind):
    readme = (place(folder, kind) / "README.md").read_text()
    (command,) = re.findall(r"^    (equidiff run .*)$", readme, re.MULTILINE)
    assert f" new-{kind}" in command
    workflow = yaml.safe_load((place(folder, kind) / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step.get("run") for step in workflow["jobs"]["test"]["steps"]]
    assert {"ruff check .", "pytest", command} < set(steps)
    files = {str(path.relative_to(place(folder, kind))) for path in place(folder, kind).rglob("*") if path.is_file()}
    for named in re.findall(r"^\| `(.+)` \|", readme, re.MULTILINE):
        assert named in files
    assert "<<" not in readme


def test_what_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run_cli("new", "plugin", "Equidiff_Soft.Tint", "--kind", "solver")
    assert outcome.code == 0
    assert outcome.stdout == "equidiff-soft-tint\n"
    lines = [" ".join(line.split()) for line in outcome.stderr.splitlines()]
    assert "install pip install -e './equidiff-soft-tint[test]'" in lines
    assert "test pytest equidiff-soft-tint" in lines
    assert "use equidiff run --solver soft-tint --query 3 --samples 4" in lines
    for file in ("src/equidiff_soft_tint/solver.py", "tests/test_solver.py", ".gitignore"):
        assert file in outcome.stderr
        assert (tmp_path / "equidiff-soft-tint" / file).is_file()
    code = (tmp_path / "equidiff-soft-tint" / "src" / "equidiff_soft_tint" / "solver.py").read_text()
    assert "class SoftTintSolver(Solver):" in code


@pytest.mark.parametrize(
    ("directory", "installed"), [(".", "'.[test]'"), ("a b", "'./a b[test]'"), ("it's", "'./it'\"'\"'s[test]'")]
)
def test_a_folder_of_ones_own(tmp_path, monkeypatch, directory, installed):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    outcome = run_cli("new", "plugin", "equidiff-tint", "--kind", "law", "--directory", directory)
    assert outcome.code == 0, outcome.stderr
    assert Path(directory, "pyproject.toml").is_file()
    assert f"pip install -e {installed}" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("../tint", "solver", ("cannot have this name", "../tint")),
        ("a/b", "solver", ("cannot have this name",)),
        ("/tmp/tint", "solver", ("cannot have this name",)),
        ("tint-", "solver", ("cannot have this name",)),
        ("", "solver", ("cannot have this name",)),
        ("tïnt", "solver", ("cannot have this name",)),
        ("a tint", "solver", ("cannot have this name",)),
        ("a" * 37, "solver", ("cannot have this name", "up to 36 letters")),
        ("3d", "solver", ("No Python module can be called '3d'",)),
        ("lambda", "solver", ("No Python module can be called 'lambda'",)),
        ("equidiff-3d", "solver", ("A component cannot be called '3d'",)),
        ("json", "solver", ("has a module 'json' already",)),
        ("equidiff", "solver", ("has a module 'equidiff' already",)),
        ("torch", "solver", ("has a module 'torch' already",)),
        ("equidiff-lowpass", "regularizer", ("named 'lowpass' already", "builtin")),
        ("equidiff-tint", "solvr", ("no kind of component named 'solvr'", "did you mean", "solver")),
    ],
)
def test_names_that_cannot_be(tmp_path, monkeypatch, name, kind, words):
    monkeypatch.chdir(tmp_path)
    outcome = run_cli("new", "plugin", name, "--kind", kind)
    assert_one_error(outcome, outcome.code, *words)
    assert outcome.code in {1, 2}
    assert not any(tmp_path.iterdir())


def test_the_name_of_one_kind_may_be_used_for_another():
    assert check_name("equidiff-lowpass", "solver", Plugins()).component == "lowpass"


def test_a_folder_in_use_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "equidiff-tint").mkdir()
    (tmp_path / "equidiff-tint" / "notes.txt").write_text("mine")
    command = ("new", "plugin", "equidiff-tint", "--kind", "solver")
    hint = "equidiff new plugin equidiff-tint --kind solver --directory equidiff-tint-2"
    assert_one_error(run_cli(*command), 1, "something in this folder already", hint)
    assert [path.name for path in (tmp_path / "equidiff-tint").iterdir()] == ["notes.txt"]
    assert_one_error(run_cli(*command, "--directory", "equidiff-tint/notes.txt"), 1, "This folder is a file")
    assert_one_error(run_cli(*command, "--directory", "equidiff-tint/notes.txt/new"), 1, "Not a directory")
    assert_one_error(run_cli(*command, "--directory", "n" * 300), 1, "File name too long")
    assert_one_error(run_cli("new", "plugin", "equidiff-tint"), 2, "--kind")


def test_every_template_is_filled_for_one_kind_or_all():
    templates = {path.name.removesuffix(".j2") for path in Path(equidiff.__file__).parent.glob("cli/new_plugin/*/*.j2")}
    filled = {f"{kind}.py" for kind in KINDS} | {f"test_{kind}.py" for kind in KINDS}
    shared = {"README.md", "ci.yml", "gitignore", "init.py", "plugin.py", "pyproject.toml"}
    assert templates == filled | shared


def test_a_draft_is_the_same_each_time():
    draft = Draft(check_name("equidiff-tint", "law", Plugins()), "law")
    assert draft.files == draft.files
