"""Tiny pipelines with random weights: one of each family that diffusers knows, made without a network.

`build("flux")` gives a pipeline, the same one each time; `save("flux", folder)` writes it as `save_pretrained` does.
`CALLS["flux"]` holds the arguments of its call that give a small image in two steps.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from . import cascades, dits, flows, fluxes, recent, unets

FAMILIES: dict[str, Callable[[], DiffusionPipeline]] = {
    "sd": unets.sd,
    "sd2": unets.sd2,
    "sd-turbo": unets.sd_turbo,
    "sdxl": unets.sdxl,
    "sdxl-turbo": unets.sdxl_turbo,
    "lcm": unets.lcm,
    "ddpm": unets.ddpm,
    "ddim": unets.ddim_pixels,
    "pndm": unets.pndm,
    "consistency": unets.consistency,
    "ldm": unets.ldm,
    "ldm-text": unets.ldm_text,
    "kandinsky": unets.kandinsky,
    "kandinsky-2.2": unets.kandinsky_decoder,
    "kandinsky-3": unets.kandinsky3,
    "deepfloyd": unets.deepfloyd,
    "dit": dits.dit,
    "pixart-alpha": dits.pixart_alpha,
    "pixart-sigma": dits.pixart_sigma,
    "sana": dits.sana,
    "sana-sprint": dits.sana_sprint,
    "hunyuan-dit": dits.hunyuan_dit,
    "cogview3": dits.cogview3,
    "sd3": flows.sd3,
    "auraflow": flows.auraflow,
    "lumina": flows.lumina,
    "lumina2": flows.lumina2,
    "cogview4": flows.cogview4,
    "z-image": flows.z_image,
    "qwen-image": flows.qwen_image,
    "flux": fluxes.flux,
    "flux-schnell": fluxes.flux_schnell,
    "flux2": fluxes.flux2,
    "flux2-klein": fluxes.flux2_klein,
    "chroma": fluxes.chroma,
    "ovis": fluxes.ovis,
    "bria": fluxes.bria,
    "prx": recent.prx,
    "prx-pixel": recent.prx_pixel,
    "krea2": recent.krea2,
    "ernie-image": recent.ernie_image,
    "longcat": recent.longcat,
    "hunyuan-image": recent.hunyuan_image,
    "wuerstchen": cascades.wuerstchen,
    "stable-cascade": cascades.stable_cascade,
}
"""Builders of the families, by name."""

UNREADABLE = {"prx", "stable-cascade", "wuerstchen"}
"""Families whose folders diffusers cannot read: it looks for one of their networks among its own, where it is not."""

_STEPS = {"num_inference_steps": 2}
_TEXT = {"prompt": "a cat", **_STEPS}
_SIZED = {**_TEXT, "height": 16, "width": 16}
_UNBINNED = {**_SIZED, "use_resolution_binning": False}
_UNGUIDED = {**_TEXT, "guidance_scale": 0.0}
_SANA = {**_UNBINNED, "height": 32, "width": 32}

CALLS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(FAMILIES, _SIZED),
    **dict.fromkeys(("sd", "sd2", "sdxl", "lcm", "deepfloyd", "ldm-text"), _TEXT),
    **dict.fromkeys(("sd-turbo", "sdxl-turbo"), _UNGUIDED),
    **dict.fromkeys(("ddpm", "ddim", "ldm"), _STEPS),
    **dict.fromkeys(("pixart-alpha", "pixart-sigma", "hunyuan-dit", "prx", "prx-pixel"), _UNBINNED),
    **dict.fromkeys(("sana", "sana-sprint"), _SANA),
    "pndm": {"num_inference_steps": 4},
    "consistency": {**_STEPS, "class_labels": 1},
    "longcat": {**_SIZED, "enable_prompt_rewrite": False},
    "dit": {**_STEPS, "class_labels": [1]},
    "lumina": {**_TEXT, "height": 32, "width": 32},
    "lumina2": {**_TEXT, "height": 32, "width": 32},
    "kandinsky": {**_SIZED, **unets.embedding()},
    "kandinsky-2.2": {**_STEPS, "height": 16, "width": 16, **unets.embedding()},
    "wuerstchen": {**_TEXT, **cascades.embedding()},
    "stable-cascade": {**_TEXT, **cascades.embedding()},
}
"""Arguments of each family's call, for one small image in two steps."""


def build(name: str) -> DiffusionPipeline:
    """Pipeline of a family, with the same weights each time, and silent."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        pipeline = FAMILIES[name]()
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save(name: str, folder: str | Path) -> DiffusionPipeline:
    """Write a family's pipeline to a folder that `from_pretrained` reads without a network; returns the pipeline."""
    pipeline = build(name)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return pipeline
