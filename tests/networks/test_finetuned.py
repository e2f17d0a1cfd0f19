"""Checkpoints of timm's networks: other numbers of classes, heads of several layers, names of other programs."""

import numpy as np
import pytest
import timm
import torch
from hubs import put_in_cache, use_cache
from safetensors.torch import save_file

from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, WeightsError
from equidiff.networks import load_network
from equidiff.networks.timm_names import check_name, current_name

CLASSES = 7
# plain heads, heads of several layers, and two heads; small ones of each family
HEADS = [
    "test_resnet", "test_vit", "test_byobnet", "test_convnext", "deit_tiny_distilled_patch16_224", "levit_128s",
    "efficientformerv2_s0", "repvit_m0_9", "caformer_s18", "swiftformer_xs",
]  # fmt: skip


def made(name, **options):
    torch.manual_seed(0)
    model = timm.create_model(name, **options).eval()
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value += 0.01 * torch.randn_like(value)  # many layers begin at 0, where nothing can be seen
    return model


@pytest.mark.parametrize("name", HEADS)
def test_the_number_of_classes_is_the_checkpoints(name, tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"state_dict": made(name, num_classes=CLASSES).state_dict()}, path)
    expected = timm.create_model(name, num_classes=CLASSES, checkpoint_path=path).state_dict()
    found = load_network(name, str(path), BuildContext()).module
    assert found.num_classes == CLASSES
    assert found.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in found.state_dict().items())


@pytest.mark.parametrize("name", ["test_vit", "deit_tiny_distilled_patch16_224"])
def test_heads_that_disagree_are_refused(name, tmp_path):
    weights = made(name, num_classes=CLASSES).state_dict()
    weights["head.bias"] = torch.zeros(CLASSES + 1)
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="of another shape"):
        load_network(name, str(tmp_path / "w.pt"), BuildContext())


def test_weights_without_a_head_are_an_encoder(tmp_path):
    model = made("test_vit", num_classes=0)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    inputs = torch.rand(1, 3, 160, 160)
    network = load_network("test_vit", str(tmp_path / "w.safetensors"), BuildContext())
    assert torch.equal(network.module(inputs), model(inputs))
    # a part of the body is missing, too
    save_file({k: v for k, v in model.state_dict().items() if k != "norm.bias"}, tmp_path / "less.safetensors")
    with pytest.raises(WeightsError, match=r"3 missing \(head.bias, head.weight, norm.bias\)"):
        load_network("test_vit", str(tmp_path / "less.safetensors"), BuildContext())


@pytest.mark.parametrize("classes", [CLASSES, 1000])
def test_names_of_the_authors_are_translated_as_timm_does(classes, tmp_path):
    """ConvNeXt as its authors name it, which timm's filter knows."""
    model = made("test_convnext", num_classes=classes)
    theirs = {}
    for key, value in model.state_dict().items():
        for own, foreign in (("stem.", "downsample_layers.0."), ("conv_dw", "dwconv"), ("mlp.fc1", "pwconv1"),
                             ("mlp.fc2", "pwconv2"), ("head.fc.", "head."), ("head.norm.", "norm.")):  # fmt: skip
            key = key.replace(own, foreign)
        key = key.replace(".blocks.", ".")
        for stage in range(1, 4):
            key = key.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
        theirs[key] = value
    torch.save({"model": theirs}, tmp_path / "w.pth")
    network = load_network("test_convnext", str(tmp_path / "w.pth"), BuildContext())
    inputs = torch.rand(1, 3, 96, 96)
    assert torch.allclose(network.module(inputs), model(inputs), atol=1e-6)


