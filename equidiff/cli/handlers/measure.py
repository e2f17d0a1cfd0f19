"""Run `equidiff measure`: measure images and print a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from equidiff.builtin.objectives.classifier import Classifier
from equidiff.cli.console import PROGRESS_DELAY_S, Terminal
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEASURED
from equidiff.contracts import BuildContext, Generator, Objective
from equidiff.devices import choose_device
from equidiff.errors import QueryError
from equidiff.folders.text import to_json
from equidiff.images.folder import ImageFile, find_images
from equidiff.images.read import IMAGES
from equidiff.kinds.registry import kind_of
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.run.measure import measure_files

TOP = 5  # outputs in the table
MOST_REASONS = 10  # images named on the terminal that could not be measured


@dataclass(frozen=True)
class Work:
    """Images to measure, the objective that measures them, and the generator that its query would be fitted to.

    Attributes:
        notes: what the objective had to assume.
    """

    objective: Objective
    generator: Generator
    device: str
    spec: str
    images: Sequence[Path]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Measured:
    """Measurements `[m]` of the images that could be measured, and the reasons for the others, in their order."""

    values: dict[Path, Tensor]
    reasons: dict[Path, str]


def prepare(plugins: Plugins, given: Sequence[Path], objective: str, generator: str, device: str) -> Work:
    """Find the images, and build the objective.

    Args:
        plugins: where specs are looked up.
        given: image files and folders of images.
        objective: a spec string.
        generator: a spec string; its network is the objective's default.
        device: to compute on.

    Raises:
        EquiDiffError: a component cannot be built or a folder has no images in it, or the generator makes none.
    """
    images = list(dict.fromkeys(path for each in given for path in _images(each)))
    device = choose_device(device)
    made = build(plugins, "generator", generator, BuildContext(device)).component
    if not kind_of(made).is_image:
        raise QueryError(
            f"This generator makes {kind_of(made).plural}, and its network does not measure images.",
            given=generator,
            expected="a generator of images",
            hint="equidiff measure -g toy",
        )
    context = BuildContext(device, generator=made)
    built = build(plugins, "objective", objective, context)
    return Work(built.component, made, device, built.spec, images, context.notes)


def perform(work: Work, terminal: Terminal, as_json: bool) -> int:
    """Measure the images, print the table, and return the exit code.

    Raises:
        QueryError: none of the images can be measured.
    """
    measured = Measured({}, {})
    try:
        with terminal.progress(len(work.images), 0, "measuring", PROGRESS_DELAY_S) as show:
            files = [ImageFile(str(path)) for path in work.images]
            results = measure_files(Path(), files, work.objective, work.generator, work.device)
            for done, (path, result) in enumerate(results, 1):
                if isinstance(result, QueryError):
                    measured.reasons[path] = result.problem
                else:
                    measured.values[path] = result.cpu()
                show(done, str(path))
    except KeyboardInterrupt:
        terminal.note("Interrupted: nothing was printed.")
        return INTERRUPTED
    if not measured.values:
        path, reason = next(iter(measured.reasons.items()))
        raise QueryError("None of these images can be measured.", given=f"{path}: {reason}", expected=IMAGES)
    if as_json:
        terminal.json(to_json(_describe(work, measured), indent=2))
    else:
        _show(work.objective, measured, terminal)
    for note in work.notes:
        terminal.note(note, "yellow")
    _warn(measured, terminal)
    return NOT_ALL_MEASURED if measured.reasons else 0


def _images(given: Path) -> list[Path]:
    path = given.expanduser()
    return [path / file.path for file in find_images(path)] if path.is_dir() else [path]


def _probabilities(objective: Objective, values: Tensor) -> Tensor | None:
    """Probabilities of all classes, where the logits of all were measured."""
    every = isinstance(objective, Classifier) and objective.unit == "logit" and len(objective.names) > 1
    return values.softmax(dim=0) if every else None


def _describe(work: Work, measured: Measured) -> dict[str, Any]:
    images = []
    for path, values in measured.values.items():
        about: dict[str, Any] = {"image": str(path), "values": values.tolist()}
        probabilities = _probabilities(work.objective, values)
        images.append(about if probabilities is None else {**about, "probabilities": probabilities.tolist()})
    return {
        "objective": work.spec,
        "unit": work.objective.unit,
        "names": list(work.objective.names),
        "images": images,
        "not_measured": [{"image": str(path), "reason": reason} for path, reason in measured.reasons.items()],
    }


def _show(objective: Objective, measured: Measured, terminal: Terminal) -> None:
    if len(objective.names) == 1:
        rows = [(path, f"{values.item():.4g}") for path, values in measured.values.items()]
        terminal.table(("image", f"{objective.names[0]} ({objective.unit})"), rows)
        return
    some = next(iter(measured.values.values()))
    probable = _probabilities(objective, some) is not None
    columns = ("image", "output", objective.unit, *(["probability"] if probable else []))
    terminal.table(columns, [row for path, values in measured.values.items() for row in _top(objective, path, values)])
    if len(objective.names) > TOP:
        terminal.note(f"The {TOP} highest of {len(objective.names)} outputs; --json prints all.")


def _top(objective: Objective, path: Path, values: Tensor) -> Iterator[tuple[str, ...]]:
    """Rows of the highest outputs, the first of which names the image."""
    probabilities = _probabilities(objective, values)
    for rank, index in enumerate(values.argsort(descending=True)[:TOP].tolist()):
        row = ("" if rank else str(path), objective.names[index], f"{values[index].item():.4g}")
        yield row if probabilities is None else (*row, f"{probabilities[index].item():.3g}")


def _warn(measured: Measured, terminal: Terminal) -> None:
    reasons = [f"{path}: {reason}" for path, reason in measured.reasons.items()]
    if not reasons:
        return
    total = len(reasons) + len(measured.values)
    terminal.note(f"{len(reasons)} of {total} images could not be measured.", "yellow")
    more = len(reasons) - MOST_REASONS
    for line in [*reasons[:MOST_REASONS], *([f"and {more} more; --json lists all"] if more > 0 else [])]:
        terminal.note(f"  {line}", "yellow")
