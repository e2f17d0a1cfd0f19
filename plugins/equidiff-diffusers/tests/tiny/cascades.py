"""The decoders of two cascades, which start from a prior's embedding and noise."""

from __future__ import annotations

import torch
from diffusers import (
    DDPMWuerstchenScheduler,
    StableCascadeDecoderPipeline,
    StableCascadeUNet,
    WuerstchenDecoderPipeline,
)
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel, WuerstchenDiffNeXt
from transformers import CLIPTextModelWithProjection

from . import decoders, text


def _paella(contrast: float) -> PaellaVQModel:
    autoencoder = decoders.enliven(
        PaellaVQModel(bottleneck_blocks=1, embed_dim=8, latent_channels=4, num_vq_embeddings=32, scale_factor=0.3)
    )
    with torch.no_grad():
        last = autoencoder.out_block[0]
        last.weight *= contrast
        last.bias.fill_(0.5)  # its images are in [0, 1]
    return autoencoder


def wuerstchen() -> WuerstchenDecoderPipeline:
    """Wuerstchen's decoder."""
    words = text.clip_words()
    decoder = WuerstchenDiffNeXt(
        c_cond=text.WIDTH,
        c_hidden=[16],
        nhead=[2],
        blocks=[1],
        level_config=["CT"],
        clip_embd=text.WIDTH,
        inject_effnet=[False],
    )
    return WuerstchenDecoderPipeline(
        tokenizer=words,
        text_encoder=text.clip(words),
        decoder=decoders.enliven(decoder),
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=_paella(1e-3),
        latent_dim_scale=4.0,
    )


def stable_cascade() -> StableCascadeDecoderPipeline:
    """Stable Cascade's decoder."""
    words = text.clip_words()
    decoder = StableCascadeUNet(
        in_channels=4,
        out_channels=4,
        timestep_ratio_embedding_dim=8,
        conditioning_dim=text.WIDTH,
        block_out_channels=(16,),
        num_attention_heads=(2,),
        down_num_layers_per_block=(1,),
        up_num_layers_per_block=(1,),
        down_blocks_repeat_mappers=(1,),
        up_blocks_repeat_mappers=(1,),
        block_types_per_layer=(("SDCascadeResBlock", "SDCascadeTimestepBlock"),),
        clip_text_pooled_in_channels=text.WIDTH,
        effnet_in_channels=16,
        pixel_mapper_in_channels=3,
        switch_level=None,
        dropout=(0.0,),
    )
    return StableCascadeDecoderPipeline(
        decoder=decoders.enliven(decoder),
        tokenizer=words,
        text_encoder=text.clip(words, CLIPTextModelWithProjection),
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=_paella(2e-3),
        latent_dim_scale=4.0,
    )


def embedding() -> dict[str, torch.Tensor]:
    """A prior's embedding of 2 by 2 places."""
    return {"image_embeddings": torch.randn(1, 16, 2, 2, generator=torch.Generator().manual_seed(3))}
