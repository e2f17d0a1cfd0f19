"""Images with tetrominoes on backgrounds, after XAI-TRIS (Clark, Wilming and Haufe 2024), and the pixels that matter.

A T is for class 0, an L for class 1; the class is a fair coin.

LIN: at a place of its own, added. MULT: there, multiplied: the pixels of the background fade. RIGID: turned by quarters
and moved anywhere, added. XOR: both shapes at their places, of the same sign in class 0, of opposite signs in class 1.
What matters are the pixels of both places where a shape's absence says as much as its presence (LIN, MULT, XOR), and of
the one shape in RIGID.

WHITE: independent normal noise. CORR: the same, smoothed. NATURAL: crops of the two photographs that come with
scikit-learn, in the place of the paper's of ImageNet: grey, reduced to 8 x 8, minus their mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images

SIDE = 8
T_SHAPE = ((0, 0), (0, 1), (0, 2), (1, 1))
L_SHAPE = ((0, 0), (1, 0), (2, 0), (2, 1))
T_PLACE, L_PLACE = (1, 1), (4, 5)
SCENARIOS = ("LIN", "MULT", "RIGID", "XOR")
BACKGROUNDS = ("WHITE", "CORR", "NATURAL")
SMOOTH = 3.0  # standard deviation of the Gaussian filter of CORR, in pixels
COUNT = 10_000  # images, as in the paper; a tenth is held out, half of it for validation
SMALLEST_CROP = 32


@dataclass(frozen=True)
class Data:
    """Images in [-1, 1], `[n, 64]`; their classes; the pixels that matter, `[n, 64]`, bool."""

    images: np.ndarray
    labels: np.ndarray
    truth: np.ndarray

    def part(self, rows: slice) -> Data:
        """Some of the images."""
        return Data(self.images[rows], self.labels[rows], self.truth[rows])


def make(scenario: str, background: str, alpha: float, seed: int, count: int = COUNT) -> Data:
    """Draw a data set.

    Args:
        scenario: of `SCENARIOS`.
        background: of `BACKGROUNDS`.
        alpha: share of the signal, from 0 to 1.
        seed: of all random numbers.
        count: images.
    """
    random = np.random.default_rng([seed, SCENARIOS.index(scenario), BACKGROUNDS.index(background)])
    labels = random.integers(0, 2, count)
    signal, truth = draw_signal(scenario, labels, random)
    noise = draw_background(background, count, random)
    noise = noise / np.linalg.norm(noise)
    if scenario == "MULT":
        images = (1 - alpha * signal) * noise
    else:
        images = alpha * signal / np.linalg.norm(signal) + (1 - alpha) * noise
    return Data((images / np.abs(images).max()).astype(np.float32), labels, truth)


def draw_signal(scenario: str, labels: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The shapes of images with these classes, and the pixels that matter in them, both `[n, 64]`."""
    shapes = np.stack([pattern(T_SHAPE, T_PLACE), pattern(L_SHAPE, L_PLACE)])
    if scenario == "RIGID":
        signal = np.stack([rigid((T_SHAPE, L_SHAPE)[label], random) for label in labels])
        return signal, signal > 0
    truth = np.broadcast_to(shapes.sum(axis=0) > 0, (len(labels), SIDE * SIDE)).copy()
    if scenario != "XOR":
        return shapes[labels], truth
    signs = random.choice([-1.0, 1.0], len(labels))[:, None]
    return signs * (shapes[0] + np.where(labels == 0, 1, -1)[:, None] * shapes[1]), truth


def pattern(cells: tuple[tuple[int, int], ...], place: tuple[int, int]) -> np.ndarray:
    """Ones on the cells of a shape whose corner lies at a place, zeros elsewhere, `[64]`."""
    image = np.zeros((SIDE, SIDE))
    for row, column in cells:
        image[place[0] + row, place[1] + column] = 1
    return image.reshape(-1)


def rigid(cells: tuple[tuple[int, int], ...], random: np.random.Generator) -> np.ndarray:
    """A shape turned by a random number of quarters, at a random place where all of it is in the image, `[64]`."""
    turned = np.array(cells)
    for _ in range(random.integers(0, 4)):
        turned = np.stack([turned[:, 1], -turned[:, 0]], axis=1)
    turned -= turned.min(axis=0)
    row, column = random.integers(0, SIDE - turned.max(axis=0))
    return pattern(tuple((int(a), int(b)) for a, b in turned), (int(row), int(column)))


def draw_background(background: str, count: int, random: np.random.Generator) -> np.ndarray:
    """Backgrounds, `[n, 64]`."""
    if background == "NATURAL":
        return np.stack([crop(random) for _ in range(count)])
    noise = random.normal(size=(count, SIDE, SIDE))
    if background == "CORR":
        noise = gaussian_filter(noise, (0, SMOOTH, SMOOTH))
    return noise.reshape(count, -1)


PHOTOGRAPHS = [Image.fromarray(each).convert("L") for each in load_sample_images().images]


def crop(random: np.random.Generator) -> np.ndarray:
    """A square of a photograph, of any size from 32 pixels on, mirrored or not, without its mean, `[64]`."""
    photograph = PHOTOGRAPHS[random.integers(len(PHOTOGRAPHS))]
    side = int(random.integers(SMALLEST_CROP, min(photograph.size) + 1))
    left, top = (int(random.integers(0, length - side + 1)) for length in photograph.size)
    small = photograph.resize((SIDE, SIDE), Image.Resampling.BOX, (left, top, left + side, top + side))
    values = np.asarray(small, dtype=np.float64)[:, :: random.choice([-1, 1])]
    return (values - values.mean()).reshape(-1)
