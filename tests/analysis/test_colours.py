"""One meaning of colours in every output: orange is evidence for the measurement, purple against it."""

import base64
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_runs import made, page_of
from PIL import Image
from safetensors.torch import save_file

from equidiff.analysis.compare.drawing import plot_maps
from equidiff.analysis.compare.panels import Panels
from equidiff.analysis.figures.colours import SIGNED, UNSIGNED, Scale
from equidiff.analysis.figures.layout import render
from equidiff.analysis.figures.thesis.catalog import FIGURES
from equidiff.analysis.figures.thesis.source import Source
from equidiff.kinds.registry import kind_of_shape

SIZE = 8


def is_orange(colour):
    red, green, blue = (int(each) for each in colour[:3])
    return red > green > blue and red - blue > 60


def is_purple(colour):
    red, green, blue = (int(each) for each in colour[:3])
    return blue > red > green and blue - green > 40


def halves():
    """A map that is positive on the left and negative on the right."""
    values = torch.ones(SIZE, SIZE)
    values[:, SIZE // 2 :] = -1
    return values


def test_the_colours_named_are_those_of_the_scale():
    from matplotlib import colormaps

    scale = Scale.of([halves().numpy()])
    assert scale.low == -scale.high < 0
    first, middle, last = (colormaps[scale.colours](each, bytes=True) for each in (0.1, 0.5, 0.9))
    assert is_purple(first)
    assert is_orange(last)
    assert min(middle[:3]) > 235
    assert scale.legend == "Orange: evidence for the measurement; purple: against."


def test_maps_without_a_sign_go_from_dark_to_bright():
    from matplotlib import colormaps

    scale = Scale.of([np.arange(8.0)])
    assert (scale.colours, scale.low) == (UNSIGNED, 0)
    brightness = colormaps[scale.colours](np.linspace(0, 1, 9))[:, :3].mean(axis=1)
    assert (np.diff(brightness) > 0).all()
    assert "right" in scale.legend
    # one map of a method may have no negative value, although others do
    assert Scale.of([np.arange(8.0)], signed=True).colours == SIGNED


@pytest.mark.parametrize(
    ("values", "high"), [([0.0] * 999 + [4.0], 4.0), ([0.0], 1.0), ([np.nan, 2.0], 2.0), ([np.nan], 1.0), ([], 1.0)]
)
def test_the_strongest_colour(values, high):
    assert Scale.of([np.array(values)]).high == pytest.approx(high, rel=0.01)


def test_compare_draws_positive_values_in_orange():
    samples = torch.zeros(2, 1, SIZE, SIZE)
    panels = Panels(kind_of_shape((1, SIZE, SIZE)), (1, SIZE, SIZE))
    subject = SimpleNamespace(samples=samples, query=True, members=[0], panels=panels)
    maps = {"method": {"query": halves()[None], "members": halves()[None]}}
    figure = plot_maps(subject, maps, {"name": "unit", "unit": "activation", "query": 1.0, "members": [1.0]})
    image = np.asarray(render(figure))
    shown = [axes for axes in figure.axes if axes.images and axes.images[0].get_cmap().name == SIGNED]
    assert len(shown) == 2
    for axes in shown:
        box = axes.get_window_extent()
        row = round(image.shape[0] - (box.y0 + box.y1) / 2)
        assert is_orange(image[row, round(box.x0 + 0.25 * box.width)])
        assert is_purple(image[row, round(box.x0 + 0.75 * box.width)])
    texts = " ".join(text.get_text() for text in figure.texts)
    assert "Orange: evidence for the measurement; purple: against." in " ".join(texts.split())


def test_the_report_draws_positive_values_in_orange(tmp_path):
    folder = tmp_path / "attributions"
    folder.mkdir()
    positive = torch.arange(SIZE * SIZE).reshape(SIZE, SIZE).float()  # alone, it would look like a map without a sign
    maps = {"query": halves()[None], "members": torch.stack([positive, -positive])}
    save_file(maps, folder / "m.safetensors")
    method = {"name": "m", "spec": "m", "status": "complete", "file": "m.safetensors", "numbers": {}}
    (folder / "attributions.json").write_text(json.dumps({"schema_version": 1, "methods": [method]}))
    text = page_of(made(count=2, others=1, size=SIZE), tmp_path)
    images = [read_image(uri) for uri in re.findall(r"data:image/png;base64,[A-Za-z0-9+/=]+", text)]
    images = [image for image in images if image.shape == (SIZE, SIZE, 3)]
    assert any(is_orange(image[4, 1]) and is_purple(image[4, 6]) for image in images), "the query's map"
    corners = [image[-1, -1] for image in images if min(image[0, 0]) > 235]
    assert any(map(is_orange, corners)), "the map of the first member"
    assert any(map(is_purple, corners)), "the map of the second member"
    assert "Orange: evidence for the measurement; purple: against." in text


def read_image(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


class Dark:
    """Generator of black images: members have more power everywhere."""

    latent_shape = sample_shape = (1, SIZE, SIZE)

    def generate(self, latents):
        return torch.zeros_like(latents)


def test_the_difference_of_spectra_is_orange_where_members_have_more():
    problem = SimpleNamespace(generator=Dark())
    session = SimpleNamespace(problem=problem, settings=SimpleNamespace(batch=4), device="cpu")
    figure = FIGURES["spectrum"].draw(Source(made(count=3, size=SIZE), session))
    shown = figure.axes[3].images[0]
    values = shown.get_array()
    assert values.min() > 0
    red, _, blue = np.moveaxis(shown.cmap(shown.norm(values))[..., :3], -1, 0)
    assert (red > blue).all()
    assert is_orange(255 * np.array(shown.cmap(shown.norm(values.max()))))
    assert "orange: more in members" in [axes.get_xlabel().partition("; ")[2] for axes in figure.axes]
