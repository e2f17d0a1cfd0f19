"""Pipelines around a transformer that predicts noise: DiT, PixArt, HunyuanDiT, CogView 3, SANA."""

from __future__ import annotations

from typing import Any

from diffusers import (
    CogVideoXDDIMScheduler,
    CogView3PlusPipeline,
    CogView3PlusTransformer2DModel,
    DDPMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    DPMSolverMultistepScheduler,
    HunyuanDiT2DModel,
    HunyuanDiTPipeline,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SanaPipeline,
    SanaSprintPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
)
from transformers import BertConfig, BertModel, BertTokenizer

from . import decoders, text

HEADS = {"num_attention_heads": 2, "attention_head_dim": 8}


def dit() -> DiTPipeline:
    """DiT, with classes and a learned variance."""
    transformer = DiTTransformer2DModel(
        **HEADS, in_channels=4, out_channels=8, num_layers=2, sample_size=8, num_embeds_ada_norm=1000
    )
    names = {0: "tench", 1: "goldfish"}
    return DiTPipeline(transformer=decoders.enliven(transformer), vae=decoders.kl(), scheduler=_dpm(), id2label=names)


def _dpm(**changes: Any) -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler(**changes)


def _pixart(**changes: Any) -> dict[str, Any]:
    words = text.t5_words()
    transformer = PixArtTransformer2DModel(
        **HEADS,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        cross_attention_dim=text.WIDTH,
        caption_channels=text.WIDTH,
        sample_size=8,
        **changes,
    )
    return {
        "tokenizer": words,
        "text_encoder": text.t5(words),
        "vae": decoders.kl(),
        "transformer": decoders.enliven(transformer),
        "scheduler": _dpm(),
    }


def pixart_alpha() -> PixArtAlphaPipeline:
    """PixArt-Alpha, which is told the image's size."""
    return PixArtAlphaPipeline(**_pixart(use_additional_conditions=False))


def pixart_sigma() -> PixArtSigmaPipeline:
    """PixArt-Sigma."""
    return PixArtSigmaPipeline(**_pixart(use_additional_conditions=False))


def _sana(**changes: Any) -> dict[str, Any]:
    words = text.gemma_words()
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=1,
        attention_head_dim=16,  # with few dimensions a query is often all negative, and linear attention jumps there
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=text.WIDTH,
        sample_size=8,
        **changes,
    )
    return {
        "tokenizer": words,
        "text_encoder": text.decoder_only("Gemma2Model", words),
        "vae": decoders.dc(),
        "transformer": decoders.enliven(transformer),
    }


def sana() -> SanaPipeline:
    """SANA, a flow sampled with DPM-Solver."""
    schedule = _dpm(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    return SanaPipeline(**_sana(), scheduler=schedule)


def sana_sprint() -> SanaSprintPipeline:
    """SANA-Sprint, a consistency model of one or two steps."""
    return SanaSprintPipeline(
        **_sana(guidance_embeds=True, guidance_embeds_scale=0.1, qk_norm="rms_norm_across_heads"),
        scheduler=SCMScheduler(prediction_type="trigflow", sigma_data=0.5),
    )


def hunyuan_dit() -> HunyuanDiTPipeline:
    """HunyuanDiT, with BERT and T5."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *"abcdefghijklmnopqrstuvwxyz", *("##" + letter for letter in "abcdefghijklmnopqrstuvwxyz")]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    bert = BertConfig(
        vocab_size=len(words),
        hidden_size=text.WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=77,
    )
    second = text.t5_words(256)
    transformer = HunyuanDiT2DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        **HEADS,
        in_channels=4,
        cross_attention_dim=text.WIDTH,
        cross_attention_dim_t5=text.WIDTH,
        pooled_projection_dim=16,
        hidden_size=16,
    )
    return HunyuanDiTPipeline(
        vae=decoders.kl(),
        text_encoder=BertModel(bert),
        tokenizer=tokenizer,
        text_encoder_2=text.t5(second),
        tokenizer_2=second,
        transformer=decoders.enliven(transformer),
        scheduler=DDPMScheduler(prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def cogview3() -> CogView3PlusPipeline:
    """CogView 3 Plus."""
    words = text.t5_words()
    transformer = CogView3PlusTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=2,
        **HEADS,
        text_embed_dim=text.WIDTH,
        time_embed_dim=8,
        condition_dim=2,
        pos_embed_max_size=8,
        sample_size=8,
    )
    return CogView3PlusPipeline(
        tokenizer=words,
        text_encoder=text.t5(words),
        vae=decoders.kl(),
        transformer=decoders.enliven(transformer),
        scheduler=CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    )
