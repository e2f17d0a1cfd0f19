"""Denoisers of azula.

Each sampler runs six steps with a network of random weights, or with the flow of `toy:fashion` behind azula's
interface. The difference is that of the image, with values in [0, 1], from that of the sampler's own call for the same
start noise. The gradient is that of a random combination of the image's values along one direction, in float32, against
the best of five central finite differences.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
from azula.denoise import Denoiser
from azula.plugins import adm
from azula.plugins.jit import JITDenoiser
from azula.plugins.jit._src.model import JiT
from equidiff_azula.build import build
from equidiff_azula.generator import SAMPLERS, Azula, Conditioned
from equidiff_azula.models import PICKLES
from equidiff_azula.plugin import AzulaOptions

from benchmarks.parity import ROOT, Row
from benchmarks.parity.diffusers_pipelines import measure
from equidiff.contracts import BuildContext
from equidiff.errors import UnsupportedError

sys.path.insert(0, str(ROOT / "examples"))

import azula_denoiser

LIBRARIES = ("azula", "torch")
STEPS = 6


def rows() -> Iterator[Row]:
    """A row for each sampler, each kind of network, and each family that is refused."""
    for name in SAMPLERS:
        yield _measured(
            f"`{SAMPLERS[name].__name__}`", "the flow of `toy:fashion`", name, azula_denoiser.load(), {}, 28
        )
    yield _measured("ADM", "random weights, 16 pixels, class 2", "euler", _adm(), _label(2), 16)
    yield _measured("JiT", "random weights, 16 pixels, class 3", "heun", _jit(), _label(3), 16)
    for family in PICKLES:
        yield Row(family.upper(), "its published weights", refused=_reason(family))


def _measured(name: str, loaded: str, sampler: str, denoiser: Denoiser, label: dict[str, Any], side: int) -> Row:
    shape = (1 if side == 28 else 3, side, side)
    latents = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    generator = Azula(Conditioned(denoiser, label), shape, sampler, STEPS)
    alpha, sigma = denoiser.schedule(torch.tensor(1.0))
    own = SAMPLERS[sampler](denoiser, steps=STEPS, silent=True)
    classes = {key: value.expand(2) for key, value in label.items()}
    images = own(torch.sqrt(alpha**2 + sigma**2) * latents, **classes) / 2 + 0.5
    with torch.no_grad():
        difference = float((generator.generate(latents) - images).abs().max())
    return Row(name, loaded, difference, measure.gradient_error(generator, latents[:1]))


def _label(index: int) -> dict[str, Any]:
    return {"label": torch.tensor([index])}


def _adm() -> Denoiser:
    sizes: dict[str, Any] = {"num_channels": 32, "channel_mult": (1, 2), "num_res_blocks": 1, "num_head_channels": 16}
    return _randomised(
        adm.make_model(image_size=16, attention_resolutions=(8,), num_classes=3, clip_mean=False, **sizes)
    )


def _jit() -> Denoiser:
    sizes = {"hidden_size": 32, "depth": 3, "num_heads": 2, "bottleneck_dim": 8}
    network = JiT(input_size=16, patch_size=4, num_classes=5, in_context_len=2, in_context_start=1, **sizes)
    return _randomised(JITDenoiser(network, num_classes=5))


def _randomised(denoiser: Denoiser) -> Denoiser:
    """Random weights everywhere: such networks begin with zeros in their last layers."""
    draw = torch.Generator().manual_seed(0)
    for parameter in denoiser.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=draw)
    return denoiser.eval()


def _reason(family: str) -> str:
    try:
        build(f"{family}/any", AzulaOptions(), BuildContext())
    except UnsupportedError as error:
        return "its weights are a pickle" if "pickle" in error.problem else error.problem
    raise AssertionError(f"{family} is loaded")
