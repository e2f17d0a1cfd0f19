"""Descriptors and options of the attribution methods that ship with EquiDiff."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from equidiff.builtin.references import (
    CAPTUM,
    ERION,
    HAUFE,
    LUNDBERG,
    RIBEIRO,
    SELVARAJU,
    SHRIKUMAR,
    SIMONYAN,
    SMILKOV,
    SPRINGENBERG,
    SUNDARARAJAN,
    ZEILER,
)
from equidiff.plugin import Descriptor, Options, Reference

HOME = "equidiff.builtin.attributions"
# Captum's names first
SYNONYMS = {
    "baselines": "baseline",
    "baseline": "baselines",
    "n_steps": "steps",
    "n_samples": "samples",
    "nt_samples": "samples",
    "n_baselines": "baselines",
    "nt_type": "type",
    "stdevs": "stdev",
    "std": "stdev",
    "sigma": "stdev",
    "noise": "stdev",
    "sliding_window_shapes": "window",
    "size": "window",
    "patch": "window",
    "strides": "stride",
    "feature_mask": "cells",
    "grid": "cells",
    "target_layer": "layer",
}
BASELINE = "value that replaces a pixel, from 0 (black) to 1 (white)"
PRIOR = "prior"  # in the place of a value
CELLS = "cells of the grid along each side"
SEED = "another seed draws other prior samples"


class BaselineOptions(Options):
    """Options of methods that compare with a uniform sample."""

    baseline: float = Field(0.0, description=BASELINE)


class PriorBaselineOptions(Options):
    """Options of methods that compare with a uniform sample, or with prior samples of the run's generator."""

    baseline: float | Literal["prior"] = Field(
        0.0, description=f"{BASELINE}; or prior, to average over prior samples of the run's generator"
    )
    baselines: int = Field(8, ge=1, description="prior samples to average over, with baseline=prior")
    seed: int = Field(0, ge=0, description=f"{SEED}, with baseline=prior")

    @model_validator(mode="after")
    def _only_with_prior(self) -> Self:
        unused = sorted({"baselines", "seed"} & self.model_fields_set)
        if unused and self.baseline != PRIOR:
            raise ValueError(f"{unused[0]} is about prior samples, and goes with baseline={PRIOR}")
        return self


class IntegratedGradientsOptions(PriorBaselineOptions):
    """Options of `integrated_gradients`."""

    steps: int = Field(50, ge=1, description="points on the straight line from baseline to sample")


class DeepLiftShapOptions(Options):
    """Options of `deeplift_shap`."""

    baselines: int = Field(8, ge=2, description="prior samples of the run's generator, used as baselines")
    seed: int = Field(0, ge=0, description=SEED)


class GradientShapOptions(Options):
    """Options of `gradient_shap`."""

    baselines: int = Field(8, ge=1, description="prior samples of the run's generator, used as baselines")
    seed: int = Field(0, ge=0, description=SEED)
    samples: int = Field(16, ge=1, description="random points between sample and baselines")
    stdev: float = Field(0.0, ge=0, description="standard deviation of noise added to the sample")


class OcclusionOptions(PriorBaselineOptions):
    """Options of `occlusion`."""

    window: int | None = Field(
        None, ge=1, description="side of the window in pixels; a quarter of the sample's shorter side by default"
    )
    stride: int | None = Field(None, ge=1, description="pixels from one window to the next; half a window by default")


class AblationOptions(PriorBaselineOptions):
    """Options of `feature_ablation`."""

    cells: int = Field(7, ge=2, description=CELLS)


class RegressionOptions(BaselineOptions):
    """Options of `lime` and `kernel_shap`."""

    cells: int = Field(7, ge=2, description=CELLS)
    samples: int = Field(
        200, ge=2, description="copies of the sample with some cells replaced, to fit the linear model to"
    )


class LimeOptions(RegressionOptions):
    """Options of `lime`."""

    alpha: float = Field(
        0.01,
        gt=0,
        description="sparsity: the Lasso's penalty, as a share of the difference between sample and baseline",
    )


class CamOptions(Options):
    """Options of Grad-CAM."""

    layer: str | None = Field(
        None, description="dotted name of a layer of feature maps; the last convolution by default"
    )


class NoiseTunnelOptions(Options):
    """Options of `noise_tunnel`."""

    type: Literal["smoothgrad", "smoothgrad_sq", "vargrad"] = Field(
        "smoothgrad", description="mean of the maps, mean of their squares, or their variance"
    )
    samples: int = Field(8, ge=2, description="noisy copies of the sample")
    stdev: float = Field(0.15, gt=0, description="standard deviation of the noise, for pixels from 0 to 1")


