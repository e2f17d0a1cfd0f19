import math

import pytest
import torch
from allocations import most_allocated
from emulated_device import DEVICE, EmulatedDevice
from equidiff_lightningdit import LightningDiT, LightningDiTGenerator, TransformerConfig, sample_ode
from equidiff_lightningdit.generator import FlowStepwiseSampler
from equidiff_lightningdit.parts import load_parts
from equidiff_lightningdit.sampler import Guidance, integrate, integrate_back, intervals, time_grid, velocity_of
from golden_files import write_folder
from stepping import assert_steps_are_the_sampler
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint
from torchdiffeq import odeint

from equidiff.doctor.memory import predict
from equidiff.plugin import EquiDiffError
from equidiff.testing import check_plugin
from equidiff.testing.numerics import check_map

MEAN, SPREAD = 0.7, 0.25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("tiny"))


def tiny(folder, **options):
    return LightningDiTGenerator(load_parts(str(folder)), **{"steps": 4, **options})


def latents(rows=2, channels=32):
    return torch.randn(rows, channels, 8, 8, generator=torch.Generator().manual_seed(1))


def gradient(generator, at):
    at = at.clone().requires_grad_()
    return torch.autograd.grad(generator.generate(at).square().sum(), at)[0]


class GaussianFlow(nn.Module):
    """Exact velocity for normal data with mean MEAN and standard deviation SPREAD, entry by entry."""

    null_label = 3

    def forward(self, state, time, labels):
        t = time[:, None, None, None]
        variance = (t * SPREAD) ** 2 + (1 - t) ** 2
        return MEAN + (t * SPREAD**2 - (1 - t)) / variance * (state - t * MEAN)


def test_plugin_keeps_its_contract():
    check_plugin("equidiff_lightningdit.plugin")


def test_generator_keeps_its_contract(folder):
    generator = tiny(folder)
    assert generator.latent_shape == (32, 8, 8)
    assert generator.sample_shape == (3, 16, 16)
    check_map(generator.generate, latents(3), generator.sample_shape, "generate")


@pytest.mark.parametrize(
    ("method", "order"), [("euler", 1), ("midpoint", 2), ("heun2", 2), ("rk4", 4), ("dopri5", None)]
)
def test_gaussian_noise_becomes_gaussian_data(method, order):
    """The exact flow of this velocity maps z to MEAN + SPREAD z; the error falls with the method's order."""
    noise = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    exact = MEAN + SPREAD * noise
    coarse, fine = (
        (sample_ode(GaussianFlow(), noise, steps=steps, shift=1, method=method) - exact).abs().max().item()
        for steps in (80, 160)
    )
    if order is None:
        # steps beyond the end and interpolates, as the published sampler does: no better than its tolerance
        assert fine < 0.05
    else:
        assert fine < (0.02 if order == 1 else 2e-3)
        assert coarse / fine > 0.65 * 2**order


@pytest.mark.parametrize("method", ["euler", "heun2"])
def test_one_step_at_a_time_is_the_sampler(folder, method):
    generator = tiny(folder, method=method, steps=8)
    sampler = generator.stepwise_sampler(24)
    assert len(sampler.noise_levels) == intervals(method, 24)
    assert sampler.noise_levels[0] == math.inf
    for level, time in zip(sampler.noise_levels[1:], time_grid(intervals(method, 24) + 1)[1:-1].tolist(), strict=True):
        assert level == pytest.approx((1 - time) / time)
    if method == "euler":  # others end in several evaluations, and a prediction is one
        assert_steps_are_the_sampler(generator, latents())
    assert tiny(folder, method="dopri5").stepwise_sampler() is None


def test_predictions_along_the_way_are_expected_data():
    sampler = FlowStepwiseSampler(Decoded(), [0.0, 0.4, 1.0])
    states = latents()[:, None]
    variance = (0.4 * SPREAD) ** 2 + 0.6**2
    expected = MEAN + 0.4 * SPREAD**2 / variance * (states[:, 0] - 0.4 * MEAN)  # of a Gaussian, given the state
    assert_close(sampler.predict(states, 1), expected)
    assert_close(sampler.predict(states, 0), torch.full_like(expected, MEAN))


class Decoded:
    """The integration of the Gaussian flow, without an autoencoder."""

    def integrate(self, noise, times, euler=False):
        velocity = velocity_of(GaussianFlow(), torch.zeros(len(noise)), 3, Guidance())
        return integrate(velocity, noise, times, "euler")

    def decode(self, clean):
        return clean


