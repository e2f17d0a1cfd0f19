"""From spec strings to options."""

from importlib.metadata import EntryPoint

import pytest
from pydantic import Field

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import BuildContext, Generator, Objective
from equidiff.errors import SpecError
from equidiff.plugin import Descriptor, Options, hookimpl
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins


class Classed(Options):
    """An option whose name is a keyword of Python."""

    label: int = Field(0, ge=0, alias="class", description="which class")


class Others:
    """A plugin of somebody else's, whose factories would take any argument."""

    @staticmethod
    @hookimpl
    def equidiff_generators():
        return [
            Descriptor("halves", f"{__name__}:build_halves", "For a test."),
            Descriptor("lost", "no_such_package.here:build", "For a test."),
            Descriptor("sized", f"{__name__}:build_halves", "For a test.", argument="anything"),
        ]

    @staticmethod
    @hookimpl
    def equidiff_objectives():
        return [Descriptor("mean", f"{__name__}:build_mean", "For a test.", examples=("mean", "2*mean"))]


class Halves(Generator):
    """Half the latent."""

    latent_shape = sample_shape = (2,)

    def __init__(self, argument):
        self.argument = argument

    def generate(self, latents, steps=None):
        return latents / 2


class Mean(Objective):
    """Mean of a sample."""

    names = ("mean",)

    def measure(self, samples):
        return samples.mean(dim=1, keepdim=True)


def build_halves(argument, options, context):
    return Halves(argument)


def build_mean(argument, options, context):
    return Mean()


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
    assert caught.value.expected == "class"
    with pytest.raises(SpecError, match="option 'class' of 'classed' has an invalid value") as caught:
        build(plugins, "regularizer", "classed,class=-3", BuildContext())
    assert (caught.value.given, caught.value.expected) == ("class=-3", "an integer of at least 0\nwhich class")


PLUGINS = Plugins(
    [EntryPoint("builtin", "equidiff.builtin", "equidiff"), EntryPoint("others", f"{__name__}:Others", "equidiff")]
)


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("generator", "halves:8", "halves"),
        ("objective", "mean:8", "mean or 2*mean"),
        ("regularizer", "none:8", "none"),
        ("solver", "auto:8", "auto or auto,pool=16 or auto,coarse=10"),
        ("law", "conditional:8", "conditional or conditional,moves=200"),
        ("attribution", "saliency:8", "saliency"),
    ],
)
def test_an_argument_that_no_descriptor_has_is_refused(kind, spec, expected):
    name = spec.partition(":")[0]
    with pytest.raises(SpecError) as caught:
        build(PLUGINS, kind, spec, BuildContext())
    assert caught.value.problem == f"The {kind} {name!r} takes no argument."
    assert (str(caught.value.given), caught.value.expected) == (spec, expected)
    assert caught.value.hint == f"equidiff show {kind} {name}"


def test_it_is_refused_in_each_term_of_a_sum_and_before_the_factory_is_imported():
    with pytest.raises(SpecError, match="'mean' takes no argument"):
        build(PLUGINS, "objective", "mean + 2*mean:8", BuildContext())
    with pytest.raises(SpecError, match="'lost' takes no argument"):
        build(PLUGINS, "generator", "lost:8", BuildContext())


def test_an_argument_that_a_descriptor_has_goes_to_the_factory():
    assert build(PLUGINS, "generator", "sized:8", BuildContext()).component.argument == "8"
    assert build(PLUGINS, "generator", "halves", BuildContext()).component.argument is None
    assert build(PLUGINS, "regularizer", "lowpass:0.3", BuildContext()).spec == "lowpass:0.3"
