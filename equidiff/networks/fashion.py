"""The shipped network: a small convolutional classifier of Fashion-MNIST garments."""

from torch import Tensor, nn

CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot",
)  # fmt: skip


class FashionNet(nn.Module):
    """Three convolutional blocks, a mean over positions and a linear head.

    Layers: `block1` (32 channels, 14x14), `block2` (64, 7x7), `block3` (128, 7x7), `pool` (128
    features, the mean of `block3` over positions) and `head` (10 logits).

    Args:
        width: channels of the first block; the others are multiples of it.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.block1 = nn.Sequential(_convolution(1, width), _convolution(width, width, stride=2))
        self.block2 = nn.Sequential(_convolution(width, 2 * width), _convolution(2 * width, 2 * width, stride=2))
        self.block3 = nn.Sequential(_convolution(2 * width, 4 * width), _convolution(4 * width, 4 * width))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4 * width, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, 10]` of grey images `[batch, 1, 28, 28]` in [0, 1]."""
        return self.head(self.pool(self.block3(self.block2(self.block1(images)))))


def _convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )
