"""A denoiser of your own for the generator `azula`: the flow of `toy:fashion` behind azula's interface.

equidiff run --generator azula:./examples/azula_denoiser.py:load,shape=1x28x28 --objective classifier:bag,model=fashion
"""

from __future__ import annotations

from azula.denoise import Denoiser, DiracPosterior
from azula.noise import RectifiedSchedule
from torch import Tensor, nn

from equidiff.builtin.generators.fashion import load_fashion_flow
from equidiff.contracts import BuildContext


class FlowDenoiser(Denoiser):
    """Predicts the clean image, in [-1, 1].

    Args:
        network: takes states `time * image + (1 - time) * noise` and their times.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.schedule = RectifiedSchedule()

    def forward(self, x_t: Tensor, t: Tensor, **kwargs: object) -> DiracPosterior:
        """The posterior's mean; azula's states are `alpha * image + sigma * noise`, and its time runs from 1 to 0."""
        alpha, sigma = self.schedule(t)
        time = (alpha / (alpha + sigma)).expand(len(x_t))
        return DiracPosterior(mean=self.network(x_t / (alpha + sigma), time))


def load() -> FlowDenoiser:
    """Load the flow's weights, which ship with EquiDiff."""
    return FlowDenoiser(load_fashion_flow(BuildContext(), steps=None, recompute=False).flow)
