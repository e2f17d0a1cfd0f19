"""Checks that a component leaves the rest of the process as it was: modes, seeds, threads, random numbers."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch

from equidiff.registry.trial.subject import undisturbed
from equidiff.testing.failure import require

UNUSUAL = 20_240_229

MODES: dict[str, tuple[Callable[[], object], str]] = {
    "whether gradients are recorded": (torch.is_grad_enabled, "with torch.enable_grad(): or with torch.no_grad():"),
    "the inference mode": (torch.is_inference_mode_enabled, "with torch.inference_mode():"),
    "torch's default dtype": (torch.get_default_dtype, "dtype=torch.float32 where a tensor is made"),
    "torch's number of threads": (torch.get_num_threads, "no torch.set_num_threads()"),
    "the precision of matrix products": (torch.get_float32_matmul_precision, "no set_float32_matmul_precision()"),
    "the choice of deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        "no torch.use_deterministic_algorithms()",
    ),
    "the search of cuDNN for the fastest kernel": (lambda: torch.backends.cudnn.benchmark, "no cudnn.benchmark"),
    "the seed of torch": (
        torch.initial_seed,
        "torch.randn(..., generator=torch.Generator().manual_seed(seed))",
    ),
}
RANDOM: dict[str, tuple[Callable[[], object], str]] = {
    "torch's random numbers": (
        lambda: torch.random.get_rng_state().numpy().tobytes(),
        "a torch.Generator of its own, or none: calls are not random",
    ),
    "numpy's random numbers": (lambda: str(np.random.get_state()), "numpy.random.default_rng(seed)"),
    "Python's random numbers": (random.getstate, "random.Random(seed)"),
}


def check_effects(work: Callable[[], object], what: str, *, draws: bool = False) -> None:
    """Check that some work leaves the process as it was.

    Args:
        work: builds or calls a component.
        what: the work, for messages.
        draws: it may draw random numbers, as the initialisation of a network does that is then loaded.

    Raises:
        ContractError: it changes something; the message says what to write instead.
    """
    watched = MODES if draws else MODES | RANDOM
    with undisturbed("cpu"):
        torch.manual_seed(UNUSUAL)  # one that the work does not happen to set itself
        before = {name: read() for name, (read, _) in watched.items()}
        work()
        after = {name: read() for name, (read, _) in watched.items()}
    for name, (_, write) in watched.items():
        asked = f"a process that stays as it was; write: {write}"
        require(after[name] == before[name], f"{what} changes {name}", asked)
