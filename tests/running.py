"""Run the command line inside the test's own process."""

import functools
import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from PIL import Image
from safetensors.torch import save_file

from equidiff.analysis.figures import grid
from equidiff.cli import main
from equidiff.run.invariant_set import InvariantSet

PLUGIN_FILE = """
from equidiff.plugin import Descriptor, hookimpl

@hookimpl
def equidiff_objectives():
    return [Descriptor("height", "equidiff_file_heights:build", "How high a point is.")]

def build(argument, options, context):
    from equidiff.contracts import Objective

    class Height(Objective):
        names, unit = ("height",), "length"

        def measure(self, samples):
            return samples[:, 1:]

    return Height()
"""
typer.main.get_command = functools.cache(typer.main.get_command)  # commands are built once, not for every test
CIRCLES = ("--generator", "toy:circles", "--objective", "classifier:inner")


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def path(self):
        """The run folder, which is the only line of stdout."""
        (line,) = self.stdout.splitlines()
        return Path(line)


def run_cli(*args):
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr), pytest.raises(SystemExit) as exit_:
        main([str(arg) for arg in args])
    return Outcome(exit_.value.code, stdout.getvalue(), stderr.getvalue())


def run_circles(*args):
    """Run with points, of which most of the time would be spent on the contour plot; a blank image takes its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "draw_contour_plot", lambda *_: Image.new("RGB", (8, 8)))
        return run_cli("run", *CIRCLES, *args)


def read_run(path):
    return json.loads((path / "run.json").read_text())


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_tensors(path):
    """Latents, samples and measurements of a run folder in index order, and those of query and query_latent it has."""
    found = InvariantSet.load(path)
    of_query = {"query": found.query, "query_latent": found.query_latent}
    return {**found.rows, **{name: value for name, value in of_query.items() if value is not None}}


def make_old(path, version=2):
    """Give a run folder the files of an earlier schema version: the rows of all samples in one file, by position."""
    save_file(read_tensors(path), path / "tensors.safetensors")
    for name in ("tensors", "partial"):
        shutil.rmtree(path / name, ignore_errors=True)
    (path / "query.safetensors").unlink(missing_ok=True)
    info = {key: value for key, value in read_run(path).items() if key not in {"segment", "images"}}
    (path / "run.json").write_text(json.dumps(info | {"schema_version": version}))


def damage_tensors(path):
    """Leave nothing of the tensors of a run but their files."""
    for file in (path / "tensors").glob("*.safetensors"):
        file.write_bytes(b"garbage")


def assert_equal_runs(one, other):
    """Two folders of the same run: tensors, records and steps, without the times."""
    for folder in (one, other):
        assert {file.name for file in folder.iterdir()}.isdisjoint({"workers", "partial"})
    for name in ("tensors/SHA256SUMS", "steps.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    lines = [[{**line, "wall_s": 0} for line in read_lines(folder / "members.jsonl")] for folder in (one, other)]
    assert lines[0] == lines[1]
    times = {"started", "finished", "wall_s", "folder", "run_folder"}
    infos = [{key: value for key, value in read_run(folder).items() if key not in times} for folder in (one, other)]
    assert infos[0] == infos[1]


def assert_one_error(outcome, code, *words):
    """One panel with these words, nothing on stdout, no traceback."""
    assert outcome.code == code, outcome.stderr
    assert outcome.stdout == ""
    assert outcome.stderr.count("error: ") == 1, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "failed unexpectedly" not in outcome.stderr
    for word in words:
        assert word in outcome.stderr, outcome.stderr
