"""The work of a comparison: methods on the members of a run, each saved in the run's folder once it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from equidiff.analysis.compare.comparison import CONTROL, Subject, build_methods, compare_method, prepare_subject
from equidiff.analysis.compare.defaults import MEMBERS
from equidiff.analysis.compare.drawing import plot_freedom, plot_maps
from equidiff.analysis.compare.folder import COMPLETE, AttributionFolder
from equidiff.analysis.compare.freedom import Freedom
from equidiff.analysis.figures.layout import render
from equidiff.errors import UsageError
from equidiff.registry.build import Built
from equidiff.registry.manager import Plugins
from equidiff.registry.provenance import versions
from equidiff.registry.specs import Spec
from equidiff.run.finished import Finished

COLUMNS = {
    "rank_correlation_members": "ranks, members",
    "rank_correlation_query": "ranks, query",
    "overlap_members": "top, members",
    "overlap_query": "top, query",
    "freedom_auc": "AUC",
    "freedom_auc_seen": "AUC, seen",
    "infidelity": "infidelity",
    "max_sensitivity": "sensitivity",
}
Show = Callable[[int, str], None]


@dataclass(frozen=True)
class Work:
    """One comparison: the methods to run on a subject, the control first unless it is done, and the folder for them."""

    run: Path
    subject: Subject
    methods: list[Built]
    folder: AttributionFolder
    objective: str

    @property
    def effort(self) -> int:
        """Steps that `run_methods` reports."""
        return sum(self.subject.effort(built.spec) for built in self.methods)


def prepare(finished: Finished, plugins: Plugins, specs: Sequence[Spec] | None, most: int | None, batch: int) -> Work:
    """Build the methods, and read earlier comparisons of the run.

    Args:
        finished: the run.
        plugins: where specs are looked up.
        specs: the methods; None for all.
        most: members to explain; by default as many as before, or `defaults.MEMBERS`.
        batch: samples in one pass.

    Raises:
        UsageError: earlier maps are of other members.
        EquiDiffError: a method cannot be built, or the earlier maps cannot be read.
    """
    before = AttributionFolder.read(finished.path)
    subject = prepare_subject(finished, most or (len(before.info["members"]) if before else MEMBERS), batch)
    if before and before.info["members"] != subject.members:
        raise UsageError(
            "The existing maps of this run are of other members, and cannot be compared with new ones.",
            given=f"--members {most}",
            expected=f"--members {len(before.info['members'])}, or no --members",
            hint=f"mv {before.path} {before.path}-{len(before.info['members'])}   # to start afresh",
        )
    methods = build_methods(plugins, _methods_to_run(plugins, specs, before), finished)
    folder = before or AttributionFolder(finished.path / "attributions", {"methods": []})
    folder.info |= {
        "seed": finished.session.settings.seed,
        "versions": folder.info.get("versions", {})
        | versions([*finished.session.built.values(), *methods])
        | {"captum": version("captum")},
        **subject.describe(),
    }
    return Work(finished.path, subject, methods, folder, finished.found.info.specs.objective)


def run_methods(work: Work, show: Show) -> Iterator[dict[str, Any]]:
    """Yield the entry of each method once it is on disk.

    Args:
        work: the comparison.
        show: called with the number of steps done, out of `work.effort`, and with the method.
    """
    efforts = [work.subject.effort(built.spec) for built in work.methods]
    for number, built in enumerate(work.methods):
        steps = count(sum(efforts[:number]) + 1)
        place = f"{built.spec} ({number + 1} of {len(work.methods)})"
        show(sum(efforts[:number]), place)

        def done(more: int, steps: Iterator[int] = steps, place: str = place) -> None:
            show([next(steps) for _ in range(more)][-1], place)

        entry, maps = compare_method(built, work.subject, done)
        work.folder.add(entry, maps)
        yield entry


def draw_images(work: Work) -> list[Path]:
    """Draw the maps of all finished methods, and the freedom of the pixels where it is known; none if none finished."""
    folder, subject = work.folder, work.subject
    entries = complete_entries(folder)
    if not entries:
        return []
    maps = {entry["spec"]: folder.load(entry["file"]) for entry in entries}
    images = [folder.add_image("compare.png", render(plot_maps(subject, maps, folder.info["explained"])))]
    if isinstance(subject.freedom, Freedom):
        free = {"freedom": subject.freedom.freedom[None], "plain": subject.freedom.prior[None]}
        folder.save("freedom.safetensors", free)
        scores = {entry["spec"]: entry["numbers"].get("freedom_auc_seen") for entry in entries}
        drawn = render(plot_freedom(subject, subject.freedom, maps, scores))
        images.append(folder.add_image("freedom.png", drawn))
    return images


def complete_entries(folder: AttributionFolder) -> list[dict[str, Any]]:
    """Entries of the methods that have maps, the control last."""
    entries = [entry for entry in folder.info["methods"] if entry["status"] == COMPLETE]
    return sorted(entries, key=lambda entry: entry["spec"] == CONTROL)


def _methods_to_run(plugins: Plugins, specs: Sequence[Spec] | None, before: AttributionFolder | None) -> list[Spec]:
    """List each method once, the control first unless it is done: without it, the numbers mean little."""
    if specs is None:
        specs = [Spec(offer.descriptor.name) for offer in plugins.offers("attribution")]
    there = before is not None and any(entry["spec"] == CONTROL for entry in complete_entries(before))
    wanted = [spec for spec in dict.fromkeys(specs) if str(spec) != CONTROL]
    return wanted if there else [Spec(CONTROL), *wanted]
