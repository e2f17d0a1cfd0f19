"""Errors about the options of a spec: in plain words, with the way to write what was meant."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator, model_validator

from equidiff.errors import SpecError
from equidiff.plugin import Descriptor, Options
from equidiff.registry.descriptors import KINDS
from equidiff.registry.manager import Plugins
from equidiff.registry.options import COMMAND_OPTIONS, check_argument, read_options
from equidiff.registry.specs import Spec
from equidiff.run.settings import Settings

PYDANTIC = ("Input should", "[type=", "pydantic", "unable to parse", "Value error", "valid integer", "validation")
OFFERS = [offer for kind in KINDS for offer in Plugins().offers(kind)]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Everything(Options):
    """An option of each type and constraint."""

    count: int = Field(1, ge=1, le=9, description="how many")
    above: int = Field(1, gt=0, description="a count")
    share: float = Field(0.5, ge=0, lt=1, description="a share")
    angle: float = Field(0.5, gt=0, le=1.5, description="an angle")
    below: float | None = Field(None, lt=0.25, description="a loss")
    most: float = Field(0.0, le=3, description="a level")
    any: float = Field(0.0, description="a number")
    side: int = Field(8, ge=8, multiple_of=8, description="a side")
    on: bool = Field(False, description="a switch")
    mode: Literal["mean", "max"] | None = Field(None, description="a mode")
    one: Literal["only"] = Field("only", description="a constant")
    colour: Colour = Field(Colour.RED, description="a colour")
    either: int | Literal["auto"] = Field("auto", description="a size")
    code: str = Field("ab", pattern="^[a-z]+$", description="a code")
    even: int = Field(0, description="an even number")
    nothing: None = Field(None, description="nothing")
    place: Path | None = Field(None, description="a file")
    bare: Annotated[int, Field(ge=0)] = 0

    @field_validator("even")
    @classmethod
    def _check_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("it is odd")
        return value

    @model_validator(mode="after")
    def _check_both(self) -> "Everything":
        if self.on and self.count == 9:
            raise ValueError("nine cannot be on")
        return self


EVERYTHING = Descriptor("everything", "", "", options=Everything)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("count=0", "an integer from 1 to 9\nhow many"),
        ("count=10", "an integer from 1 to 9\nhow many"),
        ("count=1.5", "an integer from 1 to 9\nhow many"),
        ("count=", "an integer from 1 to 9\nhow many"),
        ("count=" + "9" * 5000, "an integer from 1 to 9\nhow many"),
        ("above=0", "an integer above 0\na count"),
        ("share=1", "a number of at least 0 and below 1\na share"),
        ("share=nan", "a finite number of at least 0 and below 1\na share"),
        ("angle=2", "a number above 0 and at most 1.5\nan angle"),
        ("below=1", "a number below 0.25\na loss"),
        ("most=4", "a number of at most 3\na level"),
        ("any=inf", "a finite number\na number"),
        ("any=x", "a number\na number"),
        ("side=12", "an integer of at least 8 that is a multiple of 8\na side"),
        ("on=maybe", "true or false\na switch"),
        ("mode=median", "mean or max\na mode"),
        ("one=two", "only\na constant"),
        ("colour=green", "red or blue\na colour"),
        ("either=x", "an integer, or auto\na size"),
        ("code=A", "text that matches ^[a-z]+$\na code"),
        ("even=3", "an integer\nan even number"),
        ("nothing=x", "no value\nnothing"),
        ("bare=-1", "an integer of at least 0"),
    ],
)
def test_each_constraint_in_words(given, expected):
    with pytest.raises(SpecError, match="has an invalid value") as caught:
        read_options(EVERYTHING, Spec.parse(f"everything,{given}"))
    assert (caught.value.given, caught.value.expected) == (given, expected)
    assert not any(word in str(caught.value) for word in PYDANTIC)


def test_a_validator_speaks_for_itself():
    with pytest.raises(SpecError, match=r"'even' of 'everything' has an invalid value: it is odd\n"):
        read_options(EVERYTHING, Spec.parse("everything,even=3"))
    with pytest.raises(SpecError, match=r"cannot take these options: nine cannot be on\n"):
        read_options(EVERYTHING, Spec.parse("everything,on=true,count=9"))


def bad_values(schema):
    """Values that the schema of an option does not allow."""
    parts = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    if len(parts) > 1:  # a number, or one of a few words
        words = {part.get("const") for part in parts}
        return [value for part in parts if "const" not in part for value in bad_values(part) if value not in words]
    (part,) = parts
    if "enum" in part or "const" in part or part["type"] == "boolean":
        return ["nonsense", "7.5"]
    if part["type"] not in ("integer", "number"):
        return []
    bad = ["nonsense", "", "nan", "inf"] + (["0.5"] if part["type"] == "integer" else [])
    bad += [str(part[key] - 1) for key in ("minimum", "exclusiveMinimum") if key in part]
    bad += [str(part[key] + 1) for key in ("maximum", "exclusiveMaximum") if key in part]
    return bad + [str(part[key]) for key in ("exclusiveMinimum", "exclusiveMaximum") if key in part]


def all_bad():
    for offer in OFFERS:
        for name, schema in offer.descriptor.options.model_json_schema().get("properties", {}).items():
            for value in bad_values(schema):
                yield pytest.param(offer.descriptor, name, value, id=f"{offer.descriptor.name}-{name}={value}")


@pytest.mark.parametrize(("descriptor", "name", "value"), list(all_bad()))
def test_no_bad_value_of_an_installed_component_is_told_in_pydantic_words(descriptor, name, value):
    with pytest.raises(SpecError) as caught:
        read_options(descriptor, Spec(descriptor.name, None, {name: value}))
    error = caught.value
    assert error.problem == f"The option {name!r} of {descriptor.name!r} has an invalid value."
    assert error.given == f"{name}={value}"
    words, _, description = str(error.expected).partition("\n")
    assert words
    assert description
    assert not any(word in str(error) for word in PYDANTIC)


def check(kind, descriptor, spec):
    check_argument(kind, descriptor, spec)
    read_options(descriptor, spec)


@pytest.mark.parametrize(
    ("kind", "given", "hint"),
    [
        ("objective", "neuron:17,layer=conv1", "neuron:conv1.17"),
        ("objective", "neuron,layer=conv1,unit=17", "neuron:conv1.17"),
        ("objective", "neuron,unit=17,layer=conv1,model=resnet50", "neuron:conv1.17,model=resnet50"),
        ("objective", "neuron:conv1,channel=17", "neuron:conv1.17"),
        ("objective", "neuron,layer=conv1", "neuron:conv1.0"),
        ("objective", "neuron,index=17", "neuron:17"),
        ("objective", "neuron:layer=conv1,unit=17", "neuron:conv1.17"),
        ("objective", "neuron:17,arch=resnet50,weights=a.pth", "neuron:17,model=resnet50,checkpoint=a.pth"),
        ("objective", "neuron:positions=max", "neuron,positions=max"),
        ("objective", "neuron:17,modle=fashion", "neuron:17,model=fashion"),
        ("objective", "neuron:17,positions=maxx", "neuron:17,positions=max"),
        ("objective", "neuron:17,seed=3", "--seed 3"),
        ("objective", "classifier:class=zebra", "classifier:zebra"),
        ("objective", "classifier,target=340,model=resnet50", "classifier:340,model=resnet50"),
        ("objective", "custom,function=./probe.py:score", "custom:./probe.py:score"),
        ("generator", "toy,name=circles", "toy:circles"),
        ("generator", "pixels,size=28", "pixels:28"),
        ("regularizer", "lowpass:cutoff=0.5", "lowpass:0.5"),
        ("regularizer", "lowpass,cutoff=0.5,edge=smooth", "lowpass:0.5,edge=smooth"),
        ("regularizer", "tv,limit=0.1", "tv:0.1"),
        ("solver", "infinite,learning_rate=3", "infinite,lr=3"),
        ("solver", "auto:pool=16", "auto,pool=16"),
        ("solver", "auto:16", "equidiff show solver auto"),
        ("solver", "auto,budget=100", "--budget 100"),
        ("law", "conditional,steps=200", "conditional,moves=200"),
        ("attribution", "integrated_gradients,n_steps=20", "integrated_gradients,steps=20"),
        ("attribution", "noise_tunnel,method=saliency,nt_samples=3", "noise_tunnel:saliency,samples=3"),
        ("attribution", "occlusion,sliding_window_shapes=7", "occlusion,window=7"),
    ],
)
def test_an_option_that_is_written_otherwise(kind, given, hint):
    spec = Spec.parse(given)
    descriptor = Plugins().find(kind, spec.name).descriptor
    with pytest.raises(SpecError) as caught:
        check(kind, descriptor, spec)
    assert (str(caught.value.given), caught.value.hint) in [(given, hint), (given.partition(",")[2], hint)]


def test_the_argument_is_described_where_the_option_belongs_there():
    with pytest.raises(SpecError, match=r"'neuron' has no option 'layer'.") as caught:
        read_options(Plugins().find("objective", "neuron").descriptor, Spec.parse("neuron:17,layer=conv1"))
    assert str(caught.value.expected).startswith("after the colon: LAYER.INDEX")


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.descriptor.name)
def test_each_synonym_leads_to_a_spec_that_is_taken(offer):
    for synonym in offer.descriptor.synonyms:
        spec = Spec(offer.descriptor.name, None, {synonym: "1"})
        with pytest.raises(SpecError, match=f"has no option {synonym!r}") as caught:
            read_options(offer.descriptor, spec)
        meant = Spec.parse(caught.value.hint)
        check_argument(offer.kind, offer.descriptor, meant)
        assert set(meant.options) <= {
            field.alias or name for name, field in offer.descriptor.options.model_fields.items()
        }


@pytest.mark.parametrize(
    ("given", "hint"), [("lowpass=0.5", "lowpass:0.5"), ("classifier=bag,output=logit", "classifier:bag,output=logit")]
)
def test_an_equals_sign_in_place_of_the_colon(given, hint):
    with pytest.raises(SpecError) as caught:
        Spec.parse(given)
    assert caught.value.hint == hint


def test_options_of_commands_are_settings():
    assert set(COMMAND_OPTIONS) <= set(Settings.__dataclass_fields__)
