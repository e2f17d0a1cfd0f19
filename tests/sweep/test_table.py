"""Tables of sweeps that somebody damaged: one error each, in the page and in going on."""

import json
import random
from contextlib import suppress

from equidiff.analysis.sweep_report import write_overview
from equidiff.errors import EquiDiffError
from equidiff.sweep.folder import SweepFolder
from equidiff.sweep.open import open_folder
from equidiff.sweep.table import read_sweep
from equidiff.testing import load_plugins

VALUES = [
    None,
    -1,
    1e308,
    float("nan"),
    float("inf"),
    "",
    [],
    {},
    "x" * 500,
    "<b>",
    True,
    10**18,
    "\ud800",
    "../..",
    [[]],
]


def places(value, path=()):
    """The places of all values within a value of JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from places(inner, (*path, key))


def test_what_is_read_is_what_was_written(tmp_path):
    runs = [{"seed": "0", "query": "a\ud800\u2028,\n\"b'.png"}, {"seed": "1"}]
    folder = SweepFolder.plan(tmp_path / "out", "s.yaml", runs)
    folder.begin()
    folder.finish("complete")
    assert [row.settings for row in read_sweep(tmp_path / "out").runs] == runs


def test_damaged_tables(tmp_path):
    folder = SweepFolder.plan(tmp_path / "out", "s.yaml", [{"seed": str(seed), "query": "0"} for seed in range(3)])
    folder.begin()
    folder.finish("complete")
    table, plugins = tmp_path / "out" / "sweep.json", load_plugins("equidiff.builtin")
    whole, chosen, refused = table.read_text(), random.Random(0), 0
    for _ in range(120):
        values = json.loads(whole)
        *path, last = chosen.choice(list(places(values)))
        inner = values
        for key in path:
            inner = inner[key]
        inner[last] = chosen.choice(VALUES)
        table.write_text(json.dumps(values))
        refused += 1
        with suppress(EquiDiffError):
            write_overview(tmp_path / "out", tmp_path / "page.html")
            open_folder(tmp_path / "out", plugins, run_code=False)
            refused -= 1
    assert 20 < refused < 120  # most, but not what changes nothing that matters
