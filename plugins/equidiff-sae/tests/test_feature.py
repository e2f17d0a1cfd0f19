"""One feature: the gradient that leads to activity, and that no non-member passes for a member."""

from dataclasses import replace
from importlib.resources import files

import pytest
import torch
from equidiff_sae import load_sae
from equidiff_sae.feature import Feature
from equidiff_sae.objective import SaeFeature
from equidiff_sae.tower import load_tower
from equidiff_sae.vision import Vision
from hypothesis import given, settings
from hypothesis import strategies as st

from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError

CASES = {
    "relu": {},
    "layer_norm": {"normalize_activations": "layer_norm"},
    "topk": {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3}},
    "tanh-relu": {"activation_fn_str": "tanh-relu"},
}


def tokens(seed, rows=64):
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("case", CASES)
def test_where_it_is_inactive_the_deficit_leads_to_activity(prisma_folder, case):
    feature = Feature(load_sae(prisma_folder(**CASES[case])), 5)
    here = tokens(0).requires_grad_()
    reading = feature.read(here)
    off = reading.value == 0
    assert 0.2 < off.float().mean() < 0.99
    assert (reading.deficit[off] < 0).all()
    (dead,) = torch.autograd.grad(reading.value.sum(), here, retain_graph=True)
    assert (dead[off] == 0).all()  # which is why there is a deficit
    (slope,) = torch.autograd.grad(reading.deficit.sum(), here)
    assert (slope[off].abs().amax(dim=1) > 0).all()
    assert (slope[~off] == 0).all()
    moved = feature.read(here.detach() + 0.05 * torch.nn.functional.normalize(slope, dim=1))
    ahead = moved.value - reading.value + moved.deficit - reading.deficit
    # rivals of a top-k feature move, too: most of the time it is nearer nevertheless
    assert (ahead[off] > 0).float().mean() > (0.7 if case == "topk" else 0.999)


@pytest.mark.parametrize("case", CASES)
def test_gradients_agree_with_finite_differences(prisma_folder, case):
    autoencoder = load_sae(prisma_folder(**CASES[case]))
    feature = Feature(autoencoder, 5)
    here = tokens(1).requires_grad_()
    value = feature.read(here).value
    (gradient,) = torch.autograd.grad(value.sum(), here)
    for axis in range(6):
        step = torch.zeros(6)
        step[axis] = 1e-2
        ahead, behind = feature.read(here.detach() + step).value, feature.read(here.detach() - step).value
        smooth = (ahead > 0) & (behind > 0)
        assert smooth.any()
        measured = (ahead - behind)[smooth] / 2e-2
        torch.testing.assert_close(gradient[smooth][:, axis], measured, atol=2e-2, rtol=2e-2)


def test_an_index_that_is_not_there(prisma_folder):
    autoencoder = load_sae(prisma_folder())
    for index in (-1, 12):
        with pytest.raises(UnknownNameError, match=f"no feature {index}"):
            Feature(autoencoder, index)


@pytest.fixture(scope="module")
def vision():
    return Vision(load_tower("fashion-vit", None, BuildContext()), "blocks.2.hook_resid_post")


def objective(vision, index, reduce):
    autoencoder = load_sae(str(files("equidiff_sae") / "weights" / "fashion-sae"))
    return SaeFeature(vision, autoencoder, Feature(autoencoder, index), "patches", reduce)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    index=st.integers(0, 1535),
    reduce=st.sampled_from(["mean", "max", "all"]),
    target=st.just(0.0) | st.floats(1e-3, 3),
    contrast=st.floats(0, 1),
)
def test_the_residual_is_never_shorter_than_that_of_the_activation(vision, index, reduce, target, contrast):
    made = objective(vision, index, reduce)
    images = contrast * torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(index))
    wanted = torch.full((len(made.names),), target)
    measurements, residual = made.compare(images, wanted)
    torch.testing.assert_close(measurements, made.measure(images))
    plain = made.residual(measurements, wanted)
    assert (residual.abs() >= plain.abs()).all()
    on = measurements > 0
    torch.testing.assert_close(residual[on], plain[on])
    if target == 0:
        torch.testing.assert_close(residual, plain)
    else:
        assert (residual[~on] < plain[~on]).all()


@pytest.mark.parametrize("activation", ["abstopk", "signed-topk"])
@pytest.mark.parametrize("reduce", ["max", "mean", "all"])
def test_features_that_may_be_negative(vision, activation, reduce):
    """Where such a feature is off, the residual leads to the sign of the target, and is never shorter than without."""
    autoencoder = load_sae(str(files("equidiff_sae") / "weights" / "fashion-sae"))
    signed = autoencoder.described(replace(autoencoder.config, activation=activation, k=8))
    made = SaeFeature(vision, signed, Feature(signed, 40), "patches", reduce)
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(2)).requires_grad_()
    for target in (-2.0, 2.0):
        wanted = torch.full((len(made.names),), target)
        measurements, residual = made.compare(images, wanted)
        plain = made.residual(measurements, wanted)
        off = measurements == 0
        assert off.any()
        assert (residual.sign() == plain.sign()).all()
        assert (residual.abs() >= plain.abs()).all()
        assert (residual[off].abs() > plain[off].abs()).all()
        (slope,) = torch.autograd.grad(residual[off].square().sum(), images)
        assert slope.any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_way_to_a_negative_feature(prisma_folder, sign):
    """Along the gradient of its distance, a feature of AbsTopK turns on with the sign that is wanted."""
    plain = load_sae(prisma_folder())
    feature = Feature(plain.described(replace(plain.config, activation="abstopk", k=2)), 5)
    here = tokens(0)
    start = feature.read(here).value
    for _ in range(200):
        here = here.requires_grad_()
        reading = feature.read(here)
        distance = reading.deficit if sign > 0 else reading.below
        (slope,) = torch.autograd.grad(distance.sum(), here)
        here = here.detach() + 0.1 * torch.nn.functional.normalize(slope, dim=1)
    off = start == 0
    assert 0.2 < off.float().mean() < 1
    assert (feature.read(here).value[off] * sign > 0).float().mean() > 0.95