def test_integration_goes_back_where_euler_came_from():
    noise = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    flow = GaussianFlow()

    def velocity(state, time):
        return flow(state, torch.full((len(state),), time, dtype=state.dtype), None)

    times = torch.linspace(0, 0.9, 40).tolist()
    again = integrate_back(velocity, integrate(velocity, noise, times), times)
    assert_close(again, noise, atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ["euler", "heun2"])
def test_checkpointing_changes_nothing(folder, method):
    at = latents()
    kept, recomputed = (tiny(folder, recompute=flag, method=method) for flag in (False, True))
    assert torch.equal(kept.generate(at), recomputed.generate(at))
    assert_close(gradient(kept, at), gradient(recomputed, at), rtol=1e-5, atol=1e-6)


def saved_bytes(generator, at):
    """Bytes that the graph keeps of a forward pass, counting each tensor once."""
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        samples = generator.generate(at.requires_grad_())
    del samples
    return sum(kept.values())


def test_with_checkpointing_a_step_keeps_its_latents_alone(folder):
    at = latents()
    one = at.numel() * at.element_size()
    few, many = (saved_bytes(tiny(folder, steps=steps), at) for steps in (2, 10))
    assert (many - few) <= 8 * one * 1.01
    without_few, without = (saved_bytes(tiny(folder, steps=n, recompute=False), at) for n in (2, 10))
    assert without - without_few > 20 * (many - few)


def peak_of_a_gradient(work, at):
    return predict(lambda latents: torch.autograd.grad(work(latents.requires_grad_()).sum(), latents), at.shape[1:], 2)


def test_the_decoder_is_recomputed_block_by_block(folder):
    """Its peak is that of one block, where a checkpoint around the whole holds every tensor of the decoder."""
    at = latents()
    generator, kept = tiny(folder), tiny(folder, recompute=False)
    assert_close(generator.decode(at), kept.decode(at), rtol=0, atol=0)
    slopes = [torch.autograd.grad(each.decode(at.requires_grad_()).square().sum(), at)[0] for each in (generator, kept)]
    assert_close(*slopes, rtol=1e-5, atol=1e-6)
    blocks = peak_of_a_gradient(generator.decode, at)
    whole = peak_of_a_gradient(lambda z: checkpoint(kept.decode, z, use_reentrant=False), at)
    assert blocks.pass_ < 0.6 * whole.pass_
    measured = most_allocated(lambda: torch.autograd.grad(generator.decode(at).sum(), at))
    assert blocks.pass_ == pytest.approx(measured, rel=0.2)


def test_bfloat16_is_near_and_keeps_float32_outside(folder):
    at = latents()
    full, narrow = tiny(folder), tiny(folder, dtype="bfloat16")
    found, expected = narrow.generate(at), full.generate(at)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < 0.1 * expected.std()
    slope, exact = gradient(narrow, at), gradient(full, at)
    assert slope.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(slope.flatten(), exact.flatten(), dim=0) > 0.99
    types = {name: weight.dtype for name, weight in narrow._transformer.named_parameters()}
    assert types["t_embedder.mlp.0.weight"] == types["pos_embed"] == torch.float32
    assert types["blocks.0.attn.qkv.weight"] == torch.bfloat16


