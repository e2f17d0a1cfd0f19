"""Reading an image file, as mode "L" or "RGB", and refusing one that leaves a choice to the user.

This is the one place where files of images are opened: those of queries, of folders, of references. Formats are those
of a list, so that Pillow starts no other program, as it would for PostScript. Colour profiles are not applied, as in
torchvision and timm: a network was trained on the numbers in the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from equidiff.errors import QueryError
from equidiff.folders.text import shell_word

# HEIF is there where pillow-heif has registered it
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
IMAGES = "an image that Pillow reads (JPEG, PNG, TIFF, WebP, ...)"
EXPECTED = f"{IMAGES}, the index of one of the generator's own queries, or top:FOLDER"
# the first bytes of files that people take for images, and how they become one
OTHERS = {b"%!PS": "PostScript", b"%PDF": "PDF", b"<svg": "SVG", b"<?xml": "XML", b"version https://git-lfs": "Git LFS"}
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1")  # brands of its container, behind "ftyp"
MODES = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "RGBX": "RGB", "LA": "L", "La": "L", "RGBA": "RGB"}
STEP_16 = 257  # 65535 / 255: white stays white


def read_image(path: Path) -> Image.Image:
    """Read an image file, in mode "L" or "RGB", and turn it upright as its EXIF tag says.

    Of several frames or pages it is the first; `info["frames"]` has their number.

    Raises:
        QueryError: it is not an image, is damaged or too large, is transparent, or has numbers without a known range.
    """
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except FileNotFoundError:
        raise QueryError("The image does not exist.", given=path, expected=EXPECTED) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise QueryError(f"The image cannot be read: {error}", given=path, expected=EXPECTED) from error


def _read(file: BinaryIO, path: Path) -> Image.Image:
    start = file.read(32)
    file.seek(0)
    if not start:
        raise QueryError("The image is an empty file.", given=path, expected=EXPECTED)
    try:
        image = Image.open(file, formats=known_formats())
    except UnidentifiedImageError:
        raise _not_an_image(path, start) from None
    _check_size(image, path)
    frames = int(getattr(image, "n_frames", 1))
    sixteen = any(";16" in str(tile.args) for tile in getattr(image, "tile", []))
    image.load()
    image = to_grey_or_rgb(ImageOps.exif_transpose(image), str(path), sixteen)
    image.info = {"frames": frames}
    return image


def known_formats() -> list[str]:
    """Those of the formats that this Pillow reads."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def to_grey_or_rgb(image: Image.Image, source: str, sixteen: bool = False) -> Image.Image:
    """Convert an image to mode "L" or "RGB".

    Args:
        image: to convert.
        source: its name, for errors.
        sixteen: its file holds 16 bits a channel.

    Raises:
        QueryError: it is transparent, or the range of its numbers is not known: that is the user's choice.
    """
    image = _without_alpha(image, source)
    if image.mode.startswith("I;16") or (image.mode == "I" and sixteen):
        return _to_8_bits(image)
    if image.mode in {"L", "RGB"}:
        return image
    if image.mode not in MODES:
        raise _unknown_colours(image.mode, source)
    return image.convert(MODES[image.mode])


def _unknown_colours(mode: str, source: str) -> QueryError:
    problem = "The colours of this image are not grey or RGB, and it is not known how to convert them."
    hint = "convert IN.tif -colorspace sRGB OUT.png"
    if mode.startswith(("I", "F")):
        problem = "The image has more than 8 bits a channel, and which part of its range to keep is not known."
        hint = "convert IN.png -auto-level -depth 8 OUT.png"
    return QueryError(problem, given=f"{source} (mode {mode})", expected=EXPECTED, hint=hint)


def _without_alpha(image: Image.Image, source: str) -> Image.Image:
    """The same image without a transparency that it does not use."""
    if not image.has_transparency_data:
        return image
    alpha = image.convert("RGBA").getchannel("A").getextrema()
    if alpha != (255, 255):
        raise QueryError(
            "The image is transparent in places (it has an alpha channel), and its background is not known.",
            given=f"{source} (mode {image.mode})",
            expected=EXPECTED,
            hint="convert IN.png -background white -flatten OUT.png",
        )
    if image.mode in {"L", "LA", "La", "1", "I;16"}:
        return image if image.mode == "I;16" else image.convert("L")
    return image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits as grey of 8: scaled, where Pillow would clip."""
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(((values + STEP_16 // 2) // STEP_16).clip(0, 255).astype(np.uint8))


def _check_size(image: Image.Image, path: Path) -> None:
    width, height = image.size
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and width * height > most:
        raise QueryError(
            "The image has so many pixels that reading it could exhaust the memory.",
            given=f"{path} ({width} x {height})",
            expected=f"at most {most / 1e6:.0f} million pixels",
            hint="convert IN.png -resize 2000x2000 OUT.png",
        )


def _not_an_image(path: Path, start: bytes) -> QueryError:
    """The error that says what a file is instead."""
    if start[4:8] == b"ftyp" and start[8:12] in {*HEIC, b"avif", b"avis"}:
        name = "HEIC" if start[8:12] in HEIC else "AVIF"
        return QueryError(
            f"This is an image of the kind {name}, which Pillow does not read here.",
            given=path,
            expected=EXPECTED,
            hint=f"convert {shell_word(path)} {shell_word(path.with_suffix('.png'))}   # of ImageMagick",
        )
    kind = next((name for first, name in OTHERS.items() if start.lstrip().startswith(first)), None)
    problem = "This is not an image." if kind is None else f"This is not an image of pixels, but {kind}."
    return QueryError(problem, given=path, expected=EXPECTED)


def describe_frames(image: Image.Image) -> str:
    """Words for an image that is the first of several; empty for the only one."""
    frames = image.info.get("frames", 1)
    return f" (the first of {frames} frames)" if frames > 1 else ""
