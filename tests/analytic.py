"""Problems whose answers are known: an identity or linear generator, linear and quadratic objectives."""

import torch
from torch import Tensor

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import Generator, Objective, Regularizer, SplitSampler
from equidiff.search.problem import Problem


class Identity(Generator):
    """x = z."""

    def __init__(self, *shape: int) -> None:
        self.latent_shape = self.sample_shape = shape

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        return latents


class Counts(Identity):
    """Notes how many rows each pass had, and how many of them did not only fill it."""

    def __init__(self, *shape: int) -> None:
        super().__init__(*shape)
        self.rows: list[int] = []
        self.sizes: list[int] = []

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        self.rows.append(len(latents.unique(dim=0)))
        self.sizes.append(len(latents))
        return latents


class Curved(Generator):
    """x = z + sin(z) / 2, entry by entry: smooth, one to one, not linear."""

    def __init__(self, *shape: int) -> None:
        self.latent_shape = self.sample_shape = shape

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        return latents + latents.sin() / 2


class Staged(Generator, SplitSampler):
    """Four stages `s + 0.3 tanh(W s)`, and a tenth of the state after the second: a sampler with memory."""

    steps = 4

    def __init__(self, size: int, sweeps: int = 2) -> None:
        self.latent_shape = self.sample_shape = (size,)
        self.sweeps = sweeps
        random = torch.Generator().manual_seed(3)
        self.matrices = torch.randn(4, size, size, generator=random) / size**0.5
        self.finished: list[Tensor] = []

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        return self._finish(self.begin(latents))

    def split_sampler(self) -> SplitSampler:
        return self

    def begin(self, latents: Tensor) -> Tensor:
        states = [latents]
        for matrix in self.matrices[:3]:
            states.append(states[-1] + 0.3 * (states[-1] @ matrix).tanh())
        return torch.stack([states[3], states[2]], dim=1)

    def finish(self, states: Tensor) -> Tensor:
        self.finished.append(states.detach())
        return self._finish(states)

    def _finish(self, states: Tensor) -> Tensor:
        state, remembered = states.unbind(dim=1)
        return state + 0.3 * (state @ self.matrices[3]).tanh() + 0.1 * remembered

    def reencode(self, latents: Tensor, states: Tensor, moved: Tensor) -> Tensor:
        return latents + self._back(moved[:, 0]) - self._back(states[:, 0])

    def _back(self, state: Tensor) -> Tensor:
        for matrix in self.matrices[:3].flip(0):
            after = state
            for _ in range(self.sweeps):
                state = after - 0.3 * (state @ matrix).tanh()
        return state


class Linear(Objective):
    """y = W x, for samples of any shape."""

    unit = "value"

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights
        self.names = tuple(f"row {index}" for index in range(len(weights)))

    def measure(self, samples: Tensor) -> Tensor:
        return samples.flatten(1) @ self.weights.T


class Halved(Regularizer):
    """One view, half of the sample."""

    def views(self, samples: Tensor) -> list[Tensor]:
        return [samples / 2]


class Penalised(Regularizer):
    """The same view, and a penalty on the sample's first entry."""

    def __init__(self, amount: float) -> None:
        self.amount = amount

    def views(self, samples: Tensor) -> list[Tensor]:
        return [samples / 2]

    def penalty(self, samples: Tensor, latents: Tensor) -> Tensor:
        return self.amount * samples.flatten(1)[:, 0].square()


def linear_problem(
    size: int = 12, outputs: int = 1, generator: Generator | None = None, target: float = 1.0
) -> Problem:
    """W x = target with a random W of unit rows."""
    weights = torch.randn(outputs, size, generator=torch.Generator().manual_seed(7))
    weights = weights / weights.norm(dim=1, keepdim=True)
    generator = generator or Curved(size)
    return Problem(generator, Linear(weights), NoRegularizer(), torch.full((outputs,), target))


def variation_by_loops(image):
    """The mean difference to the right neighbour, plus that to the lower one, of `[channels, height, width]`."""
    channels, height, width = image.shape
    across, down = [], []
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                if x + 1 < width:
                    across.append(abs(image[c, y, x + 1].item() - image[c, y, x].item()))
                if y + 1 < height:
                    down.append(abs(image[c, y + 1, x].item() - image[c, y, x].item()))
    return sum((sum(each) / len(each) for each in (across, down) if each), 0.0)
