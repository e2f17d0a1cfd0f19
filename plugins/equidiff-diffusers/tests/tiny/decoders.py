"""Autoencoders of a few thousand weights, and weights that make an image vary."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage, VQModel
from torch import nn


def enliven(network: nn.Module, gain: float = 1.0) -> nn.Module:
    """Give a network weights of one size, none of them zero, so that its output depends on each of its inputs."""
    with torch.no_grad():
        for values in network.parameters():
            if values.dim() > 1:
                values.normal_(std=gain * values[0].numel() ** -0.5)
            else:
                values.add_(torch.randn_like(values), alpha=0.1)
    return network


def kl(channels: int = 4, blocks: int = 2, **changes: Any) -> AutoencoderKL:
    """Stable Diffusion's autoencoder: an image is `2 ** (blocks - 1)` times as wide as a latent."""
    config = {
        "block_out_channels": (8,) * blocks,
        "norm_num_groups": 4,
        "latent_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
        "scaling_factor": 0.5,
    }
    return enliven(AutoencoderKL(**{**config, **changes}))


def flux2() -> AutoencoderKLFlux2:
    """FLUX.2's autoencoder, which normalises packed latents."""
    blocks = 2
    return enliven(
        AutoencoderKLFlux2(
            block_out_channels=(8,) * blocks,
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=16,
        )
    )


def dc() -> AutoencoderDC:
    """SANA's autoencoder, here with images of twice a latent's width."""
    return enliven(
        AutoencoderDC(
            latent_channels=4,
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), ()),
            decoder_qkv_multiscales=((), ()),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=[1, 1],
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.5,
        )
    )


def qwen() -> AutoencoderKLQwenImage:
    """Qwen-Image's autoencoder of films, here of one frame of twice a latent's width."""
    return enliven(
        AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.1] * 4,
            latents_std=[2.0] * 4,
        )
    )


def movq() -> VQModel:
    """Kandinsky's autoencoder, whose norms see the latent and have 32 groups."""
    autoencoder = vq(norm_type="spatial", block_out_channels=(32, 32), norm_num_groups=32)
    with torch.no_grad():
        autoencoder.decoder.conv_out.weight *= 0.1  # norms that multiply make images of 50 times the range
    return autoencoder


def vq(**changes: Any) -> VQModel:
    """A quantising autoencoder with images of twice a latent's width."""
    config = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "num_vq_embeddings": 32,
        "vq_embed_dim": 4,
        "scaling_factor": 0.5,
    }
    return enliven(VQModel(**{**config, **changes}))
