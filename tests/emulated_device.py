"""A device on the CPU that counts what a real one would have to wait for.

    with EmulatedDevice() as device:
        sampled = work(torch.randn(4, 3).to(DEVICE))
    device.waits

Tensors on it say that they are on `DEVICE` and hold their values in CPU memory. The host waits for a device whenever a
number goes from one to the other: a value is read, a shape depends on values, a tensor is copied without asking for an
asynchronous copy, as `torch` does on CUDA. Tensors of the host in an operation of the device are refused, as there.
"""

from __future__ import annotations

import traceback
from collections import Counter
from contextlib import ExitStack
from threading import Thread
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"  # torch's own device without memory: it lets autograd, modules and checkpoints work as on any other
AUTOCAST, TENSOR, RUN = torch.autocast, torch.tensor, Thread.run
READS = {"_local_scalar_dense", "is_nonzero", "equal", "allclose"}
SHAPED_BY_VALUES = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount"}
INDEXED = {"index", "index_put_"}
PACKAGES = ("/equidiff", "/plugins/")  # whose lines are named where a wait came from


class OnDevice(Tensor):
    """A tensor of the emulated device; `raw` holds its values."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> OnDevice:
        made = Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype, device=DEVICE
        )
        made.raw = raw
        return made

    def tolist(self) -> Any:
        """Its values as numbers of Python."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class EmulatedDevice(TorchDispatchMode):
    """Makes `DEVICE` hold values, and counts.

    Attributes:
        waits: number of waits, by reason.
        places: number of waits, by reason and line of code.
    """

    current: EmulatedDevice | None = None

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self.places: Counter[str] = Counter()

    def __enter__(self) -> EmulatedDevice:
        EmulatedDevice.current = self
        self._patches = ExitStack()
        for name, replacement in (("autocast", _autocast), ("tensor", _tensor), ("as_tensor", _tensor)):
            self._patches.enter_context(patch.object(torch, name, replacement))
        self._patches.enter_context(patch.object(Thread, "run", _run_thread))  # optimizers run in threads of their own
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._patches.close()
        EmulatedDevice.current = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def note(self, reason: str) -> None:
        """Count a wait."""
        self.waits[reason] += 1
        lines = [line for line in traceback.extract_stack() if any(each in line.filename for each in PACKAGES)]
        lines = [line for line in lines if "/torch/" not in line.filename and "emulated_device" not in line.filename]
        place = f"{lines[-1].filename.rpartition('/')[2]}:{lines[-1].lineno}" if lines else "elsewhere"
        self.places[f"{reason} at {place}"] += 1


class _InThread(TorchDispatchMode):
    """The same device in another thread: torch's modes hold for one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run_thread(thread: Thread) -> None:
    with _InThread():
        RUN(thread)


def _autocast(kind: str, *args: Any, **kwargs: Any) -> Any:
    return AUTOCAST("cpu" if kind == DEVICE else kind, *args, **kwargs)


def _tensor(data: Any, *, dtype: torch.dtype | None = None, device: Any = None, **kwargs: Any) -> Tensor:
    """A tensor of numbers of Python: made on the host, and copied, where torch's own leaves out the values."""
    if isinstance(data, Tensor):
        return data.to(device=device or data.device, dtype=dtype or data.dtype)
    made = TENSOR(data, dtype=dtype, **kwargs)
    return made if device is None else made.to(device)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func.overloadpacket.__name__
    given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    here = [value for value in given if isinstance(value, OnDevice)]
    wanted = kwargs.get("device")
    to_device = wanted is not None and torch.device(wanted).type == DEVICE
    if not here and not to_device:
        return func(*args, **kwargs)
    _note_wait(name, args, kwargs, here, to_device)
    if here and name not in {"copy_", "_to_copy", *INDEXED}:
        strangers = [value for value in given if not isinstance(value, OnDevice) and value.ndim]
        if strangers:
            raise RuntimeError(f"Expected all tensors to be on the same device: {name} got one of the host")
    to_host = wanted is not None and not to_device
    known = {id(value.raw): value for value in here}
    kwargs = {**kwargs, "device": "cpu"} if wanted is not None else kwargs
    raw_args, raw_kwargs = tree_map(lambda value: value.raw if isinstance(value, OnDevice) else value, (args, kwargs))
    result = func(*raw_args, **raw_kwargs)
    if to_host or (name == "copy_" and not isinstance(args[0], OnDevice)):
        return result if to_host else args[0]
    return tree_map(lambda value: _wrapped(value, known), result)


def _wrapped(value: Any, known: dict[int, OnDevice]) -> Any:
    if not isinstance(value, Tensor) or isinstance(value, OnDevice):
        return value
    known_one = known.get(id(value))  # what was changed in place stays the same tensor
    return OnDevice(value) if known_one is None else known_one


def _note_wait(name: str, args: Any, kwargs: dict[str, Any], here: list[OnDevice], to_device: bool) -> None:
    device = EmulatedDevice.current
    assert device is not None, "a tensor of the emulated device outlived it"
    if name in READS:
        device.note("read")
    elif name in SHAPED_BY_VALUES or (name in INDEXED and _has_mask(args)):
        device.note("shape")
    elif name in INDEXED and not all(isinstance(each, OnDevice) for each in _tensors(args[1])):
        device.note("copy to device")  # a list of rows is a tensor of the host, which is copied first
    elif name == "_to_copy" and not kwargs.get("non_blocking"):
        if here and kwargs.get("device") is not None and not to_device:
            device.note("copy to host")
        elif to_device and not here:
            device.note("copy to device")
    elif name == "copy_" and len(here) == 1:
        device.note("copy to device" if isinstance(args[0], OnDevice) else "copy to host")


def _has_mask(args: Any) -> bool:
    return any(each.dtype in {torch.bool, torch.uint8} for each in _tensors(args[1]))


def _tensors(values: Any) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]
