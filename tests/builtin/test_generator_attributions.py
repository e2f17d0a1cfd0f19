"""Attribution methods that need a generator, against explicit Jacobians, loops and sums."""

from dataclasses import replace

import pytest
import torch
from analytic import Curved, Identity
from small_networks import SAMPLES, SHAPE, Asks, small_network
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from equidiff.builtin.attributions.baselines import baseline_samples
from equidiff.builtin.attributions.pulled import pull
from equidiff.builtin.generators.circles import Circles
from equidiff.contracts import Attribution, BuildContext, Generator, ScalarTarget
from equidiff.errors import InexactInverseError, SpecError, UnsupportedError
from equidiff.numerics.attributions import explain
from equidiff.registry.build import build
from equidiff.testing import load_plugins

PLUGINS = load_plugins("equidiff.builtin")
CONTEXT = BuildContext(generator=Curved(*SHAPE))
DRAWN = baseline_samples(CONTEXT, 3)
SMALL = Asks(small_network())
PRIOR = "baseline=prior,baselines=3"


def method(spec, context=CONTEXT):
    whole = replace(context, attribution=lambda inner: method(inner, context))
    return build(PLUGINS, "attribution", spec, whole).component


def maps(spec, objective=SMALL, samples=SAMPLES, latents=None, context=CONTEXT, batch=16):
    scalar = ScalarTarget(objective, torch.zeros(1), batch)
    return explain(method(spec, context), scalar, samples, list(range(len(samples))), latents=latents)


def slopes(objective, samples):
    samples = samples.clone().requires_grad_()
    return torch.autograd.grad(objective.measure(samples).sum(), samples)[0]


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


def test_integrated_gradients_are_the_mean_over_prior_samples():
    steps = (torch.arange(80) + 0.5) / 80
    paths = [baseline + steps[:, None, None, None] * (sample - baseline) for sample in SAMPLES for baseline in DRAWN]
    means = slopes(SMALL, torch.cat(paths)).reshape(3, 3, 80, *SHAPE).mean(dim=2)
    expected = (means * (SAMPLES[:, None] - DRAWN)).mean(dim=1)
    found = maps(f"integrated_gradients,steps=80,{PRIOR}")
    assert distance(found, expected) < 0.02
    with torch.no_grad():
        whole = SMALL.measure(SAMPLES) - SMALL.measure(DRAWN).mean()
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), whole[:, 0], atol=2e-3, rtol=2e-3)
    assert distance(maps("integrated_gradients,steps=80"), expected) > 0.3


@pytest.mark.parametrize(("spec", "side"), [("occlusion,window=2,stride=2", 2), ("feature_ablation,cells=2", 3)])
def test_a_covered_square_shows_prior_samples(spec, side):
    expected = torch.zeros(3, 1, 6, 6)
    for top in range(0, 6, side):
        for left in range(0, 6, side):
            place = (..., slice(top, top + side), slice(left, left + side))
            for baseline in DRAWN:
                covered = SAMPLES.clone()
                covered[place] = baseline[place]
                with torch.no_grad():
                    expected[place] += (SMALL.measure(SAMPLES) - SMALL.measure(covered))[:, :, None, None] / 3
    torch.testing.assert_close(maps(f"{spec},{PRIOR}"), expected, atol=1e-5, rtol=1e-4)
    assert distance(maps(spec), expected) > 0.3


@pytest.mark.parametrize("name", ["integrated_gradients", "occlusion", "gradient_shap", "deeplift_shap"])
def test_a_seed_draws_the_baselines(name):
    prior = "" if name.endswith("shap") else "baseline=prior,"
    first, again, other = (maps(f"{name},{prior}baselines=2,seed={seed}") for seed in (4, 4, 5))
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert (first - other).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("occlusion,baselines=4", "goes with baseline=prior"),
        ("integrated_gradients,baseline=0.5,seed=1", "goes with baseline=prior"),
        ("integrated_gradients,baseline=priors", "baseline=prior"),
        ("lime,baseline=prior", "a number"),
    ],
)
def test_options_that_do_not_go_together(spec, words):
    with pytest.raises(SpecError) as caught:
        method(spec)
    assert words in str(caught.value)


@pytest.mark.parametrize("spec", ["pulled", "occlusion,baseline=prior"])
def test_without_a_generator_there_is_no_such_method(spec):
    with pytest.raises(UnsupportedError, match="generator"):
        method(spec, BuildContext())


class Affine(Generator):
    """x = mu + L z, from five latents to a sample."""

    latent_shape, sample_shape = (5,), SHAPE

    def __init__(self):
        random = torch.Generator().manual_seed(4)
        self.mean, self.factor = torch.randn(72, generator=random), torch.randn(72, 5, generator=random)

    def generate(self, latents, steps=None):
        return (self.mean + latents @ self.factor.T).reshape(-1, *SHAPE)