class RandomOptions(Options):
    """Options of `random`."""

    seed: int = Field(0, ge=0, description="another seed gives another map")


def _method(
    name: str,
    summary: str,
    references: tuple[Reference, ...],
    options: type[Options] = Options,
    argument: str = "",
    examples: tuple[str, ...] = (),
    module: str = "",
) -> Descriptor:
    known = options.model_fields
    synonyms = {synonym: option for synonym, option in SYNONYMS.items() if option in known and synonym not in known}
    return Descriptor(
        name,
        f"{HOME}.{module or name}:build",
        summary,
        argument,
        options,
        references,
        examples=(*examples, name),
        synonyms=synonyms | ({"method": ":{value}"} if argument else {}),
    )


ATTRIBUTIONS = [
    _method("saliency", "The absolute value of the gradient at each pixel.", (SIMONYAN, CAPTUM)),
    _method("input_x_gradient", "The gradient times the sample.", (SHRIKUMAR, CAPTUM)),
    _method(
        "integrated_gradients",
        "The average gradient between a baseline and the sample, times their difference.",
        (SUNDARARAJAN, ERION, CAPTUM),
        IntegratedGradientsOptions,
        examples=("integrated_gradients,steps=50", "integrated_gradients,baseline=prior,baselines=16"),
    ),
    _method(
        "guided_backprop",
        "The gradient, with ReLUs that pass only positive gradients back.",
        (SPRINGENBERG, CAPTUM),
    ),
    _method(
        "deconvolution",
        "The gradient, with ReLUs that pass positive gradients back whether or not they were active.",
        (ZEILER, CAPTUM),
    ),
    _method(
        "deeplift",
        "Differences from a uniform baseline, propagated back through the network.",
        (SHRIKUMAR, CAPTUM),
        BaselineOptions,
    ),
    _method(
        "deeplift_shap",
        "DeepLIFT, averaged over baselines that are prior samples of the generator.",
        (LUNDBERG, CAPTUM),
        DeepLiftShapOptions,
        examples=("deeplift_shap,baselines=16",),
    ),
    _method(
        "gradient_shap",
        "The average gradient at random points between the sample and prior samples, times their difference.",
        (LUNDBERG, CAPTUM),
        GradientShapOptions,
        examples=("gradient_shap,baselines=16,samples=50",),
    ),
    _method(
        "occlusion",
        "The drop of the measurement when a sliding window is covered.",
        (ZEILER, CAPTUM),
        OcclusionOptions,
        examples=("occlusion,window=7,stride=4", "occlusion,baseline=prior"),
    ),
    _method(
        "feature_ablation",
        "The drop of the measurement when a cell of a grid is covered.",
        (CAPTUM,),
        AblationOptions,
        examples=("feature_ablation,cells=14", "feature_ablation,baseline=prior"),
    ),
    _method(
        "lime",
        "A sparse linear model of the measurement, fitted to copies with random cells of a grid covered.",
        (RIBEIRO, CAPTUM),
        LimeOptions,
        examples=("lime,cells=7,samples=500",),
    ),
    _method(
        "kernel_shap",
        "Shapley values of the cells of a grid, estimated by regression on random coalitions.",
        (LUNDBERG, CAPTUM),
        RegressionOptions,
        examples=("kernel_shap,cells=7,samples=500",),
    ),
    _method(
        "gradcam",
        "The feature maps of a layer, weighted by their mean gradients; the positive part of their sum.",
        (SELVARAJU, CAPTUM),
        CamOptions,
        examples=("gradcam,layer=block3",),
    ),
    _method(
        "guided_gradcam",
        "Grad-CAM times guided backpropagation.",
        (SELVARAJU, CAPTUM),
        CamOptions,
        examples=("guided_gradcam,layer=block3",),
    ),
    _method(
        "noise_tunnel",
        "Another method, averaged over noisy copies of the sample.",
        (SMILKOV, CAPTUM),
        NoiseTunnelOptions,
        "spec of the other method, with %2C for its commas (default saliency)",
        ("noise_tunnel:saliency,samples=8", "noise_tunnel:occlusion%2Cwindow=7,type=vargrad"),
    ),
    _method(
        "pulled",
        "The gradient pulled through the generator, J J^T grad f: how samples change where the measurement does.",
        (HAUFE,),
    ),
    _method(
        "random", "Random numbers, the control: every method should do better.", (), RandomOptions, module="random_map"
    ),
]
