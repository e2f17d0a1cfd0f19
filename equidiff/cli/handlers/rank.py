"""Run `equidiff rank`: introduction, progress, table and image of the units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.errors import UsageError, unknown_name
from equidiff.folders.status import COMPLETE
from equidiff.folders.text import shell_command, shell_word
from equidiff.rank import Plan, Ranking, Scan, begin, draw_units
from equidiff.rank import resume as resume_scan
from equidiff.rank.concepts import Concepts, align, read_concepts
from equidiff.rank.folder import RankFolder, read_rank_info
from equidiff.rank.unit import Unit

NUMBERS = ("max", "mean", "active", "sparsity", "selectivity", "entropy", "alignment", "clarity")
ASK = ("equidiff", "run", "--objective")
WORDS = ("best_class", "concept")


@dataclass(frozen=True)
class View:
    """Part of a ranking to show.

    Attributes:
        count: number of units, per class if there are classes.
        sort: number to sort them by; None for the default.
        classes: show units selective for these classes.
        concepts: file of texts to compare units with.
        clip: model that compares them.
    """

    count: int = 8
    sort: str | None = None
    classes: Sequence[str] = ()
    concepts: Path | None = None
    clip: str | None = None


@dataclass(frozen=True)
class Shown:
    """A unit in the table and the image; `to` is the class it is shown for, and its selectivity for that class."""

    unit: Unit
    to: tuple[str, float] | None = None


@dataclass(frozen=True)
class Work:
    """A scan to carry out, or a finished one, and the concepts to compare its units with."""

    scan: Scan | Ranking
    concepts: Concepts | None = field(default=None)

    @property
    def folder(self) -> RankFolder:
        """Folder of the scan."""
        return self.scan.folder


def prepare(given: dict[str, Any], out: Path | None, resume: Path | None, view: View) -> Work:
    """Prepare a new scan, or the rest of an old one.

    Args:
        given: the settings that the user typed.
        out: the folder to make.
        resume: the folder to continue.
        view: its concepts are read first, since a scan takes long.
    """
    concepts = None if view.concepts is None else read_concepts(view.concepts, view.clip, given.get("device", "auto"))
    if resume is None:
        return Work(begin(Plan(**given), out), concepts)
    finished = read_rank_info(resume)["status"] == COMPLETE
    return Work(Ranking.load(resume) if finished else resume_scan(resume, given.get("model")), concepts)


def perform(work: Work, view: View, terminal: Terminal, as_json: bool) -> int:
    """Scan the images, print and draw the units, and return the exit code."""
    folder = work.folder
    terminal.facts(_introduction(folder))
    _check(folder, view)
    try:
        ranking = work.scan if isinstance(work.scan, Ranking) else _scan(work.scan, terminal)
        if work.concepts is not None:
            if work.concepts.clip.warning is not None:
                terminal.note(work.concepts.clip.warning, "yellow")
            with terminal.progress(0, 0, "comparing") as show:
                ranking = align(ranking, work.concepts, show)
    except KeyboardInterrupt:
        terminal.note(f"Interrupted. Continue with: equidiff rank --resume {shell_word(folder.path)}")
        return INTERRUPTED
    shown = _choose(ranking, view)
    with terminal.status("drawing"):
        image = _draw(ranking, shown, view)
    _print(ranking, shown, image, terminal)
    terminal.answer(folder.path, "rank.json" if as_json else None)
    return 0


def _check(folder: RankFolder, view: View) -> None:
    """Refuse a view that could not be shown in the end, since a scan takes long."""
    classes, command = folder.info["classes"], f"equidiff rank --resume {shell_word(folder.path)}"
    for label in view.classes:
        if label not in classes:
            raise unknown_name("class among these images", label, classes, hint=command)
    if view.sort in {"selectivity", "entropy"} and not classes:
        raise UsageError(
            f"Images without labels have no {view.sort}.",
            given=f"--sort {view.sort}",
            expected="images with labels",
            hint=command,
        )
    if view.sort in {"alignment", "clarity"} and view.concepts is None and "concepts" not in folder.info:
        raise UsageError(
            f"The {view.sort} of units needs concepts.",
            given=f"--sort {view.sort}",
            expected="--concepts FILE",
            hint=f"{command} --concepts FILE --sort {view.sort}",
        )


def _scan(scan: Scan, terminal: Terminal) -> Ranking:
    counts = scan.folder.info["counts"]
    done = counts["images"] - sum(map(len, scan.folder.missing()))
    with terminal.progress(counts["images"], done, "scanning") as show:
        return scan.run(show)


def _introduction(folder: RankFolder) -> list[tuple[str, object]]:
    info = folder.info
    classes = info["classes"]
    labels = f"{len(classes)} classes, such as {', '.join(classes[:3])}" if classes else "none"
    return [
        ("model", info["settings"]["model"]),
        ("layer", f"{info['layer']}, {info['units']} units"),
        ("images", f"{info['counts']['images']} in {info['settings']['images']}"),
        ("labels", labels),
    ]


def _choose(ranking: Ranking, view: View) -> list[Shown]:
    if view.classes:
        return [
            Shown(unit, (label, value))
            for label in view.classes
            for unit, value in ranking.for_class(label, view.count)
        ]
    return [Shown(unit) for unit in ranking.best(view.count, view.sort)]


def _draw(ranking: Ranking, shown: list[Shown], view: View) -> Path:
    info = ranking.folder.info
    order = f"for {', '.join(view.classes)}" if view.classes else f"by {view.sort or ranking.default_sort}"
    titles = (
        f"{info['settings']['model'].partition(',')[0]}, layer {info['layer']}",
        f"the first {len(shown)} of {len(ranking.units)} units {order}, and the images that activate them most",
    )
    notes = [_note(each) for each in shown]
    image = draw_units([each.unit for each in shown], Path(info["settings"]["images"]), titles, notes)
    return ranking.folder.add_image("top.png", image)


def _note(shown: Shown) -> str:
    unit = shown.unit
    lines = [f"active on {100 * unit.active:.0f} %", f"sparsity {unit.sparsity:.2f}"]
    if shown.to is not None:
        lines.append(f"{shown.to[0]}: {shown.to[1]:.2f}")
    elif unit.selectivity is not None:
        lines.append(f"{unit.best_class}: {unit.selectivity:.2f}")
    if unit.alignment is not None:
        lines.append(f"{unit.concept}: {unit.alignment:.2f}")
    return "\n".join(line if len(line) < 30 else line[:28] + "…" for line in lines)


def _print(ranking: Ranking, shown: list[Shown], image: Path, terminal: Terminal) -> None:
    by_class = any(each.to for each in shown)
    known = [
        name
        for name in (*NUMBERS, *WORDS)
        if any(getattr(each.unit, name) is not None for each in shown)
        and not (by_class and name in {"selectivity", "best_class"})
    ]
    columns = ["unit", *(["class", "selectivity"] if by_class else []), *(name.replace("_", " ") for name in known)]
    rows = []
    for each in shown:
        to = (each.to[0], f"{each.to[1]:.3f}") if each.to else ()
        rows.append([each.unit.index, *to, *(_cell(each.unit, name) for name in known)])
    terminal.table(columns, rows, result=False)
    info = ranking.folder.info
    facts: list[tuple[str, object]] = [("scanned", f"{info['counts']['scanned'] - info['counts']['broken']} images")]
    if info["broken"]:
        names = [f"{name}: {reason}" for name, reason in list(info["broken"].items())[:3]]
        facts.append(("unreadable", "\n".join([f"{len(info['broken'])}, listed in rank.json:", *names])))
    facts += [
        ("time", f"{info['wall_s']:.1f} s"),
        ("image", image),
        ("next", shell_command([*ASK, shown[0].unit.spec, "--query", f"top:{ranking.folder.path}"])),
    ]
    terminal.facts(facts)


def _cell(unit: Unit, name: str) -> str:
    value = getattr(unit, name)
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
