"""The card of a set in a notebook: a sentence, and the query beside the members."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

from markupsafe import Markup
from PIL import Image, ImageDraw
from torch import Tensor

from equidiff.images.canvas import ACCENT, GAP
from equidiff.run.info import RunInfo
from equidiff.run.wording import called, called_otherwise, reached

SIDE, COLUMNS, MOST = 72, 8, 32  # pixels of an image, images in a row, members on a card


def describe(info: RunInfo, count: int, measurements: Tensor) -> str:
    """One sentence: the number of members, and the measurement that they share.

    Args:
        info: of the run.
        count: of members.
        measurements: of the members, `[members, m]`; empty where they are lost.
    """
    target = info.target
    text = f"{count} of {info.counts.asked} samples are members: {target}"
    if not len(measurements) or len(target.values) > 1:
        return text
    deviation = float((measurements - measurements.new_tensor(target.values)).abs().max())
    return f"{text}, {reached(info, deviation)}"


def draw_sheet(query: Image.Image | None, members: Sequence[Image.Image]) -> Image.Image:
    """Draw the query in a frame, and members beside and below it, each fitted into a square of `SIDE`."""
    images = [*([] if query is None else [query]), *members[:MOST]]
    columns, step = min(max(len(images), 1), COLUMNS), SIDE + GAP
    sheet = Image.new("RGB", (columns * step + GAP, math.ceil(len(images) / columns) * step + GAP), "white")
    for position, fitted in enumerate(images):
        x, y = GAP + position % columns * step, GAP + position // columns * step
        sheet.paste(fitted, (x + (SIDE - fitted.width) // 2, y + (SIDE - fitted.height) // 2))
    if query is not None:
        ImageDraw.Draw(sheet).rectangle((GAP - 4, GAP - 4, GAP + SIDE + 3, GAP + SIDE + 3), outline=ACCENT, width=2)
    return sheet


def write_html(info: RunInfo, sentence: str, sheet: Image.Image | None) -> str:
    """The card as HTML: the sentence, what the network calls the members, and the images; all text is escaped."""
    heading = Markup("<p><b>{}</b> in {}</p>").format(info.specs.objective, info.specs.generator)
    sentences = filter(None, (sentence, called(info), called_otherwise(info)))
    body = Markup("").join(Markup("<p>{}</p>").format(each) for each in sentences)
    if sheet is None:
        return str(heading + body)
    file = io.BytesIO()
    sheet.save(file, "png")
    data = base64.b64encode(file.getvalue()).decode()
    return str(heading + body + Markup('<img alt="{}" src="data:image/png;base64,{}">').format(sentence, data))
