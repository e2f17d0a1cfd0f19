"""The progress bar of `equidiff.sample`."""

import io
import sys
from types import SimpleNamespace

import pytest
import torch

import equidiff
from equidiff.api.progress import is_watched


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Counts:
    """An observer, and the error that it raises at its first result."""

    def __init__(self, error=None):
        self.steps, self.results, self.error = 0, 0, error

    def step(self, step):
        self.steps += 1

    def result(self, record):
        self.results += 1
        if self.error:
            raise self.error

    def batch_reduced(self, event):
        raise AssertionError("memory suffices")


def sample(**settings):
    return equidiff.sample("toy:circles", "classifier:inner", query=1, samples=6, seed=5, **settings)


def watch(monkeypatch):
    """Make stderr a terminal; not in a fixture, because pytest captures stderr anew when a test begins."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    return sys.stderr


def test_nothing_is_printed_where_nobody_watches(capfd):
    sample()
    sample(progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_bar_where_it_is_asked_for(capfd):
    found = sample(progress=True)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "100%" in printed.err
    assert "6/6" in printed.err
    assert f"{len(found)} members" in printed.err


def test_a_terminal_gets_a_bar_unless_it_is_refused(monkeypatch):
    terminal = watch(monkeypatch)
    sample(progress=False)
    assert terminal.getvalue() == ""
    sample()
    last = terminal.getvalue().rstrip("\n").rpartition("\r")[2]
    assert last.startswith("100%|")
    assert last.endswith("6 members]")


def test_the_loss_is_beside_the_tolerance(monkeypatch):
    terminal = watch(monkeypatch)
    monkeypatch.setattr("equidiff.api.progress.EVERY", 0)
    sample(tolerance=1e-4)
    assert "-> 0.0001" in terminal.getvalue()


def test_the_samples_are_the_same_and_the_observer_hears_of_them(monkeypatch):
    terminal = watch(monkeypatch)
    observers = [Counts(), Counts()]
    with_bar, without = (
        sample(progress=bar, observer=each) for bar, each in zip((True, False), observers, strict=True)
    )
    assert torch.equal(with_bar.rows["samples"], without.rows["samples"])
    assert "6 members" in terminal.getvalue()
    assert vars(observers[0]) == vars(observers[1])
    assert observers[0].results == 6


def test_the_bar_is_closed_when_a_run_fails(monkeypatch):
    terminal = watch(monkeypatch)
    with pytest.raises(equidiff.SamplingError, match="1 of 6"):
        sample(observer=Counts(ValueError("broken")))
    assert "1/6" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")


def test_a_notebook_is_watched(monkeypatch):
    def python(config):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(config=config)))

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not is_watched()
    python({"TerminalIPythonApp": {}})
    assert not is_watched()
    python({"IPKernelApp": {}})
    assert is_watched()
    monkeypatch.delitem(sys.modules, "IPython")
    monkeypatch.setattr(sys, "stderr", None)  # pythonw has none
    assert not is_watched()
