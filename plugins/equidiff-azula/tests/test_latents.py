"""Models of azula that work through an autoencoder: tiny random pipelines in the place of the published ones."""

import importlib
from types import SimpleNamespace

import pytest
import torch
from azula.sample import EulerSampler
from equidiff_azula.build import build
from equidiff_azula.plugin import AzulaOptions
from tiny import save

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError
from equidiff.testing import check_generator

FAMILIES = ("sd", "sana", "flux")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipelines")
    for family in FAMILIES:
        save(family, root / family)
    return root


@pytest.fixture
def make(monkeypatch, folders):
    def make(family, **options):
        module = importlib.import_module(f"azula.plugins.{family}")
        config = {"prediction": "epsilon"} if family == "sd" else {}
        cards = {"tiny": SimpleNamespace(repo=str(folders / family), variant=None, dtype_map=None, config=config)}
        monkeypatch.setattr(module, "load_cards", lambda _: cards)
        monkeypatch.setattr("equidiff_azula.models.load_cards", lambda _: cards)
        monkeypatch.setattr("equidiff_azula.models.find_snapshot", lambda repository, *_: folders / family)
        context = BuildContext()
        return build(f"{family}/tiny", AzulaOptions(steps=2, **options), context), module.load_model("tiny"), context

    return make


def noise(generator):
    return torch.randn(2, *generator.latent_shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", FAMILIES)
def test_images_are_those_of_the_librarys_own_calls(make, family):
    options = {} if family == "sana" else {"size": 32}
    generator, (denoiser, autoencoder, encoder), context = make(family, prompt="a cat", **options)
    latents = noise(generator)
    alpha, sigma = denoiser.schedule(torch.tensor(1.0))
    with torch.no_grad():
        texts = {name: value.expand(2, *value.shape[1:]) for name, value in encoder("a cat").items()}
        guidance = {"guidance": 4.0 if denoiser.backbone.config.guidance_embeds else None} if family == "flux" else {}
        sampler = EulerSampler(denoiser, steps=2, silent=True)
        states = sampler(torch.sqrt(alpha**2 + sigma**2) * latents, **texts, **guidance)
        expected = autoencoder.decode(states) / 2 + 0.5
    torch.testing.assert_close(generator.generate(latents), expected, rtol=0, atol=1e-5)
    assert (generator.generate(-latents) - expected).abs().max() > 0.01
    assert all(record.name.endswith(".safetensors") for record in context.weights)
    assert context.weights


@pytest.mark.parametrize("family", FAMILIES)
def test_generator_keeps_its_contract(make, family):
    check_generator(
        make(family, **({} if family == "flux" else {"guidance": 3}), **({} if family == "sana" else {"size": 16}))[0]
    )


def test_guidance_changes_the_image_as_written_out(make):
    plain, (denoiser, autoencoder, encoder), _ = make("sd", prompt="a cat")
    guided, _, _ = make("sd", prompt="a cat", guidance=3)
    latents = noise(plain)
    times = torch.linspace(1, 0, 3)
    alpha, sigma = denoiser.schedule(times)
    states = torch.sqrt(alpha[0] ** 2 + sigma[0] ** 2) * latents
    with torch.no_grad():
        for i in range(2):
            cat, none = (denoiser(states, times[i], **encoder(prompt)).mean for prompt in ("a cat", ""))
            clean = none + 3 * (cat - none)
            states = alpha[i + 1] * clean + sigma[i + 1] * (states - alpha[i] * clean) / sigma[i]
        expected = autoencoder.decode(states) / 2 + 0.5
    torch.testing.assert_close(guided.generate(latents), expected, rtol=0, atol=1e-4)
    assert (plain.generate(latents) - expected).abs().max() > 1e-3


def test_sizes_are_those_of_the_autoencoder(make):
    assert make("flux", size=32)[0].sample_shape == (3, 32, 32)
    with pytest.raises(EquiDiffError, match="no images of this size"):
        make("flux", size=31)
