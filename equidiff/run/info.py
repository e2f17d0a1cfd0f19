"""`run.json` and where run folders lie: what can be known of a run without loading torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equidiff.errors import RunFolderError
from equidiff.folders import read_description

SCHEMA_VERSION = 1
NEEDED = {"status", "specs", "options", "target", "counts", "versions", "weights", "tolerance", "budget", "seed"}


def read_info(path: Path) -> dict[str, Any]:
    """The content of `run.json`.

    Raises:
        RunFolderError: there is none, it is damaged, or of another schema version.
    """
    file = path / "run.json"
    return read_description(
        file,
        "run folder",
        SCHEMA_VERSION,
        NEEDED,
        RunFolderError(
            "This is not a run folder.", given=path, expected="a folder with a run.json", hint="equidiff run"
        ),
        RunFolderError(
            "The run.json of this folder cannot be read.",
            given=file,
            expected=f"a run.json of schema_version {SCHEMA_VERSION}, as equidiff run writes it",
        ),
    )
