"""Commands in a process that is watched, among traps, in the C locale: nothing is started, and all is printed."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "audited.py"
PROGRAMS = {
    "/sbin/ldconfig": "torch looks for the libraries of CUDA, at its import",
    "fc-list": "matplotlib lists the fonts, when it has no list of them yet",
}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The folder, what the hook saw, and the bytes of both streams."""
    place = tmp_path_factory.mktemp("watched")
    own = {"EQUIDIFF_CACHE": str(place / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, SCRIPT, place], env=os.environ | C_LOCALE | own, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return place, json.loads((place / "found.json").read_text()), done.stdout, done.stderr


def is_known(now, event, what):
    """True for what libraries do when they are loaded."""
    if event == "subprocess.Popen":
        return what in PROGRAMS
    probe = Path(what).parent == Path(tempfile.gettempdir())  # Python's tempfile writes a word, to see if it can
    return event == "write" and ((probe and now == "import") or "matplotlib" in what)


def test_no_command_starts_a_program_connects_or_runs_code_of_folders(watched):
    _, found, _, _ = watched
    assert [each for each in found["seen"] if not is_known(*each)] == []
    assert found["marks"] == []


def test_the_hook_sees_a_program_code_and_a_file_that_is_written(watched):
    _, found, _, _ = watched
    assert [event for _, event, _ in found["control"]] == ["subprocess.Popen", "compile", "exec", "write"]


def test_every_command_ends_as_elsewhere_in_the_c_locale(watched):
    place, found, stdout, stderr = watched
    failed = [(now.split()[0], code) for now, code in found["codes"] if code]
    assert failed == [("run", 2), ("report", 1)]  # of a name that is none, and of a folder that is none
    assert len(found["codes"]) == 22
    assert stderr.count(b"error: ") == 2
    for words in (b"Traceback", b"unexpectedly", b"UnicodeEncodeError"):
        assert words not in stderr + stdout
    assert b"calls the query zebre \\u6591\\u99ac" in stderr  # in ASCII
    assert "calls the query zèbre \\u6591\\u99ac".encode("cp1252") in stderr
    assert b"2/2 finished: 2 members" in stderr
    assert "zèbre 斑馬" in (place / "images" / "report.html").read_text(encoding="utf-8")
