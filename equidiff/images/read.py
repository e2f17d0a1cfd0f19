"""Reading an image file, and refusing one that cannot be read without a choice by the user."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from equidiff.errors import QueryError

EXPECTED = "an 8-bit grey or RGB image, the index of one of the generator's own queries, or top:FOLDER"


def read_image(path: Path) -> Image.Image:
    """Read an image file, in mode "L" or "RGB", and turn it upright as its EXIF tag says.

    Raises:
        QueryError: it is not an image, is damaged, or has an alpha channel or more than 8 bits a channel.
    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise QueryError("The image is an empty file.", given=path, expected=EXPECTED)
            image = Image.open(file)
            # Pillow reads 16-bit colour as 8-bit without a word
            deep = any(";16" in str(tile.args) for tile in getattr(image, "tile", []))
            image.load()
            image = ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise QueryError("The image does not exist.", given=path, expected=EXPECTED) from None
    except UnidentifiedImageError:
        raise QueryError("This is not an image.", given=path, expected=EXPECTED) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise QueryError(f"The image cannot be read: {error}", given=path, expected=EXPECTED) from error
    return to_grey_or_rgb(image, str(path), deep)


def to_grey_or_rgb(image: Image.Image, source: str, deep: bool = False) -> Image.Image:
    """Convert an image to mode "L" or "RGB".

    Args:
        image: to convert.
        source: its name, for errors.
        deep: it had more than 8 bits a channel before it was read.

    Raises:
        QueryError: it has an alpha channel or more than 8 bits a channel, and what to do about it is the user's choice.
    """
    if image.has_transparency_data:
        raise QueryError(
            "The image has an alpha channel, and its background is not known.",
            given=f"{source} (mode {image.mode})",
            expected=EXPECTED,
            hint="convert IN.png -background white -flatten OUT.png",
        )
    if deep or image.mode.startswith(("I", "F")):
        raise QueryError(
            "The image has more than 8 bits a channel, and which part of its range to keep is not known.",
            given=f"{source} (mode {image.mode})",
            expected=EXPECTED,
            hint="convert IN.png -auto-level -depth 8 OUT.png",
        )
    if image.mode in {"L", "RGB"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")
