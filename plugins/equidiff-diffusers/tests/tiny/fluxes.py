"""FLUX and the pipelines that pack latents as it does: FLUX.2, Chroma, Ovis, Bria."""

from __future__ import annotations

from typing import Any

from diffusers import (
    BriaPipeline,
    BriaTransformer2DModel,
    ChromaPipeline,
    ChromaTransformer2DModel,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    OvisImagePipeline,
    OvisImageTransformer2DModel,
)
from transformers import PixtralImageProcessor, PixtralProcessor

from . import decoders, text
from .flows import HEADS, euler

PACKED = {"patch_size": 1, "in_channels": 16, "num_layers": 1, "num_single_layers": 1, **HEADS}
AXES = (4, 2, 2)


def flux(schedule: Any = None, guided: bool = True) -> FluxPipeline:
    """FLUX.1: `guided` as [dev] is, without as [schnell]."""
    words, long_words = text.clip_words(), text.t5_words(512)
    transformer = FluxTransformer2DModel(
        **PACKED,
        joint_attention_dim=text.WIDTH,
        pooled_projection_dim=text.WIDTH,
        guidance_embeds=guided,
        axes_dims_rope=AXES,
    )
    return FluxPipeline(
        scheduler=schedule or euler(use_dynamic_shifting=guided, shift=3.0 if guided else 1.0),
        vae=decoders.kl(shift_factor=0.1),
        text_encoder=text.clip(words),
        tokenizer=words,
        text_encoder_2=text.t5(long_words),
        tokenizer_2=long_words,
        transformer=decoders.enliven(transformer),
    )


def flux_schnell() -> FluxPipeline:
    """FLUX.1 [schnell], of few steps and without guidance."""
    return flux(guided=False)


def _flux2_transformer(guided: bool) -> Flux2Transformer2DModel:
    transformer = Flux2Transformer2DModel(
        **PACKED, joint_attention_dim=3 * text.WIDTH, axes_dims_rope=(2, 2, 2, 2), guidance_embeds=guided
    )
    return decoders.enliven(transformer)


def flux2() -> Flux2Pipeline:
    """FLUX.2, whose text is the states of three of thirty layers."""
    words = text.qwen_words(model_max_length=512, padding_side="left")
    words.add_special_tokens({"additional_special_tokens": ["[IMG]", "[IMG_BREAK]", "[IMG_END]"]})
    eyes = PixtralImageProcessor(size={"longest_edge": 28}, patch_size={"height": 14, "width": 14})
    return Flux2Pipeline(
        scheduler=euler(use_dynamic_shifting=True),
        vae=decoders.flux2(),
        text_encoder=text.with_eyes("Mistral3ForConditionalGeneration", words, layers=30),
        tokenizer=PixtralProcessor(image_processor=eyes, tokenizer=words, chat_template=words.chat_template),
        transformer=_flux2_transformer(guided=True),
    )


def flux2_klein() -> Flux2KleinPipeline:
    """FLUX.2 [klein], with Qwen's language model."""
    words = text.qwen_words(model_max_length=512)
    return Flux2KleinPipeline(
        scheduler=euler(use_dynamic_shifting=True),
        vae=decoders.flux2(),
        text_encoder=text.decoder_only("Qwen3ForCausalLM", words, layers=27),
        tokenizer=words,
        transformer=_flux2_transformer(guided=False),
        is_distilled=False,
    )


def chroma() -> ChromaPipeline:
    """Chroma, without a pooled text."""
    words = text.t5_words(512)
    transformer = ChromaTransformer2DModel(
        **PACKED,
        joint_attention_dim=text.WIDTH,
        axes_dims_rope=AXES,
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )
    return ChromaPipeline(
        scheduler=euler(),
        vae=decoders.kl(shift_factor=0.1),
        text_encoder=text.t5(words),
        tokenizer=words,
        transformer=decoders.enliven(transformer),
    )


def ovis() -> OvisImagePipeline:
    """Ovis-Image."""
    words = text.qwen_words()
    transformer = OvisImageTransformer2DModel(
        **{**PACKED, "out_channels": 16}, joint_attention_dim=text.WIDTH, axes_dims_rope=AXES
    )
    return OvisImagePipeline(
        scheduler=euler(use_dynamic_shifting=True),
        vae=decoders.kl(shift_factor=0.1),
        text_encoder=text.decoder_only("Qwen3Model", words),
        tokenizer=words,
        transformer=decoders.enliven(transformer),
    )


def bria() -> BriaPipeline:
    """Bria 3.2."""
    words = text.t5_words(128)
    transformer = BriaTransformer2DModel(
        **PACKED, joint_attention_dim=text.WIDTH, axes_dims_rope=list(AXES), pooled_projection_dim=None
    )
    return BriaPipeline(
        transformer=decoders.enliven(transformer),
        scheduler=euler(use_dynamic_shifting=True),
        vae=decoders.kl(shift_factor=0.0),
        text_encoder=text.t5(words),
        tokenizer=words,
    )
