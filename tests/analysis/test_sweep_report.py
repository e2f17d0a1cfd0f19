"""The overview of a sweep: a row a run, sorted and filtered in the page, with nothing of a stranger in it."""

import json
from urllib.parse import unquote

import pytest
from browsing import NEEDS_CHROMIUM, PHONE, opened
from made_runs import EVIL, made
from running import assert_one_error, run_cli

from equidiff.analysis.sweep_report import write_overview
from equidiff.analysis.sweep_report.thumbnails import strip_of
from equidiff.run.parts import ClassCount
from equidiff.sweep.table import Row, SweepInfo

RUNS = 40


def made_row(number):
    """A run whose cost and classes depend on its number; every tenth failed."""
    row = Row(name=f"{number:05d}-x", settings={"objective": f"neuron:act1.{number}", "query": EVIL, "seed": "1"})
    if number % 10 == 9:
        return row.failed(f"it broke {EVIL}")
    classes = (ClassCount(index=0, name=EVIL, count=3), ClassCount(index=1, name="coat", count=number % 3))
    return Row(
        **dict(row) | {
            "status": "complete", "asked": 8, "members": 8 - number % 2, "evaluations": 8.0 * (7 * number % RUNS),
            "classes": classes, "query_class": EVIL, "called_otherwise": number % 3, "prior_called_otherwise": 0.5,
            "target": 0.5 * number,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    rows = [made_row(number) for number in range(RUNS)]
    info = SweepInfo(file=f"{EVIL}.yaml", folder="/", varied=("objective", "query")).with_rows(rows, status="complete")
    (folder / "sweep.json").write_text(info.to_json())
    run = folder / "runs" / rows[3].name
    made(count=6, size=8).save(run)
    metric = {"value": 1.0, "plain": 2.0, "n": 6, "unit": "nats"}
    verdicts = [{"name": "target", "holds": True, "sentence": EVIL}]
    about = {"schema_version": 1, "groups": {"fidelity": {"l2": metric}}, "verdicts": verdicts}
    (run / "metrics.json").write_text(json.dumps(about))
    (run / "report.html").touch()
    return write_overview(folder, folder / "report.html")


def test_everything_is_escaped_and_every_run_has_a_row(page_file):
    page = page_file.read_text()
    assert EVIL not in page
    assert page.count("<tr data-status=") == RUNS
    assert page.count('class="failed"') == 4
    assert "4 of 40 runs failed." in page
    assert 'href="runs/00003-x/report.html"' in page
    assert page.count('aria-label="Do members hit the target?') == 1


def test_links_lead_to_the_runs_from_wherever_the_page_is(page_file, tmp_path):
    page = write_overview(page_file.parent, tmp_path / "a b.html").read_text()
    link = page.partition('report.html"')[0].rpartition('href="')[2]
    assert (tmp_path / unquote(link) / "report.html").resolve() == page_file.parent / "runs" / "00003-x" / "report.html"


def test_a_run_cannot_show_images_of_elsewhere(tmp_path):
    found = made(count=2, size=8)
    found.save(tmp_path / "run")
    assert strip_of(tmp_path / "run").text == "the query and 2 members"
    lines = (tmp_path / "run" / "members.jsonl").read_text()
    (tmp_path / "run" / "images" / "00000.png").rename(tmp_path / "00000.png")
    (tmp_path / "run" / "members.jsonl").write_text(lines.replace("images/00000.png", "../00000.png") + "[1]\n{\n")
    assert strip_of(tmp_path / "run").text == "the query and 1 members"


def test_pages_of_runs_are_for_sweeps(tmp_path):
    made(count=2).save(tmp_path / "run")
    assert_one_error(run_cli("report", tmp_path / "run", "--runs"), 2, "is for the folder of a sweep")


@pytest.mark.skipif(NEEDS_CHROMIUM[0].args[0], reason="no chromium on the PATH: apt-get install chromium")
@pytest.mark.enable_socket
def test_rows_are_sorted_and_filtered(browser, page_file):
    def numbers():
        return page.eval_on_selector_all("tbody tr:not([hidden]) th", "cells => cells.map(cell => +cell.innerText)")

    with opened(browser, page_file) as page:
        assert numbers() == list(range(RUNS))
        page.get_by_role("button", name="cost").click()
        done = [number for number in range(RUNS) if number % 10 != 9]
        assert numbers()[: len(done)] == sorted(done, key=lambda number: -(7 * number % RUNS))
        assert sorted(numbers()[len(done) :]) == [9, 19, 29, 39]  # what has no cost comes last
        page.get_by_role("button", name="cost").click()
        assert numbers()[: len(done)] == sorted(done, key=lambda number: 7 * number % RUNS)
        page.get_by_role("button", name="objective").click()
        assert numbers() == list(range(RUNS))  # act1.2 before act1.10
        page.fill("#text", "COAT act1.1")
        assert numbers() == [1, *range(10, 19)]
        assert page.inner_text("#shown") == f"10 of {RUNS} runs"
        page.fill("#text", "")
        page.select_option("#status", "failed")
        assert numbers() == [9, 19, 29, 39]
    with opened(browser, page_file, viewport=PHONE, color_scheme="dark") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.select_option("#sort", label="cost")
        page.click("#direction")
        assert numbers()[0] == max(done, key=lambda number: 7 * number % RUNS)
