"""Autoencoders from the hub: its local cache, and what to do where it cannot be reached."""

from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from equidiff_sae import load_sae
from equidiff_sae.load import find, read_source
from equidiff_sae.objective import build
from equidiff_sae.plugin import SaeOptions

from equidiff.contracts import BuildContext, Generator
from equidiff.errors import WeightsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache, as huggingface_hub keeps it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(repo, folder, inside=""):
        root = tmp_path / "hub" / f"models--{repo.replace('/', '--')}"
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text(COMMIT)
        snapshot = root / "snapshots" / COMMIT / inside
        snapshot.mkdir(parents=True)
        for file in folder.iterdir():
            (snapshot / file.name).write_bytes(file.read_bytes())

    return put


def test_from_the_cache(cache, prisma_folder):
    folder = prisma_folder()
    cache("someone/sae", folder)
    given = torch.randn(3, 6)
    expected = load_sae(folder).encode(given)
    assert torch.equal(load_sae("someone/sae").encode(given), expected)
    assert torch.equal(load_sae(f"someone/sae@{COMMIT}").encode(given), expected)


def test_a_folder_in_a_repository(cache, prisma_folder):
    cache("someone/many", prisma_folder(), "layer_3/width_12")
    assert load_sae("someone/many/layer_3/width_12").config.d_sae == 12


def test_without_a_hub_it_says_what_to_fetch(cache, prisma_folder):
    with pytest.raises(WeightsError, match="cannot be had from the hub") as error:
        load_sae("someone/nothing")
    assert "https://huggingface.co/someone/nothing" in str(error.value)
    assert "sae=./nothing,checkpoint=VIT_WEIGHTS" in str(error.value)


def test_only_the_files_that_matter_are_downloaded(cache, prisma_folder, tmp_path, monkeypatch):
    folder = prisma_folder()
    asked = []

    def download(repo, name, revision):
        asked.append(name)
        target = tmp_path / "hub" / "snapshots" / revision / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / {"n_images_9.pt": "weights.pt"}.get(target.name, target.name)).read_bytes())
        return str(target)

    names = ["README.md", "a/config.json", "a/n_images_9.pt", "a/n_images_9_log_feature_sparsity.pt", "b/weights.pt"]
    info = SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=name) for name in names])
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    source = find("someone/new/a")
    assert asked == ["a/config.json", "a/n_images_9.pt"]
    assert (source.name, source.revision) == ("someone/new", COMMIT)
    assert read_source(source).config.d_sae == 12


def test_without_a_name_photographs_mean_prismas(cache):
    class Photographs(Generator):
        latent_shape = sample_shape = (3, 32, 32)

        def generate(self, latents, steps=None):
            return latents

    with pytest.raises(WeightsError, match="cannot be had from the hub") as error:
        build("6547", SaeOptions(), BuildContext(generator=Photographs()))
    assert "vanilla-x64-layer-11-hook_resid_post-l1-1e-05" in str(error.value)
    with pytest.raises(WeightsError) as error:
        build("6547", SaeOptions(layer=9, site="mlp_out"), BuildContext(generator=Photographs()))
    assert "layer-9-hook_mlp_out" in str(error.value)
