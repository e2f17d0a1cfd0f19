"""A plugin in one file: a flow of rows of a table, and a classifier of them, both from `train.py` beside it.

    equidiff --plugin ./examples/pulsars/pulsars.py run --generator pulsars --objective pulsar --query 0

The rows are pulsar candidates of HTRU2: eight statistics of each. For another table, change COLUMNS, and train.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Generator, Objective, Predictor
from equidiff.networks.checkpoints import hash_weights, put_weights, read_weights
from equidiff.plugin import Column, Descriptor, Options, Table, hookimpl

# four statistics of the integrated profile, which is a pulse averaged over a whole observation, and of the curve of the
# signal-to-noise ratio over the dispersion measure (DM); the kurtosis is that in excess of a Gaussian's
COLUMNS = (
    "pulse mean",
    "pulse sd",
    "pulse kurtosis",
    "pulse skewness",
    "DM mean",
    "DM sd",
    "DM kurtosis",
    "DM skewness",
)
CLASSES = ("no pulsar", "pulsar")
WEIGHTS = Path(__file__).parent / "pulsars.safetensors"
WAVES, WIDTH, BLOCKS, STEPS = 8, 64, 2, 12
REACH = 4.0  # standard deviations between which a normal number stands for a quantile


class Flow(nn.Module):
    """The velocity that carries noise at time 0 to normalised rows at time 1.

    Args:
        columns: of a row.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.first = nn.Linear(columns + 2 * WAVES, WIDTH)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.SiLU(), nn.Linear(2 * WIDTH, WIDTH))
            for _ in range(BLOCKS)
        )
        self.last = nn.Linear(WIDTH, columns)

    def forward(self, states: Tensor, times: Tensor) -> Tensor:
        """Velocities of states `[rows, columns]` at times `[rows]`."""
        angles = times[:, None] * math.pi * torch.arange(1, WAVES + 1, device=times.device)
        hidden = self.first(torch.cat([states, angles.sin(), angles.cos()], dim=1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.last(hidden)


class Scale(nn.Module):
    """The numbers of each column as functions of normal ones: smooth curves through its quantiles.

    Args:
        columns: of a row.
        knots: of each curve, from -4 to 4 standard deviations.
    """

    values: Tensor
    slopes: Tensor

    def __init__(self, columns: int, knots: int = 33) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(columns, knots))
        self.register_buffer("slopes", torch.zeros(columns, knots))

    def forward(self, normal: Tensor) -> Tensor:
        """Rows of the table; beyond 4 standard deviations, the ends of the range."""
        last = self.values.shape[1] - 1
        place = (normal.clamp(-REACH, REACH) + REACH) * last / (2 * REACH)
        knot = place.detach().floor().clamp(max=last - 1).long()
        share = place - knot
        column = torch.arange(len(self.values), device=normal.device).expand_as(knot)
        low, high = self.values[column, knot], self.values[column, knot + 1]
        rise, fall = self.slopes[column, knot], self.slopes[column, knot + 1]
        # the cubic with these values and slopes at its ends
        smooth = share.square() * (3 - 2 * share)
        bend = share * (1 - share) * (rise * (1 - share) - fall * share)
        return low + (high - low) * smooth + bend


def classifier(columns: int) -> nn.Sequential:
    """One logit, that of a pulsar, from standardised rows."""
    return nn.Sequential(nn.Linear(columns, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 1))


class Model(nn.Module):
    """All that `train.py` trains, in one file.

    Args:
        columns: of a row.
        queries: rows that are kept as queries.
    """

    mean: Tensor
    spread: Tensor
    queries: Tensor

    def __init__(self, columns: int = len(COLUMNS), queries: int = 8) -> None:
        super().__init__()
        self.flow, self.scale, self.classifier = Flow(columns), Scale(columns), classifier(columns)
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("spread", torch.ones(columns))
        self.register_buffer("queries", torch.zeros(queries, columns))

    def logit(self, rows: Tensor) -> Tensor:
        """The classifier's logit of rows as the table has them, `[rows, 1]`."""
        return self.classifier((rows - self.mean) / self.spread)


class Rows(Generator):
    """Integrates the flow by the midpoint method, and scales what comes out.

    Args:
        model: trained.
    """

    steps = STEPS

    def __init__(self, model: Model) -> None:
        self.latent_shape = self.sample_shape = tuple(model.mean.shape)
        ends = model.scale.values[:, [0, -1]].tolist()
        self.kind = Table(
            tuple(Column(name, low=low, high=high) for name, (low, high) in zip(COLUMNS, ends, strict=True))
        )
        self._model = model

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        """Rows of the table."""
        state, count = latents, steps or STEPS
        for step in range(count):
            middle = state + self._velocity(state, step / count) / (2 * count)
            state = state + self._velocity(middle, (step + 0.5) / count) / count
        return self._model.scale(state)

    def queries(self) -> Tensor:
        """Rows of the data that were held out."""
        return self._model.queries.clone()

    def _velocity(self, states: Tensor, time: float) -> Tensor:
        return self._model.flow(states, states.new_full((len(states),), time))


class Score(Objective):
    """The classifier's logit: 0 where it cannot decide.

    Args:
        model: trained.
    """

    names = ("pulsar",)
    unit = "logit"

    def __init__(self, model: Model) -> None:
        self._model = model

    def measure(self, samples: Tensor) -> Tensor:
        """`[rows, 1]`."""
        return self._model.logit(samples)

    def networks(self) -> list[nn.Module]:
        """The classifier."""
        return [self._model.classifier]

    def predictor(self) -> Predictor:
        """What the classifier calls a row."""

        def probabilities(samples: Tensor) -> Tensor:
            pulsar = self._model.logit(samples).sigmoid()
            return torch.cat([1 - pulsar, pulsar], dim=1)

        return Predictor("pulsars", CLASSES, probabilities)


class WeightsOptions(Options):
    """Options of both components."""

    weights: str = Field(str(WEIGHTS), description="the file that train.py wrote")


def load(options: WeightsOptions, context: BuildContext) -> Model:
    """The trained model, whose file the run records."""
    path = Path(options.weights)
    weights = read_weights(path)
    model = Model(queries=len(weights.get("queries", [])))
    put_weights(model, weights, path, hint="train again: COLUMNS may be those of another table")
    context.weights.append(hash_weights(path))
    return model.eval().requires_grad_(False).to(context.device)


def build_rows(argument: str | None, options: WeightsOptions, context: BuildContext) -> Generator:
    """Build `pulsars`."""
    return Rows(load(options, context))


def build_score(argument: str | None, options: WeightsOptions, context: BuildContext) -> Objective:
    """Build `pulsar`."""
    return Score(load(options, context))


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """Rows of the table."""
    return [Descriptor("pulsars", f"{__name__}:build_rows", "Pulsar candidates, a row each.", options=WeightsOptions)]


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """The classifier."""
    return [Descriptor("pulsar", f"{__name__}:build_score", "Logit of a pulsar.", options=WeightsOptions)]
