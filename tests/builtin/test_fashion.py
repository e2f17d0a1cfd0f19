from importlib.resources import files

import pytest
import torch
from torch.testing import assert_close

from equidiff.builtin.generators.descriptors import ToyOptions
from equidiff.builtin.generators.fashion import FashionFlow, load_fashion_flow
from equidiff.builtin.generators.toy import build
from equidiff.builtin.generators.unet import UNet
from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, UnknownNameError


@pytest.fixture(scope="module")
def generator():
    return load_fashion_flow(BuildContext(), None, recompute=False)


def test_the_sampler_is_the_formula_written_out(generator):
    """Four steps at times 0, 1/8, 0.3536, 0.6495, 1; the middle two aim ahead of the last two predictions."""
    z = torch.randn(2, 1, 28, 28)
    t = [0.0, 0.25**1.5, 0.5**1.5, 0.75**1.5]

    def clean(x, time):
        return generator.flow(x, torch.full((2,), time))

    with torch.no_grad():
        first = clean(z, t[0])
        x = z + t[1] * (first - z)
        second = clean(x, t[1])
        x = x + (t[2] - t[1]) * (second + (second - first) * (t[2] - t[1]) / (2 * t[1]) - x) / (1 - t[1])
        third = clean(x, t[2])
        aim = third + (third - second) * (t[3] - t[2]) / (2 * (t[2] - t[1]))
        x = x + (t[3] - t[2]) * (aim - x) / (1 - t[2])
        expected = clean(x, t[3])
        assert_close(generator.generate(z, steps=4), (expected + 1) / 2, atol=1e-4, rtol=1e-4)


def test_the_sampler_is_of_second_order():
    """On a flow whose solution is known: from N(0, 1) to N(mean, width^2), entry by entry."""
    mean, width = 0.4, 0.3

    class Gaussian(torch.nn.Module):
        def forward(self, x, time):
            t = time[:, None, None, None]
            return mean + width**2 * t / (width**2 * t**2 + (1 - t) ** 2) * (x - t * mean)

    z = torch.randn(4, 1, 28, 28).double()
    exact = (mean + width * z + 1) / 2
    errors = [(FashionFlow(Gaussian(), steps=n).generate(z) - exact).abs().max().item() for n in (20, 40, 80)]
    assert errors[2] < 0.01
    assert errors[1] < 0.45 * errors[0]
    assert errors[2] < 0.45 * errors[1]


def test_checkpointing_changes_memory_not_results(generator):
    recomputing = FashionFlow(generator.flow, steps=3, recompute=True)
    plain = FashionFlow(generator.flow, steps=3)
    z = torch.randn(2, 1, 28, 28, requires_grad=True)
    expected, found = plain.generate(z), recomputing.generate(z)
    assert_close(found, expected)
    weights = torch.randn_like(expected)
    (slope,) = torch.autograd.grad((expected * weights).sum(), z)
    (recomputed,) = torch.autograd.grad((found * weights).sum(), z)
    assert_close(recomputed, slope)


def test_checkpointing_keeps_only_the_states_between_steps():
    """The memory of the graph between the passes must grow with the steps, not with the network."""

    def held(recompute):
        flow = FashionFlow(UNet(), steps=4, recompute=recompute)
        sizes = {}

        def note(tensor):
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            sample = flow.generate(torch.randn(2, 1, 28, 28, requires_grad=True))
        assert sample.requires_grad
        return sum(sizes.values())

    assert held(True) < held(False) / 20


def test_gradients_match_finite_differences(generator):
    """Along a random direction, with a step that float32 resolves."""
    z = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(2), requires_grad=True)
    direction = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    flow = FashionFlow(generator.flow, steps=3)
    weights = torch.linspace(-1, 1, 784).reshape(1, 1, 28, 28)
    (slope,) = torch.autograd.grad((flow.generate(z) * weights).sum(), z)
    with torch.no_grad():
        ahead, behind = ((flow.generate(z + s * 2e-3 * direction) * weights).sum().item() for s in (1, -1))
    assert (slope * direction).sum().item() == pytest.approx((ahead - behind) / 4e-3, rel=0.02)


def test_bfloat16_autocast_stays_close_and_returns_float32(generator):
    z = torch.randn(1, 1, 28, 28)
    half = FashionFlow(generator.flow, steps=2, dtype="bfloat16")
    with torch.no_grad():
        sample = half.generate(z)
        exact = generator.generate(z, steps=2)
    assert sample.dtype == torch.float32
    assert (sample - exact).abs().mean() < 0.02


def test_twenty_queries_two_of_each_class(generator):
    queries = generator.queries()
    assert len(queries) == 20
    assert all(image.mode == "L" and image.size == (28, 28) for image in queries)


def test_the_weights_are_small_and_known(generator):
    weights = files("equidiff") / "weights"
    sizes = [len(entry.read_bytes()) for entry in weights.iterdir()]
    assert sum(sizes) < 6_000_000
    context = BuildContext()
    load_fashion_flow(context, None, recompute=False)
    assert len(context.weights[0].sha256) == 64


def test_unknown_toys_and_useless_options_are_refused():
    with pytest.raises(UnknownNameError, match="fashion"):
        build("fashon", ToyOptions(), BuildContext())
    with pytest.raises(EquiDiffError, match="formula"):
        build("circles", ToyOptions(steps=3), BuildContext())
