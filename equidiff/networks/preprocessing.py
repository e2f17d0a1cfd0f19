"""Preprocessing of a network in memory, as its user describes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from equidiff.errors import EquiDiffError, PluginError, UsageError, first_line
from equidiff.images.convert import to_channels
from equidiff.networks.images import cover
from equidiff.types import Samples

Values = float | Sequence[float]
PROBES = 2  # more than one, to see how a function treats the batch axis


@final
@dataclass(frozen=True, eq=False)
class Preprocessing:
    """The way from samples to a network's inputs: a function, or a size, a mean and a standard deviation.

    Attributes:
        size: height and width; images are resized to cover them, and cropped at the centre. None: they keep theirs.
        mean: value subtracted from each channel: one for all, or one for each. None: none.
        std: value that divides each channel, in the same form.
        channels: 1 or 3, to which images are converted first; None to leave them.
        function: maps samples to inputs, in place of all that.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: int | None = None
    function: Callable[[Tensor], Any] | None = None

    @classmethod
    def of(
        cls,
        size: int | tuple[int, int] | None,
        mean: Values | None,
        std: Values | None,
        function: Callable[[Tensor], Any] | None,
    ) -> Preprocessing:
        """Check what the user gave.

        Raises:
            UsageError: a value cannot be used, or a function is combined with the others.
        """
        others = [name for name, value in (("size", size), ("mean", mean), ("std", std)) if value is not None]
        if function is not None:
            if others or not callable(function):
                raise UsageError(
                    "This preprocessing cannot be used.",
                    given=" and ".join(["preprocess", *others]) if others else type(function).__name__,
                    expected="a function of tensors, or size, mean and std in its place",
                )
            return cls(function=function)
        sides, means, stds = _sides(size), _numbers("mean", mean), _numbers("std", std)
        counts = {np.size(values) for values in (mean, std) if values is not None and np.ndim(values)}
        if len(counts) > 1:
            raise UsageError(
                "mean and std are for different numbers of channels.", given=f"mean={mean}, std={std}",
                expected="1 or 3 numbers in each, or one number for all channels",
            )  # fmt: skip
        return cls(sides, means, stds, next(iter(counts), None))

    def prepare(self, samples: Samples) -> Tensor:
        """Map images or points to inputs; differentiable."""
        if self.function is not None:
            return self.function(samples)
        if samples.ndim == 4:
            samples = samples if self.channels is None else to_channels(samples, self.channels)
            samples = samples if self.size is None else cover(samples, self.size)
        if self.mean is not None:
            samples = samples - _per_channel(self.mean, samples)
        return samples if self.std is None else samples / _per_channel(self.std, samples)

    def describe(self) -> dict[str, Any]:
        """The preprocessing as recorded in `run.json`."""
        if self.function is not None:
            named = self.function if hasattr(self.function, "__qualname__") else type(self.function)
            return {"preprocess": f"{named.__module__}.{named.__qualname__}"}
        return {"size": self.size, "mean": self.mean, "std": self.std}


def _sides(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
        raise UsageError(
            "The value of size cannot be used.", given=size, expected="a whole number above 0, or (height, width)"
        )
    return int(sides[0]), int(sides[1])


def _numbers(name: str, values: Any) -> tuple[float, ...] | None:
    if values is None:
        return None
    try:
        numbers = tuple(map(float, np.atleast_1d(values).tolist()))
    except (TypeError, ValueError):
        numbers = ()
    least, most = (-math.inf, 1) if name == "mean" else (0, math.inf)
    if len(numbers) not in {1, 3} or not all(math.isfinite(each) and least < each <= most for each in numbers):
        raise UsageError(
            f"The value of {name} cannot be used.",
            given=values,
            expected=f"a number, or one for each of 1 or 3 channels, {'at most 1' if name == 'mean' else 'above 0'}",
            hint="mean and std divided by 255: samples are in [0, 1]" if any(each > 1 for each in numbers) else None,
        )
    return numbers


def check_preparation(prepare: Callable[[Tensor], Any], shape: tuple[int, ...], device: str) -> None:
    """Prepare samples of noise, and refuse a preprocessing that a search cannot use.

    Args:
        prepare: maps samples to inputs.
        shape: of one sample.
        device: of the samples.

    Raises:
        PluginError: it raises an exception, or its result is no tensor of finite floats, has lost the gradient, or
            mixes samples.
    """
    noise = torch.rand(PROBES, *shape, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    try:
        inputs = prepare(noise)
    except EquiDiffError:
        raise
    except Exception as error:
        raise PluginError(
            f"The preprocessing raises {type(error).__name__}: {first_line(error)}",
            given=f"samples of shape {tuple(noise.shape)}, float32 in [0, 1]",
            expected="a function of tensors",
            hint=_likely_cause(error, shape),
        ) from error
    is_tensor = isinstance(inputs, Tensor)
    if not is_tensor or not inputs.is_floating_point() or inputs.shape[:1] != (PROBES,):
        given = f"{inputs.dtype} of shape {tuple(inputs.shape)}" if is_tensor else type(inputs).__name__
        raise _wrong("is not a batch of inputs", given, f"a tensor of floats with one row for each of {PROBES} samples")
    if not inputs.isfinite().all():
        raise _wrong("is not finite", "NaN or infinity", "finite numbers for samples of noise")
    _check_gradient(inputs, noise)


def _likely_cause(error: Exception, shape: tuple[int, ...]) -> str | None:
    if "PIL" in str(error) or "ndarray" in str(error):
        return "leave ToTensor and conversions of PIL images out: samples are tensors"
    if len(shape) == 3 and shape[0] == 1:
        return "preprocess=lambda samples: FUNCTION(samples.expand(-1, 3, -1, -1)), if it takes colour images"
    return None


def _check_gradient(inputs: Tensor, noise: Tensor) -> None:
    expected = "torch operations only: no .item(), .detach(), .round(), torch.no_grad(), numpy or PIL"
    if not inputs.requires_grad:
        raise _wrong("has lost the gradient", "a tensor without a gradient", expected)
    weights = torch.rand(inputs[0].shape, generator=torch.Generator().manual_seed(1)).to(inputs)
    (gradient,) = torch.autograd.grad((inputs[0] * weights).sum(), noise, allow_unused=True)
    if gradient is None or not gradient.any():
        raise _wrong("has lost the gradient", "a gradient that is zero everywhere", expected)
    if gradient[1:].any():
        raise _wrong("depends on other samples of the batch", "mixed samples", "each sample prepared on its own")


def _wrong(problem: str, given: str, expected: str) -> PluginError:
    return PluginError(f"The result of the preprocessing {problem}.", given=given, expected=expected)


def _per_channel(values: tuple[float, ...], samples: Tensor) -> Tensor:
    return samples.new_tensor(values)[:, None, None] if samples.ndim == 4 else samples.new_tensor(values)
