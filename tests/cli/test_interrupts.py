"""Ctrl-C and SIGTERM at the import of a module."""

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


def interrupt(folder, module, sent, *words):
    command = [sys.executable, "-c", INTERRUPT, module, sent, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
