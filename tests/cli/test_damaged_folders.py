"""Folders that strangers made: every command ends with a result, or with one panel that says which file is damaged.

`python tests/cli/test_damaged_folders.py COUNT SEED` damages COUNT folders of each kind and lists the errors that
nobody foresaw.
"""

import json
import random
import re
import shutil
from html.parser import HTMLParser

import pytest
from full_report import write_full
from made_runs import EVIL, made
from mutations import damaged_text
from PIL import Image
from running import run_circles, run_cli

pytestmark = pytest.mark.faults

ESCAPES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]")
SEEDS = 5


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A run of points, a run of images with all that other commands add, and a ranking."""
    place = tmp_path_factory.mktemp("whole")
    run_circles("-n", 4, "--out", place / "points", "-q")
    made(count=12, others=2, classes=("bag", EVIL), prior=9).save(place / "images")
    write_full(place / "images")
    (place / "garments").mkdir()
    for number in range(4):
        Image.new("L", (28, 28), 60 * number).save(place / "garments" / f"{number}.png")
    run_cli("rank", "--images", place / "garments", "--out", place / "ranking", "-q")
    for part in ("1/2", "2/2"):
        run_circles("-n", 20, "--part", part, "--out", place / "parts" / part[0], "-q")
    (place / "sweep.yaml").write_text("generator: toy:circles\nobjective: neuron:0-1\nsamples: 2\ntarget: 0.5\n")
    run_cli("sweep", place / "sweep.yaml", "--out", place / "sweep", "-q")
    return place


COMMANDS = {
    "points": (("report",), ("cite",), ("figure", "--name", "all"), ("run", "--resume")),
    "images": (("report",), ("cite",)),
    "ranking": (("rank", "--resume"),),
    "parts": (("merge",),),
    "sweep": (("sweep", "--resume"), ("report",)),
}


def damage(whole, place, number):
    """Copy a folder and damage one of its JSON files; the name of that file."""
    chosen = random.Random(number)
    shutil.copytree(whole, place)
    name = chosen.choice(sorted(path.relative_to(whole) for path in whole.rglob("*.json*") if path.stat().st_size))
    (place / name).write_bytes(damaged_text((whole / name).read_bytes(), chosen))
    return str(name)


def command_for(kind, place, number):
    name, *options = COMMANDS[kind][number % len(COMMANDS[kind])]
    if name == "merge":
        return ("merge", place / "1", place / "2", "--out", f"{place}-merged")
    return (name, "--resume", place) if "--resume" in options else (name, place, *options)


def complaint(outcome):
    """What is wrong with the end of a command; empty where nothing is."""
    if outcome.code not in {0, 1, 2, 3}:
        return f"exit code {outcome.code}"
    if "unexpectedly" in outcome.stderr or "Traceback" in outcome.stderr:
        return outcome.stderr
    if outcome.stderr.count("error: ") != (outcome.code in {1, 2}):
        return f"exit code {outcome.code}: {outcome.stderr}"
    return "escapes" if ESCAPES.search(outcome.stderr + outcome.stdout) else ""


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_damaged_file_is_one_panel_or_does_no_harm(kind, folders, tmp_path):
    assert complaint(run_cli(*command_for(kind, folders / kind, 0))) == ""
    failed = 0
    for number in range(SEEDS):
        name = damage(folders / kind, tmp_path / str(number), number)
        outcome = run_cli(*command_for(kind, tmp_path / str(number), number))
        assert complaint(outcome) == "", (number, name)
        failed += outcome.code == 1
    assert 0 < failed < SEEDS  # damage that matters, and damage that does not


class Tags(HTMLParser):
    """Names of tags, and of attributes, in a page."""

    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found |= {tag, *(f"{tag} {name}" for name, _ in attrs)}
        self.found |= {value for name, value in attrs if name in {"href", "src"} and value.lower().startswith("java")}


def test_texts_of_strangers_are_texts_on_the_page(folders, tmp_path):
    def evil(value):
        if isinstance(value, dict):
            return {key: evil(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [evil(inner) for inner in value]
        keep = {"member", "not_converged", "failed", "complete", "float32", "cpu", "uint8"}
        same = not isinstance(value, str) or value in keep or "/" in value or value in KEPT
        return value if same else value + "</script></title><img src=x onerror=alert(1)>\"'javascript:alert(1)"

    shutil.copytree(folders / "images", tmp_path / "run")
    for file in (tmp_path / "run").rglob("*.json*"):
        lines = [json.dumps(evil(json.loads(line))) for line in _values(file)]
        file.write_text("\n".join(lines) + "\n")
    outcome = run_cli("report", tmp_path / "run", "--out", tmp_path / "page.html")
    assert outcome.code == 0, outcome.stderr
    page = (tmp_path / "page.html").read_text()
    assert page.count("onerror=alert(1)") > 10
    known = Tags(run_report(folders / "images", tmp_path / "own.html")).found
    assert Tags(page).found <= known | {"h1 class"}  # a long title is set smaller


KEPT = {"toy", "neuron:17", "lowpass", "auto", "solve", "prior", "0.1.0"}  # specs, which the page prints as commands


def run_report(path, out):
    run_cli("report", path, "--out", out)
    return out.read_text()


def _values(file):
    text = file.read_text()
    return [line for line in text.split("\n") if line] if file.suffix == ".jsonl" else [text]


def test_images_outside_the_folder_are_refused(folders, tmp_path):
    for name in ("../../etc/passwd.png", "/etc/passwd", "images/../../x.png", "images/00000.png\n", "C:\\x.png"):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(folders / "images", tmp_path / "run")
        file = tmp_path / "run" / "members.jsonl"
        first, *rest = file.read_text().split("\n")
        file.write_text("\n".join([json.dumps({**json.loads(first), "image": name}), *rest]))
        outcome = run_cli("report", tmp_path / "run")
        assert outcome.code == 1
        assert "members.jsonl" in outcome.stderr


if __name__ == "__main__":
    import sys
    import tempfile
    from pathlib import Path

    class Factory:
        @staticmethod
        def mktemp(name):
            return Path(tempfile.mkdtemp())

    count, seed = map(int, sys.argv[1:])
    whole = folders.__wrapped__(Factory)
    for kind in COMMANDS:
        wrong = 0
        for number in range(seed, seed + count):
            place = Path(tempfile.mkdtemp()) / "it"
            name = damage(whole / kind, place, number)
            said = complaint(run_cli(*command_for(kind, place, number)))
            shutil.rmtree(place.parent)
            wrong += bool(said)
            sys.stdout.write(f"{kind} {number} {name}: {said}\n" if said else "")
        sys.stdout.write(f"{kind}: {count} folders, {wrong} errors that nobody foresaw\n")
