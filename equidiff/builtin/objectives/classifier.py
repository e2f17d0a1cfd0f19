"""Objective that measures a class of a classifier, or all classes."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from equidiff.builtin.objectives.descriptors import ClassifierOptions
from equidiff.builtin.objectives.distribution import Distribution
from equidiff.contracts import BuildContext, Objective, Predictor
from equidiff.errors import UnsupportedError, UsageError
from equidiff.networks import Network, find_class, load_network, predictor_of
from equidiff.networks.prediction import to_probabilities
from equidiff.types import Measurements, Samples


def build(argument: str | None, options: ClassifierOptions, context: BuildContext) -> Classifier | Distribution:
    """Build `classifier:CLASS` or `classifier`, and run the network once on a grey sample.

    Raises:
        UsageError: output=distribution is combined with a class.
        UnknownNameError: no class, or more than one, has this name.
        UnsupportedError: the network is not a classifier.
    """
    if argument is not None and options.output == "distribution":
        raise UsageError(
            "A distribution covers all classes, so output=distribution cannot be combined with a class.",
            given=f"classifier:{argument},output=distribution",
            expected="no class, or output=probability or output=logit",
            hint="classifier,output=distribution",
        )
    network = load_network(options.model, context=context, **options.settings())
    outputs = count_logits(network)
    chosen = None if argument is None else find_class(network, argument, count_classes(outputs))
    return classify(network, outputs, chosen, options.output)


def classify(network: Network, outputs: int, chosen: int | None, output: str | None) -> Classifier | Distribution:
    """Make the objective of one class, or of all.

    Args:
        network: the classifier.
        outputs: number of its logits.
        chosen: index of the class; all classes when None.
        output: "probability" (default for one class), "logit" (default for all) or, for all, "distribution".
    """
    count = count_classes(outputs)
    output = output or ("logit" if chosen is None else "probability")
    unit = "logit" if output == "logit" else "probability"
    names = network.classes or tuple(map(str, range(count)))
    classes = network.classes or tuple(f"class {index}" for index in range(count))
    if chosen is not None:
        names = (names[chosen],)
    elif unit == "logit" and outputs == 1:
        names = names[1:]
    classifier = Classifier(network, chosen, unit, names, classes)
    return Distribution(classifier) if output == "distribution" else classifier


@final
class Classifier(Objective):
    """Probabilities or logits of a classifier.

    The single logit of a binary network belongs to the second class, and its negative to the first. Measured without a
    class, it is the only output.

    Args:
        network: the classifier.
        chosen: index of the class; all classes when None.
        unit: "probability" or "logit".
        names: a name for each output.
        classes: a name for each class.
    """

    def __init__(
        self, network: Network, chosen: int | None, unit: str, names: tuple[str, ...], classes: tuple[str, ...]
    ) -> None:
        self._network = network
        self._chosen = chosen
        self.unit = unit
        self.names = names
        self.resizes = network.resizes
        self._classes = classes

    def measure(self, samples: Samples) -> Measurements:
        logits = self._network.logits(self._network.prepare(samples))
        if self.unit == "probability":
            values = to_probabilities(logits)
        elif logits.shape[1] == 1 and self._chosen is not None:
            values = torch.cat([-logits, logits], dim=1)
        else:
            values = logits
        return values if self._chosen is None else values[:, self._chosen : self._chosen + 1]

    def networks(self) -> list[nn.Module]:
        return [self._network.module]

    def predictor(self) -> Predictor | None:
        return predictor_of(self._network, self._classes)


def count_classes(outputs: int) -> int:
    """Number of classes that this many logits distinguish: a single logit distinguishes two."""
    return max(outputs, 2)


@torch.no_grad()
def count_logits(network: Network) -> int:
    """Number of a classifier's logits, by a pass of a grey sample.

    Raises:
        UnsupportedError: the network is not a classifier.
    """
    if not network.classifies:
        raise UnsupportedError(
            f"{network.name} is an encoder: its outputs are not classes.",
            given="classifier",
            expected="a network with a classifier",
            hint=f"neuron:LAYER.INDEX,model={network.name}   # equidiff show objective neuron --model {network.name}",
        )
    output = network.logits(network.probe(1))
    # timm's feature extractors have 0 classes
    if getattr(network.module, "num_classes", None) == 0 or not isinstance(output, Tensor) or output.ndim != 2:
        shape = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise UnsupportedError(
            f"{network.name} is not a classifier.", given=f"an output of {shape}", expected="logits [batch, classes]"
        )
    return output.shape[1]
