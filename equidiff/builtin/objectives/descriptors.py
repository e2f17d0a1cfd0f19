"""The objectives that ship with EquiDiff, described: their options and what they are for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.plugin import Descriptor, Options

THESIS_UNITS = (1656, 1052, 421)  # of ResNet-50: zebra stripes, honeycomb, gyromitra; all 49 positions of each


class NetworkOptions(Options):
    """Which network is asked."""

    model: str | None = Field(None, description="fashion, circles, or any timm model; the generator's own by default")
    checkpoint: str | None = Field(None, description="a local weights file (safetensors, or a plain state dict)")
    mean: float | None = Field(None, description="timm models: subtracted from each channel; timm's own by default")
    std: float | None = Field(
        None, gt=0, description="timm models: each channel is divided by it; timm's own by default"
    )
    pad: Literal["same"] | None = Field(
        None, description="timm's EfficientNet family: pad as TensorFlow does, for weights that came from there"
    )


class NeuronOptions(NetworkOptions):
    """Options of `neuron`."""

    positions: Literal["mean", "max", "all"] = Field(
        "mean", description="a channel of a feature map: its mean, its maximum, or every position as an output"
    )
    tokens: Literal["mean", "max", "all", "cls"] = Field(
        "mean", description="a channel of a token sequence: mean, maximum, every token, or the first one"
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
        argument="LAYER.INDEX, e.g. block3.17; INDEX alone means the layer before the classifier's head",
        options=NeuronOptions,
        examples=(
            "neuron:17",
            "neuron:block2.5,positions=all",
            "neuron:blocks.5.2.17,model=mobilenetv2_100",
            *(f"neuron:layer4.{index},model=resnet50,positions=all" for index in THESIS_UNITS),
        ),
    ),
    Descriptor(
        "classifier",
        "equidiff.builtin.objectives.classifier:build",
        "A class's probability or logit; without a class, all logits, or all probabilities as a distribution.",
        argument="a class by name, WordNet synset or index, e.g. zebra, n02391049, 340; nothing for all classes",
        options=ClassifierOptions,
        examples=(
            "classifier:bag",
            "classifier:8,output=logit",
            "classifier,output=distribution",
            "classifier:zebra,model=mobilenetv2_100",
            "classifier:n02391049,model=resnet50",
        ),
    ),
    Descriptor(
        "custom",
        "equidiff.builtin.objectives.custom:build",
        "A function of your own: samples in, one number or a vector per sample out.",
        argument="module:function, or ./file.py:function (the file is executed)",
        examples=("custom:my_module:my_function", "custom:./probe.py:score"),
    ),
]
