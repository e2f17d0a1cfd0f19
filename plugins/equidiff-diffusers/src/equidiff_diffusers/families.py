"""Pipelines of diffusers that can be generators, and why others cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from equidiff.errors import UnsupportedError, nearest

Exit = Literal["processor", "decoder", "state"]


@dataclass(frozen=True)
class Family:
    """Properties that distinguish the pipelines from each other, where the signature of their call does not.

    Attributes:
        exit: the last thing before the clamp: the image processor, the decoder, or the sampler's last state.
        signed: the image is in [-1, 1] there.
        encode: methods that encode prompts, or the text encoder where the call uses it itself.
        guidance: argument for the scale of guidance; None where there is none.
        off: the scale without classifier-free guidance; None where the network is told the scale, and needs one.
        negative: it takes a negative prompt.
        once: it takes one prompt for all rows.
        classes: it takes a class.
    """

    exit: Exit = "processor"
    signed: bool = True
    encode: tuple[str, ...] = ("encode_prompt",)
    guidance: str | None = "guidance_scale"
    off: float | None = 1.0
    negative: bool = True
    once: bool = False
    classes: bool = False


TEXT = Family()
TOLD = Family(off=None)  # the network is told the scale
TRUE = Family(guidance="true_cfg_scale")
PIXELS = Family(exit="state", encode=(), guidance=None)

FAMILIES: Mapping[str, Family] = {
    "AuraFlowPipeline": TEXT,
    "BriaPipeline": TEXT,
    "ChromaPipeline": TEXT,
    "CogView3PlusPipeline": TEXT,
    "CogView4Pipeline": TEXT,
    "ConsistencyModelPipeline": Family(exit="state", encode=(), guidance=None, classes=True),
    "DDIMPipeline": PIXELS,
    "DDPMPipeline": PIXELS,
    "DiTPipeline": Family(exit="decoder", encode=(), classes=True),
    "ErnieImagePipeline": TEXT,
    "Flux2KleinPipeline": TEXT,
    "Flux2Pipeline": TOLD,
    "FluxPipeline": Family(off=None, negative=False),  # a negative prompt would do nothing without a second scale
    "HunyuanDiTPipeline": TEXT,
    "HunyuanImagePipeline": Family(guidance=None),  # the scale is its guider's
    "IFPipeline": Family(exit="state"),
    "Kandinsky3Pipeline": Family(exit="decoder"),
    "KandinskyPipeline": Family(exit="decoder", encode=("_encode_prompt",)),
    "KandinskyV22Pipeline": Family(exit="decoder", encode=()),
    "Krea2Pipeline": Family(off=0.0),
    "LDMPipeline": Family(exit="decoder", encode=(), guidance=None),
    "LDMTextToImagePipeline": Family(exit="decoder", encode=("bert",)),
    "LatentConsistencyModelPipeline": TOLD,
    "LongCatImagePipeline": TEXT,
    "Lumina2Pipeline": TEXT,
    "LuminaPipeline": TEXT,
    "OvisImagePipeline": TEXT,
    "PNDMPipeline": PIXELS,
    "PRXPipeline": TEXT,
    "PRXPixelPipeline": TEXT,
    "PixArtAlphaPipeline": TEXT,
    "PixArtSigmaPipeline": TEXT,
    "QwenImagePipeline": TRUE,
    "SanaPipeline": TEXT,
    "SanaSprintPipeline": TOLD,
    "StableCascadeDecoderPipeline": Family(exit="decoder", signed=False, off=0.0),
    "StableDiffusion3Pipeline": TEXT,
    "StableDiffusionPipeline": TEXT,
    "StableDiffusionXLPipeline": TEXT,
    "WuerstchenDecoderPipeline": Family(exit="decoder", signed=False, off=0.0, once=True),
    "ZImagePipeline": Family(off=0.0),
}

REASONS = (  # the first that matches a name
    (r"^OmniGenPipeline$|Cosmos2TextToImage", "no test covers it yet"),
    (r"Modular", "it is a modular pipeline, which has no call that could be followed"),
    (r"Img2Img|Depth2Img|Variation|Kontext|Edit|Pix2Pix|Cycle|Paint|Fill|Upscal|SuperRes|Refiner|Layered|Redux|Omni"
     r"|I2I|SRPipeline|Blip",
     "it starts from an image"),
    (r"Inpaint|RePaint", "it fills in an image"),
    (r"ControlNet|Control|Adapter|GLIGEN|Cloze", "it is steered by an image"),
    (r"Video|Wan|LTX|Mochi|Allegro|Cog(VideoX)|Latte|AnimateDiff|Cosmos|SkyReels|Helios|ConsisID|EasyAnimate|T2V|I2V"
     r"|AnyFlow|PIA|SanaWM",
     "it makes videos"),
    (r"Audio|Music|AceStep|Dance|Spectrogram", "it makes sound"),
    (r"Prior", "it makes embeddings of images; the decoder that goes with it makes the image"),
    (r"Combined", "it is two samplers after each other; its decoder alone is supported in Python, with embeddings"),
    (r"VQDiffusion|Amused|LLaDA|Gemma", "it starts from tokens, not from noise"),
    (r"ShapE|Proteina|Marigold", "it does not make images"),
    (r"PAG", "its call changes the attention of its network, which threads share"),
    (r"ScoreSdeVe|KarrasVe", "its sampler takes two kinds of steps"),
    (r"Onnx", "its networks have no gradients"),
    (r"Kandinsky5|HiDream", "it makes images of one size, too large for a test"),
    (r"StableDiffusion(Safe|SAG|Panorama|AttendAnd|Paradigms|LDM3D)|StableDiffusionPipelineSafe|Semantic|Alt|Versatile|UniDiff",
     "diffusers no longer maintains it"),
    (r"UnCLIP", "it is several samplers after each other"),
    (r"GlmImage", "a language model writes the tokens of its image first"),
)  # fmt: skip


def family(name: str) -> Family:
    """The family of a pipeline, by the name of its class.

    Raises:
        UnsupportedError: pipelines of this class are not supported.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    reason = next((why for pattern, why in REASONS if re.search(pattern, name)), "no test covers it yet")
    near = nearest(name, FAMILIES)
    raise UnsupportedError(
        f"A {name} cannot be used as a generator: {reason}.",
        given=name,
        expected=f"one of {len(FAMILIES)} pipelines from noise to an image, such as {(near or ['FluxPipeline'])[0]}",
        hint="equidiff show generator diffusers",
    )


def table() -> tuple[list[str], list[list[str]]]:
    """The pipelines that can be generators, for `equidiff show`."""
    return ["pipeline", "options beside those that all have"], [
        [name, _options(each)] for name, each in FAMILIES.items()
    ]


def _options(each: Family) -> str:
    named = {"prompt": each.encode, "class": each.classes, "guidance": each.guidance}
    return ", ".join(name for name, there in named.items() if there)
