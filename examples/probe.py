"""A function as an objective: `equidiff run --objective custom:./examples/probe.py:score --query 3`."""

from torch import Tensor


def score(samples: Tensor) -> Tensor:
    """Mean brightness of the upper half of an image minus that of the lower half, in per cent.

    Args:
        samples: `[batch, channels, height, width]`, nominally in [0, 1]; the run differentiates through this.

    Returns:
        `[batch]`.
    """
    middle = samples.shape[2] // 2
    return 100 * (samples[:, :, :middle].mean(dim=(1, 2, 3)) - samples[:, :, middle:].mean(dim=(1, 2, 3)))
