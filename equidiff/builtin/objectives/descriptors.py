"""Descriptors and options of the objectives that ship with EquiDiff."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, WithJsonSchema

from equidiff.plugin import Descriptor, Options

NETWORK_SYNONYMS = {
    **dict.fromkeys(("network", "net", "arch", "architecture", "backbone", "model_name"), "model"),
    **dict.fromkeys(("weights", "ckpt", "path", "file", "checkpoint_path"), "checkpoint"),
    **dict.fromkeys(("tag", "weights_name"), "pretrained"),
    **dict.fromkeys(("image_size", "input_size", "resize"), "size"),
    "padding": "pad",
}
# prefixes of networks from elsewhere than timm, and the name behind each
SOURCES = {
    "torchvision": "NAME",
    "hf": "REPOSITORY or FOLDER",
    "open_clip": "NAME or FOLDER",
    "torchscript": "FILE",
    "exported": "FILE.pt2",
    "module": "FILE.py:FUNCTION",
}
RUN_AS_CODE = ("torchscript:", "exported:", "module:")  # names of networks that are programs of somebody's own
THESIS_UNITS = (1656, 1052, 421)  # in ResNet-50: zebra stripes, honeycomb, gyromitra, each at all 49 positions


def _split(value: Any) -> Any:
    """Three values joined by slashes, since a comma would end the option."""
    return value.split("/") if isinstance(value, str) and "/" in value else value


# a value for all channels, or one for each of three
PerChannel = Annotated[float | tuple[float, float, float], BeforeValidator(_split), WithJsonSchema({"type": "number"})]
PositivePerChannel = Annotated[
    PositiveFloat | tuple[PositiveFloat, PositiveFloat, PositiveFloat],
    BeforeValidator(_split),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]


class NetworkOptions(Options):
    """Options that choose the network."""

    model: str | None = Field(
        None,
        description="fashion, circles, any timm model, or a network from elsewhere: "
        f"{', '.join(f'{prefix}:{form}' for prefix, form in SOURCES.items())}; the generator's own by default",
        examples=["fashion", "circles", *(f"{prefix}:" for prefix in SOURCES)],
    )
    checkpoint: str | None = Field(
        None, description="local weights: a file (safetensors or torch.save), the index of one in parts, or a folder"
    )
    pretrained: str | None = Field(
        None,
        description="name of the published weights, for torchvision (e.g. IMAGENET1K_V1; the best by default) and "
        "open_clip (a tag, e.g. openai)",
    )
    size: PositiveInt | None = Field(
        None, description="side of the images, for a network that does not say how its images are prepared"
    )
    mean: PerChannel | None = Field(
        None,
        description="value subtracted from each channel, e.g. 0.5 or 0.485/0.456/0.406; the network's own by default",
    )
    std: PositivePerChannel | None = Field(
        None, description="value that divides each channel, in the same form; the network's own by default"
    )
    pad: Literal["same"] | None = Field(
        None, description="for timm's EfficientNet family: pad as TensorFlow does, for weights converted from it"
    )

    def settings(self) -> dict[str, Any]:
        """The options that go with the network's name, as `load_network` takes them."""
        return {name: getattr(self, name) for name in NetworkOptions.model_fields if name != "model"}


class NeuronOptions(NetworkOptions):
    """Options of `neuron`."""

    positions: Literal["mean", "max", "all"] = Field(
        "mean", description="for a channel of a feature map: mean, maximum, or every position as an output of its own"
    )
    tokens: Literal["mean", "max", "all", "cls"] = Field(
        "mean",
        description="for a channel of a token sequence: mean, maximum, every token as an output, or the first token",
    )


class ClassifierOptions(NetworkOptions):
    """Options of `classifier`."""

    output: Literal["probability", "logit", "distribution"] | None = Field(
        None,
        description="probability (default for one class), logit (default for all), or distribution: all probabilities, "
        "compared by their Kullback-Leibler divergence from the target",
    )


OBJECTIVES = [
    Descriptor(
        "neuron",
        "equidiff.builtin.objectives.neuron:build",
        "One unit of any layer: a feature, or a channel of a feature map or token sequence.",
        argument="LAYER.INDEX, e.g. block3.17; INDEX alone refers to the layer before the classifier's head",
        options=NeuronOptions,
        examples=(
            "neuron:17",
            "neuron:block2.5,positions=all",
            "neuron:blocks.5.2.17,model=mobilenetv2_100",
            *(f"neuron:layer4.{index},model=resnet50,positions=all" for index in THESIS_UNITS),
        ),
        check="equidiff.builtin.objectives.check:check_neuron",
        # the unit before the layer, for a spec that has both
        synonyms={
            **dict.fromkeys(
                ("unit", "index", "neuron", "channel", "feature", "target", "neuron_index"), ":[{argument}.]{value}"
            ),
            **dict.fromkeys(("layer", "module", "block"), ":{value}.{argument}"),
            **dict.fromkeys(("position", "spatial", "reduce", "reduction"), "positions"),
            "token": "tokens",
            **NETWORK_SYNONYMS,
        },
    ),
    Descriptor(
        "layer",
        "equidiff.builtin.objectives.layer:build",
        "All units of a layer at once: its features, or the channels of its feature map or token sequence.",
        argument="LAYER, e.g. block3",
        options=NeuronOptions,
        examples=("layer:pool", "layer:block1,positions=max", "layer:fc,model=resnet50"),
        check="equidiff.builtin.objectives.check:check_layer",
        synonyms={
            **dict.fromkeys(("layer", "module", "block", "name", "target"), ":{value}"),
            **dict.fromkeys(("position", "spatial", "reduce", "reduction"), "positions"),
            "token": "tokens",
            **NETWORK_SYNONYMS,
        },
    ),
    Descriptor(
        "classifier",
        "equidiff.builtin.objectives.classifier:build",
        "The probability or logit of a class; without a class, all logits or the distribution over all classes.",
        argument="a class by name, WordNet synset or index, e.g. zebra, n02391049, 340; none for all classes",
        options=ClassifierOptions,
        examples=(
            "classifier:bag",
            "classifier:8,output=logit",
            "classifier,output=distribution",
            "classifier:zebra,model=mobilenetv2_100",
            "classifier:n02391049,model=resnet50",
        ),
        check="equidiff.builtin.objectives.check:check_classifier",
        synonyms={
            **dict.fromkeys(("class", "target", "label", "index", "name", "unit", "synset"), ":{value}"),
            **dict.fromkeys(("outputs", "kind", "type"), "output"),
            **NETWORK_SYNONYMS,
        },
    ),
    Descriptor(
        "custom",
        "equidiff.builtin.objectives.custom:build",
        "Your own function, which maps each sample to a number or a vector.",
        argument="module:function, or ./file.py:function (the file is executed)",
        examples=("custom:my_module:my_function", "custom:./probe.py:score"),
        synonyms={name: ":{value}" for name in ("function", "func", "callable", "path", "file")},
    ),
]
