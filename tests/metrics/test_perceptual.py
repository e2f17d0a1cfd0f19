"""LPIPS against its formula, with weights of AlexNet's shapes."""

import json
import sys

import pytest
import torch
from running import run_cli
from torch.nn.functional import conv2d, max_pool2d

from equidiff.errors import PluginError, WeightsError
from equidiff.metrics import PerceptualDistance

pytest.importorskip("torchmetrics", reason="the extra 'lpips' is not installed")
SHAPES = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    random = torch.Generator().manual_seed(0)
    state = {}
    for index, shape in SHAPES.items():
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"features.{index}.weight"] = torch.randn(shape, generator=random) * (2 / fan_in) ** 0.5
        state[f"features.{index}.bias"] = 0.1 * torch.randn(shape[0], generator=random)
    path = tmp_path_factory.mktemp("lpips") / "alexnet.pth"
    torch.save(state, path)
    return path


def activations(state, images):
    """AlexNet's five rectified layers, by torch's functions."""
    steps = {0: (4, 2, False), 3: (1, 2, True), 6: (1, 1, True), 8: (1, 1, False), 10: (1, 1, False)}
    found = []
    for index, (stride, padding, pool) in steps.items():
        images = max_pool2d(images, 3, 2) if pool else images
        kernel, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
        images = conv2d(images, kernel, bias, stride=stride, padding=padding).relu()
        found.append(images)
    return found


def slow_lpips(state, first, second, judgements):
    shift, scale = (torch.tensor(v)[:, None, None] for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
    layers = [activations(state, (2 * image[None] - 1 - shift) / scale) for image in (first, second)]
    total = 0.0
    for a, b, judgement in zip(*layers, judgements, strict=True):
        a, b = (each / each.square().sum(dim=1, keepdim=True).sqrt() for each in (a, b))
        total += ((a - b).square() * judgement.reshape(1, -1, 1, 1)).sum(dim=1).mean().item()
    return total


def test_lpips_by_its_formula(weights):
    distance = PerceptualDistance.load(weights, "cpu")
    judgements = [layer.model[-1].weight for layer in distance._network.lins]
    assert all((each >= 0).all() for each in judgements)
    pair = torch.rand(2, 3, 70, 80, generator=torch.Generator().manual_seed(1))
    expected = slow_lpips(torch.load(weights, weights_only=True), pair[0], pair[1], judgements)
    found = distance.between(pair[:1], pair[1:])
    assert found.tolist() == pytest.approx([expected], rel=1e-4)
    assert distance.between(pair, pair).tolist() == pytest.approx([0, 0], abs=1e-7)


def test_small_and_grey_images_are_brought_to_the_form_of_alexnet(weights):
    distance = PerceptualDistance.load(weights, "cpu")
    found = distance.between(torch.zeros(2, 1, 28, 20), torch.rand(2, 1, 28, 20))
    assert found.shape == (2,)
    assert (found > 0).all()


def test_the_command_measures_it_where_it_has_the_weights(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("equidiff.analysis.evaluation.sample_sets.FEWEST_PRIOR", 6)
    run = tmp_path / "run"
    more = ("-g", "toy:fashion,steps=1", "-o", "neuron:17", "--tolerance", 0.05, "-n", 3, "--device", "cpu")
    assert run_cli("run", *more, "--out", run).code == 0
    found = json.loads(run_cli("evaluate", run, "--lpips", weights, "--json", "--device", "cpu").stdout)
    metric = found["groups"]["diversity"]["lpips"]
    assert metric["n"] == 3
    assert metric["interval"][0] <= metric["value"] <= metric["interval"][1]
    assert metric["plain"] > 0


def test_weights_that_are_not_alexnets(tmp_path):
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="not the weights"):
        PerceptualDistance.load(tmp_path / "other.pth", "cpu")
    with pytest.raises(WeightsError, match="does not exist"):
        PerceptualDistance.load(tmp_path / "none.pth", "cpu")


def test_without_torchmetrics(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image.lpips", None)
    with pytest.raises(PluginError, match="missing") as caught:
        PerceptualDistance.load(weights, "cpu")
    assert caught.value.hint == 'pip install "equidiff[lpips]"'
