"""Tiny pipelines with random weights, made from configurations and saved as diffusers saves them."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from equidiff_sd.build import build
from equidiff_sd.plugin import SdOptions
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from equidiff.contracts import BuildContext

TOKENS = 16
WIDTH = 16
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tokenizer(folder, **changes):
    """A vocabulary of single letters that CLIP's tokenizer accepts, made offline."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": TOKENS, **changes}))
    return CLIPTokenizer.from_pretrained(folder)


def text_encoder(words, model_class=CLIPTextModel, **changes):
    sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    shared = {"vocab_size": len(words), "max_position_embeddings": TOKENS}
    return model_class(CLIPTextConfig(**{**shared, **sizes, **ends, **changes}))


def text_unet(**changes):
    """A UNet that depends on the text; with random weights alone it hardly would."""
    config = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    unet = UNet2DConditionModel(**{**config, **changes})
    with torch.no_grad():
        for name, values in unet.named_parameters():
            if "attn2.to_" in name:
                values *= 5
    return unet


def xl_unet(**changes):
    """A UNet that depends on two texts of `WIDTH`, a pooled one of 8, and six numbers."""
    unet = text_unet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=8 + 6 * 4,
        **changes,
    )
    with torch.no_grad():
        for values in unet.add_embedding.parameters():
            values *= 5
    return unet


def pixel_unet(**changes):
    config = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    return UNet2DModel(**{**config, **changes})


def autoencoder():
    return AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        scaling_factor=0.18215,
    )


def tiny_autoencoder():
    blocks = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    widths = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    return AutoencoderTiny(latent_channels=4, **blocks, **widths)


def scheduler(method="ddim", **changes):
    if method == "ddim":
        steady = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
        return DDIMScheduler(**{**BETAS, **steady, **changes})
    return EulerDiscreteScheduler(**{**BETAS, "steps_offset": 1, **changes})


def save_text_pipeline(folder, schedule=None, unet=None, vae=None):
    """A Stable Diffusion pipeline of 16-pixel images; returns the pipeline."""
    torch.manual_seed(0)
    words = tokenizer(folder.with_name(folder.name + "-words"))
    pipeline = StableDiffusionPipeline(
        vae=vae or autoencoder(),
        text_encoder=text_encoder(words),
        tokenizer=words,
        unet=unet or text_unet(),
        scheduler=schedule or scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_xl_pipeline(folder, zeros=True, schedule=None, **parts):
    """A Stable Diffusion XL pipeline of 16-pixel images, made as SDXL-Turbo's is; returns the pipeline."""
    torch.manual_seed(0)
    words = tokenizer(folder.with_name(folder.name + "-words"))
    other_words = tokenizer(folder.with_name(folder.name + "-other-words"), pad_token="a")
    second = text_encoder(words, CLIPTextModelWithProjection, num_hidden_layers=3, projection_dim=8)
    made = {
        "vae": autoencoder(),
        "text_encoder": text_encoder(words),
        "text_encoder_2": second,
        "tokenizer": words,
        "tokenizer_2": other_words,
        "unet": xl_unet(),
        "scheduler": schedule or EulerAncestralDiscreteScheduler(**BETAS, steps_offset=1, timestep_spacing="trailing"),
        **parts,
    }
    pipeline = StableDiffusionXLPipeline(**made, force_zeros_for_empty_prompt=zeros, add_watermarker=False)
    pipeline.save_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_pixel_pipeline(folder, schedule=None, unet=None):
    """An unconditional DDPM pipeline of 8-pixel images; returns the pipeline."""
    torch.manual_seed(0)
    pipeline = DDPMPipeline(unet=unet or pixel_unet(), scheduler=schedule or DDPMScheduler(clip_sample=False))
    pipeline.save_pretrained(folder)
    return pipeline


def reachable(folder, **options):
    """The median score of sixteen prior samples, which half of them exceed."""
    generator = build(str(folder), SdOptions(**options), BuildContext())
    latents = torch.randn(16, *generator.latent_shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        samples = generator.generate(latents)
    middle = samples.shape[2] // 2
    return 100 * (samples[:, :, :middle].mean((1, 2, 3)) - samples[:, :, middle:].mean((1, 2, 3))).median().item()


@pytest.fixture(scope="session")
def tiny():
    """The functions of this file, which tests cannot import."""
    return SimpleNamespace(**{name: value for name, value in globals().items() if callable(value)})


@pytest.fixture(scope="session")
def _saved(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    save_text_pipeline(root / "text")
    save_xl_pipeline(root / "xl")
    save_pixel_pipeline(root / "pixels")
    return root


@pytest.fixture
def text(_saved):
    """Folder of a Stable Diffusion pipeline, read only."""
    return _saved / "text"


@pytest.fixture
def pixels(_saved):
    """Folder of a DDPM pipeline, read only."""
    return _saved / "pixels"


@pytest.fixture
def xl(_saved):
    """Folder of a Stable Diffusion XL pipeline, read only."""
    return _saved / "xl"


@pytest.fixture
def xl_copy(xl, tmp_path):
    """Folder of a Stable Diffusion XL pipeline, for a test to damage."""
    return shutil.copytree(xl, tmp_path / "xl")


@pytest.fixture
def text_copy(text, tmp_path):
    """Folder of a Stable Diffusion pipeline, for a test to damage."""
    return shutil.copytree(text, tmp_path / "text")


@pytest.fixture
def pixels_copy(pixels, tmp_path):
    """Folder of a DDPM pipeline, for a test to damage."""
    return shutil.copytree(pixels, tmp_path / "pixels")
