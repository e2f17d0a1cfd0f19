"""A pass of which only the shapes are asked, for a prediction of its memory.

Pipelines read values, of times for example, which such a pass does not have. So the calls of the networks are listened
to in a short real run, and repeated with the shapes of more rows and steps. What schedulers compute is left out: it is
as small as a latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes

from equidiff_diffusers.encoded import Make, for_any_rows
from equidiff_diffusers.frozen import recomputed
from equidiff_diffusers.run import DECODERS, Parts, Run

LISTENED_STEPS = 2
STATES = ("hidden_states", "sample", "x")  # names of the argument that depends on the latent; else it is the first


Given = dict[int | str, Any]  # arguments of a call, by position or name


@dataclass(frozen=True)
class Call:
    """A call of a network.

    Attributes:
        name: of the network.
        function: its forward or decode method.
        arguments: for any number of rows; without those that are the same tensors as in the call before.
    """

    name: str
    function: Callable[..., Any]
    arguments: Mapping[int | str, Make]


def is_fake(tensor: Tensor) -> bool:
    """It has a shape, and no values."""
    return isinstance(tensor, FakeTensor)


def listen(parts: Parts) -> list[Call]:
    """Calls of the networks in a run of two steps."""
    with _disable_current_modes(), torch.no_grad():
        one, two = (_calls(parts, rows) for rows in (1, 2))
        calls: list[Call] = []
        before: dict[str, Given] = {}
        for (name, function, given), (_, _, other) in zip(one, two, strict=True):
            last = before.get(name, {})
            new = {key: value for key, value in given.items() if key not in last or not _same(value, last[key])}
            calls.append(Call(name, function, {key: for_any_rows(new[key], other[key]) for key in new}))
            before[name] = given
        return calls


def repeat(calls: Sequence[Call], latents: Tensor, steps: int, shape: tuple[int, ...], recompute: bool) -> Tensor:
    """Samples of this shape, without values, from the calls of as many steps and the decoder's."""
    networks = [each for each in calls if each.name not in DECODERS]
    decoders = [each for each in calls if each.name in DECODERS]
    again = networks[len(networks) // LISTENED_STEPS :]  # the second step, whose prompts are those of the first
    more = max(0, steps - LISTENED_STEPS)
    run = recomputed if recompute else lambda function, *args, **kwargs: function(*args, **kwargs)
    link = latents.sum()
    given: dict[str, Given] = {}
    for each in [*networks[: len(networks) * min(steps, LISTENED_STEPS) // LISTENED_STEPS], *(again * more), *decoders]:
        made = {key: make(len(latents)) for key, make in each.arguments.items()}
        given[each.name] = {**given.get(each.name, {}), **made}
        link = _through(run, each.function, given[each.name], link)
    return latents.new_zeros(len(latents), *shape) + link


def _through(run: Callable[..., Any], function: Callable[..., Any], given: Given, link: Tensor) -> Tensor:
    """Call a network with an input that depends on the link; the sum of what it returns."""
    state = next((name for name in STATES if name in given), 0)
    given = {**given, state: _linked(given[state], link)}
    args = [given[key] for key in sorted(key for key in given if isinstance(key, int))]
    kwargs = {key: value for key, value in given.items() if isinstance(key, str)}
    total = link * 0
    for each in _tensors(run(function, *args, **kwargs)):
        total = total + each.sum()
    return total


def _linked(value: Any, link: Tensor) -> Any:
    return [each + link for each in value] if isinstance(value, list) else value + link


def _same(one: Any, other: Any) -> bool:
    """They are the same object, or lists of the same objects."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return all(_same(*pair) for pair in zip(one, other, strict=True))
    return one is other


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _calls(parts: Parts, rows: int) -> list[tuple[str, Callable[..., Any], Given]]:
    calls: list[tuple[str, Callable[..., Any], Given]] = []

    def hear(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append((name, function, {**dict(enumerate(args)), **kwargs}))

    Run(parts, None, LISTENED_STEPS, rows=rows, listen=hear)()
    return calls
