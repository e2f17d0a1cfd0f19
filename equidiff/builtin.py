"""The built-in components, described like any plugin's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.builtin_attributions import METHODS
from equidiff.plugin import Descriptor, Options, hookimpl
from equidiff.references import AUGUSTIN, BEN_HAMU, GRAHAM, GUPTA, LELIEVRE, LIPMAN, MAHENDRAN, RONAI, XIAO, ZAPPA

THESIS_UNITS = (1656, 1052, 421)  # of ResNet-50: zebra stripes, honeycomb, gyromitra; all 49 positions of each


class ToyOptions(Options):
    """Options of `toy`."""

    steps: int | None = Field(None, ge=1, le=1000, description="sampler steps (fashion only)")
    checkpoint: bool = Field(False, description="recompute each sampler step in the backward pass: less memory")


class PixelsOptions(Options):
    """Options of `pixels`."""

    contrast: float = Field(
        0.1, gt=0, le=1, description="standard deviation of a plain sample's pixels; from black to white is 1"
    )


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


class LowPassOptions(Options):
    """Options of `lowpass`."""

    edge: Literal["ideal", "smooth"] = Field(
        "ideal", description="ideal: the thesis's hard cut-off, which rings; smooth: a raised cosine, which does not"
    )


class InfiniteOptions(Options):
    """Options of `infinite`."""

    lr: float = Field(10.0, gt=0, description="learning rate")
    optimizer: Literal["sgd", "adam", "shampoo"] = Field("sgd", description="what turns gradients into moves")
    weight: float = Field(1.0, gt=0, description="lambda of Algorithm 1: factor on the loss")


class LbfgsOptions(Options):
    """Options of `lbfgs`."""

    history: int = Field(20, ge=1, le=1000, description="moves that the curvature is estimated from")


class AutoOptions(Options):
    """Options of `auto`."""

    pool: int | None = Field(
        None, ge=1, le=1024, description="plain samples to start from, the best first; 3 for up to 4 residuals, else 8"
    )
    radius: float = Field(0.5, gt=0, le=2, description="longest first move, as a fraction of sqrt(latent size)")
    coarse: int | None = Field(
        None, ge=1, description="search with so many sampler steps first, then go on with all of them"
    )


class ConditionalOptions(Options):
    """Options of `conditional`."""

    moves: int = Field(48, ge=1, le=100_000, description="moves along the set that each sample makes")
    angle: float = Field(0.2, gt=0, le=1.57, description="how far the first move turns, in radians; then it adapts")
    persistence: float = Field(0.9, ge=0, lt=1, description="share of its momentum that each move keeps")


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """The toys (a flow model of garments, and the plane), and pictures without a prior."""
    return [
        Descriptor(
            "toy",
            "equidiff.generators.toy:build",
            "Trained generators that ship with EquiDiff: garments (28x28 grey) or points in the plane.",
            argument="fashion (default): a flow model of Fashion-MNIST; circles: the plane of the thesis's figure 3.1",
            options=ToyOptions,
            references=(LIPMAN, XIAO),
            examples=("toy", "toy:fashion,steps=20", "toy:circles"),
        ),
        Descriptor(
            "pixels",
            "equidiff.generators.pixels:build",
            "No prior over pictures: a latent is a picture, but for brightness and contrast.",
            argument="SIZE (a grey square), HEIGHTxWIDTH (grey) or HEIGHTxWIDTHxCHANNELS, CHANNELS 1 or 3",
            options=PixelsOptions,
            references=(MAHENDRAN,),
            examples=("pixels:28", "pixels:224x224x3", "pixels:28,contrast=0.2"),
        ),
    ]


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """Neurons, classes, and functions of the user's own."""
    return [
        Descriptor(
            "neuron",
            "equidiff.objectives.neuron:build",
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
            "equidiff.objectives.classifier:build",
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
            "equidiff.objectives.custom:build",
            "A function of your own: samples in, one number or a vector per sample out.",
            argument="module:function, or ./file.py:function (the file is executed)",
            examples=("custom:my_module:my_function", "custom:./probe.py:score"),
        ),
    ]


@hookimpl
def equidiff_regularizers() -> list[Descriptor]:
    """The thesis's low-pass view, a bound on total variation, and nothing."""
    return [
        Descriptor(
            "lowpass",
            "equidiff.regularizers.lowpass:build",
            "The measurement must also hold for the low frequencies alone.",
            argument="cut-off as a fraction of the Nyquist frequency, above 0, at most 1 (default 0.5)",
            options=LowPassOptions,
            examples=("lowpass", "lowpass:0.3", "lowpass:0.5,edge=smooth"),
        ),
        Descriptor(
            "tv",
            "equidiff.regularizers.tv:build",
            "A penalty on total variation above a limit: how much neighbouring pixels differ.",
            argument="the limit, above 0, for pixels in [0, 1] (default 0.15, the median of Fashion-MNIST)",
            references=(MAHENDRAN,),
            examples=("tv", "tv:0.08"),
        ),
        Descriptor("none", "equidiff.regularizers.none:build", "No view and no penalty.", examples=("none",)),
    ]


@hookimpl
def equidiff_solvers() -> list[Descriptor]:
    """Algorithm 1 of the thesis, and the default."""
    return [
        Descriptor(
            "auto",
            "equidiff.solvers.auto:build",
            "Minimum-norm Newton steps from the best of a few plain samples, kept typical of the prior.",
            options=AutoOptions,
            references=(BEN_HAMU,),
            examples=("auto", "auto,pool=16", "auto,coarse=10"),
        ),
        Descriptor(
            "infinite",
            "equidiff.solvers.infinite:build",
            "Algorithm 1 of the thesis: gradient descent on the start noise with a fixed learning rate.",
            options=InfiniteOptions,
            references=(AUGUSTIN, GUPTA),
            examples=("infinite", "infinite,lr=1", "infinite,optimizer=adam,lr=0.05"),
        ),
        Descriptor(
            "lbfgs",
            "equidiff.solvers.lbfgs:build",
            "Quasi-Newton descent on the start noise with a line search, as D-Flow does it.",
            options=LbfgsOptions,
            references=(BEN_HAMU,),
            examples=("lbfgs", "lbfgs,history=50"),
        ),
        Descriptor(
            "imagespace",
            "equidiff.solvers.imagespace:build",
            "Moves found without looking through the generator, after FlowOpt.",
            references=(RONAI,),
            examples=("imagespace",),
        ),
        Descriptor(
            "rejection",
            "equidiff.solvers.rejection:build",
            "Plain samples until one is a member: what every other method has to beat.",
            examples=("rejection",),
        ),
    ]


@hookimpl
def equidiff_attributions() -> list[Descriptor]:
    """Captum's methods, and a random map."""
    return METHODS


@hookimpl
def equidiff_laws() -> list[Descriptor]:
    """None in particular, and the prior given that the measurement is the target."""
    return [
        Descriptor(
            "solve",
            "equidiff.laws.solve:build",
            "Members as the solver finds them: their frequencies say how it searches, not what is likely.",
            examples=("solve",),
        ),
        Descriptor(
            "conditional",
            "equidiff.laws.conditional:build",
            "The prior, given that the residual is zero: each member moves along the set, by constrained Hamiltonian "
            "dynamics with a Metropolis step. For up to about ten residuals.",
            options=ConditionalOptions,
            references=(GRAHAM, ZAPPA, LELIEVRE),
            examples=("conditional", "conditional,moves=200"),
        ),
    ]
