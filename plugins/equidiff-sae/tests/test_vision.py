"""Places in networks, against what their blocks compute step by step."""

import json

import pytest
import timm
import torch
from equidiff_sae.tower import View, load_tower
from equidiff_sae.vision import Vision, choose_tokens
from safetensors.torch import save_file
from tiny_transformers import save_tiny

from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UnsupportedError
from equidiff.networks import Network

SMALL = {"embed_dim": 48, "depth": 3, "num_heads": 4, "img_size": 32, "patch_size": 8, "num_classes": 0}
# name: timm's architecture with its own kind of blocks, and tokens before the patches
TOWERS = {
    "dinov3": ("vit_small_patch16_dinov3", {}, 5),
    "eva": ("eva_giant_patch14_224", {"qkv_fused": True}, 1),
    "eva02": ("eva02_base_patch14_224", {}, 1),
    "pe": ("vit_pe_core_base_patch16_224", {}, 1),
    "dinov2": ("vit_small_patch14_reg4_dinov2", {}, 5),
    "post-norm": ("eva02_base_patch14_224", {"use_post_norm": True}, 1),
}
INPUTS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def wrap(module, shape=(3, 32, 32), **settings):
    module.eval().requires_grad_(False)
    return Network(module, type(module).__name__, "cpu", shape, prepare=lambda samples: samples, **settings)


@pytest.fixture(scope="module", params=TOWERS)
def tower(request):
    architecture, settings, prefix = TOWERS[request.param]
    torch.manual_seed(0)
    module = timm.create_model(architecture, **SMALL, **settings)
    for name, value in module.named_parameters():
        if "gamma" in name or "norm" in name:  # of their initial values, some would hide a mistake
            torch.nn.init.normal_(value, 1, 0.3)
    return wrap(module), prefix


@torch.no_grad()
def step_by_step(module, layer):
    """What a block computes, by its parts, from what it is given in a forward pass."""
    block, seen = module.blocks[layer], []

    def note(_block, arguments, options):
        seen.append((arguments[0], options))

    handle = block.register_forward_pre_hook(note, with_kwargs=True)
    module(INPUTS)
    handle.remove()
    ((before, options),) = seen
    options = {name: value for name, value in options.items() if name == "rope"}
    gains = [getattr(block, name, None) for name in ("gamma_1", "gamma_2")]
    scales = [getattr(block, name, torch.nn.Identity()) for name in ("ls1", "ls2")]
    first, second = ((lambda x, g=g, s=s: s(x) if g is None else g * x) for g, s in zip(gains, scales, strict=True))
    if "Post" in type(block).__name__:
        attention = block.attn(before, **options)
        middle = before + block.norm1(attention)
        mlp = block.mlp(middle)
        return {"resid_pre": before, "resid_mid": middle, "attn_out": attention, "mlp_out": mlp,
                "mlp.input": middle, "resid_post": middle + block.norm2(mlp)}  # fmt: skip
    attention = block.attn(block.norm1(before), **options)
    middle = before + first(attention)
    mlp = block.mlp(block.norm2(middle))
    return {"resid_pre": before, "resid_mid": middle, "attn_out": attention, "mlp_out": mlp,
            "ln1.hook_normalized": block.norm1(before), "ln2.hook_normalized": block.norm2(middle),
            "mlp.input": block.norm2(middle), "resid_post": middle + second(mlp)}  # fmt: skip


def hook(layer, site):
    return f"blocks.{layer}.{site if '.' in site else f'hook_{site}'}"


def test_sites_are_what_the_block_computes(tower):
    network, _ = tower
    for layer in (0, 2):
        for site, expected in step_by_step(network.module, layer).items():
            found = Vision(network, hook(layer, site)).read(INPUTS)
            torch.testing.assert_close(found, expected, msg=lambda text, site=site: f"{site}: {text}")
    torch.testing.assert_close(
        Vision(network, hook(-1, "resid_mid")).read(INPUTS), Vision(network, hook(2, "resid_mid")).read(INPUTS)
    )


def test_heads_side_by_side(tower):
    network, _ = tower
    heads = Vision(network, hook(1, "attn.hook_z")).read(INPUTS)
    attention = network.module.blocks[1].attn
    torch.testing.assert_close(attention.proj(attention.norm(heads)), Vision(network, hook(1, "attn_out")).read(INPUTS))