def test_the_gradient_pulled_through_a_linear_generator_is_multiplied_by_its_covariance():
    generator = Affine()
    latents = torch.randn(3, 5, generator=torch.Generator().manual_seed(6))
    samples = generator.generate(latents)
    gradient = slopes(SMALL, samples)
    expected = gradient.flatten(1) @ (generator.factor @ generator.factor.T)
    found = maps("pulled", samples=samples, latents=list(latents), context=BuildContext(generator=generator))
    torch.testing.assert_close(found.flatten(1), expected, atol=1e-4, rtol=1e-4)
    assert (found - gradient).abs().max() > 0.1


def test_pulled_gradients_are_those_of_an_explicit_jacobian_on_rings():
    rings, step = Circles(), 1e-5
    latents = torch.tensor([[0.4, 0.3], [-0.9, 1.3], [1.1, -1.7]], dtype=torch.float64)
    gradient = torch.tensor([[1.0, -2.0], [0.5, 0.7], [-1.5, 0.2]], dtype=torch.float64)
    moves = step * torch.eye(2, dtype=torch.float64)
    columns = [(rings.generate(latents + move) - rings.generate(latents - move)) / (2 * step) for move in moves]
    jacobian = torch.stack(columns, dim=2)
    expected = (jacobian @ jacobian.mT @ gradient[..., None]).squeeze(2)
    found = pull(rings, latents, gradient)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert ((found - gradient).norm(dim=1) > 0.1).all()


class Attends(Generator):
    """A sampler with attention, whose fused kernels have no second derivative."""

    latent_shape = sample_shape = (4, 8)

    def generate(self, latents, steps=None):
        return latents + scaled_dot_product_attention(latents, latents.tanh(), latents)


def test_gradients_are_pulled_through_attention():
    latents, gradient = (torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    jacobian = torch.autograd.functional.jacobian(Attends().generate, latents).reshape(32, 32)
    expected = jacobian @ jacobian.T @ gradient.flatten()
    torch.testing.assert_close(pull(Attends(), latents, gradient).flatten(), expected, atol=1e-4, rtol=1e-4)


class Once(torch.autograd.Function):
    """An operation that can be differentiated a single time."""

    @staticmethod
    def forward(ctx, values):
        return values * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * 2


class Rough(Identity):
    """The identity, with an inverse that is not exact and a derivative that has none."""

    def generate(self, latents, steps=None):
        return Once.apply(latents)

    def invert(self, samples):
        raise InexactInverseError("Rough.", latents=samples / 2)


def test_generators_that_gradients_cannot_be_pulled_through():
    with pytest.raises(UnsupportedError, match="not known"):
        maps("pulled", context=BuildContext(generator=Affine()))
    with pytest.warns(UserWarning, match="roughly"), pytest.raises(UnsupportedError, match="second derivatives"):
        maps("pulled", context=BuildContext(generator=Rough(*SHAPE)))


class Squares(nn.Module):
    """Half the squared length of a sample, whose gradient is the sample."""

    def forward(self, samples):
        return samples.flatten(1).square().sum(dim=1, keepdim=True) / 2


def test_a_noise_tunnel_keeps_the_latents():
    generator = Affine()
    latents = torch.randn(2, 5, generator=torch.Generator().manual_seed(6))
    samples = generator.generate(latents)
    spec = "noise_tunnel:pulled,samples=50,stdev=0.1"
    found = maps(spec, Asks(Squares()), samples, list(latents), BuildContext(generator=generator))
    expected = samples.flatten(1) @ generator.factor @ generator.factor.T
    assert distance(found.flatten(1), expected) < 0.1


def test_rows_with_and_without_latents_are_explained_apart():
    calls = []

    class Notes(Attribution):
        def attribute(self, scalar, samples):
            calls.append(("without", len(samples)))
            return samples * 0

        def attribute_at(self, scalar, samples, latents):
            calls.append(("with", latents.flatten().tolist()))
            return samples

    samples = torch.arange(5.0).reshape(5, 1, 1, 1)
    latents = [None, *torch.arange(1.0, 4.0)[:, None], None]
    scalar = ScalarTarget(Asks(Squares(), (1, 1, 1)), torch.zeros(1), batch=2)
    found = explain(Notes(), scalar, samples, [0] * 5, latents=latents)
    assert calls == [("without", 1), ("with", [1.0, 2.0]), ("with", [3.0]), ("without", 1)]
    assert found.flatten().tolist() == [0, 1, 2, 3, 0]
