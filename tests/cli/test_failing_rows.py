"""A function of the user's own that raises, exits or hangs on some rows costs their samples, and no run."""

import pytest
from running import assert_one_error, read_lines, read_run, run_cli

pytestmark = pytest.mark.faults

PROBE = """
import time

def bad(x):
    return x.detach()[:, 0] > 0.9

def f(x):
    return x.square().sum(dim=1).sin() + x[:, 0]

def raising(x):
    if len(x) > 2 and bad(x).any():  # the two rows that it is tried with are of another kind
        raise ValueError("a row that I cannot do")
    return f(x)

def hanging(x):
    if len(x) > 2 and bad(x).any():
        time.sleep(10_000)
    return f(x)

def broken(x):
    if len(x) > 2:
        raise ValueError("none that I can do")
    return f(x)
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "probe.py").write_text(PROBE)


def run(function, *args):
    what = ("-g", "toy:circles", "-o", f"custom:./probe.py:{function}", "--target", "1.5", "-s", "infinite,lr=0.05")
    return run_cli("run", *what, "--tolerance", "0.01", "--budget", "30", "-n", "24", "--out", "run", *args)


@pytest.mark.parametrize(
    ("function", "args", "text"),
    [
        ("raising", (), "./probe.py:raising raised ValueError: a row that I cannot do"),
        ("hanging", ("--time-limit", "0.2"), "A pass took longer than the time limit of 0.2 s"),
    ],
)
def test_a_run_with_rows_that_fail_is_complete(tmp_path, function, args, text):
    outcome = run(function, *args)
    assert outcome.code == 3, outcome.stderr
    lines = read_lines(tmp_path / "run" / "members.jsonl")
    assert [line["index"] for line in lines] == list(range(24))
    failed = [line for line in lines if line["status"] == "failed"]
    assert 0 < len(failed) < 24
    assert {line["error"] for line in failed} == {text}
    info = read_run(tmp_path / "run")
    assert info["status"] == "complete"
    assert info["options"].get("time_limit") == (float(args[1]) if args else None)


def test_a_function_that_always_raises_ends_the_run():
    assert_one_error(run("broken"), 1, "./probe.py:broken raised ValueError: none that I can do")


@pytest.mark.parametrize("limit", ["0", "-1", "nan"])
def test_a_time_limit_that_is_none(limit):
    assert_one_error(run("raising", "--time-limit", limit), 2, "time_limit")
