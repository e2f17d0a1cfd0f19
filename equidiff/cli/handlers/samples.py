"""Run `equidiff samples`: draw samples or read queries, write them, and print their folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equidiff.analysis.evaluation.sample_sets import BatchRunner
from equidiff.analysis.sample_folder import Shown, check_queries, draw_samples, read_queries, write_samples
from equidiff.cli.console import PROGRESS_DELAY_S, Show, Terminal
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.handlers.memory import explain_out_of_memory
from equidiff.contracts import BuildContext, Generator
from equidiff.devices import choose_device, choose_dtype, set_precision
from equidiff.folders.paths import free_path
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.run.settings import Settings


@dataclass(frozen=True)
class Work:
    """Samples to draw, or queries to read, and their folder."""

    generator: Generator
    spec: str
    settings: Settings
    device: str
    path: Path
    queries: bool


def prepare(plugins: Plugins, given: dict[str, Any], out: Path | None, queries: bool) -> Work:
    """Build the generator and choose the folder.

    Args:
        plugins: where specs are looked up.
        given: settings, which are checked as those of a run.
        out: the folder to create; named after time and generator when absent.
        queries: read the generator's own queries instead of drawing samples.
    """
    settings = Settings(**given)
    device = choose_device(settings.device)
    dtype = set_precision(choose_dtype(settings.dtype, device), device)
    built = build(plugins, "generator", settings.generator, BuildContext(device, dtype))
    if queries:
        check_queries(built.component, built.spec)
    path = out or free_path(built.spec, "queries" if queries else "", Path("samples"))
    return Work(built.component, built.spec, settings, device, path, queries)


def perform(work: Work, count: int | None, terminal: Terminal) -> int:
    """Draw or read, write, print the folder, and return the exit code; a count of None means all queries."""
    total = len(work.generator.queries()) if count is None else count
    doing, batch = "reading" if work.queries else "drawing", work.settings.batch
    hint = f"equidiff samples -g {work.spec} --batch {max(1, batch // 2)}"
    try:
        with (
            explain_out_of_memory(batch, "a smaller batch", hint),
            terminal.progress(total, 0, doing, PROGRESS_DELAY_S) as show,
        ):
            shown = write_samples(work.path, lambda: _make(work, count, total, show))
    except KeyboardInterrupt:
        terminal.note("Interrupted: nothing was written.")
        return INTERRUPTED
    _conclude(work, shown, terminal)
    terminal.path(work.path)
    return 0


def _make(work: Work, count: int | None, total: int, show: Show) -> Shown:
    if work.queries:
        return read_queries(work.generator, work.spec, count, show)
    runner = BatchRunner(work.device, work.settings.batch, total, show)
    return draw_samples(work.generator, work.spec, total, work.settings.seed, runner)


def _conclude(work: Work, shown: Shown, terminal: Terminal) -> None:
    samples = shown.tensors["samples"]
    broken = int((~samples.flatten(1).isfinite().all(dim=1)).sum())
    if broken:
        terminal.note(f"{broken} of {len(samples)} samples have values that are not finite.", "yellow")
    written = work.path / ("grid.png" if shown.picture else "tensors.safetensors")
    terminal.facts([("written", shown.title), ("image" if shown.picture else "tensors", written)])
