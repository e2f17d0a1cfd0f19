"""Images as they are stored: turned, with a tag that says so, and in all colours and formats that people have."""

import io
import os
import struct
import subprocess
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, data, integers, sampled_from
from PIL import Image, ImageFile

from equidiff.builtin.generators.pixels import Pixels
from equidiff.errors import QueryError
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


def picture(mode="RGB"):
    random = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return Image.fromarray(random).convert(mode)


def encoded(form):
    file = io.BytesIO()
    picture().save(file, form)
    return file.getvalue()


WHOLE = {
    suffix: encoded(form)
    for suffix, form in zip(
        ("png", "jpg", "bmp", "gif", "tif", "webp", "ppm"),
        ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"),
        strict=True,
    )
}


def written(image, path, **more):
    image.save(path, **more)
    return read_image(path)


def opaque(image):
    image.putalpha(255)
    return image


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_alpha_that_is_opaque_is_dropped(suffix, tmp_path):
    lossless = {"lossless": True} if suffix == "webp" else {}
    read = written(opaque(picture()), tmp_path / f"a.{suffix}", **lossless)
    assert read.mode == "RGB"
    assert read.tobytes() == picture().tobytes()


def test_grey_with_opaque_alpha_and_one_bit_are_grey(tmp_path):
    read = written(opaque(picture("L")), tmp_path / "a.png")
    assert (read.mode, read.tobytes()) == ("L", picture("L").tobytes())
    read = written(picture("1"), tmp_path / "b.png")
    assert (read.mode, read.tobytes()) == ("L", picture("1").convert("L").tobytes())


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr"])
def test_other_colours_are_what_pillow_makes_of_them(mode, tmp_path):
    path = tmp_path / ("a.png" if mode == "P" else "a.tif")
    picture(mode).save(path)
    with Image.open(path) as image:
        assert image.mode == mode
        assert read_image(path).tobytes() == image.convert("RGB").tobytes()


def test_cmyk_of_a_jpeg_is_inverted_as_pillow_does(tmp_path):
    picture("CMYK").save(tmp_path / "a.jpg", quality=100)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == "CMYK"
        assert read_image(tmp_path / "a.jpg").tobytes() == image.convert("RGB").tobytes()


def test_a_transparent_colour_of_a_palette_counts_where_it_is_used(tmp_path):
    picture("P").save(tmp_path / "used.png", transparency=picture("P").getpixel((0, 0)))
    with pytest.raises(QueryError, match="transparent in places"):
        read_image(tmp_path / "used.png")
    two = Image.new("P", (4, 4), 1)
    two.putpalette([255, 0, 0, 0, 255, 0])
    assert written(two, tmp_path / "spare.png", transparency=0).getpixel((0, 0)) == (0, 255, 0)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_is_scaled_not_clipped(suffix, tmp_path):
    values = np.array([[0, 128, 129, 257 * 3, 257 * 100 + 128, 257 * 100 + 129, 65535]], dtype=np.uint16)
    read = np.asarray(written(Image.fromarray(values), tmp_path / f"a.{suffix}"))
    assert read.tolist() == [[0, 0, 1, 3, 100, 101, 255]]
    assert np.array_equal(read, np.round(values / 257))


def test_colours_of_16_bits_keep_their_high_bytes(tmp_path):
    rows = np.array([[[0x1234, 0xFFFF, 0x0080]] * 4] * 4, dtype=">u2")
    write_png(tmp_path / "a.png", 4, 4, 16, 2, rows)
    assert read_image(tmp_path / "a.png").getpixel((0, 0)) == (0x12, 0xFF, 0x00)


