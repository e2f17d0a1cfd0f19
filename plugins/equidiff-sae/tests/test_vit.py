"""Loading of transformers, and preparation of images as in Prisma."""

import json

import pytest
import timm
import torch
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision
from PIL import Image
from safetensors.torch import save_file

from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, WeightsError
from equidiff.images.convert import image_to_tensor

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture
def network(vit_folder):
    folder = vit_folder()
    content = json.loads((folder / "config.json").read_text())
    content["pretrained_cfg"] |= {"mean": MEAN, "std": STD, "crop_pct": 0.9}  # a crop that Prisma does not make
    (folder / "config.json").write_text(json.dumps(content))
    module = timm.create_model(content["architecture"], **content["model_args"])
    save_file(module.state_dict(), folder / "model.safetensors")
    return load_tower(str(folder), None, BuildContext())


@pytest.mark.parametrize("size", [(80, 50), (31, 64), (32, 32)])
def test_pictures_are_prepared_as_prismas_were(network, size):
    noise = torch.rand(3, size[1] // 4 + 1, size[0] // 4 + 1, generator=torch.Generator().manual_seed(0))
    picture = Image.fromarray((noise.permute(1, 2, 0) * 255).byte().numpy()).resize(size, Image.Resampling.BICUBIC)
    scale = 32 / min(size)
    wide, high = (int(side * scale) for side in size)
    small = picture.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = round((wide - 32) / 2), round((high - 32) / 2)
    cropped = image_to_tensor(small.crop((left, top, left + 32, top + 32)))
    expected = (cropped - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    prepared = network.prepare_image(picture)
    torch.testing.assert_close(prepared, network.prepare(image_to_tensor(picture)))
    # Prisma's is neither rounded to 8 bits in between here nor clamped where the bicubic overshoots
    off = (prepared - expected).abs()
    assert off.max() < 0.1
    assert off.mean() < 0.01


def test_grey_samples_and_gradients(network):
    grey = torch.rand(2, 1, 28, 28).requires_grad_()
    prepared = network.prepare(grey)
    assert prepared.shape == (2, 3, 32, 32)
    (gradient,) = torch.autograd.grad(prepared.sum(), grey)
    assert (gradient != 0).all()


def test_hooks_are_what_timm_itself_gives(network):
    inputs = torch.randn(2, 3, 32, 32)
    for layer in range(3):
        (expected,) = network.module.forward_intermediates(
            inputs, indices=[layer], norm=False, output_fmt="NLC", return_prefix_tokens=False, intermediates_only=True
        )
        tokens = Vision(network, f"blocks.{layer}.hook_resid_post").read(inputs)
        torch.testing.assert_close(tokens[:, 1:], expected)


def test_what_cannot_be_loaded(tmp_path, vit_folder):
    with pytest.raises(UnknownNameError, match="no network named 'vit_tiny_patch17'"):
        load_tower("vit_tiny_patch17", None, BuildContext())
    weights = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("resnet18", num_classes=0).state_dict(), weights)
    with pytest.raises(WeightsError, match="does not fit"):
        load_tower(str(vit_folder()), str(weights), BuildContext())
    with pytest.raises(WeightsError, match="timm's layout"):
        load_tower(str(tmp_path), None, BuildContext())


def test_places_that_are_not_there(network):
    with pytest.raises(UnknownNameError, match="no layer 3"):
        Vision(network, "blocks.3.hook_resid_post")
    with pytest.raises(UnknownNameError, match="no hook named"):
        Vision(network, "blocks.1.attn.hook_k")
