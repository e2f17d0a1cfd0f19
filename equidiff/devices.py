"""Devices: choosing one, how much memory it has, whether it ran out of that."""

from __future__ import annotations

import torch

from equidiff.errors import UsageError

# CUDA and MPS; the CPU on Linux; the CPU elsewhere; cuBLAS and cuDNN
WANT = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")


def choose_device(name: str) -> str:
    """The device to run on; "auto" prefers an accelerator.

    Raises:
        UsageError: torch does not know the device, or this machine does not have it.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"The device cannot be used: {reason}", given=name, expected="cpu, cuda, cuda:1, mps", hint="--device cpu"
        ) from None
    return name


def device_memory(device: str) -> tuple[int, int] | None:
    """Bytes that are free on a device, and all it has; None where it does not tell."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)
    if device != "cpu":
        return None
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file if "kB" in line}
        return sizes["MemAvailable"], sizes["MemTotal"]
    except (OSError, KeyError):  # only Linux says it there
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what torch, on any device, or Python raise for want of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in WANT)
