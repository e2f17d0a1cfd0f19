"""Hooks on timm's transformers, and on Prisma's, against tensors that Prisma's own code computed."""

import pytest
import torch
from equidiff_sae import load_sae
from equidiff_sae.feature import Feature
from equidiff_sae.objective import SaeFeature
from equidiff_sae.prisma import hooked
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision
from safetensors.torch import load_file, save_file

from equidiff.contracts import BuildContext

TOLERANCE = 1e-5  # the fixtures' own, for activations of another implementation
VITS = ["vit_openclip", "vit_timm", "vit_dino"]


@pytest.fixture
def network(golden, vit_folder, tmp_path):
    def load(name):
        weights = golden(name) / "source_state_dict.safetensors"
        if name == "vit_dino":
            weights = tmp_path / "dino.safetensors"
            save_file(from_transformers(load_file(golden(name) / "source_state_dict.safetensors")), weights)
        loaded = load_tower(str(vit_folder(pre_norm=name == "vit_openclip")), str(weights), BuildContext())
        if name == "vit_dino":
            for module in loaded.module.modules():
                if isinstance(module, torch.nn.LayerNorm):
                    module.eps = 1e-12  # as `load_tower` sets it for the name facebook/dino-vitb16
        return loaded

    return load


def from_transformers(state):
    """A ViT of transformers, as DINO is published there, by timm's names."""
    plain = {"cls_token": "cls_token", "pos_embed": "position_embeddings"}
    new = {ours: state[f"embeddings.{theirs}"] for ours, theirs in plain.items()}
    parts = {
        "attn.proj": "attention.output.dense", "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
        "norm1": "layernorm_before", "norm2": "layernorm_after",
    }  # fmt: skip
    for kind in ("weight", "bias"):
        new[f"patch_embed.proj.{kind}"] = state[f"embeddings.patch_embeddings.projection.{kind}"]
        for layer in range(3):
            block = f"encoder.layer.{layer}"
            triple = [state[f"{block}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            new[f"blocks.{layer}.attn.qkv.{kind}"] = torch.cat(triple)
            for ours, theirs in parts.items():
                new[f"blocks.{layer}.{ours}.{kind}"] = state[f"{block}.{theirs}.{kind}"]
    return {name: tensor.contiguous() for name, tensor in new.items()}


@pytest.mark.parametrize("through", ["timm", "prisma"])
@pytest.mark.parametrize("name", VITS)
def test_hooks_under_both_conventions(golden, network, name, through):
    expected = load_file(golden(name) / "io.safetensors")
    loaded = network(name)
    if through == "prisma":
        pytest.importorskip("vit_prisma", reason="the extra equidiff-sae[prisma] is not installed")
        loaded = hooked(loaded)
    hooks = [key for key in expected if key.startswith("blocks.")]
    assert len(hooks) == 18
    for hook in hooks:
        raw = Vision(loaded, hook).read(expected["image"])
        torch.testing.assert_close(raw, expected[hook], atol=TOLERANCE, rtol=0, msg=lambda m, hook=hook: f"{hook}: {m}")
        processed = Vision(loaded, hook, processed=True).read(expected["image"])
        torch.testing.assert_close(processed, expected[f"processed.{hook}"], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("name", "tokens", "reduce"),
    [("e2e_openclip_resid_post_none", "all", "mean"), ("e2e_openclip_resid_post_layernorm_cls", "cls", "mean")],
)
@pytest.mark.parametrize("through", ["timm", "prisma"])
def test_from_the_image_to_the_feature_and_back(golden, network, name, tokens, reduce, through):
    expected = load_file(golden(name) / "io.safetensors")
    loaded = network("vit_openclip")
    if through == "prisma":
        pytest.importorskip("vit_prisma", reason="the extra equidiff-sae[prisma] is not installed")
        loaded = hooked(loaded)
    autoencoder = load_sae(golden(name))
    feature = Feature(autoencoder, int(expected["feature_index"]))
    objective = SaeFeature(Vision(loaded, autoencoder.config.hook), autoencoder, feature, tokens, reduce)
    image = expected["image"].requires_grad_()  # its mean and deviation are 0 and 1 in this folder: nothing is changed
    value = objective.measure(image).sum()
    assert value.item() == pytest.approx(expected["objective"].item(), abs=TOLERANCE)
    (gradient,) = torch.autograd.grad(value, image)
    torch.testing.assert_close(gradient, expected["grad_image"], atol=1e-6, rtol=0)


def test_both_transformers_give_the_same_activation_and_gradient():
    pytest.importorskip("vit_prisma", reason="the extra equidiff-sae[prisma] is not installed")
    plain = load_tower("fashion-vit", None, BuildContext())
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    seen = []
    for network in (plain, hooked(plain)):
        inputs = images.clone().requires_grad_()
        tokens = Vision(network, "blocks.2.hook_resid_post").read(network.prepare(inputs))
        weights = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(1))
        (gradient,) = torch.autograd.grad((weights * tokens).sum(), inputs)
        seen.append((tokens, gradient))
    torch.testing.assert_close(seen[0][0], seen[1][0], atol=1e-5, rtol=1e-5)
    # processors round differently, and a gradient passes all blocks twice
    torch.testing.assert_close(seen[0][1], seen[1][1], atol=1e-4, rtol=1e-4)
