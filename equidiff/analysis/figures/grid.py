"""`grid.png`: a contact sheet of the query and the members; points of a plane are drawn on a contour plot instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw
from torch import Tensor

from equidiff.analysis.figures.captions import footnote, format_values, headline
from equidiff.analysis.figures.contour_plot import Highlight, draw_contour_plot
from equidiff.analysis.figures.parallel import draw_parallel
from equidiff.analysis.subsample import chosen_members, first_members
from equidiff.contracts.sample_kind import CONTOUR, SHEET
from equidiff.images.canvas import ACCENT, CAPTION, CELL, FAINT, GAP, INK, MARGIN, font
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.run.summary import Summary
from equidiff.run.wording import called

COLUMNS = 8
MOST = 64  # members in one image
MOST_POINTS = 10_000  # members that `load_first_members` is asked for: as many dots are a blot
CLASS_LINE = 18  # pixels for the class under an image


@dataclass(frozen=True)
class Choice:
    """Members to show instead of all.

    Attributes:
        indices: indices of the members, in the order to show them.
        subtitle: description of the choice.
    """

    indices: Sequence[int]
    subtitle: str


def draw_contact_sheet(
    found: InvariantSet,
    measure: Callable[[Tensor], Tensor],
    choice: Choice | None = None,
    whole: Summary | None = None,
) -> Image.Image | None:
    """Draw the query on the left and members beside it, with their values.

    Points of a plane are drawn on a contour plot, other points and rows of a table as lines over parallel axes.

    Args:
        found: the set to show. Samples that are not members are counted, never shown.
        measure: the objective, from samples to measurements; for the contour plot.
        choice: show only these members, with their indices; on a plot, highlight them.
        whole: numbers about the samples of the run, where the set has some of its members only.

    Returns:
        The image; None if there are no members.
    """
    if not found.members:
        return None
    overview = found.kind.overview(found.sample_shape)
    if overview == SHEET:
        return _draw_tiles(found, choice, whole)
    if choice is None:
        titles, note, highlight = headline(found, whole), footnote(found, len(found), whole), None
    else:
        titles, note = (headline(found)[0], choice.subtitle), ""
        highlight = Highlight("selected", chosen_members(found, choice.indices).samples)
    if overview == CONTOUR:
        return draw_contour_plot(found, measure, titles, note, highlight)
    return draw_parallel(found, titles, note, highlight)


def _draw_tiles(found: InvariantSet, choice: Choice | None, whole: Summary | None) -> Image.Image:
    shown = chosen_members(found, choice.indices) if choice else first_members(found, MOST)
    members = list(zip(shown.members, shown.samples, strict=True))
    title, subtitle = headline(found, whole)
    if choice:
        subtitle = choice.subtitle
    note = "" if choice else footnote(found, len(members), whole)
    rows = math.ceil(len(members) / COLUMNS)
    columns = math.ceil(len(members) / rows)
    sentence = called(found.info) or ""
    caption = CAPTION + (CLASS_LINE if sentence else 0)
    side = CELL * 2 + GAP + caption if rows > 1 else CELL
    left = 0 if found.query is None else side + 3 * GAP
    step = CELL + GAP
    top = MARGIN + 68 + (24 if sentence else 0)
    width = MARGIN + left + columns * step - GAP + MARGIN
    height = top + rows * (step + caption) + (MARGIN + GAP) * bool(note)
    lines = (font(24).getlength(title), font(15).getlength(subtitle), font(15).getlength(sentence))
    width = max(width, 2 * MARGIN + math.ceil(max(lines)))
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN - 4), title, INK, font(24))
    draw.text((MARGIN, MARGIN + 30), subtitle, FAINT, font(15))
    draw.text((MARGIN, MARGIN + 54), sentence, INK, font(15))
    if found.query is not None:
        _put_query(canvas, found, (MARGIN, top), side)
    for position, (record, sample) in enumerate(members):
        row, column = divmod(position, columns)
        corner = (MARGIN + left + column * step, top + row * (step + caption))
        put_image(canvas, _tile(found, sample, CELL), corner, CELL, _caption(record, found, choice), INK)
        if record.called is not None:
            _put_class(canvas, record.called.index, record.called.name, found, corner, CELL)
    draw.text((MARGIN, height - MARGIN - 6), note, FAINT, font(13))
    return canvas


def _put_query(canvas: Image.Image, found: InvariantSet, corner: tuple[int, int], side: int) -> None:
    assert found.query is not None
    target = found.info.target.values
    caption = f"query: {format_values(target, target)}" if len(target) == 1 else "query"
    put_image(canvas, _tile(found, found.query[0], side), corner, side, caption, ACCENT)
    query = None if found.info.called is None else found.info.called.query
    if query is not None:
        _put_class(canvas, query.index, query.name, found, corner, side)
    x, y = corner
    ImageDraw.Draw(canvas).rectangle((x - 4, y - 4, x + side + 3, y + side + 3), outline=ACCENT, width=3)


def _tile(found: InvariantSet, sample: Tensor, side: int) -> Image.Image:
    tile = found.kind.tile(sample, side)
    assert tile is not None  # kinds that are drawn on a sheet have tiles
    return tile


def _put_class(
    canvas: Image.Image, index: int, name: str, found: InvariantSet, corner: tuple[int, int], side: int
) -> None:
    """Write the class that the network gives to a sample under its value; dark where it is not that of the query."""
    query = None if found.info.called is None else found.info.called.query
    x, y = corner
    text, own = _shortened(name, side), font(13)
    ink = FAINT if query is not None and query.index == index else INK
    ImageDraw.Draw(canvas).text((x + side // 2, y + side + CAPTION + 4), text, ink, own, anchor="ma")


def _shortened(name: str, side: int) -> str:
    """The name as far as it fits under an image."""
    if font(13).getlength(name) <= side:
        return name
    fits = next(length for length in range(len(name) - 1, -1, -1) if font(13).getlength(name[:length] + "...") <= side)
    return name[:fits] + "..."


def put_image(
    canvas: Image.Image, image: Image.Image, corner: tuple[int, int], side: int, caption: str, ink: str
) -> None:
    """Put an image in the middle of its square, and its caption beneath."""
    x, y = corner
    canvas.paste(image, (x + (side - image.width) // 2, y + (side - image.height) // 2))
    ImageDraw.Draw(canvas).text((x + side // 2, y + side + 6), caption, ink, font(15), anchor="ma")


def _caption(record: Record, found: InvariantSet, choice: Choice | None) -> str:
    value = format_values(record.shown_values, found.info.target.values)
    return f"{record.index}: {value}" if choice else value
