"""Contract, gradients, memory, bfloat16 and inversion of the generator."""

from types import SimpleNamespace

import pytest
import torch
from equidiff_sd.build import build
from equidiff_sd.generator import Autoencoder, Denoiser, Diffusion
from equidiff_sd.plugin import SdOptions
from equidiff_sd.sampler import Sampler
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from equidiff.contracts import BuildContext
from equidiff.errors import InexactInverseError
from equidiff.testing import check_generator, check_plugin

# torch's arrays do not know numpy 2's `copy` keyword; diffusers' Euler scheduler meets it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def make(folder, dtype="float32", **options):
    return build(str(folder), SdOptions(**options), BuildContext(dtype=dtype))


def noise(generator, rows=2, seed=0):
    return torch.randn(rows, *generator.latent_shape, generator=torch.Generator().manual_seed(seed))


def conditioning(dtype=torch.float32):
    return {"encoder_hidden_states": torch.randn(1, 5, 16, dtype=dtype)}


def gradient(generator, latents):
    leaf = latents.clone().requires_grad_()
    weights = torch.randn(2, *generator.sample_shape, generator=torch.Generator().manual_seed(3))
    return torch.autograd.grad((weights * generator.generate(leaf)).sum(), leaf)[0]


def test_plugin_keeps_its_contract():
    check_plugin("equidiff_sd.plugin")


@pytest.mark.parametrize(
    "options",
    [{"checkpoint": False}, {"scheduler": "euler"}, {"prompt": "a zebra", "guidance": 5}],
    ids=["kept", "euler", "guidance"],
)
def test_stable_diffusion_keeps_its_contract(text, options):
    check_generator(make(text, steps=2, **options), trained=False)


@pytest.mark.parametrize("method", ["ddim", "euler"])
def test_unconditional_keeps_its_contract_inverse_included(pixels, method):
    generator = make(pixels, steps=3, scheduler=method)
    check_generator(generator, trained=False)
    latents = noise(generator)
    with torch.no_grad():
        found = generator.invert(generator.generate(latents))
    torch.testing.assert_close(found, latents, rtol=0, atol=1e-3)


def test_tiny_autoencoder_keeps_its_contract(tiny, tmp_path, text):
    torch.manual_seed(0)
    tiny.tiny_autoencoder().save_pretrained(tmp_path)
    check_generator(make(text, steps=2, vae="tiny", tiny=str(tmp_path)), trained=False)


@pytest.mark.parametrize("method", ["ddim", "euler"])
@pytest.mark.parametrize("recompute", [True, False])
def test_gradients_by_finite_differences_in_float64(tiny, method, recompute):
    torch.manual_seed(0)
    conditions = [(weight, conditioning(torch.float64)) for weight in (-2.0, 3.0)]
    config = dict(tiny.scheduler().config)
    generator = Diffusion(
        Denoiser(tiny.text_unet().double(), conditions),
        Sampler(method, config),
        (4, 4, 4),
        3,
        Autoencoder(tiny.autoencoder().double()),
        recompute,
    )
    latents = torch.randn(2, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(generator.generate, (latents,), fast_mode=True, eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("options", [{"prompt": "a zebra", "guidance": 5, "scheduler": "euler"}, {}])
def test_recomputing_changes_no_gradient(text, options):
    kept, recomputed = (make(text, steps=2, checkpoint=flag, **options) for flag in (False, True))
    latents = noise(kept)
    expected = gradient(kept, latents)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient(recomputed, latents), expected, rtol=1e-5, atol=1e-7)


def kept_bytes(generator):
    """Number of bytes that autograd keeps after the forward pass, without parameters."""
    sizes = {}

    def pack(tensor):
        if not isinstance(tensor, nn.Parameter):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        generator.generate(noise(generator).requires_grad_())
    return sum(sizes.values())


def test_recomputed_steps_keep_nothing_but_their_states(text):
    kept, recomputed = (
        [kept_bytes(make(text, steps=steps, checkpoint=flag)) for steps in (2, 8)] for flag in (False, True)
    )
    states = 6 * 2 * 4 * (4 * 8 * 8)  # steps, rows, bytes, latent
    assert recomputed[1] - recomputed[0] <= 2 * states
    assert kept[1] - kept[0] > 100 * states


def test_without_gradients_no_graph_is_kept(text):
    generator = make(text, steps=2)
    assert not generator.generate(noise(generator)).requires_grad


def test_bfloat16_is_in_the_network_alone(tiny):
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1)

        def forward(self, states, time, return_dict):
            predicted = self.layer(states)
            seen.append((states.dtype, predicted.dtype))
            return (predicted,)

    sampler = Sampler("ddim", dict(tiny.scheduler().config))
    generator = Diffusion(Denoiser(Watched(), dtype="bfloat16"), sampler, (1, 4, 4), 3)
    assert generator.generate(noise(generator)).dtype == torch.float32
    assert seen == 3 * [(torch.float32, torch.bfloat16)]


