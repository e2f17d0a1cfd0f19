"""Networks of published sizes with random weights, and tiny ones of the same kinds."""

from __future__ import annotations

import timm
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from equidiff_lightningdit import LightningDiT, LightningDiTGenerator, TransformerConfig
from equidiff_lightningdit.checkpoints import LatentStats
from equidiff_lightningdit.parts import Parts
from torch import Tensor, nn

from device_parts.plan import Plan
from equidiff.contracts import Objective

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels


class Unit(Objective):
    """One output of an ImageNet classifier with random weights."""

    names, unit = ("unit 17",), "activation"

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(1)
        name = "test_resnet" if plan.small else "resnet50"
        self._network = timm.create_model(name).eval().requires_grad_(False).to(plan.device)
        self._mean, self._spread = (
            torch.tensor(values, device=plan.device)[:, None, None] for values in (MEAN, SPREAD)
        )

    def measure(self, samples: Tensor) -> Tensor:
        """`[batch, 1]`."""
        return self._network((samples - self._mean) / self._spread)[:, 17:18]


def flow(plan: Plan, *, steps: int, dtype: str = "float32", compiled: bool = False) -> LightningDiTGenerator:
    """LightningDiT-XL/1 with the VA-VAE, none of whose weights is zero."""
    torch.manual_seed(0)
    config = TransformerConfig.of("XL/1")
    if plan.small:
        config = TransformerConfig(4, 1, 8, 32, 2, 2, 10, mlp_size=80)
    transformer = LightningDiT(config).eval().requires_grad_(False)
    for block in transformer.blocks:
        nn.init.normal_(block.adaLN_modulation[1].weight, std=0.01)
    nn.init.normal_(transformer.final_layer.linear.weight, std=0.02)
    widths = [32] * 4 if plan.small else [128, 128, 256, 256, 512]
    autoencoder = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * (len(widths) - 1) + ["AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * (len(widths) - 1),
        block_out_channels=widths,
        layers_per_block=1 if plan.small else 2,
        latent_channels=config.in_channels,
        scaling_factor=1.0,
    )
    ones = torch.ones(1, config.in_channels, 1, 1)
    parts = Parts(transformer, autoencoder.eval().requires_grad_(False), LatentStats(0 * ones, ones), ())
    return LightningDiTGenerator(parts, device=plan.device, steps=steps, dtype=dtype, compiled=compiled)
