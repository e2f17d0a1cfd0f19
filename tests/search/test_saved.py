"""Members as they are saved: what is judged is the clamped sample of 8 bits, and the gradient of the clamp."""

import pytest
import torch
from analytic import Identity, Linear
from hypothesis import given
from hypothesis import strategies as st

import equidiff
from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import ContinuousResidual, Step, Value
from equidiff.images.convert import image_to_tensor, quantized, to_image
from equidiff.kinds.image import Image
from equidiff.kinds.registry import kind_of_shape
from equidiff.search.problem import Problem
from equidiff.search.settle import settle

WEIGHTS = torch.linspace(-1, 1, 16)[None]


def problem(saved=True, regularizer=None, **more):
    objective = Linear(WEIGHTS)
    return Problem(Identity(1, 4, 4), objective, regularizer or NoRegularizer(), torch.zeros(1), saved=saved, **more)


@given(st.integers(0, 2**31), st.sampled_from([1, 3]))
def test_what_is_judged_is_what_a_file_gives_back(seed, channels):
    samples = torch.empty(2, channels, 4, 4).uniform_(-0.5, 1.5, generator=torch.Generator().manual_seed(seed))
    saved = Image().saved(samples)
    assert torch.equal(saved, quantized(samples))
    assert torch.equal(Image().saved(saved), saved)
    for sample, own in zip(samples, saved, strict=True):
        assert torch.equal(image_to_tensor(to_image(sample))[0], own)


def test_points_and_other_data_stay_as_they_are():
    for shape in ((5, 2), (5, 2, 4, 4), (5, 7, 3)):
        samples = torch.randn(shape)
        assert kind_of_shape(shape[1:]).saved(samples) is samples


def test_the_gradient_is_that_of_the_clamp():
    samples = torch.tensor([-0.2, 0.0, 0.3, 1.0, 1.2]).reshape(1, 1, 1, 5).requires_grad_()
    weights = torch.tensor([1.0, 2, 3, 4, 5])
    (gradient,) = torch.autograd.grad((Image().saved(samples) * weights).sum(), samples)
    assert gradient.flatten().tolist() == [0, 2, 3, 4, 0]


def test_loss_and_measurement_are_of_the_rounded_sample():
    latents = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    rounded, smooth = problem().value(latents), problem().continuous.value(latents)
    assert torch.equal(rounded.samples, quantized(latents))
    assert torch.equal(smooth.samples, latents)
    torch.testing.assert_close(rounded.measurements, quantized(latents).flatten(1) @ WEIGHTS.T)
    torch.testing.assert_close(rounded.loss, rounded.measurements[:, 0] ** 2)
    assert not torch.allclose(rounded.loss, smooth.loss)
    assert torch.equal(problem(saved=False).value(latents).loss, smooth.loss)
    outside = (latents - latents.clamp(0, 1)).flatten(1).square().mean(dim=1).sqrt()
    torch.testing.assert_close(rounded.outside, outside)


def test_samples_are_judged_rounded_whoever_asks():
    samples = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    judged = problem().judge(samples)
    for one, other in zip(judged, problem().judge(quantized(samples)), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(judged[1], problem(saved=False).judge(samples)[1])


def test_each_view_has_the_target_of_the_querys_own():
    """So the query is in its own set, however much its view differs from it."""
    query = quantized(torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(3)))
    filter_ = LowPass(0.5)
    (view,) = filter_.views(query)
    measure = Linear(WEIGHTS).measure
    target, of_view = measure(query)[0], measure(view)[0]
    assert (target - of_view).abs() > 0.01
    made = Problem(Identity(1, 4, 4), Linear(WEIGHTS), filter_, target, saved=True, view_targets=(of_view,))
    assert made.judge(query)[1].item() == pytest.approx(0, abs=1e-10)
    without = Problem(Identity(1, 4, 4), Linear(WEIGHTS), filter_, target, saved=True)
    assert without.judge(query)[1].item() == pytest.approx((of_view - target).square().item(), rel=1e-4)


class Residual:
    """Answers requests of one sample at once."""

    def __init__(self, problem, tolerance):
        from equidiff.search.residual import SampleResidual

        self.residual, self.problem = SampleResidual(problem, tolerance, 0, 0), problem

    def run(self, coroutine):
        """Everything that the coroutine yields, and the requests that it made."""
        steps, requests, answer = [], [], None
        try:
            while True:
                item = coroutine.send(answer)
                answer = None
                if isinstance(item, Step):
                    steps.append(item)
                else:
                    requests.append(item)
                    answer = item.run(self.problem)
        except StopIteration:
            return steps, requests


def test_a_law_is_asked_about_samples_before_rounding():
    own = Residual(problem(), 1e-3)
    latents = torch.rand(1, 1, 4, 4)

    def ask(residual):
        answer = yield from residual.value(latents)
        yield Step(0, answer)

    (step,), (request,) = own.run(ask(ContinuousResidual(own.residual)))
    assert isinstance(request, Value)
    assert request.continuous
    assert torch.equal(step.answer.samples, latents)


def test_a_member_before_rounding_is_settled_onto_the_rounded_set():
    tolerance = 1e-8
    own = Residual(problem(), tolerance)
    latents = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(4))
    latents -= (latents.flatten() @ WEIGHTS[0]) / WEIGHTS.square().sum() * WEIGHTS.reshape(1, 1, 4, 4)
    start = own.problem.continuous.value(latents)
    assert start.loss.item() < tolerance <= own.problem.value(latents).loss.item()
    steps, _ = own.run(settle(Step(7, start), own.residual))
    assert [step.number for step in steps] == list(range(8, 8 + len(steps)))
    losses = [step.answer.loss.item() for step in steps]
    assert losses[-1] == min(losses) < losses[0]
    assert (steps[-1].answer.latents - latents).norm() < 0.05  # rounding is small, and so is what it takes


def test_the_members_that_a_law_draws_are_members_as_saved():
    found = equidiff.sample(
        Identity(1, 4, 4), Linear(WEIGHTS), "none", target=0.4, samples=6, law="conditional,moves=3"
    )
    assert len(found) == 6
    assert torch.equal(found.samples, quantized(found.samples))
    assert found.contains(found.samples).all()
    assert all(record.moves == 3 for record in found.members)
