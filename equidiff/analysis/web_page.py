"""Pages that are one file: their templates, style sheets and scripts, and a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from equidiff.errors import RunFolderError
from equidiff.folders.atomic import write_atomically
from equidiff.folders.text import printable, shell_word

NO_SCRIPT = ".script { display: none !important; }"
Part = tuple[str, str]  # the package whose templates have a file, and its name


def environment(package: str) -> jinja2.Environment:
    """Templates of a package, in which everything is escaped."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def assets(styles: Iterable[Part], scripts: Iterable[Part]) -> dict[str, Any]:
    """Style sheets and scripts for a template, with a policy that allows nothing else."""
    css, script = ("\n".join(_read(*part) for part in parts) for parts in (styles, scripts))
    allowed = " ".join(_hashed(each) for each in (css, NO_SCRIPT))
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src {allowed}; script-src {_hashed(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"css": Markup(css), "script": Markup(script), "no_script": Markup(NO_SCRIPT), "policy": Markup(policy)}


def write_page(page: str, out: Path, path: Path) -> Path:
    """Write a page in one move, and return its path.

    Args:
        page: its text.
        out: the file to write.
        path: the folder that the page is about.

    Raises:
        RunFolderError: it cannot be written.
    """
    try:
        return write_atomically(out, printable(page))
    except OSError as error:
        raise RunFolderError(
            f"The report cannot be written: {error.strerror or error}",
            given=out,
            expected="a file name in a folder with write permission",
            hint=f"equidiff report {shell_word(path)} --out report.html",
        ) from error


def _read(package: str, name: str) -> str:
    return (files(package) / "templates" / name).read_text(encoding="utf-8")


def _hashed(text: str) -> str:
    """Source expression of a content security policy for a script or style sheet with this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
