"""Attribution maps of the same decisions, by Captum with its defaults."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import (
    Deconvolution,
    DeepLift,
    FeatureAblation,
    GradientShap,
    GuidedBackprop,
    GuidedGradCam,
    InputXGradient,
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    Saliency,
    ShapleyValueSampling,
)
from torch import Tensor, nn

from shortcut.images import SIDE, ShapeImages, draw

Method = Callable[[nn.Sequential, Tensor], Tensor]
TILE = 4  # side in pixels of the squares that some methods hide


def importance(name: str, network: nn.Sequential, image: Tensor, seed: int) -> Tensor:
    """Importance of each pixel for the logit, `[32, 32]`, at least 0: absolute values, summed over channels.

    Args:
        name: a key of `METHODS`.
        network: the network to explain.
        image: `[1, 3, 32, 32]`.
        seed: for the methods that use random numbers.
    """
    with torch.random.fork_rng(devices=[]), _numpy_seed(seed), warnings.catch_warnings():
        torch.manual_seed(seed)
        warnings.filterwarnings("ignore", message="Setting (forward, backward|backward) hooks")  # what they are for
        values = METHODS[name](network, image.clone().requires_grad_())
    return values.detach().abs().sum(dim=1)[0]


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Seed numpy's global stream, which Captum's gradient SHAP draws from, and restore it afterwards."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)


def _grad_cam(network: nn.Sequential, image: Tensor) -> Tensor:
    coarse = LayerGradCam(network, _last_convolution(network)).attribute(image, target=0, relu_attributions=True)
    assert isinstance(coarse, Tensor)  # one layer, one tensor
    return LayerAttribution.interpolate(coarse, (SIDE, SIDE), "bilinear")


def _gradient_shap(network: nn.Sequential, image: Tensor) -> Tensor:
    baselines = ShapeImages().generate(draw(16, torch.Generator().manual_seed(0)))
    return GradientShap(network).attribute(image, baselines, n_samples=32, target=0)


def _occlusion(network: nn.Sequential, image: Tensor) -> Tensor:
    return Occlusion(network).attribute(image, (3, TILE, TILE), (3, TILE // 2, TILE // 2), target=0)


def _last_convolution(network: nn.Sequential) -> nn.Module:
    return [layer for layer in network if isinstance(layer, nn.Conv2d)][-1]


def _tiles() -> Tensor:
    """Index of the tile that each pixel belongs to, `[1, 1, 32, 32]`."""
    side = torch.arange(SIDE) // TILE
    return (side[:, None] * (SIDE // TILE) + side)[None, None]


METHODS: dict[str, Method] = {
    "random map": lambda _, image: torch.rand_like(image[:, :1]),
    "saliency": lambda network, image: Saliency(network).attribute(image, target=0),
    "smoothed saliency": lambda network, image: NoiseTunnel(Saliency(network)).attribute(
        image, nt_samples=32, stdevs=0.1, target=0
    ),
    "input x gradient": lambda network, image: InputXGradient(network).attribute(image, target=0),
    "integrated gradients": lambda network, image: IntegratedGradients(network).attribute(image, target=0),
    "DeepLift": lambda network, image: DeepLift(network).attribute(image, target=0),
    "gradient SHAP": _gradient_shap,
    "guided backprop": lambda network, image: GuidedBackprop(network).attribute(image, target=0),
    "deconvolution": lambda network, image: Deconvolution(network).attribute(image, target=0),
    "Grad-CAM": _grad_cam,
    "guided Grad-CAM": lambda network, image: GuidedGradCam(network, _last_convolution(network)).attribute(
        image, target=0
    ),
    "occlusion": _occlusion,
    "feature ablation": lambda network, image: FeatureAblation(network).attribute(
        image, target=0, feature_mask=_tiles()
    ),
    "Shapley sampling": lambda network, image: ShapleyValueSampling(network).attribute(
        image, target=0, feature_mask=_tiles(), n_samples=10
    ),
}
