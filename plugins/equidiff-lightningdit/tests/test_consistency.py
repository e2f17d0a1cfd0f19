"""FACM: a network with a second time, and its consistency sampler, against slow and independent computations."""

import argparse
import re
from types import SimpleNamespace

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from equidiff_lightningdit import ConsistencyGenerator, LightningDiTGenerator, load_transformer
from equidiff_lightningdit.autoencoder import published_weights
from equidiff_lightningdit.checkpoints import LatentStats
from equidiff_lightningdit.clocks import AUXILIARY, EXPANDED
from equidiff_lightningdit.parts import Parts
from hubs import serve, use_cache
from plain_dit import CHANNELS, CLASSES, HEADS, SIDE, official_weights, predicted
from running import assert_one_error, read_run, run_cli
from torch import nn
from torch.testing import assert_close

from equidiff.contracts import BuildContext
from equidiff.plugin import EquiDiffError
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins

MEAN, SPREAD, LABEL = 0.1, 1.5, 3
WEIGHTS = {kind: official_weights(variances=False, auxiliary=kind == "auxiliary") for kind in ("auxiliary", "expanded")}


def write_parts(folder, weights, name="transformer.pt"):
    """A tiny model's three files, as FACM's page has them."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / name)
    torch.manual_seed(0)
    autoencoder = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[32, 32], layers_per_block=1, latent_channels=CHANNELS,
    )  # fmt: skip
    torch.save({"state_dict": published_weights(autoencoder)}, folder / "vavae-imagenet256-f16d32-dinov2.pt")
    ones = torch.ones(1, CHANNELS, 1, 1)
    torch.save({"mean": MEAN * ones, "std": SPREAD * ones}, folder / "latents_stats.pt")
    return folder, autoencoder.eval().double()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folder and autoencoder of a model of either kind."""
    place = tmp_path_factory.mktemp("facm")
    return {kind: write_parts(place / kind, {"ema": weights}) for kind, weights in WEIGHTS.items()}


def generator_of(path, options="", context=None):
    spec = f"lightningdit:{path},heads={HEADS}{options}"
    return build(Plugins(), "generator", spec, context or BuildContext()).component


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def answers(kind, state, time, label, *, mean):
    """The network's mean velocity to the end, or its flow's, as its kind is asked for them."""
    labels = torch.full((len(state),), label)
    if kind == "auxiliary":
        return predicted(WEIGHTS[kind], state, time, labels, end=1 if mean else time)
    return predicted(WEIGHTS[kind], state, time if mean else 2 - time, labels)


def sampled(kind, noises, guidance=1.0, start=0.0):
    """FACM's sampler, as its paper has it."""
    x, count = noises[0].double(), len(noises)
    for step in range(count):
        now, after = step / count, (step + 1) / count
        velocity = answers(kind, x, now, LABEL, mean=True)
        if guidance > 1 and now >= start:
            plain = answers(kind, x, now, CLASSES, mean=True)
            velocity = plain + guidance * (velocity - plain)
        end = x + (1 - now) * velocity
        if step + 1 < count:
            x = after * end + (1 - after) * noises[step + 1].double()
    return end


def decoded(model, latents):
    return (model[1].decode(latents * SPREAD + MEAN).sample + 1) / 2


