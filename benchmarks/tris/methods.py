"""The rows of the table: EquiDiff's methods, those that need the generator among them, and the paper's filters."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import laplace, sobel
from torch import Tensor

from benchmarks.tris.data import SIDE
from benchmarks.tris.networks import Gaussian, Logits
from equidiff.contracts import Attribution, BuildContext, ScalarTarget
from equidiff.errors import UnsupportedError
from equidiff.numerics.attributions import explain
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins

PLUGINS = Plugins()
# images are in [-1, 1], with a mean of zero: so is the uniform baseline. A cell of a grid is a pixel.
CAPTUM = (
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "guided_backprop",
    "deconvolution",
    "deeplift",
    "occlusion",
    "feature_ablation,cells=8",
    "lime,cells=8,samples=100",
    "kernel_shap,cells=8,samples=100",
    "gradcam",
    "guided_gradcam",
    "noise_tunnel",
)
GENERATOR = (
    "deeplift_shap",
    "gradient_shap",
    "integrated_gradients,baseline=prior,steps=20",
    "occlusion,baseline=prior",
    "feature_ablation,cells=8,baseline=prior",
    "pulled",
)
FILTERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sobel": lambda image: np.hypot(sobel(image, 0), sobel(image, 1)),
    "laplace": lambda image: np.abs(laplace(image)),
}
CONTROLS = ("sobel", "laplace", "random")
ROWS = (*CAPTUM, *GENERATOR, *CONTROLS)


def importances(name: str, objective: Logits, generator: Gaussian, images: Tensor, labels: Tensor) -> Tensor | None:
    """Importance of each pixel of images for the logits of their classes, `[n, 64]`; None if the method does not fit.

    Args:
        name: of `ROWS`.
        objective: of the network.
        generator: fitted to the training images.
        images: `[n, 1, 8, 8]`.
        labels: their classes.
    """
    if name in FILTERS:
        return torch.from_numpy(np.stack([FILTERS[name](image) for image in images[:, 0].numpy()])).flatten(1)
    found = torch.zeros(len(images), SIDE * SIDE)
    method = build_method(name, generator)
    latents = generator.invert(images)
    for label in labels.unique():
        rows = (labels == label).nonzero().flatten()
        scalar = ScalarTarget(objective, torch.eye(2)[label], batch=32)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # DeepLIFT's that its rule for pooling does not conserve
                maps = explain(method, scalar, images[rows], rows.tolist(), latents=list(latents[rows]))
        except UnsupportedError:
            return None
        found[rows] = maps.abs().sum(dim=1).flatten(1)
    return found


def build_method(spec: str, generator: Gaussian) -> Attribution:
    """The method of a spec."""
    bare = BuildContext(generator=generator)
    context = replace(bare, attribution=lambda inner: build(PLUGINS, "attribution", inner, bare).component)
    return build(PLUGINS, "attribution", spec, context).component
