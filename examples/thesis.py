"""Chapter 4 of the thesis: three neurons, an SAE feature, a class, and all classes at once, with table and figures.

    python examples/thesis.py --scale small --out thesis
    python examples/thesis.py --scale full --images PHOTOGRAPHS --out thesis

The small scale runs offline on garments, in minutes. The full scale repeats the experiments of the thesis with
LightningDiT, ResNet-50 and an SAE of CLIP from the hub; it needs a GPU and a folder of photographs to choose the
queries from. Experiments that miss their target are reported too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import equidiff
from equidiff.analysis.citations import citations
from equidiff.analysis.evaluation import Plan, evaluate
from equidiff.analysis.evaluation.results import write_metrics
from equidiff.analysis.figures.thesis.catalog import fitting, write_figure
from equidiff.analysis.figures.thesis.source import Source
from equidiff.analysis.report import write_report
from equidiff.errors import EquiDiffError
from equidiff.folders.atomic import write_atomically
from equidiff.registry.manager import Plugins
from equidiff.run.finished import Finished, open_finished

TOLERANCE = 0.01  # as in the thesis, for the squared deviations of the image and of its low-pass view together
NEEDS = """\
--scale full needs a GPU (equidiff doctor -g lightningdit --samples 16 predicts the memory), and
  pip install ./plugins/equidiff-lightningdit ./plugins/equidiff-sae
  from the hub, or in its cache: hustvl/lightningdit-xl-imagenet256-800ep, hustvl/vavae-imagenet256-f16d32-dinov2,
    timm's resnet50, CLIP ViT-B/32 and Prisma's SAE of its layer 9
  --images FOLDER: photographs; the one that activates a unit most is its query
