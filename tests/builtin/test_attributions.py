"""Attribution methods against formulas, explicit loops and finite differences."""

from dataclasses import replace

import pytest
import torch
from analytic import Identity, Linear
from small_networks import SAMPLES, SHAPE, WEIGHTS, Asks, linear_network, small_network
from torch import nn

from equidiff.builtin.attributions.baselines import baseline_samples
from equidiff.builtin.attributions.cells import grid
from equidiff.builtin.attributions.modules import seen_box
from equidiff.contracts import Attribution, BuildContext, Objective, ScalarTarget
from equidiff.errors import SpecError, UnknownNameError, UnsupportedError
from equidiff.numerics.attributions import explain
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.testing import ContractError, check_attribution, load_plugins

PLUGINS = load_plugins("equidiff.builtin")
NAMES = [offer.descriptor.name for offer in PLUGINS.offers("attribution")]


def rising_network(outputs=1):
    """`small_network` with features that only raise the outputs, so that no Grad-CAM map is empty."""
    network = small_network(outputs)
    network[-1].weight.data.abs_()
    return network


class Unknown(nn.Module):
    """A non-linearity that DeepLIFT has no rule for."""

    def forward(self, values):
        return (300 * values).sin()


class Invertible(Identity):
    """The identity, whose latents are its samples."""

    def invert(self, samples):
        return samples


def context():
    bare = BuildContext(generator=Invertible(*SHAPE))
    whole = replace(bare, attribution=lambda spec: build(PLUGINS, "attribution", spec, whole).component)
    return whole


def method(spec):
    return build(PLUGINS, "attribution", spec, context()).component


def maps(spec, objective, samples=SAMPLES, batch=16):
    scalar = ScalarTarget(objective, torch.zeros(len(objective.names)), batch)
    return explain(method(spec), scalar, samples, list(range(len(samples))))


def linear():
    return Asks(linear_network())


SLOPES = WEIGHTS.reshape(1, *SHAPE)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("saliency", SLOPES.abs().expand_as(SAMPLES)),
        ("input_x_gradient", SLOPES * SAMPLES),
        ("integrated_gradients,steps=3", SLOPES * SAMPLES),
        ("integrated_gradients,baseline=0.4", SLOPES * (SAMPLES - 0.4)),
        ("deeplift,baseline=0.4", SLOPES * (SAMPLES - 0.4)),
        ("deeplift_shap,baselines=5", SLOPES * (SAMPLES - baseline_samples(context(), 5).mean(dim=0))),
        ("pulled", SLOPES.expand_as(SAMPLES)),
        ("noise_tunnel:saliency,samples=3", SLOPES.abs().expand_as(SAMPLES)),
        ("noise_tunnel,type=smoothgrad_sq", SLOPES.square().expand_as(SAMPLES)),
        ("noise_tunnel,type=vargrad", torch.zeros_like(SAMPLES)),
    ],
)
def test_on_a_linear_network_the_map_is_known(spec, expected):
    torch.testing.assert_close(maps(spec, linear()), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "spec", ["feature_ablation,cells=3", "kernel_shap,cells=3,samples=60", "lime,cells=3,samples=60,alpha=1e-6"]
)
def test_on_a_linear_network_a_cell_has_the_sum_of_its_pixels(spec):
    shares = (SLOPES * SAMPLES).sum(dim=1, keepdim=True)
    cells = shares.unfold(2, 2, 2).unfold(3, 2, 2).sum(dim=(4, 5))
    expected = cells.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(maps(spec, linear()), expected, atol=2e-4, rtol=1e-3)


def test_gradient_shap_compares_with_prior_samples():
    baselines = baseline_samples(context(), 4)
    implied = SAMPLES - maps("gradient_shap,baselines=4,samples=6", linear()) / SLOPES
    assert (implied >= baselines.amin(dim=0) - 1e-3).all()
    assert (implied <= baselines.amax(dim=0) + 1e-3).all()
    single = SAMPLES - maps("gradient_shap,baselines=1", linear()) / SLOPES
    torch.testing.assert_close(single, baseline_samples(context(), 1).expand_as(SAMPLES), atol=1e-3, rtol=1e-3)


