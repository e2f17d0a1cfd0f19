"""Pipelines of 2025 and 2026 with transformers of their own: PRX, Krea 2, ERNIE-Image, HunyuanImage"""

from __future__ import annotations

import math

from diffusers import (
    AutoencoderKLHunyuanImage,
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
    HunyuanImagePipeline,
    HunyuanImageTransformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    LongCatImagePipeline,
    LongCatImageTransformer2DModel,
    PRXPipeline,
    PRXPixelPipeline,
    PRXTransformer2DModel,
)
from diffusers.guiders import AdaptiveProjectedMixGuidance
from torch import nn
from transformers import (
    ByT5Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    T5GemmaConfig,
    T5GemmaEncoder,
)

from . import decoders, text
from .flows import HEADS, euler
from .fluxes import AXES, PACKED


def prx() -> PRXPipeline:
    """PRX, in the latents of Stable Diffusion's autoencoder."""
    words = text.gemma_words()
    sizes = {"hidden_size": text.WIDTH, "intermediate_size": 32, "num_hidden_layers": 1, "head_dim": 8}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(words)}
    config = T5GemmaConfig(encoder=sizes, decoder=sizes, is_encoder_decoder=False)
    return PRXPipeline(
        transformer=_prx_transformer(in_channels=4),
        scheduler=euler(shift=3.0),
        text_encoder=T5GemmaEncoder(config.encoder),
        tokenizer=words,
        vae=decoders.kl(shift_factor=0.1),
        default_sample_size=16,
    )


def prx_pixel() -> PRXPixelPipeline:
    """PRX in pixels, whose noise has a standard deviation of two."""
    words = text.qwen_words()
    return PRXPixelPipeline(
        transformer=_prx_transformer(in_channels=3),
        scheduler=euler(shift=3.0),
        text_encoder=text.decoder_only("Qwen3Model", words),
        tokenizer=words,
        default_sample_size=16,
    )


def _prx_transformer(in_channels: int) -> nn.Module:
    return decoders.enliven(
        PRXTransformer2DModel(
            in_channels=in_channels,
            patch_size=2,
            context_in_dim=text.WIDTH,
            hidden_size=16,
            num_heads=2,
            depth=2,
            axes_dim=[4, 4],
        )
    )


def krea2() -> Krea2Pipeline:
    """Krea 2, whose text is the states of two layers."""
    words = text.qwen_words()
    transformer = Krea2Transformer2DModel(
        in_channels=16,
        num_layers=2,
        **HEADS,
        num_key_value_heads=1,
        intermediate_size=32,
        timestep_embed_dim=8,
        text_hidden_dim=text.WIDTH,
        num_text_layers=2,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=32,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 2, 2),
    )
    return Krea2Pipeline(
        scheduler=euler(use_dynamic_shifting=True),
        vae=decoders.qwen(),
        text_encoder=text.with_eyes("Qwen3VLModel", words),
        tokenizer=words,
        transformer=decoders.enliven(transformer),
        text_encoder_select_layers=(1, 2),
    )


def ernie_image() -> ErnieImagePipeline:
    """ERNIE-Image, in FLUX.2's latents."""
    words = text.qwen_words()
    transformer = ErnieImageTransformer2DModel(
        hidden_size=16,
        num_attention_heads=2,
        num_layers=2,
        ffn_hidden_size=32,
        in_channels=16,
        out_channels=16,
        text_in_dim=text.WIDTH,
        rope_axes_dim=(4, 2, 2),
    )
    return ErnieImagePipeline(
        transformer=decoders.enliven(transformer),
        vae=decoders.flux2(),
        text_encoder=text.decoder_only("MistralModel", words),
        tokenizer=words,
        scheduler=euler(shift=3.0),
    )


def longcat() -> LongCatImagePipeline:
    """LongCat-Image."""
    words = text.qwen_words()
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=words.chat_template,
    )
    transformer = LongCatImageTransformer2DModel(
        **{**PACKED, "in_channels": 64},
        joint_attention_dim=text.WIDTH,
        pooled_projection_dim=text.WIDTH,
        axes_dims_rope=AXES,
    )
    return LongCatImagePipeline(
        scheduler=euler(use_dynamic_shifting=True),
        vae=decoders.kl(16, shift_factor=0.1),
        text_encoder=text.with_eyes("Qwen2_5_VLForConditionalGeneration", words),
        tokenizer=words,
        text_processor=processor,
        transformer=decoders.enliven(transformer),
    )


def hunyuan_image() -> HunyuanImagePipeline:
    """HunyuanImage 2.1, with a second encoder for the text that is to be written."""
    words, letters = text.qwen_words(), ByT5Tokenizer()
    transformer = HunyuanImageTransformer2DModel(
        in_channels=4,
        out_channels=4,
        **HEADS,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        text_embed_dim=text.WIDTH,
        text_embed_2_dim=text.WIDTH,
        rope_axes_dim=(4, 4),
    )
    vae = AutoencoderKLHunyuanImage(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(32, 32),
        layers_per_block=1,
        spatial_compression_ratio=2,
        sample_size=16,
        scaling_factor=0.5,
    )
    return HunyuanImagePipeline(
        scheduler=euler(shift=5.0),
        vae=decoders.enliven(vae),
        text_encoder=text.with_eyes("Qwen2_5_VLForConditionalGeneration", words),
        tokenizer=words,
        text_encoder_2=text.t5(letters, vocab_size=math.ceil(len(letters) / 64) * 64),
        tokenizer_2=letters,
        transformer=decoders.enliven(transformer),
        guider=AdaptiveProjectedMixGuidance(adaptive_projected_guidance_start_step=1),
        ocr_guider=AdaptiveProjectedMixGuidance(adaptive_projected_guidance_start_step=1),
    )
