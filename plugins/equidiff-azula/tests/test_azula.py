"""Azula's samplers with gradients: the library's own images, gradients, splitting, models and messages."""

from pathlib import Path

import pytest
import torch
from azula.plugins import adm, jit
from azula.sample import DDIMSampler, EulerSampler
from equidiff_azula.build import build
from equidiff_azula.generator import SAMPLERS
from equidiff_azula.plugin import AzulaOptions
from running import assert_one_error, read_run, run_cli
from stepping import assert_encoding_leads_back, assert_steps_are_the_sampler
from torch.autograd.graph import saved_tensors_hooks

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError
from equidiff.testing import check_generator, check_plugin

SHAPE = "1x8x8"
EXAMPLES = Path(__file__).parents[3] / "examples"


def make(argument, context=None, **options):
    return build(argument, AzulaOptions(**options), context or BuildContext())


def noise(generator, rows=2):
    return torch.randn(rows, *generator.latent_shape, generator=torch.Generator().manual_seed(0))


def reference(sampler, denoiser, latents, **kwargs):
    """The library's own call, from a first state as its `init` draws it for data of unit variance."""
    alpha, sigma = denoiser.schedule(torch.tensor(1.0))
    first = torch.sqrt(alpha**2 + sigma**2) * latents
    return sampler(first, **kwargs) / 2 + 0.5


def test_plugin_keeps_its_contract():
    check_plugin("equidiff_azula.plugin")


@pytest.mark.parametrize("name", SAMPLERS)
def test_images_are_those_of_the_librarys_own_call(own, name):
    generator = make(f"{own}:load", shape=SHAPE, sampler=name, steps=6)
    latents = noise(generator)
    sampler = SAMPLERS[name](generator._denoiser.denoiser, steps=6, silent=True)
    expected = reference(sampler, generator._denoiser.denoiser, latents)
    torch.testing.assert_close(generator.generate(latents), expected, rtol=0, atol=1e-6)
    assert (generator.generate(-latents) - expected).abs().max() > 0.01


@pytest.mark.parametrize("name", ["euler", "heun"])
def test_one_step_at_a_time_is_the_sampler(own, name):
    generator = make(f"{own}:load", shape=SHAPE, sampler=name, steps=12)
    assert_steps_are_the_sampler(generator, noise(generator))
    assert_encoding_leads_back(generator, noise(generator), 0.05)
    sampler = generator.stepwise_sampler(5)
    states = sampler.begin(noise(generator))
    alpha, sigma = generator._denoiser.schedule(torch.linspace(1, 0, 6)[2])
    assert sampler.noise_levels[2] == pytest.approx(float(sigma / alpha), rel=1e-4)
    seen = generator._denoiser(states[:, 0], torch.linspace(1, 0, 6)[2]).mean
    torch.testing.assert_close(sampler.predict(states, 2), (seen + 1) / 2)


def test_samplers_with_a_memory_have_no_single_steps(own):
    assert make(f"{own}:load", shape=SHAPE, sampler="zab", steps=6).stepwise_sampler() is None


def test_euler_is_ddim(own):
    generator = make(f"{own}:load", shape=SHAPE, steps=6)
    latents = noise(generator)
    denoiser = generator._denoiser.denoiser
    expected = reference(DDIMSampler(denoiser, steps=6, silent=True), denoiser, latents)
    torch.testing.assert_close(generator.generate(latents), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["adm/tiny", "jit/tiny", "adm/classes", "jit/tiny-guided"])
def test_published_models_are_those_of_the_librarys_own_loader(published, model):
    options = {"adm/classes": {"label": 2}, "jit/tiny": {"label": 3}, "jit/tiny-guided": {"label": 3, "guidance": 2.5}}
    context = BuildContext()
    generator = make(model.removesuffix("-guided"), context, steps=3, **options.get(model, {}))
    latents = noise(generator)
    family, _, name = model.removesuffix("-guided").partition("/")
    denoiser = {"adm": adm, "jit": jit}[family].load_model(name)
    label = {"label": torch.tensor([options[model]["label"]] * 2)} if model in options else {}
    if model.endswith("guided"):
        expected = guided(denoiser, latents, label)
    else:
        expected = reference(EulerSampler(denoiser, steps=3, silent=True), denoiser, latents, **label)
    torch.testing.assert_close(generator.generate(latents), expected, rtol=0, atol=1e-5)
    assert [record.name for record in context.weights] == [f"azula/{family}/{name}"]


def guided(denoiser, latents, label, scale=2.5, steps=3):
    """Classifier-free guidance and Euler's steps, written out."""
    times = torch.linspace(1, 0, steps + 1)
    alpha, sigma = denoiser.schedule(times)
    states = torch.sqrt(alpha[0] ** 2 + sigma[0] ** 2) * latents
    with torch.no_grad():
        for i in range(steps):
            free = denoiser(states, times[i]).mean
            clean = free + scale * (denoiser(states, times[i], **label).mean - free)
            direction = (states - alpha[i] * clean) / sigma[i]
            states = alpha[i + 1] * clean + sigma[i + 1] * direction
    return states / 2 + 0.5


