"""Blocks that are recomputed: the same results and gradients, at the memory of one block."""

import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from equidiff.doctor.memory import predict
from equidiff.networks.recompute import recompute_blocks

DEPTH, WIDTH = 8, 32


class Block(nn.Module):
    """Keeps three tensors for its backward pass."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, features, *, scale=1.0):
        return features + self.second(torch.sin(self.first(torch.cos(features)).exp())).tanh() * scale


def network():
    torch.manual_seed(0)
    return nn.Sequential(*[Block() for _ in range(DEPTH)]).requires_grad_(False)


def gradient(model, at):
    at = at.detach().requires_grad_()
    return torch.autograd.grad(model(at).square().sum(), at)[0]


def peak(model):
    return predict(lambda at: gradient(model, at), (WIDTH,), 64).pass_


def test_results_and_gradients_are_the_same():
    plain, recomputed = network(), network()
    recompute_blocks(recomputed, (Block,))
    at = torch.randn(4, WIDTH)
    assert_close(recomputed(at), plain(at), rtol=0, atol=0)
    assert_close(gradient(recomputed, at), gradient(plain, at), rtol=0, atol=0)
    assert plain.state_dict().keys() == recomputed.state_dict().keys()
    assert_close(recomputed[0](at, scale=0.5), plain[0](at, scale=0.5), rtol=0, atol=0)  # keywords go through


def test_the_peak_is_that_of_one_block():
    plain, recomputed = network(), network()
    recompute_blocks(recomputed, (Block,))
    one = 4 * 64 * WIDTH
    whole = peak(lambda at: checkpoint(plain, at, use_reentrant=False))
    assert whole > DEPTH * 3 * one  # one checkpoint around everything holds all of it in the backward pass
    assert peak(recomputed) < (DEPTH + 6) * one  # the inputs of all blocks, and what one of them needs


def test_without_a_graph_nothing_is_kept_or_repeated():
    recomputed = network()
    recompute_blocks(recomputed, (Block,))
    with torch.no_grad():
        found = predict(recomputed, (WIDTH,), 64)
    assert found.pass_ < 6 * 4 * 64 * WIDTH
