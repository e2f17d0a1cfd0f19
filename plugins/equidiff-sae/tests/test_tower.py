"""Loading of transformers, and preparation of images as in Prisma."""

import json

import pytest
import timm
import torch
from equidiff_sae.pairing import SAEV_DINO
from equidiff_sae.tower import View, load_tower, quick_gelu_twin
from equidiff_sae.vision import Vision
from PIL import Image
from safetensors.torch import save_file

from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UnsupportedError, WeightsError
from equidiff.images.convert import image_to_tensor
from equidiff.networks import Network

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


@pytest.fixture
def weights(tmp_path):
    """Weights of timm's smallest transformer, at its own size of 160 pixels."""
    torch.manual_seed(0)
    path = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), path)
    return path


def tokens_of(module, size):
    module.eval()
    with torch.no_grad():
        return module.forward_features(torch.linspace(-1, 1, 3 * size * size).reshape(1, 3, size, size))


def test_another_size_is_what_timm_makes_of_it(weights, monkeypatch):
    overlay = {"file": str(weights), "custom_load": False}
    own = timm.create_model("test_vit", pretrained=True, pretrained_cfg_overlay=overlay, img_size=96)
    network = load_tower("test_vit", str(weights), BuildContext(), View(96))
    torch.testing.assert_close(tokens_of(network.module, 96), tokens_of(own, 96))
    assert network.prepare(torch.rand(1, 3, 40, 50)).shape == (1, 3, 96, 96)
    # without a file, the weights are loaded at the network's own size first
    full = timm.create_model("test_vit", pretrained=True, pretrained_cfg_overlay=overlay)
    loaded = Network(full, "test_vit", "cpu", (3, 160, 160), prepare=lambda samples: samples)
    monkeypatch.setattr("equidiff_sae.tower.load_network", lambda *_: loaded)
    network = load_tower("test_vit", None, BuildContext(), View(96))
    torch.testing.assert_close(tokens_of(network.module, 96), tokens_of(own, 96))


def test_weights_of_another_size(weights, tmp_path):
    path = tmp_path / "small.safetensors"
    module = timm.create_model("test_vit", img_size=96)
    save_file(module.state_dict(), path)
    with pytest.raises(WeightsError, match="images of another size") as caught:
        load_tower("test_vit", str(path), BuildContext())
    assert caught.value.hint == "size=96"
    network = load_tower("test_vit", str(path), BuildContext(), View(96))
    torch.testing.assert_close(tokens_of(network.module, 96), tokens_of(module, 96))


def test_a_size_that_patches_do_not_fill(weights):
    with pytest.raises(UnsupportedError, match="cannot read images of this size: Input height"):
        load_tower("test_vit", str(weights), BuildContext(), View(100))


def test_the_view_of_saev(vit_folder):
    """Resize to 256, crop 224: on an image of 256 pixels, the crop alone."""
    folder = vit_folder()
    config = json.loads((folder / "config.json").read_text())
    save_file(
        timm.create_model(config["architecture"], **config["model_args"]).state_dict(), folder / "model.safetensors"
    )
    network = load_tower(str(folder), None, BuildContext(), SAEV_DINO)
    image = torch.rand(1, 3, 256, 256)
    torch.testing.assert_close(network.prepare(image), image[:, :, 16:-16, 16:-16])


def test_networks_of_openai_have_a_twin():
    assert quick_gelu_twin("vit_base_patch16_clip_224.openai") == "vit_base_patch16_clip_quickgelu_224.openai"
    for name in ("vit_base_patch16_clip_quickgelu_224.openai", "vit_base_patch32_clip_224.laion2b", "resnet18"):
        assert quick_gelu_twin(name) is None
