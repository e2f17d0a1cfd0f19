"""A component under trial: its calls, and the errors that say what one of them did wrong."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from equidiff.devices import is_out_of_memory
from equidiff.errors import ContractBreachError, EquiDiffError
from equidiff.registry.trial.source import raised_at

ROWS = 2  # more than one, to see how a component treats the batch axis
# of the largest value, between a row alone and beside another: kernels round otherwise for other sizes of a batch
TOLERANCES = {"float32": 1e-3, "tf32": 0.05, "bfloat16": 0.1}
REMEMBERS = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)  # both work otherwise in training mode


class _TooLargeError(Exception):
    """Memory does not suffice for two rows: a run makes smaller passes, and says more about it."""


@dataclass(frozen=True)
class Subject:
    """A component under trial.

    Attributes:
        component: the component.
        owner: its name in a sentence, e.g. "The objective 'brightness' of plugin 'mine'".
        device: the device that a run calls it on.
        dtype: the precision of the run.
    """

    component: Any
    owner: str
    device: str
    dtype: str

    @property
    def name(self) -> str:
        """Name of its class."""
        return type(self.component).__name__

    def call(self, method: str, *inputs: Any, write: str | None = None) -> Any:
        """Call a method as a run does.

        Raises:
            ContractBreachError: it raised an exception.
        """
        recorded = torch.is_grad_enabled()
        try:
            result = getattr(self.component, method)(*inputs)
        except EquiDiffError:
            raise
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error):
                raise _TooLargeError from error
            raise ContractBreachError(
                f"{self.owner} raised {type(error).__name__}: {error}",
                called=self.called(method, *inputs),
                returned=None,
                contract="a result for any batch, also of a single row",
                write=self.evaluation() or write,
                at=raised_at(error),
            ) from error
        if torch.is_grad_enabled() != recorded:
            torch.set_grad_enabled(recorded)
            line = "with torch.no_grad(): around a part of it, in place of torch.set_grad_enabled()"
            returned = f"its result, and gradients turned {'off' if recorded else 'on'} for the whole process"
            raise self.wrong(self.called(method, *inputs), returned, "a process that stays as it was", line)
        return result

    def called(self, method: str, *inputs: Any) -> str:
        """The call in words."""
        shapes = [f"{tuple(each.shape)} {_word(each.dtype)}" for each in inputs if isinstance(each, Tensor)]
        return f"{self.name}.{method}({', '.join(shapes)})"

    def wrong(
        self, called: str, returned: str, contract: str, write: str | None, at: str | None = None
    ) -> ContractBreachError:
        """The error for a call whose result breaks the contract."""
        problem = f"{self.owner} breaks its contract."
        return ContractBreachError(problem, called=called, returned=returned, contract=contract, write=write, at=at)

    def check_tensor(self, value: object, shape: tuple[int, ...], called: str, write: str | None = None) -> Tensor:
        """Check that a result is a finite float32 tensor of this shape on the run's device."""
        contract = f"a float32 tensor of shape {shape} on the device of its input, with finite values"
        if not isinstance(value, Tensor):
            write = "torch operations from the input to the result: no .item(), no numpy, no list"
            raise self.wrong(called, f"a {type(value).__name__}", contract, write)
        if tuple(value.shape) != shape:
            raise self.wrong(called, f"shape {tuple(value.shape)}", contract, write or _reshaped(value, shape))
        if value.dtype != torch.float32:
            line = "return result.float()"
            if not value.is_floating_point():
                line = "leave out .long(), argmax, comparisons and the like: whole numbers have no gradient"
            raise self.wrong(called, _word(value.dtype), contract, line)
        if value.device.type != torch.device(self.device).type:
            line = f"move the component's tensors in its factory: .to(context.device), here {self.device}"
            raise self.wrong(called, f"a tensor on {value.device}", contract, line)
        finite = value.isfinite()
        if not finite.all():
            bad = int((~finite).sum())
            line = "look for a division by zero, the log or root of 0, or weights that were not loaded"
            raise self.wrong(called, f"{bad} of {value.numel()} values NaN or infinite", contract, line)
        return value

    def evaluation(self) -> str | None:
        """The line that puts a network in training mode right; None where none is found in the component."""
        networks = {name: value for name, value in vars(self.component).items() if isinstance(value, nn.Module)}
        if isinstance(self.component, nn.Module):
            networks["self"] = self.component
        for name, network in networks.items():
            for part in network.modules():
                if part.training and isinstance(part, REMEMBERS):
                    place = name if name == "self" else f"self.{name}"
                    return f"{place}.eval() in {self.name}.__init__: its {type(part).__name__} is in training mode"
        return None

    def agree(self, one: Tensor, other: Tensor) -> bool:
        """Tell whether two results for the same row are the same, as far as rounding goes."""
        scale = float(torch.maximum(one.abs().max(), other.abs().max())) + 1e-6
        return float((one - other).abs().max()) <= TOLERANCES.get(self.dtype, 0.1) * scale


@contextmanager
def undisturbed(device: str) -> Iterator[None]:
    """Leave the random numbers of torch, numpy and Python as they were, whatever a component draws, in silence."""
    import numpy as np

    states = random.getstate(), np.random.get_state()
    kind = torch.device(device).type
    devices = [device] if kind == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run's own calls show them
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def unless_too_large(trial: Callable[[Subject], None], subject: Subject) -> None:
    """Carry out a trial; one for which memory does not suffice ends in silence."""
    try:
        trial(subject)
    except _TooLargeError:
        return


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _reshaped(value: Tensor, shape: tuple[int, ...]) -> str:
    if value.ndim == 0 or len(value) != shape[0]:
        return "reduce over the axes behind the first only, e.g. .flatten(1).mean(dim=1): the first is the batch"
    if tuple(value.shape) == shape[:1] and shape[1:] == (1,):
        return "return result[:, None]   # [batch, 1]: the first axis is the batch"
    if value.numel() == torch.Size(shape).numel():
        return (
            f"return result.reshape(-1, {', '.join(map(str, shape[1:]))})" if shape[1:] else "return result.flatten()"
        )
    if value.ndim == 0 or len(value) != shape[0]:
        return "reduce over the axes behind the first only, e.g. .flatten(1).mean(dim=1): the first is the batch"
    return f"one result of shape {shape[1:]} for each of the {shape[0]} rows"
