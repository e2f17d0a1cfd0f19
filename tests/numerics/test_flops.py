"""Matrix operations are counted as torch counts them, without its compiler."""

import subprocess
import sys

import pytest
import torch
from torch.nn.functional import conv2d, linear
from torch.utils.flop_counter import FlopCounterMode

from equidiff.contracts import BuildContext
from equidiff.numerics.flops import count_flops
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins

ONES = torch.ones(2, 3, 8, 8)


def reencode():
    generator = build(Plugins(), "generator", "toy:fashion,steps=2", BuildContext()).component
    latents = torch.zeros(1, *generator.latent_shape)
    sampler = generator.split_sampler()
    states = sampler.begin(latents)
    return lambda: sampler.reencode(latents, states, states)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda: ONES + 1, 0),
        (lambda: linear(ONES, torch.ones(5, 8)), 2 * 48 * 8 * 5),
        (lambda: conv2d(ONES, torch.ones(4, 3, 3, 3), padding=1), 2 * 2 * 64 * 4 * 27),
        (lambda: ONES @ ONES, 2 * 6 * 8 * 8 * 8),
        (reencode(), None),
    ],
    ids=["sum", "linear", "conv", "product", "network"],
)
@pytest.mark.parametrize("inference", [False, True])
def test_the_same_as_torch_counts(work, expected, inference):
    with torch.inference_mode(inference):
        found = count_flops(work)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            work()
    assert found == counter.get_total_flops()
    assert found == expected or (expected is None and found > 10**6)


def test_the_compiler_is_not_imported():
    code = "import sys, torch; from equidiff.numerics.flops import count_flops as count; x = torch.ones(2, 2)"
    check = "assert count(lambda: x @ x) == 16; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", f"{code}; {check}"], check=True)