def test_prefix_and_patches(tower):
    network, prefix = tower
    vision = Vision(network, hook(1, "resid_post"))
    tokens = vision.read(INPUTS)
    assert tokens.shape == (2, 16 + prefix, 48)
    (expected,) = network.module.forward_intermediates(
        INPUTS, indices=[1], norm=False, output_fmt="NLC", intermediates_only=True
    )
    torch.testing.assert_close(choose_tokens(tokens, "patches", vision), expected)
    torch.testing.assert_close(choose_tokens(tokens, "cls", vision), tokens[:, :1])
    assert choose_tokens(tokens, "all", vision) is tokens


def test_a_site_that_post_norm_blocks_lack():
    network = wrap(timm.create_model("eva02_base_patch14_224", **SMALL, use_post_norm=True))
    with pytest.raises(UnsupportedError, match=r"have no ln2\.hook_normalized"):
        Vision(network, hook(1, "ln2.hook_normalized"))


@pytest.mark.parametrize(
    ("architecture", "settings", "place", "reason"),
    [
        ("vit_base_patch16_siglip_224", SMALL, "blocks.1.hook_resid_post", "its 16 tokens are patches"),
        ("vit_medium_patch16_reg4_gap_256", SMALL, "blocks.1.hook_resid_post", "first tokens are registers"),
        # its class token joins the patches behind these blocks
        ("cait_xxs24_224", {**SMALL, "depth_token_only": 1}, "blocks.1.hook_resid_post", "its 16 tokens are patches"),
        ("samvit_base_patch16", {**SMALL, "window_size": 2, "global_attn_indexes": (1,)}, "blocks.0", "feature map"),
        ("test_resnet", {}, "layer3.0", "positions of a feature map"),
        ("vit_base_patch16_siglip_224", SMALL, "attn_pool.norm", "one vector for an image"),
    ],
)  # fmt: skip
def test_a_class_token_that_is_not_there(architecture, settings, place, reason):
    network = wrap(timm.create_model(architecture, **settings))
    vision = Vision(network, place)
    tokens = vision.read(INPUTS)
    with pytest.raises(UnsupportedError, match=reason):
        choose_tokens(tokens, "cls", vision)


