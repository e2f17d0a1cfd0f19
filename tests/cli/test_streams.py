"""Standard streams that are closed, full, gone or narrow: the work is done, and the exit code is that of the work."""

import errno
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest
from running import CIRCLES, read_run, run_cli

from equidiff.cli import main
from equidiff.cli.console.streams import REPLACE, safe_streams

LIGHT = [sys.executable, "-m", "equidiff", "--plain", "show", "generator"]
RUN = ("run", *CIRCLES, "--query", "0", "-n", "2")


class Failing(io.StringIO):
    """A stream on a disk that is full, or whose reader is gone."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run_into(stdout, stderr):
    with redirect_stdout(stdout), redirect_stderr(stderr), pytest.raises(SystemExit) as exit_:
        main([*RUN, "--out", "run"])
    return exit_.value.code


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_a_run_whose_notes_cannot_be_written_is_a_run(tmp_path, number):
    stdout = io.StringIO()
    assert run_into(stdout, Failing(number)) == 0
    assert stdout.getvalue() == "run\n"
    assert read_run(tmp_path / "run")["status"] == "complete"


@pytest.mark.parametrize(("number", "code", "panels"), [(errno.ENOSPC, 1, 1), (errno.EPIPE, 0, 0)])
def test_a_run_whose_result_cannot_be_written_is_complete(tmp_path, number, code, panels):
    """A full disk loses the result, which is an error; a reader that left wanted no more of it."""
    stderr = io.StringIO()
    assert run_into(Failing(number), stderr) == code
    assert stderr.getvalue().count("error: ") == panels
    assert read_run(tmp_path / "run")["status"] == "complete"


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_never_open(redirection):
    done = subprocess.run(["bash", "-c", f'"$@" {redirection}', "bash", *LIGHT], capture_output=True, text=True)
    assert done.returncode == 0
    assert ("lightningdit" in done.stdout) == (">&-" not in redirection.split())
    assert done.stderr == ""


def test_streams_of_the_system_that_fail():
    lost = subprocess.run(["bash", "-c", '"$@" >/dev/full', "bash", *LIGHT], capture_output=True, text=True)
    assert lost.returncode == 1
    assert lost.stderr.startswith("error: The work is done")
    assert "No space left" in lost.stderr
    assert "Exception ignored" not in lost.stderr
    left = subprocess.run(["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "bash", *LIGHT], capture_output=True)
    assert (left.returncode, left.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1"])
def test_a_stream_that_lacks_letters_gets_plain_ones(encoding):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding)
    with redirect_stdout(stdout), redirect_stderr(io.StringIO()), safe_streams():
        sys.stdout.write("zèbre … 斑 → \udce8 Δ")
    written = stdout.buffer.getvalue().decode(encoding)
    assert written.replace("è", "e").replace("…", "...").endswith(r"bre ... \u6591 -> \xe8 \u0394")
    assert stdout.errors == REPLACE


def test_json_on_a_stream_that_lacks_letters_is_the_same_json(tmp_path):
    (tmp_path / "zèbre.py").write_text("def score(x): return x[:, 0]")
    main_stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
    command = [*RUN[:3], "--objective", "custom:./zèbre.py:score", "--target", "0.5", "-n", "1", "--json"]
    with redirect_stdout(main_stdout), redirect_stderr(io.StringIO()), pytest.raises(SystemExit) as exit_:
        main(["run", *command[1:], "--out", "run"])
    assert exit_.value.code == 0
    assert json.loads(main_stdout.buffer.getvalue().decode("ascii")) == read_run(tmp_path / "run")


def test_a_path_is_printed_as_the_bytes_that_it_is(tmp_path):
    stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
    name = os.fsdecode(b"z\xe8bre \xc3\xa8")
    with redirect_stdout(stdout), redirect_stderr(io.StringIO()), pytest.raises(SystemExit):
        main([*RUN, "--out", name])
    assert stdout.buffer.getvalue() == b"z\xe8bre \xc3\xa8\n"
    assert run_cli("run", "--resume", name).code == 0


EVIL = "a \x1b]0;title\x07\x9b31m\r \u202e\u2066\u2028 b"
PRINTING = f"""
import logging, warnings
from equidiff.cli.console.streams import safe_streams
before = warnings.formatwarning, logging.lastResort
with safe_streams():
    warnings.warn({EVIL!r})
    logging.getLogger("timm").warning({EVIL!r})
assert before == (warnings.formatwarning, logging.lastResort)
"""


def test_texts_that_libraries_print_have_no_escapes():
    """Warnings and logs quote files of strangers: no command to the terminal, no turned text, gets through."""
    utf8 = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, env=utf8)
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert said.count(r"a \x1b]0;title\x07\x9b31m\x0d \u202e\u2066\u2028 b") == 2
    assert not {letter for letter in EVIL if not letter.isprintable()} & set(said)
