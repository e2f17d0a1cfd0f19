"""Pipelines around a transformer that predicts a flow: SD3, AuraFlow, Lumina, CogView 4, Z-Image, Qwen-Image."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    LuminaNextDiT2DModel,
    LuminaPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import CLIPTextModelWithProjection, UMT5Config, UMT5EncoderModel

from . import decoders, text

HEADS = {"num_attention_heads": 2, "attention_head_dim": 8}


def euler(**changes: Any) -> FlowMatchEulerDiscreteScheduler:
    """The sampler that the flows share."""
    return FlowMatchEulerDiscreteScheduler(**changes)


def sd3(schedule: Any = None) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3, with three text encoders."""
    words, long_words = text.clip_words(), text.t5_words(256)
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        **HEADS,
        joint_attention_dim=2 * text.WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * text.WIDTH,
        pos_embed_max_size=8,
        qk_norm="rms_norm",
    )
    return StableDiffusion3Pipeline(
        transformer=decoders.enliven(transformer),
        scheduler=schedule or euler(shift=3.0),
        vae=decoders.kl(shift_factor=0.06),
        text_encoder=text.clip(words, CLIPTextModelWithProjection),
        tokenizer=words,
        text_encoder_2=text.clip(words, CLIPTextModelWithProjection),
        tokenizer_2=text.clip_words(),
        text_encoder_3=text.t5(long_words, d_model=2 * text.WIDTH),
        tokenizer_3=long_words,
    )


def auraflow() -> AuraFlowPipeline:
    """AuraFlow."""
    words = text.t5_words()
    sizes = {"d_model": text.WIDTH, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    transformer = AuraFlowTransformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        **HEADS,
        joint_attention_dim=text.WIDTH,
        caption_projection_dim=16,
        out_channels=4,
        pos_embed_max_size=64,
    )
    return AuraFlowPipeline(
        tokenizer=words,
        text_encoder=UMT5EncoderModel(UMT5Config(**sizes, vocab_size=len(words))),
        vae=decoders.kl(),
        transformer=decoders.enliven(transformer),
        scheduler=euler(shift=1.73),
    )


def lumina() -> LuminaPipeline:
    """Lumina-Next."""
    words = text.gemma_words()
    transformer = LuminaNextDiT2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=16,
        num_layers=2,
        num_attention_heads=2,
        num_kv_heads=2,
        multiple_of=8,
        learn_sigma=True,
        qk_norm=True,
        cross_attention_dim=text.WIDTH,
    )
    return LuminaPipeline(
        transformer=decoders.enliven(transformer),
        scheduler=euler(),
        vae=decoders.kl(blocks=4),
        text_encoder=text.decoder_only("GemmaModel", words),
        tokenizer=words,
    )


def lumina2() -> Lumina2Pipeline:
    """Lumina-Image 2, whose code takes it that an image is eight times as wide as a latent."""
    words = text.gemma_words()
    transformer = Lumina2Transformer2DModel(
        sample_size=4,
        patch_size=2,
        in_channels=4,
        hidden_size=16,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=1,
        num_kv_heads=1,
        multiple_of=8,
        axes_dim_rope=(4, 8, 4),
        axes_lens=(300, 16, 16),
        cap_feat_dim=text.WIDTH,
    )
    return Lumina2Pipeline(
        transformer=decoders.enliven(transformer),
        scheduler=euler(),
        vae=decoders.kl(blocks=4, shift_factor=0.1),
        text_encoder=text.decoder_only("Gemma2Model", words),
        tokenizer=words,
    )


def cogview4() -> CogView4Pipeline:
    """CogView 4."""
    words = text.glm_words()
    transformer = CogView4Transformer2DModel(
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        **HEADS,
        text_embed_dim=text.WIDTH,
        time_embed_dim=8,
        condition_dim=4,
        pos_embed_max_size=8,
        sample_size=8,
        rope_axes_dim=(8, 8),
    )
    return CogView4Pipeline(
        tokenizer=words,
        text_encoder=text.decoder_only("GlmModel", words),
        vae=decoders.kl(),
        transformer=decoders.enliven(transformer),
        scheduler=euler(base_shift=0.25, max_shift=0.75, use_dynamic_shifting=True, time_shift_type="linear"),
    )


def z_image() -> ZImagePipeline:
    """Z-Image."""
    words = text.qwen_words()
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=text.WIDTH,
        axes_dims=[8, 4, 4],
        axes_lens=[1024, 32, 32],
    )
    return ZImagePipeline(
        scheduler=euler(shift=3.0),
        vae=decoders.kl(shift_factor=0.1),
        text_encoder=text.decoder_only("Qwen3Model", words),
        tokenizer=words,
        transformer=_without_holes(decoders.enliven(transformer)),
    )


def _without_holes(transformer: ZImageTransformer2DModel) -> ZImageTransformer2DModel:
    """The network with its two padding tokens set, which are built from memory that nothing wrote."""
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        token.data.fill_(0.5)
    return transformer


def qwen_image() -> QwenImagePipeline:
    """Qwen-Image, whose decoder is that of a film of one frame."""
    words = text.qwen_words()
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        **HEADS,
        joint_attention_dim=text.WIDTH,
        axes_dims_rope=(4, 2, 2),
    )
    return QwenImagePipeline(
        scheduler=euler(use_dynamic_shifting=True, shift_terminal=0.02),
        vae=decoders.qwen(),
        text_encoder=text.with_eyes("Qwen2_5_VLForConditionalGeneration", words),
        tokenizer=words,
        transformer=decoders.enliven(transformer),
    )
