"""The card of a set in a notebook."""

import base64
import io
import re

import pytest
import torch
from analytic import Linear
from PIL import Image

import equidiff
from equidiff.errors import UnsupportedError
from equidiff.run.card import describe, draw_sheet, write_html


@pytest.fixture(scope="module")
def images():
    query = torch.full((1, 1, 4, 4), 0.5)
    return equidiff.sample("pixels:4", Linear(torch.ones(1, 16) / 16), query=query, samples=3, tolerance=1e-6)


@pytest.fixture(scope="module")
def points():
    return equidiff.sample("toy:circles", "classifier:inner", query=1, samples=2, tolerance=1e-4)


def test_a_card_has_the_sentence_and_the_images(images):
    html = images._repr_html_()
    assert describe(images.info, 3, images.measurements) in html
    sheet = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])))
    assert sheet.size == (4 * 84 + 12, 84 + 12)
    assert len(sheet.getcolors(99999)) > 3


def test_text_is_escaped(images):
    assert images.info.specs.objective == "<analytic.Linear>"
    html = images._repr_html_()
    assert "<analytic" not in html
    assert "&lt;analytic.Linear&gt;" in html
    assert "<script>" not in write_html(images.info, '"><script>', Image.new("L", (1, 1)))


def test_points_have_a_card_of_text(points):
    assert "2 of 2 samples are members: inner = " in points._repr_html_()
    assert "<img" not in points._repr_html_()
    with pytest.raises(UnsupportedError, match="not images"):
        points.show()


def test_no_member_is_further_than_the_sentence_says(points):
    target = points.info.target.values[0]
    for deviation, text in ((0.0231, "0.024"), (0.5, "0.5"), (0.0001101, "0.00012")):
        measured = torch.tensor([[target], [target - deviation]], dtype=torch.float64)
        assert describe(points.info, 2, measured).endswith(f"to within {text} (prior samples vary by 0.39)")
    assert describe(points.info, 2, torch.empty(0)).endswith("(probability)")


def test_show_opens_the_sheet(images, monkeypatch):
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda image: shown.append(image.size))
    images.show()
    assert shown == [(4 * 84 + 12, 84 + 12)]


def test_a_sheet_ends_after_32_members():
    assert draw_sheet(None, [Image.new("L", (4, 4))] * 40).size == (8 * 84 + 12, 4 * 84 + 12)
