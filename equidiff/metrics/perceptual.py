"""LPIPS: the difference of two images, as people judge it."""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equidiff.errors import PluginError, WeightsError
from equidiff.images.convert import to_channels
from equidiff.networks.checkpoints import read_weights
from equidiff.types import PerSample

MIN_SIDE = 64  # pixels: of smaller images AlexNet leaves nothing to average
BACKBONE = "features."  # torchvision's name of the part of AlexNet that is used

Images = Float[Tensor, "batch channels height width"]


@final
class PerceptualDistance:
    """LPIPS with AlexNet, as implemented by torchmetrics.

    Args:
        network: maps two batches of RGB images in [0, 1] to their distances.

    References:
        Zhang et al. (2018), "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", eq. 1.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    @classmethod
    def load(cls, path: Path, device: str) -> PerceptualDistance:
        """Load torchvision's AlexNet; the weights fitted to human judgements come with torchmetrics.

        Args:
            path: e.g. `alexnet-owt-7be5be79.pth`; the part `features` is enough.
            device: a torch device.

        Raises:
            PluginError: torchmetrics is not installed.
            WeightsError: the weights cannot be read, or are not AlexNet's.
        """
        weights = read_weights(path)
        try:
            # the public class can only download the weights
            from torchmetrics.functional.image.lpips import _LPIPS
        except ImportError as error:
            raise PluginError(
                f"LPIPS needs a package that is missing: {error}", given=path, hint='pip install "equidiff[lpips]"'
            ) from error
        network = _LPIPS(net="alex", pnet_rand=True)
        backbone = dict(network.net.named_parameters())
        own = {name: weights.get(BACKBONE + name.partition(".")[2]) for name in backbone}
        wrong = [name for name, value in own.items() if value is None or value.shape != backbone[name].shape]
        if wrong:
            raise WeightsError(
                "These are not the weights of torchvision's AlexNet.",
                given=f"{path} without {BACKBONE}{wrong[0].partition('.')[2]}",
                expected="alexnet-owt-7be5be79.pth, as torchvision downloads it",
            )
        network.net.load_state_dict(own)
        return cls(network.to(device))

    @torch.no_grad()
    def between(self, samples: Images, others: Images) -> PerSample:
        """Distances between two batches of images, row by row.

        Args:
            samples: grey or RGB images, nominally in [0, 1]; enlarged if a side has fewer than 64 pixels.
            others: as many images of the same kind.
        """
        pair = [_prepare(each) for each in (samples, others)]
        return self._network(*pair, normalize=True).reshape(len(samples))


def _prepare(samples: Tensor) -> Tensor:
    rgb = to_channels(samples.clamp(0, 1), 3)
    factor = MIN_SIDE / min(rgb.shape[-2:])
    if factor <= 1:
        return rgb
    size = [max(MIN_SIDE, round(factor * side)) for side in rgb.shape[-2:]]
    return nn.functional.interpolate(rgb, size, mode="bilinear", align_corners=False)