def test_positions_of_another_input_size_are_refused(tmp_path):
    """Stretched, they would be another network's without a word."""
    torch.save(made("test_vit", img_size=192).state_dict(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"1 of another shape \(pos_embed\)"):
        load_network("test_vit", str(tmp_path / "w.pt"), BuildContext())


def archive_of(model):
    """Weights of a Vision Transformer as JAX keeps them."""
    state, width = {key: value.numpy() for key, value in model.state_dict().items()}, model.embed_dim
    heads = model.blocks[0].attn.num_heads
    found = {
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "cls": state["cls_token"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": state["head.weight"].T,
        "head/bias": state["head.bias"],
    }
    for index in range(len(model.blocks)):
        own, theirs = f"blocks.{index}.", f"Transformer/encoderblock_{index}/"
        attention = f"{theirs}MultiHeadDotProductAttention_1/"
        for part, rows in zip(("query", "key", "value"), np.split(state[f"{own}attn.qkv.weight"], 3), strict=True):
            found[f"{attention}{part}/kernel"] = rows.T.reshape(width, heads, -1)
        for part, rows in zip(("query", "key", "value"), np.split(state[f"{own}attn.qkv.bias"], 3), strict=True):
            found[f"{attention}{part}/bias"] = rows.reshape(heads, -1)
        found[f"{attention}out/kernel"] = state[f"{own}attn.proj.weight"].T.reshape(heads, -1, width)
        found[f"{attention}out/bias"] = state[f"{own}attn.proj.bias"]
        for number, place in ((1, "LayerNorm_0"), (2, "LayerNorm_2")):
            found[f"{theirs}{place}/scale"] = state[f"{own}norm{number}.weight"]
            found[f"{theirs}{place}/bias"] = state[f"{own}norm{number}.bias"]
        for number in (1, 2):
            found[f"{theirs}MlpBlock_3/Dense_{number - 1}/kernel"] = state[f"{own}mlp.fc{number}.weight"].T
            found[f"{theirs}MlpBlock_3/Dense_{number - 1}/bias"] = state[f"{own}mlp.fc{number}.bias"]
    return found


def test_a_numpy_archive_of_jax_is_read(tmp_path):
    options = {"img_size": 224, "num_classes": CLASSES}
    model = made("vit_tiny_patch16_224", **options)
    weights = archive_of(model)
    np.savez(tmp_path / "w.npz", **weights)
    network = load_network("vit_tiny_patch16_224", str(tmp_path / "w.npz"), BuildContext())
    expected = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES, checkpoint_path=tmp_path / "w.npz").eval()
    inputs = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(network.module(inputs), expected(inputs))
        assert torch.allclose(network.module(inputs), model(inputs), atol=1e-5)
    # timm would leave the head as it was made, at random
    np.savez(tmp_path / "headless.npz", **{key: value for key, value in weights.items() if "head" not in key})
    with pytest.raises(WeightsError, match=r"lacks 2 tensors of the network \(head.weight, head.bias\)"):
        load_network("vit_tiny_patch16_224", str(tmp_path / "headless.npz"), BuildContext())


# older names


def test_every_older_name_stands_for_what_timm_makes_of_it():
    names = timm.models.get_deprecated_models()
    assert len(names) > 150
    gone = []
    for old in names:
        try:
            name = check_name(old)
        except UnknownNameError:  # timm maps it to weights that it no longer has
            gone.append(old)
            with pytest.warns(UserWarning, match="deprecated"), pytest.raises(RuntimeError, match="Invalid"):
                timm.create_model(old)
            continue
        config = timm.get_pretrained_cfg(name)
        assert f"{config.architecture}.{config.tag}" == name or config.architecture == name
    assert len(gone) < 5


@pytest.mark.parametrize("old", ["tv_resnet34", "swsl_resnet18", "vit_tiny_patch16_224_in21k", "mnasnet_a1"])
def test_an_older_name_has_the_configuration_that_timm_gives_it(old):
    with torch.device("meta"), pytest.warns(UserWarning, match="deprecated"):
        expected = timm.create_model(old)
    with torch.device("meta"):
        found = timm.create_model(current_name(old))
    assert found.pretrained_cfg == expected.pretrained_cfg
    assert [(key, value.shape) for key, value in found.state_dict().items()] == [
        (key, value.shape) for key, value in expected.state_dict().items()
    ]


def test_a_tag_goes_before_that_of_the_older_name():
    assert current_name("tv_resnet34.a1_in1k") == "resnet34.a1_in1k"
    assert current_name("resnet34.a1_in1k") == "resnet34.a1_in1k"
    with pytest.raises(UnknownNameError, match="set of weights"):
        check_name("tv_resnet34.a9_in1k")
    with pytest.raises(UnknownNameError, match="tv_resnet34"):
        check_name("tv_resnet35")


def test_weights_of_an_older_name_come_from_todays_repository(tmp_path, monkeypatch):
    use_cache(monkeypatch, tmp_path / "cache")
    (tmp_path / "files").mkdir()
    model = made("resnet18")
    save_file(model.state_dict(), tmp_path / "files" / "model.safetensors")
    put_in_cache("timm/resnet18.fb_swsl_ig1b_ft_in1k", tmp_path / "files")
    context = BuildContext()
    network = load_network("swsl_resnet18", None, context)
    assert torch.equal(network.module.fc.weight, model.fc.weight)
    assert [record.name for record in context.weights] == ["timm/resnet18.fb_swsl_ig1b_ft_in1k"]


def test_a_pointer_in_the_cache_is_named(tmp_path, monkeypatch):
    use_cache(monkeypatch, tmp_path / "cache")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\nsize 9\n")
    put_in_cache("timm/test_vit.r160_in1k", tmp_path / "files")
    with pytest.raises(WeightsError, match="Git LFS pointer"):
        load_network("test_vit", None, BuildContext())
