"""Make a plugin of each kind, install it, run its tests and its README's commands: `python tests/new_plugins.py`.

All that is written and installed is in a temporary folder, in a virtual environment of its own on top of this one.
`tests/cli/test_new.py` tries the same in seconds, without installing anything.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

from equidiff.registry.descriptors import KINDS

NAME = "equidiff-new-{kind}"


def enter(folder: Path) -> dict[str, str]:
    """Make a virtual environment that sees the packages of this one, and return the variables that enter it."""
    venv.create(folder, symlinks=True)
    inner = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    outer = sysconfig.get_path("purelib")
    Path(inner, "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n", encoding="utf-8")
    script = folder / "bin" / "equidiff"  # the outer one starts the outer Python
    script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m equidiff "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return {**os.environ, "VIRTUAL_ENV": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def call(command: list[str], work: Path, variables: dict[str, str]) -> str:
    """Call a program in the environment, and return what it prints; end where it fails."""
    done = subprocess.run(command, cwd=work, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout


def main(work: Path) -> None:
    """Make, install, check, list and use a plugin of each kind."""
    variables = enter(work / "venv")
    python = str(work / "venv" / "bin" / "python")
    names = [NAME.format(kind=kind) for kind in KINDS]
    for name, kind in zip(names, KINDS, strict=True):
        call(["equidiff", "new", "plugin", name, "--kind", kind], work, variables)
    quick = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    editable = [word for name in names for word in ("-e", f"./{name}")]
    call([python, "-m", "pip", "install", "--quiet", "--no-deps", *quick, *editable], work, variables)
    for name in names:  # each by the settings of its own pyproject.toml
        call([python, "-m", "ruff", "check", name], work, variables)
        call([python, "-m", "ruff", "format", "--check", name], work, variables)
    tests = [f"{name}/tests" for name in names]
    print(call([python, "-m", "pytest", "-q", "-W", "error", "-c", os.devnull, "--rootdir=.", *tests], work, variables))
    listed = {each["name"]: each for each in json.loads(call(["equidiff", "plugins", "--json"], work, variables))}
    for name, kind in zip(names, KINDS, strict=True):
        component = name.removeprefix("equidiff-")
        assert listed[component]["offers"] == {kind: [component]}, listed[component]
        (command,) = re.findall(r"^    (equidiff run .*)$", (work / name / "README.md").read_text(), re.MULTILINE)
        print(command, flush=True)
        call(["bash", "-euc", command], work, variables)
        call(["equidiff", "check", component], work, variables)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
