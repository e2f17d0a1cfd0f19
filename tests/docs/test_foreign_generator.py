"""The generator around a model from elsewhere, as its page shows it, with weights that are random."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, WeightsError
from equidiff.registry.build import build
from equidiff.testing import check_plugin, load_plugins

FILE = Path(__file__).parents[2] / "benchmarks" / "foreign" / "ddpm.py"


@pytest.fixture(scope="module")
def plugins():
    return load_plugins("equidiff.builtin", FILE)


@pytest.fixture(scope="module")
def weights(plugins, tmp_path_factory):
    """A file with tensors of the right names and shapes, half of them named as a wrapper's."""
    network = plugins.factory(plugins.find("generator", "digits")).__globals__["Denoiser"]()
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    save_file({f"network.{name}": value for name, value in network.state_dict().items()}, path)
    return path


def test_the_plugin_keeps_its_contract():
    check_plugin(FILE)


def test_a_coarser_sampler_and_the_record_of_the_weights(plugins, weights):
    context = BuildContext()
    generator = build(plugins, "generator", f"digits:{weights}", context).component
    assert [file.name for file in context.weights] == ["digits.safetensors"]
    latents = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)).requires_grad_()
    samples = generator.generate(latents, steps=3)
    assert samples.shape == (2, 1, 28, 28)
    assert 0 <= samples.min() < samples.max() <= 1
    (slope,) = torch.autograd.grad(samples[0].sum(), latents)
    assert slope[0].any()
    assert not slope[1].any()


@pytest.mark.parametrize(("spec", "kind"), [("digits", EquiDiffError), ("digits:nowhere.safetensors", WeightsError)])
def test_missing_weights_are_one_error(plugins, spec, kind):
    with pytest.raises(kind):
        build(plugins, "generator", spec, BuildContext())
