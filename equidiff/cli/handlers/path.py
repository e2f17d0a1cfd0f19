"""Run `equidiff path`: search for a path, write it, and print a summary."""

from __future__ import annotations

from equidiff.analysis.path.folder import write_path
from equidiff.analysis.path.search import SetPath, find_path, likely_end
from equidiff.analysis.path.watch import FrameCounter
from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.errors import UnsupportedError
from equidiff.folders.text import shell_word
from equidiff.run.finished import Finished
from equidiff.search.engine import MEMBER


def check_gif(finished: Finished, gif: bool) -> None:
    """Refuse an animation of samples that are not images.

    Raises:
        UnsupportedError: the samples are not images.
    """
    if gif and not finished.found.kind.is_image:
        raise UnsupportedError(
            "Samples that are not images cannot be animated.",
            given="--gif",
            expected="a run whose samples are images",
            hint=f"equidiff path {shell_word(finished.path)}",
        )


def perform(
    finished: Finished, ends: tuple[int, int], frames: int, gif: bool, terminal: Terminal, as_json: bool
) -> int:
    """Find the path, write it, print a summary, and return the exit code."""
    try:
        with terminal.progress(frames - 2, 0, "searching") as show:
            counter = FrameCounter(show, lambda text: terminal.note(text, "yellow"), frames - 1)
            path = find_path(finished.session, finished.found, *ends, frames, counter)
        problem = finished.session.problem
        folder = write_path(
            finished.path, path, finished.found, lambda x: problem.objective.measure(x.to(problem.target.device)), gif
        )
    except KeyboardInterrupt:
        terminal.note("Interrupted: no path was written.")
        return INTERRUPTED
    terminal.facts(_conclusion(path, finished))
    if path.jumps:
        terminal.note(_warning(path), "yellow")
        terminal.facts([("try", "\n".join(_proposals(path, finished)))])
    if (folder / "path.png").exists():
        terminal.facts([("image", folder / "path.png")])
    terminal.answer(folder, "path.json" if as_json else None)
    return 0 if len(path.members) == frames else NOT_ALL_MEMBERS


def _conclusion(path: SetPath, finished: Finished) -> list[tuple[str, object]]:
    count, inside = len(path.records), sum(loss < finished.session.tolerance for loss in path.straight[0])
    losses, straight = path.straight
    missing = [str(record.index) for record in path.records if record.status != MEMBER]
    others = f"; not {', '.join(missing)}" if missing else ""
    return [
        ("path", f"from member {path.ends[0]} to member {path.ends[1]}"),
        ("frames", f"{len(path.members)} of {count} are members{others}"),
        (
            "largest step",
            f"{max(path.steps.images):.2f} between samples, {path.steps.ratio:.1f} times the median of the others; "
            f"{max(path.steps.angles):.2f} rad between latents",
        ),
        (
            "great circle",
            f"{max(straight.images):.2f}, {straight.ratio:.1f} times; {max(straight.angles):.2f} rad; "
            f"{inside} of {len(losses)} frames are members",
        ),
        ("cost", f"{path.evaluations:.1f} evaluations"),
    ]


def _warning(path: SetPath) -> str:
    places = " and ".join(f"from frame {before} to frame {after}" for before, after in path.jumps)
    why = (
        "the members found between lie close to one of the two, so the set may have a gap"
        if len(path.members) == len(path.records)
        else "frames that are not members lie between, or beside it"
    )
    return f"The path jumps {places}. It is not continuous there: {why}."


def _proposals(path: SetPath, finished: Finished) -> list[str]:
    """Commands that may find a path without jumps."""
    first, second = path.ends
    count = len(path.records)
    other = likely_end(finished.session, finished.found, first, second, count)
    pairs = [] if other is None else [f"equidiff path {finished.path} {first} {other}"]
    return [*pairs, f"equidiff path {finished.path} {first} {second} --frames {2 * count - 1}"]
