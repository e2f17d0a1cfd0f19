"""The component of this plugin. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.plugin import Descriptor, Options, Reference, hookimpl

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
ZHANG = Reference(
    "zhang2023deis",
    "Zhang, Qinsheng and Chen, Yongxin",
    "Fast Sampling of Diffusion Models with Exponential Integrator",
    2023,
    "https://arxiv.org/abs/2204.13902",
)
DHARIWAL = Reference(
    "dhariwal2021adm",
    "Dhariwal, Prafulla and Nichol, Alex",
    "Diffusion Models Beat GANs on Image Synthesis",
    2021,
    "https://arxiv.org/abs/2105.05233",
)


class AzulaOptions(Options):
    """Options of `azula`."""

    sampler: Literal["euler", "heun", "zab", "vab", "zeab", "xeab", "reab"] = Field(
        "euler", description="azula's sampler: euler (the same as DDIM), heun, or a multi-step one of order 2"
    )
    steps: int = Field(20, ge=1, le=1000, description="sampler steps")
    label: int | None = Field(None, ge=0, description="class label, for models that are conditional on one")
    prompt: str | None = Field(None, description="description of the image, for sd, sana and flux; empty by default")
    guidance: float | None = Field(
        None,
        ge=1,
        le=100,
        description="scale of classifier-free guidance, 1 (off) by default; for flux the guidance that its network "
        "takes as an input, 4 by default",
    )
    size: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="side of the image in pixels, for sd, sana and flux; the model's own by default",
    )
    shape: str | None = Field(
        None, description="channels x height x width of the noise, e.g. 3x32x32; needed for a denoiser of your own"
    )
    checkpoint: bool = Field(
        True, description="recompute each evaluation of the network in the backward pass, to save memory"
    )


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """Denoisers of azula, published ones and the user's own."""
    return [
        Descriptor(
            "azula",
            "equidiff_azula.build:build",
            "Diffusion models that azula loads (ADM, JiT, VDM, SD, SANA, FLUX), or a denoiser of your own.",
            argument="FAMILY/MODEL of azula, such as adm/imagenet_256x256; or FILE.py:FUNCTION that returns a denoiser",
            options=AzulaOptions,
            references=(SONG, KARRAS, ZHANG, DHARIWAL),
            needs=("azula",),
            examples=(
                "azula:adm/imagenet_256x256",
                "azula:jit/jit_0.1b_16,label=340,sampler=heun",
                "azula:./denoiser.py:load,shape=3x32x32",
            ),
            synonyms={
                **dict.fromkeys(("model", "name", "card"), ":{value}"),
                **dict.fromkeys(("num_inference_steps", "n_steps"), "steps"),
                **dict.fromkeys(("scheduler", "method"), "sampler"),
                **dict.fromkeys(("class", "class_label"), "label"),
                **dict.fromkeys(("guidance_scale", "cfg"), "guidance"),
                **dict.fromkeys(("height", "width", "resolution"), "size"),
            },
        )
    ]
