"""Golden tensors, and small autoencoders and transformers for tests."""

import json
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent / "golden"
SHARED = Path(__file__).parents[4] / "shared" / "reference" / "prisma" / "golden"
STATE = {"W_enc": (6, 12), "b_enc": (12,), "W_dec": (12, 6), "b_dec": (6,)}
SETTINGS = {
    "architecture": "standard",
    "activation_fn_str": "relu",
    "activation_fn_kwargs": {},
    "normalize_activations": None,
    "d_in": 6,
    "expansion_factor": 2,
    "hook_point_layer": 1,
    "layer_subtype": "hook_resid_post",
    "cls_token_only": False,
    "use_patches_only": False,
}


@pytest.fixture(scope="session")
def golden():
    """The folder of a fixture, from the tests' own copies or from what developers share."""

    def folder(name, file="io.safetensors"):
        for root in (HERE, SHARED):
            if (root / name / file).exists():
                return root / name
        return pytest.skip(f"the fixture {name}/{file} is too large to ship; see {SHARED}")

    return folder


@pytest.fixture
def random_state():
    """Random tensors of given shapes, always the same."""

    def make(shapes):
        stream = torch.Generator().manual_seed(1)
        return {name: torch.randn(shape, generator=stream) for name, shape in shapes.items()}

    return make


@pytest.fixture
def prisma_folder(tmp_path, random_state):
    """A small autoencoder in Prisma's layout; keywords change its settings, `drop` removes some."""

    def make(drop=(), shapes=STATE, name="sae", **settings):
        folder = tmp_path / name
        folder.mkdir()
        torch.save(random_state(shapes), folder / "weights.pt")
        content = {key: value for key, value in {**SETTINGS, **settings}.items() if key not in drop}
        (folder / "config.json").write_text(json.dumps(content))
        return folder

    return make


@pytest.fixture
def vit_folder(tmp_path):
    """A small transformer in timm's layout, without weights: those come as `checkpoint`."""

    def make(pre_norm=False):
        folder = tmp_path / "vit"
        folder.mkdir()
        content = {
            "architecture": "vit_base_patch32_clip_224" if pre_norm else "vit_tiny_patch16_224",
            "model_args": {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 3},
            "pretrained_cfg": {
                "input_size": [3, 32, 32],
                "mean": [0.0, 0.0, 0.0],
                "std": [1.0, 1.0, 1.0],
                "interpolation": "bicubic",
            },
        }
        (folder / "config.json").write_text(json.dumps(content))
        return folder

    return make
