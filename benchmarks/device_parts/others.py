"""A network of Stable Diffusion 1.5's size and one of SANA's, through diffusers' own classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import SanaTransformer2DModel, UNet2DConditionModel
from torch import Tensor, nn

from device_parts.plan import Clock, Plan, Rows, flops

Predict = Callable[[Tensor], Tensor]


def run(plan: Plan, clock: Clock, rows: Rows) -> None:
    """A line for each network, batch and dtype: one evaluation, and its gradient with respect to the state."""
    peak = plan.matrix_rate(torch.bfloat16)
    for name, make in (("Stable Diffusion 1.5's UNet", _unet), ("SANA 1.6B's transformer", _sana)):
        for dtype in (torch.bfloat16, torch.float32):
            for batch in (1,) if plan.small else (4, 16):
                if clock.out():
                    return
                network, shape, predict = make(plan, dtype, batch)
                state = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0)).to(plan.device, dtype)
                rows.append(_measure(plan, name, peak, state, predict, network))


def _measure(
    plan: Plan, name: str, peak: float, state: Tensor, predict: Predict, network: nn.Module
) -> dict[str, object]:
    def forward() -> Tensor:
        with torch.no_grad():
            return predict(state)

    def gradient() -> Tensor:
        at = state.detach().requires_grad_()
        return torch.autograd.grad(predict(at).float().square().sum(), at)[0]

    gradient()
    needed = flops(forward)
    seconds = plan.seconds(forward, 3), plan.seconds(gradient, 3)
    return {
        "name": name,
        "parameters M": sum(weight.numel() for weight in network.parameters()) / 1e6,
        "rows": len(state),
        "dtype": str(state.dtype).removeprefix("torch."),
        "forward s": seconds[0],
        "gradient s": seconds[1],
        "share forward": needed / seconds[0] / peak,
        "share both": 2 * needed / seconds[1] / peak,
        "peak MiB": plan.peak_mib(gradient),
    }


def _unet(plan: Plan, dtype: torch.dtype, batch: int) -> tuple[nn.Module, tuple[int, ...], Predict]:
    options = {"cross_attention_dim": 768}  # the other defaults of diffusers are Stable Diffusion 1.5's
    side = 64
    if plan.small:
        options = {"cross_attention_dim": 16, "block_out_channels": (16, 32), "norm_num_groups": 8,
                   "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "attention_head_dim": 4,
                   "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "layers_per_block": 1}  # fmt: skip
        side = 8
    network = UNet2DConditionModel(**options).eval().requires_grad_(False).to(plan.device, dtype)
    text = torch.randn(batch, 77, options["cross_attention_dim"], device=plan.device, dtype=dtype)
    time = torch.tensor(500, device=plan.device)
    return network, (4, side, side), lambda state: network(state, time, text).sample


def _sana(plan: Plan, dtype: torch.dtype, batch: int) -> tuple[nn.Module, tuple[int, ...], Predict]:
    options = {}  # the defaults of diffusers are those of SANA 1.6B
    if plan.small:
        options = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "caption_channels": 16,
                   "num_cross_attention_heads": 2, "cross_attention_head_dim": 8, "cross_attention_dim": 16,
                   "in_channels": 4, "out_channels": 4, "sample_size": 8}  # fmt: skip
    network = SanaTransformer2DModel(**options).eval().requires_grad_(False).to(plan.device, dtype)
    config = network.config
    text = torch.randn(batch, 300, config.caption_channels, device=plan.device, dtype=dtype)
    time = torch.full((batch,), 500, device=plan.device)
    shape = (config.in_channels, config.sample_size, config.sample_size)
    return network, shape, lambda state: network(state, text, time).sample
