"""`sit`: checkpoints of SiT and REPA against a slow, independent computation, and DiT's, which are no flows."""

import argparse

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from plain_dit import CHANNELS, CLASSES, HEADS, PATCH, SIDE, WIDTH, official_weights, predicted
from running import assert_one_error, read_run, run_cli
from torch.testing import assert_close

from equidiff.contracts import BuildContext
from equidiff.plugin import EquiDiffError
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins

SCALE = 0.18215


def sampled_as_sit(w, noise, steps, label, scale):
    """Euler's steps from noise (0) to data (1), guided on three channels."""
    x = noise.double()
    for k in range(steps):
        velocity = predicted(w, x, k / steps, torch.full((len(x),), label))
        if scale > 1:
            plain = predicted(w, x, k / steps, torch.full((len(x),), CLASSES))
            velocity[:, :3] = plain[:, :3] + scale * (velocity - plain)[:, :3]
        x = x + velocity / steps
    return x


def sampled_as_repa(w, noise, steps, label):
    """Euler's steps from noise (1) to data (0), in REPA's own time."""
    x = noise.double()
    for k in range(steps):
        now, after = 1 - k / steps, 1 - (k + 1) / steps
        x = x + (after - now) * predicted(w, x, now, torch.full((len(x),), label))
    return x


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A released checkpoint's layout, and a VAE as `hf download` leaves it."""
    path = tmp_path_factory.mktemp("sit")
    torch.manual_seed(3)
    autoencoder = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[32, 32], layers_per_block=1, latent_channels=CHANNELS,
    )  # fmt: skip
    autoencoder.save_pretrained(path / "vae")
    torch.save(official_weights(), path / "SiT-tiny.pt")
    return path


def generator_of(path, options):
    spec = f"sit:{path},heads={HEADS}{options}"
    return build(Plugins(), "generator", spec, BuildContext()).component


def decoded(folder, latents):
    model = AutoencoderKL.from_pretrained(folder / "vae").eval().double()
    return (model.decode(latents / SCALE).sample + 1) / 2


def noise():
    return torch.randn(2, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize(("options", "scale"), [("", 1), (",guidance=4,guided_channels=3", 4)])
def test_sit_is_sampled_as_published(folder, options, scale):
    generator = generator_of(folder, f",class=3,steps=5{options}")
    expected = decoded(folder, sampled_as_sit(official_weights(), noise(), 5, 3, scale))
    assert_close(generator.generate(noise()).double(), expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_repa_is_sampled_in_its_own_time(folder, tmp_path):
    weights = official_weights(variances=False, projectors=True)
    content = {"model": {}, "ema": weights, "args": argparse.Namespace(path_type="linear"), "steps": 3}
    torch.save(content, tmp_path / "repa.pt")
    options = f",class=3,steps=5,autoencoder={folder / 'vae'}"
    found = generator_of(tmp_path / "repa.pt", options).generate(noise()).double()
    expected = decoded(folder, sampled_as_repa(weights, noise(), 5, 3))
    assert_close(found, expected, rtol=0, atol=1e-4)
    forwards = generator_of(tmp_path / "repa.pt", f"{options},time=sit").generate(noise()).double()
    assert (forwards - expected).abs().max() > 0.01  # the direction matters


def test_statistics_and_gradient(folder):
    generator = generator_of(folder, ",steps=3")
    assert generator.latent_shape == (CHANNELS, SIDE, SIDE)
    assert generator.sample_shape == (3, 2 * SIDE, 2 * SIDE)
    at, toward, step = noise()[:1].requires_grad_(), noise()[1:], 1e-2
    (slope,) = torch.autograd.grad(generator.generate(at).sum(), at)
    with torch.no_grad():
        ends = [float(generator.generate(at + sign * step * toward).double().sum()) for sign in (1, -1)]
    assert float((slope * toward).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=0.02)


def test_members_by_the_command_line(folder, tmp_path):
    (tmp_path / "probe.py").write_text("def score(samples):\n    return samples[:, 0].mean(dim=(1, 2))\n")
    options = ("-r", "none", "--target", "0.5", "-n", "2", "--out", tmp_path / "run")
    outcome = run_cli("run", "-g", f"sit:{folder},heads=3,steps=3", "-o", f"custom:{tmp_path}/probe.py:score", *options)
    assert outcome.code == 0, outcome.stderr
    info = read_run(outcome.path)
    assert info["counts"]["members"] == 2
    assert [record["name"] for record in info["weights"]] == ["SiT-tiny.pt", "diffusion_pytorch_model.safetensors"]


def refused(tmp_path, generator, *words):
    outcome = run_cli("run", "-g", generator, "-o", "neuron:1,model=fashion", "--target", "1", "--out", tmp_path / "r")
    assert_one_error(outcome, 1, *words)


def test_lightningdit_refuses_what_is_no_flow_of_its_own(folder, tmp_path):
    """The tensors of a DiT would fit; only their meaning is another."""
    file = tmp_path / "DiT-tiny.pt"
    torch.save(official_weights(), file)
    refused(tmp_path, f"lightningdit:{file},heads=3", "DiT or of SiT", "predicts noise", "sit:", "diffusers:")
    torch.save({"ema": official_weights(projectors=True, variances=False)}, file)
    refused(tmp_path, f"lightningdit:{file},heads=3", "REPA", "sit:")


def test_sit_refuses_a_dit(folder, tmp_path):
    """A network that gives noise back at timestep 999, as every DiT learns to, and one with the opposite sign."""
    weights = {name: torch.zeros_like(value) for name, value in official_weights().items()}
    basis = torch.linalg.qr(torch.cat([torch.ones(WIDTH, 1), torch.randn(WIDTH, PATCH**2 * CHANNELS)], 1)).Q[:, 1:]
    weights["x_embedder.proj.weight"] = basis.reshape(WIDTH, CHANNELS, PATCH, PATCH)
    values = weights["final_layer.linear.weight"].view(PATCH, PATCH, 2 * CHANNELS, WIDTH)
    values[:, :, :CHANNELS] = basis.T.reshape(CHANNELS, PATCH, PATCH, WIDTH).permute(1, 2, 0, 3)
    torch.save(weights, tmp_path / "model.pt")
    refused(tmp_path, f"sit:{tmp_path / 'model.pt'},heads=3", "This is a DiT", "diffusers:")
    values.neg_()
    torch.save(weights, tmp_path / "model.pt")
    generator_of(tmp_path / "model.pt", f",autoencoder={folder / 'vae'}")


def test_sit_says_what_is_missing(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    torch.save(official_weights(), tmp_path / "lone.pt")
    with pytest.raises(EquiDiffError, match="sd-vae-ft-ema cannot be fetched") as caught:
        generator_of(tmp_path / "lone.pt", "")
    assert "hf download" in str(caught.value.hint)
    with pytest.raises(EquiDiffError, match="holds no autoencoder"):
        generator_of(tmp_path / "lone.pt", f",autoencoder={tmp_path}")
    with pytest.raises(EquiDiffError, match="needs a file"):
        build(Plugins(), "generator", "sit", BuildContext())
    with pytest.raises(EquiDiffError, match="no such file"):
        generator_of(tmp_path / "nothing.pt", "")
    with pytest.raises(EquiDiffError, match="not trained with this class"):
        generator_of(folder, ",class=10")