@pytest.mark.parametrize("method", ["ddim", "euler"])
def test_bfloat16_is_near_float32(text, method):
    options = {"steps": 2, "prompt": "a zebra", "guidance": 3, "scheduler": method}
    exact, rough = make(text, **options), make(text, "bfloat16", **options)
    latents = noise(exact)
    with torch.no_grad():
        expected, found = exact.generate(latents), rough.generate(latents)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert (found - expected).square().mean().sqrt() < 0.1 * expected.std()
    slopes, wanted = gradient(rough, latents), gradient(exact, latents)
    assert slopes.dtype == torch.float32
    assert torch.cosine_similarity(slopes.flatten(), wanted.flatten(), dim=0) > 0.95


def test_an_autoencoder_that_does_not_reconstruct_gives_a_rough_inverse(text):
    """With random weights, decoding does not reconstruct the encoded image."""
    generator = make(text, steps=2)
    with torch.no_grad():
        samples = generator.generate(noise(generator))
    with pytest.raises(InexactInverseError, match="reconstructs these samples with an error of") as caught:
        generator.invert(samples)
    assert caught.value.latents.shape == (2, *generator.latent_shape)
    assert caught.value.latents.isfinite().all()


def test_bfloat16_inverts_as_well_as_its_rounding_allows(pixels):
    """Fixed points of a rounded network are known to its rounding; the latents lead back to nearly the samples."""
    generator = make(pixels, "bfloat16", steps=3)
    latents = noise(generator)
    with torch.no_grad():
        samples = generator.generate(latents)
        with pytest.raises(InexactInverseError, match="undone only roughly") as caught:
            generator.invert(samples)
        error = (generator.generate(caught.value.latents) - samples).square().mean().sqrt() / samples.std()
    assert error < 0.1
    assert (caught.value.latents - latents).square().mean().sqrt() < 0.1


class Folding(nn.Module):
    """A lossless autoencoder: each 2x2 block of pixels becomes four channels."""

    class Mean:
        def __init__(self, mean):
            self.latent_dist = self
            self.mean = mean

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(
            scaling_factor=0.18215, block_out_channels=(1, 1), out_channels=1, latent_channels=4
        )

    def encode(self, images):
        return self.Mean(nn.functional.pixel_unshuffle(images, 2))

    def decode(self, states, return_dict):
        return (nn.functional.pixel_shuffle(states, 2),)


@pytest.mark.parametrize("method", ["ddim", "euler"])
def test_latent_models_invert_where_the_autoencoder_does(tiny, method):
    torch.manual_seed(0)
    denoiser = Denoiser(tiny.text_unet(), [(1.0, conditioning())])
    sampler = Sampler(method, dict(tiny.scheduler().config))
    generator = Diffusion(denoiser, sampler, (4, 8, 8), 3, Autoencoder(Folding()))
    check_generator(generator, trained=False)
    with torch.no_grad():
        samples = generator.generate(noise(generator))
        again = generator.generate(generator.invert(samples))
    # this network is so steep that several latents make the same sample: any of them will do
    assert (again - samples).square().mean().sqrt() < 1e-3 * samples.std()
