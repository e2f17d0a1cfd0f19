"""Run `equidiff new plugin`: check the name, write the files, and say what to type next."""

from __future__ import annotations

from pathlib import Path

from equidiff.cli.new_plugin import Draft, check_free, check_name, write
from equidiff.cli.options import State
from equidiff.folders.text import shell_word


def write_plugin(name: str, kind: str, directory: Path | None, state: State) -> int:
    """Write a distribution, and return the exit code.

    Args:
        name: of the distribution.
        kind: of its component.
        directory: the folder to write; one of the distribution's name when None.
        state: the terminal, and the plugins whose names are taken.
    """
    names = check_name(name, kind, state.plugins())
    folder = Path(names.distribution) if directory is None else directory
    check_free(folder, f"equidiff new plugin {names.distribution} --kind {kind}")
    files = write(Draft(names, kind), folder)
    here = folder if folder.is_absolute() or folder == Path() else f"./{folder}"
    rows = [
        ("written", "\n".join(files)),
        ("install", f"pip install -e {shell_word(f'{here}[test]')}"),
        ("test", f"pytest {shell_word(folder)}"),
        ("use", Draft(names, kind).command),
    ]
    component = next(file for file in files if file.endswith(f"/{kind}.py"))
    text = f"The {kind} {names.component!r} works as it is. Put your own in its place, in {component}."
    state.terminal.panel("new plugin", text, rows, "green")
    state.terminal.path(folder)
    return 0
