"""Devices: choosing one, reading its memory, recognising that it ran out of memory."""

from __future__ import annotations

import torch

from equidiff.errors import UsageError, first_line

# CUDA and MPS; the CPU on Linux; the CPU elsewhere; cuBLAS and cuDNN
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")
TF32_CAPABILITY = (8, 0)  # of NVIDIA's Ampere, the first to have it


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
        reason = first_line(error)
        raise UsageError(
            f"The device cannot be used: {reason}", given=name, expected="cpu, cuda, cuda:1, mps", hint="--device cpu"
        ) from None
    return name


def choose_dtype(name: str, device: str, exact: bool = False) -> str:
    """Resolve "auto": tf32 on a CUDA GPU that has it, unless residuals must be exact; float32 elsewhere.

    Args:
        name: "auto", or a dtype, which stays as it is.
        device: from `choose_device`.
        exact: something needs residuals to full precision.
    """
    if name != "auto":
        return name
    fast = device.startswith("cuda") and not exact and torch.cuda.get_device_capability(device) >= TF32_CAPABILITY
    return "tf32" if fast else "float32"


def set_precision(dtype: str, device: str) -> str:
    """Let float32 matrix products on a GPU be as exact as a dtype asks, and return the dtype that tensors have.

    The setting is torch's own, of the whole process. On other devices it is left alone.
    """
    if device.startswith("cuda"):
        torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    return "float32" if dtype == "tf32" else dtype


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
