"""Preprocessing of a network in memory, against transforms written by others."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch.nn.functional import interpolate
from torchvision.transforms import v2

from equidiff.errors import PluginError, UnsupportedError, UsageError
from equidiff.networks.preprocessing import Preprocessing, check_preparation

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def of(size=None, mean=None, std=None, function=None):
    return Preprocessing.of(size, mean, std, function)


@pytest.mark.parametrize("shape", [(3, 40, 40), (3, 50, 36), (3, 31, 77), (1, 20, 20)])
@pytest.mark.parametrize("size", [24, (24, 24), (20, 30), 64])
def test_it_is_a_resize_a_crop_and_a_normalization(shape, size):
    samples = torch.rand(2, *shape)
    height, width = (size, size) if isinstance(size, int) else size
    scale = max(height / shape[1], width / shape[2])
    resized = [max(round(shape[1] * scale), height), max(round(shape[2] * scale), width)]
    steps = [v2.Resize(resized, v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop([height, width])]
    expected = v2.Compose([*steps, v2.Normalize(MEAN, STD)])(samples.expand(-1, 3, -1, -1))
    assert of(size, MEAN, STD).prepare(samples).shape == (2, 3, height, width)
    # torchvision rounds the offset of a crop, which may then be one pixel to the side
    parity = [(a - b) % 2 for a, b in zip(resized, (height, width), strict=True)]
    if not any(parity):
        assert torch.allclose(of(size, MEAN, STD).prepare(samples), expected, atol=1e-5)


def test_a_query_of_the_networks_size_is_not_resized():
    samples = torch.rand(1, 3, 24, 24)
    assert of(24).prepare(samples) is samples
    assert of().prepare(samples) is samples


@pytest.mark.parametrize(
    ("mean", "std"), [(0.5, 0.25), ([0.5], [0.25]), (np.float32(0.5), np.array([0.25])), (torch.tensor(0.5), 0.25)]
)
def test_numbers_come_in_many_types(mean, std):
    assert torch.allclose(of(None, mean, std).prepare(torch.ones(1, 1, 2, 2)), torch.full((1, 1, 2, 2), 2.0))


def test_one_number_leaves_the_channels_and_a_list_names_them():
    assert of(mean=0.5).channels is None
    assert (of(mean=[0.5]).channels, of(std=STD).channels) == (1, 3)
    assert of(mean=0.5, std=STD).channels == 3


def test_points_are_normalized_too():
    assert of(None, 0.5, 2.0).prepare(torch.ones(1, 2)).tolist() == [[0.25, 0.25]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 0}, "size"), ({"size": (3, 4, 5)}, "size"), ({"size": 2.5}, "size"), ({"size": "big"}, "size"),
        ({"mean": (123.7, 116.3, 103.5)}, "divided by 255"), ({"mean": (0.5, 0.5)}, "1 or 3"),
        ({"mean": float("nan")}, "mean"), ({"mean": "grey"}, "mean"), ({"std": 0}, "std"),
        ({"std": (58, -57, 57)}, "std"),
        ({"mean": MEAN, "std": [0.5]}, "different numbers of channels"),
        ({"function": 3}, "a function of tensors"), ({"function": len, "size": 3}, "preprocess and size"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_used(given, message):
    with pytest.raises(UsageError, match=message):
        of(**given)


def to_array(samples):
    return torch.from_numpy(samples.detach().numpy().copy())


def standardize(samples):
    flat = samples.flatten(1)
    return samples - flat.mean(1)[:, None, None, None]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (v2.Compose([v2.ToImage(), lambda x: Image.fromarray(x)]), "raises .*Error"),
        (lambda samples: Image.open(samples), "raises AttributeError"),
        (lambda samples: samples.tolist(), "given: list"),
        (lambda samples: (255 * samples).to(torch.uint8), r"torch\.uint8 of shape \(2, 3, 8, 8\)"),
        (lambda samples: samples[0], r"of shape \(3, 8, 8\)"),
        (lambda samples: samples.sum(), r"of shape \(\)"),
        (lambda samples: (samples - 2).log(), "not finite"),
        (to_array, "lost the gradient"),
        (torch.detach, "lost the gradient"),
        (lambda samples: (255 * samples).round() / 255, "zero everywhere"),
        (lambda samples: samples - samples.mean(), "depends on other samples"),
    ],
)
def test_functions_that_a_search_cannot_use(function, message):
    with pytest.raises(PluginError, match=message):
        check_preparation(function, (3, 8, 8), "cpu")


def test_sound_functions_pass():
    for function in (torch.nn.Identity(), standardize, v2.Normalize(MEAN, STD), v2.Resize(5, antialias=True)):
        check_preparation(function, (3, 8, 8), "cpu")
    check_preparation(of(16, MEAN, STD).prepare, (1, 8, 8), "cpu")


@pytest.mark.parametrize(
    "transform",
    [
        torchvision.models.ResNet18_Weights.DEFAULT.transforms(),
        timm.data.create_transform((3, 64, 64), is_training=False),
    ],
)
def test_transforms_of_libraries_are_for_colour(transform):
    check_preparation(transform, (3, 40, 40), "cpu")
    with pytest.raises(PluginError, match=r"samples\.expand\(-1, 3, -1, -1\)"):
        check_preparation(transform, (1, 40, 40), "cpu")
    check_preparation(lambda samples: transform(samples.expand(-1, 3, -1, -1)), (1, 40, 40), "cpu")


def test_the_classic_transform_says_what_to_leave_out():
    from torchvision import transforms

    with pytest.raises(PluginError, match="leave ToTensor"):
        check_preparation(transforms.Compose([transforms.ToTensor()]), (3, 8, 8), "cpu")


def test_an_error_of_our_own_stays_as_it_is():
    with pytest.raises(UnsupportedError, match="5 channels"):
        check_preparation(of(mean=MEAN).prepare, (5, 8, 8), "cpu")


def test_gradients_against_finite_differences():
    samples = torch.rand(1, 1, 9, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(of((5, 4), MEAN, STD).prepare, samples)


def test_it_is_described_for_the_run_folder():
    assert of(24, MEAN, 0.5).describe() == {"size": (24, 24), "mean": MEAN, "std": (0.5,)}
    assert of(function=standardize).describe() == {"preprocess": f"{__name__}.standardize"}
    assert of(function=torch.nn.Identity()).describe() == {"preprocess": "torch.nn.modules.linear.Identity"}


def test_a_larger_picture_keeps_its_middle():
    wide = torch.zeros(1, 1, 10, 30)
    wide[..., 10:20] = 1
    assert torch.equal(of(10).prepare(wide), torch.ones(1, 1, 10, 10))
    expected = interpolate(wide, (5, 15), mode="bicubic", antialias=True)[..., 5:10]
    assert torch.allclose(of(5).prepare(wide), expected)
