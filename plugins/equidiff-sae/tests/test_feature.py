"""One feature: the gradient that leads to activity, and that no non-member passes for a member."""

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
    from importlib.resources import files

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
