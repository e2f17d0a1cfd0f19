"""Devices: choosing one, reading its memory, recognising that it ran out of memory."""

from __future__ import annotations

import torch

from equidiff.errors import UsageError

# CUDA and MPS; the CPU on Linux; the CPU elsewhere; cuBLAS and cuDNN
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")


def choose_device(name: str) -> str:
    """Check the name of a device, and resolve "auto", which prefers an accelerator.

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
    """Read the free and the total bytes of a device; None where it does not report them."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)
    if device != "cpu":
        return None
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file if "kB" in line}
        return sizes["MemAvailable"], sizes["MemTotal"]
    except (OSError, KeyError):  # only Linux has this file
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Recognise the errors that torch, on any device, and Python raise when memory runs out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in NO_MEMORY)
