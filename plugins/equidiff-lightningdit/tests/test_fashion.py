"""The small model that ships with the plugin, loaded by the same code as the published ones."""

import pytest
import torch
from equidiff_lightningdit.generator import LightningDiTGenerator
from equidiff_lightningdit.parts import load_parts
from running import read_lines, read_run, run_cli

from equidiff.builtin.generators.fashion import load_queries
from equidiff.contracts import BuildContext
from equidiff.networks import load_network
from equidiff.networks.fashion import CLASSES
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.testing import check_generator


def garments(options=""):
    return build(Plugins(), "generator", f"lightningdit:fashion{options}", BuildContext()).component


def noise(rows):
    return torch.randn(rows, 4, 7, 7, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def judged(generator, rows=8):
    """Probabilities of the shipped classifier, which was trained independently of the generator."""
    network = load_network("fashion", None, BuildContext())
    return network.module(generator.generate(noise(rows))).softmax(dim=1)


def test_contract_is_kept():
    generator = LightningDiTGenerator(load_parts("fashion"), steps=4, queries=load_queries(), network="fashion")
    assert generator.latent_shape == (4, 7, 7)
    assert generator.sample_shape == (1, 28, 28)
    check_generator(generator)


def test_the_default_sampler_is_inverted():
    generator = garments()
    with torch.no_grad():
        samples = generator.generate(noise(2))
        again = generator.generate(generator.invert(samples))
    assert (again - samples).square().mean().sqrt() < 0.1 * samples.std()


def test_generation_is_deterministic():
    with torch.no_grad():
        first, second = (garments(",steps=4").generate(noise(2)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["trouser", "bag", "ankle-boot"])
def test_classes_are_what_they_are_called(name):
    label = CLASSES.index(name)
    probabilities = judged(garments(f",class={label},steps=8"))[:, label]
    assert probabilities.median() > 0.8


def test_guidance_makes_the_class_surer():
    shirt = CLASSES.index("shirt")  # the class that is hardest to tell from others
    plain, guided = (judged(garments(f",class={shirt},guidance={scale},steps=8"))[:, shirt].mean() for scale in (1, 2))
    assert guided > plain + 0.1


def test_members_by_the_command_line(tmp_path):
    options = ("-o", "neuron:17", "--query", "3", "-n", "2", "--out", tmp_path / "run")
    outcome = run_cli("run", "-g", "lightningdit:fashion,steps=4", *options)
    assert outcome.code == 0, outcome.stderr
    info = read_run(outcome.path)
    assert info["counts"]["members"] == 2
    assert {record["name"] for record in info["weights"]} >= {
        "transformer.safetensors", "autoencoder.safetensors", "latents_stats.safetensors",
    }  # fmt: skip
    for record in read_lines(outcome.path / "members.jsonl"):
        assert record["measurement"][0] == pytest.approx(info["target"]["values"][0], abs=0.03)
