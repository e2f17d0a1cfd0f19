"""Weights in several files, or rounded: whatever diffusers and transformers save is read, with the same tensors."""

import json

import pytest
import torch
from equidiff_sd.build import build
from equidiff_sd.files import NETWORK, choose_weights
from equidiff_sd.plugin import SdOptions
from running import assert_one_error, run_cli
from safetensors.torch import load_file

from equidiff.contracts import BuildContext

# torch's arrays do not know numpy 2's `copy` keyword; diffusers' Euler scheduler meets it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

INDEX = "diffusion_pytorch_model.safetensors.index.json"


def make(folder):
    context = BuildContext()
    return build(str(folder), SdOptions(steps=2), context), context


def images(generator):
    latents = torch.randn(2, *generator.latent_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return generator.generate(latents)


def save(tiny, folder, **options):
    pipeline = tiny.save_text_pipeline(folder)
    for file in folder.glob("*/*.safetensors"):
        file.unlink()
    pipeline.save_pretrained(folder, **options)


@pytest.fixture
def shards(tiny, tmp_path):
    """Folder of a pipeline that was saved in files of at most 300 kB."""
    save(tiny, tmp_path / "shards", max_shard_size="300KB")
    return tmp_path / "shards"


def test_several_files_give_the_same_images(text, shards):
    generator, context = make(shards)
    torch.testing.assert_close(images(generator), images(make(text)[0]), rtol=0, atol=0)
    names = [record.name for record in context.weights if "/unet/" in record.name]
    assert len(names) == len(list((shards / "unet").glob("*.safetensors"))) > 1


def test_a_missing_file_of_several_is_named(shards):
    first = min((shards / "unet").glob("*.safetensors"))
    first.unlink()
    outcome = run_cli("run", "-g", f"sd:{shards}", "-o", "classifier:bag,model=fashion", "--target", "1")
    assert_one_error(outcome, 1, f"lacks unet/{first.name}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "cannot be read"),
        ({"weight_map": {"a": "../b.safetensors"}}, "outside its folder"),
        ({}, "cannot be read"),
        ({"weight_map": {}}, "no files"),
    ],
)
def test_an_index_that_is_none(shards, content, message):
    (shards / "unet" / INDEX).write_text(content if isinstance(content, str) else json.dumps(content))
    outcome = run_cli("run", "-g", f"sd:{shards}", "-o", "classifier:bag,model=fashion", "--target", "1")
    assert_one_error(outcome, 1, "index", message)


@pytest.mark.parametrize("sizes", [{}, {"max_shard_size": "300KB"}], ids=["one file", "several"])
def test_rounded_weights_are_taken_where_there_are_no_others(tiny, text, tmp_path, sizes):
    save(tiny, tmp_path / "half", variant="fp16", **sizes)
    generator, context = make(tmp_path / "half")
    torch.testing.assert_close(images(generator), images(make(text)[0]), rtol=0, atol=0)
    assert all(".fp16" in record.name for record in context.weights)


def test_several_pickles(text, text_copy):
    unet = text_copy / "unet"
    weights = load_file(unet / "diffusion_pytorch_model.safetensors")
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    files = [f"diffusion_pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    names = sorted(weights)
    for file, part in zip(files, (names[::2], names[1::2]), strict=True):
        torch.save({name: weights[name] for name in part}, unet / file)
    where = {name: files[index % 2] for index, name in enumerate(names)}
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    (unet / "diffusion_pytorch_model.bin.index.json").write_text(json.dumps(index))
    torch.testing.assert_close(images(make(text_copy)[0]), images(make(text)[0]), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["fp16.safetensors", "safetensors", "bin"], ["safetensors"]),
        (["fp16.safetensors", "bin", "non_ema.safetensors"], ["fp16.safetensors"]),
        (["fp16.bin", "bin"], ["bin"]),
        (["non_ema.safetensors"], []),
    ],
)
def test_what_is_fetched_from_a_hub(there, chosen):
    stem = "diffusion_pytorch_model"
    assert choose_weights([f"{stem}.{end}" for end in there], NETWORK) == [f"{stem}.{end}" for end in chosen]
    shards = [f"{stem}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert choose_weights([*shards, f"{stem}.fp16.safetensors"], NETWORK) == shards
