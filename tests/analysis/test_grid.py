"""`grid.png`: the samples it shows, and those it leaves out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_runs import made_info
from PIL import Image

from equidiff.analysis.figures.captions import footnote, format_values, headline
from equidiff.analysis.figures.grid import Choice, draw_contact_sheet
from equidiff.images.canvas import ACCENT, CELL, fit
from equidiff.run.folder import MemoryRows
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record


def found(count=16, shape=(1, 28, 28), members=None, query=True, target=(1.234,), unit="activation"):
    """A set whose sample i has its own shade of grey, (i + 1) / 32."""
    members = count if members is None else members
    records = tuple(
        Record(i, "member" if i < members else "not_converged", 1, 1.0, 1, 1, 0.1, measurement=list(target))
        for i in range(count)
    )
    samples = torch.stack([torch.full(shape, (i + 1) / 32) for i in range(count)])
    about = {"values": target, "names": ["n"] * len(target), "unit": unit, "source": "own query 3"}
    info = made_info(asked=count, target=about)
    rows = MemoryRows(latents=samples, samples=samples, measurements=torch.zeros(count, len(target)))
    return InvariantSet(info, records, rows, torch.ones(1, *shape) if query else None)


def measure(samples):
    return samples.norm(dim=1, keepdim=True)


def colours(image):
    return {tuple(pixel) for pixel in np.asarray(image).reshape(-1, 3)}


def grey(i):
    return (round(255 * (i + 1) / 32),) * 3


def test_members_are_shown_and_others_never():
    image = draw_contact_sheet(found(16, members=10), measure)
    areas = {i: int((np.asarray(image) == grey(i)).all(axis=2).sum()) for i in range(16)}
    assert all(areas[i] >= CELL * CELL for i in range(10))
    # a few pixels of antialiased text may have any shade of grey
    assert all(areas[i] < 100 for i in range(10, 16))


def test_the_query_is_framed():
    accent = tuple(bytes.fromhex(ACCENT[1:]))
    assert accent in colours(draw_contact_sheet(found(), measure))
    assert accent not in colours(draw_contact_sheet(found(query=False), measure))


@pytest.mark.parametrize("count", [1, 2, 8, 9, 16, 64, 100])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 40, 64)])
def test_any_number_and_shape(count, shape):
    image = draw_contact_sheet(found(min(count, 30), shape), measure)
    assert image.mode == "RGB"
    assert image.height > CELL
    assert image.width > 3 * CELL


def test_nothing_to_show():
    assert draw_contact_sheet(found(3, members=0), measure) is None


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (60,)])
def test_points_of_no_plane_are_lines_over_parallel_axes(shape):
    image = draw_contact_sheet(found(3, shape=shape, target=(0.4,), unit="length"), measure)
    assert image.width > 600
    assert len(colours(image)) > 20
    choice = Choice([1], "one of them")
    assert draw_contact_sheet(found(3, shape=shape, target=(0.4,), unit="length"), measure, choice) != image


def test_points_are_drawn_on_a_contour_plot():
    image = draw_contact_sheet(found(5, shape=(2,), target=(0.4,), unit="length"), measure)
    assert image.mode == "RGB"
    assert min(image.size) > 600
    assert len(colours(image)) > 100
    assert draw_contact_sheet(found(5, shape=(2,), target=(0.4, 0.2), unit="length"), lambda x: x).mode == "RGB"
    # no point of the plot reaches the target
    assert draw_contact_sheet(found(1, shape=(2,), target=(40.0,), query=False), measure).mode == "RGB"


@pytest.mark.parametrize(
    ("values", "target", "text"),
    [
        ([1.2345], [1.2], "1.23"),
        ([0.97319], [0.9], "0.973"),
        ([123.456], [120], "123"),
        ([0.00012], [0.0002], "0.0001"),
        ([0.0], [0.0], "0.00"),
        ([-17.25], [-17.2], "-17.2"),
        ([3.0, 4.0], [3.0, 4.05], "0.99 % away"),
    ],
)
def test_sensible_digits(values, target, text):
    assert format_values(values, target) == text


def test_headline_and_footnote():
    assert headline(found())[0] == "neuron:17 = 1.23 (activation)"
    assert headline(found(target=(1.0, 2.0), unit="logit"))[0] == "neuron:17 (2 logit values)"
    assert "the target's" in headline(found(query=False))[1]
    assert footnote(found(), 16) == ""
    assert footnote(found(16, members=13), 13) == "Not shown: 3 that did not reach the target."
    assert footnote(found(16, members=13), 10) == "Not shown: 3 that did not reach the target and 3 more members."


def test_the_value_is_that_of_the_image_shown():
    one = found(1)
    saved = replace(one.records[0], measurement_saved=[1.334])
    one = replace(one, records=(saved,))
    assert headline(one)[1].endswith("to within 0.1")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((28, 28), (112, 112)), ((50, 25), (100, 50)), ((100, 100), (112, 112)), ((640, 320), (112, 56))],
)
def test_fit(size, expected):
    assert fit(Image.new("L", size), 112).size == expected
