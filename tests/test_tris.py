"""The benchmark of attributions with a known answer: its data, its scores, and one small cell of it."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from benchmarks.tris import data as made
from benchmarks.tris.__main__ import divided, spread, summarize
from benchmarks.tris.methods import FILTERS, ROWS, importances
from benchmarks.tris.networks import Gaussian, Logits, as_tensors, correct, train
from benchmarks.tris.scores import closeness, precision


def connected(image):
    """True if the pixels of a shape touch each other."""
    left = {tuple(place) for place in np.argwhere(image)}
    edge = {left.pop()}
    while edge:
        row, column = edge.pop()
        near = {(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)} & left
        edge |= near
        left -= near
    return not left


@pytest.mark.parametrize("scenario", made.SCENARIOS)
def test_the_pixels_that_matter_are_those_of_the_shapes(scenario):
    labels = np.array([0, 1] * 20)
    signal, truth = made.draw_signal(scenario, labels, np.random.default_rng(0))
    assert (truth.sum(axis=1) == (4 if scenario == "RIGID" else 8)).all()
    assert (truth | (signal == 0)).all()
    if scenario == "RIGID":
        assert all(connected(row.reshape(8, 8)) for row in truth)
        # a T has a pixel with three neighbours, an L has none, however they are turned
        crossings = []
        for row in truth.reshape(-1, 8, 8):
            padded = np.pad(row, 1).astype(int)
            around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
            crossings.append(((around == 3) & row).any())
        assert crossings == [label == 0 for label in labels]
        assert len({row.tobytes() for row in truth}) > 20
    elif scenario == "XOR":
        corner = np.sign(signal.reshape(-1, 8, 8)[:, 1, 1] * signal.reshape(-1, 8, 8)[:, 4, 5])
        assert (corner == np.where(labels == 0, 1, -1)).all()
    else:
        assert (signal[0] != signal[1]).sum() == 8


def test_backgrounds_are_smooth_where_they_should_be():
    def roughness(background):
        images = made.draw_background(background, 60, np.random.default_rng(1)).reshape(-1, 8, 8)
        return float(np.square(np.diff(images, axis=1)).mean() / images.var())

    assert roughness("WHITE") == pytest.approx(2, abs=0.2)
    assert roughness("CORR") < roughness("NATURAL") < 1


def test_data_depend_on_the_seed():
    first, again, other = (made.make("LIN", "CORR", 0.2, seed, 40) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.images, again.images)
    assert (first.images != other.images).any()
    assert np.abs(first.images).max() == 1


def test_precision_is_the_mean_over_orders_of_equal_pixels():
    importance, truth = np.array([3, 1, 1, 0, 1]), np.array([True, True, False, False, True])
    orders = [order for order in itertools.permutations(range(5)) if list(importance[list(order)]) == [3, 1, 1, 1, 0]]
    expected = np.mean([truth[list(order[:3])].mean() for order in orders])
    assert precision(importance, truth) == pytest.approx(expected)


def test_closeness_is_that_of_the_best_assignment():
    random = np.random.default_rng(2)
    truth = np.zeros(64, bool)
    truth[random.choice(64, 4, replace=False)] = True
    units = random.integers(0, 64, 8)  # the mass in eighths, so that the transport is an assignment
    importance = np.bincount(units, minlength=64) / 8
    places = np.stack(np.divmod(np.arange(64), 8), axis=1)
    targets = np.repeat(truth.nonzero()[0], 2)
    costs = np.linalg.norm(places[units][:, None] - places[targets][None], axis=-1)
    cost = costs[linear_sum_assignment(costs)].sum() / 8
    assert closeness(importance, truth) == pytest.approx(1 - cost / np.hypot(7, 7))
    assert closeness(truth.astype(float), truth) == pytest.approx(1)
    assert closeness(np.zeros(64), truth) == closeness(np.ones(64), truth) < 1


def test_a_pulled_gradient_of_a_linear_network_is_the_covariance_with_its_output():
    given = made.make("LIN", "WHITE", 0.3, 0, 300)
    generator, torch_seed = Gaussian(given), torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).requires_grad_(False)
    model[1].weight.copy_(torch.randn(2, 64, generator=torch_seed))
    images, labels = as_tensors(given.part(slice(3)))
    found = importances("pulled", Logits(model), generator, images, labels)
    samples = generator.generate(torch.randn(200_000, 64, generator=torch_seed)).flatten(1)
    for row, label in zip(found, labels, strict=True):
        values = samples @ model[1].weight[label]
        covariance = ((samples - samples.mean(dim=0)) * (values - values.mean())[:, None]).mean(dim=0)
        assert float((row - covariance.abs()).norm() / row.norm()) < 0.03
    torch.testing.assert_close(generator.generate(generator.invert(images)), images, atol=1e-4, rtol=0)


def test_a_cell_is_learned_and_explained():
    first, second, third = divided("LIN", "WHITE", 0.4, 0, 1200)
    model = train("LLR", first, second, 0)
    assert float(correct(model, third).float().mean()) > 0.9
    images, labels = as_tensors(third.part(slice(6)))
    maps = {
        row: importances(row, Logits(model), Gaussian(first), images, labels)
        for row in ("pulled", "saliency", "random", "gradcam", *FILTERS)
    }
    assert maps.pop("gradcam") is None  # a linear network has no convolutions
    scores = {
        row: np.mean([precision(*pair) for pair in zip(found.double().numpy(), third.truth, strict=False)])
        for row, found in maps.items()
    }
    assert scores["pulled"] > 0.8 > 0.5 > max(scores["random"], scores["laplace"])


def test_cells_are_summarized_over_seeds():
    def cell(seed, pair):
        scores = dict.fromkeys(ROWS, pair)
        return {"network": "MLP", "scenario": "LIN", "background": "WHITE", "seed": seed, "scores": scores}

    found = summarize([cell(0, (0.2, 1)), cell(1, (0.6, 1)), cell(2, None)], 0)
    assert found["LIN", "WHITE", "pulled"] == pytest.approx((0.4, 0.2 * 2**0.5))
    assert spread([]) is None
