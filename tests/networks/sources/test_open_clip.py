"""Image towers of open_clip: values, preprocessing of each kind, weights, and what is refused."""

import json

import open_clip
import pytest
import torch
from hubs import put_in_cache, use_cache
from safetensors.torch import save_file
from small_images import assert_rounded_alike, make_image

from equidiff.builtin.objectives.classifier import count_logits
from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UnsupportedError, UsageError, WeightsError
from equidiff.networks import Units, describe_layers, load_network

SIDE = 32
MODEL = {
    "embed_dim": 8,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}
STD = [0.2, 0.3, 0.4]
SAMPLES = torch.rand(2, 3, 50, 40, generator=torch.Generator().manual_seed(1))


def save(folder, resize_mode="shortest"):
    """Write a tiny model as open_clip's own training does, and return it with open_clip's preprocessing."""
    folder.mkdir()
    preprocessing = {"mean": [0.5, 0.4, 0.3], "std": STD, "resize_mode": resize_mode, "interpolation": "bicubic"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": preprocessing}))
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**{**MODEL, "vision_cfg": dict(MODEL["vision_cfg"])}).state_dict(),
              folder / "open_clip_model.safetensors")  # fmt: skip
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), preprocess


def load(place, **options):
    return load_network(f"open_clip:{place}", context=BuildContext(), **{"checkpoint": None, **options})


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_values_are_those_of_open_clip(tmp_path, resize_mode):
    model, preprocess = save(tmp_path / "tiny", resize_mode)
    network = load(tmp_path / "tiny")
    fitting, larger = make_image().resize((SIDE, SIDE)), make_image()
    wanted = preprocess(fitting)[None]
    torch.testing.assert_close(network.prepare_image(fitting), wanted, rtol=1e-5, atol=1e-5)
    assert_rounded_alike(network.prepare_image(larger)[0], preprocess(larger), min(STD))
    with torch.no_grad():
        own, theirs = network.module(network.prepare_image(fitting)), model.encode_image(wanted)
        other = network.module(load(tmp_path / "tiny", mean=0.1).prepare_image(fitting))
    torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-5)
    assert (other - theirs).abs().max() > 1e-3  # the control: with another mean, it differs


def test_gradients_agree_with_differences(tmp_path):
    save(tmp_path / "tiny", "longest")
    network = load(tmp_path / "tiny")
    units = Units.at(network, "transformer.resblocks.1")
    samples = SAMPLES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(units.read_one(network.prepare(samples), 3).sum(), samples)
    direction = torch.randn(SAMPLES.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ahead, behind = (
            units.read_one(network.prepare(SAMPLES + step * direction), 3).double().sum() for step in (3e-3, -3e-3)
        )
    assert (gradient * direction).sum().item() == pytest.approx(((ahead - behind) / 6e-3).item(), rel=2e-2, abs=1e-3)


def test_layers_and_classes(tmp_path):
    save(tmp_path / "tiny")
    network = load(tmp_path / "tiny", checkpoint=str(tmp_path / "tiny" / "open_clip_model.safetensors"))
    shapes = {layer.name: layer.shape for layer in describe_layers(network)}
    assert shapes["transformer.resblocks.1"] == (17, 16)
    assert Units.at(network, "transformer.resblocks.1", tokens="cls").reduction == "cls"
    with pytest.raises(UnsupportedError, match="is an encoder"):
        count_logits(network)


def test_published_weights_come_from_the_hub(tmp_path, monkeypatch):
    use_cache(monkeypatch, tmp_path / "hub")
    model, _ = save(tmp_path / "tiny")
    put_in_cache("someone/tiny-clip", tmp_path / "tiny")
    context = BuildContext()
    network = load_network("open_clip:hf-hub:someone/tiny-clip", None, context)
    inputs = torch.rand(1, 3, SIDE, SIDE)
    torch.testing.assert_close(network.module(inputs), model.encode_image(inputs), rtol=1e-5, atol=1e-5)
    assert context.weights[0].revision
    with pytest.raises(WeightsError, match="cannot be fetched from the hub") as refused:
        load("ViT-B-32-quickgelu", pretrained="openai")
    assert "hf download timm/vit_base_patch32_clip_224.openai" in str(refused.value.hint)


def test_what_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="ViT-B-32"):
        load("ViT-B-33")
    with pytest.raises(UsageError, match="Which weights") as refused:
        load("ViT-B-32")
    assert "pretrained=openai" not in str(refused.value.hint)  # which are for QuickGELU
    with pytest.raises(UnsupportedError, match="for a network with QuickGELU") as refused:
        load("ViT-B-32", pretrained="openai")
    assert "open_clip:ViT-B-32-quickgelu,pretrained=openai" in str(refused.value.hint)
    with pytest.raises(UnknownNameError, match="laion2b_s34b_b79k"):
        load("ViT-B-32", pretrained="laion2b_s34b")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="layout of open_clip"):
        load(tmp_path / "empty")
    save(tmp_path / "tiny")
    weights = {"visual.proj": torch.zeros(3)}
    save_file(weights, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="do not fit the model"):
        load(tmp_path / "tiny", checkpoint=str(tmp_path / "other.safetensors"))
