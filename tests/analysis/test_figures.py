"""The figures of the thesis: their content, the runs they fit, and their files."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from made_runs import made
from matplotlib.container import BarContainer
from PIL import Image
from running import assert_one_error, damage_tensors, read_run, run_circles, run_cli

from equidiff.analysis.figures.contour_plot import Highlight, plot_contours
from equidiff.analysis.figures.thesis.catalog import FIGURES, fitting, write_figure
from equidiff.analysis.figures.thesis.source import Source
from equidiff.analysis.subsample import draw_members
from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.registry.manager import Plugins
from equidiff.run.finished import open_finished
from equidiff.run.folder import MemoryRows
from equidiff.run.invariant_set import InvariantSet


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    return run_circles("-n", 12, "--seed", 1, "--out", tmp_path_factory.mktemp("figures") / "plane").path


@pytest.fixture(scope="module")
def garments(tmp_path_factory):
    """A run in the format of the bundled network."""
    found = made(count=2, others=1, size=28, weights=[], started="now")
    return found.save(tmp_path_factory.mktemp("figures") / "garments")


def opened(path):
    finished = open_finished(path, Plugins(), ("equidiff", "figure"), device="cpu")
    return Source(finished.found, finished.session)


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_each_figure_of_a_run_of_images(garments, tmp_path):
    outcome = run_cli("figure", garments, "--name", "all", "--out", tmp_path / "all")
    assert outcome.code == 0, outcome.stderr
    names = ["grid.png", "logits.png", "spectrum.png", "cutoff.png"]
    assert outcome.stdout.splitlines() == [str(tmp_path / "all" / name) for name in names]
    for name in names:
        with Image.open(tmp_path / "all" / name) as image:
            assert min(image.size) > 200
    assert {path.name for path in (tmp_path / "all").iterdir()} == set(names)


def test_each_figure_of_a_run_in_the_plane(plane):
    outcome = run_cli("figure", plane)
    assert outcome.stdout.splitlines() == [str(plane / "figures" / name) for name in ("logits.png", "level-curves.png")]


@pytest.mark.parametrize(("suffix", "start"), [("PNG", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_suffix_is_the_format(plane, tmp_path, suffix, start):
    out = tmp_path / "new" / f"figure.{suffix}"
    assert run_cli("figure", plane, "--name", "logits", "--out", out).path == out
    first = out.read_bytes()
    assert first.startswith(start)
    run_cli("figure", plane, "--name", "logits", "--out", out)
    assert out.read_bytes() == first
    if suffix == "svg":
        assert "inner (probability)" in first.decode()  # text stays text


def test_members_lie_on_the_level_curve(plane):
    figure = FIGURES["level-curves"].draw(opened(plane))
    axes = figure.axes[0]
    members = next(each for each in axes.collections if each.get_label() == "members").get_offsets()
    np.testing.assert_allclose(members, opened(plane).found.samples, atol=1e-6)
    assert axes.get_xlabel() == "first coordinate"
    assert figure.axes[1].get_ylabel() == "probability"


def test_the_contour_plot_shows_the_tolerance(plane):
    source = opened(plane)
    target, tolerance = float(source.found.target), source.found.info.tolerance
    assert tolerance > 0
    exact, allowed = [
        each for each in FIGURES["level-curves"].draw(source).axes[0].collections if "Contour" in str(each)
    ]
    reach = [target - tolerance**0.5, target + tolerance**0.5]
    for curve, levels in ((exact, [target]), (allowed, reach)):
        np.testing.assert_allclose(curve.levels, levels)
        for path, level in zip(curve.get_paths(), levels, strict=True):
            points = torch.tensor(path.vertices, dtype=torch.float32)
            if len(points):
                measured = source.parts.problem.objective.measure(points)[:, 0]
                np.testing.assert_allclose(measured, level, atol=1e-3)


def test_the_line_of_a_path_is_broken_where_it_jumps(plane):
    source = opened(plane)
    points = source.found.samples[:5]
    measure = source.parts.problem.objective.measure
    figure = plot_contours(source.found, measure, ("title", "subtitle"), "", Highlight("path", points, True, (1, 3)))
    drawn = lines(figure.axes[0])["path"].get_xydata()
    assert np.isnan(drawn).all(axis=1).nonzero()[0].tolist() == [2, 5]
    np.testing.assert_allclose(drawn[~np.isnan(drawn[:, 0])], points, atol=1e-6)


def test_one_output_is_a_distribution_about_the_target():
    found = made(count=9, values=(0.5,))
    axes = FIGURES["logits"].draw(Source(found)).axes[0]
    (bars,) = [each for each in axes.containers if isinstance(each, BarContainer)]
    assert sum(bar.get_height() for bar in bars) == 9
    assert lines(axes)["query"].get_xdata()[0] == 0.5
    (band,) = [patch for patch in axes.patches if patch.get_label() == "allowed by the tolerance"]
    reach = np.sqrt(found.info.tolerance)
    assert band.get_x() == pytest.approx(0.5 - reach)
    assert band.get_width() == pytest.approx(2 * reach)
    assert axes.get_xlabel() == "unit 0 (activation)"


def test_a_few_outputs_have_their_names():
    found = made(count=3, values=(1.0, 2.0, 3.0))
    axes = FIGURES["logits"].draw(Source(found)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["unit 0", "unit 1", "unit 2"]
    np.testing.assert_allclose(lines(axes)["query"].get_xdata(), [1, 2, 3])
    drawn = [line.get_xdata() for line in axes.get_lines() if len(line.get_xdata()) == 3][:3]
    np.testing.assert_allclose(drawn, found.measurements, rtol=1e-6)


def test_many_outputs_are_lines_and_the_highest_have_names():
    found = made(count=3, values=tuple(float(value) for value in range(40)))
    left, right = FIGURES["logits"].draw(Source(found)).axes
    np.testing.assert_allclose(lines(left)["query"].get_ydata(), range(40))
    np.testing.assert_allclose(lines(left)["members, mean"].get_ydata(), found.measurements.mean(dim=0), rtol=1e-6)
    assert [label.get_text() for label in right.get_yticklabels()][:2] == ["unit 39", "unit 38"]


def test_the_grid_shows_members_alone():
    found = made(count=10, others=3)
    figure = FIGURES["grid"].draw(Source(found))
    query, *members = [axes.images[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(query, (found.query[0, 0] * 255).round())
    assert len(members) == 10
    for shown, sample in zip(members, found.samples, strict=True):
        np.testing.assert_array_equal(shown, (sample[0] * 255).round())
    assert [axes.get_xlabel() for axes in figure.axes][:3] == ["query: 0.500", "0.500", "0.510"]
    assert figure.texts[-1].get_text() == "Not shown: 3 that did not reach the target."


def log_power(image):
    """Log power by the definition of the transform, frequency by frequency."""
    size = len(image)
    place = np.arange(size)
    power = np.empty((size, size))
    for u in range(size):
        for v in range(size):
            wave = np.exp(-2j * np.pi * (u * place[:, None] + v * place[None]) / size)
            power[u, v] = abs((image * wave).sum()) ** 2 / size**2
    return np.roll(np.log10(power + 1 / (12 * 255**2)), (size // 2, size // 2), (0, 1))


class Identity:
    """Generator whose images are its latents."""

    latent_shape = sample_shape = (1, 8, 8)

    def generate(self, latents):
        return latents


def with_parts(found, measure, regularizer=None):
    """Source of a run with the components that a test chooses."""
    problem = SimpleNamespace(
        generator=Identity(),
        objective=SimpleNamespace(measure=measure),
        regularizer=regularizer,
        target=found.target,
    )
    settings = SimpleNamespace(batch=2)
    return Source(found, SimpleNamespace(problem=problem, settings=settings, device="cpu"))


def test_the_spectra_are_those_of_the_images():
    found = made(count=3)
    figure = FIGURES["spectrum"].draw(with_parts(found, None))
    query, members, prior, difference = [axes.images[0].get_array() for axes in figure.axes[:4]]
    np.testing.assert_allclose(query, log_power(found.query[0, 0].numpy()), atol=1e-4)
    expected = np.mean([log_power(sample[0].numpy()) for sample in found.samples], axis=0)
    np.testing.assert_allclose(members, expected, atol=1e-4)
    np.testing.assert_allclose(difference, members - prior, atol=1e-5)
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == ["query", "3 members", "3 prior samples", "members minus prior"]
    radial = next(axes for axes in figure.axes if "3 members" in lines(axes))
    assert lines(radial)["3 members"].get_xdata()[-1] == 1.0


def test_the_cutoff_curve_is_the_measurement_of_filtered_images():
    found = made(count=3)

    def brightest(samples):
        return samples.amax(dim=(1, 2, 3))[:, None]

    axes = FIGURES["cutoff"].draw(with_parts(found, brightest, LowPass(0.5))).axes[0]
    drawn = lines(axes)
    cutoffs = [tenth / 10 for tenth in range(1, 10)]
    np.testing.assert_allclose(drawn["query"].get_xdata(), cutoffs)
    radius = np.hypot(np.fft.fftfreq(8)[:, None], np.fft.fftfreq(8)[None]) / 0.5
    for name, images in (("query", found.query), ("members, mean", found.samples)):
        spectra = np.fft.fft2(images[:, 0].numpy())
        slow = [np.fft.ifft2(spectra * (radius <= cut)).real.max(axis=(1, 2)).mean() for cut in cutoffs]
        np.testing.assert_allclose(drawn[name].get_ydata(), slow, atol=1e-5)
    assert drawn["target"].get_ydata()[0] == 0.5
    assert drawn["cut-off of the run's own filter"].get_xdata()[0] == 0.5


def test_of_very_many_members_some_are_drawn_and_the_figure_says_so(monkeypatch):
    for module in ("cutoff", "logits"):
        monkeypatch.setattr(f"equidiff.analysis.figures.thesis.{module}.DRAWN", 5)
    found = made(count=12, values=(0.5, 0.25))
    source = with_parts(found, lambda samples: samples.flatten(1)[:, :2])
    drawn = draw_members(found, 5)
    axes = FIGURES["cutoff"].draw(source).axes[0]
    assert len([line for line in axes.get_lines() if line.get_alpha() == 0.3]) == 5
    assert "(5 of 12 members, drawn by the seed)" in axes.get_title().replace("\n", " ")
    axes = FIGURES["logits"].draw(source).axes[0]
    dots = [line.get_xdata() for line in axes.get_lines() if line.get_alpha() and len(line.get_xdata())]
    np.testing.assert_allclose(np.stack(dots), drawn.measurements)
    assert "members (5 of 12 members, drawn by the seed)" in lines(axes)


def test_a_crowd_of_points_is_drawn_as_smaller_dots_all_of_them(plane, monkeypatch):
    source = opened(plane)
    monkeypatch.setattr("equidiff.analysis.figures.contour_plot.CROWD", 6)
    (dots,) = [each for each in FIGURES["level-curves"].draw(source).axes[0].collections if each.get_rasterized() and
               len(each.get_offsets()) == 12]  # fmt: skip
    np.testing.assert_allclose(dots.get_offsets(), source.found.samples, atol=1e-6)
    assert dots.get_sizes() == [13.0]


def test_several_outputs_are_drawn_as_their_distance_from_the_target():
    found = made(count=2, values=(0.0, 0.0))
    source = with_parts(found, lambda samples: torch.tensor([[3.0, 4.0]]).expand(len(samples), 2))
    axes = FIGURES["cutoff"].draw(source).axes[0]
    np.testing.assert_allclose(lines(axes)["members, mean"].get_ydata(), [5.0] * 9)
    assert axes.get_ylabel() == "distance from the target (activation)"


@pytest.mark.parametrize(("count", "query"), [(1, True), (9, False), (20, True)])
def test_any_number_of_members_with_and_without_a_query(tmp_path, count, query):
    found = made(count=count, query=query)
    source = with_parts(found, lambda samples: samples.mean(dim=(1, 2, 3))[:, None])
    for name in ("grid", "logits", "spectrum", "cutoff"):
        assert write_figure(name, source, tmp_path / f"{name}.png").stat().st_size > 1000


def test_drawing_leaves_no_settings_behind(tmp_path):
    before = dict(mpl.rcParams)
    write_figure("logits", Source(made()), tmp_path / "a.png")
    assert dict(mpl.rcParams) == before


def test_names_are_not_formulas(tmp_path):
    """Matplotlib would read text between dollar signs as mathematics."""
    found = made(count=2, values=(1.0, 2.0))
    target = found.info.target.model_copy(update={"names": ("$\\frac{", "a_$b$"), "unit": "$\\oops$"})
    specs = found.info.specs.model_copy(update={"objective": "custom:./$\\nothing$.py:f"})
    odd = replace(found, info=found.info.model_copy(update={"target": target, "specs": specs}))
    for name in ("grid", "logits"):
        assert write_figure(name, Source(odd), tmp_path / f"{name}.png").exists()


# ---- bad input


def test_names_and_files_that_cannot_be_drawn(plane, tmp_path):
    assert_one_error(run_cli("figure", plane, "--name", "logit"), 1, "no figure named 'logit'", "did you mean  logits?")
    assert_one_error(
        run_cli("figure", plane, "--name", "logits", "--out", "a.gif"), 2, ".png, .svg, .pdf", "--out a.png"
    )
    assert_one_error(run_cli("figure", plane, "--name", "all", "--out", "a.png"), 2, "a folder", "--out a")
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "a.png"
    assert_one_error(
        run_cli("figure", plane, "--name", "logits", "--out", out), 1, "cannot be written", "--out logits.png"
    )


@pytest.mark.parametrize("name", ["grid", "spectrum", "cutoff"])
def test_figures_of_images_do_not_fit_points(plane, name):
    why = "points are not drawn one by one" if name == "grid" else "not images"
    words = (why, "logits, level-curves", "--name logits")
    assert_one_error(run_cli("figure", plane, "--name", name), 1, *words)


def test_level_curves_do_not_fit_images(garments):
    outcome = run_cli("figure", garments, "--name", "level-curves")
    assert_one_error(outcome, 1, "not points in the plane", "--name grid")


def test_samples_that_are_neither():
    found = made(count=2)
    rows = MemoryRows({**found.rows, "samples": torch.zeros(len(found.records), 5)})
    assert fitting(InvariantSet(found.info, found.records, rows, None)) == ["logits"]
    tiny = MemoryRows({**found.rows, "samples": torch.zeros(len(found.records), 1, 2, 2)})
    assert "spectrum" not in fitting(InvariantSet(found.info, found.records, tiny, None))


def test_runs_that_cannot_be_drawn(plane, tmp_path):
    draw = ("figure", "--name", "all")
    assert_one_error(run_cli(*draw, tmp_path), 1, "not a run folder")
    broken = tmp_path / "broken"
    shutil.copytree(plane, broken)
    info = read_run(broken)
    (broken / "run.json").write_text(json.dumps(info | {"status": "running"}))
    assert_one_error(run_cli(*draw, broken), 1, "not ended", "--resume")
    (broken / "run.json").write_text(json.dumps(info | {"schema_version": 4}))
    assert_one_error(run_cli(*draw, broken), 1, "another version")
    (broken / "run.json").write_text(json.dumps(info))
    damage_tensors(broken)
    assert_one_error(run_cli(*draw, broken), 1, "damaged or lost")
    none = run_circles("-n", 1, "--target", 7, "--budget", 1, "--out", tmp_path / "none").path
    assert_one_error(run_cli(*draw, none), 1, "no members")


def test_code_of_the_users_own_is_named_again(tmp_path):
    probe = tmp_path / "probe.py"
    probe.write_text("def height(points):\n    return points[:, 1]\n")
    spec = f"custom:{probe}:height"
    path = tmp_path / "run"
    assert run_cli("run", "-g", "toy:circles", "-o", spec, "-n", 2, "--out", path).code == 0
    assert run_cli("figure", path, "--name", "logits").code == 0  # runs no code
    refused = run_cli("figure", path, "--name", "level-curves")
    assert_one_error(refused, 1, "would be executed", "--name level-curves", "--objective custom:")
    assert run_cli("figure", path, "--name", "level-curves", "-o", spec).code == 0