def test_saliency_is_the_absolute_gradient():
    objective, step = Asks(small_network()), 1e-3
    flat = SAMPLES[:1].double().flatten()
    network = objective.networks()[0].double()
    slopes = torch.stack([
        (network((flat + move).reshape(1, *SHAPE)) - network((flat - move).reshape(1, *SHAPE))).squeeze() / (2 * step)
        for move in step * torch.eye(72, dtype=torch.double)
    ])  # fmt: skip
    network.float()
    found = maps("saliency", objective, SAMPLES[:1])
    torch.testing.assert_close(found.flatten().double(), slopes.abs(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("spec", ["integrated_gradients,steps=400", "deeplift", "deeplift,baseline=0.3"])
def test_attributions_add_up(spec):
    objective, baseline = Asks(small_network()), 0.3 if "0.3" in spec else 0.0
    with torch.no_grad():
        whole = objective.measure(SAMPLES) - objective.measure(torch.full_like(SAMPLES, baseline))
    torch.testing.assert_close(maps(spec, objective).sum(dim=(1, 2, 3)), whole[:, 0], atol=2e-3, rtol=2e-3)


def test_attributions_that_do_not_add_up_give_a_warning():
    squashed = Asks(nn.Sequential(small_network(), Unknown()))
    with pytest.warns(UserWarning, match="DeepLIFT do not add up"):
        maps("deeplift", squashed)
    with pytest.warns(UserWarning, match=r"integrated gradients do not add up.*steps=4 may"):
        maps("integrated_gradients,steps=1", Asks(small_network()))


def test_guided_backprop_and_deconvolution_follow_their_definitions():
    samples = SAMPLES.clone().requires_grad_()
    layers = small_network()
    short = Asks(nn.Sequential(layers[0], layers[1], nn.Flatten(), nn.Linear(144, 1)))
    weight = short.networks()[0][3].weight.detach().reshape(1, 4, 6, 6).expand(3, -1, -1, -1)
    hidden = layers[0](samples)
    on = hidden.detach() > 0
    (guided,) = torch.autograd.grad(hidden, samples, weight.relu() * on, retain_graph=True)
    (blind,) = torch.autograd.grad(hidden, samples, weight.relu())
    torch.testing.assert_close(maps("guided_backprop", short), guided)
    torch.testing.assert_close(maps("deconvolution", short), blind)


@pytest.mark.parametrize(("spec", "window", "stride"), [("occlusion,window=2,stride=1", 2, 1), ("occlusion", 1, 1),
                                                       ("occlusion,window=3,stride=3,baseline=0.5", 3, 3)])  # fmt: skip
def test_occlusion_is_the_drop_when_a_window_is_covered(spec, window, stride):
    objective, baseline = Asks(small_network()), 0.5 if "0.5" in spec else 0.0
    total, count = torch.zeros(3, 1, 6, 6), torch.zeros(6, 6)
    for top in range(0, 6 - window + 1, stride):
        for left in range(0, 6 - window + 1, stride):
            rows, columns = slice(top, top + window), slice(left, left + window)
            covered = SAMPLES.clone()
            covered[:, :, rows, columns] = baseline
            with torch.no_grad():
                loss = objective.measure(SAMPLES) - objective.measure(covered)
            total[:, :, rows, columns] += loss[:, :, None, None]
            count[rows, columns] += 1
    torch.testing.assert_close(maps(spec, objective), total / count, atol=1e-5, rtol=1e-4)


def test_gradcam_is_its_formula():
    objective = Asks(rising_network(3))
    layers = objective.networks()[0]
    features = layers[:4](SAMPLES).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(layers[4:](features)[:, 0].sum(), features)
    coarse = (slopes.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True).relu().detach()
    fine = nn.functional.interpolate(coarse, (6, 6), mode="bilinear")
    assert fine.amax() > 0
    torch.testing.assert_close(maps("gradcam", objective), fine)
    torch.testing.assert_close(maps("gradcam,layer=3", objective), fine)
    torch.testing.assert_close(maps("guided_gradcam", objective), fine * maps("guided_backprop", objective))


class Crops(Objective):
    """Objective that sees only the middle of a sample, twice as large."""

    names, unit = ("class 0",), "logit"

    def __init__(self):
        self._asks = Asks(rising_network())

    def measure(self, samples):
        middle = samples[:, :, 2:5, 1:4]
        return self._asks.measure(nn.functional.interpolate(middle, scale_factor=2, mode="bilinear"))

    def networks(self):
        return self._asks.networks()


def test_a_feature_map_covers_what_the_network_sees():
    objective = Crops()
    assert seen_box(ScalarTarget(objective, torch.zeros(1)), SAMPLES) == (2, 5, 1, 4)
    found = maps("gradcam", objective)
    inside = found[:, :, 2:5, 1:4]
    assert found.abs().sum() > 0
    torch.testing.assert_close(found.sum(), inside.sum())


@pytest.mark.parametrize("spec", [*NAMES, "noise_tunnel:occlusion%2Cwindow=2,samples=2", "random,seed=3"])
def test_builtin_methods_keep_their_contract(spec):
    few = ",cells=3,samples=30"
    fitted = {"integrated_gradients": ",steps=200", "lime": few, "kernel_shap": few, "feature_ablation": ",cells=3"}
    scalar = ScalarTarget(Asks(small_network()), torch.zeros(1))
    check_attribution(method(spec + fitted.get(spec, "")), scalar, SAMPLES.clone())


def test_maps_do_not_depend_on_the_batch():
    objective = Asks(small_network())
    for spec in (
        "integrated_gradients,steps=200",
        "occlusion",
        "gradient_shap",
        "noise_tunnel",
        "lime,cells=3,samples=30",
    ):
        torch.testing.assert_close(maps(spec, objective, batch=1), maps(spec, objective), atol=1e-4, rtol=1e-3)


def test_a_scalar_target_is_one_number_of_several_outputs():
    three = Asks(small_network(3))
    scalar = ScalarTarget(three, torch.tensor([0.1, 0.7, 0.2]))
    assert (scalar.name, scalar.unit) == ("class 1", "logit")
    assert scalar.target == pytest.approx(0.7)
    torch.testing.assert_close(scalar(SAMPLES), three.measure(SAMPLES)[:, 1])
    places = Linear(torch.randn(4, 72))
    places.names = tuple(f"block.3[{place}]" for place in range(4))
    scalar = ScalarTarget(places, torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert scalar.name == "mean of block.3 over 4 positions"
    assert scalar.target == pytest.approx(2.5)
    torch.testing.assert_close(scalar(SAMPLES), places.measure(SAMPLES).mean(dim=1))


def twice():
    shared = nn.ReLU()
    return nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1), shared, nn.Conv2d(2, 2, 3, padding=1), shared, nn.Flatten(), nn.Linear(72, 1)
    )


@pytest.mark.parametrize(
    ("spec", "objective", "words"),
    [
        ("gradcam", linear(), "calls none"),
        ("gradcam", Linear(WEIGHTS), "does not say which network"),
        ("gradcam", Asks(nn.Sequential(nn.Conv2d(2, 3, 2, stride=2), nn.Flatten(), nn.Linear(27, 1))), "patch embed"),
        ("gradcam,layer=5", Asks(small_network()), "feature maps"),
        ("gradcam,layer=2", Linear(WEIGHTS), "no layer named"),
        ("guided_backprop", Asks(nn.Sequential(nn.Conv2d(2, 3, 3), nn.GELU(), nn.Flatten(), nn.Linear(48, 1))), "GELU"),
        ("deconvolution", Linear(WEIGHTS), "ReLU"),
        ("guided_gradcam", Asks(nn.Sequential(nn.Conv2d(2, 3, 3), nn.SiLU(), nn.Flatten(), nn.Linear(48, 1))), "ReLU"),
        ("deeplift", Linear(WEIGHTS), "networks()"),
        ("deeplift", Asks(twice()), "more than once"),
        ("deeplift_shap", Linear(WEIGHTS), "networks()"),
        ("occlusion,window=7", linear(), "larger than"),
        ("feature_ablation,cells=7", linear(), "more cells than pixels"),
    ],
)  # fmt: skip
def test_a_method_that_does_not_fit_says_so(spec, objective, words):
    with pytest.raises((UnsupportedError, UnknownNameError)) as caught:
        maps(spec, objective)
    assert words in str(caught.value)
    # and leaves nothing behind
    assert maps("saliency", objective).shape == SAMPLES.shape


def test_what_cannot_be_built():
    with pytest.raises(UnknownNameError, match="salency"):
        method("noise_tunnel:salency")
    with pytest.raises(SpecError, match="window"):
        method("occlusion,window=0")
    with pytest.raises(UnsupportedError, match="prior samples"):
        build(PLUGINS, "attribution", "gradient_shap", BuildContext())


def test_a_grid_has_cells_as_equal_as_pixels_allow():
    cells = grid(torch.zeros(1, 1, 7, 10), 3)[0, 0]
    assert cells.unique().tolist() == list(range(9))
    assert sorted(torch.bincount(cells.flatten()).tolist()) == [6, 6, 6, 6, 8, 8, 9, 9, 12]
    assert (cells[:, 1:] >= cells[:, :-1]).all()


def test_objectives_name_their_networks():
    generator = build(PLUGINS, "generator", "toy:fashion", BuildContext()).component
    given = BuildContext(generator=generator)
    for spec in ("neuron:17", "classifier:bag", "classifier,output=distribution", "neuron:3 + 0.5*neuron:5"):
        objective = build(PLUGINS, "objective", spec, given).component
        assert {type(network).__name__ for network in objective.networks()} == {"FashionNet"}
    assert len(ScalarTarget(objective, torch.zeros(1)).networks) == 2


def component(**members):
    return type("Broken", (Attribution,), members)()


def grad(self, scalar, samples):
    samples = samples.detach().requires_grad_()
    return torch.autograd.grad(scalar(samples).sum(), samples)[0]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (object(), "is not an Attribution"),
        (component(attribute=grad, local="yes"), "local is 'yes'"),
        (component(attribute=lambda self, e, x: grad(self, e, x)[:, 0]), "gives shape"),
        (component(attribute=lambda self, e, x: grad(self, e, x).double()), "float64"),
        (component(attribute=lambda self, e, x: grad(self, e, x) / 0), "not finite"),
        (component(attribute=lambda self, e, x: grad(self, e, x).tolist()), "gives a list"),
        (component(attribute=lambda self, e, x: grad(self, e, x) + torch.rand(1)), "another result"),
        (component(attribute=lambda self, e, x: grad(self, e, x) - x.mean()), "alone than beside others"),
        (component(attribute=lambda self, e, x: grad(self, e, x.mul_(0.5))), "changes the samples"),
        (component(attribute=lambda self, e, x: e.networks[0].register_forward_hook(print) and grad(self, e, x) * 0),
         "leaves hooks"),
    ],
)  # fmt: skip
def test_a_broken_method_is_caught(broken, message, capsys):
    with pytest.raises(ContractError, match=message):
        check_attribution(broken, ScalarTarget(Asks(small_network()), torch.zeros(1)), SAMPLES.clone())


def test_methods_are_found_and_listed():
    assert len(Plugins().offers("attribution")) >= len(NAMES) == 17
