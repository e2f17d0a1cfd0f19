"""A small U-Net that predicts clean images from noisy ones.

Works on 2x2 pixel blocks (28 -> 14 -> 7 positions a side), where a CPU is most efficient, and conditions every
block on time by a scale and a shift of the normalised features.

References:
    Ronneberger et al. (2015), "U-Net". https://arxiv.org/abs/1505.04597
    Dhariwal and Nichol (2021), "Diffusion models beat GANs". https://arxiv.org/abs/2105.05233
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TIME_FEATURES = 64


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a residual path, modulated by the time embedding."""

    def __init__(self, channels_in: int, channels_out: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels_out)
        self.norm2 = nn.GroupNorm(8, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Identity() if channels_in == channels_out else nn.Conv2d(channels_in, channels_out, 1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.conv1(F.silu(self.norm1(features)))
        scale, shift = self.modulation(embedding)[..., None, None].chunk(2, dim=1)
        hidden = self.norm2(hidden) * (1 + scale) + shift
        return self.skip(features) + self.conv2(F.silu(hidden))


class Attention(nn.Module):
    """Self-attention over all positions of a feature map, added to its input."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.project.weight)

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        qkv = self.qkv(self.norm(features)).reshape(batch, 3, self.heads, channels // self.heads, height * width)
        query, key, value = qkv.transpose(-1, -2).unbind(1)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return features + self.project(mixed.transpose(-1, -2).reshape(batch, channels, height, width))


class UNet(nn.Module):
    """Predicts the clean image from a noisy one and its time.

    Args:
        width: channels at half resolution.
        deep: channels at quarter resolution.
        embedding: size of the time embedding.
    """

    def __init__(self, width: int = 64, deep: int = 144, embedding: int = 128) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(TIME_FEATURES, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.enter = nn.Conv2d(4, width, 3, padding=1)
        self.encode = ResidualBlock(width, width, embedding)
        self.down = nn.Conv2d(width, deep, 2, stride=2)
        self.middle = nn.ModuleList([ResidualBlock(deep, deep, embedding) for _ in range(4)])
        self.attend = Attention(deep)
        self.up = nn.ConvTranspose2d(deep, width, 2, stride=2)
        self.decode = nn.ModuleList(
            [ResidualBlock(2 * width, width, embedding), ResidualBlock(width, width, embedding)]
        )
        self.leave = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, noisy: Tensor, time: Tensor) -> Tensor:
        """Predict the clean image.

        Args:
            noisy: `[batch, 1, 28, 28]`, `(1 - time) * noise + time * clean`.
            time: `[batch]`, 0 is pure noise, 1 is the clean image.

        Returns:
            The clean image, `[batch, 1, 28, 28]`, nominally in [-1, 1].
        """
        embedding = self.embed(time_features(time))
        fine = self.encode(self.enter(F.pixel_unshuffle(noisy, 2)), embedding)
        hidden = self.down(fine)
        for index, block in enumerate(self.middle):
            hidden = block(hidden, embedding)
            if index == 1:
                hidden = self.attend(hidden)
        hidden = torch.cat([self.up(hidden), fine], dim=1)
        for block in self.decode:
            hidden = block(hidden, embedding)
        return F.pixel_shuffle(self.leave(hidden), 2)


def time_features(time: Tensor) -> Tensor:
    """Sines and cosines of a time in [0, 1], `[batch]` -> `[batch, 64]`."""
    half = TIME_FEATURES // 2
    frequencies = torch.exp(torch.linspace(0, math.log(1000), half, device=time.device, dtype=time.dtype))
    angles = time[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)
