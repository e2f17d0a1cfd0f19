"""Cases to compare solvers on: objectives of several sizes, with common and rare targets."""

from dataclasses import dataclass
from functools import cached_property

import torch
from foreign import foreign_generator, foreign_objective
from torch import Tensor

from equidiff.contracts import BuildContext, Generator, Objective, Regularizer
from equidiff.metrics.realism import mean_percentile_interval, nearest_distances, percentiles
from equidiff.networks import load_network
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.problem import Problem

BANK, FOREIGN_BANK = 4096, 1024  # prior samples that spreads and targets are taken from
QUANTILES = {"common": (0.25, 0.5, 0.75), "rare": (0.999,)}
OBJECTIVES = {  # name: (generator, spec); the number of outputs is in the table
    "circles": ("toy:circles", "classifier:inner"),
    "neuron": ("toy:fashion", "neuron:17"),
    "probability": ("toy:fashion", "classifier:bag"),
    "logits": ("toy:fashion", "classifier"),
    "map": ("toy:fashion", "neuron:block3.17,positions=all"),
    "layer": ("toy:fashion", "the layer before the head"),
    "face": ("faces", "a logit of an ImageNet network"),
    "face-unit": ("faces", "a unit in the middle of that network"),
    "digit": ("digits", "a logit of a classifier of digits"),
    "digits": ("digits", "all of its ten logits"),
}
FOREIGN = {"faces", "digits"}  # generators


class Scaled(Objective):
    """An objective whose residual is in units of its outputs' spread over prior samples."""

    def __init__(self, inner: Objective, spread: Tensor) -> None:
        self.names, self.unit = inner.names, inner.unit
        self._inner, self._spread = inner, spread

    def measure(self, samples: Tensor) -> Tensor:
        """As the inner objective."""
        return self._inner.measure(samples)

    def residual(self, measurements: Tensor, target: Tensor) -> Tensor:
        """In spreads."""
        return (measurements - target) / self._spread


class Both(Regularizer):
    """The views of one regularizer and the penalty of another."""

    def __init__(self, seen: Regularizer, bounded: Regularizer) -> None:
        self._seen, self._bounded = seen, bounded

    def views(self, samples: Tensor) -> list[Tensor]:
        """Of the first."""
        return self._seen.views(samples)

    def penalty(self, samples: Tensor, latents: Tensor) -> Tensor:
        """Of the second."""
        return self._bounded.penalty(samples, latents)


class Layer(Objective):
    """All 128 features before the head of the shipped classifier."""

    unit = "activation"

    def __init__(self, context: BuildContext) -> None:
        self.names = tuple(map(str, range(128)))
        self._network = load_network("fashion", None, context)

    def measure(self, samples: Tensor) -> Tensor:
        """`[batch, 128]`."""
        module = self._network.module
        return module.pool(module.block3(module.block2(module.block1(self._network.prepare(samples)))))


@dataclass(frozen=True)
class Case:
    """One row group of the table: `NAME[+lowpass][:rare]`.

    Attributes:
        text: that word.
        quantiles: of the targets, by their distance from usual; those of a common or a rare target when None.
    """

    text: str
    quantiles: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """The objective."""
        return self.text.partition(":")[0].partition("+")[0]

    @property
    def lowpass(self) -> bool:
        """True if the measurement must also hold for the low-pass view."""
        return "+lowpass" in self.text

    @property
    def rare(self) -> bool:
        """True if the target is the 99.9th percentile."""
        return self.text.endswith(":rare")

    @cached_property
    def problems(self) -> list[Problem]:
        """One for each target."""
        bank, objective = prior_samples(self.generator), self._objective
        with torch.no_grad():
            values = torch.cat([objective.measure(part).float() for part in bank.split(256)])
        # outputs that hardly vary are given a thousandth of the usual spread, not none
        spread = values.std(dim=0).clamp(min=1e-3 * values.std().item())
        # how far from usual: the value itself, or the distance from the mean in spreads
        distance = values[:, 0] if values.shape[1] == 1 else ((values - values.mean(0)) / spread).norm(dim=1)
        order = distance.argsort()
        quantiles = self.quantiles or QUANTILES["rare" if self.rare else "common"]
        chosen = [order[int(q * len(bank))] for q in quantiles]
        regularizer = build(Plugins(), "regularizer", "lowpass" if self.lowpass else "none", self._context).component
        scaled = Scaled(objective, spread)
        return [Problem(self.generator, scaled, regularizer, values[index]) for index in chosen]

    @cached_property
    def in_pixels(self) -> list[Problem]:
        """The same without a prior: pixels in the place of the generator, and a limit on their total variation."""
        pixels = _generator("pixels:28")
        limit = build(Plugins(), "regularizer", "tv", BuildContext(generator=pixels)).component
        return [Problem(pixels, p.objective, Both(p.regularizer, limit), p.target) for p in self.problems]

    @cached_property
    def generator(self) -> Generator:
        """The generator, the same object for all cases of its name."""
        return _generator(OBJECTIVES[self.name][0])

    @property
    def _context(self) -> BuildContext:
        return BuildContext(generator=self.generator)

    @property
    def _objective(self) -> Objective:
        generator, spec = OBJECTIVES[self.name]
        if generator in FOREIGN:
            return foreign_objective(self.name, self._context)
        if self.name == "layer":
            return Layer(self._context)
        return build(Plugins(), "objective", spec, self._context).component


_generators: dict[str, Generator] = {}
_banks: dict[int, Tensor] = {}


def _generator(spec: str) -> Generator:
    if spec not in _generators:
        _generators[spec] = (
            foreign_generator(spec)
            if spec in FOREIGN
            else build(Plugins(), "generator", spec, BuildContext()).component
        )
    return _generators[spec]


def prior_samples(generator: Generator) -> Tensor:
    """Prior samples, made once: `BANK` of the shipped generators, `FOREIGN_BANK` of others."""
    if id(generator) not in _banks:
        count = FOREIGN_BANK if any(_generators.get(name) is generator for name in FOREIGN) else BANK
        latents = torch.randn(count, *generator.latent_shape, generator=torch.Generator().manual_seed(12345))
        with torch.no_grad():
            _banks[id(generator)] = torch.cat([generator.generate(part) for part in latents.split(32)])
    return _banks[id(generator)]


def reference_samples(generator: Generator) -> tuple[Tensor, Tensor]:
    """Half of the prior samples, flat, which others are compared with, and 512 of the others."""
    bank = prior_samples(generator).flatten(1)
    return bank[: len(bank) // 2], bank[len(bank) // 2 :][:512]


def realism(generator: Generator, samples: Tensor) -> str:
    """The mean percentile of samples' distances to the nearest prior sample, among those of other prior samples."""
    reference, others = reference_samples(generator)
    usual = nearest_distances(others, reference)
    near = nearest_distances(samples.flatten(1), reference)
    low, high = mean_percentile_interval(near, usual)
    return f"{percentiles(near, usual).mean().item():.0f} ({low:.0f}-{high:.0f})"
