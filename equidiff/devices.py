"""Devices: choosing one, reading its memory, recognising that it ran out of memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from equidiff.errors import UsageError, first_line

# Texts of errors without a type of their own, each part of a message in lower case.
NO_MEMORY = (
    "out of memory",  # CUDA and MPS
    "invalid buffer size",  # MPS, for a tensor larger than any buffer may be
    "can't allocate memory",  # the CPU on Linux
    "cannot allocate memory",  # the operating system
    "not enough memory",  # the CPU elsewhere, and MKL's transforms
    "std::bad_alloc",
    "status_alloc_failed",  # cuBLAS and cuDNN
    "cufft_alloc_failed",
)
# oneDNN, whose messages say no more; with more words after them they are of what it cannot do
NO_MEMORY_OF_ONEDNN = ("could not create a primitive", "could not create a memory object")
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
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        any(words in text for words in NO_MEMORY) or text.strip() in NO_MEMORY_OF_ONEDNN
    )


@contextmanager
def usual_torch_state() -> Iterator[None]:
    """Compute as torch does when nobody has changed its state, and leave that state as it is.

    Without it, a default dtype or device, an inference mode or an autocast of the caller would change a run, and
    building a network would draw from the caller's random numbers.
    """
    dtype, numbers = torch.get_default_dtype(), torch.get_rng_state()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_rng_state(numbers)