def write_png(path, width, height, bits, colour, rows):
    """Write a PNG of a kind that Pillow cannot write."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b""))


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_of_several_frames_it_is_the_first_and_says_so(suffix, tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == "webp" else {}))
    assert read_image(path).getpixel((4, 4)) == (255, 0, 0)
    assert load_query(str(path), Pixels((3, 8, 8))).source == f"{path} (the first of 3 frames)"


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_without_a_known_range_are_refused(mode, tmp_path):
    Image.new(mode, (4, 4), 3).save(tmp_path / "a.tiff")
    with pytest.raises(QueryError, match="which part of its range"):
        read_image(tmp_path / "a.tiff")


def test_colours_that_need_a_profile_are_refused(tmp_path):
    Image.new("LAB", (4, 4)).save(tmp_path / "a.tiff")
    with pytest.raises(QueryError, match="not grey or RGB"):
        read_image(tmp_path / "a.tiff")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "PostScript"),
        (b"%PDF-1.7\n", "PDF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"no image", "not an image."),
    ],
)
def test_other_files_are_named_and_start_no_program(content, words, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    (tmp_path / "a b.png").write_bytes(content)
    with pytest.raises(QueryError, match=words) as error:
        read_image(tmp_path / "a b.png")
    assert (error.value.hint is not None) == (words == "HEIC")


def test_what_exhausts_the_memory_and_what_breaks_off_is_refused(tmp_path, monkeypatch):
    picture().resize((400, 400)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    with pytest.raises(QueryError, match=r"cannot be read: .*truncated"):
        read_image(tmp_path / "half.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)
    with pytest.raises(QueryError, match="exhaust the memory"):
        read_image(tmp_path / "whole.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "tif", "webp", "ppm"])
def test_an_image_of_too_many_pixels_is_refused_before_any_is_decoded(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"a.{suffix}"
    picture().resize((300, 200)).save(path)
    assert read_image(path).size == (300, 200)
    monkeypatch.setattr("equidiff.images.read.MOST_PIXELS", 300 * 200 - 1)
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    with pytest.raises(QueryError, match="exhaust the memory") as error:
        read_image(path)
    assert "300 x 200" in str(error.value)


def test_a_png_that_states_more_than_it_holds_costs_nothing(tmp_path):
    rows = np.zeros((1, 1, 3), np.uint8)
    for side, words in ((2_000_000_000, "exhaust"), (40_000, "exhaust"), (7_000, "cannot be read")):
        write_png(tmp_path / "bomb.png", side, side, 8, 2, rows)
        with pytest.raises(QueryError, match=words):
            read_image(tmp_path / "bomb.png")


def test_chunks_that_unfold_to_much_more_are_refused(tmp_path):
    picture().save(tmp_path / "a.png")
    start, rest = (content := (tmp_path / "a.png").read_bytes())[:33], content[33:]
    bomb = zlib.compress(bytes(200_000_000))
    for kind, head in ((b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0")):
        chunk = kind + head + bomb
        (tmp_path / "b.png").write_bytes(
            start + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + rest
        )
        with pytest.raises(QueryError, match="cannot be read"):
            read_image(tmp_path / "b.png")


def test_damaged_exif_data_do_not_cost_the_image(tmp_path):
    picture().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(range(64)))
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        assert read_image(tmp_path / "a.jpg").size == (7, 9)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(QueryError, match="not a file"):
        read_image(tmp_path / "a.png")


def test_a_photograph_that_is_only_shown_is_decoded_small(tmp_path):
    picture().resize((800, 400)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg", shown=100).size == (200, 100)
    assert read_image(tmp_path / "a.jpg").size == (800, 400)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(data())
def test_damaged_files_of_every_format_are_read_or_refused(draw):
    suffix = draw.draw(sampled_from(sorted(WHOLE)))
    content = bytearray(WHOLE[suffix])
    for _ in range(draw.draw(integers(1, 8))):
        place = draw.draw(integers(0, min(len(content) - 1, 200)))
        content[place] = draw.draw(integers(0, 255))
    content = content[: draw.draw(integers(1, len(content)))] if draw.draw(booleans()) else content
    with TemporaryDirectory() as folder, warnings.catch_warnings(), suppress(QueryError):
        warnings.simplefilter("ignore")
        path = Path(folder) / f"a.{suffix}"
        path.write_bytes(content)
        assert read_image(path).mode in {"L", "RGB"}
