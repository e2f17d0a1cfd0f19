"""Run commands under an audit hook: `python audited.py FOLDER` prints what they started, wrote and ran, as JSON.

The process is that of a user in the C locale, whose streams know only ASCII, and later only the letters of Windows.
Every folder holds Python files that leave a mark, under names that Python imports.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

FORBIDDEN = (
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
    "socket.connect", "socket.getaddrinfo", "webbrowser.open", "os.startfile",
)  # fmt: skip
MARK = "import pathlib; pathlib.Path(__file__ + '.was-run').touch()\n"
TRAPS = ("sitecustomize", "conftest", "torch", "numpy", "PIL", "matplotlib", "json", "equidiff", "custom", "toy")
NAME = os.fsdecode("zèbre 斑馬".encode())  # a file name's bytes, whatever the locale

place = Path(sys.argv[1])
seen: list[tuple[str, str, str]] = []
now = "import"


def hook(event, args):
    """Keep programs that are started, connections, code from a file in the folder, and files written outside of it."""
    if event in FORBIDDEN:
        seen.append((now, event, str(args[0])))
    elif event == "exec" and args[0].co_filename.startswith(str(place)):
        seen.append((now, event, args[0].co_filename))
    elif event == "compile" and args[0] is not None and b"pathlib.Path(__file__" in _bytes(args[0]):
        seen.append((now, event, str(args[1])))
    elif event == "open" and _is_written_elsewhere(args[0], args[2]):
        seen.append((now, "write", args[0]))


def _is_written_elsewhere(path, flags):
    if not isinstance(path, str) or not flags & (os.O_WRONLY | os.O_RDWR):
        return False
    return not os.path.abspath(path).startswith((str(place), "/dev/", "/proc/"))


def _bytes(source):
    return (
        source if isinstance(source, bytes) else source.encode("utf-8", "replace") if isinstance(source, str) else b""
    )


def trapped(folder):
    """Put traps into a folder, and into all within it."""
    for each in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        for name in TRAPS:
            if not (each / f"{name}.py").exists():
                (each / f"{name}.py").write_text(MARK)


def main():
    """Run the commands; their exit codes."""
    global now
    from PIL import Image

    from equidiff.analysis.evaluation import sample_sets
    from equidiff.cli import main as run
    from equidiff.cli.console import progress, search
    from equidiff.networks import fashion

    progress.PLAIN_INTERVAL_S = search.PLAIN_INTERVAL_S = 0.0  # every line of progress
    sample_sets.FEWEST_PRIOR = 8
    fashion.CLASSES = tuple(f"zèbre 斑馬 {number}" for number in range(10))
    os.chdir(place)
    images, garments = place / "images", place / NAME
    garments.mkdir()
    for number in range(2):
        Image.new("L", (28, 28), 60 + 60 * number).save(garments / f"{NAME}-{number}.png")
    Path("sweep.yaml").write_text("generator: toy:circles\nobjective: neuron:0-1\nsamples: 1\ntarget: [0.5]\n")
    trapped(place)
    points = ("run", "-g", "toy:circles", "-o", "neuron:17", "-n")
    query = garments / f"{NAME}-1.png"
    pixels = ("-g", "pixels:28x28x1", "-o", "neuron:17,model=fashion", "-n", 2, "--tolerance", "90%", "--query", query)
    commands = [
        ("run", *pixels, "--out", images), ("run", "--resume", images), ("evaluate", images),
        ("compare", images, "--methods", "saliency", "--members", 1), ("select", images, "-n", 1),
        ("figure", images, "--name", "all"), ("path", images, 0, 1, "--frames", 3), ("report", images),
        ("cite", images),
        (*points, 20, "--part", "1/2", "--out", "p1", "-q"), (*points, 20, "--part", "2/2", "--out", "p2", "-q"),
        ("merge", "p1", "p2", "--out", "merged"), ("run", "-g", NAME), ("cp1252",),
        ("sweep", "sweep.yaml", "--out", "sweep"), ("report", "sweep"),
        ("rank", "--images", garments, "--out", "ranking"), ("rank", "--resume", "ranking"),
        ("bank", "-g", "toy:circles", "-n", 4), ("show", "objective", "neuron"), ("doctor",), ("report", NAME),
        ("run", *pixels, "--out", "again"),
    ]  # fmt: skip
    codes = []
    for words in commands:
        now = " ".join(map(str, words[:2]))
        if words == ("cp1252",):
            sys.stdout.reconfigure(encoding="cp1252")
            sys.stderr.reconfigure(encoding="cp1252")
            continue
        trapped(place)
        try:
            run(list(map(str, words)))
        except SystemExit as end:
            codes.append((now, end.code))
    return codes


sys.addaudithook(hook)
codes = main()
marks = [str(path) for path in place.rglob("*.was-run")]
found, seen = seen, []
now = "control"
with suppress(OSError):
    subprocess.Popen(["/nonexistent"])
runpy.run_path(str(place / "custom.py"))
Path(__file__).with_name("audited.py").open("r+").close()
(place / "found.json").write_text(json.dumps({"codes": codes, "seen": found, "marks": marks, "control": seen}))
