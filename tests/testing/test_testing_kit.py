"""The published contract checks: each catches its breakage, and the built-ins pass."""

import itertools

import pytest
import torch
from PIL import Image

from equidiff.contracts import BuildContext, Generator, Objective, Predictor, Regularizer, Solver, SplitSampler, Step
from equidiff.errors import UnsupportedError
from equidiff.registry.build import build
from equidiff.testing import (
    ContractError,
    check_generator,
    check_objective,
    check_plugin,
    check_regularizer,
    check_solver,
    drive,
    easy_problem,
    load_plugins,
)

IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LATENTS = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


def component(contract, **members):
    """An instance of a class with these members; functions become methods."""
    return type("Broken", (contract,), members)()


def generator(generate, **members):
    return component(Generator, latent_shape=(4,), sample_shape=(4,), generate=generate, **members)


def objective(measure, **members):
    return component(Objective, **{"names": ("y",), "unit": "value", "measure": measure, **members})


def mean(self, samples):
    return samples.flatten(1).mean(dim=1, keepdim=True)


def fixed_size(self, samples):
    size = IMAGES.shape[-1]
    return mean(self, samples) if samples.shape[-1] <= size else mean(self, samples)[:1]


def rounded(z):
    return z + (z.round() - z).detach() if z.requires_grad else z.round()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (object(), "is not a Generator"),
        (component(Generator, latent_shape=[4], sample_shape=(4,), generate=lambda self, z: z), "latent_shape is"),
        (generator(lambda self, z, steps=None: z, network=3), "network is 3"),
        (generator(lambda self, z, steps=None: z[:, :2]), "gives shape"),
        (generator(lambda self, z, steps=None: z.double()), "float64"),
        (generator(lambda self, z, steps=None: z.tolist()), "gives a list"),
        (generator(lambda self, z, steps=None: z / 0), "not finite"),
        (generator(lambda self, z, steps=None: z + torch.randn_like(z)), "another result"),
        (generator(lambda self, z, steps=None: z.mul_(1.0).add_(1.0)), "in place"),
        (generator(lambda self, z, steps=None: z - z.mean(dim=0)), "alone than beside others"),
        (generator(lambda self, z, steps=None: z.detach() * 2), "loses the graph"),
        (generator(lambda self, z, steps=None: z + z.detach()), "wrong gradient"),
        (generator(lambda self, z, steps=None: rounded(z)), "wrong gradient"),
        (generator(lambda self, z, steps=None: z[:, :2] if steps else z * 2), "steps=2"),
        (generator(lambda self, z, steps=None: z * 2, queries=lambda self: [Image.new("RGBA", (4, 4))]), "mode RGBA"),
        (generator(lambda self, z, steps=None: z * 2, queries=lambda self: ["cat.png"]), "is a str"),
        (generator(lambda self, z, steps=None: z * 2, queries=lambda self: torch.rand(2, 3)), "queries gives shape"),
        (generator(lambda self, z, steps=None: z * 2, invert=lambda self, x: x), "invert is off"),
    ],
)
def test_a_broken_generator_is_caught(broken, message):
    with pytest.raises(ContractError, match=message):
        check_generator(broken)


