"""Commands that add to a run what its page can show, ready to be pasted into a shell."""

from __future__ import annotations

from pathlib import Path

from equidiff.folders.text import shell_command
from equidiff.run.invariant_set import InvariantSet


def commands_of(found: InvariantSet, path: Path) -> dict[str, str]:
    """Command by its name.

    Args:
        found: a run with members.
        path: its folder.
    """
    own = found.info.specs
    # code of the user's own runs only where its spec is named again
    objective = ["--objective", own.objective] if own.is_custom else []
    first, second = _ends(found)
    words = {
        "evaluate": [str(path)],
        "compare": [str(path)],
        "select": [str(path), "--by", "diversity"],
        "path": [str(path), str(first), str(second)],
        "figure": [str(path)],
    }
    return {name: shell_command(["equidiff", name, *rest, *objective]) for name, rest in words.items()}


def _ends(found: InvariantSet) -> tuple[int, int]:
    """Two members of different classes, where there are such; else the first and the last."""
    first, *others = found.members
    unlike = [each for each in others if each.called and first.called and each.called.index != first.called.index]
    last = (unlike or others or [first])[-1 if not unlike else 0]
    return first.index, last.index
