"""Run `equidiff bank`: make, extend, list and remove banks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from equidiff.bank.bank import Bank
from equidiff.bank.catalog import BankEntry, list_banks
from equidiff.bank.store import BANKS, remove
from equidiff.cli.console import PROGRESS_DELAY_S, Show, Terminal
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.contracts import BuildContext, Weights
from equidiff.devices import choose_device, choose_dtype, set_precision
from equidiff.errors import EquiDiffError, unknown_name
from equidiff.folders import text
from equidiff.folders.atomic import write_atomically
from equidiff.folders.cache import cache_folder
from equidiff.images.convert import save_png
from equidiff.kinds.registry import kind_of
from equidiff.registry.build import build_generator
from equidiff.registry.manager import Plugins
from equidiff.run.banked import RunBank, open_bank
from equidiff.run.components import build_all
from equidiff.run.member import not_images
from equidiff.run.settings import Settings

COUNT = 256  # samples of a bank, unless told otherwise
ALL = "all"
SHOWN_OBJECTIVES = 3


@dataclass(frozen=True)
class Work:
    """A bank to make, and the runs by whose objectives it is measured."""

    bank: Bank
    count: int
    spec: str
    runs: Sequence[RunBank]


def prepare(plugins: Plugins, given: dict[str, Any], objectives: Sequence[str]) -> Work:
    """Build the generator and the objectives, and open the bank.

    Args:
        plugins: where specs are looked up.
        given: settings, which are checked as those of a run.
        objectives: their specs.
    """
    settings = Settings(**given)
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    weights: list[Weights] = []
    context = BuildContext(device, set_precision(dtype, device), weights=weights)
    built = build_generator(plugins, settings.generator, context)
    settings = replace(settings, dtype=dtype, saved=kind_of(built.component).precision)
    bank = open_bank(built, weights, context, settings)
    count = int(settings.bank or COUNT)
    asked = [replace(settings, objective=each) for each in objectives]
    runs = [RunBank(count, each, build_all(each, plugins, None)) for each in asked]
    return Work(bank, count, built.spec, runs)


def perform(work: Work, images: Path | None, terminal: Terminal, as_json: bool) -> int:
    """Make and measure the bank, say what it is, and return the exit code.

    Args:
        work: the bank.
        images: a folder to make, with its samples as images.
        terminal: the output.
        as_json: print the entry of its list, in place of its folder.
    """
    bank, started = work.bank, time.monotonic()
    if images is not None and not kind_of(bank.generator).is_image:
        raise not_images(kind_of(bank.generator), bank.generator.sample_shape)
    try:
        _make(work, images, terminal)
    except KeyboardInterrupt:
        terminal.note(f"Interrupted: the bank has {bank.count} samples.")
        return INTERRUPTED
    for warning in dict.fromkeys([*bank.warnings, *(each for run in work.runs for each in run.bank.warnings)]):
        terminal.note(warning, "yellow")
    entry = _entry(work)
    measured = sum(run.bank.measured for run in work.runs)
    rows: list[tuple[str, object]] = [
        ("bank", entry.path.name),
        ("samples", f"{entry.count} of {work.spec}, {bank.made} of them made now"),
        *([("measured", f"{measured} samples and views of samples, now")] if work.runs else []),
        *([("images", images)] if images is not None else []),
        ("size", size_in_words(entry.size)),
        ("time", f"{time.monotonic() - started:.1f} s"),
    ]
    terminal.facts(rows)
    if as_json:
        terminal.json(text.to_json(entry.to_dict()))
    else:
        terminal.path(entry.path)
    return 0


def _make(work: Work, images: Path | None, terminal: Terminal) -> None:
    """Make what the bank lacks, measure it, and write its images."""
    bank, count = work.bank, work.count
    with terminal.progress(count, 0, "making", PROGRESS_DELAY_S) as show:
        bank.ensure(count, lambda done, total: show(count - total + done, "prior samples"))
    with terminal.progress(len(work.runs) * count, 0, "measuring", PROGRESS_DELAY_S) as show:
        for number, run in enumerate(work.runs):
            run.prepare()
            show((number + 1) * count, run.parts.built["objective"].spec)
    if images is not None:
        with terminal.progress(count, 0, "writing", PROGRESS_DELAY_S) as show:
            write_atomically(images, lambda part: _write_images(bank, count, part, show))


def _write_images(bank: Bank, count: int, folder: Path, show: Show) -> None:
    folder.mkdir(parents=True)
    usable = bank.outside(range(count)).isfinite().tolist()
    for number in (each for each in range(count) if usable[each]):
        save_png(folder / f"{number:05d}.png", bank.samples([number])[0])
        show(number + 1, "images")


def _entry(work: Work) -> BankEntry:
    """The bank as it is listed.

    Raises:
        EquiDiffError: it is in memory alone.
    """
    if work.bank.path is None:
        raise EquiDiffError(
            "This bank is not kept.",
            given=work.spec,
            expected="a generator of EquiDiff or of an installed plugin, and a cache that can be written",
            hint="EQUIDIFF_CACHE=FOLDER equidiff bank ...",
        )
    return next(each for each in list_banks() if each.path == work.bank.path)


def list_all(terminal: Terminal, as_json: bool) -> int:
    """List the banks."""
    entries = list_banks()
    if as_json:
        terminal.json(text.to_json([entry.to_dict() for entry in entries]))
        return 0
    if not entries:
        terminal.note(f"There is no bank in {cache_folder() / BANKS}.")
        return 0
    columns = ["name", "generator", "samples", "size", "last used", "objectives"]
    terminal.table(columns, [_row(entry) for entry in entries], spare=("last used", "size"))
    terminal.facts([("total", size_in_words(sum(entry.size for entry in entries))), ("in", cache_folder() / BANKS)])
    return 0


def discard(name: str, terminal: Terminal) -> int:
    """Remove one bank, or all of them that nobody uses."""
    entries = {entry.path.name: entry for entry in list_banks()}
    if name != ALL and name not in entries:
        raise unknown_name("bank", name, [*entries, ALL], hint="equidiff bank   # lists them")
    chosen = list(entries.values()) if name == ALL else [entries[name]]
    kept = [entry for entry in chosen if not remove(entry.path)]
    gone = len(chosen) - len(kept)
    terminal.note(f"Removed {gone} {'bank' if gone == 1 else 'banks'}.")
    if kept:
        raise EquiDiffError(
            "A bank that a process uses is not removed.",
            given=", ".join(entry.path.name for entry in kept),
            expected="banks that nobody uses",
            hint=f"wait for the run, then equidiff bank --remove {name}",
        )
    return 0


def size_in_words(size: int) -> str:
    """Bytes as people read them."""
    for unit, bytes_of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size} bytes"


def _row(entry: BankEntry) -> list[object]:
    used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M") if entry.used else "unknown"
    listed = ", ".join(entry.objectives[:SHOWN_OBJECTIVES])
    more = len(entry.objectives) - SHOWN_OBJECTIVES
    objectives = f"{listed} and {more} more" if more > 0 else listed
    generator = f"{entry.key['generator']} ({entry.key['device']})"
    return [entry.path.name, generator, entry.count, size_in_words(entry.size), used, objectives]