def split(**members):
    """A generator of 2 z whose first part does nothing, but for the methods given here."""
    sound = {
        "begin": lambda self, z: z[:, None],
        "finish": lambda self, s: 2 * s[:, 0],
        "reencode": lambda self, z, s, moved: moved[:, 0],
    }
    parts = component(SplitSampler, **{**sound, **members})
    return generator(lambda self, z, steps=None: 2 * z, split_sampler=lambda self: parts)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (generator(lambda self, z, steps=None: z * 2, split_sampler=lambda self: 6), "is not a SplitSampler"),
        (split(begin=lambda self, z: z), "begin gives shape"),
        (split(finish=lambda self, s: 2.1 * s[:, 0]), "differs from generate"),
        (split(finish=lambda self, s: 2 * s[:, 0].detach()), "finish loses the graph"),
        (split(reencode=lambda self, z, s, moved: z), "reencode is off"),
        (split(reencode=lambda self, z, s, moved: moved), "reencode gives shape"),
    ],
)
def test_a_broken_split_is_caught(broken, message):
    check_generator(split())
    with pytest.raises(ContractError, match=message):
        check_generator(broken)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (object(), "is not an Objective"),
        (objective(mean, names=["y"]), "names is"),
        (objective(mean, names=("y", "y")), "same name twice"),
        (objective(mean, unit=""), "unit is"),
        (objective(lambda self, x: mean(self, x)[:, 0]), "gives shape"),
        (objective(mean, names=("y", "z")), "gives shape"),
        (objective(lambda self, x: mean(self, x).half()), "float16"),
        (objective(lambda self, x: mean(self, x).log() * torch.inf), "not finite"),
        (objective(lambda self, x: mean(self, x) + torch.rand(1)), "another result"),
        (objective(lambda self, x: mean(self, x) - x.mean()), "alone than beside others"),
        (objective(lambda self, x: torch.from_numpy(mean(self, x).detach().numpy())), "loses the graph"),
        (objective(lambda self, x: mean(self, x) * x.detach().amax(dim=(1, 2, 3))[:, None]), "wrong gradient"),
        (objective(mean, residual=lambda self, y, t: y - t + 1), "not zero at its own target"),
        (objective(mean, residual=lambda self, y, t: (y - t)[:, 0]), "residual gives"),
        (objective(mean, discrepancy=lambda self, y, t: (y - t).abs().sum(dim=1)), "disagree"),
        (objective(mean, compare=lambda self, x, t: (mean(self, x) + 1, mean(self, x) - t)), "measure disagree"),
        (objective(mean, compare=lambda self, x, t: (mean(self, x), (mean(self, x) - t) / 2)), "a residual shorter"),
        (objective(mean, compare=lambda self, x, t: (mean(self, x), mean(self, x)[:, 0] - t)), "compare's residual"),
        (objective(fixed_size, resizes=True), "twice as large"),
        (objective(mean, predictor=lambda self: Predictor("n", ("a", "b"), lambda x: x.new_ones(len(x), 2))), "sum 1"),
        (objective(mean, predictor=lambda self: Predictor("n", ("a", "b"), lambda x: x.new_ones(len(x)))), "shape"),
        (objective(mean, others=lambda self, x: (("a", "b"), x.new_ones(len(x), 3))), "shape"),
        (objective(mean, others=lambda self, x: (self.names, x.new_ones(len(x), 1))), "other units"),
    ],
)
def test_a_broken_objective_is_caught(broken, message):
    with pytest.raises(ContractError, match=message):
        check_objective(broken, IMAGES)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"views": lambda self, x: x}, "gives a Tensor"),
        ({"views": lambda self, x: [x[..., :4]]}, "gives shape"),
        ({"views": lambda self, x: [x] * len(x)}, "of one sample and 3 of many"),
        ({"views": lambda self, x: [x + torch.rand_like(x)]}, "another result"),
        ({"views": lambda self, x: [x.detach()]}, "loses the graph"),
        ({"views": lambda self, x: [x - x.mean(dim=0)]}, "alone than beside others"),
        ({"penalty": lambda self, x, z: -x.flatten(1).sum(dim=1)}, "at least 0"),
        ({"penalty": lambda self, x, z: x.flatten(1).sum()}, "gives shape"),
        ({"penalty": lambda self, x, z: z.square().mean() + 0 * x[:, 0, 0, 0]}, "alone than beside others"),
        ({"penalty": lambda self, x, z: z.detach().square().sum(dim=1)}, "loses the graph"),
    ],
)
def test_a_broken_regularizer_is_caught(members, message):
    with pytest.raises(ContractError, match=message):
        check_regularizer(component(Regularizer, **members), IMAGES, LATENTS)


def descend(self, latents, residual, budget, rate=0.4, first=0, after=0, forever=False, noise=False, reach=1.0):
    """Gradient descent, and the ways to spoil it."""
    for number in itertools.count(first):
        answer = yield from residual.gradient(latents)
        done = answer.loss.item() < residual.tolerance
        if done:
            after -= 1
        yield Step(number, answer)
        while forever:
            yield Step(number, answer)
        if (done and after < 0) or not answer.gradient.isfinite().all():
            return
        latents = latents - rate * answer.gradient + (1e-3 * torch.randn_like(latents) if noise else 0)
        latents = latents * reach


def solver(budget=64, **spoiled):
    return component(Solver, budget=budget, solve=lambda *args: descend(*args, **spoiled))


def raising(self, latents, residual, budget):
    answer = yield from residual.gradient(latents)
    yield Step(0, answer)
    raise ValueError("singular matrix")


def silent(self, latents, residual, budget):
    yield from residual.gradient(latents)