@torch.no_grad()
def test_the_network_embeds_two_times(models):
    network = load_transformer(models["auxiliary"][0] / "transformer.pt", heads=HEADS).double()
    state, labels = noise(2, CHANNELS, SIDE, SIDE).double(), torch.tensor([3, 5])
    time, end = torch.full((2,), 0.3, dtype=torch.float64), torch.full((2,), 0.7, dtype=torch.float64)
    expected = predicted(WEIGHTS["auxiliary"], state, 0.3, labels, end=0.7)
    assert_close(network(state, time, labels, end), expected, rtol=0, atol=1e-6)  # its frequencies are float32
    assert_close(
        network(state, time, labels), predicted(WEIGHTS["auxiliary"], state, 0.3, labels, end=0.3), rtol=0, atol=1e-6
    )
    assert (network(state, time, labels) - expected).abs().max() > 0.01  # the second time matters
    network.narrow(torch.bfloat16)
    assert (network.dtype, network.r_embedder.mlp[0].weight.dtype) == (torch.bfloat16, torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_sampler_jumps_to_the_end(models, kind, steps):
    options = f",class={LABEL},steps={steps}" + (",sampler=consistency" if kind == "expanded" else "")
    generator = generator_of(models[kind][0], options)
    assert isinstance(generator, ConsistencyGenerator)
    assert (generator.steps, generator.latent_shape) == (steps, (steps * CHANNELS, SIDE, SIDE))
    latents = noise(2, *generator.latent_shape)
    noises = latents.chunk(steps, dim=1)
    assert_close(generator.generate(latents).double(), decoded(models[kind], sampled(kind, noises)), rtol=0, atol=1e-4)
    few = decoded(models[kind], sampled(kind, noises[:1]))
    assert_close(generator.generate(latents, steps=1).double(), few, rtol=0, atol=1e-4)
    assert torch.equal(generator.generate(latents, steps=9), generator.generate(latents))


@torch.no_grad()
def test_guidance_begins_when_told(models):
    latents = noise(2, 2 * CHANNELS, SIDE, SIDE)
    for start in (0.0, 0.125):
        options = f",class={LABEL},steps=2,guidance=2,guidance_start={start}"
        expected = sampled("auxiliary", latents.chunk(2, dim=1), 2.0, start)
        found = generator_of(models["auxiliary"][0], options).generate(latents).double()
        assert_close(found, decoded(models["auxiliary"], expected), rtol=0, atol=1e-4)


@torch.no_grad()
def test_the_flow_of_a_consistency_model(models):
    """It is a generator of its own: `sampler=flow`."""
    generator = generator_of(models["auxiliary"][0], f",class={LABEL},steps=4,shift=1,sampler=flow")
    assert isinstance(generator, LightningDiTGenerator)
    start = noise(2, CHANNELS, SIDE, SIDE)
    state = start.double()
    for step in range(4):
        state = state + answers("auxiliary", state, step / 4, LABEL, mean=False) / 4
    assert_close(generator.generate(start).double(), decoded(models["auxiliary"], state), rtol=0, atol=1e-4)


def test_a_second_time_is_recognised_and_its_absence_is_a_flow(models):
    assert isinstance(generator_of(models["auxiliary"][0]), ConsistencyGenerator)
    assert isinstance(generator_of(models["expanded"][0]), LightningDiTGenerator)


def test_the_label_of_no_class_is_noted(models):
    context = BuildContext()
    generator_of(models["auxiliary"][0], f",class={LABEL}", context)
    assert not context.notes
    generator_of(models["auxiliary"][0], "", context)
    assert "label of no class" in context.notes[0]


class Other:
    """Of a checkpoint's author; its code is not run."""


def test_averages_are_read_and_other_classes_are_not(models, tmp_path):
    """The layout that FACM's training writes: PostHocEMA's two averages, optimizer and arguments beside them."""
    weights, zeros = WEIGHTS["auxiliary"], {key: torch.zeros_like(value) for key, value in WEIGHTS["auxiliary"].items()}
    averages = {"ema_models.0.initted": torch.tensor(True), "ema_models.1.step": torch.tensor(7)}
    averages |= {f"ema_models.0.ema_model.{key}": value for key, value in zeros.items()}
    averages |= {f"ema_models.1.ema_model.{key}": value for key, value in weights.items()}
    content = {"model": zeros, "emas": averages, "opt": {"state": {}}, "args": argparse.Namespace(p=0.5), "epoch": 3}
    folder, _ = write_parts(tmp_path / "facm", content, "0000007.pt")
    latents = noise(1, CHANNELS, SIDE, SIDE)
    found, expected = (generator_of(place, f",class={LABEL}") for place in (folder, models["auxiliary"][0]))
    assert torch.equal(found.generate(latents), expected.generate(latents))
    torch.save(content | {"args": argparse.Namespace(other=Other())}, folder / "0000007.pt")
    with pytest.raises(EquiDiffError, match="code in it is not run"):
        generator_of(folder)


def test_gradient(models):
    generator = generator_of(models["auxiliary"][0], f",class={LABEL},steps=2")
    at, toward, step = (*noise(2, *generator.latent_shape).split(1), 1e-2)
    at.requires_grad_()
    (slope,) = torch.autograd.grad(generator.generate(at).sum(), at)
    with torch.no_grad():
        ends = [float(generator.generate(at + sign * step * toward).double().sum()) for sign in (1, -1)]
    assert float((slope * toward).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=0.02)
    kept = generator_of(models["auxiliary"][0], f",class={LABEL},steps=2,checkpoint=false")
    assert_close(torch.autograd.grad(kept.generate(at).sum(), at)[0], slope, rtol=1e-4, atol=1e-5)
    assert slope[:, :CHANNELS].abs().max() > 0
    assert slope[:, CHANNELS:].abs().max() > 0


class GaussianStudent(nn.Module):
    """Knows the exact flow to normal data, and its exact mean velocity, by either clock."""

    null_label = 0
    config = SimpleNamespace(in_channels=CHANNELS, input_size=SIDE)
    mean, spread = 0.7, 0.6

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def forward(self, state, time, labels, end=None):
        of_flow = bool((time > 1).all()) if self.clock is EXPANDED else end is None
        t = (2 - time if of_flow and self.clock is EXPANDED else time)[:, None, None, None]
        normal = (state - t * self.mean) / self.width(t)
        if of_flow:
            return self.mean + (t * self.spread**2 - (1 - t)) / self.width(t) * normal
        return (self.mean + self.spread * normal - state) / (1 - t)

    def width(self, t):
        """Standard deviation of the flow's states at a time."""
        return ((t * self.spread) ** 2 + (1 - t) ** 2) ** 0.5


class NoAutoencoder(nn.Module):
    """Its latents are the images."""

    def __init__(self):
        super().__init__()
        self.config = {"block_out_channels": [1], "out_channels": CHANNELS}

    def encode(self, images):
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=images))

    def decode(self, latents):
        return SimpleNamespace(sample=latents)


