"""Second opinions about a generator: the image of its pipeline's own call, and finite differences of its images."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DiffusionPipeline
from equidiff_diffusers.noise import SEED
from torch import Tensor

STEPS = (3e-3, 1e-2, 1e-3, 3e-2, 0.1)
"""Lengths of the steps of a finite difference; the best of them balances its curvature against rounding."""

ENOUGH = 1e-3
"""Relative difference at which no other step is tried."""

SETTLED = ("use_resolution_binning", "enable_prompt_rewrite")
"""Arguments that a generator always sets as the tests do."""


class Draws:
    """Replaces `torch.randn` and `torch.randn_like`: the first draw is a latent, later ones are fixed for each row.

    Args:
        latents: first draw, with as many rows as the pipeline asks for.

    Attributes:
        count: draws so far.
    """

    def __init__(self, latents: Tensor) -> None:
        self._latents = latents
        self.count = 0

    def __enter__(self) -> Draws:
        """Replace them, for all threads: this is for tests."""
        self._randn, self._randn_like = torch.randn, torch.randn_like
        torch.randn = lambda *size, **rest: self._draw(rest.get("size") or _size(size))
        torch.randn_like = lambda values, **_: self._draw(values.shape)
        return self

    def __exit__(self, *_: object) -> None:
        """Put them back."""
        torch.randn, torch.randn_like = self._randn, self._randn_like

    def _draw(self, size: Any) -> Tensor:
        self.count += 1
        if self.count == 1:
            assert tuple(size) == tuple(self._latents.shape)
            return self._latents.clone()
        generator = torch.Generator().manual_seed(SEED + self.count)
        return self._randn(tuple(size[1:]), generator=generator).expand(tuple(size)).clone()


def _size(arguments: tuple[Any, ...]) -> Any:
    return arguments if isinstance(arguments[0], int) else arguments[0]


def latents(generator: Any, rows: int = 1, seed: int = 7) -> Tensor:
    """Standard normal latents."""
    return torch.randn(rows, *generator.latent_shape, generator=torch.Generator().manual_seed(seed))


def own_image(pipeline: DiffusionPipeline, call: dict[str, Any], latent: Tensor | None = None, **more: Any) -> Tensor:
    """Image in [0, 1] of the pipeline's own call, from a latent if there is one.

    Args:
        pipeline: the pipeline.
        call: arguments of its call.
        latent: `[1, *latent_shape]`, in place of its first draw of noise.
        more: arguments of its call.
    """
    if latent is None:
        made = pipeline(**call, **more, output_type="np")[0]
    else:
        with Draws(latent):
            made = pipeline(**call, **more, output_type="np")[0]
    return torch.as_tensor(made).permute(0, 3, 1, 2).clamp(0, 1)


def image(generator: Any, latent: Tensor) -> Tensor:
    """Image in [0, 1] of a generator."""
    with torch.no_grad():
        return generator.generate(latent).clamp(0, 1)


def difference(generator: Any, pipeline: DiffusionPipeline, call: dict[str, Any]) -> float:
    """Largest difference of an image in a batch of two from that of the pipeline's own call, for the same noise."""
    both = latents(generator, rows=2)
    own = own_image(pipeline, call, both[:1])
    assert own.isfinite().all()
    assert own.std() > 0.03
    return (image(generator, both)[:1] - own).abs().max().item()


def gradient_error(generator: Any, latent: Tensor) -> float:
    """Relative difference of a directional derivative from central finite differences.

    The function is a random combination of the image's values. The direction is half random and half along the
    gradient, so that the derivative is large and a wrong gradient shows.
    """
    start = latent.clone().requires_grad_()
    sample = generator.generate(start)
    weights = torch.randn(sample.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((sample * weights).sum(), start)
    direction = torch.randn(latent.shape, generator=torch.Generator().manual_seed(2))
    direction = _unit(_unit(direction) + _unit(gradient))
    expected = (gradient * direction).double().sum().item()

    def value(length: float) -> float:
        with torch.no_grad():
            return (generator.generate(latent + length * direction) * weights).double().sum().item()

    best = float("inf")
    for step in STEPS:
        found = (value(step) - value(-step)) / (2 * step)
        best = min(best, abs(found - expected) / abs(expected))
        if best < ENOUGH:
            break
    return best


def _unit(values: Tensor) -> Tensor:
    return values / values.norm()


def choices(call: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `equidiff.diffusers` that mean what those of a pipeline's call mean."""
    rest = {name: value for name, value in call.items() if name not in SETTLED}
    labels = rest.pop("class_labels", None)
    chosen = {
        "steps": rest.pop("num_inference_steps"),
        "prompt": rest.pop("prompt", None),
        "negative": rest.pop("negative_prompt", None),
        "guidance": rest.pop("guidance_scale", None),
        "label": labels[0] if isinstance(labels, list) else labels,
        "size": (rest.pop("height"), rest.pop("width")) if "height" in rest else None,
    }
    return {**{name: value for name, value in chosen.items() if value is not None}, "call": rest}