def greedy(self, latents, residual, budget):
    for number in itertools.count():
        answer = yield from residual.gradient(latents)
        yield Step(number, answer)
        if answer.loss.item() < residual.tolerance or not answer.loss.isfinite():
            return
        latents = latents - 0.4 * answer.gradient
        if number > 20:
            yield from residual.value(latents.repeat(1000, 1))


class Remembers(Solver):
    """Keeps state between samples."""

    budget = 64

    def __init__(self):
        self.count = 0

    def solve(self, latents, residual, budget):
        self.count += 1
        return descend(self, latents * (1 + 0.01 * self.count), residual, budget)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (object(), "is not a Solver"),
        (solver(budget=0), "budget is 0"),
        (solver(rate=0.0), "without a solution"),
        (solver(rate=3.0), "the loss is not finite"),
        (solver(first=1), "numbers its steps"),
        (solver(after=2), "goes on when it is done"),
        (solver(forever=True), "asked for nothing between them"),
        (solver(noise=True), "called again"),
        (Remembers(), "called again|otherwise alone"),
        (component(Solver, budget=64, solve=raising), "singular matrix"),
        (component(Solver, budget=64, solve=silent), "made no step"),
        (component(Solver, budget=64, solve=greedy), "spends 3"),
    ],
)
def test_a_broken_solver_is_caught(broken, message):
    with pytest.raises(ContractError, match=message):
        check_solver(broken)


def test_a_sound_solver_passes():
    check_solver(solver())


def test_drive_reports_results_and_steps_in_order():
    done = drive(solver(), easy_problem(), indices=[5, 2], tolerance=1e-3)
    assert [result.index for result in done.results] == [2, 5]
    assert {step.index for step in done.steps} == {2, 5}
    assert all(result.status == "member" for result in done.results)


def test_builtin_plugin_keeps_its_contract():
    check_plugin("equidiff.builtin")


def built(kind, spec, generator_spec="toy:circles"):
    plugins = load_plugins("equidiff.builtin")
    source = build(plugins, "generator", generator_spec, BuildContext()).component
    return source if kind == "generator" else build(plugins, kind, spec, BuildContext(generator=source)).component


@pytest.mark.parametrize(
    "spec", ["toy:circles", "toy:fashion,steps=2", "toy:fashion,steps=2,checkpoint=true", "pixels:5x7x3"]
)
def test_builtin_generators_keep_their_contract(spec):
    check_generator(built("generator", spec, spec))


@pytest.mark.parametrize("spec", ["classifier:inner", "classifier", "classifier:outer,output=logit", "neuron:act1.3"])
def test_builtin_objectives_of_the_plane_keep_their_contract(spec):
    check_objective(built("objective", spec), torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    "spec",
    [
        "neuron:17", "neuron:block2.5,positions=all", "layer:head", "layer:block1,positions=max", "classifier:bag",
        "classifier", "neuron:3 + 0.5*neuron:5",
    ],
)  # fmt: skip
def test_builtin_objectives_of_garments_keep_their_contract(spec):
    source = built("generator", "toy:fashion,steps=2", "toy:fashion,steps=2")
    with torch.no_grad():
        samples = source.generate(torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    check_objective(built("objective", spec, "toy:fashion,steps=2"), samples)


@pytest.mark.parametrize("spec", ["lowpass", "lowpass:0.3,edge=smooth", "none", "tv", "tv:3"])
def test_builtin_regularizers_keep_their_contract(spec):
    plugins = load_plugins("equidiff.builtin")
    check_regularizer(build(plugins, "regularizer", spec, BuildContext()).component, IMAGES, LATENTS)


@pytest.mark.parametrize(
    ("spec", "slope"),
    [("auto", 1.0), ("auto,pool=1", 5.0), ("infinite", 0.2), ("infinite,lr=0.1,optimizer=adam", 1.0)],
)
def test_builtin_solvers_keep_their_contract(spec, slope):
    check_solver(build(load_plugins("equidiff.builtin"), "solver", spec, BuildContext()).component, slope=slope)


def test_a_generator_need_not_invert():
    with pytest.raises(UnsupportedError):
        generator(lambda self, z, steps=None: z * 2).invert(LATENTS)


def test_an_objective_may_add_to_its_residual():
    def compare(self, samples, target):
        measurements = mean(self, samples)
        return measurements, torch.cat([measurements - target, samples.amax(dim=(1, 2, 3))[:, None]], dim=1)

    check_objective(objective(mean, compare=compare), IMAGES)
