"""Noise that a pipeline draws, replaced while it runs: the first draw by latents, later ones by fixed noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from equidiff.errors import UnsupportedError

SEED = 0x5EED  # of the later draws
OTHERS = (
    torch.rand,
    torch.rand_like,
    torch.randint,
    torch.normal,
    torch.bernoulli,
    torch.multinomial,
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
)


@final
class Noise(TorchFunctionMode):
    """While it is entered, this thread's draws of standard normal noise are replaced; other threads' are not.

    Args:
        latents: `[rows, *latent_shape]`, the first draw; when None, it is noise too.
        seed: of the later draws. Each row gets the same noise, so that a row's image depends on its latent alone.

    Attributes:
        latents: the first draw; None before it.
        draws: number of draws so far.
    """

    def __init__(self, latents: Tensor | None = None, seed: int = SEED) -> None:
        super().__init__()
        self.latents = latents
        self.draws = 0
        self._seed = seed

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.randn:
            size = kwargs["size"] if "size" in kwargs else args if isinstance(args[0], int) else args[0]
            return self._draw(tuple(size), kwargs.get("device"), kwargs.get("dtype"))
        if func is torch.randn_like:
            return self._draw(tuple(args[0].shape), args[0].device, kwargs.get("dtype") or args[0].dtype)
        if func in OTHERS:
            raise UnsupportedError(
                "This pipeline draws random numbers that are not standard normal.",
                given=getattr(func, "__name__", str(func)),
                expected="noise from torch.randn",
            )
        return func(*args, **kwargs)

    def _draw(self, size: tuple[int, ...], device: Any, dtype: torch.dtype | None) -> Tensor:
        self.draws += 1
        if self.draws > 1 or self.latents is None:
            row = torch.randn(size[1:], generator=torch.Generator().manual_seed(self._seed + self.draws))
            noise = row.expand(size).clone().to(device=device, dtype=dtype)
            if self.draws == 1:
                self.latents = noise
            return noise
        if tuple(self.latents.shape) != size:
            raise UnsupportedError(
                "This pipeline begins with noise of another shape than before.",
                given=str(size),
                expected=str(tuple(self.latents.shape)),
            )
        return self.latents.to(device)  # in its own precision, whatever that of the networks