"""


@dataclass(frozen=True)
class Experiment:
    """A line of the table: the objective, and the source of the query."""

    title: str
    objective: str
    query_of: str | None = (
        None  # title of the experiment whose query is used; the strongest image of the objective by default
    )


@dataclass(frozen=True)
class Scale:
    """A size of the experiments: generator, objectives, and number of samples."""

    generator: str
    samples: int
    budget: float
    experiments: tuple[Experiment, ...]


@dataclass
class Line:
    """Result of an experiment, a line of the table."""

    experiment: Experiment
    asked: int = 0
    members: int = 0
    unit: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    evaluations: float | None = None
    problem: str = ""


SMALL = Scale(
    "toy:fashion",
    8,
    64,
    (
        *(Experiment(f"neuron {unit}", f"neuron:{unit}") for unit in (17, 51, 42)),
        Experiment("SAE feature 17", "sae:17"),
        Experiment("class bag", "classifier:bag"),
        Experiment("all classes", "classifier,output=distribution", "class bag"),
    ),
)
NEURONS = {1656: "zebra stripes", 1052: "honeycomb", 421: "gyromitra"}
FULL = Scale(
    "lightningdit",
    32,
    512,
    (
        *(
            Experiment(f"neuron {unit}, {name}", f"neuron:layer4.{unit},model=resnet50,positions=all")
            for unit, name in NEURONS.items()
        ),
        Experiment("SAE feature 6547", "sae:6547,layer=9"),
        Experiment("class zebra", "classifier:zebra,model=resnet50"),
        Experiment("all classes", "classifier,model=resnet50,output=distribution", "class zebra"),
    ),
)


def main(scale: Scale, images: Path, out: Path) -> int:
    """Run, draw and report; return 0 if each experiment has members, otherwise 3."""
    lines: list[Line] = []
    queries: dict[str, str] = {}
    for experiment in scale.experiments:
        print(f"{experiment.title}: {experiment.objective}", file=sys.stderr)
        query = queries.get(experiment.query_of or "", f"top:{images}")
        try:
            lines.append(perform(experiment, scale, query, out, queries))
        except EquiDiffError as error:  # a failed experiment does not stop the others
            lines.append(Line(experiment, problem=error.problem))
    text = table(lines)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "table.md", text)
    print(text)
    return 0 if all(line.members for line in lines) else 3


def perform(experiment: Experiment, scale: Scale, query: str, out: Path, queries: dict[str, str]) -> Line:
    """Perform an experiment: write its run folder with metrics, figures and report; return its line of the table."""
    found = equidiff.sample(
        scale.generator,
        experiment.objective,
        query=query,
        samples=scale.samples,
        budget=scale.budget,
        tolerance=TOLERANCE,
    )
    queries[experiment.title] = found.info.target.source
    path = found.save(out / experiment.title.replace(" ", "-").replace(",", ""))
    line = Line(experiment, len(found.records), len(found), found.info.target.unit)
    if not found.members:
        return line
    finished = open_finished(path, Plugins(), ("equidiff", "figure"))
    metrics = evaluate(finished, Plan(features="pixels"))
    write_metrics(path, metrics)
    draw(finished)
    line.metrics = metrics["groups"]
    line.evaluations = median(record.evaluations for record in found.members)
    return line


def draw(finished: Finished) -> None:
    """Draw all figures that fit the run, and write its report."""
    source = Source(finished.found, finished.session)
    for name in fitting(finished.found):
        write_figure(name, source, finished.path / "figures" / f"{name}.png")
    cited, _ = citations(finished.found.info, Plugins())
    write_report(finished.found, finished.path, finished.path / "report.html", cited)


def table(lines: Sequence[Line]) -> str:
    """Table 4.1 of the thesis, with 95 % intervals and the values of prior samples."""
    head = (
        "experiment",
        "members",
        "L2 deviation",
        "prior samples",
        "unit",
        "KL, nats",
        "percentile",
        "KID",
        "prior samples",
        "evaluations",
    )
    rows = [head, *(cells(line) for line in lines)]
    text = [" | ".join(["", *row, ""]).strip() for row in rows]
    rule = "|" + "---|" * len(head)
    notes = [
        "The numbers are for the members, with 95 % bootstrap intervals in brackets. The percentile is that of the "
        "distance to the nearest prior sample, in pixels; at 50, members are as realistic as prior samples. KID is "
        "computed on pixels, against other prior samples.",
        "The thesis reports FID. With so few samples, FID is mostly bias, so it is left out here.",
        *(f"{line.experiment.title} failed: {line.problem}" for line in lines if line.problem),
        *(
            f"{line.experiment.title}: no sample reached the target within its budget."
            for line in lines
            if not line.members and not line.problem
        ),
    ]
    return "\n".join([text[0], rule, *text[1:], "", *notes]) + "\n"


def cells(line: Line) -> tuple[str, ...]:
    """Cells of a row, empty where nothing was measured."""
    fidelity, realism = (line.metrics.get(group, {}) for group in ("fidelity", "realism"))
    deviation, kid = fidelity.get("l2"), realism.get("kid")
    return (
        line.experiment.title,
        f"{line.members} of {line.asked}" if line.asked else "none",
        shown(deviation),
        prior(deviation),
        line.unit,
        shown(fidelity.get("kl")),
        shown(realism.get("percentile")),
        shown(kid),
        prior(kid),
        "" if line.evaluations is None else f"{line.evaluations:.1f}",
    )


def shown(metric: dict[str, Any] | None) -> str:
    """Text of a number and its interval."""
    if metric is None:
        return ""
    interval = metric.get("interval")
    return f"{metric['value']:.3g}" + (f" ({interval[0]:.3g} to {interval[1]:.3g})" if interval else "")


def prior(metric: dict[str, Any] | None) -> str:
    """Text of the value of prior samples."""
    return "" if metric is None or metric.get("plain") is None else f"{metric['plain']:.3g}"


def write_garments(folder: Path) -> Path:
    """Write the query images that ship with EquiDiff to a folder, to choose queries from."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in (files("equidiff") / "queries" / "fashion").iterdir():
        (folder / image.name).write_bytes(image.read_bytes())
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=("small", "full"), default="small", help="garments or photographs")
    parser.add_argument("--images", type=Path, help="photographs to choose queries from, for --scale full")
    parser.add_argument("--out", type=Path, default=Path("thesis"), help="folder to write to")
    parser.add_argument("--samples", type=int, help="samples per experiment (default: 8 for small, 32 for full)")
    given = parser.parse_args()
    if given.scale == "full" and given.images is None:
        parser.exit(2, NEEDS)
    chosen = SMALL if given.scale == "small" else FULL
    if given.samples is not None:
        chosen = replace(chosen, samples=given.samples)
    raise SystemExit(main(chosen, given.images or write_garments(given.out / "garments"), given.out))
