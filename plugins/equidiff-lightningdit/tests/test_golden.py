"""Parity with the published code; tolerances as stated with the golden tensors."""

import pytest
import torch
from equidiff_lightningdit import (
    LightningDiT,
    TransformerConfig,
    load_autoencoder,
    load_transformer,
    sample_ode,
    time_grid,
)
from equidiff_lightningdit.autoencoder import autoencoder_config, diffusers_key, published_weights
from equidiff_lightningdit.checkpoints import LatentStats
from equidiff_lightningdit.sampler import CFG_CHANNELS, Guidance, velocity_of
from golden_files import HEADS, golden_config, golden_names, load_golden, read_json, state_dict_of
from torch.testing import assert_close

TRANSFORMERS = golden_names("dit_")
AUTOENCODERS = golden_names("vae_")


def close_gradient(found, golden):
    assert_close(found, golden, rtol=1e-4, atol=1e-5 * float(golden.abs().max()))


def gradient(output, at):
    return torch.autograd.grad(output.square().sum(), at)[0]


@pytest.fixture(params=TRANSFORMERS)
def case(request, tmp_path):
    tensors = load_golden(request.param)
    torch.save(state_dict_of(tensors), tmp_path / "transformer.pt")
    return load_transformer(tmp_path / "transformer.pt", HEADS.get(request.param)), tensors


def test_there_are_golden_tensors_of_every_kind():
    assert len(TRANSFORMERS) >= 4
    assert AUTOENCODERS


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_configuration_is_read_off_the_weights(name):
    official = golden_config(name)
    config = TransformerConfig.from_weights(state_dict_of(load_golden(name)), HEADS.get(name))
    assert config.shift is not official["wo_shift"]
    norm = "rms" if official["use_rmsnorm"] else "layer"
    assert config.qk_norm == (norm if official["use_qknorm"] else None)
    assert (config.swiglu, config.rope, config.rmsnorm, config.learn_sigma) == tuple(
        official[flag] for flag in ("use_swiglu", "use_rope", "use_rmsnorm", "learn_sigma")
    )
    for own, theirs in (("depth", "depth"), ("input_size", "input_size"), ("num_heads", "num_heads")):
        assert getattr(config, own) == official[theirs]
    for name in ("patch_size", "in_channels", "hidden_size", "num_classes"):
        assert getattr(config, name) == official[name]


def test_forward_and_its_gradient(case):
    model, tensors = case
    latents = tensors["in.x"].requires_grad_()
    velocity = model(latents, tensors["in.t"], tensors["in.y"])
    assert_close(velocity, tensors["out.forward"], rtol=0, atol=3e-6)
    close_gradient(gradient(velocity, latents), tensors["out.grad_x_sum_out_sq"])


def test_tables_are_those_of_the_published_code(case):
    model, tensors = case
    fresh = LightningDiT(model.config)
    assert_close(fresh.pos_embed, tensors["aux.pos_embed_init"], rtol=0, atol=0)
    assert_close(model.pos_embed, state_dict_of(tensors)["pos_embed"], rtol=0, atol=0)
    if model.feat_rope is not None:
        assert torch.equal(fresh.feat_rope.freqs_cos, model.feat_rope.freqs_cos)
        assert torch.equal(fresh.feat_rope.freqs_sin, model.feat_rope.freqs_sin)


def test_a_new_network_predicts_nothing(case):
    model, tensors = case
    assert not LightningDiT(model.config)(tensors["in.x"], tensors["in.t"], tensors["in.y"]).any()


def test_time_grids(case):
    _, tensors = case
    assert torch.equal(time_grid(6, 0.3), tensors["ode.t_grid_shift0.3"])
    assert torch.equal(time_grid(6, 0), tensors["ode.t_grid_shift0"])
    grid = time_grid(250)
    assert grid[0] == 0
    assert grid[-1] == 1
    assert grid.diff()[[0, -1]].tolist() == pytest.approx([0.001208, 0.013263], abs=1e-6)


def test_euler_with_and_without_shift(case):
    model, tensors = case
    noise = tensors["ode.z0"].requires_grad_()
    final = sample_ode(model, noise, steps=5, label=tensors["ode.y"])
    assert_close(final, tensors["ode.euler_shift0.3_nocfg.final"], rtol=0, atol=1e-5)
    close_gradient(gradient(final, noise), tensors["ode.euler_shift0.3_nocfg.grad_z0_sum_final_sq"])
    plain = sample_ode(model, noise.detach(), steps=5, shift=0, label=tensors["ode.y"])
    assert_close(plain, tensors["ode.euler_shift0_nocfg.final"], rtol=0, atol=1e-5)


