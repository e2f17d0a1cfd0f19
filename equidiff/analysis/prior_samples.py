"""The prior samples that a run measured before its search, as they lie in its folder."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.run.invariant_set import InvariantSet


def prior_samples(found: InvariantSet) -> Tensor:
    """The run's own prior samples `[count, *sample_shape]`, images in [0, 1]; without rows for a run without any."""
    known = found.prior
    samples = known.get("samples", torch.empty(0))
    others = [known.get("losses", torch.empty(0)), known.get("classes", samples)]
    if samples.shape[1:] != found.sample_shape or any(len(each) != len(samples) for each in others):
        return torch.empty(0, *found.sample_shape)
    return samples.float() / 255 if samples.dtype == torch.uint8 else samples
