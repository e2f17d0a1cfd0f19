"""The `equidiff rank` command: its options, and the checks between them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from equidiff.cli.options import COMPUTATION, Json, Plain, Quiet, State, Traceback, examples
from equidiff.errors import UsageError
from equidiff.folders.text import shell_word

SETTINGS = ("images", "model", "layer", "labels", "top", "batch", "device")


class Sort(str, Enum):
    """Statistics to sort units by."""

    selectivity = "selectivity"
    sparsity = "sparsity"
    entropy = "entropy"
    max = "max"
    mean = "mean"
    alignment = "alignment"
    clarity = "clarity"


def _option(help: str, metavar: str, default: str | None = None, **more: Any) -> Any:
    """Declare an option that is None unless it was typed."""
    return typer.Option(help=help + (f" (default: {default})." if default else "."), metavar=metavar, **more)


Images = Annotated[
    str | None, _option("Folder of images to scan, sub-folders included; required for a new scan", metavar="FOLDER")
]
Model = Annotated[
    str | None,
    _option("Network: NAME, with checkpoint=, mean=, std= and pad= after commas", metavar="SPEC", default="fashion"),
]
Layer = Annotated[
    str | None,
    _option(
        "Layer: NAME, with positions= (mean or max) or tokens= (mean, max or cls) after a comma",
        metavar="SPEC",
        default="the one before the classifier's head",
    ),
]
Labels = Annotated[
    str | None,
    _option(
        "Classes of the images, as a table with the columns image and label",
        metavar="CSV",
        default="names of the sub-folders, or prefixes of the file names, as in 340_zebra.jpg or n02391049_7.jpg",
    ),
]
Top = Annotated[int | None, _option("Strongest images to keep for each unit", metavar="COUNT", default="16")]
Batch = Annotated[int | None, _option("Images per pass", metavar="COUNT", default="32", rich_help_panel=COMPUTATION)]
Device = Annotated[
    str | None,
    _option("Device: cpu, cuda, cuda:1, mps, or auto", metavar="NAME", default="auto", rich_help_panel=COMPUTATION),
]
Out = Annotated[Path | None, _option("Folder to create", metavar="FOLDER", default="rankings/TIME-MODEL-LAYER")]
Resume = Annotated[
    Path | None, _option("Continue a scan that did not finish, or show a finished one again", metavar="FOLDER")
]
Count = Annotated[int | None, _option("Number of units to show", metavar="COUNT", default="8", min=1)]
By = Annotated[
    Sort | None,
    _option(
        f"Statistic to sort units by: {', '.join(Sort)}",
        metavar="NAME",
        default="selectivity, or sparsity without labels",
    ),
]
Classes = Annotated[
    str | None, _option("Show the units that respond most to these classes; commas separate several", metavar="LABELS")
]
Concepts = Annotated[
    Path | None, _option("Texts to compare each unit's strongest images with, one per line", metavar="FILE")
]
Clip = Annotated[
    str | None,
    _option(
        "CLIP model that compares them: NAME,checkpoint=FILE or NAME,pretrained=TAG, as open_clip names them",
        metavar="SPEC",
        default="ViT-B-32-quickgelu,pretrained=openai",
    ),
]

EPILOG = examples(
    "equidiff rank --images photos",
    "equidiff rank --images photos --model resnet50 --layer layer4",
    "equidiff rank --resume RANKING --classes zebra",
)


def rank(
    context: typer.Context,
    images: Images = None,
    model: Model = None,
    layer: Layer = None,
    labels: Labels = None,
    top: Top = None,
    batch: Batch = None,
    device: Device = None,
    out: Out = None,
    resume: Resume = None,
    units: Count = None,
    sort: By = None,
    classes: Classes = None,
    concepts: Concepts = None,
    clip: Clip = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Find units worth asking about: scan a folder of images for each unit's strongest images and simple statistics.

    Prints the folder's path. Exit code: 0 done, 1 error, 2 usage, 130 interrupted (continue with --resume).
    """
    given = {name: context.params[name] for name in SETTINGS if context.params[name] is not None}
    state: State = context.obj
    state.terminal.quiet = quiet
    _check(given, out, resume, concepts, clip)
    with state.terminal.status("loading"):
        from equidiff.cli.handlers.rank import View, perform, prepare

        labels_shown = [label.strip() for label in classes.split(",")] if classes else []
        view = View(units or 8, None if sort is None else sort.value, labels_shown, concepts, clip)
        work = prepare(given, out, resume, view)
    return perform(work, view, state.terminal, as_json)


def _check(
    given: dict[str, Any], out: Path | None, resume: Path | None, concepts: Path | None, clip: str | None
) -> None:
    changed = [*(name for name in given if name != "model"), *(["out"] if out else [])]
    if resume is not None and changed:
        raise UsageError(
            "A resumed scan keeps its own settings.",
            given=" ".join(f"--{name}" for name in changed),
            expected="--resume FOLDER without them",
            hint=f"equidiff rank --resume {shell_word(resume)}",
        )
    if resume is None and "images" not in given:
        raise UsageError(
            "There are no images to scan.", expected="--images FOLDER", hint="equidiff rank --images photographs"
        )
    if clip is not None and concepts is None:
        raise UsageError(
            "--clip needs concepts to compare the images with.", given=f"--clip {clip}", expected="--concepts FILE too"
        )