def exact(clock, steps, asked=None):
    ones = torch.ones(1, CHANNELS, 1, 1, dtype=torch.float64)
    parts = Parts(GaussianStudent(clock), NoAutoencoder(), LatentStats(0 * ones, ones), ())
    flow = LightningDiTGenerator(parts, steps=100, shift=1, recompute=False, clock=asked or clock)
    return ConsistencyGenerator(flow, steps)


@torch.no_grad()
@pytest.mark.parametrize("clock", [AUXILIARY, EXPANDED])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_inversion_goes_back_along_the_flow(clock, steps):
    """The first noise is that of the flow; a later one leads from the flow's end to its state at that time."""
    generator, student = exact(clock, steps), GaussianStudent(clock)
    latents = noise(2, *generator.latent_shape).double()
    samples = generator.generate(latents)
    found = generator.invert(samples)
    assert_close(generator.generate(found), samples, rtol=0, atol=0.02)  # Euler's steps are not exact
    first = (2 * samples - 1 - student.mean) / student.spread
    for part, time in zip(found.chunk(steps, dim=1), (step / steps for step in range(steps)), strict=True):
        expected = (student.width(time) - time * student.spread) / (1 - time) * first
        assert_close(part, expected, rtol=0, atol=0.1)
    assert generator.generate(torch.zeros_like(found)).sub(samples).abs().mean() > 0.1


@torch.no_grad()
def test_an_exact_student_samples_its_data():
    """One step or several: what they end in has the data's mean and spread. With the wrong clock it has not."""
    for clock in (AUXILIARY, EXPANDED):
        for steps in (1, 3):
            spread = spread_of(exact(clock, steps))
            assert spread == pytest.approx((GaussianStudent.mean, GaussianStudent.spread), abs=0.02)
    assert spread_of(exact(AUXILIARY, 1, asked=EXPANDED)) != pytest.approx(spread, abs=0.1)