@pytest.mark.parametrize(
    ("architecture", "place", "width", "channels_last"),
    [
        ("test_resnet", "layer3.0", None, False),
        ("test_convnext", "stages.2.blocks.0", None, False),
        ("test_convnext", "stages.2.blocks.0.mlp", "last", True),
        ("swin_tiny_patch4_window7_224", "layers.1", None, True),
    ],
)
def test_channels_at_positions(architecture, place, width, channels_last):
    swin = {"img_size": 64, "window_size": 4, "embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2)}
    module = timm.create_model(architecture, **(swin if "swin" in architecture else {}))
    network = wrap(module, channels_last=getattr(module, "output_fmt", "NCHW") == "NHWC")
    seen = []
    handle = module.get_submodule(place).register_forward_hook(lambda _module, _given, output: seen.append(output))
    inputs = torch.randn(2, 3, 64, 64)
    module(inputs)
    handle.remove()
    maps = seen[0].permute(0, 3, 1, 2) if channels_last else seen[0]
    vision = Vision(network, place, width=maps.shape[1] if width else None)
    tokens = vision.read(inputs)
    assert tokens.shape == (2, maps.shape[2] * maps.shape[3], maps.shape[1])
    row, column = maps.shape[2] - 1, 1
    torch.testing.assert_close(tokens[:, row * maps.shape[3] + column], maps[:, :, row, column])
    assert choose_tokens(tokens, "patches", vision) is tokens


def test_names_that_are_not_there():
    network = wrap(timm.create_model("test_resnet"))
    with pytest.raises(UnknownNameError, match="no layer of"):
        Vision(network, "blocks.1.hook_resid_post")
    with pytest.raises(UnknownNameError, match="no layer of"):
        Vision(network, "layer3.9")


@pytest.mark.parametrize(
    ("kind", "prefix"), [("vit", 1), ("clip", 1), ("siglip", 0), ("beit", 1), ("dinov2", 1), ("dinov3", 3)]
)
def test_towers_of_transformers(tmp_path, kind, prefix):
    """The residual stream as transformers itself returns it, and the tokens in it."""
    save_tiny(kind, tmp_path)
    network = load_tower(f"hf:{tmp_path}", None, BuildContext())
    inputs = network.prepare(torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        states = network.module(pixel_values=inputs, output_hidden_states=True).hidden_states
    for layer in (0, 1):
        vision = Vision(network, hook(layer, "resid_post"))
        after = vision.read(inputs)
        torch.testing.assert_close(Vision(network, hook(layer, "resid_pre")).read(inputs), states[layer])
        torch.testing.assert_close(after, states[layer + 1])
        assert torch.equal(choose_tokens(after, "patches", vision), after[:, prefix:])
        if prefix:
            assert torch.equal(choose_tokens(after, "cls", vision), after[:, :1])
        else:
            with pytest.raises(UnsupportedError, match="its 16 tokens are patches"):
                choose_tokens(after, "cls", vision)
        middle, mlp = (Vision(network, hook(layer, site)).read(inputs) for site in ("resid_mid", "mlp_out"))
        if kind in ("vit", "clip", "siglip"):  # the others scale what they add
            torch.testing.assert_close(middle + mlp, after)
        heads = Vision(network, hook(layer, "attn.hook_z")).read(inputs)
        attention = Vision(network, hook(layer, "attn_out"))
        last = next(m for n, m in network.module.named_modules() if n.endswith(("o_proj", "out_proj")))
        if layer == 0:
            torch.testing.assert_close(last(heads), attention.read(inputs))


def test_a_tower_by_the_names_of_the_larger_model(tmp_path):
    save_tiny("clip", tmp_path)
    network = load_tower(f"hf:{tmp_path}", None, BuildContext())
    inputs = network.probe(1)
    own = Vision(network, hook(1, "resid_post")).read(inputs)
    name = next(n for n, m in network.module.named_modules() if n.endswith("encoder.layers.1"))
    for place in (name, f"model.{name}", f"vision_tower.vision_model.{name.removeprefix('vision_model.')}"):
        torch.testing.assert_close(Vision(network, place).read(inputs), own)


def test_a_convnet_of_transformers(tmp_path):
    save_tiny("resnet", tmp_path)
    network = load_tower(f"hf:{tmp_path}", None, BuildContext())
    stage = next(name for name, _ in network.module.named_modules() if name.endswith("stages.1"))
    tokens = Vision(network, stage, width=8).read(network.probe(2))
    assert tokens.shape == (2, 16, 8)
    with pytest.raises(UnsupportedError, match="makes images of 32 pixels"):
        load_tower(f"hf:{tmp_path}", None, BuildContext(), View(64))


def test_a_tower_of_open_clip(tmp_path):
    """Its tokens as open_clip returns them after the last block, and before its last norm."""
    open_clip = pytest.importorskip("open_clip")
    vision_cfg = {"image_size": 32, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8}
    text_cfg = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
    model_cfg = {"embed_dim": 8, "quick_gelu": True, "vision_cfg": vision_cfg, "text_cfg": text_cfg}
    settings = {"model_cfg": model_cfg, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.2] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(settings))
    model = open_clip.CLIP(embed_dim=8, quick_gelu=True, vision_cfg=dict(vision_cfg), text_cfg=dict(text_cfg))
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    network = load_tower(f"open_clip:{tmp_path}", None, BuildContext())
    inputs = network.probe(2) + torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    vision = Vision(network, hook(1, "resid_post"))
    tokens = vision.read(inputs)
    found = model.eval().visual.forward_intermediates(
        inputs, indices=[0, 1], output_fmt="NLC", output_extra_tokens=True, intermediates_only=True
    )
    torch.testing.assert_close(choose_tokens(tokens, "patches", vision), found["image_intermediates"][1])
    torch.testing.assert_close(choose_tokens(tokens, "cls", vision), found["image_intermediates_prefix"][1])
    middle, mlp = (Vision(network, hook(1, site)).read(inputs) for site in ("resid_mid", "mlp_out"))
    torch.testing.assert_close(middle + mlp, tokens)
    before, attention = (Vision(network, hook(1, site)).read(inputs) for site in ("resid_pre", "attn_out"))
    torch.testing.assert_close(before + attention, middle)
