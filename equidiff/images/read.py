"""Reading an image file, and refusing what would need a choice of the user's."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from equidiff.errors import QueryError

EXPECTED = "an 8-bit grey or RGB picture, the index of one of the generator's own queries, or top:FOLDER"


def open_picture(path: Path) -> Image.Image:
    """The picture in a file, in mode "L" or "RGB".

    Raises:
        QueryError: it is no picture, damaged, or has an alpha channel or more than 8 bits a channel.
    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise QueryError("The picture is an empty file.", given=path, expected=EXPECTED)
            image = Image.open(file)
            # Pillow reads 16-bit colour as 8-bit without a word
            deep = any(";16" in str(tile.args) for tile in getattr(image, "tile", []))
            image.load()
    except UnidentifiedImageError:
        raise QueryError("This is not a picture.", given=path, expected=EXPECTED) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise QueryError(f"The picture cannot be read: {error}", given=path, expected=EXPECTED) from error
    return to_grey_or_rgb(image, str(path), deep)


def to_grey_or_rgb(image: Image.Image, source: str, deep: bool = False) -> Image.Image:
    """The picture in mode "L" or "RGB"; whatever would need a choice of the user's is refused."""
    if image.has_transparency_data:
        raise QueryError(
            "The picture has an alpha channel, and what lies behind it is not known.",
            given=f"{source} (mode {image.mode})",
            expected=EXPECTED,
            hint="convert IN.png -background white -flatten OUT.png",
        )
    if deep or image.mode.startswith(("I", "F")):
        raise QueryError(
            "The picture has more than 8 bits a channel, and which of its range to keep is not known.",
            given=f"{source} (mode {image.mode})",
            expected=EXPECTED,
            hint="convert IN.png -auto-level -depth 8 OUT.png",
        )
    if image.mode in {"L", "RGB"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")
