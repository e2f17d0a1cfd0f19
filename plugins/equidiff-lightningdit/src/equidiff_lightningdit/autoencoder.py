"""The VA-VAE: the published autoencoder's weights in diffusers' AutoencoderKL, which computes the same.

References:
    Yao, Yang, Wang (2025), https://arxiv.org/abs/2501.01423, for the weights.
    Rombach et al. (2022), "High-resolution image synthesis with latent diffusion models", for the architecture.
        https://arxiv.org/abs/2112.10752
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from equidiff.errors import WeightsError
from equidiff.networks.checkpoints import put_weights
from equidiff_lightningdit.checkpoints import check_role, read_checkpoint

PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
GROUPS = 32
# published name, diffusers' name; applied in this order
RENAMED = (
    (".mid.block_1.", ".mid_block.resnets.0."),
    (".mid.block_2.", ".mid_block.resnets.1."),
    (".mid.attn_1.", ".mid_block.attentions.0."),
    (".down.", ".down_blocks."),
    (".up.", ".up_blocks."),
    (".block.", ".resnets."),
    (".attn.", ".attentions."),
    (".downsample.conv.", ".downsamplers.0.conv."),
    (".upsample.conv.", ".upsamplers.0.conv."),
    (".nin_shortcut.", ".conv_shortcut."),
    (".norm_out.", ".conv_norm_out."),
)
RENAMED_IN_ATTENTION = (
    (".norm.", ".group_norm."),
    (".q.", ".to_q."),
    (".k.", ".to_k."),
    (".v.", ".to_v."),
    (".proj_out.", ".to_out.0."),
)


def load_autoencoder(path: str | Path) -> AutoencoderKL:
    """Load a VA-VAE, or another autoencoder of that code: its configuration is read from the weights.

    Args:
        path: a `.pt` file (with `state_dict`, `model`, or the bare state dict) or the same as safetensors. Losses and
            foundation models left over from training are dropped; every other tensor must fit.

    Returns:
        Frozen, in evaluation mode, float32, on the CPU. It takes and gives images `[batch, channels, height, width]`
        nominally in [-1, 1]; its latents are not normalised.

    Raises:
        WeightsError: the file is missing or damaged, holds code, or is not such an autoencoder.
    """
    path = Path(path)
    return build_autoencoder(read_checkpoint(path), path)


def build_autoencoder(content: Mapping[str, Tensor], path: Path) -> AutoencoderKL:
    """Build the autoencoder from the content of a file; see `load_autoencoder`."""
    check_role(content, path, "autoencoder")
    weights = {key: value for key, value in content.items() if _belongs(key)}
    config = autoencoder_config(weights, path)
    model = AutoencoderKL(**config)
    levels = len(config["block_out_channels"])
    renamed = {diffusers_key(key, levels): value for key, value in weights.items()}
    own = model.state_dict()
    for key, value in renamed.items():
        if key in own and value.ndim == own[key].ndim + 2 and value.shape[2:] == (1, 1):
            renamed[key] = value[:, :, 0, 0]  # attention's 1x1 convolutions are linear layers there
    put_weights(model, renamed, path, hint="the autoencoder's file, such as vavae-imagenet256-f16d32-dinov2.pt")
    return model.eval().requires_grad_(False)


def autoencoder_config(weights: Mapping[str, Tensor], path: Path | str = "") -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderKL for these weights, which have their published names.

    Raises:
        WeightsError: the weights are not those of a KL autoencoder.
    """
    levels = _count(weights, r"encoder\.down\.(\d+)\.")
    try:
        widths = [len(weights[f"encoder.down.{level}.block.0.conv1.weight"]) for level in range(max(levels, 1))]
        channels = weights["encoder.conv_in.weight"].shape[1]
        latent = weights["post_quant_conv.weight"].shape[1]
        outputs = len(weights["decoder.conv_out.weight"])
    except KeyError as error:
        raise WeightsError(
            f"This is not an autoencoder of LightningDiT: {error.args[0]} is missing.",
            given=path,
            expected="a VA-VAE checkpoint, with encoder, decoder, quant_conv and post_quant_conv",
            hint="autoencoder=PATH names the file",
        ) from None
    down = [_block(weights, f"encoder.down.{level}", "DownEncoderBlock2D") for level in range(levels)]
    up = [_block(weights, f"decoder.up.{level}", "UpDecoderBlock2D") for level in reversed(range(levels))]
    return {
        "in_channels": channels,
        "out_channels": outputs,
        "down_block_types": down,
        "up_block_types": up,
        "block_out_channels": widths,
        "layers_per_block": _count(weights, r"encoder\.down\.0\.block\.(\d+)\."),
        "latent_channels": latent,
        "norm_num_groups": GROUPS,
        "scaling_factor": 1.0,
    }


def diffusers_key(key: str, levels: int) -> str:
    """Name that diffusers' AutoencoderKL gives to a weight of the published code.

    Args:
        key: published name, such as "decoder.up.4.attn.0.q.weight".
        levels: number of resolutions; diffusers counts those of the decoder in reverse.
    """
    pairs = RENAMED + (RENAMED_IN_ATTENTION if ".attn" in key else ())
    for published, new in pairs:
        key = key.replace(published, new)
    return _reversed(key, "decoder.up_blocks.", levels)


def published_weights(model: AutoencoderKL) -> dict[str, Tensor]:
    """The state dict of an autoencoder under the published names and shapes, for writing checkpoints."""
    levels = len(model.config["block_out_channels"])
    weights = {}
    for key, value in model.state_dict().items():
        attention = ".attentions." in key
        for published, own in RENAMED + (RENAMED_IN_ATTENTION if attention else ()):
            key = key.replace(own, published)
        convolution = attention and value.ndim == 2
        weights[_reversed(key, "decoder.up.", levels)] = value[:, :, None, None] if convolution else value
    return weights


def _reversed(key: str, prefix: str, levels: int) -> str:
    """Reverse the count of the decoder's levels, which starts at the finest or at the coarsest."""
    if not key.startswith(prefix):
        return key
    level, rest = key.removeprefix(prefix).split(".", 1)
    return f"{prefix}{levels - 1 - int(level)}.{rest}"


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the largest number in the names that start with the pattern."""
    return 1 + max((int(found[1]) for key in weights if (found := re.match(pattern, key))), default=-1)


def _belongs(key: str) -> bool:
    return key.startswith(PARTS) and "loss" not in key


def _block(weights: Mapping[str, Tensor], level: str, kind: str) -> str:
    return f"Attn{kind}" if f"{level}.attn.0.q.weight" in weights else kind
