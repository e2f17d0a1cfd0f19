"""Words and thumbnails of `equidiff run`, on terminals of several widths and elsewhere."""

import re
from dataclasses import replace

import pytest
from running import read_lines, read_run, run_circles, run_cli

from equidiff.run import execute
from equidiff.run.info import read_info
from equidiff.run.wording import called, called_otherwise, question
from equidiff.search.engine import FAILED

GARMENTS = (
    "-g", "toy:fashion,steps=2", "-o", "classifier:bag", "--query", "8", "-n", "2",
    "--tolerance", "40%", "--batch", "2",
)  # fmt: skip
WIDTHS = (60, 80, 120)
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def on_a_terminal(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return monkeypatch


@pytest.mark.parametrize("width", WIDTHS)
def test_question_settings_thumbnails_and_conclusion(on_a_terminal, width):
    on_a_terminal.setenv("COLUMNS", str(width))
    outcome = run_cli("run", *GARMENTS, "--out", "run")
    assert outcome.code == 0, outcome.stderr
    info = read_info(outcome.path)
    *_, shown = outcome.stderr.split("\x1b[?25h")  # what comes after the bar that moved
    conclusion = ANSI.sub("", shown)
    lines = conclusion.splitlines()
    words = " ".join(conclusion.split())
    for text in (called(info), called_otherwise(info)):
        assert text in words
    places = [conclusion.index(name) for name in ("members ", "called ", "agrees to ", "picture ", "look: ")]
    assert places == sorted(places)
    assert lines[-1] == "look: equidiff report run --open"
    assert max(map(len, lines)) <= width
    thumbnails = [line for line in lines if "▀" in line]
    assert len(thumbnails) == 8  # one row: the query and two members
    assert {line.count("▀") for line in thumbnails} == {3 * 16}
    captions = lines[max(place for place, line in enumerate(lines) if "▀" in line) + 1]
    assert captions.startswith(f"query: {info.called.query.name} "[:16])
    before, _, _ = ANSI.sub("", outcome.stderr).replace("\r", "").partition("generator ")
    assert " ".join(before.split()).endswith(question(info))
    assert re.search(r"\x1b\[2mgenerator +\x1b\[0m", outcome.stderr)


@pytest.mark.parametrize("option", ["--plain", "--quiet"])
def test_no_thumbnails(on_a_terminal, option):
    outcome = run_cli("run", *GARMENTS, "--out", "run", option)
    assert outcome.code == 0
    assert "▀" not in outcome.stderr
    assert "\x1b" not in outcome.stderr


def test_plain_lines_say_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run_cli("run", *GARMENTS, "--out", "run", "--report")
    lines = outcome.stderr.splitlines()
    info = read_info(outcome.path)
    assert lines[:3] == ["loading ...", "measuring prior samples ...", question(info)]
    assert called(info) in outcome.stderr
    assert re.search(
        r"^tolerance +40% of the spread: within 0\.\d+ \(prior samples vary by", outcome.stderr, re.MULTILINE
    )
    assert re.search(r"^page +run/report\.html$", outcome.stderr, re.MULTILINE)
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert lines[-1] == "next: equidiff evaluate run"


def test_the_deviation_is_the_largest_and_rounded_up(tmp_path):
    outcome = run_circles("-n", "6", "--out", tmp_path / "run")
    row = r"^agrees to +(\S+) \(probability\); a member must be within (\S+) "
    found = re.search(row, outcome.stderr, re.MULTILINE)
    target = read_run(tmp_path / "run")["target"]["values"][0]
    lines = read_lines(tmp_path / "run" / "members.jsonl")
    worst = max(abs(line["measurement"][0] - target) for line in lines)
    assert worst * (1 - 1e-4) <= float(found[1]) <= worst * 1.11
    assert float(found[1]) <= float(found[2])


def test_that_no_network_has_classes_is_said_once(tmp_path, monkeypatch):
    (tmp_path / "probe.py").write_text("def brightness(samples):\n    return samples.mean(dim=(1, 2, 3))\n")
    monkeypatch.chdir(tmp_path)
    spec = ("-g", "pixels:8", "-o", "custom:./probe.py:brightness", "--target", "0.5")
    outcome = run_cli("run", *spec, "-n", "1", "--budget", "4", "--out", "run")
    assert outcome.code in {0, 3}, outcome.stderr
    assert outcome.stderr.count("no network with classes") == 1
    assert outcome.stderr.count("called") == 1


def test_a_run_without_members_draws_no_picture_and_names_no_next_command(tmp_path):
    outcome = run_circles("--target", "7", "-n", "2", "--budget", "1", "--out", tmp_path / "run")
    assert outcome.code == 3
    assert "no member" in outcome.stderr
    for words in ("picture", "look:", "agrees to"):
        assert words not in outcome.stderr


def test_the_page_is_written_after_the_run_and_opened_on_request(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("typer.launch", opened.append)
    outcome = run_circles("-n", "2", "--out", tmp_path / "run", "--report")
    assert outcome.stderr.splitlines()[-1] == f"next: equidiff evaluate {tmp_path / 'run'}"
    page = tmp_path / "run" / "report.html"
    assert page.stat().st_size > 10_000
    assert opened == []
    page.unlink()
    assert run_cli("report", tmp_path / "run", "--open").stdout == f"{page}\n"
    assert opened == [str(page)]


def test_a_page_that_is_interrupted_leaves_the_run(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("equidiff.cli.handlers.run.write_page", interrupt)
    outcome = run_circles("-n", "2", "--out", tmp_path / "run", "--report")
    assert outcome.code == 0
    assert "Interrupted: the run is saved, without its page." in outcome.stderr
    assert outcome.stderr.splitlines()[-1].startswith("look: equidiff report")


def test_thumbnails_are_for_members_only(on_a_terminal, monkeypatch):
    on_a_terminal.setenv("COLUMNS", "80")
    keep = execute.keep

    def fail(session, result):
        record, rows = keep(session, result)
        return (replace(record, status=FAILED, error="broke"), None) if result.index == 1 else (record, rows)

    monkeypatch.setattr(execute, "keep", fail)
    outcome = run_cli("run", *GARMENTS, "--out", "run")
    assert outcome.code == 3
    shown = ANSI.sub("", outcome.stderr.split("\x1b[?25h")[-1])
    assert {line.count("▀") for line in shown.splitlines() if "▀" in line} == {2 * 16}
