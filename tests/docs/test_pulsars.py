"""The example of a table: its curves, its training on a small table made here, the plugin, and the file that ships."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.interpolate import PchipInterpolator

import equidiff
from equidiff.errors import EquiDiffError
from equidiff.testing import check_generator, check_objective, check_plugin, load_plugins

FOLDER = Path(__file__).parents[2] / "examples" / "pulsars"
PLUGIN = FOLDER / "pulsars.py"


@pytest.fixture(scope="module")
def scripts():
    """The modules of the example, imported as `train.py` imports its neighbour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import pulsars
        import train

        yield pulsars, train
        for name in ("pulsars", "train"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    """Two classes in eight columns: the first two go together, and the third is the exponential of the first."""
    random = np.random.default_rng(0)
    labels = (np.arange(1500) % 3 == 0).astype(float)
    rows = random.standard_normal((1500, 8))
    rows[:, 0] += 3 * labels
    rows[:, 1] = rows[:, 0] + 0.3 * rows[:, 1]
    rows[:, 2] = np.exp(rows[:, 0])
    file = tmp_path_factory.mktemp("table") / "table.csv"
    np.savetxt(file, np.column_stack([rows, labels]), delimiter=",", header="a,b,c,d,e,f,g,h,y", comments="")
    return file


@pytest.fixture(scope="module")
def trained(scripts, csv):
    """The file that a short training writes, the table, and what is printed of it."""
    _, train = scripts
    table = train.split(train.read_table(csv))
    return train.train(table, updates=600, batch=32), table


def draw(model, rows=500):
    return torch.randn(rows, len(model.mean), generator=torch.Generator().manual_seed(0))


def test_curves_are_those_of_scipy_and_lead_back_to_the_data(scripts, trained):
    pulsars, train = scripts
    _, table = trained
    model = pulsars.Model()
    normal = train.fit_scale(model, table.train)
    at = torch.linspace(-5, 5, 301)[:, None].expand(-1, 8)
    knots = np.linspace(-4, 4, model.scale.values.shape[1])
    for column in (0, 2):
        curve = PchipInterpolator(knots, model.scale.values[column].double().numpy())
        expected = torch.from_numpy(curve(at[:, column].clamp(-4, 4).double().numpy())).float()
        torch.testing.assert_close(model.scale(at)[:, column], expected, rtol=1e-4, atol=1e-4)
    assert (model.scale(at).diff(dim=0) >= -1e-6).all()
    spread = table.train.std(axis=0)
    assert (np.abs(model.scale(torch.from_numpy(normal).float()).numpy() - table.train) / spread).max() < 0.01
    assert np.abs(normal.mean(axis=0)).max() < 0.05
    assert np.abs(normal.std(axis=0) - 1).max() < 0.05


def test_held_out_rows_are_a_fifth_of_each_class(scripts, csv):
    _, train = scripts
    table = train.split(train.read_table(csv))
    assert (len(table.train), len(table.test)) == (1200, 300)
    assert table.test_labels.mean() == pytest.approx(1 / 3, abs=0.01)
    rows = {tuple(row) for row in table.train}
    assert not any(tuple(row) in rows for row in table.test)


def test_the_flow_learns_what_goes_together(scripts, trained):
    pulsars, _ = scripts
    model, table = trained
    made = pulsars.Rows(model).generate(draw(model)).numpy()
    assert np.corrcoef(made[:, 0], made[:, 1])[0, 1] > 0.75
    assert abs(np.corrcoef(made[:, 0], made[:, 4])[0, 1]) < 0.3
    assert made.min(axis=0) == pytest.approx(table.train.min(axis=0), abs=3)


def test_what_is_printed_of_the_training_is_so(scripts, trained):
    _, train = scripts
    model, table = trained
    printed = train.describe(model, table)
    right = (model.logit(torch.from_numpy(table.test).float())[:, 0] > 0).numpy() == table.test_labels
    share = 100 * right[table.test_labels == 1].mean()
    assert f"{share:.1f} % of pulsar right" in printed
    assert share > 80


def test_components_keep_their_contracts(scripts, trained):
    pulsars, _ = scripts
    model, _ = trained
    check_plugin(PLUGIN)
    check_generator(pulsars.Rows(model))
    check_objective(pulsars.Score(model), pulsars.Rows(model).generate(draw(model, 4)))


def test_a_run_with_weights_of_ones_own(scripts, csv, tmp_path, monkeypatch, capsys):
    _, train = scripts
    out = tmp_path / "own.safetensors"
    monkeypatch.setattr(sys, "argv", ["train.py", "--data", str(csv), "--updates", "20", "--out", str(out)])
    train.main()
    assert f"wrote {out}" in capsys.readouterr().out
    plugins = load_plugins("equidiff.builtin", PLUGIN)
    specs = f"pulsars,weights={out}", f"pulsar,weights={out}"
    found = equidiff.sample(*specs, "none", query=0, samples=3, plugins=plugins)
    assert len(found) == 3
    assert {weights.name for weights in found.info.weights} == {"own.safetensors"}
    with pytest.raises(EquiDiffError, match="does not exist"):
        equidiff.sample(f"pulsars,weights={out}.not", specs[1], "none", query=0, samples=1, plugins=plugins)


def test_another_table_is_refused(scripts, tmp_path, monkeypatch, capsys):
    _, train = scripts
    file = tmp_path / "other.csv"
    file.write_text("1,2,3\n4,5,6\n")
    monkeypatch.setattr(sys, "argv", ["train.py", "--data", str(file)])
    with pytest.raises(SystemExit):
        train.main()
    assert "has not 8 columns and a label" in capsys.readouterr().err


def test_pulsars_that_the_shipped_classifier_takes_for_the_same(scripts, tmp_path, monkeypatch, capsys):
    pulsars, _ = scripts
    plugins = load_plugins("equidiff.builtin", PLUGIN)
    found = equidiff.sample("pulsars", "pulsar", "none", query=0, samples=6, plugins=plugins)
    assert len(found) == 6
    assert {member.called.name for member in found.members} == {"pulsar"}
    with safe_open(pulsars.WEIGHTS, framework="pt") as file:
        assert "CC BY 4.0" in file.metadata()["data"]
        tensors = {name: file.get_tensor(name) for name in ("mean", "spread", "queries", "scale.values")}
        first, last = (file.get_tensor(f"classifier.{name}") for name in ("0.weight", "4.bias"))
    assert first.shape == (64, 8)
    assert last.shape == (1,)
    # members differ in what the classifier reads, by standard deviations of the data
    scaled = (found.samples - tensors["mean"]) / tensors["spread"]
    assert (scaled.amax(dim=0) - scaled.amin(dim=0)).max() > 1
    assert found.info.kind["name"] == "table"
    assert tuple(column["name"] for column in found.info.kind["columns"]) == pulsars.COLUMNS
    low, high = tensors["scale.values"][:, 0], tensors["scale.values"][:, -1]
    assert ((tensors["queries"] >= low) & (tensors["queries"] <= high)).all()
    assert ((found.samples >= low) & (found.samples <= high)).all()
    found.save(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["ranges.py", str(tmp_path / "run")])
    runpy.run_path(str(FOLDER / "ranges.py"), run_name="__main__")
    line = capsys.readouterr().out.splitlines()[1]
    low, high = np.quantile(found.samples[:, 0].numpy(), (0.1, 0.9))
    assert line.startswith("pulse mean ")
    assert f" {low:.4g} to {high:.4g} " in line
