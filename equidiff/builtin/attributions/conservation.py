"""The places in a network where DeepLIFT loses or makes up contributions, measured module by module.

A rule of DeepLIFT conserves if the contributions to a module's inputs add up to those to its outputs:

    sum m_in (x - x0) = sum m_out (y - y0)

with the multipliers m, the module's input x and output y for a sample, and x0 and y0 for its baseline. The differences
of the two sides over all modules, and what happens between modules, add up to the gap of the whole attribution.

References:
    Shrikumar, Greenside, Kundaje (2017), "Learning important features through propagating activation differences".
        https://arxiv.org/abs/1704.02685
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import torch
from captum.attr import DeepLift
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor, nn

from equidiff.contracts import ScalarTarget
from equidiff.types import Samples

OUTSIDE = "operations outside of modules"
WORTH_NAMING = 0.1  # of all gaps, without their signs
POOLING = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)


@dataclass(eq=False)
class _Call:
    """One call of a module: values for a sample and its baseline, and multipliers once they are known.

    Captum replaces the multipliers of a whole tensor, also those of what reaches it past the module, and a rule reads
    the multipliers of its module's output before a later rule replaces them. These are kept apart, so that each module
    answers for what it does itself.

    Attributes:
        module: with a rule of Captum, or without.
        after_rule: the module's input is the output of one with a rule, which does not see a replacement.
        inputs: values of the input.
        outputs: values of the output.
        multipliers: by the place where they were seen.
    """

    module: nn.Module
    after_rule: bool
    inputs: Tensor
    outputs: Tensor | None = None
    multipliers: dict[str, Tensor] = field(default_factory=dict)

    def gap(self) -> float:
        """Contributions of the outputs minus those of the inputs."""
        seen = self.multipliers
        if self.outputs is None or not {"input", "output"} <= seen.keys():
            return 0.0  # it does not lie between the sample and the measurement
        entering = seen["input"] if self.after_rule else seen["input"] + seen["after"] - seen["before"]
        return _contributions(seen["output"], self.outputs) - _contributions(entering, self.inputs)


@final
class _Watched(DeepLift):
    """DeepLIFT, with hooks before and after its own on each module without children."""

    def __init__(self, scalar: ScalarTarget) -> None:
        super().__init__(scalar)
        self.calls: list[_Call] = []
        self._inputs: dict[nn.Module, Tensor] = {}
        self._of_rules: list[Tensor] = []

    def _register_hooks(self, module: nn.Module, attribute_to_layer_input: bool = True) -> None:
        if any(module.children()):
            return
        self.forward_handles.append(module.register_forward_pre_hook(self._before))
        super()._register_hooks(module, attribute_to_layer_input)
        self.forward_handles.append(module.register_forward_pre_hook(self._enter))
        self.forward_handles.append(module.register_forward_hook(self._leave))

    def _before(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if len(arguments) != 1 or not isinstance(arguments[0], Tensor) or not arguments[0].requires_grad:
            return
        (values,) = arguments
        call = _Call(module, any(each is values for each in self._of_rules), values.detach().clone())
        self.calls.append(call)
        self._inputs[module] = values
        values.register_hook(_keep(call, "before"))

    def _enter(self, module: nn.Module, arguments: tuple[Any, ...]) -> Any:
        values = self._inputs.pop(module, None)
        if values is None:
            return None
        call = self._last(module)
        values.register_hook(_keep(call, "after"))
        own = arguments[0].clone()  # no other module reads this one
        own.register_hook(_keep(call, "input"))
        return own.clone()

    def _leave(self, module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Any:
        known = any(call.module is module for call in self.calls)
        if not known or not isinstance(output, Tensor) or not output.requires_grad:
            return None
        call = self._last(module)
        call.outputs = output.detach().clone()
        output.register_hook(_keep(call, "output"))
        if _has_rule(module):
            self._of_rules.append(output)
            return None
        return output.clone()  # so that the hook sees what the rules of later modules made of it

    def _last(self, module: nn.Module) -> _Call:
        return next(call for call in reversed(self.calls) if call.module is module)


def explain_gap(scalar: ScalarTarget, sample: Samples, baseline: Samples) -> str:
    """Sentences that say in which modules the contributions of a sample's pixels do not add up, and why.

    Args:
        scalar: the measurement.
        sample: one sample, `[1, ...]`.
        baseline: what it is compared with, of the same shape.
    """
    gaps, modules = measure_gaps(scalar, sample, baseline)
    whole = sum(abs(gap) for gap in gaps.values())
    shares = sorted(((abs(gap) / whole, kind) for kind, gap in gaps.items() if whole), reverse=True)
    named = [(share, kind) for share, kind in shares if share >= WORTH_NAMING]
    texts = [f"{_describe(kind, modules, scalar)} ({100 * share:.0f} % of the gap)" for share, kind in named]
    return "The cause, as measured: " + "; ".join(texts) + ". Integrated gradients add up for any network."


def measure_gaps(scalar: ScalarTarget, sample: Samples, baseline: Samples) -> tuple[dict[str, float], Counter[str]]:
    """Difference between contributions of outputs and inputs, by kind of module; and the number of modules of a kind.

    What is lost between modules, such as by a product of two activations, is under `OUTSIDE`. Arguments are those of
    `explain_gap`.
    """
    method = _Watched(scalar)
    values = method.attribute(sample.detach().clone(), baselines=baseline)
    calls = method.calls
    with torch.no_grad():
        missing = float(scalar(sample) - scalar(baseline) - values.sum())
    gaps: defaultdict[str, float] = defaultdict(float)
    for call in calls:
        gaps[type(call.module).__name__] += call.gap()
    modules = Counter(type(module).__name__ for module in {id(each.module): each.module for each in calls}.values())
    return {**gaps, OUTSIDE: missing - sum(gaps.values())}, modules


def _has_rule(module: nn.Module) -> bool:
    return type(module) in SUPPORTED_NON_LINEAR


def _keep(call: _Call, place: str) -> Callable[[Tensor], None]:
    def keep(gradient: Tensor) -> None:
        call.multipliers[place] = gradient.detach()

    return keep


def _contributions(multipliers: Tensor, values: Tensor) -> float:
    given, reference = values.chunk(2)  # Captum runs both in one pass
    return float((multipliers.chunk(2)[0] * (given - reference)).sum())


def _describe(kind: str, modules: Counter[str], scalar: ScalarTarget) -> str:
    if kind == OUTSIDE:
        advice = ", which output=logit leaves out" if scalar.unit == "probability" else ""
        return f"{OUTSIDE}, such as attention, products of activations or a softmax{advice}"
    number = f"{modules[kind]} modules" if modules[kind] > 1 else "one module"
    if kind in {each.__name__ for each in POOLING}:
        why = "of whose contributions Captum's rule loses some where windows overlap"
    elif kind in {each.__name__ for each in SUPPORTED_NON_LINEAR}:
        why = "where Captum's rule does not conserve contributions"
    else:
        why = "for which Captum has no rule"
    return f"{number} of {kind}, {why}"
