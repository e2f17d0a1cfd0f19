"""Ctrl-C and SIGTERM at the import of a module, and at any call."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.faults

INTERRUPT = """
import sys, os, signal
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
sys.meta_path.insert(0, Hook())
signal.signal(signal.SIGINT, signal.default_int_handler)  # as from a terminal
from equidiff.cli import main
main(["--plain", *sys.argv[3:]])
"""
ANY_CALL = """
import json, os, signal, sys, tempfile
import equidiff.cli.app
import equidiff.registry.manager, pydantic  # what the command imports, once for all children
from equidiff.cli import main

def at(call):  # exit code and both streams of a command that is interrupted at one of its calls; at 0: never
    calls = 0
    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"
        if calls == call and event == "call":
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            sys.stdout, sys.stderr = out, err
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                sys.setprofile(count)
                main(["--plain", "show", "generator"])
            except SystemExit as end:
                sys.setprofile(None)
                if call == 0:
                    print(calls, file=out)  # of all
                out.flush(), err.flush()
                os._exit(end.code or 0)
            finally:
                os._exit(99)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0), err.seek(0)
        return code, out.read().splitlines(), err.read()

*whole, last = at(0)[1]
last = int(last)
points = [*range(40, 100, 20), *range(100, last - 200, last // 5), *range(last - 160, last - 30, 12)]
json.dump({"whole": whole, "ends": [at(each) for each in points]}, sys.stdout)
"""
RUN = ("run", "-n", "2", "--out", "run")


# typer: before there is a command; numpy and a part of it: torch clears the exception, and goes on without;
# an own module and one of another package, which a component needs that is being built
@pytest.mark.parametrize("module", ["typer", "numpy", "numpy.linalg", "equidiff.networks.fashion", "numpy.random"])
def test_a_run_ends_at_once(tmp_path, module):
    done = interrupt(tmp_path, module, "SIGINT", *RUN)
    assert (done.returncode, done.stdout) == (130, "")
    told = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]
    assert len(told) == 1, done.stderr
    assert told[0].startswith("Interrupted")
    assert not (tmp_path / "run").exists()


def test_termination_and_a_command_without_work(tmp_path):
    done = interrupt(tmp_path, "numpy", "SIGTERM", *RUN)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "Interrupted.")
    done = interrupt(tmp_path, "pydantic", "SIGINT", "show", "generator")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


TWICE = """
import os, signal, sys
from equidiff.cli.interrupts import prompt_interruption
class Hook:
    def find_spec(self, name, path=None, target=None):
        sys.meta_path.remove(self)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Hook())
signal.signal(signal.SIGINT, signal.default_int_handler)
with prompt_interruption():
    try:
        import wave
        print("went on")
    except KeyboardInterrupt:
        print("wave" in sys.modules, sys.gettrace())
"""


def test_twice_in_one_import_is_once_after_it():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=100)
    assert done.stdout == "True None\n", done.stderr


def test_at_any_call_it_is_said_once(tmp_path):
    done = subprocess.run([sys.executable, "-c", ANY_CALL], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    told = json.loads(done.stdout)
    ends = told["ends"]
    # Python swallows what is raised in a finalizer, and says so
    heard = [(code, error) for code, _, error in ends if "Exception ignored" not in error]
    assert len(heard) > 10
    assert len(heard) >= len(ends) - 3
    assert set(heard) == {(130, "Interrupted.\n")}
    texts = [text for _, text, _ in ends]
    assert [] in texts  # before the command
    assert told["whole"] in texts  # after it, where typer says nothing


def interrupt(folder, module, sent, *words):
    command = [sys.executable, "-c", INTERRUPT, module, sent, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
