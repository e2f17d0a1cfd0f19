"""Check that a component follows the device of its run, on a machine that may have none but its CPU.

It is built for torch's device "meta", which has no memory, and called under `FakeTensorMode`, with which
`torch.compile` traces: shapes, types and devices are worked out, values are not. A tensor that stayed on the CPU is
refused there as it would be on a GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from equidiff.errors import first_line
from equidiff.testing.failure import ContractError

DEVICE = "meta"
MIXED = "same device"  # in torch's own words


def check_device(build: Callable[[str], Callable[[], object]], what: str) -> str | None:
    """Check that a component computes on the device that it was built for.

    Args:
        build: builds it for a device, and returns a call of it with tensors there.
        what: the call, for messages.

    Returns:
        The reason for which it could not be tried; None where it passed.

    Raises:
        ContractError: it mixes devices, or its result is on another one.
    """
    asked = "tensors on the run's device; write: .to(context.device) in the factory, or .to(samples.device) in the call"
    try:
        call = build(DEVICE)
        with _quiet(), FakeTensorMode(allow_non_fake_inputs=True):
            found = call()
    except Exception as error:
        if MIXED in str(error):
            text = first_line(error).rstrip("!").replace(DEVICE, "the run's device")
            raise ContractError(f"{what} mixes devices: {text}", asked) from error
        return "it needs values, which a pretended device has not"
    for tensor in found if isinstance(found, list) else [found]:
        if isinstance(tensor, Tensor) and tensor.device.type != DEVICE:
            raise ContractError(f"{what} gives a tensor on {tensor.device} for a run on another device", asked)
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from logging what it cannot pretend."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
