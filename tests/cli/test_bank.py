"""`equidiff bank`: banks are made, extended, measured, listed and removed."""

import json
from pathlib import Path

import pytest
from running import CIRCLES, assert_one_error, run_cli

import equidiff
from equidiff.bank.catalog import bank_folder
from equidiff.bank.store import leave

MAKE = ("bank", "-g", "toy:circles")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def listed():
    return json.loads(run_cli("bank", "--json").stdout)


def test_a_bank_is_made_extended_measured_and_found_by_runs():
    outcome = run_cli(*MAKE, "-n", 20, "--plain")
    assert outcome.code == 0
    assert "20 of toy:circles, 20 of them made now" in outcome.stderr
    assert outcome.path.is_dir()
    again = run_cli(*MAKE, "-n", 50, "-o", "classifier:inner", "-o", "neuron:act1.0", "--plain")
    assert "30 of them made now" in again.stderr
    assert "100 samples and views of samples, now" in again.stderr
    (entry,) = listed()
    assert (entry["samples"], sorted(entry["objectives"])) == (50, ["classifier:inner", "neuron:act1.0"])
    assert entry["key"]["generator"] == "toy:circles"
    assert entry["bytes"] == sum(file.stat().st_size for file in outcome.path.rglob("*") if file.is_file())
    info = equidiff.sample("toy:circles", "classifier:inner", target=0.4, samples=1, bank=50, progress=False).info
    assert (info.bank.made, info.bank.measured) == (0, 0)


def test_the_list_for_people():
    assert "no bank" in run_cli("bank").stderr
    run_cli(*MAKE, "-n", 20, "-q")
    outcome = run_cli("bank", "--plain")
    (columns, row) = outcome.stdout.splitlines()
    assert columns.split()[:4] == ["name", "generator", "samples", "size"]
    assert "toy:circles (cpu)  20" in row


def test_banks_are_removed_by_name_unless_they_are_used():
    path = run_cli(*MAKE, "-n", 8, "-q").path
    assert_one_error(run_cli("bank", "--remove", path.name), 1, "a process uses", path.name)
    leave(path)
    assert_one_error(run_cli("bank", "--remove", "0" * 16), 1, "no bank named", path.name)
    assert "Removed 1 bank." in run_cli("bank", "--remove", path.name).stderr
    assert listed() == []
    run_cli(*MAKE, "-n", 8, "-q")
    leave(path)
    assert run_cli("bank", "--remove", "all").code == 0
    assert not bank_folder(path.name).exists()


def test_its_samples_as_images_for_a_ranking():
    outcome = run_cli("bank", "-n", 6, "-g", "toy:fashion,steps=2", "--images", "prior", "--plain")
    assert outcome.code == 0
    assert [file.name for file in sorted(Path("prior").iterdir())] == [f"{number:05d}.png" for number in range(6)]
    ranking = run_cli("rank", "--images", "prior", "-q", "--out", "ranking")
    assert (ranking.code, json.loads(Path("ranking/rank.json").read_text())["counts"]["images"]) == (0, 6)
    assert_one_error(run_cli("bank", "-g", "toy:fashion,steps=2", "--images", "prior"), 1, "exists already")
    assert_one_error(run_cli(*MAKE, "-n", 2, "--images", "points"), 1, "not images")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-n", "3"], "A bank is of a generator"),
        (["-o", "neuron:3"], "A bank is of a generator"),
        (["--images", "prior"], "A bank is of a generator"),
        (["-g", "toy", "--remove", "all"], "removed by its name"),
        (["-g", "toy:circles", "-n", "0"], "Invalid value"),
        (["-g", "toy:circles", "-n", "1000001"], "value of bank"),
    ],
)
def test_what_does_not_go_together(words, says):
    assert_one_error(run_cli("bank", *words), 2, says)


def test_room_that_is_no_number(monkeypatch):
    monkeypatch.setenv("EQUIDIFF_CACHE_GB", "much")
    assert_one_error(run_cli(*MAKE, "-n", 2), 2, "EQUIDIFF_CACHE_GB=much")


def test_the_report_says_what_the_bank_cost():
    run_cli("run", *CIRCLES, "--target", "0.4", "-n", "4", "-q", "--out", "run", "--bank", "60", "--report")
    assert "20 evaluations, made once for all runs" in Path("run/report.html").read_text()


def test_an_evaluation_reads_prior_samples_that_the_run_did_not_use():
    given = ("--target", "0.4", "-n", "8", "-q", "--out", "run", "--bank", "40")
    assert run_cli("run", *CIRCLES, *given).code == 0
    for _ in range(2):  # the second evaluation makes no more
        assert run_cli("evaluate", "run", "-q").code == 0
        (entry,) = listed()
        assert entry["samples"] == 40 + 2 * 64
