"""`toy:fashion`: a flow model of Fashion-MNIST garments that runs on a CPU.

The latent is the start noise of the sampler, which integrates the flow in a few steps. Trained by
`training/train_flow.py`, judged by `training/judge.py`.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, final

import torch
from PIL import Image
from safetensors.torch import load
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from equidiff.contracts import BuildContext, Generator, Latents, Samples, Weights
from equidiff.generators.unet import UNet

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

STEPS = 8
WARP = 1.5  # times are (k / steps)^1.5: what it is to become is decided early, where steps are shorter


@final
class FashionFlow(Generator):
    """Integrates a flow from noise to a garment.

    The sampler is a second-order multistep method: each step aims at the clean image that the last two predictions,
    extrapolated, expect in its middle. One network evaluation a step; the last step is first-order.

    Args:
        flow: predicts the clean image, in [-1, 1].
        steps: sampler steps, one network evaluation each.
        recompute: recompute each step in the backward pass (gradient checkpointing): memory for time.
        dtype: "bfloat16" runs the network under autocast.

    References:
        Lipman et al. (2023), "Flow matching for generative modeling". https://arxiv.org/abs/2210.02747
        Lu et al. (2022), "DPM-Solver++", the multistep solver. https://arxiv.org/abs/2211.01095
    """

    latent_shape = (1, 28, 28)
    sample_shape = (1, 28, 28)
    network = "fashion"

    def __init__(self, flow: UNet, steps: int = STEPS, recompute: bool = False, dtype: str = "float32") -> None:
        self.flow = flow.eval().requires_grad_(False)
        self.steps = steps
        self.recompute = recompute
        self.dtype = dtype

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        count: int = steps or self.steps or STEPS
        times = [(k / count) ** WARP for k in range(count + 1)]
        state, clean, before = latents, latents, 0.0
        for now, after in pairwise(times):
            if self.recompute and torch.is_grad_enabled():
                state, clean = checkpoint(self._step, state, clean, before, now, after, use_reentrant=False)
            else:
                state, clean = self._step(state, clean, before, now, after)
            before = now
        return (state + 1) / 2

    def queries(self) -> list[Image.Image]:
        return load_queries()

    def _step(self, state: Tensor, previous: Tensor, before: float, now: float, after: float) -> tuple[Tensor, Tensor]:
        with torch.autocast(state.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16"):
            clean = self.flow(state, state.new_full((len(state),), now)).float()
        aim = clean
        if now > 0 and after < 1:
            aim = clean + (clean - previous) * (after - now) / (2 * (now - before))
        # the velocity (aim - state) / (1 - now) would be infinite at the end; its product with the step is not
        return state + (after - now) / (1 - now) * (aim - state), clean


def load_queries() -> list[Image.Image]:
    """Twenty held-out test images of Fashion-MNIST, two of each class, ten classes apart: 3 and 13 are bags."""
    folder = files("equidiff") / "queries" / "fashion"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".png"))
    return [_read(folder / name) for name in names]


def _read(file: Traversable) -> Image.Image:
    with file.open("rb") as content:
        image = Image.open(content)
        image.load()
    return image


def load_fashion_flow(context: BuildContext, steps: int | None, recompute: bool) -> FashionFlow:
    """Load the shipped weights."""
    content = (files("equidiff") / "weights" / "fashion_flow.safetensors").read_bytes()
    context.weights.append(Weights("fashion_flow.safetensors", hashlib.sha256(content).hexdigest()))
    flow = UNet()
    flow.load_state_dict({name: value.float() for name, value in load(content).items()})
    return FashionFlow(flow.to(context.device), steps or STEPS, recompute, context.dtype)