@pytest.mark.parametrize("name", SAMPLERS)
def test_gradients_agree_with_finite_differences(own, name):
    generator = make(f"{own}:load", shape="1x4x4", sampler=name, steps=4)
    generator._denoiser.double()
    torch.manual_seed(1)
    latents = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(generator.generate, latents, eps=1e-6, atol=1e-4)


@pytest.mark.parametrize("name", ["euler", "heun", "zab"])
def test_generator_keeps_its_contract(own, name):
    check_generator(make(f"{own}:load", shape=SHAPE, sampler=name, steps=10), trained=False)


def test_an_autoencoder_of_the_users_own_decodes(own):
    generator = make(f"{own}:latent", shape=SHAPE, steps=2)
    assert generator.sample_shape == (1, 16, 16)
    check_generator(generator)


@pytest.mark.parametrize("name", ["euler", "heun"])
def test_split_sampler_moves_the_sample_as_asked(own, name):
    generator = make(f"{own}:load", shape=SHAPE, sampler=name, steps=12)
    split = generator.split_sampler()
    latents = noise(generator, 3)
    with torch.no_grad():
        states = split.begin(latents)
        assert torch.equal(split.finish(states), generator.generate(latents))
        moved = states + 0.1 * torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
        found = split.begin(split.reencode(latents, states, moved))
    assert (found - moved).norm() < 0.2 * (moved - states).norm()


def test_memory_does_not_grow_with_steps(own):
    def kept(steps, **options):
        generator = make(f"{own}:load", shape="1x16x16", steps=steps, **options)
        sizes = []
        with saved_tensors_hooks(lambda value: sizes.append(value.numel()) or value, lambda value: value):
            generator.generate(noise(generator).requires_grad_())
        return sum(sizes)

    extra, without = (kept(8, checkpoint=on) - kept(4, checkpoint=on) for on in (True, False))
    assert without > 4 * extra


@pytest.mark.parametrize(("argument", "options", "message"), [
    (None, {}, "needs a model"),
    ("edm/cifar10_32x32", {}, "pickle that runs code"),
    ("edn/cifar10_32x32", {}, "family of azula"),
    ("adm/imagenet_256", {}, "model of azula's adm"),
    ("adm/classes", {}, "needs a class"),
    ("adm/classes", {"label": 3}, "no such class"),
    ("adm/tiny", {"label": 1}, "unconditional"),
    ("adm/tiny", {"prompt": "a zebra"}, "no prompt"),
    ("adm/classes", {"label": 1, "guidance": 2}, "empty class"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(published, argument, options, message):
    with pytest.raises(EquiDiffError, match=message):
        make(argument, **options)


@pytest.mark.parametrize(("function", "options", "message"), [
    ("load", {}, "shape of its noise"),
    ("load", {"shape": "1x0x8"}, "shape of its noise"),
    ("load", {"shape": SHAPE, "label": 1}, "has no label"),
    ("wrong", {"shape": SHAPE}, "returns no denoiser"),
    ("broken", {"shape": SHAPE}, "ValueError: no such file"),
    ("absent", {"shape": SHAPE}, "no function"),
])  # fmt: skip
def test_a_function_that_is_no_loader_is_refused(own, function, options, message):
    with pytest.raises(EquiDiffError, match=message):
        make(f"{own}:{function}", **options)


def test_without_the_file_the_message_says_how_to_fetch_it(published):
    (published / "hub" / "https.example.invalid.adm.pt").unlink()
    with pytest.raises(EquiDiffError) as caught:
        make("adm/tiny")
    assert "curl -L 'https://example.invalid/adm.pt' -o" in caught.value.hint
    assert not list((published / "hub").glob("*adm*"))


def test_a_damaged_file_is_refused(published):
    (published / "hub" / "https.example.invalid.adm.pt").write_bytes(b"no weights")
    with pytest.raises(EquiDiffError, match="azula cannot load adm/tiny"):
        make("adm/tiny")


def test_the_documented_example_ends_in_members(tmp_path):
    generator = f"azula:{EXAMPLES / 'azula_denoiser.py'}:load,shape=1x28x28,steps=2"
    outcome = run_cli(
        "run",
        "-g",
        generator,
        "-o",
        "classifier:bag,model=fashion",
        "--target",
        "0.5",
        "-n",
        "2",
        "--out",
        tmp_path / "run",
    )
    assert outcome.code == 0, outcome.stderr
    info = read_run(outcome.path)
    assert info["counts"]["members"] == 2
    assert "equidiff-azula" in info["versions"]


def test_bad_input_on_the_command_line_is_one_panel(tmp_path):
    generator = f"azula:{EXAMPLES / 'azula_denoiser.py'}:load"
    outcome = run_cli(
        "run", "-g", generator, "-o", "classifier:bag,model=fashion", "--target", "0.5", "--out", tmp_path / "run"
    )
    assert_one_error(outcome, 2, "shape of its noise", "shape=3x32x32")
