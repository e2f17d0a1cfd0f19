"""Time, device and measuring, shared by the parts."""

from __future__ import annotations

import itertools
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

MIB = 2**20


class Rows(list[dict[str, Any]]):
    """Lines of a part's table, added as they are measured, so that a failure keeps those before it."""


class Clock:
    """The time that a part has.

    Attributes:
        stopped: it ran out before the part was done.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds
        self.stopped = False

    def out(self) -> bool:
        """True from now on, and noted, if the time is used."""
        self.stopped = self.stopped or time.perf_counter() > self._end
        return self.stopped


@dataclass(frozen=True)
class Plan:
    """The device, and the size of everything."""

    device: str
    small: bool

    @property
    def is_cuda(self) -> bool:
        """True for a GPU of torch's CUDA, or of ROCm."""
        return self.device.startswith("cuda")

    def describe(self) -> dict[str, str]:
        """Name of the device, and versions."""
        name = torch.cuda.get_device_name(self.device) if self.is_cuda else f"{platform.machine()} CPU"
        return {"device": name, "torch": torch.__version__, "cuda": str(torch.version.cuda)}

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], rounds: int = 1) -> float:
        """The least of a few times, the device's work included."""
        times = []
        for _ in range(rounds):
            self.synchronize()
            start = time.perf_counter()
            work()
            self.synchronize()
            times.append(time.perf_counter() - start)
        return min(times)

    def peak_mib(self, work: Callable[[], object]) -> float:
        """The most MiB that a call holds at any time beside what was there, as torch's allocators count them."""
        if self.is_cuda:
            before = torch.cuda.memory_allocated(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            work()
            return (torch.cuda.max_memory_allocated(self.device) - before) / MIB
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
            work()
        events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
        held = itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
        return max(held) / MIB

    def matrix_rate(self, dtype: torch.dtype) -> float:
        """FLOP/s of one large matrix product: the peak that shares are of."""
        side = 8192 if self.is_cuda else 512
        matrix = torch.randn(side, side, device=self.device).to(dtype)
        matrix @ matrix
        return 2 * side**3 / self.seconds(lambda: matrix @ matrix, 5)


def flops(work: Callable[[], object]) -> int:
    """Matrix operations that are done, recomputed ones included."""
    with FlopCounterMode(display=False) as count:
        work()
    return count.get_total_flops()
