"""Files of a model hub that a run cannot have."""

import socket

import pytest
from huggingface_hub import constants

from equidiff.errors import WeightsError
from equidiff.plugin import Descriptor, Published, hookimpl
from equidiff.registry import published
from equidiff.registry.manager import Plugins

FILE = ("who/what", "weights.pt")


class Entry:
    """An entry point whose plugin offers a generator that needs a file, and one that needs none."""

    name, value, dist = "stub", "stub", None

    def load(self):
        return Stub()


class Stub:
    @hookimpl
    def equidiff_generators(self):
        far = Descriptor("far", "none:none", "Far.", argument="a name", published="stub_published:needs")
        return [far, Descriptor("near", "none:none", "Near.")]


def needs(argument, options):
    return None if argument == "shipped" else Published((FILE,), ("hf download who/what",), "far:shipped")


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(published, "getproxies", dict)
    monkeypatch.setattr(published, "_is_cached", lambda *file: False)
    monkeypatch.setattr(Plugins, "published", lambda self, offer: needs)


def check(spec):
    published.check_published(Plugins([Entry()]), {"generator": spec})


def refuse(*_args):
    raise OSError("no route")


def test_both_commands_are_said_where_the_hub_cannot_be_reached(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(WeightsError, match="no route") as error:
        check("far")
    assert error.value.given == "who/what: weights.pt"
    assert error.value.hint.splitlines() == [
        "hf download who/what", "equidiff run --generator far:shipped   # runs at once, without a download"
    ]  # fmt: skip


def test_offline_it_does_not_even_try(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "create_connection", None)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        check("far")


@pytest.mark.parametrize("spec", ["far:shipped", "near", "unknown", "far,no=option", "1"])
def test_what_needs_no_files_or_is_wrong_otherwise_is_left_to_others(spec, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", refuse)
    check(spec)


def test_a_slow_hub_a_proxy_and_the_cache_are_no_reason(monkeypatch):
    def slow(*_args):
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", slow)
    check("far")
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(published, "getproxies", lambda: {"https": "proxy"})
    check("far")
    monkeypatch.setattr(published, "getproxies", dict)
    monkeypatch.setattr(published, "_is_cached", lambda *file: file == FILE)
    check("far")
