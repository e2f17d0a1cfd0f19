"""Transformers of other families, whose tensors have LightningDiT's names and mean something else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from equidiff.errors import WeightsError
from equidiff_lightningdit.transformer import LightningDiT

PROJECTORS = "projectors."  # REPA's, which training alone needs
# one key of each of LightningDiT's own parts; DiT and SiT have none of them
OWN_PARTS = {
    "rotary positions": "feat_rope.freqs_cos",
    "SwiGLU": "blocks.0.mlp.w12.weight",
    "RMSNorm": "blocks.0.norm1.weight",
    "qk-norm": "blocks.0.attn.q_norm.weight",
}
LAST_TIMESTEP = 999
GIVEN_BACK = 0.9  # cosine between noise and a DiT's answer to it


def is_repa(weights: Mapping[str, Tensor]) -> bool:
    """True for a transformer that was trained with REPA, whose time runs from data (0) to noise (1)."""
    return any(key.startswith(PROJECTORS) for key in weights)


def without_projectors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that sampling needs."""
    return {key: value for key, value in weights.items() if not key.startswith(PROJECTORS)}


def predicts_variances(weights: Mapping[str, Tensor]) -> bool:
    """True if the last layer has twice as many channels as the latents."""
    _, channels, patch, _ = weights["x_embedder.proj.weight"].shape
    return len(weights["final_layer.linear.weight"]) == 2 * patch**2 * channels


def check_lightningdit(weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise for transformers of DiT, SiT or REPA, whose tensors would fit.

    DiT and SiT have the same tensors. A DiT predicts noise for one of 1,000 timesteps, not the velocity of a flow.
    Sampled as one, it gives noise.
    """
    if is_repa(weights):
        raise WeightsError(
            "This transformer was trained with REPA: its time runs the other way.",
            given=f"{path}, with {PROJECTORS}*",
            expected="a LightningDiT",
            hint=f"--generator sit:{path}",
        )
    complete = "final_layer.linear.weight" in weights and weights["x_embedder.proj.weight"].ndim == 4
    if not complete or any(key in weights for key in OWN_PARTS.values()) or not predicts_variances(weights):
        return
    raise WeightsError(
        "This is a transformer of DiT or of SiT, not of LightningDiT.",
        given=f"{path}: its last layer predicts variances too, and it has neither {', '.join(OWN_PARTS)}",
        expected="a LightningDiT. A DiT predicts noise, not the velocity of a flow, and would be sampled to noise",
        hint=f"--generator sit:{path}   # if it is SiT's; DiT: --generator diffusers:FOLDER, such as DiT-XL-2-256",
    )


@torch.no_grad()
def check_flow(transformer: LightningDiT, path: Path) -> None:
    """Raise for a DiT among SiTs: their tensors are the same, their answers to pure noise are not.

    At the last of its 1,000 timesteps a DiT is given noise and gives it back; a SiT was never asked for such a time. At
    its own time of noise, 0, a SiT gives the noise back with the opposite sign.
    """
    config = transformer.config
    shape = (1, config.in_channels, config.input_size, config.input_size)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([transformer.null_label])

    def likeness(time: float) -> float:
        answer = transformer(noise, torch.tensor([time]), label)
        return float(torch.cosine_similarity(answer.flatten(), noise.flatten(), dim=0))

    if likeness(LAST_TIMESTEP) < GIVEN_BACK or likeness(0) < -GIVEN_BACK / 2:
        return
    raise WeightsError(
        "This is a DiT: it predicts noise, not the velocity of a flow, and would be sampled to noise.",
        given=f"{path}: given noise at timestep {LAST_TIMESTEP}, it gives it back",
        expected="a SiT, or a transformer trained with REPA",
        hint="--generator diffusers:FOLDER   # with a pipeline such as DiT-XL-2-256",
    )
