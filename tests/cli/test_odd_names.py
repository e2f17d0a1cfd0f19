"""Names with spaces, shell characters and other bytes than UTF-8, wherever a command takes or writes one."""

import csv
import os
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest
from running import read_lines, read_run, run_cli

import equidiff

ODD = os.fsdecode(b"d\xe8, a+b 100%=x:[1] \"q'\xc3\xa9")
IMAGE = os.fsdecode(b"z\xe8bre+1,2.png")
QUICK = ("-g", "pixels:28", "-r", "none", "-o", "neuron:17,model=fashion", "-n", "2", "--tolerance", "1e9")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an odd name, which holds three images."""
    folder = tmp_path_factory.mktemp("odd") / ODD
    folder.mkdir()
    own = resources.files("equidiff") / "queries" / "fashion"
    for source, name in zip(("03.png", "04.png", "05.png"), (IMAGE, "a b.png", "[c].png"), strict=True):
        with resources.as_file(own / source) as path:
            shutil.copy(path, folder / name)
    return folder


@pytest.fixture
def _there(place, monkeypatch):
    monkeypatch.chdir(place.parent)


@pytest.fixture(scope="module")
def run(place):
    path = place.parent / f"run of {ODD}"
    done = run_cli("run", *QUICK, "--query", place / IMAGE, "--out", path)
    assert done.code == 0, done.stderr
    assert done.stdout == f"{path}\n"
    return path


def test_a_run_records_the_name_as_the_disk_has_it(place, run):
    info = read_run(run)
    assert info["options"]["query"] == info["target"]["source"] == str(place / IMAGE)
    assert Path(info["target"]["source"]).exists()
    (run / "run.json").read_text(encoding="utf-8", errors="strict")
    found = equidiff.load(run)
    assert len(found) == 2
    assert found.contains(found.query).all()


def test_a_page_shows_it_escaped_and_its_command_names_it(run):
    assert run_cli("report", run).code == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert r"z\xe8bre+1,2.png" in page
    command = re.search(r"equidiff run [^<]*z[^<]*", page)[0]
    assert r"\xe8bre+1,2.png" in command


@pytest.mark.usefixtures("_there")
def test_the_next_command_reads_back(run):
    said = run_cli("run", *QUICK, "--query", "0", "--target", "1", "--resume", run)
    assert said.code == 2
    (line,) = [line for line in said.stderr.splitlines() if "--resume $'" in line]
    word = line.split("--resume ")[1]
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], stdout=subprocess.PIPE, check=True)
    assert done.stdout == os.fsencode(run)


@pytest.mark.parametrize("command", ["select", "figure", "cite"])
def test_other_commands_take_the_folder(run, command):
    done = run_cli(command, run, *(["--count", "1"] if command == "select" else []))
    assert done.code == 0, done.stderr


def test_a_ranking_of_odd_names_is_a_query(place, tmp_path):
    out = tmp_path / ODD
    labels = tmp_path / "labels.csv"
    names = [path.name for path in place.glob("*.png")]
    with labels.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((name, f"class {len(name)}") for name in names)])
    done = run_cli("rank", "--images", place, "--labels", labels, "--out", out)
    assert done.code == 0, done.stderr
    kept = {line["top"][0]["image"] for line in read_lines(out / "units.jsonl")}
    assert str(IMAGE) in kept
    asked = run_cli("run", *QUICK, "--query", f"top:{out}", "--out", tmp_path / "run")
    assert asked.code == 0, asked.stderr
    measured = run_cli("measure", "-o", "neuron:17", place / IMAGE)
    assert r"z\xe8bre+1,2.png" in measured.stdout
