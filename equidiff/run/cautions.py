"""Warnings about the members of a run: sentences that the terminal, the notebook and the report show."""

from __future__ import annotations

import math
from collections.abc import Sequence

from equidiff.contracts import SampleKind
from equidiff.numerics.gaussian import shell_radii
from equidiff.run.info import RunInfo
from equidiff.run.summary import Summary
from equidiff.run.wording import prior_warning, rounded_up

# 1 % of prior samples are outside the shell: with a limit of 5 % and at least two, 16 typical members raise an alarm
# once in a hundred runs, and 64 once in two hundred and fifty
MOST_OUTSIDE_SHELL = 0.05
# Members of the toy and prior samples of VAE decoders leave [0, 1] by 0.003 to 0.02; clipping a root mean square of
# 0.05, which is 13 of 255 grey levels, changes what a person sees
MOST_OUTSIDE_RANGE = 0.05


def cautions(info: RunInfo, summary: Summary, latent_size: int, kind: SampleKind) -> list[str]:
    """Everything that speaks against taking the members at face value.

    Args:
        info: of the run.
        summary: of its samples.
        latent_size: numbers in a latent.
        kind: of the samples.
    """
    found = (*info.notes, prior_warning(info), _shell(summary.latent_norms, latent_size), _range(summary.outside, kind))
    return [each for each in found if each is not None]


def _shell(norms: Sequence[float], size: int) -> str | None:
    low, high = (radius / math.sqrt(size) for radius in shell_radii(size))
    # a solver's limit lies within
    outside = [norm for norm in norms if not 0.9999 * low <= norm <= 1.0001 * high]
    if len(outside) < 2 or len(outside) <= MOST_OUTSIDE_SHELL * len(norms):
        return None
    worst = max(outside, key=lambda norm: abs(norm - 1))
    return (
        f"{len(outside)} of {len(norms)} members have latents of a length that the prior hardly gives (|z|/sqrt(d) "
        f"{'up' if worst > 1 else 'down'} to {worst:.2f}, where {low:.2f} to {high:.2f} is usual): they are products "
        "of the search rather than typical samples."
    )


def _range(distances: Sequence[float], kind: SampleKind) -> str | None:
    outside = [each for each in distances if each > MOST_OUTSIDE_RANGE]
    if not outside:
        return None
    return f"{len(outside)} of {len(distances)} members leave {kind.beyond(f'{rounded_up(max(outside)):g}')}"
