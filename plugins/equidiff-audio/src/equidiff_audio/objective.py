"""`crepe`: the pitch that the network CREPE hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Generator, Objective
from equidiff.errors import UsageError
from equidiff.kinds.registry import kind_of
from equidiff.plugin import Signal
from equidiff.types import Measurements, Samples
from equidiff_audio.network import BINS, Crepe, frames_of, load_crepe
from equidiff_audio.plugin import FRAME, RATE

if TYPE_CHECKING:
    from equidiff_audio.plugin import CrepeOptions

Output = Literal["pitch", "confidence", "bins"]

LOWEST, STEP = 1997.3794084376191, 20.0  # cents above 10 Hz of the lowest bin (31.7 Hz), and from one to the next
REACH = 4  # bins to each side of the highest one whose mean is the pitch


@final
class Pitch(Objective):
    """What CREPE hears in a sound: its pitch in cents above 10 Hz, its confidence, or all activations.

    Args:
        network: frozen.
        frames: of a sound.
        output: "pitch", "confidence" or "bins".
        hop: samples from one frame to the next.
        contour: each frame is an output of its own; else their mean is one.
    """

    def __init__(
        self, network: Crepe, frames: int = 1, output: Output = "pitch", hop: int = FRAME, contour: bool = False
    ) -> None:
        self._network, self._output, self._hop, self._contour = network, output, hop, contour
        each = tuple(f"bin {index}" for index in range(BINS)) if output == "bins" else (output,)
        several = contour and frames > 1
        self.names = tuple(f"{name}, frame {frame}" for frame in range(frames) for name in each) if several else each
        self.unit = "cents" if output == "pitch" else "activation"

    def measure(self, samples: Samples) -> Measurements:
        """Measure sounds of 16,000 samples a second, `[batch, 1024]` or longer, one channel."""
        frames = frames_of(samples, self._hop)
        activations = self._network(frames.flatten(0, 1))
        heard = {"pitch": pitch, "confidence": confidence, "bins": torch.clone}[self._output](activations)
        heard = heard.unflatten(0, frames.shape[:2]).flatten(2)
        return heard.flatten(1) if self._contour else heard.mean(dim=1)

    def networks(self) -> list[nn.Module]:
        """CREPE."""
        return [self._network]


def pitch(activations: Float[Tensor, "frames 360"]) -> Float[Tensor, "frames 1"]:
    """The pitch in cents above 10 Hz: the mean of the bins around the highest one, weighted by their activations.

    References:
        Kim et al. (2018), equation 3, over nine bins as in the published code. https://arxiv.org/abs/1802.06182
    """
    bins = torch.arange(BINS, device=activations.device)
    near = (bins - activations.argmax(dim=1, keepdim=True)).abs() <= REACH
    weights = activations * near
    return (weights * (LOWEST + STEP * bins)).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)


def confidence(activations: Float[Tensor, "frames 360"]) -> Float[Tensor, "frames 1"]:
    """The highest activation."""
    return activations.amax(dim=1, keepdim=True)


def build(argument: str | None, options: CrepeOptions, context: BuildContext) -> Objective:
    """Build `crepe`.

    Raises:
        UsageError: the generator's samples are no sounds of one channel that are long enough.
        WeightsError: the weights are not installed, or cannot be used.
    """
    length = FRAME if context.generator is None else _length(context.generator)
    network = context.share(
        "network", ("crepe", options.size), lambda own: load_crepe(options.size, own.weights.append)
    )
    frames = 1 + (length - FRAME) // options.hop
    return Pitch(network.to(context.device), frames, options.output, options.hop, options.contour)


def _length(generator: Generator) -> int:
    kind, shape = kind_of(generator), tuple(generator.sample_shape)
    mono = len(shape) == 1 or shape[0] == 1
    if not isinstance(kind, Signal) or kind.rate != RATE or not mono or shape[-1] < FRAME:
        raise UsageError(
            "CREPE cannot hear the samples of this generator.",
            given=kind.describe(shape),
            expected=f"sounds of one channel at {RATE} Hz, of {FRAME} samples or more",
            hint="--generator harmonic",
        )
    return shape[-1]