def test_three_channel_guidance(case):
    model, tensors = case
    noise = tensors["ode.z0"].requires_grad_()
    final = sample_ode(model, noise, steps=5, label=tensors["ode.y"], cfg_scale=6.7, cfg_start=0.125)
    assert_close(final, tensors["ode.euler_shift0.3_cfg6.7_int0.125.final"], rtol=0, atol=5e-5)
    close_gradient(gradient(final, noise), tensors["ode.euler_shift0.3_cfg6.7_int0.125.grad_z0_sum_final_sq"])
    demo = sample_ode(model, noise.detach(), steps=5, shift=0, label=tensors["ode.y"], cfg_scale=9)
    assert_close(demo, tensors["ode.euler_shift0_cfg9_nointerval.final"], rtol=0, atol=5e-5)


@pytest.mark.parametrize("time", [0.05, 0.125, 0.6])
def test_one_guided_velocity(case, time):
    model, tensors = case
    rows = len(tensors["ode.y"])
    velocity = velocity_of(model, tensors["ode.y"], model.null_label, Guidance(6.7, 0.125, CFG_CHANNELS))
    found = velocity(tensors["cfg.in.x"][:rows], time)
    assert_close(found, tensors[f"cfg.out.t{time}"][:rows], rtol=0, atol=5e-5)


def test_dopri5(case):
    model, tensors = case
    final = sample_ode(model, tensors["ode.z0"], shift=0, label=tensors["ode.y"], method="dopri5")
    assert_close(final, tensors["ode.dopri5_shift0_nocfg.final"], rtol=0, atol=1e-3)


def test_xl_takes_the_published_key_list():
    shapes = read_json("xl1_keys")
    with torch.device("meta"):
        model = LightningDiT(TransformerConfig.of("XL/1"))
        weights = {key: torch.empty(shape) for key, shape in shapes.items()}
    model.load_state_dict(weights, strict=True, assign=True)
    assert TransformerConfig.from_weights(weights) == TransformerConfig.of("XL/1")
    assert sum(weight.numel() for weight in model.parameters()) == 675_256_736


@pytest.mark.parametrize(
    ("name", "millions"),
    [("B/1", 130.56), ("B/2", 130.56), ("L/2", 458.15), ("XL/2", 675.26), ("1p0B/1", 1029.40), ("1p6B/2", 1631.77)],
)
def test_sizes_of_the_family(name, millions):
    with torch.device("meta"):
        model = LightningDiT(TransformerConfig.of(name))
    assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.fixture(params=AUTOENCODERS)
def autoencoder_case(request, tmp_path):
    encoder, decoder = load_golden(f"{request.param}_encoder"), load_golden(f"{request.param}_decoder")
    torch.save({"state_dict": state_dict_of(encoder, decoder)}, tmp_path / "vae.pt")
    return load_autoencoder(tmp_path / "vae.pt"), encoder, decoder


def test_encoder(autoencoder_case):
    model, golden, _ = autoencoder_case
    image = golden["in.image"].requires_grad_()
    posterior = model.encode(image).latent_dist
    assert_close(posterior.mean, golden["out.mean"], rtol=0, atol=1e-5)
    assert_close(posterior.logvar, golden["out.logvar_clamped"], rtol=0, atol=1e-5)
    sampled = posterior.mean + posterior.std * golden["in.posterior_eps"]
    assert_close(sampled, golden["out.posterior_sample"], rtol=0, atol=1e-5)
    close_gradient(gradient(posterior.mean, image), golden["out.grad_image_sum_mean_sq"])


def test_decoder(autoencoder_case):
    model, _, golden = autoencoder_case
    stats = LatentStats(
        golden["in.latents_stats.mean"], golden["in.latents_stats.std"], float(golden["in.latent_multiplier"])
    )
    latents = stats.denormalise(golden["in.latent_normalised"])
    assert_close(latents, golden["out.latent_denormalised"], rtol=0, atol=1e-6)
    assert_close(stats.normalise(latents), golden["in.latent_normalised"], rtol=0, atol=1e-5)
    latents = golden["out.latent_denormalised"].requires_grad_()
    decoded = model.decode(latents).sample
    assert_close(decoded, golden["out.decoded"], rtol=0, atol=1e-5)
    close_gradient(gradient(decoded, latents), golden["out.grad_latent_sum_decoded_sq"])
    pixels = (127.5 * decoded + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    assert (pixels.int() - golden["out.decoded_uint8_nhwc"].int()).abs().max() <= 1


def test_names_go_to_diffusers_and_back(autoencoder_case):
    model, encoder, decoder = autoencoder_case
    official = state_dict_of(encoder, decoder)
    written = published_weights(model)
    assert written.keys() == official.keys()
    assert all(torch.equal(written[key], official[key]) for key in official)


def test_the_published_autoencoder_fits_diffusers():
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    shapes, names = read_json("vavae_keys"), read_json("vavae_to_diffusers_keys")
    with torch.device("meta"):
        config = autoencoder_config({key: torch.empty(shape) for key, shape in shapes.items()})
        model = AutoencoderKL(**config)
    assert {key: diffusers_key(key, 5) for key in shapes} == names
    assert sorted(names.values()) == sorted(model.state_dict())
    assert sum(weight.numel() for weight in model.parameters()) == 69_836_067
