"""A denoiser of the user's own, from a function in a file or module."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from azula.denoise import Denoiser

from equidiff.errors import EquiDiffError, PluginError, UsageError
from equidiff.folders.code import find_function
from equidiff_azula.models import Model

if TYPE_CHECKING:
    from equidiff_azula.plugin import AzulaOptions

SHAPE = re.compile(r"\d+(x\d+)*")
EXPECTED = "an azula.denoise.Denoiser, or a pair of one and an object whose decode(states) gives images in [-1, 1]"


def load_own(argument: str | None, options: AzulaOptions) -> Model:
    """Call the user's function, and read its denoiser.

    Raises:
        UsageError: `shape` is missing or is no shape.
        PluginError: the function fails, or returns no denoiser.
    """
    shape = _shape(argument, options.shape)
    for name in ("label", "prompt", "guidance", "size"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"A denoiser of your own has no {name}: conditioning belongs in the denoiser.",
                given=f"{name}={getattr(options, name)}",
                expected="shape, sampler, steps, checkpoint",
            )
    try:
        made: Any = find_function(argument, "azula")()
    except EquiDiffError:
        raise
    except Exception as error:
        raise PluginError(
            f"{argument} raised {type(error).__name__}: {error}", given=argument, hint="--traceback shows where"
        ) from error
    denoiser, autoencoder = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(denoiser, Denoiser) or (autoencoder is not None and not hasattr(autoencoder, "decode")):
        raise PluginError(f"{argument} returns no denoiser.", given=type(made).__name__, expected=EXPECTED)
    return Model(denoiser, shape, {}, autoencoder)


def _shape(argument: str | None, text: str | None) -> tuple[int, ...]:
    if text is None or not SHAPE.fullmatch(text) or "0" in text.split("x"):
        raise UsageError(
            "A denoiser of your own needs the shape of its noise.",
            given=f"shape={text}" if text else "no shape",
            expected="channels x height x width",
            hint=f"azula:{argument},shape=3x32x32",
        )
    return tuple(int(side) for side in text.split("x"))
