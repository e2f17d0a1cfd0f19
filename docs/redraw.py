"""Redraw the images of the documentation, and make its sounds anew, whose code has changed.

    python docs/redraw.py                     # list them, with their commands
    python docs/redraw.py grid.png            # run the commands of an image, and record the code that drew it
    python docs/redraw.py --keep grid.png     # record the code alone: the change does not show in the image

`docs/images/sources.json` has an entry for each image, and for each sound in docs/sounds: the commands that make it,
the file that they write, the code that decides what it looks like, and a digest of that code. A test fails if a digest
is not that of the present code.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SOUNDS = ROOT / "docs" / "sounds"
SOURCES = IMAGES / "sources.json"


def main() -> int:
    """List, redraw or keep images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="names of files in docs/images or docs/sounds")
    parser.add_argument("--keep", action="store_true", help="record the present code without drawing anew")
    arguments = parser.parse_args()
    sources = read_sources()
    unknown = [name for name in arguments.images if name not in sources]
    if unknown:
        parser.error(f"not in {SOURCES.name}: {', '.join(unknown)}")
    for name in arguments.images:
        if not arguments.keep:
            redraw(name, sources[name])
        sources[name]["digest"] = digest(sources[name]["code"])
        SOURCES.write_text(json.dumps(sources, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    stale = [name for name in sources if is_stale(sources[name])]
    print("\n\n".join(describe(name, sources[name]) for name in stale) or "All images and sounds are up to date.")
    return 1 if stale else 0


def read_sources() -> dict[str, Any]:
    """Entries of `sources.json` by the names of the images."""
    return json.loads(SOURCES.read_text(encoding="utf-8"))


def is_stale(source: dict[str, Any]) -> bool:
    """True if the code that draws the image is not the code that drew it."""
    return source.get("digest") != digest(source["code"])


def describe(name: str, source: dict[str, Any]) -> str:
    """The commands that bring a stale image up to date."""
    return (
        f"{name}: the code that draws it has changed ({', '.join(source['code'])})\n"
        f"    python docs/redraw.py {name}           # runs: {' && '.join(source['commands'])}\n"
        f"    python docs/redraw.py --keep {name}    # if the image would look the same"
    )


def redraw(name: str, source: dict[str, Any]) -> None:
    """Run the commands of an image in a new folder, which they call OUT, and keep the image that they write.

    Raises:
        SystemExit: a command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for command in source["commands"]:
            print(f"$ {command}", file=sys.stderr)
            done = subprocess.run(command.replace("OUT", folder), shell=True, cwd=ROOT, check=False)
            if done.returncode:
                raise SystemExit(f"{name}: the command failed: {command}")
        written = Path(folder) / source["writes"]
        if is_sound(name):
            shutil.copyfile(written, place_of(name))
            return
        with Image.open(written) as image:
            image.save(place_of(name), optimize=True)


def is_sound(name: str) -> bool:
    """True for the name of a sound, false for that of an image."""
    return name.endswith(".wav")


def place_of(name: str) -> Path:
    """The file of an image or a sound."""
    return (SOUNDS if is_sound(name) else IMAGES) / name


def digest(code: list[str]) -> str:
    """Digest of code, the same whatever its comments, docstrings and blank lines are.

    Args:
        code: files, or `FILE:FUNCTION` for one function or constant of a Python file.
    """
    text = "\n".join(line for place in code for line in code_lines(place))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_lines(place: str) -> Iterator[str]:
    """The lines of a file, or of one of its functions or constants, that do something."""
    file, _, name = place.partition(":")
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    skipped: set[int] = set()
    kept = range(1, len(lines) + 1)
    if file.endswith(".py"):
        tree = ast.parse("\n".join(lines))
        if name:
            kept = _lines_of(next(node for node in tree.body if name in _names_of(node)))
        skipped = {number for node in ast.walk(tree) for number in _docstring_of(node)}
    for number in kept:
        line = lines[number - 1].strip()
        if line and not line.startswith("#") and number not in skipped:
            yield line


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _docstring_of(node: ast.AST) -> range:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        return _lines_of(node.body[0])
    return range(0)


def _lines_of(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


if __name__ == "__main__":
    sys.exit(main())
