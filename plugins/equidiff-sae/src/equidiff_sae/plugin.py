"""The components of this plugin. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.plugin import Descriptor, Options, Reference, hookimpl
from equidiff_sae.catalog import fashion_facts

JOSEPH = Reference(
    "joseph2025prisma",
    "Joseph, Sonia and Suresh, Praneet and Hufe, Lorenz and Stevinson, Edward and Graham, Robert and Vadi, Yash and "
    "Bzdok, Danilo and Lapuschkin, Sebastian and Sharkey, Lee and Richards, Blake Aaron",
    "Prisma: An Open Source Toolkit for Mechanistic Interpretability in Vision and Video",
    2025,
    "https://arxiv.org/abs/2504.19475",
)
BRICKEN = Reference(
    "bricken2023monosemanticity",
    "Bricken, Trenton and Templeton, Adly and Batson, Joshua and others",
    "Towards Monosemanticity: Decomposing Language Models With Dictionary Learning",
    2023,
    "https://transformer-circuits.pub/2023/monosemantic-features",
)


class SaeOptions(Options):
    """Options of `sae`."""

    sae: str | None = Field(
        None,
        description="a folder, a weights file, a hub repository, or a name (or a part of one) from the list below; by "
        "default fashion-sae for toy:fashion, otherwise Prisma's for CLIP ViT-B/32, layer 11, resid_post, all tokens",
    )
    layer: int | None = Field(None, ge=0, description="block of the transformer, if names and files leave it open")
    site: str | None = Field(
        None,
        description="resid_post, mlp_out, resid_mid, attn_out or ln2.hook_normalized of the layer, or the name of a "
        "module, e.g. layer3.5, if left open",
    )
    tokens: Literal["cls", "patches", "all"] | None = Field(
        None, description="tokens to read; by default those that the autoencoder was trained on"
    )
    reduce: Literal["mean", "max", "all"] = Field(
        "mean", description="reduction of several tokens: their mean, their maximum, or each as an output"
    )
    model: str | None = Field(
        None,
        description="the network: a timm name, a folder in timm's layout or a name of another source, e.g. "
        "hf:facebook/dinov2-base; by default that of the autoencoder",
    )
    size: int | None = Field(
        None,
        ge=1,
        description="height and width of the images that the autoencoder was trained on, in pixels, if left open; by "
        "default the network's own",
    )
    checkpoint: str | None = Field(None, description="the transformer's weights, as a local file of timm or open_clip")
    weights: Literal["raw", "processed"] | None = Field(
        None,
        description="treatment of weights as in Prisma: raw, or processed (the default for DINO and transcoders)",
    )
    through: Literal["timm", "prisma"] = Field(
        "timm", description="library that runs the transformer; prisma needs equidiff-sae[prisma]"
    )


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """A feature of a sparse autoencoder."""
    worthwhile = "\n".join(f"{each['index']} {each['shows']}" for each in fashion_facts()["features"])
    return [
        Descriptor(
            published="equidiff_sae.catalog:published",
            name="sae",
            factory="equidiff_sae.objective:build",
            summary="A feature of a sparse autoencoder on a vision network.",
            argument=f"index of the feature\nworth a look in fashion-sae:\n{worthwhile}",
            options=SaeOptions,
            references=(JOSEPH, BRICKEN),
            listing="equidiff_sae.catalog:listing",
            examples=("sae:17", "sae:17,reduce=max", "sae:6547,layer=9", "sae:6547,sae=CLS_9,tokens=cls"),
            synonyms={
                **dict.fromkeys(("feature", "index", "unit", "latent", "neuron"), ":{value}"),
                **dict.fromkeys(("autoencoder", "release", "sae_id", "repo"), "sae"),
                **dict.fromkeys(("block", "hook_layer"), "layer"),
                **dict.fromkeys(("hook", "hook_point"), "site"),
                **dict.fromkeys(("positions", "reduction"), "reduce"),
            },
        )
    ]
