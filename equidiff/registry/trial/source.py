"""Places in the code of a plugin's author: the line that raised an error, or that most likely lost a gradient."""

from __future__ import annotations

import inspect
import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGE = str(Path(__file__).parents[2]) + "/"
LIBRARIES = (*{sysconfig.get_path(name) + "/" for name in ("stdlib", "purelib", "platlib")}, "<frozen", "<string>")
LOSES_GRADIENT = re.compile(
    r"\.(item|detach|numpy|tolist|long|int|bool|byte|round|argmax|data)\b|\bno_grad\b|\btorch\.(tensor|argmax|round)\b"
)


def raised_at(error: BaseException, plugins_only: bool = False) -> str | None:
    """File, line, function and text of the author's line in which an error was raised.

    It is the innermost line that belongs neither to EquiDiff nor to an installed library.

    Args:
        error: an error that was caught.
        plugins_only: say nothing where every line belongs to one of these; else, the innermost line that is not
            EquiDiff's and not torch's.

    Returns:
        None where there is no such line.
    """
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith(PACKAGE):
        return f"{error.filename}:{error.lineno}: {(error.text or '').strip()}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(PACKAGE)]
    found = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)]
    if not found and not plugins_only:
        found = [frame for frame in frames if "/torch/" not in frame.filename and "<" not in frame.filename]
    if not found:
        return None
    last = found[-1]
    return f"{last.filename}:{last.lineno}, in {last.name}: {last.line}"


def suspect(method: Callable[..., Any]) -> str | None:
    """The first line of a method that torch cannot differentiate through, with its place; None where none is seen."""
    try:
        lines, start = inspect.getsourcelines(method)
        file = inspect.getsourcefile(method)
    except (OSError, TypeError):
        return None
    if file is None or file.startswith(PACKAGE):
        return None
    for number, line in enumerate(lines, start):
        code = line.partition("#")[0]
        if LOSES_GRADIENT.search(code):
            return f"{file}:{number}: {code.strip()}"
    return None