def spread_of(generator):
    data = 2 * generator.generate(noise(64, *generator.latent_shape).double()) - 1
    return float(data.mean()), float(data.std())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("facm", ("needs a class", "lightningdit:facm,class=340")),
        ("facm-100ep,sampler=flow", ("needs a class", "lightningdit:facm-100ep,class=340")),
        ("facm,class=3,shift=0.3", ("integrates nothing", "shift=0.3")),
        ("facm,class=3,method=heun2,shift=1", ("integrates nothing", "method=heun2, shift=1")),
        ("xl-64ep,sampler=consistency", ("is a flow", "lightningdit:facm,class=340")),
        ("FOLDER,heads=3,shift=0.3", ("integrates nothing", "shift=0.3")),
    ],
)
def test_what_cannot_be(models, spec, words, tmp_path, monkeypatch):
    use_cache(monkeypatch, tmp_path / "cache")
    if "class" in spec or "xl" in spec:  # as if the hub could be reached: FACM without a class is refused before that
        monkeypatch.setattr("equidiff.registry.published._unreachable", lambda: None)
    spec = spec.replace("FOLDER", str(models["auxiliary"][0]))
    outcome = run_cli("run", "-g", f"lightningdit:{spec}", "-o", "neuron:1,model=fashion", "--out", tmp_path / "run")
    assert_one_error(outcome, 2, *words)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_members_by_the_command_line(models, kind, tmp_path):
    spec = f"lightningdit:{models[kind][0]},heads=3,class=1" + (",sampler=consistency" if kind == "expanded" else "")
    target = ("--target", "p60", "-r", "none", "-n", "2", "--out", tmp_path / "run")
    outcome = run_cli("run", "-g", spec, "-o", "neuron:17,model=fashion", *target)
    assert outcome.code == 0, outcome.stderr
    info = read_run(outcome.path)
    assert info["counts"]["members"] == 2


@torch.no_grad()
def test_published_names_and_their_steps(models, tmp_path, monkeypatch):
    """Tiny files in place of the published ones; all three come from FACM's own page."""
    use_cache(monkeypatch, tmp_path / "cache")
    folder, _ = write_parts(tmp_path / "hub", {"ema": WEIGHTS["expanded"]}, "100ep-stg2.pt")
    downloads = serve(monkeypatch, folder)
    generator = build(
        Plugins(), "generator", f"lightningdit:facm-100ep,class={LABEL},heads=3", BuildContext()
    ).component
    assert (type(generator), generator.steps) == (ConsistencyGenerator, 2)
    assert {repository for repository, _, _ in downloads} == {"Peterande/FACM"}
    latents = noise(1, *generator.latent_shape)
    expected = decoded(models["expanded"], sampled("expanded", latents.chunk(2, dim=1)))
    assert_close(generator.generate(latents).double(), expected, rtol=0, atol=1e-4)
    flow = generator_of("facm-100ep", f",class={LABEL},sampler=flow,steps=2,shift=1")
    state = noise(1, CHANNELS, SIDE, SIDE).double()
    for time in (0, 0.5):
        state = state + answers("expanded", state, time, LABEL, mean=False) / 2
    found = flow.generate(noise(1, CHANNELS, SIDE, SIDE)).double()
    assert_close(found, decoded(models["expanded"], state), rtol=0, atol=1e-4)


def test_by_hand_the_folder_is_named_with_what_its_content_does_not_tell(tmp_path, monkeypatch):
    use_cache(monkeypatch, tmp_path / "cache")
    outcome = run_cli("run", "-g", "lightningdit:facm-100ep,class=3", "-o", "neuron:1,model=fashion")
    assert_one_error(outcome, 1, "hf download Peterande/FACM 100ep-stg2.pt")
    text = re.sub(r"[\s│]+", "", outcome.stderr)
    assert "lightningdit:lightningdit,sampler=consistency,class=340,steps=2" in text
