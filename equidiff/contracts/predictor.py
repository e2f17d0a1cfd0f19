"""The classes that a network tells apart, for objectives that measure a network with a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from equidiff.types import Samples


@final
@dataclass(frozen=True, eq=False, repr=False)
class Predictor:
    """A classifier: what a network calls a sample.

    Attributes:
        network: its name, for sentences such as "the network fashion calls it a bag".
        names: a name for each class.
        probabilities: maps samples `[batch, *sample_shape]` to `[batch, classes]`, at least 0, each row of sum 1.
    """

    network: str
    names: tuple[str, ...]
    probabilities: Callable[[Samples], Tensor]
