"""Exit codes of the commands. 0 is success, 1 an error, 2 wrong usage: `EquiDiffError.exit_code` says which."""

from __future__ import annotations

INTERRUPTED = 130  # what a shell reports for Ctrl-C
NOT_ALL_MEMBERS = 3
NOT_ALL_MEASURED = 3  # of the images given to `equidiff measure`
LAW_REJECTED = 3  # by `equidiff calibrate`, or it could not tell
CONTRACT_BROKEN = 3  # by a component that `equidiff check` has tried
