"""A generator with known factors: a shape on a textured background and, in half of the samples, a small mark.

It is exact: its samples *are* the data, so every finding is due to the network, not to a flaw of the generator. An
image takes a fraction of a millisecond.
"""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

import equidiff

SHAPES = ("star", "disc", "square", "triangle")  # the first is the object
SIDE = 32  # pixels
SHAPE, PRESENCE, MARK_PLACE, PLACE = slice(0, 2), 2, slice(3, 5), slice(5, 7)
SIZE, ROTATION, COLOUR, GROUND, TEXTURE = 7, 8, slice(9, 12), slice(12, 15), slice(15, 79)
SHARPNESS = 12.0  # sharpness of the transition from one shape to the next
CLEAR = 0.65  # radians from the middle of a shape's sector within which its share is at least 0.9
ONSET = 0.1  # width of the mark's onset, in standard deviations of its latent
YELLOW = (1.0, 0.85, 0.1)


@final
class ShapeImages(equidiff.Generator):
    """Map from 79 standard normal numbers to an image.

    The angle of the first two determines the shape (angles in between give shapes in between). One decides whether
    there is a mark, two determine its position, seven the shape's position, size, rotation and colour, three the
    background's colour, and 64 its texture.
    """

    latent_shape = (79,)
    sample_shape = (3, SIDE, SIDE)

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        """Draw images of latents; `steps` is ignored, as there is no sampler."""
        grid = latents[:, TEXTURE].reshape(-1, 1, 8, 8)
        texture = 0.06 * F.interpolate(grid, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
        ground, colour = 0.1 + 0.3 * _uniform(latents[:, GROUND]), 0.5 + 0.4 * _uniform(latents[:, COLOUR])
        image = _blend(ground[:, :, None, None] + texture, colour[:, :, None, None] + texture, self._shape(latents))
        presence = torch.sigmoid(latents[:, PRESENCE] / ONSET)
        yellow = latents.new_tensor(YELLOW)[None, :, None, None]
        return _blend(image, yellow, presence[:, None, None, None] * _mark(latents))

    def _shape(self, latents: Tensor) -> Tensor:
        """Share of each pixel that is covered by the shape, `[batch, 1, 32, 32]`."""
        down, right = _offsets(latents, SIDE / 2 + 3 * (2 * _uniform(latents[:, PLACE]) - 1))
        size = 7 + 3 * _uniform(latents[:, SIZE, None, None])
        angle = torch.atan2(down, right) + 2 * torch.pi * _uniform(latents[:, ROTATION, None, None])
        outlines = torch.stack([_star(angle), torch.full_like(angle, 0.85), _polygon(angle, 4), _polygon(angle, 3)])
        outline = (shares(latents).T[:, :, None, None] * outlines).sum(dim=0)
        return torch.sigmoid(2.5 * (size * outline - (down.square() + right.square()).sqrt()))[:, None]


def shares(latents: Tensor) -> Tensor:
    """Share of each shape, `[batch, 4]`, in the order of `SHAPES`; they sum to 1."""
    pair = latents[:, SHAPE]
    direction = pair / pair.square().sum(dim=1, keepdim=True).clamp(min=1e-8).sqrt()
    middles = torch.arange(4, device=latents.device) * (torch.pi / 2)
    towards = torch.stack([middles.cos(), middles.sin()])
    return (SHARPNESS * direction @ towards).softmax(dim=1)


def marked(latents: Tensor) -> Tensor:
    """True for samples with a mark of at least half its strength, `[batch]`; half of all samples have one."""
    return latents[:, PRESENCE] > 0


def mark_area(latents: Tensor) -> Tensor:
    """Pixels of the mark, or of its place if there is none, `[batch, 32, 32]`, bool."""
    return _mark(latents)[:, 0] > 0.5


def draw(count: int, stream: torch.Generator) -> Tensor:
    """Latents from the prior, `[count, 79]`."""
    return torch.randn(count, *ShapeImages.latent_shape, generator=stream)


def with_shape(latents: Tensor, shapes: Tensor) -> Tensor:
    """Latents of the same images with these shapes, `[batch]` of indices into `SHAPES`, none of them in between."""
    pair = latents[:, SHAPE]
    within = torch.atan2(pair[:, 1], pair[:, 0]).remainder(torch.pi / 2) / (torch.pi / 2)  # uniform in [0, 1)
    angle = shapes * (torch.pi / 2) + CLEAR * (2 * within - 1)
    changed = latents.clone()
    changed[:, SHAPE] = pair.norm(dim=1, keepdim=True) * torch.stack([angle.cos(), angle.sin()], dim=1)
    return changed


def with_mark(latents: Tensor, where: Tensor) -> Tensor:
    """Latents of the same images, with the mark where `where` is true (`[batch]`, bool) and without it elsewhere.

    A normal number is as likely as its negative, so the result is a draw from the prior given the mark's presence.
    """
    changed = latents.clone()
    changed[:, PRESENCE] = latents[:, PRESENCE].abs() * torch.where(where, 1.0, -1.0)
    return changed


def _mark(latents: Tensor) -> Tensor:
    """A soft square of four pixels in the lower right corner, `[batch, 1, 32, 32]`."""
    down, right = _offsets(latents, 25.5 + 3 * _uniform(latents[:, MARK_PLACE]))
    return (torch.sigmoid(4 * (2 - down.abs())) * torch.sigmoid(4 * (2 - right.abs())))[:, None]


def _offsets(latents: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets of each pixel below and to the right of a centre `[batch, 2]`, each `[batch, 32, 32]`."""
    axis = torch.arange(SIDE, device=latents.device) + 0.5
    down = axis[None, :, None] - centre[:, 0, None, None]
    right = axis[None, None, :] - centre[:, 1, None, None]
    return down.expand(-1, SIDE, SIDE), right.expand(-1, SIDE, SIDE)


def _star(angle: Tensor) -> Tensor:
    """Distance of a star's outline from its centre: 1.2 at five tips, half of that between them."""
    wave = 2 * ((angle * 5 / (2 * torch.pi)).remainder(1) - 0.5).abs()
    return 1.2 / (2 - wave)


def _polygon(angle: Tensor, corners: int) -> Tensor:
    sector = 2 * math.pi / corners
    return math.cos(sector / 2) / torch.cos(angle.remainder(sector) - sector / 2)


def _uniform(normal: Tensor) -> Tensor:
    """Map standard normal numbers to uniform ones in [0, 1]."""
    return torch.special.ndtr(normal)


def _blend(below: Tensor, above: Tensor, cover: Tensor) -> Tensor:
    return below + cover * (above - below)
