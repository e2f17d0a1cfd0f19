"""The components of this plugin. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.plugin import Descriptor, Options, Reference, hookimpl

ROMBACH = Reference(
    "rombach2022ldm",
    "Rombach, Robin and Blattmann, Andreas and Lorenz, Dominik and Esser, Patrick and Ommer, Bjorn",
    "High-Resolution Image Synthesis with Latent Diffusion Models",
    2022,
    "https://arxiv.org/abs/2112.10752",
)
PODELL = Reference(
    "podell2023sdxl",
    "Podell, Dustin and English, Zion and Lacey, Kyle and Blattmann, Andreas and Dockhorn, Tim and Müller, Jonas"
    " and Penna, Joe and Rombach, Robin",
    "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis",
    2023,
    "https://arxiv.org/abs/2307.01952",
)
SONG = Reference(
    "song2021ddim",
    "Song, Jiaming and Meng, Chenlin and Ermon, Stefano",
    "Denoising Diffusion Implicit Models",
    2021,
    "https://arxiv.org/abs/2010.02502",
)
KARRAS = Reference(
    "karras2022edm",
    "Karras, Tero and Aittala, Miika and Aila, Timo and Laine, Samuli",
    "Elucidating the Design Space of Diffusion-Based Generative Models",
    2022,
    "https://arxiv.org/abs/2206.00364",
)
HO = Reference(
    "ho2022guidance",
    "Ho, Jonathan and Salimans, Tim",
    "Classifier-Free Diffusion Guidance",
    2022,
    "https://arxiv.org/abs/2207.12598",
)
SAUER = Reference(
    "sauer2023turbo",
    "Sauer, Axel and Lorenz, Dominik and Blattmann, Andreas and Rombach, Robin",
    "Adversarial Diffusion Distillation",
    2023,
    "https://arxiv.org/abs/2311.17042",
)


class SdOptions(Options):
    """Options of `sd`."""

    prompt: str | None = Field(None, description="description of the image; none by default, for unconditional images")
    guidance: float = Field(1.0, ge=1, le=100, description="scale of classifier-free guidance; 1 turns it off")
    scheduler: Literal["ddim", "euler"] | None = Field(
        None, description="ddim or euler; ddim by default, except for models that come with euler, such as turbo"
    )
    steps: int | None = Field(
        None, ge=1, le=1000, description="sampler steps; 20 by default, 1 for turbo and sdxl-turbo"
    )
    size: int | None = Field(
        None, ge=8, le=4096, description="side of the image in pixels, a multiple of 8; the model's own by default"
    )
    vae: Literal["full", "tiny"] = Field(
        "full", description="full: the model's own autoencoder; tiny: TAESD or TAESDXL, less accurate and far smaller"
    )
    tiny: str | None = Field(
        None, description="folder or hub id of the tiny autoencoder; madebyollin/taesd or taesdxl by default"
    )
    checkpoint: bool = Field(
        True, description="recompute each sampler step in the backward pass, which saves memory and takes more time"
    )


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """Stable Diffusion, and unconditional diffusion models."""
    return [
        Descriptor(
            "sd",
            "equidiff_sd.build:build",
            "Stable Diffusion 1.5, 2.1, XL and Turbo, and unconditional diffusers pipelines (DDPM, DDIM).",
            argument="1.5 (default), 2.1, turbo or sdxl-turbo; a local diffusers folder; or a hub id, ORG/REPO",
            options=SdOptions,
            references=(ROMBACH, PODELL, SONG, KARRAS, HO, SAUER),
            needs=("diffusers", "transformers"),
            examples=(
                "sd",
                "sd:turbo,vae=tiny",
                "sd:sdxl-turbo,prompt=zebra",
                "sd:2.1,prompt=zebra,guidance=7.5",
                "sd:google/ddpm-cifar10-32",
            ),
            synonyms={
                **dict.fromkeys(("version", "model", "model_id", "repo", "name", "path"), ":{value}"),
                **dict.fromkeys(("guidance_scale", "cfg"), "guidance"),
                **dict.fromkeys(("num_inference_steps", "n_steps"), "steps"),
                **dict.fromkeys(("sampler", "method"), "scheduler"),
                **dict.fromkeys(("height", "width", "resolution"), "size"),
                **dict.fromkeys(("text", "caption", "class"), "prompt"),
            },
        )
    ]
