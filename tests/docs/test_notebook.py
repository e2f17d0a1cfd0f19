"""The notebook in examples/ runs from top to bottom, and is kept without outputs."""

import os
import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FILE = Path(__file__).parents[2] / "examples" / "first_set.ipynb"
PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "first-set.ipynb"


def read():
    return nbformat.read(FILE, as_version=4)


def smaller():
    """The notebook with a sampler of two steps; the documentation is built from the one of eight."""
    notebook = read()
    for cell in notebook.cells:
        cell.source = cell.source.replace('"toy"', '"toy:fashion,steps=2"')
    return notebook


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    # the kernel inherits the environment; a module's fixture has no monkeypatch
    before = dict(os.environ)
    os.environ |= {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    folder = tmp_path_factory.mktemp("notebook")
    try:
        notebook = NotebookClient(smaller(), timeout=250, resources={"metadata": {"path": str(folder)}}).execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert list(folder.iterdir()) == []  # it leaves nothing behind
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell, kind="text/html"):
    """The results of a cell, of one kind."""
    return "".join(output.data.get(kind, "") for output in cell.outputs if "data" in output)


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


@pytest.mark.enable_socket  # the kernel is another process, on this machine
@pytest.mark.timeout(600)
def test_it_runs_and_shows_what_it_says(executed):
    first, members, _, contained, called, own, compared, path, report, loaded = executed
    for card in (first, loaded):
        assert "8 of 8 samples are members" in shown(card)
        assert "data:image/png;base64," in shown(card)
    assert printed(members).count("<Member of index") == 3
    assert shown(members, "image/png")
    assert shown(contained, "text/plain").startswith("(tensor([True])")
    # "the query is a bag; what the unit holds fixed is not the class"
    assert re.search("calls the query (a )?bag", shown(first))
    counts = eval(shown(called, "text/plain"), {"Counter": Counter})
    assert sum(counts.values()) == 8
    assert counts["bag"] <= 4
    assert "7 of 7 samples are members" in shown(own)
    assert re.findall(r"<td>(saliency|gradcam|random)</td>", shown(compared)) == ["saliency", "gradcam", "random"]
    assert "7 of 7 frames are members" in shown(path)
    assert "report.html" in shown(report, "text/plain")
    assert not any(output.get("name") == "stderr" for cell in executed for output in cell.outputs)


def test_it_is_kept_without_outputs():
    for cell in read().cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_documentation_shows_it():
    assert PAGE.resolve() == FILE
    assert "tutorials/first-set.ipynb" in (PAGE.parents[2] / "mkdocs.yml").read_text()
