"""`equidiff rank`: its options, and which way they lead."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from equidiff.cli.options import Json, Plain, State, Traceback
from equidiff.errors import UsageError

SETTINGS = ("images", "model", "layer", "labels", "top", "batch", "device")


class Sort(str, Enum):
    """What units can be sorted by."""

    selectivity = "selectivity"
    sparsity = "sparsity"
    entropy = "entropy"
    max = "max"
    mean = "mean"
    alignment = "alignment"
    clarity = "clarity"


def _option(help: str, metavar: str, default: str | None = None, **more: Any) -> Any:
    """An option that is None where it was not typed, which is told from what was."""
    return typer.Option(help=help + (f" (default: {default})" if default else ""), metavar=metavar, **more)


Images = Annotated[
    str | None, _option("The images to scan, in sub-folders too. A new scan needs it.", metavar="FOLDER")
]
Model = Annotated[
    str | None,
    _option("The network, NAME[,checkpoint=...,mean=...,std=...,pad=...]", metavar="SPEC", default="fashion"),
]
Layer = Annotated[
    str | None,
    _option(
        "The layer, NAME[,positions=mean|max][,tokens=mean|max|cls]",
        metavar="SPEC",
        default="the one before the classifier's head",
    ),
]
Labels = Annotated[
    str | None,
    _option(
        "The images' classes, in columns image,label",
        metavar="CSV",
        default="sub-folders, or what file names begin with, as in 340_zebra.jpg or n02391049_7.jpg",
    ),
]
Top = Annotated[int | None, _option("Strongest images to keep of each unit", metavar="COUNT", default="16")]
Batch = Annotated[int | None, _option("Images in one pass", metavar="COUNT", default="32")]
Device = Annotated[str | None, _option("cpu, cuda, cuda:1, mps, or auto", metavar="NAME", default="auto")]
Out = Annotated[Path | None, _option("The folder to make", metavar="FOLDER", default="rankings/TIME-MODEL-LAYER")]
Resume = Annotated[
    Path | None, _option("Go on with a scan that did not finish, or show a finished one again.", metavar="FOLDER")
]
Count = Annotated[int | None, _option("How many units to show", metavar="COUNT", default="8", min=1)]
By = Annotated[
    Sort | None,
    _option(f"Sort units by {', '.join(Sort)}", metavar="NAME", default="selectivity; sparsity without labels"),
]
Classes = Annotated[
    str | None, _option("Show the units that answer most to these labels; with commas, several.", metavar="LABELS")
]
Concepts = Annotated[
    Path | None, _option("Texts, one a line, to compare each unit's strongest images with.", metavar="FILE")
]
Clip = Annotated[
    str | None,
    _option(
        "What compares them: a model of open_clip, NAME, with ,checkpoint=FILE or ,pretrained=TAG",
        metavar="SPEC",
        default="ViT-B-32-quickgelu,pretrained=openai",
    ),
]


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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Nothing but errors.")] = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Find units worth asking about: scan a folder of images, keep each unit's strongest ones and simple statistics.

    Prints the folder's path. Exit code: 0 done, 1 error, 2 usage, 130 interrupted (go on with --resume).
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
    if resume is not None and (given or out is not None):
        raise UsageError(
            "A scan that goes on keeps its own settings.",
            given=" ".join(f"--{name}" for name in (*given, *(["out"] if out else []))),
            expected="--resume FOLDER without them",
            hint=f"equidiff rank --resume {resume}",
        )
    if resume is None and "images" not in given:
        raise UsageError(
            "There are no images to scan.", expected="--images FOLDER", hint="equidiff rank --images photographs"
        )
    if clip is not None and concepts is None:
        raise UsageError(
            "--clip compares images with concepts.", given=f"--clip {clip}", expected="--concepts FILE too"
        )
