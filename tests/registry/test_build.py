"""From spec strings to options."""

from importlib.metadata import EntryPoint

import pytest
from pydantic import Field

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import BuildContext
from equidiff.errors import SpecError
from equidiff.plugin import Descriptor, Options, hookimpl
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins


class Classed(Options):
    """An option whose name is a keyword of Python."""

    label: int = Field(0, ge=0, alias="class", description="which class")


class Aliases:
    """Its option is typed by another name than its field's."""

    @staticmethod
    @hookimpl
    def equidiff_regularizers():
        return [Descriptor("classed", f"{__name__}:build_classed", "For a test.", options=Classed)]


def build_classed(argument, options, context):
    regularizer = NoRegularizer()
    vars(regularizer)["label"] = options.label
    return regularizer


def test_an_option_is_typed_by_its_alias():
    plugins = Plugins([EntryPoint("aliases", f"{__name__}:Aliases", "equidiff")])
    built = build(plugins, "regularizer", "classed,class=3", BuildContext())
    assert built.component.label == 3
    assert built.options == {"class": 3}
    assert build(plugins, "regularizer", "classed", BuildContext()).options == {"class": 0}
    with pytest.raises(SpecError, match="no option 'label'") as caught:
        build(plugins, "regularizer", "classed,label=3", BuildContext())
    assert "class" in str(caught.value.expected)
    with pytest.raises(SpecError, match="option 'class' of 'classed' has an unusable value") as caught:
        build(plugins, "regularizer", "classed,class=-3", BuildContext())
    assert (caught.value.given, caught.value.expected) == ("class=-3", "which class")
