"""A sweep, checked as far as that needs no model, and opened. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from equidiff.registry.manager import Plugins
from equidiff.sweep.check import SETTINGS, check_rows, check_runs
from equidiff.sweep.document import Document, read_document
from equidiff.sweep.folder import SweepFolder
from equidiff.sweep.plan import Combination, combine
from equidiff.sweep.table import TABLE

PARENT = Path("sweeps")


@dataclass(frozen=True)
class Opened:
    """A sweep with its runs.

    Attributes:
        folder: of the sweep; not on disk before it begins.
        notes: sentences for the user about the file.
        document: the file; None where the folder alone was named.
        runs: those of the file.
    """

    folder: SweepFolder
    notes: Sequence[str] = ()
    document: Document | None = None
    runs: Sequence[Combination] = ()


def open_file(file: Path, out: Path | None, plugins: Plugins, run_code: bool) -> Opened:
    """Read the file of a sweep, and plan its runs, or go on in the folder that has them.

    Args:
        file: of the sweep.
        out: its folder; `sweeps/NAME` when absent.
        plugins: where specs are looked up.
        run_code: the user allows code that the file names.

    Raises:
        EquiDiffError: something in the file cannot be used, or the folder is another's.
    """
    document = read_document(file, SETTINGS)
    runs, twice = combine(document)
    check_runs(document, runs, plugins, run_code)
    notes = [f"{twice} runs are named twice in the file, and carried out once."] if twice else []
    path = out or PARENT / file.stem
    settings = [run.settings for run in runs]
    if not os.path.exists(path / TABLE):
        return Opened(SweepFolder.plan(path, str(file), settings), notes, document, runs)
    folder = SweepFolder.reopen(path)
    added = folder.add_runs(settings)
    return Opened(
        folder,
        [*notes, *([f"{added} runs of the file are new, and added."] if added else []), *folder.verify()],
        document,
        runs,
    )


def open_folder(path: Path, plugins: Plugins, run_code: bool) -> Opened:
    """Go on with a sweep from its folder alone.

    Args:
        path: of the folder.
        plugins: where specs are looked up.
        run_code: the user allows code that the sweep names.

    Raises:
        EquiDiffError: it is no folder of a sweep, is damaged, or names what cannot be used.
    """
    folder = SweepFolder.reopen(path)
    check_rows(folder.rows.values(), plugins, run_code)
    return Opened(folder, folder.verify())
