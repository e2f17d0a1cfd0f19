"""The samplers against closed forms: formulas of the steps, and the flow of Gaussian data."""

import math

import pytest
import torch
from equidiff_sd.fixed_point import solve_fixed_point
from equidiff_sd.generator import Denoiser, Diffusion
from equidiff_sd.sampler import Sampler
from stepping import assert_encoding_leads_back, assert_steps_are_the_sampler
from torch import nn

from equidiff.errors import InexactInverseError, UnsupportedError, UsageError
from equidiff.testing import check_generator

# torch's arrays do not know numpy 2's `copy` keyword; diffusers' Euler scheduler meets it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "prediction_type": "epsilon",
}
MEAN, STD = 0.4, 0.5  # of the data, in the range [-1, 1] in which the network works


def signal(time):
    """alpha(t), with alpha^2 + sigma^2 = 1, from the definition of the schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(dim=0).sqrt()[int(time)].item()


class Gaussian(nn.Module):
    """The best possible network for data of N(MEAN, STD^2): the expectation of noise, image or velocity, given x."""

    def __init__(self, predicts="epsilon"):
        super().__init__()
        self.predicts = predicts

    def forward(self, states, time, return_dict):
        alpha = signal(time)
        sigma = math.sqrt(1 - alpha**2)
        noise = sigma * (states - alpha * MEAN) / deviation(alpha) ** 2
        image = (states - sigma * noise) / alpha
        return ({"epsilon": noise, "sample": image, "v_prediction": alpha * noise - sigma * image}[self.predicts],)


def gaussian_generator(method, steps, predicts="epsilon", shape=(1, 2, 2), **changes):
    sampler = Sampler(method, {**CONFIG, "prediction_type": predicts, **changes})
    return Diffusion(Denoiser(Gaussian(predicts)), sampler, shape, steps)


@pytest.mark.parametrize("predicts", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("method", ["ddim", "euler"])
def test_one_step_at_a_time_is_the_sampler(method, predicts):
    generator = gaussian_generator(method, 12, predicts)
    latents = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    if (method, predicts) != ("euler", "v_prediction"):  # the network below does not know Euler's scale of states
        assert_steps_are_the_sampler(generator, latents)
    if (method, predicts) == ("ddim", "epsilon"):
        assert_encoding_leads_back(generator, latents, 0.05)


@pytest.mark.parametrize("predicts", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("method", ["ddim", "euler"])
def test_predictions_along_the_way_are_clean_images(method, predicts):
    clean, noise = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(1)).split(1)
    sampler = Sampler(method, {**CONFIG, "prediction_type": predicts})
    step = sampler.plan(10).steps[4]
    alpha = signal(step.time)
    sigma = math.sqrt(1 - alpha**2)
    assert step.level == pytest.approx(sigma / alpha, rel=1e-4)
    known = {"epsilon": noise, "sample": clean, "v_prediction": alpha * noise - sigma * clean}[predicts]
    state = alpha * clean + sigma * noise if method == "ddim" else clean + sigma / alpha * noise
    torch.testing.assert_close(step.see(state, lambda *_: known), clean, rtol=0, atol=1e-4)


def exact(latents, steps):
    """The probability flow's states at time 1, and the expected images there, which are the last step.

    The flow keeps their distance from the mean, in standard deviations of what it has made by then.
    """
    first, last = signal((steps - 1) * (1000 // steps) + 1), signal(1)
    distance = (latents - first * MEAN) / deviation(first)
    return (MEAN + last * STD**2 / deviation(last) * distance) / 2 + 0.5


def deviation(alpha):
    return math.sqrt(alpha**2 * STD**2 + 1 - alpha**2)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("method", ["ddim", "euler"])
@pytest.mark.parametrize("predicts", ["epsilon", "sample", "v_prediction"])
def test_gaussian_noise_becomes_gaussian_data(method, predicts):
    samples = gaussian_generator(method, 200, predicts, (1, 1, 1)).generate(draw(20_000, 1, 1, 1))
    # pure noise is not quite what noisy data are at the first time, which leaves the mean a little off
    assert samples.mean().item() == pytest.approx(MEAN / 2 + 0.5, abs=0.02)
    assert samples.std().item() == pytest.approx(STD / 2, rel=0.02)


@pytest.mark.parametrize("method", ["ddim", "euler"])
@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_each_latent_goes_where_the_exact_flow_takes_it(method, predicts):
    latents = draw(50, 1, 2, 2)
    errors = []
    for steps in (50, 100, 200):
        samples = gaussian_generator(method, steps, predicts).generate(latents)
        errors.append((samples - exact(latents, steps)).abs().max().item())
    assert errors[-1] < 0.04 * STD
    # first-order methods: half the step, half the error
    assert [errors[0] / errors[1], errors[1] / errors[2]] == pytest.approx([2, 2], rel=0.15)


def test_both_methods_are_one_in_other_coordinates():
    latents = draw(5, 1, 2, 2)
    ddim, euler = (gaussian_generator(method, 20).generate(latents) for method in ("ddim", "euler"))
    torch.testing.assert_close(ddim, euler, rtol=0, atol=1e-5)


def test_ddim_steps_are_those_of_the_paper():
    plan = Sampler("ddim", CONFIG).plan(10)
    assert plan.start == 1
    assert [int(step.time) for step in plan.steps] == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]
    for step in plan.steps:
        alpha, after = signal(step.time), signal(step.time - 100) if step.time > 100 else 1.0
        keep = after / alpha
        assert step.scale == 1
        assert step.keep == pytest.approx(keep, rel=1e-5)
        assert step.add == pytest.approx(math.sqrt(1 - after**2) - keep * math.sqrt(1 - alpha**2), abs=1e-5)


def test_euler_steps_follow_the_noise_levels():
    plan = Sampler("euler", CONFIG).plan(10)
    noise = [math.sqrt(1 / signal(step.time) ** 2 - 1) for step in plan.steps]
    assert plan.start == pytest.approx(math.sqrt(noise[0] ** 2 + 1), rel=1e-5)
    for step, level, after in zip(plan.steps, noise, [*noise[1:], 0], strict=True):
        assert step.scale == pytest.approx(1 / math.sqrt(level**2 + 1), rel=1e-5)
        assert (step.keep, step.add) == pytest.approx((1, after - level), rel=1e-5)


def test_turbo_begins_at_the_last_time():
    plan = Sampler("euler", {**CONFIG, "timestep_spacing": "trailing"}).plan(1)
    assert [float(step.time) for step in plan.steps] == [999]


@pytest.mark.parametrize("method", ["ddim", "euler"])
def test_gaussian_generators_keep_their_contract_and_invert(method):
    generator = gaussian_generator(method, 12)
    check_generator(generator)
    latents = draw(3, 1, 2, 2).float()
    torch.testing.assert_close(generator.invert(generator.generate(latents)), latents, rtol=0, atol=2e-4)


def test_fixed_points_of_linear_maps_where_plain_iteration_diverges():
    stretch = torch.linalg.qr(draw(4, 4)).Q * torch.tensor([1.5, -0.9, 0.5, -3.0], dtype=torch.float64)
    shift = draw(3, 4)
    found, off = solve_fixed_point(lambda rows: rows @ stretch.T + shift, torch.zeros_like(shift), 50, 1e-9)
    assert (off < 1e-9).all()
    expected = torch.linalg.solve(torch.eye(4, dtype=torch.float64) - stretch, shift.T).T
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_fixed_points_do_not_depend_on_the_other_rows():
    def function(rows):
        return torch.cos(rows) * torch.tensor([0.1, 0.5, 0.99], dtype=torch.float64)[: len(rows), None]

    start = draw(3, 2)
    together, _ = solve_fixed_point(function, start, 50, 1e-6)
    alone, _ = solve_fixed_point(function, start[:1], 50, 1e-6)
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=0)


def test_a_step_that_does_not_depend_on_its_state_is_not_undone():
    generator = gaussian_generator("euler", 4, "sample")
    with pytest.raises(UnsupportedError, match="does not depend on its state"):
        generator.invert(torch.rand(2, 1, 2, 2))


def test_inversion_that_does_not_converge_says_so():
    class Wild(nn.Module):
        def forward(self, states, time, return_dict):
            return (40 * torch.sin(40 * states),)

    generator = Diffusion(Denoiser(Wild()), Sampler("ddim", CONFIG), (1, 2, 2), 4)
    with pytest.raises(InexactInverseError, match="undone only roughly for 2 samples"):
        generator.invert(torch.rand(2, 1, 2, 2))


@pytest.mark.parametrize("steps", [0, -1, 1000, 1001])
@pytest.mark.parametrize("method", ["ddim", "euler"])
def test_step_counts_that_there_are_no_times_for(method, steps):
    generator = gaussian_generator(method, 3)
    with pytest.raises(UsageError, match="this many steps"):
        generator.generate(torch.zeros(1, 1, 2, 2), steps=steps)


def test_ddim_cannot_start_from_pure_noise():
    config = {**CONFIG, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    with pytest.raises(UnsupportedError, match="pure noise"):
        Sampler("ddim", config).plan(4)
    assert Sampler("euler", config).plan(4).start > 1000
    assert len(Sampler("ddim", {**config, "prediction_type": "v_prediction"}).plan(4).steps) == 4


def test_unknown_predictions_are_refused():
    with pytest.raises(UnsupportedError, match="this kind of prediction"):
        Sampler("ddim", {**CONFIG, "prediction_type": "flow_prediction"})
