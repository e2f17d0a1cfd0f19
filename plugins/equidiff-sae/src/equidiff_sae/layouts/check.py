"""Comparison of tensors with settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from equidiff.errors import WeightsError
from equidiff_sae.config import RIVALS, SaeConfig

NEEDED = {
    "standard": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "gated": ("W_enc", "b_gate", "r_mag", "b_mag", "W_dec", "b_dec"),
    "transcoder": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "pursuit": ("W_dec", "b_dec"),
}


def check(config: SaeConfig, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Compare tensors with settings.

    Raises:
        WeightsError: a tensor is missing, or has another shape than the settings say.
    """
    wide, into, out = config.d_sae, config.d_in, config.d_out
    shapes = {"W_enc": (into, wide), "W_dec": (wide, out), "W_skip": (out, into), "b_dec_out": (out,)}
    shapes["b_dec"] = (into if config.centred else out,)
    shapes |= {name: (wide,) for name in ("b_enc", "b_gate", "r_mag", "b_mag", "threshold")}
    needed = [*NEEDED[config.architecture], *(["threshold"] if config.activation == "jumprelu" else [])]
    needed += ["W_skip"] if config.skip else []
    needed += ["b_dec_out"] if config.architecture == "transcoder" and config.layout == "prisma" else []
    missing = [name for name in needed if name not in tensors]
    if missing:
        raise WeightsError(
            f"The weights lack {', '.join(missing)}.",
            given=f"{', '.join(sorted(tensors)) or 'no tensors'} in {path}",
            expected=f"the tensors of a {config.architecture} autoencoder",
        )
    for name, shape in shapes.items():
        if name in tensors and tuple(tensors[name].shape) != shape:
            raise WeightsError(
                f"The tensor {name} does not fit the settings.",
                given=f"shape {tuple(tensors[name].shape)} in {path}",
                expected=f"shape {shape}: d_in {into}, d_sae {wide}",
            )
    if config.activation in RIVALS and not 1 <= (config.k or 0) <= wide:
        raise WeightsError("The settings do not say how many features stay on.", given=f"k = {config.k}", expected="k")
