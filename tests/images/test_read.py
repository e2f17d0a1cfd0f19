"""Images as they are stored: turned, with a tag that says so."""

import numpy as np
import pytest
from PIL import Image

from equidiff.builtin.generators.pixels import Pixels
from equidiff.images.read import read_image
from equidiff.run.query import load_query

ORIENTATION = 0x0112


def upright():
    return Image.fromarray(np.arange(12 * 8 * 3, dtype=np.uint8).reshape(12, 8, 3))


# how a camera stores an upright picture, by the value of the tag
STORED = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("tag", STORED)
@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_every_orientation_is_upright(tag, suffix, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    path = tmp_path / f"phone.{suffix}"
    STORED[tag](upright()).save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(np.asarray(read_image(path)), np.asarray(upright()))
    with Image.open(path) as opened:  # given in Python
        query = load_query(opened, Pixels((3, 12, 8)))
    assert np.array_equal(np.asarray(query.image), np.asarray(upright()))


def test_without_a_tag_nothing_is_turned(tmp_path):
    STORED[6](upright()).save(tmp_path / "plain.png")
    assert read_image(tmp_path / "plain.png").size == (12, 8)
