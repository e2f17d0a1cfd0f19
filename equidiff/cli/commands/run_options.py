"""The options of `equidiff run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from equidiff.cli.completion import complete_kind, complete_run
from equidiff.cli.options import COMPUTATION, OUTPUT

QUESTION, SEARCH = "Question", "Search"


def _option(*names: str, default: object, help: str, metavar: str, panel: str, complete: Any = None) -> Any:
    """Declare an option that is None unless it was typed; its help states the default of `Settings`."""
    text = f"{help} (default: {default})."
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=panel, autocompletion=complete)


Generator = Annotated[
    str | None,
    _option(
        "--generator",
        "-g",
        default="toy",
        metavar="SPEC",
        help="Generator that makes the samples",
        panel=QUESTION,
        complete=complete_kind("generator"),
    ),
]
Objective = Annotated[
    str | None,
    _option(
        "--objective",
        "-o",
        default="neuron:17",
        metavar="SPEC",
        help="Measurement to hold fixed",
        panel=QUESTION,
        complete=complete_kind("objective"),
    ),
]
Regularizer = Annotated[
    str | None,
    _option(
        "--regularizer",
        "-r",
        default="lowpass for images, else none",
        metavar="SPEC",
        help="Filtered views on which it must hold too",
        panel=QUESTION,
        complete=complete_kind("regularizer"),
    ),
]
Solver = Annotated[
    str | None,
    _option(
        "--solver",
        "-s",
        default="auto",
        metavar="SPEC",
        help="Search method",
        panel=SEARCH,
        complete=complete_kind("solver"),
    ),
]
Law = Annotated[
    str | None,
    _option(
        "--law",
        default="solve",
        metavar="SPEC",
        help="Distribution of the members: solve, or conditional",
        panel=SEARCH,
        complete=complete_kind("law"),
    ),
]
Query = Annotated[
    str | None,
    _option(
        "--query",
        default="the generator's own query 3, or its first; prior where it has none",
        metavar="FILE|INDEX|top:FOLDER|prior",
        help="Sample that sets the value: an image (or SOUND.wav, or TABLE.csv:ROW, if the generator makes these), the "
        "index of one of the generator's own queries, the image with the highest value in a folder, or prior, which is "
        "the prior sample with the highest value of a sparse unit, or the median value of another",
        panel=QUESTION,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS",
        help="The value itself, in place of a query; commas separate several. p90 is the 90th percentile of the values "
        "of prior samples.",
        rich_help_panel=QUESTION,
    ),
]
Samples = Annotated[
    int | None,
    _option("--samples", "-n", default=16, metavar="COUNT", help="Number of samples to search for", panel=SEARCH),
]
Budget = Annotated[
    float | None,
    _option(
        "--budget",
        metavar="NUMBER",
        default="the solver's",
        help="Maximum number of evaluations per sample",
        panel=SEARCH,
    ),
]
Effort = Annotated[
    float | None,
    typer.Option(
        "--effort",
        metavar="NUMBER",
        help="Evaluations per sample, in place of --budget: samples that only came near are kept as near misses, with "
        "their distances, and are no failure",
        rich_help_panel=SEARCH,
    ),
]
Tolerance = Annotated[
    str | None,
    _option(
        "--tolerance",
        metavar="NUMBER|PERCENT",
        default="the solver's, 8% for most",
        help="How near to the target a member lies: a part of how much the measurement varies over prior samples, such "
        "as 5%, or a loss, such as 0.01",
        panel=QUESTION,
    ),
]
Batch = Annotated[
    int | None, _option("--batch", metavar="COUNT", default=16, help="Samples per pass", panel=COMPUTATION)
]
Seed = Annotated[
    int | None,
    _option(
        "--seed",
        metavar="NUMBER",
        default=0,
        help="Random seed; sample i depends only on the seed and on i",
        panel=SEARCH,
    ),
]
Device = Annotated[
    str | None,
    _option(
        "--device", metavar="NAME", default="auto", help="Device: cpu, cuda, cuda:1, mps, or auto", panel=COMPUTATION
    ),
]
Dtype = Annotated[
    str | None,
    _option(
        "--dtype",
        metavar="NAME",
        default="auto",
        help="Precision: float32, tf32, bfloat16 or auto, which is tf32 on a CUDA GPU",
        panel=COMPUTATION,
    ),
]
Start = Annotated[
    str | None,
    _option(
        "--start",
        metavar="prior|query",
        default="prior",
        help="Start latents: drawn from the prior, or spread around the query, near and far",
        panel=SEARCH,
    ),
]
Saved = Annotated[
    str | None,
    _option(
        "--saved",
        metavar="uint8|float",
        default="uint8",
        help="Judge an image or a sound as its file holds it, rounded to 8 or 16 bits (uint8), or before (float)",
        panel=SEARCH,
    ),
]
Bank = Annotated[
    str | None,
    _option(
        "--bank",
        metavar="COUNT|none",
        default="none",
        help="Prior samples to take members and starts from; they are made once for all runs of a generator, and kept",
        panel=SEARCH,
    ),
]
TimeLimit = Annotated[
    float | None,
    _option(
        "--time-limit",
        metavar="SECONDS",
        default="none",
        help="Longest that one pass of one sample may take; a sample whose pass hangs has failed then",
        panel=COMPUTATION,
    ),
]
Out = Annotated[
    Path | None,
    _option(
        "--out", default="runs/TIME-GENERATOR-OBJECTIVE", metavar="FOLDER", help="Run folder to create", panel=OUTPUT
    ),
]
Images = Annotated[
    str | None,
    _option(
        "--images",
        metavar="all|none|first:N",
        default="first:1000",
        help="Samples to write as files, PNG or WAV; all others are in the tensors only",
        panel=OUTPUT,
    ),
]
PartOfRun = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="K/N",
        help="Do the K-th of N parts of the run, for instance on another machine; equidiff merge puts them together.",
        rich_help_panel=COMPUTATION,
    ),
]
Executor = Annotated[
    str | None,
    _option(
        "--executor",
        default="inline, this process",
        metavar="SPEC",
        help="Find the samples elsewhere: processes, ray, slurm, each with its options, such as processes,workers=2",
        panel=COMPUTATION,
        complete=complete_kind("executor"),
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="Continue a run that did not finish, with its own settings.",
        rich_help_panel=OUTPUT,
        autocompletion=complete_run,
    ),
]
Report = Annotated[
    bool,
    typer.Option(
        "--report", metavar="", help="Also write the page about the run, report.html.", rich_help_panel=OUTPUT
    ),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", metavar="", help="Print a line about each sample.", rich_help_panel=OUTPUT),
]
