"""Nothing is missing from the documentation: options, errors, and commands that somebody has tried."""

import importlib
import re
from pathlib import Path

import house
import page_commands
import pytest
import typer

from equidiff.cli.app import app
from equidiff.errors import EquiDiffError

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
# an error is raised somewhere: what defines one was imported for it
DEFINING = [name for name, path in house.House(house.DEFAULT).modules.items() if "Error(" in path.read_text()]


def leaves(command, words=("equidiff",)):
    """Each command with the words that call it, by what the parser itself knows."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*words, name))


def sections():
    text = (REFERENCE / "command-line.md").read_text()
    return dict(re.findall(r"^## `(.+?)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(("words", "command"), [*leaves(typer.main.get_command(app))], ids=lambda each: str(each)[:40])
def test_every_option_is_documented(words, command):
    if hasattr(command, "commands") and words != ("equidiff",):
        return  # a group without options of its own
    section = sections()[" ".join(words)]
    for parameter in command.params:
        names = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else []
        known = {"--help", "-h", "--install-completion", "--show-completion"}
        for name in set(names) - known:
            if not getattr(parameter, "hidden", False):
                assert re.search(rf"[`, >]{re.escape(name)}[`, <]", section), (words, name)


def errors():
    for name in DEFINING:
        importlib.import_module(name)
    found, ahead = [], [EquiDiffError]
    while ahead:
        found.append(ahead.pop())
        ahead += found[-1].__subclasses__()
    return sorted({each for each in found if each.__module__.startswith("equidiff.")}, key=lambda each: each.__name__)


@pytest.mark.parametrize("error", errors(), ids=lambda each: each.__name__)
def test_every_error_is_documented_with_its_exit_code(error):
    page = (REFERENCE / "errors.md").read_text()
    assert re.search(rf"^\| `{error.__name__}` \| .+ \| {error.exit_code} \|$", page, re.MULTILINE)


def test_the_errors_are_found():
    assert len(errors()) >= 14


def test_every_command_of_a_page_is_run_or_has_a_reason():
    shown = page_commands.shown()
    assert len(shown) > 150
    left_out = [line for line in shown if page_commands.reason(line)]
    assert 0 < len(left_out) < 0.6 * len(shown)
    for line in shown:
        assert bool(page_commands.reason(line)) != bool(page_commands.shrunk(line)), line


def test_no_reason_is_left_over():
    for pattern, why in page_commands.REASONS.items():
        assert any(re.search(pattern, line) for line in page_commands.shown()), (pattern, why)


def test_commands_are_shrunk_but_stay_what_they_are():
    assert page_commands.shrunk("equidiff run --samples 64 --out runs/garments") == (
        "equidiff run --samples 2 --out runs/garments --generator toy:fashion,steps=2"
    )
    assert page_commands.shrunk("equidiff run --generator toy:circles -o classifier:inner -n 4096") == (
        "equidiff run --generator toy:circles -o classifier:inner -n 2"
    )
    assert page_commands.shrunk("equidiff report RUN --open") == "equidiff report made"
