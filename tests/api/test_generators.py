"""Generators of models in memory, without the plugin that makes them."""

import pytest

import equidiff
from equidiff.api import generators
from equidiff.errors import PluginError


def test_a_missing_plugin_is_named(monkeypatch):
    monkeypatch.setattr(generators, "PLUGIN", "equidiff_absent")
    with pytest.raises(PluginError) as caught:
        equidiff.diffusers(None)
    assert "pip install ./plugins/equidiff-diffusers" in str(caught.value)
