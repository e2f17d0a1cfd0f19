"""Methods that follow the gradient, plainly or with rules of their own."""

from __future__ import annotations

import torch
from captum.attr import Deconvolution, DeepLift, GuidedBackprop, InputXGradient, IntegratedGradients, Saliency
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor, nn

from equidiff.attributions.captum import UNKNOWN_STEPS, Captum, no_argument, warn_if_short
from equidiff.attributions.inside import require_modules, require_single_use
from equidiff.builtin_attributions import BaselineOptions, IntegratedGradientsOptions
from equidiff.contracts import BuildContext, Explained
from equidiff.registry.descriptors import Options
from equidiff.types import Samples


def build_saliency(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `saliency`: the size of the gradient."""
    no_argument("saliency", argument)
    return Captum(lambda explained, samples: Saliency(explained).attribute(samples), local=True)


def build_input_x_gradient(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `input_x_gradient`."""
    no_argument("input_x_gradient", argument)
    return Captum(lambda explained, samples: InputXGradient(explained).attribute(samples))


def build_integrated_gradients(
    argument: str | None, options: IntegratedGradientsOptions, context: BuildContext
) -> Captum:
    """Build `integrated_gradients`."""
    no_argument("integrated_gradients", argument)

    def compute(explained: Explained, samples: Samples) -> Tensor:
        values, gaps = IntegratedGradients(explained).attribute(
            samples,
            baselines=options.baseline,
            n_steps=options.steps,
            internal_batch_size=max(explained.batch, len(samples)),
            return_convergence_delta=True,
        )
        whole = _differences(explained, samples, options.baseline)
        warn_if_short("integrated gradients", gaps, whole, f"steps={4 * options.steps} may help")
        return values

    return Captum(compute)


def build_guided_backprop(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `guided_backprop`."""
    no_argument("guided_backprop", argument)

    def compute(explained: Explained, samples: Samples) -> Tensor:
        require_modules(explained, samples, nn.ReLU, "Guided backpropagation")
        return GuidedBackprop(explained).attribute(samples)

    return Captum(compute, local=True)


def build_deconvolution(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `deconvolution`."""
    no_argument("deconvolution", argument)

    def compute(explained: Explained, samples: Samples) -> Tensor:
        require_modules(explained, samples, nn.ReLU, "Deconvolution")
        return Deconvolution(explained).attribute(samples)

    return Captum(compute, local=True)


def build_deeplift(argument: str | None, options: BaselineOptions, context: BuildContext) -> Captum:
    """Build `deeplift`."""
    no_argument("deeplift", argument)

    def compute(explained: Explained, samples: Samples) -> Tensor:
        require_single_use(explained, samples, tuple(SUPPORTED_NON_LINEAR), "DeepLIFT")
        values, gaps = DeepLift(explained).attribute(samples, baselines=options.baseline, return_convergence_delta=True)
        warn_if_short("DeepLIFT", gaps, _differences(explained, samples, options.baseline), UNKNOWN_STEPS)
        return values

    return Captum(compute)


@torch.no_grad()
def _differences(explained: Explained, samples: Samples, baseline: float) -> Tensor:
    return explained(samples) - explained(torch.full_like(samples, baseline))
