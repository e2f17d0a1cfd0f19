"""Pipelines around a U-Net: Stable Diffusion's, the pixel ones, latent diffusion, Kandinsky's."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    CMStochasticIterativeScheduler,
    ConsistencyModelPipeline,
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    IFPipeline,
    Kandinsky3Pipeline,
    Kandinsky3UNet,
    KandinskyPipeline,
    KandinskyV22Pipeline,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    LDMPipeline,
    LDMTextToImagePipeline,
    PNDMPipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
from transformers import BertTokenizer, CLIPTextModelWithProjection, XLMRobertaTokenizer

from . import decoders, text

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
UNCHECKED = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def text_unet(**changes: Any) -> UNet2DConditionModel:
    """A U-Net of 8-pixel latents that attends to a text."""
    config = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": text.WIDTH,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return decoders.enliven(UNet2DConditionModel(**{**config, **changes}))


def pixel_unet(**changes: Any) -> UNet2DModel:
    """A U-Net of 16-pixel images."""
    config = {
        "sample_size": 16,
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 8,
        "norm_num_groups": 4,
    }
    return decoders.enliven(UNet2DModel(**{**config, **changes}))


def ddim(**changes: Any) -> DDIMScheduler:
    """Stable Diffusion's DDIM scheduler."""
    return DDIMScheduler(**{**BETAS, "clip_sample": False, "set_alpha_to_one": False, **changes})


def sd(schedule: Any = None, vae: AutoencoderKL | None = None, **unet: Any) -> StableDiffusionPipeline:
    """Stable Diffusion 1.5."""
    words = text.clip_words()
    return StableDiffusionPipeline(
        vae=vae or decoders.kl(),
        text_encoder=text.clip(words),
        tokenizer=words,
        unet=text_unet(**unet),
        scheduler=schedule or PNDMScheduler(**BETAS, skip_prk_steps=True),
        **UNCHECKED,
    )


def sd2() -> StableDiffusionPipeline:
    """Stable Diffusion 2, which predicts the velocity."""
    return sd(ddim(prediction_type="v_prediction"), use_linear_projection=True)


