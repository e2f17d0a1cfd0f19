"""`azula:MODEL`: from a spec to a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equidiff.contracts import BuildContext, Generator
from equidiff_azula.generator import Azula, Conditioned
from equidiff_azula.models import load
from equidiff_azula.own import load_own

if TYPE_CHECKING:
    from equidiff_azula.plugin import AzulaOptions


def build(argument: str | None, options: AzulaOptions, context: BuildContext) -> Generator:
    """Build `azula`: load the denoiser, and bind its conditioning.

    Raises:
        UsageError: an option does not fit the model, or the argument is missing.
        UnknownNameError: azula has no such family or model.
        UnsupportedError: the model's weights are a pickle that runs code.
        WeightsError: the weights cannot be fetched, or are damaged.
        PluginError: the user's function fails, or returns no denoiser.
    """
    is_own = ":" in (argument or "")
    model = load_own(argument, options) if is_own else load(argument, options, context)
    denoiser = Conditioned(
        model.denoiser.to(context.device), model.conditioning, context.dtype, recompute=options.checkpoint
    )
    decode = None if model.autoencoder is None else model.autoencoder.to(context.device).decode
    return Azula(denoiser, model.shape, options.sampler, options.steps, decode, options.checkpoint)
