"""Files of a pipeline: shards, variants, LoRA, precision, and the hub."""

import shutil

import pytest
import tiny
import torch
from diffusers import StableDiffusion3Pipeline
from equidiff_diffusers import find, load
from equidiff_diffusers.build import build, from_pipeline
from equidiff_diffusers.plugin import DiffusersOptions
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, UnsupportedError, WeightsError

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about configurations

SIZED = {"prompt": "a cat", "size": "16", "steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pipelines") / "dit"
    tiny.save("dit", place)
    return place


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def build_one(folder, context=None, **options):
    return build(str(folder), DiffusersOptions(**{"steps": 2, **options}), context or BuildContext())


def images(generator):
    latents = torch.randn(1, *generator.latent_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return generator.generate(latents)


def test_shards_are_read_and_recorded(folder, copy):
    pipeline = tiny.build("dit")
    shutil.rmtree(copy / "transformer")
    pipeline.transformer.save_pretrained(copy / "transformer", max_shard_size="20KB")
    context = BuildContext()
    assert torch.equal(images(build_one(copy, context)), images(build_one(folder)))
    shards = sorted((copy / "transformer").glob("*-of-*.safetensors"))
    assert len(shards) > 2
    recorded = [each.name for each in context.weights if "/transformer/" in each.name]
    assert recorded == [f"copy/transformer/{shard.name}" for shard in shards]
    shards[1].unlink()
    with pytest.raises(WeightsError, match="lacks transformer's weights"):
        build_one(copy)


def test_a_variant_is_preferred_where_it_is_there(folder, copy):
    pipeline = tiny.build("dit")
    pipeline.transformer.half().save_pretrained(copy / "transformer", variant="fp16")
    context = BuildContext()
    narrow, wide = images(build_one(copy, context, variant="fp16")), images(build_one(copy))
    assert "copy/transformer/diffusion_pytorch_model.fp16.safetensors" in [each.name for each in context.weights]
    assert torch.equal(wide, images(build_one(folder)))
    assert 0 < (narrow - wide).abs().max() < 0.01
    (copy / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsError, match="lacks transformer's weights"):
        build_one(copy)


def test_large_networks_are_in_bfloat16_and_the_run_says_so(folder, monkeypatch):
    wide = images(build_one(folder))
    monkeypatch.setattr(load, "LARGE", 1000)
    context = BuildContext()
    narrow = images(build_one(folder, context))
    assert 1e-5 < (narrow - wide).abs().max() < 0.1
    (note,) = context.notes
    assert note.startswith("transformer")
    assert "bfloat16" in note
    assert torch.equal(images(build_one(folder, dtype="float32")), wide)
    asked = images(build_one(folder, BuildContext(dtype="bfloat16")))
    assert torch.equal(asked, narrow)


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    """A LoRA of the tiny SD3, the folder of that SD3, and its image with the LoRA at half its strength."""
    root = tmp_path_factory.mktemp("lora")
    pipeline = tiny.save("sd3", root / "sd3")
    pipeline.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    layers = get_peft_model_state_dict(pipeline.transformer)
    StableDiffusion3Pipeline.save_lora_weights(root / "lora", transformer_lora_layers=layers)
    pipeline.transformer.delete_adapters(["default"])
    pipeline.load_lora_weights(root / "lora")
    pipeline.set_adapters(pipeline.get_active_adapters(), 0.5)
    own = pipeline(**tiny.CALLS["sd3"], generator=torch.Generator().manual_seed(1), output_type="np")[0]
    return root, torch.as_tensor(own).movedim(-1, 1)


def test_a_lora_is_added_as_diffusers_adds_it(lora):
    root, own = lora
    context = BuildContext()
    generator = build_one(root / "sd3", context, lora=str(root / "lora"), lora_scale=0.5, **SIZED)
    assert torch.allclose(images(generator).clamp(0, 1), own, atol=1e-5)
    assert "lora/pytorch_lora_weights.safetensors" in [weights.name for weights in context.weights]
    without = images(build_one(root / "sd3", **SIZED)).clamp(0, 1)
    assert (without - own).abs().max() > 0.01


def test_loras_that_do_not_fit(lora, folder, tmp_path):
    root, _ = lora
    with pytest.raises(UnsupportedError, match="takes no LoRA"):
        build_one(folder, lora=str(root / "lora"))
    with pytest.raises(WeightsError, match="no such LoRA"):
        build_one(root / "sd3", lora="./nowhere.safetensors", **SIZED)
    with pytest.raises(WeightsError, match="no safetensors files"):
        build_one(root / "sd3", lora=str(tmp_path), **SIZED)
    shutil.copy(root / "sd3" / "vae" / "diffusion_pytorch_model.safetensors", tmp_path)
    with pytest.raises(EquiDiffError, match="LoRA"):
        build_one(root / "sd3", lora=str(tmp_path), **SIZED)


def test_the_size_is_that_of_the_network_and_not_one_for_all(tmp_path):
    tiny.save("sana-sprint", tmp_path)
    assert build_one(tmp_path).sample_shape == (3, 32, 32)  # the call's default is 1024
    assert build_one(tmp_path, size="64x32").sample_shape == (3, 64, 32)
    pipeline = tiny.build("flux")  # whose transformer has no size of its own
    assert pipeline.vae.config.sample_size == 32
    assert from_pipeline(pipeline, steps=1).sample_shape == (3, 32, 32)


THERE = [
    "model_index.json",
    "flux1-dev.safetensors",  # everything in one file, which is not asked for
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    "vae/diffusion_pytorch_model.bin",
    "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
    "transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
    "text_encoder/model.fp16-00001-of-00001.safetensors",
    "text_encoder/model.safetensors",
    "safety_checker/model.safetensors",
    "tokenizer/spiece.model",
]


@pytest.mark.parametrize(
    ("variant", "vae", "text"),
    [
        (None, "diffusion_pytorch_model.safetensors", "model.safetensors"),
        ("fp16", "diffusion_pytorch_model.fp16.safetensors", "model.fp16-00001-of-00001.safetensors"),
    ],
)
def test_the_hub_is_asked_for_the_files_that_are_read(folder, monkeypatch, variant, vae, text):
    asked = []

    def snapshot(repository, wanted, complete, hint):
        assert repository == "someone/flux"
        assert "hf download someone/flux" in hint
        asked.extend(wanted(THERE))
        assert complete(folder)
        assert not complete(folder / "vae")
        return folder

    monkeypatch.setattr(find, "find_snapshot", snapshot)
    found = find.find_folder("someone/flux", variant)
    assert (found.path, found.name, found.revision) == (folder, "someone/flux", folder.name)
    weights = [name for name in asked if not name.startswith("*")]
    shards = [name for name in THERE if name.startswith("transformer/")]
    assert sorted(weights) == sorted([f"vae/{vae}", *shards, f"text_encoder/{text}"])
    assert "*.model" in asked
