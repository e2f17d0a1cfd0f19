"""Objectives of a network in memory: `equidiff.neuron`, `equidiff.layer` and `equidiff.classifier`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from equidiff.builtin.objectives.classifier import classify, count_classes, count_logits
from equidiff.builtin.objectives.layer import Layer
from equidiff.builtin.objectives.neuron import Neuron, check_index
from equidiff.contracts import BuildContext, Objective, ObjectiveFactory
from equidiff.errors import UnsupportedError, UsageError, check_one_of
from equidiff.networks import Network, Units, find_class
from equidiff.networks.classes import class_names
from equidiff.networks.in_memory import check_module, record, unwrap, wrap_module
from equidiff.networks.preprocessing import PROBES, Preprocessing, Values
from equidiff.types import Measurements, Samples

Size = int | tuple[int, int]
Preprocess = Callable[[Tensor], Tensor]
Classes = Sequence[str] | Mapping[int, str]
POSITIONS, TOKENS = ("mean", "max", "all"), ("mean", "max", "all", "cls")
OUTPUTS = ("probability", "logit", "distribution")


@final
class NetworkObjective(ObjectiveFactory):
    """An objective of a network in memory, which a run builds for its generator and its device.

    A run measures a frozen copy of the module, in evaluation mode, in float32 and on the run's device. The module
    itself is left as it is, whatever its mode, its device and its parameters are; a module that is all this already is
    used without a copy.
    """

    def __init__(
        self,
        module: nn.Module,
        asked: str,
        preprocessing: Preprocessing,
        options: Mapping[str, Any],
        make: Callable[[Network], Objective],
        names: tuple[tuple[str, ...], ...] | None = None,
    ) -> None:
        check_module(module)
        named = type(unwrap(module))
        self.spec = f"<{asked} of {named.__module__}.{named.__qualname__}>"
        self.options = {**options, **preprocessing.describe()}
        self._module, self._preprocessing, self._make, self._names = module, preprocessing, make, names

    def __repr__(self) -> str:
        return self.spec

    def build(self, context: BuildContext) -> Objective:
        if context.generator is None:
            raise UsageError("An objective of a network in memory needs a generator, whose samples it measures.")
        objective = self._build(context.generator.sample_shape, context.device)
        context.weights.append(record(self._module))
        return objective

    def measure(self, samples: Samples) -> Measurements:
        """Measure samples without a run, as a run measures them: `[batch, m]`.

        Args:
            samples: images `[batch, 1 or 3, height, width]` in [0, 1], or samples of another kind.
        """
        with torch.no_grad():
            return self._build(tuple(samples.shape[1:]), str(samples.device)).measure(samples)

    @torch.enable_grad()
    def _build(self, shape: tuple[int, ...], device: str) -> Objective:
        network = wrap_module(self._module, self._preprocessing, shape, device, self._names)
        objective = self._make(network)
        _check(objective, network)
        return objective


def neuron(
    module: nn.Module,
    layer: str,
    index: int,
    *,
    size: Size | None = None,
    mean: Values | None = None,
    std: Values | None = None,
    preprocess: Preprocess | None = None,
    positions: str | None = None,
    tokens: str | None = None,
    classes: Classes | None = None,
) -> NetworkObjective:
    """One unit of any layer of a network in memory, for `equidiff.sample(objective=...)`.

    Args:
        module: any torch module. It is not changed; see `NetworkObjective`.
        layer: dotted name of the layer, as in `module.named_modules()`.
        index: of the unit.
        size: height and width of the network's images, or one number for both. Samples are resized to cover them
            (bicubic, antialiased) and cropped at the centre; they keep their size when None.
        mean: value subtracted from each channel; samples are in [0, 1].
        std: value that divides each channel.
        preprocess: a differentiable function from samples `[batch, *sample_shape]` to the network's inputs, in place of
            size, mean and std. Without it, samples are converted between grey and RGB where the network needs it.
        positions: for a channel of a feature map: "mean" (default), "max", or "all" for an output for each position.
        tokens: for a channel of a token sequence: "mean" (default), "max", "all", or "cls" for the first token.
        classes: where the network is a classifier, the name of each class: the run then tells what it calls members.

    Raises:
        UsageError: an argument cannot be used. That there is no such layer or unit, or that the network cannot take
            the samples, is known in the run.
    """
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise UsageError("This is not the index of a unit.", given=repr(index), expected="a whole number")
    chosen = {"layer": layer, "index": int(index), **_reductions(positions, tokens)}
    preprocessing = Preprocessing.of(size, mean, std, preprocess)
    names = None if classes is None else class_names(classes)
    return NetworkObjective(module, f"neuron:{layer}.{index}", preprocessing, chosen, partial(_pick, **chosen), names)


def _pick(network: Network, layer: str, index: int, **reductions: str) -> Neuron:
    _check_names(network)
    units = Units.at(network, layer, **reductions)
    check_index(units, index)
    return Neuron(units, index)


def layer(
    module: nn.Module,
    layer: str,
    *,
    size: Size | None = None,
    mean: Values | None = None,
    std: Values | None = None,
    preprocess: Preprocess | None = None,
    positions: str | None = None,
    tokens: str | None = None,
    classes: Classes | None = None,
) -> NetworkObjective:
    """All units of a layer of a network in memory at once, for `equidiff.sample(objective=...)`.

    Args:
        module: as in `equidiff.neuron`.
        layer: dotted name of the layer, as in `module.named_modules()`.
        size: as in `equidiff.neuron`.
        mean: as in `equidiff.neuron`.
        std: as in `equidiff.neuron`.
        preprocess: as in `equidiff.neuron`.
        positions: as in `equidiff.neuron`, for every channel.
        tokens: as in `equidiff.neuron`, for every channel.
        classes: as in `equidiff.neuron`.

    Raises:
        UsageError: an argument cannot be used.
    """
    chosen = {"layer": layer, **_reductions(positions, tokens)}
    names = None if classes is None else class_names(classes)
    preprocessing = Preprocessing.of(size, mean, std, preprocess)
    return NetworkObjective(module, f"layer:{layer}", preprocessing, chosen, partial(_pick_all, **chosen), names)


def _pick_all(network: Network, layer: str, **reductions: str) -> Layer:
    _check_names(network)
    return Layer(Units.at(network, layer, **reductions))


def classifier(
    module: nn.Module,
    label: str | int | None = None,
    *,
    classes: Classes | None = None,
    output: str | None = None,
    size: Size | None = None,
    mean: Values | None = None,
    std: Values | None = None,
    preprocess: Preprocess | None = None,
) -> NetworkObjective:
    """A class of a classifier in memory, or all of its classes, for `equidiff.sample(objective=...)`.

    Args:
        module: returns logits `[batch, classes]`, or an object or a mapping whose `logits` they are. One output is the
            logit of the second of two classes.
        label: name or index of the class; all classes when None.
        classes: the name of each class, in the order of the outputs, or by index.
        output: "probability" (default for one class), "logit" (default for all) or, for all, "distribution": all
            probabilities, compared by their Kullback-Leibler divergence from the target.
        size: as in `equidiff.neuron`.
        mean: as in `equidiff.neuron`.
        std: as in `equidiff.neuron`.
        preprocess: as in `equidiff.neuron`.

    Raises:
        UsageError: an argument cannot be used.
    """
    label = int(label) if isinstance(label, np.integer) else label
    _check_output(label, output)
    names = None if classes is None else class_names(classes)
    preprocessing = Preprocessing.of(size, mean, std, preprocess)
    asked = "classifier" if label is None else f"classifier:{label}"
    options = {"label": label, "output": output, "classes": None if names is None else len(names)}
    make = partial(_classify, label=label, output=output)
    return NetworkObjective(module, asked, preprocessing, options, make, names)


def _classify(network: Network, label: str | int | None, output: str | None) -> Objective:
    _check_names(network)
    outputs = count_logits(network)
    count = count_classes(outputs)
    _refuse_probabilities(network)
    return classify(network, outputs, None if label is None else find_class(network, label, count), output)


def _check_names(network: Network) -> None:
    """Refuse names of classes that are not as many as the network has."""
    if network.names is None:
        return
    outputs = count_logits(network)
    count = count_classes(outputs)
    if len(network.names) != count:
        raise UsageError(
            f"{network.name} has {count} classes.",
            given=f"{len(network.names)} names",
            expected=f"{count} names{', because one logit tells two classes apart' if outputs == 1 else ''}",
        )


def _reductions(positions: str | None, tokens: str | None) -> dict[str, str]:
    given = {"positions": positions, "tokens": tokens}
    for (name, value), allowed in zip(given.items(), (POSITIONS, TOKENS), strict=True):
        if value is not None:
            check_one_of(name, value, allowed)
    return {name: value for name, value in given.items() if value is not None}


def _check_output(label: object, output: str | None) -> None:
    if isinstance(label, bool) or not isinstance(label, str | int | None):
        raise UsageError("This is not a class.", given=repr(label), expected="a name, an index, or None for all")
    if output is not None:
        check_one_of("output", output, OUTPUTS)
    if label is not None and output == "distribution":
        raise UsageError(
            "A distribution covers all classes, so it cannot be combined with a class.",
            given=f"class {label!r} and output='distribution'",
            expected="no class, or output='probability' or output='logit'",
        )


@torch.no_grad()
def _refuse_probabilities(network: Network) -> None:
    """Refuse a network that ends in a softmax: a second one would make all its classes nearly equal."""
    logits = network.logits(network.prepare(_noise(network)))
    if logits.shape[1] > 1 and bool((logits >= 0).all()) and bool(((logits.sum(dim=1) - 1).abs() < 1e-3).all()):
        raise UnsupportedError(
            f"{network.name} returns probabilities.",
            given="outputs that are at least 0 and sum to 1",
            expected="logits, the values before the softmax",
            hint="the module without its last layer, such as module[:-1]",
        )


def _check(objective: Objective, network: Network) -> None:
    """Measure noise twice, and refuse a result that a search cannot use."""
    noise = _noise(network).requires_grad_()
    values = objective.measure(noise)
    problem, expected = "", ""
    if not values.isfinite().all():
        problem, expected = "gives NaN or infinity for samples of noise", "finite numbers"
    elif not values.requires_grad:
        problem = "has no gradient by which a search could go"
        expected = "a network without torch.no_grad(), detach(), argmax or conversions to integers"
    elif not torch.allclose(values, objective.measure(noise), rtol=1e-3, atol=1e-5):
        problem = "gives another result when it is called again"
        expected = "a network without randomness, e.g. F.dropout with training=self.training"
    if problem:
        raise UnsupportedError(f"{network.name} {problem}.", given=objective.names[0], expected=expected)


def _noise(network: Network) -> Tensor:
    noise = torch.rand(PROBES, *network.sample_shape, generator=torch.Generator().manual_seed(0))
    return noise.to(network.device)
