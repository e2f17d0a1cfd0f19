"""Where DeepLIFT's contributions do not add up, found module by module, against networks with one known cause."""

import warnings

import pytest
import torch
from captum.attr import DeepLift
from torch import nn

from equidiff.analysis.compare.comparison import _distinct
from equidiff.builtin.attributions.captum import quiet
from equidiff.builtin.attributions.conservation import OUTSIDE, explain_gap, measure_gaps
from equidiff.builtin.attributions.deeplift import build
from equidiff.builtin.attributions.descriptors import BaselineOptions
from equidiff.contracts import BuildContext, Objective, ScalarTarget

SAMPLE = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
BLACK = torch.zeros_like(SAMPLE)


class Asks(Objective):
    names, unit = ("output",), "logit"

    def __init__(self, network):
        self._network = network

    def measure(self, samples):
        return self._network(samples)

    def networks(self):
        return (self._network,)


class Residual(nn.Module):
    """A sum of two branches, one with an activation in place; and with `gated` their product instead."""

    def __init__(self, gated=False):
        super().__init__()
        self.one, self.two, self.act = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True)
        self.head, self.gated = nn.Linear(4, 1), gated

    def forward(self, values):
        one, two = self.act(self.one(values)), self.two(values)
        if self.gated:
            one = one * two
        else:
            two += one
        return self.head((one if self.gated else two).mean((2, 3)))


class Past(nn.Module):
    """An activation whose input goes on past it as well, which Captum forgets."""

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, values):
        return values + self.act(values)


def plain(*middle):
    last = (nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(1))
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *middle, *last)


def pooled():
    pools = [nn.MaxPool2d(3, 2, 1) for _ in range(2)]
    return plain(nn.ReLU(), pools[0], nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), pools[1])


def scalar_of(network):
    torch.manual_seed(0)
    network(SAMPLE)  # gives lazy layers their shapes
    return ScalarTarget(Asks(network.eval().requires_grad_(False)), torch.zeros(1))


CAUSES = {
    "overlapping pooling": (pooled, "MaxPool2d"),
    "no rule": (lambda: plain(nn.GELU()), "GELU"),
    "normalization": (lambda: plain(nn.GroupNorm(1, 4)), "GroupNorm"),
    "past a rule": (lambda: plain(Past()), "ReLU"),
    "product": (lambda: Residual(gated=True), OUTSIDE),
}


@pytest.mark.parametrize("case", CAUSES)
def test_the_gap_is_found_where_it_arises(case):
    torch.manual_seed(0)
    make, cause = CAUSES[case]
    scalar = scalar_of(make())
    with quiet():
        gaps, _ = measure_gaps(scalar, SAMPLE, BLACK)
        values = DeepLift(scalar).attribute(SAMPLE.clone(), baselines=BLACK)
    whole = float(scalar(SAMPLE) - scalar(BLACK) - values.detach().sum())
    assert abs(whole) > 1e-4
    assert gaps[cause] == pytest.approx(whole, rel=1e-3)
    assert max(abs(gap) for kind, gap in gaps.items() if kind != cause) < 1e-3 * abs(whole)
    with quiet():
        assert f"{cause}" in explain_gap(scalar, SAMPLE, BLACK)


@pytest.mark.parametrize("make", [lambda: plain(nn.ReLU()), Residual, lambda: plain(nn.Sigmoid())])
def test_there_is_none_where_every_rule_conserves(make):
    torch.manual_seed(0)
    scalar = scalar_of(make())
    with quiet():
        gaps, _ = measure_gaps(scalar, SAMPLE, BLACK)
    assert max(map(abs, gaps.values())) < 1e-5


def test_the_warning_names_the_cause_and_no_other():
    torch.manual_seed(0)
    scalar = scalar_of(pooled())
    with pytest.warns(UserWarning, match=r"2 modules of MaxPool2d.*100 % of the gap") as caught:
        build(None, BaselineOptions(), BuildContext()).attribute(scalar, SAMPLE)
    assert "GELU" not in str(caught[0].message)
    assert "softmax" not in str(caught[0].message)
    scalar = scalar_of(plain(nn.ReLU()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(None, BaselineOptions(), BuildContext()).attribute(scalar, SAMPLE)


def test_measuring_the_gap_leaves_no_hooks():
    scalar = scalar_of(plain(nn.GELU()))
    with quiet():
        measure_gaps(scalar, SAMPLE, BLACK)
    hooks = [(m._forward_hooks, m._forward_pre_hooks, m._backward_hooks) for m in scalar.modules()]
    assert not any(any(each) for each in hooks)


def test_texts_that_differ_in_numbers_alone_are_one():
    assert _distinct(["off by 10 %", "off by 12.5 %", "flat", "off by 10 pixels"]) == [
        "off by 10 %",
        "flat",
        "off by 10 pixels",
    ]
