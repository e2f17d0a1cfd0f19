"""The analyses of a set in Python do what the commands do, in memory and after loading."""

import copy
import gc
import json
import pickle
import subprocess
import sys
import webbrowser
from pathlib import Path

import numpy as np
import pytest
import torch
from markupsafe import Markup
from PIL import Image
from running import run_cli

import equidiff
from equidiff.api.results import Comparison
from equidiff.errors import EquiDiffError, RunFolderError
from equidiff.registry.manager import Plugins
from equidiff.run.finished import load_members


@pytest.fixture(scope="module", autouse=True)
def few_prior_samples():
    """Few prior samples, to save time: their number matters to statistics, not to correctness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equidiff.analysis.evaluation.sample_sets.FEWEST_PRIOR", 16)
        yield


@pytest.fixture(scope="module")
def found():
    return equidiff.sample("toy:fashion,steps=2", "neuron:17", query=3, samples=5)


@pytest.fixture
def loaded(found, tmp_path):
    return equidiff.load(copy.copy(found).save(tmp_path / "run"))


@pytest.fixture
def fresh(found):
    """The set as if no analysis had been made of it."""
    return pickle.loads(pickle.dumps(found))


def numbers(metrics):
    return {name: each["value"] for metrics in metrics["groups"].values() for name, each in metrics.items()}


def test_an_evaluation_is_that_of_the_command(found, loaded, tmp_path):
    in_memory, of_folder = (each.evaluate(members=4, seed=7) for each in (found, loaded))
    assert of_folder.file == tmp_path / "run" / "metrics.json"
    outcome = run_cli("evaluate", tmp_path / "run", "--members", 4, "--seed", 7, "--json")
    command = json.loads(outcome.stdout)
    assert numbers(in_memory.metrics) == pytest.approx(numbers(command), rel=1e-4, nan_ok=True)
    assert numbers(of_folder.metrics) == pytest.approx(numbers(command), rel=1e-4, nan_ok=True)
    assert json.loads(in_memory.file.read_text()) == in_memory.metrics


ATTRIBUTION = """
import torch
from equidiff.contracts import Attribution
from equidiff.plugin import Descriptor, hookimpl

class Everywhere(Attribution):
    def attribute(self, scalar, samples):
        return torch.ones_like(samples)

def build(argument, options, context):
    return Everywhere()

@hookimpl
def equidiff_attributions():
    return [Descriptor("everywhere", f"{__name__}:build", "The same everywhere.")]