def sd_turbo() -> StableDiffusionPipeline:
    """SD-Turbo: one step without guidance."""
    return sd(EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing"))


def lcm() -> LatentConsistencyModelPipeline:
    """A latent consistency model, whose U-Net is told the guidance."""
    words = text.clip_words()
    return LatentConsistencyModelPipeline(
        vae=decoders.kl(),
        text_encoder=text.clip(words),
        tokenizer=words,
        unet=text_unet(time_cond_proj_dim=8),
        scheduler=LCMScheduler(**{key: value for key, value in BETAS.items() if key != "steps_offset"}),
        **UNCHECKED,
    )


def sdxl(schedule: Any = None) -> StableDiffusionXLPipeline:
    """Stable Diffusion XL, with two text encoders."""
    words = text.clip_words()
    unet = text_unet(
        cross_attention_dim=2 * text.WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=text.WIDTH + 6 * 4,
    )
    return StableDiffusionXLPipeline(
        vae=decoders.kl(),
        text_encoder=text.clip(words),
        text_encoder_2=text.clip(words, CLIPTextModelWithProjection),
        tokenizer=words,
        tokenizer_2=text.clip_words(pad_token="a"),
        unet=unet,
        scheduler=schedule or EulerDiscreteScheduler(**BETAS),
        add_watermarker=False,
    )


def sdxl_turbo() -> StableDiffusionXLPipeline:
    """SDXL-Turbo, whose sampler draws noise at each step but the last."""
    return sdxl(EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing"))


def ddpm(schedule: Any = None) -> DDPMPipeline:
    """An unconditional DDPM of pixels."""
    return DDPMPipeline(unet=pixel_unet(), scheduler=schedule or DDPMScheduler(beta_end=0.005, clip_sample=False))


def ddim_pixels() -> DDIMPipeline:
    """An unconditional model of pixels, sampled with DDIM; its scheduler clips the estimate of the image."""
    return DDIMPipeline(unet=pixel_unet(), scheduler=DDIMScheduler(beta_end=0.005))


def pndm() -> PNDMPipeline:
    """An unconditional model of pixels, sampled with PNDM and its Runge-Kutta beginning."""
    return PNDMPipeline(unet=pixel_unet(), scheduler=PNDMScheduler(beta_end=0.005))


def consistency(classes: int | None = 10) -> ConsistencyModelPipeline:
    """A consistency model of pixels with classes."""
    unet = pixel_unet(
        num_class_embeds=classes,
        resnet_time_scale_shift="scale_shift",
        down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    )
    return ConsistencyModelPipeline(unet=unet, scheduler=CMStochasticIterativeScheduler())


def ldm() -> LDMPipeline:
    """Unconditional latent diffusion."""
    unet = pixel_unet(sample_size=8, in_channels=4, out_channels=4)
    return LDMPipeline(vqvae=decoders.vq(), unet=unet, scheduler=ddim())


def ldm_text() -> LDMTextToImagePipeline:
    """Latent diffusion from a text."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *"abcdefghijklmnopqrstuvwxyz", *("##" + letter for letter in "abcdefghijklmnopqrstuvwxyz")]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)}, model_max_length=77)
    config = LDMBertConfig(
        vocab_size=len(words),
        max_position_embeddings=77,
        d_model=text.WIDTH,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        head_dim=8,
    )
    return LDMTextToImagePipeline(
        vqvae=decoders.kl(blocks=4),
        bert=LDMBertModel(config),
        tokenizer=tokenizer,
        unet=text_unet(sample_size=4),
        scheduler=ddim(),
    )


def _kandinsky_unet(**changes: Any) -> UNet2DConditionModel:
    return text_unet(
        out_channels=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        resnet_time_scale_shift="scale_shift",
        encoder_hid_dim=text.WIDTH,
        **changes,
    )


def kandinsky_decoder() -> KandinskyV22Pipeline:
    """Kandinsky 2.2's decoder, which starts from an image's embedding and noise."""
    unet = _kandinsky_unet(addition_embed_type="image", encoder_hid_dim_type="image_proj")
    return KandinskyV22Pipeline(unet=unet, scheduler=_kandinsky_noise(), movq=decoders.movq())


def _kandinsky_noise() -> DDIMScheduler:
    return DDIMScheduler(
        beta_schedule="linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def kandinsky() -> KandinskyPipeline:
    """Kandinsky 2.1, which starts from a text, an image's embedding and noise."""
    letters = [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters, ("<mask>", 0.0)]
    config = MCLIPConfig(
        numDims=text.WIDTH,
        transformerDimensions=text.WIDTH,
        hidden_size=text.WIDTH,
        intermediate_size=32,
        num_attention_heads=2,
        num_hidden_layers=1,
        vocab_size=len(vocabulary),
        max_position_embeddings=128,
    )
    return KandinskyPipeline(
        text_encoder=MultilingualCLIP(config),
        tokenizer=XLMRobertaTokenizer(vocab=vocabulary),
        unet=_kandinsky_unet(addition_embed_type="text_image", encoder_hid_dim_type="text_image_proj"),
        scheduler=_kandinsky_noise(),
        movq=decoders.movq(),
    )


def kandinsky3() -> Kandinsky3Pipeline:
    """Kandinsky 3, whose U-Net has four levels."""
    words = text.t5_words()
    unet = Kandinsky3UNet(
        in_channels=4,
        time_embedding_dim=8,
        groups=2,
        attention_head_dim=4,
        layers_per_block=2,
        block_out_channels=(8, 8, 16, 16),
        cross_attention_dim=8,
        encoder_hid_dim=text.WIDTH,
    )
    return Kandinsky3Pipeline(
        tokenizer=words,
        text_encoder=text.t5(words),
        unet=decoders.enliven(unet),
        scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=True),
        movq=decoders.movq(),
    )


def deepfloyd() -> IFPipeline:
    """DeepFloyd IF's first stage, which makes pixels from a text and learns its variance."""
    words = text.t5_words()
    unet = text_unet(sample_size=16, in_channels=3, out_channels=6, encoder_hid_dim=text.WIDTH)
    schedule = DDPMScheduler(variance_type="learned_range", beta_schedule="squaredcos_cap_v2", thresholding=True)
    return IFPipeline(
        tokenizer=words, text_encoder=text.t5(words), unet=unet, scheduler=schedule, watermarker=None, **UNCHECKED
    )


def embedding() -> dict[str, torch.Tensor]:
    """An image's embedding and that of no image, as a prior of Kandinsky's gives them."""
    draw = torch.Generator().manual_seed(3)
    image = torch.randn(1, text.WIDTH, generator=draw)
    return {"image_embeds": image, "negative_image_embeds": torch.zeros_like(image)}
