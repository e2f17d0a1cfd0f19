"""Every figure is well laid out, whatever the run: no text is cut or covered, panels are even."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib as mpl
import pytest
import torch
from layout import flaws, flaws_of_sheet
from made_runs import made
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from equidiff.analysis.compare.drawing import plot_freedom, plot_maps
from equidiff.analysis.compare.freedom import Freedom
from equidiff.analysis.compare.panels import Panels
from equidiff.analysis.figures.contour_plot import Highlight, plot_contours
from equidiff.analysis.figures.grid import Choice, draw_contact_sheet
from equidiff.analysis.figures.layout import fold, text_width
from equidiff.analysis.figures.thesis.catalog import FIGURES
from equidiff.analysis.figures.thesis.source import TEXT, Source
from equidiff.analysis.path.drawing import draw_path
from equidiff.analysis.path.search import SetPath
from equidiff.analysis.path.steps import Steps
from equidiff.analysis.sample_folder import draw_sheet
from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.kinds.registry import kind_of_shape

LONG = "custom:./experiments/of-last-week/probes.py:brightness_of_the_upper_half,threshold=0.5,channels=red+green"
METHODS = ["random", "saliency", "integrated_gradients", "occlusion,window=7",
           "noise_tunnel:integrated_gradients,draws=32,deviation=0.1", "gradcam,layer=block2"]  # fmt: skip
SHAPES = {"square": (1, 16, 16), "wide": (3, 12, 24), "tall": (1, 24, 12)}


class Noise:
    """Generator whose images are its latents."""

    def __init__(self, shape):
        self.latent_shape = self.sample_shape = shape

    def generate(self, latents):
        return latents


def source(found):
    def measure(samples):
        return samples.flatten(1).mean(dim=1, keepdim=True).expand(-1, len(found.target))

    problem = SimpleNamespace(
        generator=Noise(tuple(found.samples.shape[1:])),
        objective=SimpleNamespace(measure=measure),
        regularizer=LowPass(0.5),
        target=found.target,
    )
    return Source(found, SimpleNamespace(problem=problem, settings=SimpleNamespace(batch=16), device="cpu"))


def renamed(found, spec, names):
    specs = found.info.specs.model_copy(update={"objective": spec})
    target = found.info.target.model_copy(update={"names": names})
    object.__setattr__(found, "info", found.info.model_copy(update={"specs": specs, "target": target}))
    return found


def reshaped(found, shape):
    random = torch.Generator().manual_seed(3)
    found.rows["samples"] = torch.rand(len(found.records), *shape, generator=random)
    if found.query is not None:
        object.__setattr__(found, "query", torch.rand(1, *shape, generator=random))
    return found


RUNS = {
    "one member": lambda: made(count=1, others=2, size=16),
    "sixteen members": lambda: made(count=16, size=16),
    "20 members, no query": lambda: made(count=20, size=16, query=False),
    "70 members, some left out": lambda: made(count=70, others=3, size=16),
    "long names": lambda: renamed(made(count=9, size=16), LONG, ("brightness_of_the_upper_half (red and green)",)),
    "wide images": lambda: reshaped(made(count=5), SHAPES["wide"]),
    "tall images": lambda: reshaped(made(count=5), SHAPES["tall"]),
    "large values": lambda: made(count=20, size=16, values=(123456.789,)),
    "small values": lambda: made(count=20, size=16, values=(-1.5e-7,)),
    "ten outputs": lambda: made(count=16, size=16, values=tuple(range(10))),
    "many outputs": lambda: made(count=4, size=16, values=tuple(range(1000))),
    "many outputs, long names": lambda: renamed(
        made(count=4, size=16, values=tuple(range(30))), LONG, tuple(f"{each}: {LONG}" for each in range(30))
    ),
}


@pytest.mark.parametrize("name", ["grid", "logits", "spectrum", "cutoff"])
@pytest.mark.parametrize("run", RUNS)
def test_figures_of_the_thesis(name, run):
    with mpl.rc_context(TEXT):
        assert flaws(FIGURES[name].draw(source(RUNS[run]()))) == []


@pytest.mark.parametrize("values", [(0.2,), (0.2, 0.1)])
@pytest.mark.parametrize("spec", ["classifier:inner", LONG])
@pytest.mark.parametrize("joined", [None, True])
def test_the_contour_plot(values, spec, joined):
    found = reshaped(renamed(made(count=9, values=values), spec, ("inner", "outer")[: len(values)]), (2,))

    def measure(points):
        return points.square().sum(dim=1, keepdim=True).expand(-1, len(values))

    highlight = None if joined is None else Highlight("path", found.samples[:4], joined)
    titles = (f"{spec} = 0.961 (probability)", "16 of 16 samples with the query's probability, to within 0.02")
    note = "Not shown: 3 that did not reach the target and 100 more members."
    assert flaws(plot_contours(found, measure, titles, note, highlight)) == []


def subject(shape, members, query):
    samples = torch.rand(members + query, *shape, generator=torch.Generator().manual_seed(0))
    panels = Panels(kind_of_shape(shape), shape)
    return SimpleNamespace(samples=samples, query=query, members=list(range(0, 100 * members, 100)), panels=panels)


def maps_of(methods, shape, members, query):
    random = torch.Generator().manual_seed(0)
    own = {"members": (members, *shape[1:])} | ({"query": (1, *shape[1:])} if query else {})
    return {
        spec: {name: 1e-5 * torch.randn(*size, generator=random).abs() ** (place % 2 + 1) for name, size in own.items()}
        for place, spec in enumerate(methods)
    }


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    ("members", "query", "methods"),
    [(1, True, METHODS[:1]), (1, False, METHODS), (3, True, METHODS[-2:]), (9, True, METHODS)],
)
def test_maps_side_by_side(shape, members, query, methods):
    scalar = {"name": f"mean of {LONG}", "unit": "activation", "query": -1234.5, "members": [-1234.5] * members}
    maps = maps_of(methods, shape, members, query)
    maps[methods[-1]]["members"][0, 0, 0] = -1
    assert flaws(plot_maps(subject(shape, members, query), maps, scalar)) == []


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("count", [1, 4, 6])
def test_freedom(shape, count):
    random = torch.Generator().manual_seed(0)
    free, prior = (torch.rand(*shape[1:], generator=random) for _ in range(2))
    maps = maps_of(METHODS[:count], shape, 3, query=True)
    scores = dict.fromkeys(maps, 0.5) | {"random": None}
    figure = plot_freedom(subject(shape, 3, True), Freedom([0, 1], "pixels", free, prior), maps, scores)
    assert flaws(figure) == []


# ---- contact sheets


@pytest.mark.parametrize("run", RUNS)
def test_the_contact_sheet(run):
    found = RUNS[run]()
    assert flaws_of_sheet(lambda: draw_contact_sheet(found, lambda samples: samples)) == []
    choice = Choice([record.index for record in found.members][:8], f"the 8 most different of {len(found)} members")
    assert flaws_of_sheet(lambda: draw_contact_sheet(found, lambda samples: samples, choice)) == []


@pytest.mark.parametrize("frames", [3, 9, 30])
@pytest.mark.parametrize("run", ["sixteen members", "long names", "small values", "ten outputs", "tall images"])
def test_the_filmstrip(run, frames):
    found = RUNS[run]()
    records = [replace(found.records[0], index=frame) for frame in range(frames)]
    records[1] = replace(records[1], status="not_converged")
    random = torch.Generator().manual_seed(0)
    rows = {
        "samples": torch.rand(frames, *found.samples.shape[1:], generator=random),
        "latents": torch.randn(frames, 4, generator=random),
    }
    rows["samples"][frames // 2 :] += 50
    path = SetPath((0, 1), tuple(records), rows, ([0.0], Steps([1.0], [1.0])), 1.0)
    assert len(path.jumps) == 1 or frames == 3
    assert flaws_of_sheet(lambda: draw_path(path, found, lambda samples: samples)) == []


@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_sheet_of_samples(count):
    images = [Image.new("L", (28, 28))] * count
    assert flaws_of_sheet(lambda: draw_sheet(f"{count} prior samples of {LONG}, seed 1234567", images)) == []


# ---- the measure itself


def test_flaws_are_found():
    figure = Figure(figsize=(4, 3), dpi=100)
    figure.text(0.5, 0.5, "one")
    figure.text(0.51, 0.51, "two")
    figure.text(0.98, 0.1, "outside")
    figure.text(0.1, 0.9, "tiny", fontsize=4)
    for left in (0.1, 0.2, 0.4):
        axes = figure.add_axes((left, 0.2, 0.05, 0.05), xticks=[], yticks=[])
        axes.imshow([[0, 1]], aspect="auto")
    figure.text(0.11, 0.2, "covered")
    found = "\n".join(flaws(figure))
    for words in ("'one' overlaps 'two'", "'outside' is cut", "'tiny' is small", "'covered' lies on a panel",
                  "a panel is tiny", "gaps from 20 to 60 pixels"):  # fmt: skip
        assert words in found


def test_flaws_of_a_sheet_are_found():
    def draw():
        canvas = Image.new("RGB", (100, 60))
        for x, y, text in ((5, 5, "one"), (8, 8, "two"), (90, 40, "outside")):
            ImageDraw.Draw(canvas).text((x, y), text)
        return canvas

    assert flaws_of_sheet(draw) == ["'outside' is cut", "'one' overlaps 'two'"]


def test_labels_of_ticks_that_are_not_drawn_are_no_flaw():
    axes = Figure().add_subplot(xlim=(0, 1), xticks=[0, 1, 5], xticklabels=["a", "b", "far away"])
    assert flaws(axes.figure) == []


@pytest.mark.parametrize("text", [LONG, "a plain sentence of several words", f"a word {LONG} and more", "", "a\nb"])
@pytest.mark.parametrize("width", [0.4, 1.2, 6])
def test_folded_text_is_complete_and_fits(text, width):
    folded = fold(text, width, 9)
    assert "".join(folded.split()) == "".join(text.split())
    widths = [text_width(line, 9) for line in folded.split("\n")]
    assert max(widths) <= width
    # a line ends early only where the next word would not fit
    if " " not in text and width > 1:
        assert len(widths) <= 2 * sum(widths) / width + text.count("\n") + 1
