"""Reading an image file, as mode "L" or "RGB", and refusing one that leaves a choice to the user.

`open_image` is the one place where images are opened: those of queries, of folders, of references, and those that
EquiDiff wrote. Formats are those of a list, so that Pillow starts no other program, as it would for PostScript, and
the size that the header states is checked before any pixel is decoded. Colour profiles are not applied, as in
torchvision and timm: a network was trained on the numbers in the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from equidiff.errors import QueryError
from equidiff.folders.text import shell_word

# HEIF is there where pillow-heif has registered it
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
IMAGES = "an image that Pillow reads (JPEG, PNG, TIFF, WebP, ...)"
LONGEST_SHOWN = 200  # letters of a path in an error
EXPECTED = f"{IMAGES}, the index of one of the generator's own queries, or top:FOLDER"
# the first bytes of files that people take for images, and how they become one
OTHERS = {b"%!PS": "PostScript", b"%PDF": "PDF", b"<svg": "SVG", b"<?xml": "XML", b"version https://git-lfs": "Git LFS"}
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1")  # brands of its container, behind "ftyp"
MODES = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "RGBX": "RGB", "LA": "L", "La": "L", "RGBA": "RGB"}
STEP_16 = 257  # 65535 / 255: white stays white
MOST_PIXELS = 50_000_000  # of an image, those of a telephone's largest photographs; each costs some 20 bytes of memory


def open_image(file: IO[bytes], formats: Sequence[str]) -> Image.Image:
    """Open an image, whose pixels are not decoded yet.

    Args:
        file: to read from; it must stay open until the pixels are decoded.
        formats: names of Pillow's formats that it may have.

    Raises:
        UnidentifiedImageError: it has none of these formats.
        ImageSizeError: it states more than `MOST_PIXELS`.
    """
    try:
        image = Image.open(file, formats=tuple(formats))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageSizeError("even more") from error
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ImageSizeError(f"{width} x {height}")
    return image


class ImageSizeError(ValueError):
    """An image that states so many pixels that decoding it could exhaust the memory."""


def read_drawn(file: Path) -> Image.Image | None:
    """An image that a command wrote, a PNG file in any mode; None if it cannot be read."""
    try:
        with file.open("rb") as content:
            image = open_image(content, ("PNG",))
            image.load()
    except Exception:  # decoders of a damaged file raise errors of any kind
        return None
    return image


def read_image(path: Path, shown: int | None = None) -> Image.Image:
    """Read an image file, in mode "L" or "RGB", and turn it upright as its EXIF tag says.

    Of several frames or pages it is the first; `info["frames"]` has their number.

    Args:
        path: of the file.
        shown: the side at which the image is shown, where it is not measured: a JPEG may then be decoded at an eighth,
            a quarter or half of its size, but no smaller than this.

    Raises:
        QueryError: it is not an image, is damaged or too large, is transparent, or has numbers without a known range.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise QueryError("The image is not a file.", given=path, expected=EXPECTED)
        with path.open("rb") as file:
            return _read(file, path, shown)
    except QueryError:
        raise
    except FileNotFoundError:
        raise QueryError("The image does not exist.", given=path, expected=EXPECTED) from None
    except ImageSizeError as error:
        raise _too_large(path, error) from None
    except Exception as error:  # decoders of a damaged file raise errors of any kind
        reason = str(error) or type(error).__name__
        raise QueryError(f"The image cannot be read: {reason}", given=path, expected=EXPECTED) from error


def _read(file: IO[bytes], path: Path, shown: int | None) -> Image.Image:
    start = file.read(32)
    file.seek(0)
    if not start:
        raise QueryError("The image is an empty file.", given=path, expected=EXPECTED)
    try:
        image = open_image(file, known_formats())
    except UnidentifiedImageError:
        raise _not_an_image(path, start) from None
    frames = int(getattr(image, "n_frames", 1))
    sixteen = any(";16" in str(tile.args) for tile in getattr(image, "tile", []))
    if shown is not None:
        image.draft(None, (shown, shown))
    image.load()
    image = to_grey_or_rgb(upright(image), str(path), sixteen)
    image.info = {"frames": frames}
    return image


def upright(image: Image.Image) -> Image.Image:
    """An image turned as its EXIF tag says; as it is where its EXIF data are damaged, as other readers take it."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # so many kinds of damage, so many kinds of errors
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
    values = np.asarray(image).astype(np.int32)
    return Image.fromarray(((values + STEP_16 // 2) // STEP_16).clip(0, 255).astype(np.uint8))


def _too_large(path: Path, error: ImageSizeError) -> QueryError:
    return QueryError(
        "The image has so many pixels that reading it could exhaust the memory.",
        given=f"{path} ({error})",
        expected=f"at most {MOST_PIXELS / 1e6:.0f} million pixels",
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


def is_there(path: Path, expected: str = EXPECTED) -> bool:
    """True for the path of a file or a folder.

    Args:
        path: to look for.
        expected: of the user, for the error.

    Raises:
        QueryError: no file can have this path.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # a name that is too long, or has a zero byte
        reason = getattr(error, "strerror", None) or error
        text = str(path)
        given = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
        raise QueryError(f"This path cannot be used: {reason}", given=given, expected=expected) from None
    return True
