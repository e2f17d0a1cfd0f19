"""The shipped network for the plane: a small MLP that distinguishes the inner circle from the outer one."""

from torch import Tensor, nn

CLASSES = ("outer", "inner")


class CirclesNet(nn.Module):
    """Two hidden layers of 32 tanh units and one logit.

    Layers: `act1` and `act2` (32 features each), and `layer3` (the logit of "inner").
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Linear(2, 32)
        self.act1 = nn.Tanh()
        self.layer2 = nn.Linear(32, 32)
        self.act2 = nn.Tanh()
        self.layer3 = nn.Linear(32, 1)

    def forward(self, points: Tensor) -> Tensor:
        """Logit `[batch, 1]` of "inside the unit circle" at points `[batch, 2]`."""
        return self.layer3(self.act2(self.layer2(self.act1(self.layer1(points)))))
