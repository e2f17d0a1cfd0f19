"""The range of a generator's images, which is [0, 1], nearly."""

from __future__ import annotations

from torch import Tensor

# Root mean square distance from [0, 1]: VAE decoders overshoot by up to 0.03; images in [-1, 1] by 0.15 (dark shapes on
# white) to 0.9 (the other way round).
PLAINLY_OUTSIDE = 0.1


def range_problem(images: Tensor) -> tuple[str, str] | None:
    """The range of images that are plainly not in [0, 1], in words, and the line that mends it.

    Args:
        images: `[batch, channels, height, width]`.

    Returns:
        None where they are, but for a little overshoot.
    """
    outside = (images - images.clamp(0, 1)).square().mean().sqrt()
    if not float(outside) > PLAINLY_OUTSIDE:
        return None
    low, high = float(images.min()), float(images.max())
    return f"values from {low:.3g} to {high:.3g}", f"return {_mended(low, high)}"


def _mended(low: float, high: float) -> str:
    if -1.3 <= low < 0 and high <= 1.3:
        return "(images + 1) / 2   # from [-1, 1]"
    if low >= -16 and 16 < high <= 300:
        return "images / 255   # from [0, 255]"
    return (
        f"(images - LOW) / (HIGH - LOW)   # with the range of the network's images, here about {low:.2g} to {high:.2g}"
    )
