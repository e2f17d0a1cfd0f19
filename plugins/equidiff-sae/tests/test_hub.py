"""Autoencoders from the hub: its local cache, and the errors when it cannot be reached."""

import pytest
import torch
from equidiff_sae import load_sae
from equidiff_sae.load import find, read_source
from equidiff_sae.objective import build
from equidiff_sae.plugin import SaeOptions
from hubs import COMMIT, put_in_cache, serve, use_cache

from equidiff.contracts import BuildContext, Generator
from equidiff.errors import WeightsError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty hub cache, and no hub."""
    use_cache(monkeypatch, tmp_path / "hub")


def test_from_the_cache(prisma_folder):
    folder = prisma_folder()
    put_in_cache("someone/sae", folder)
    given = torch.randn(3, 6)
    expected = load_sae(folder).encode(given)
    assert torch.equal(load_sae("someone/sae").encode(given), expected)
    assert torch.equal(load_sae(f"someone/sae@{COMMIT}").encode(given), expected)


def test_a_folder_in_a_repository(prisma_folder):
    put_in_cache("someone/many", prisma_folder(), "layer_3/width_12")
    assert load_sae("someone/many/layer_3/width_12").config.d_sae == 12


def test_without_a_hub_it_says_what_to_fetch():
    with pytest.raises(WeightsError, match="cannot be fetched from the hub") as error:
        load_sae("someone/nothing")
    assert "https://huggingface.co/someone/nothing" in str(error.value)
    assert "sae=./nothing,checkpoint=VIT_WEIGHTS" in str(error.value)


def test_only_the_files_that_matter_are_downloaded(prisma_folder, monkeypatch):
    folder = prisma_folder()
    (folder / "a").mkdir()
    for name, target in {"config.json": "a/config.json", "weights.pt": "a/n_images_9.pt"}.items():
        (folder / name).rename(folder / target)
    for name in ("README.md", "cfg.json", "b.pt", "a/n_images_9_log_feature_sparsity.pt", "a/n_images_9.pkl"):
        (folder / name).touch()
    downloads = serve(monkeypatch, folder)
    source = find("someone/new/a")
    assert downloads == [("someone/new", None, ["a/config.json", "a/n_images_9.pt"])]
    assert (source.name, source.revision) == ("someone/new", COMMIT)
    assert read_source(source).config.d_sae == 12


def test_without_a_name_photographs_mean_prismas():
    class Photographs(Generator):
        latent_shape = sample_shape = (3, 32, 32)

        def generate(self, latents, steps=None):
            return latents

    with pytest.raises(WeightsError, match="cannot be fetched from the hub") as error:
        build("6547", SaeOptions(), BuildContext(generator=Photographs()))
    assert "vanilla-x64-layer-11-hook_resid_post-l1-1e-05" in str(error.value)
    with pytest.raises(WeightsError) as error:
        build("6547", SaeOptions(layer=9, site="mlp_out"), BuildContext(generator=Photographs()))
    assert "layer-9-hook_mlp_out" in str(error.value)