"""


def test_a_comparison_knows_the_plugins_of_the_run(tmp_path):
    (tmp_path / "everywhere.py").write_text(ATTRIBUTION)
    plugins = Plugins(files=[tmp_path / "everywhere.py"])
    found = equidiff.sample("toy:fashion,steps=2", "neuron:17", query=3, samples=1, plugins=plugins)
    assert found.compare("everywhere").info["methods"][0]["status"] == "complete"
    with pytest.raises(EquiDiffError, match="everywhere"):
        found.load(found.save(tmp_path / "run")).compare("everywhere")  # which named no plugins


def test_an_evaluation_is_four_sentences_and_a_table(found):
    evaluation = found.evaluate()
    lines = repr(evaluation).splitlines()
    assert lines[:4] == evaluation.verdicts
    assert lines[4].split() == ["members", "95", "%", "interval", "prior", "samples", "unit"]
    assert lines[-1] == evaluation.warnings[-1]
    assert sum(line.startswith("deviation, ") for line in lines) == 2  # in activations and in spreads
    frame = evaluation.to_pandas()
    metric = evaluation.metrics["groups"]["fidelity"]["l2"]
    (row,) = frame[(frame.group == "fidelity") & (frame.name == "l2")].itertuples()
    assert (row.members, row.low, row.high, row.prior) == (metric["value"], *metric["interval"], metric["plain"])
    page = evaluation._repr_html_()
    assert page.count("<tr>") == len(lines) - len(evaluation.warnings) - 4
    assert all(str(Markup.escape(sentence)) in page for sentence in evaluation.verdicts)


def test_a_comparison_has_maps_and_numbers(found):
    comparison = found.compare("saliency,gradcam", members=2)
    frame = comparison.to_pandas()
    assert list(frame.method) == ["saliency", "gradcam", "random"]
    assert np.isfinite(frame.infidelity).all()
    maps = comparison.maps("saliency")
    sample = found.query.clone().requires_grad_()
    objective = found._session.problem.objective
    (gradient,) = torch.autograd.grad(objective.measure(sample).sum(), sample)
    assert torch.allclose(maps["query"], gradient[0].abs(), atol=1e-5)  # Captum's saliency is the absolute gradient
    assert maps["members"].shape == (2, 28, 28)
    assert comparison.image.width > comparison.image.height / 2
    assert "data:image/png" in comparison._repr_html_()
    more = found.compare("occlusion,window=7")  # of the same two members, beside the earlier methods
    assert list(more.to_pandas().method) == ["saliency", "gradcam", "occlusion,window=7", "random"]
    assert repr(more).splitlines()[0].startswith("method ")


def test_a_method_that_does_not_fit_is_told(found):
    comparison = equidiff.sample("toy:fashion,steps=2", Plain(), "none", query=3, samples=2).compare("gradcam,saliency")
    assert list(comparison.to_pandas().method) == ["saliency", "random"]
    assert "calls none" in comparison.problems["gradcam"]
    assert "gradcam: " in repr(comparison)


class Plain(equidiff.Objective):
    """Brightness of the left half."""

    names, unit = ("left",), "brightness"

    def measure(self, samples):
        return samples[..., :14].flatten(1).mean(dim=1, keepdim=True)


def test_a_path_has_frames(found):
    first, second = found[0].index, found[3].index
    result = found.path(first, second, frames=4, gif=True)
    assert result.path.ends == (first, second)
    assert len(result.images) == len(result.path.members)
    assert found.contains(result.path.rows["samples"][result.path.members]).all()
    assert result.image.width > 300
    assert (result.folder / "path.gif").exists()
    assert f"from member {first} to member {second}: {len(result.images)} of 4 frames are members" in repr(result)
    assert "data:image/png" in result._repr_html_()


def test_a_report_shows_earlier_analyses(loaded, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    assert loaded.report() == tmp_path / "run" / "report.html"
    assert "Vendi score" not in (tmp_path / "run" / "report.html").read_text()
    loaded.evaluate()
    page = loaded.report(tmp_path / "page.html", open=True)
    assert "Vendi score" in page.read_text()
    assert shown == [page.as_uri()]


def test_a_set_in_memory_has_a_folder_of_its_own_that_goes_with_it(found):
    fresh = pickle.loads(pickle.dumps(found))
    folder = fresh.report().parent
    assert fresh.report().parent == folder
    assert len(load_members(folder)) == len(fresh)
    assert copy.copy(fresh).report().parent != folder
    del fresh
    gc.collect()
    assert not folder.exists()


def test_a_saved_set_keeps_its_analyses(fresh, tmp_path):
    folder = fresh.save(tmp_path / "run")
    assert fresh.report() == folder / "report.html"
    fresh.save(tmp_path / "copy")
    assert fresh.report() == folder / "report.html"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    assert fresh.report().exists()  # of a folder that is gone, it makes another


def test_a_network_in_memory_is_analysed_too():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(2704, 2)
    )
    objective = equidiff.classifier(network, "[b]<yes>", classes=["no", "[b]<yes>"], output="logit")
    found = equidiff.sample("toy:fashion,steps=2", objective, query=3, samples=3)
    assert len(found) == 3
    comparison = found.compare("gradcam", members=1)
    assert list(comparison.to_pandas().method) == ["gradcam", "random"]
    found.evaluate(members=2)
    page = found.report().read_text()
    assert "<yes>" not in page
    assert "&lt;yes&gt;" in page
    loaded = equidiff.load(found.report().parent)
    with pytest.raises(RunFolderError, match="made in Python"):
        loaded.evaluate()
    assert loaded.report().exists()


@pytest.mark.parametrize(
    "analyse",
    [
        lambda found: found.report(), lambda found: found.evaluate(), lambda found: found.compare(),
        lambda found: found.path(0, 1),
    ],
)  # fmt: skip
def test_a_set_without_members_has_nothing_to_show(analyse):
    found = equidiff.sample("toy:circles", "classifier:inner", target=0.5, samples=2, budget=0.01, tolerance=1e-12)
    with pytest.raises(RunFolderError, match="has no members"):
        analyse(found)


def test_points_have_maps_over_their_coordinates_and_no_frames():
    found = equidiff.sample("toy:circles", "classifier:inner", query=1, samples=4)
    assert found.compare("occlusion", members=2).maps("occlusion")["members"].shape == (2, 1, 2)
    result = found.path(found[0].index, found[1].index, frames=3)
    assert result.images == []
    assert isinstance(result.image, Image.Image)


@pytest.mark.parametrize(
    ("analyse", "message"),
    [
        (lambda found: found.path(0, 99), "99"),
        (lambda found: found.path(0, 0), "one member to another"),
        (lambda found: found.compare("salency"), "saliency"),
        (lambda found: found.evaluate(features="nothing"), "nothing"),
        (lambda found: found.evaluate(reference="no/folder"), "no/folder"),
        (lambda found: found.report("no/folder/page.html"), "cannot be written"),
    ],
)
def test_bad_input_is_one_clear_error(found, analyse, message):
    with pytest.raises(EquiDiffError, match=message):
        analyse(found)


def test_bars_are_shown_where_they_are_asked_for(found, capfd):
    found.evaluate(members=2)
    assert capfd.readouterr() == ("", "")
    found.report(progress=True)
    assert "100%" in capfd.readouterr().err


def test_a_loaded_comparison_is_read_from_its_folder(loaded):
    made = loaded.compare("saliency", members=1)
    info = json.loads((made.folder / "attributions.json").read_text())
    assert repr(Comparison(Path(made.folder), info)) == repr(made)


def test_sampling_does_not_import_what_analyses_need():
    code = (
        "import sys, equidiff; equidiff.sample, equidiff.load; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "torch" in loaded
    assert not {"captum", "jinja2", "matplotlib", "sklearn", "timm"} & set(loaded)
