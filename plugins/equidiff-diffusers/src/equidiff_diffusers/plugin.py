"""The components of this plugin. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.plugin import Descriptor, Options, Reference, hookimpl

PLATEN = Reference(
    "vonplaten2022diffusers",
    "von Platen, Patrick and Patil, Suraj and Lozhkov, Anton and Cuenca, Pedro and Lambert, Nathan and Rasul, Kashif"
    " and Davaadorj, Mishig and Wolf, Thomas",
    "Diffusers: State-of-the-Art Diffusion Models",
    2022,
    "https://github.com/huggingface/diffusers",
)


class DiffusersOptions(Options):
    """Options of `diffusers`."""

    prompt: str | None = Field(
        None, description="description of the image; the empty prompt, without guidance, by default"
    )
    negative: str | None = Field(None, description="description of what to avoid, where the pipeline takes one")
    guidance: float | None = Field(
        None, ge=0, le=100, description="scale of guidance, as the pipeline means it; the pipeline's own by default"
    )
    label: str | None = Field(
        None, alias="class", description="index or name of a class, for pipelines with classes; none by default"
    )
    steps: int | None = Field(
        None, ge=1, le=1000, description="sampler steps; the pipeline's own number by default, but at most 20"
    )
    size: str | None = Field(
        None,
        pattern=r"^\d{1,4}(x\d{1,4})?$",
        description="side of the image in pixels, or height x width such as 512x768; the pipeline's own by default",
    )
    scheduler: str | None = Field(
        None, description="class of another scheduler, such as EulerDiscreteScheduler or euler; the folder's by default"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="precision of the networks; auto is bfloat16 for those of more than a billion parameters, and "
        "else --dtype; the decoder and the sampler are always in float32",
    )
    variant: str | None = Field(None, description="variant of the weights files to prefer, such as fp16")
    lora: str | None = Field(None, description="LoRA to add to the weights: a safetensors file, a folder or a hub id")
    lora_scale: float = Field(1.0, ge=-10, le=10, description="factor on what the LoRA changes")
    checkpoint: bool = Field(
        True, description="recompute each network in the backward pass, which saves memory and takes more time"
    )


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """Pipelines of diffusers."""
    return [
        Descriptor(
            "diffusers",
            "equidiff_diffusers.build:build",
            "Any diffusers pipeline from noise to an image: SD3, FLUX, SANA, PixArt, DiT, Lumina, Z-Image, and others.",
            argument="a local folder that save_pretrained wrote; or a hub id, ORG/REPO",
            options=DiffusersOptions,
            references=(PLATEN,),
            needs=("diffusers", "transformers"),
            examples=(
                "diffusers:./my-pipeline",
                "diffusers:black-forest-labs/FLUX.1-schnell,prompt=a zebra,steps=4",
                "diffusers:facebook/DiT-XL-2-256,class=340,guidance=4",
            ),
            listing="equidiff_diffusers.families:table",
            synonyms={
                **dict.fromkeys(("model", "model_id", "repo", "name", "path", "folder"), ":{value}"),
                **dict.fromkeys(("guidance_scale", "cfg", "true_cfg_scale"), "guidance"),
                **dict.fromkeys(("num_inference_steps", "n_steps"), "steps"),
                **dict.fromkeys(("sampler", "method"), "scheduler"),
                **dict.fromkeys(("height", "width", "resolution"), "size"),
                **dict.fromkeys(("text", "caption"), "prompt"),
                **dict.fromkeys(("negative_prompt", "avoid"), "negative"),
                **dict.fromkeys(("label", "class_label", "class_labels", "y"), "class"),
                "torch_dtype": "dtype",
                **dict.fromkeys(("adapter", "lora_weights"), "lora"),
            },
        )
    ]