def test_nothing_between_the_products_is_wider_than_they_are(folder):
    """One float32 operand would turn all that follows into float32, at twice the memory traffic."""
    generator = tiny(folder, dtype="bfloat16")
    blocks = generator._transformer.blocks
    given, made, attended = [], [], []
    for module in blocks.modules():
        module.register_forward_pre_hook(lambda _, inputs: given.extend(inputs))
        module.register_forward_hook(lambda _, __, output: made.append(output))

    class Attended(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is torch.nn.functional.scaled_dot_product_attention:
                attended.extend(args)
            return function(*args, **(kwargs or {}))

    with Attended():
        generator.integrate(latents(), [0.3, 0.4])
    assert len(attended) == 3 * len(blocks)
    tensors = [each for each in (*given, *made, *attended) if isinstance(each, torch.Tensor)]
    assert len(tensors) > 20 * len(blocks)
    assert {tensor.dtype for tensor in tensors} == {torch.bfloat16}


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun2", "rk4", "dopri5"])
def test_no_step_waits_for_the_device(folder, method):
    """Those of dopri5 wait to learn their errors, and not for the time of each of their evaluations."""
    parts = load_parts(str(folder))
    with EmulatedDevice() as device:
        generator = LightningDiTGenerator(parts, device=DEVICE, steps=4, method=method)
        at = latents(1).to(DEVICE).requires_grad_()
        generator.generate(at, 4)  # the grid of these steps, labels
        device.waits.clear()
        evaluations = []
        generator._transformer.register_forward_pre_hook(lambda *_: evaluations.append(1))
        generator.generate(at, 4)
        if method == "dopri5":
            assert 0 < device.waits["read"] < 4 * len(evaluations)
        else:
            torch.autograd.grad(generator.generate(at, 4).sum(), at)
            assert not device.waits
            assert len(evaluations) >= 8


@pytest.mark.parametrize("method", ["midpoint", "heun2", "rk4"])
def test_fixed_steps_are_those_of_torchdiffeq(method):
    noise, times = torch.randn(2, 1, 8, 8, dtype=torch.float64), time_grid(7).double()

    def velocity(state, time):
        return GaussianFlow()(state, torch.as_tensor(time, dtype=torch.float64).expand(len(state)), None)

    found = integrate(velocity, noise, times.tolist(), method)
    assert_close(found, odeint(lambda time, state: velocity(state, time), noise, times, method=method)[-1])


@torch.compiler.set_stance(force_backend="aot_eager")  # traced both ways, without half a minute of C++
def test_compiled_is_the_same(folder):
    at = latents()
    torch._dynamo.utils.counters.clear()
    eager, compiled = tiny(folder, steps=2), tiny(folder, steps=2, compiled=True)
    at.requires_grad_()  # compiled once, forwards and backwards
    expected = eager.generate(at)
    assert not torch._dynamo.utils.counters["stats"]
    found = compiled.generate(at)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert_close(found, expected, atol=1e-5, rtol=1e-4)
    slopes = [torch.autograd.grad(each.square().sum(), at)[0] for each in (found, expected)]
    assert_close(*slopes, atol=1e-4, rtol=1e-3)


def test_math_attention_has_second_derivatives(folder):
    """Fused kernels have no second derivative; torch's own switch chooses the explicit ones."""
    model = load_parts(str(folder)).transformer
    at, time, label = latents(1).requires_grad_(), torch.tensor([0.3]), torch.tensor([2])
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        (slope,) = torch.autograd.grad(model(at, time, label).square().sum(), at, create_graph=True)
        (curve,) = torch.autograd.grad(slope.square().sum(), at)
    assert curve.abs().max() > 0


def test_class_and_guidance(folder):
    at = latents()
    plain = tiny(folder).generate(at)
    known = tiny(folder, label=4).generate(at)
    assert not torch.allclose(plain, known)
    three, every = (tiny(folder, label=4, guidance=Guidance(3.0, 0.0, count)).generate(at) for count in (3, None))
    assert not torch.allclose(three, known)
    assert not torch.allclose(three, every)
    late = tiny(folder, label=4, guidance=Guidance(3.0, 1.0, None)).generate(at)
    assert torch.equal(late, known)  # guidance that begins at the end never begins
    null = tiny(folder, label=10).generate(at)
    assert torch.equal(null, plain)


def test_a_float64_copy_gives_gradients_that_finite_differences_confirm(folder):
    model = load_parts(str(folder)).transformer.double()
    at = latents(1).double()
    assert torch.autograd.gradcheck(
        lambda scale: sample_ode(model, at * scale, steps=3).square().sum(),
        torch.tensor(0.9, dtype=torch.float64, requires_grad=True),
    )


@pytest.mark.parametrize(("method", "steps"), [("rk4", 6), ("heun2", 3), ("euler", 0)])
def test_steps_are_multiples_of_stages(method, steps):
    with pytest.raises(EquiDiffError, match="in each interval"):
        intervals(method, steps)


@pytest.mark.parametrize("layout", ["ema", "model", "bare"])
def test_every_published_layout_gives_the_same(folder, tmp_path, layout):
    other = write_folder(tmp_path / layout, layout=layout)
    assert torch.equal(tiny(other).generate(latents()), tiny(folder).generate(latents()))


def test_the_averaged_weights_are_preferred(folder, tmp_path):
    write_folder(tmp_path)
    content = torch.load(tmp_path / "transformer.pt", weights_only=True)
    content["model"] = {key: torch.zeros_like(value) for key, value in content["model"].items()}
    torch.save(content, tmp_path / "transformer.pt")
    assert torch.equal(tiny(tmp_path).generate(latents()), tiny(folder).generate(latents()))


def test_null_label_moves_with_the_classes():
    config = TransformerConfig(4, 1, 4, 32, 1, 2, 6, mlp_size=80)
    assert LightningDiT(config).null_label == 6
