"""Objective that calls a function of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Objective
from equidiff.devices import is_out_of_memory
from equidiff.errors import EquiDiffError, PluginError, UsageError
from equidiff.folders.code import find_function
from equidiff.registry.descriptors import Options
from equidiff.registry.trial.subject import undisturbed
from equidiff.types import Measurements, Samples

Function = Callable[[Tensor], Any]  # the result is checked
SAME = 1e-3  # of the largest value; tf32 and kernels of a GPU may round otherwise each time
PROBES = 2  # more than one, to see how the function treats the batch axis


def build(argument: str | None, options: Options, context: BuildContext) -> Custom:
    """Build `custom:module:function` or `custom:./file.py:function`, and call the function once.

    Args:
        argument: location of the function. A module is searched for on `sys.path`, then in the current directory.
        options: none.
        context: its generator gives the shape of samples.

    Raises:
        UsageError: the argument is not the location of a function, or the run has no generator.
        UnknownNameError: the module has no such function.
        PluginError: the code cannot be imported, raises an exception, or returns an invalid result.
    """
    if context.generator is None:
        raise UsageError("A custom objective needs a generator, whose samples it measures.")
    function = find_function(argument)
    return Custom(function, str(argument), context.generator.sample_shape, context.device)


@final
class Custom(Objective):
    """The values that a function gives to samples.

    Args:
        function: maps samples `[batch, *sample_shape]` to `[batch]` or `[batch, m]`, differentiable.
        name: location that the user typed, for messages.
        sample_shape: shape of one sample.
        device: device of the samples that the function is called with.

    Raises:
        PluginError: called with two samples of noise, the function raises an exception or returns an invalid result.
    """

    def __init__(self, function: Function, name: str, sample_shape: tuple[int, ...], device: str) -> None:
        self._function = function
        self._name = name
        self._shape = sample_shape
        self._device = device
        with undisturbed(device):
            outputs = self._try()
        label = name.rpartition(":")[2]
        self.names = (label,) if outputs == 1 else tuple(f"{label}[{index}]" for index in range(outputs))
        self.unit = str(getattr(function, "unit", "value"))

    def measure(self, samples: Samples) -> Measurements:
        values = self._call(samples)
        return values.reshape(len(samples), -1).to(samples.dtype)

    def networks(self) -> list[nn.Module]:
        """The function's attribute `networks`, and the function itself if it is a module."""
        own = [self._function] if isinstance(self._function, nn.Module) else []
        return [*own, *getattr(self._function, "networks", ())]

    def _call(self, samples: Samples) -> Any:
        try:
            return self._function(samples)
        except EquiDiffError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise  # smaller passes may help
            raise PluginError(
                f"{self._name} raised {type(error).__name__}: {error}",
                given=f"samples of shape {tuple(samples.shape)}",
                hint="--traceback shows where",
            ) from error

    def _try(self) -> int:
        """Call the function twice, check its results, and return the number of its outputs."""
        # noise, because a standard deviation or norm has no gradient at a uniform sample
        noise = torch.rand(PROBES, *self._shape, generator=torch.Generator().manual_seed(0))
        samples = noise.to(self._device).requires_grad_()
        with torch.enable_grad():
            values = self._check(self._call(samples))
            (gradient,) = torch.autograd.grad(values[0].sum(), samples, allow_unused=True)
        if gradient is None:
            raise self._wrong("a result that does not depend on the samples", "a function of the samples")
        if not gradient.isfinite().all():
            raise self._wrong("a gradient with NaN or infinity", "a finite gradient for a sample of noise")
        if gradient[1:].any():
            raise self._wrong("a result that depends on other samples of the batch", "each sample measured on its own")
        self._check_repeats(samples.detach(), values.detach())
        return values[0].numel()

    def _check_repeats(self, samples: Samples, values: Tensor) -> None:
        with torch.no_grad():
            again = self._check(self._call(samples), graph=False)
        if not torch.allclose(again, values, rtol=SAME, atol=SAME * float(values.abs().max())):
            expected = "the same result for the same samples: no random numbers, and .eval() for networks with dropout"
            raise self._wrong("another result for the same samples, called twice", expected)

    def _check(self, values: Any, graph: bool = True) -> Tensor:
        wanted = "a float tensor of shape [batch] or [batch, m]"
        if not isinstance(values, Tensor):
            raise self._wrong(type(values).__name__, wanted)
        if not values.is_floating_point() or values.ndim not in (1, 2) or len(values) != PROBES or not values.numel():
            raise self._wrong(f"{values.dtype} of shape {tuple(values.shape)} for {PROBES} samples", wanted)
        if not values.isfinite().all():
            raise self._wrong(f"{values.flatten()[:3].tolist()}", "finite numbers for samples of noise")
        if graph and not values.requires_grad:
            raise self._wrong("a tensor without a gradient", "torch operations only, no .item(), .detach() or numpy")
        return values

    def _wrong(self, given: str, expected: str) -> PluginError:
        return PluginError(f"{self._name} does not return a valid measurement.", given=given, expected=expected)
