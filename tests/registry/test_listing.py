"""The table of choices: a descriptor's listing."""

import json

import pytest
from running import assert_one_error, run_cli

from equidiff.testing import ContractError, check_plugin

LISTED = """
from equidiff.plugin import Descriptor, hookimpl

@hookimpl
def equidiff_regularizers():
    return [Descriptor("listed", "equidiff.builtin.regularizers.none:build", "A test.", listing="LISTING")]

def sound():
    return ("name", "size"), [("small", 1), ("large", 100)]

def narrow():
    return ("name", "size"), [("small", 1), ("large",)]

def twice():
    return ("name", "name"), []

def raising():
    raise OSError("no list")
"""


@pytest.fixture
def listed(tmp_path):
    """Writes a plugin whose component has this listing."""

    def write(listing):
        path = tmp_path / f"listed_{listing.partition('.')[0]}.py"
        path.write_text(
            LISTED.replace("LISTING", listing if ":" in listing else f"equidiff_file_{path.stem}:{listing}")
        )
        return path

    return write


def test_what_there_is_to_choose_from_is_shown(listed):
    path = listed("sound")
    outcome = run_cli("show", "regularizer", "listed", "--plugin", path)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout.splitlines()[-3:] == ["name   size", "small  1", "large  100"]
    about = json.loads(run_cli("show", "regularizer", "listed", "--plugin", path, "--json").stdout)
    assert about["listing"] == [{"name": "small", "size": 1}, {"name": "large", "size": 100}]
    assert "listing" not in json.loads(run_cli("show", "regularizer", "none", "--json").stdout)
    outcome = run_cli("show", "regularizer", "listed", "--plugin", listed("no_such_package.here:table"))
    assert_one_error(outcome, 1, "no_such_package", 'f"{__name__}:table", for one in the same file')


def test_the_autoencoders_are_listed():
    catalog = pytest.importorskip("equidiff_sae.catalog", reason="equidiff-sae is not installed")
    columns, rows = catalog.listing()
    outcome = run_cli("show", "objective", "sae")
    assert outcome.code == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == list(columns[:2]))
    assert [line.split()[0] for line in lines[start + 1 : start + 1 + len(rows)]] == [row[0] for row in rows]
    about = json.loads(run_cli("show", "objective", "sae", "--json").stdout)
    assert [tuple(line) for line in about["listing"]] == [tuple(columns)] * len(rows)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sound", None),
        ("narrow", r"the row \('large',\)"),
        ("twice", "has the columns"),
        ("raising", "OSError: no list"),
        ("missing", "no attribute 'missing'"),
    ],
)
def test_a_listing_is_a_table(listed, name, message):
    path = listed(name)
    if message is None:
        check_plugin(path)
        return
    with pytest.raises(ContractError, match=message):
        check_plugin(path)
