"""`grid.png`: the query and what the network cannot tell from it, at a glance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from equidiff.analysis.figures.plane import Marked, draw_plane
from equidiff.images.canvas import ACCENT, CAPTION, CELL, FAINT, GAP, INK, MARGIN, fit, font
from equidiff.images.convert import is_image, to_image
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record

COLUMNS = 8
MOST = 64  # members in one picture


@dataclass(frozen=True)
class Choice:
    """Members to show in the place of all.

    Attributes:
        indices: of the samples, in the order in which to show them.
        subtitle: what they are.
    """

    indices: Sequence[int]
    subtitle: str


def draw_grid(
    found: InvariantSet, measure: Callable[[Tensor], Tensor], choice: Choice | None = None
) -> Image.Image | None:
    """The query on the left, members beside it, values beneath; in the plane a map of the objective with both.

    Args:
        found: what to show. Samples that are not members are counted, never shown.
        measure: the objective, from samples to measurements; for the map.
        choice: show these members alone, with their indices; in the plane, mark them.

    Returns:
        The picture; None where there are no members, or samples that cannot be drawn.
    """
    if not found.members:
        return None
    if is_image(found.samples):
        return _draw_images(found, choice)
    if found.samples.shape[1:] != (2,):
        return None
    if choice is None:
        return draw_plane(found, measure, headline(found), footnote(found, len(found)))
    rows = {record.index: row for row, record in enumerate(found.members)}
    marked = Marked("selected", found.samples[[rows[index] for index in choice.indices]])
    return draw_plane(found, measure, (headline(found)[0], choice.subtitle), "", marked)


def show_values(values: Sequence[float], target: Sequence[float]) -> str:
    """One value with digits that suit its target; of several, how far they are from it."""
    if len(target) == 1:
        size = abs(target[0])
        digits = 2 - math.floor(math.log10(size)) if size > 0 else 2
        return f"{values[0]:.{min(max(digits, 0), 4)}f}"
    wanted = torch.tensor(target)
    distance = float((torch.tensor(values) - wanted).norm() / wanted.norm().clamp(min=1e-12))
    return f"{100 * distance:.2g} % off"


def headline(found: InvariantSet) -> tuple[str, str]:
    """What the picture shows, in a title and a line below it."""
    target, name = found.info.target.values, found.info.specs.objective
    unit, whose = found.info.target.unit, "target" if found.query is None else "query"
    count = f"{len(found)} of {found.info.counts.asked} samples"
    if len(target) > 1:
        return f"{name} ({len(target)} {unit} values)", f"{count} with the {whose}'s values"
    away = max(abs(value - target[0]) for record in found.members for value in shown_value(record))
    title = f"{name} = {show_values(target, target)} ({unit})"
    return title, f"{count} with the {whose}'s {unit}, to within {away:.1g}"


def shown_value(record: Record) -> list[float]:
    """The measurement of what is shown: of the 8-bit picture, where that is what is shown."""
    return record.measurement_saved or record.measurement or []


def footnote(found: InvariantSet, shown: int) -> str:
    """What the picture leaves out."""
    hidden, more = len(found.records) - len(found), len(found) - shown
    parts = [f"{hidden} that did not reach it" if hidden else "", f"{more} more members" if more else ""]
    text = " and ".join(filter(None, parts))
    return f"Not shown: {text}." if text else ""


def _draw_images(found: InvariantSet, choice: Choice | None) -> Image.Image:
    shown = {record.index: (record, sample) for record, sample in zip(found.members, found.samples, strict=True)}
    members = [shown[index] for index in (choice.indices if choice else list(shown)[:MOST])]
    title, subtitle = headline(found)
    if choice:
        subtitle = choice.subtitle
    note = "" if choice else footnote(found, len(members))
    rows = math.ceil(len(members) / COLUMNS)
    columns = math.ceil(len(members) / rows)
    side = CELL * 2 + GAP + CAPTION if rows > 1 else CELL
    left = 0 if found.query is None else side + 3 * GAP
    step = CELL + GAP
    top = MARGIN + 68
    width = MARGIN + left + columns * step - GAP + MARGIN
    height = top + rows * (step + CAPTION) + (MARGIN + GAP) * bool(note)
    width = max(width, 2 * MARGIN + math.ceil(max(font(24).getlength(title), font(15).getlength(subtitle))))
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN - 4), title, INK, font(24))
    draw.text((MARGIN, MARGIN + 30), subtitle, FAINT, font(15))
    if found.query is not None:
        _put_query(canvas, found.query[0], found.info.target.values, (MARGIN, top), side)
    for position, (record, sample) in enumerate(members):
        row, column = divmod(position, columns)
        corner = (MARGIN + left + column * step, top + row * (step + CAPTION))
        _put(canvas, fit(to_image(sample), CELL), corner, CELL, _caption(record, found, choice), INK)
    draw.text((MARGIN, height - MARGIN - 6), note, FAINT, font(13))
    return canvas


def _put_query(canvas: Image.Image, query: Tensor, target: Sequence[float], corner: tuple[int, int], side: int) -> None:
    caption = f"query: {show_values(target, target)}" if len(target) == 1 else "query"
    _put(canvas, fit(to_image(query), side), corner, side, caption, ACCENT)
    x, y = corner
    ImageDraw.Draw(canvas).rectangle((x - 4, y - 4, x + side + 3, y + side + 3), outline=ACCENT, width=3)


def _put(canvas: Image.Image, picture: Image.Image, corner: tuple[int, int], side: int, caption: str, ink: str) -> None:
    """A picture in the middle of its square, and its caption beneath."""
    x, y = corner
    canvas.paste(picture, (x + (side - picture.width) // 2, y + (side - picture.height) // 2))
    ImageDraw.Draw(canvas).text((x + side // 2, y + side + 6), caption, ink, font(15), anchor="ma")


def _caption(record: Record, found: InvariantSet, choice: Choice | None) -> str:
    value = show_values(shown_value(record), found.info.target.values)
    return f"{record.index}: {value}" if choice else value


def tolerated(found: InvariantSet) -> float | None:
    """How far the tolerance lets a single value be from its target; None for several, or where that is not known.

    The tolerance is on lambda times the square of the residual, which only code of the user's own takes for something
    else than the difference.
    """
    info = found.info
    if len(found.target) > 1 or info.specs.is_custom or "objective" in info.specs.objects:
        return None
    return math.sqrt(info.tolerance / info.options.solver.get("weight", 1.0))
