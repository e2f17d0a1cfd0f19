"""The components of this plugin. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.plugin import Descriptor, Options, Reference, hookimpl

YAO = Reference(
    "yao2025lightningdit",
    "Yao, Jingfeng and Yang, Bin and Wang, Xinggang",
    "Reconstruction vs. Generation: Taming Optimization Dilemma in Latent Diffusion Models",
    2025,
    "https://arxiv.org/abs/2501.01423",
)
PEEBLES = Reference(
    "peebles2023dit",
    "Peebles, William and Xie, Saining",
    "Scalable Diffusion Models with Transformers",
    2023,
    "https://arxiv.org/abs/2212.09748",
)
MA = Reference(
    "ma2024sit",
    "Ma, Nanye and Goldstein, Mark and Albergo, Michael S. and Boffi, Nicholas M. and Vanden-Eijnden, Eric and "
    "Xie, Saining",
    "SiT: Exploring Flow and Diffusion-Based Generative Models with Scalable Interpolant Transformers",
    2024,
    "https://arxiv.org/abs/2401.08740",
)
YU = Reference(
    "yu2025repa",
    "Yu, Sihyun and Kwak, Sangkyung and Jang, Huiwon and Jeong, Jongheon and Huang, Jonathan and Shin, Jinwoo and "
    "Xie, Saining",
    "Representation Alignment for Generation: Training Diffusion Transformers Is Easier Than You Think",
    2025,
    "https://arxiv.org/abs/2410.06940",
)
PENG = Reference(
    "peng2025facm",
    "Peng, Yansong and Zhu, Kai and Liu, Yu and Wu, Pingyu and Li, Hebei and Sun, Xiaoyan and Wu, Feng",
    "Flow-Anchored Consistency Models",
    2025,
    "https://arxiv.org/abs/2507.03738",
)


class FlowOptions(Options):
    """Options of both generators."""

    label: int | None = Field(None, alias="class", ge=0, description="class index; unconditional when absent")
    guidance: float = Field(
        1.0, ge=1, le=100, description="scale of classifier-free guidance towards the class; 1 turns it off"
    )
    guidance_start: float = Field(
        0.0, ge=0, le=1, description="time from which guidance applies (0 is noise, 1 is data)"
    )
    guided_channels: int | None = Field(
        None,
        ge=1,
        description="number of channels to guide, from the first; 3 as published, with scales of 6 to 10",
    )
    method: Literal["euler", "midpoint", "heun2", "rk4", "dopri5"] = Field(
        "euler", description="integrator of the flow"
    )
    checkpoint: bool = Field(
        True, description="recompute each step in the backward pass, which saves memory and takes more time"
    )
    compile: bool = Field(False, description="compile the transformer, which takes a minute and makes the run faster")
    heads: int | None = Field(None, ge=1, description="number of attention heads, for checkpoints that do not imply it")


class LightningDiTOptions(FlowOptions):
    """Options of `lightningdit`."""

    steps: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="network evaluations; 50 by default, 12 for fashion, 249 as published; 1 for consistency, 2 for "
        "facm-100ep",
    )
    sampler: Literal["flow", "consistency"] | None = Field(
        None,
        description="flow integrates, consistency jumps to the end in one step or a few, with noise of its own for "
        "each; by default consistency for facm, and for a checkpoint with an r_embedder",
    )
    shift: float = Field(
        0.3,
        ge=0,
        le=100,
        description="shift of the time grid: below 1, more steps are near the noise; 1 makes it uniform",
    )
    autoencoder: str | None = Field(
        None, description="file of the VA-VAE; by default that of the folder, otherwise that of the hub"
    )
    stats: str | None = Field(
        None, description="file of the latent statistics; by default that of the folder, otherwise that of the hub"
    )
    multiplier: float = Field(1.0, gt=0, description="factor on normalised latents in training")


class SitOptions(FlowOptions):
    """Options of `sit`."""

    steps: int | None = Field(None, ge=1, le=10_000, description="network evaluations; 50 by default")
    shift: float = Field(
        1.0, ge=0, le=100, description="shift of the time grid: below 1, more steps are near the noise; 1 as published"
    )
    autoencoder: str | None = Field(
        None,
        description="folder of an AutoencoderKL of diffusers; by default vae beside the checkpoint, otherwise "
        "stabilityai/sd-vae-ft-ema from the hub",
    )
    multiplier: float | None = Field(
        None, gt=0, description="factor on latents in training; by default the autoencoder's own, 0.18215"
    )
    time: Literal["sit", "repa"] | None = Field(
        None,
        description="direction of the network's time: sit from noise to data, repa from data to noise; by default "
        "repa if the checkpoint has REPA's projectors",
    )


ARGUMENT = (
    "xl-800ep (default), xl-64ep: published, from the hub; facm, facm-100ep: consistency models of one step and of "
    "two, which need a class; facm-teacher: the flow they learned from; fashion: small, ships with the plugin; or the "
    "path of a folder with transformer, autoencoder and latent statistics, or of a transformer's file"
)
SYNONYMS = {
    **dict.fromkeys(("model", "name", "path", "weights", "ckpt"), ":{value}"),
    **dict.fromkeys(("label", "class_label", "y"), "class"),
    **dict.fromkeys(("guidance_scale", "cfg", "cfg_scale"), "guidance"),
    **dict.fromkeys(("num_steps", "num_inference_steps", "nfe"), "steps"),
    **dict.fromkeys(("solver", "integrator"), "method"),
}


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """Latent flow models of photographs, and a small one of garments."""
    return [
        Descriptor(
            name="lightningdit",
            factory="equidiff_lightningdit.build:build",
            summary="LightningDiT: a flow of latent tokens, decoded by the VA-VAE to photographs of 256x256 pixels.",
            argument=ARGUMENT,
            options=LightningDiTOptions,
            references=(YAO, PENG, PEEBLES),
            needs=("diffusers", "torchdiffeq"),
            examples=(
                "lightningdit",
                "lightningdit:xl-64ep,class=340,guidance=4",
                "lightningdit,class=340,guidance=6.7,guidance_start=0.125,guided_channels=3,steps=249",
                "lightningdit:facm,class=340",
                "lightningdit:./my-checkpoints,steps=25",
                "lightningdit:fashion",
            ),
            published="equidiff_lightningdit.published:published",
            synonyms=SYNONYMS | {"vae": "autoencoder", "vavae": "autoencoder", "timestep_shift": "shift"},
        ),
        Descriptor(
            name="sit",
            factory="equidiff_lightningdit.sit:build",
            summary="SiT and REPA: flows of latents with DiT's transformer, decoded by Stable Diffusion's autoencoder.",
            argument="path of a checkpoint of SiT or REPA, or of a folder with one and the autoencoder in vae",
            options=SitOptions,
            references=(MA, YU, PEEBLES),
            needs=("diffusers", "torchdiffeq"),
            examples=(
                "sit:./SiT-XL-2-256x256.pt",
                "sit:./SiT-XL-2-256x256.pt,class=207,guidance=4,guided_channels=3,autoencoder=./sd-vae-ft-ema",
            ),
            synonyms=SYNONYMS | {"vae": "autoencoder", "sampler": "method"},
        ),
    ]
