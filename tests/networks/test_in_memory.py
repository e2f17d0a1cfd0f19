"""Modules frozen for a run: the user's own is left as it is."""

import hashlib

import pytest
import torch
from torch import nn

from equidiff.errors import PluginError, UnsupportedError, UsageError
from equidiff.networks.in_memory import check_module, freeze, record, wrap_module
from equidiff.networks.preprocessing import Preprocessing


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))


def state(module):
    """Everything of a module that must not change."""
    modes = [each.training for each in module.modules()]
    tensors = [*module.parameters(), *module.buffers()]
    return modes, [
        (each.requires_grad, each.dtype, each.device, each.data_ptr(), each.sum().item()) for each in tensors
    ]


@pytest.mark.parametrize("spoil", [nn.Module.train, nn.Module.double, nn.Module.half, nn.Module.eval])
def test_the_users_module_is_left_as_it_is(spoil):
    module = spoil(small())
    module[0].weight.grad = torch.ones_like(module[0].weight)
    before, hooks = state(module), len(module[0]._forward_hooks)
    frozen = freeze(module, "cpu")
    frozen(torch.rand(2, 3, 5, 5))
    assert state(module) == before
    assert len(module[0]._forward_hooks) == hooks
    assert module[0].weight.grad is not None
    assert frozen is not module
    assert not any(each.training for each in frozen.modules())
    assert not any(each.requires_grad or each.grad is not None for each in frozen.parameters())
    assert {each.dtype for each in frozen.parameters()} == {torch.float32}


def test_training_goes_on_without_the_copy():
    module = small()
    frozen = freeze(module, "cpu")
    before = frozen(torch.ones(1, 3, 4, 4))
    with torch.no_grad():
        module[0].weight.add_(1)
    assert torch.equal(frozen(torch.ones(1, 3, 4, 4)), before)


def test_a_frozen_module_is_not_copied():
    module = small().eval().requires_grad_(False)
    assert freeze(module, "cpu") is module
    module[3].train()
    assert freeze(module, "cpu") is not module


def test_a_compiled_module_is_read_as_what_was_compiled():
    module = small().eval().requires_grad_(False)
    assert freeze(torch.compile(module), "cpu") is module


def test_another_device_is_no_matter():
    module = small()
    with torch.device("meta"):
        elsewhere = freeze(module, "meta")
    assert {each.device.type for each in elsewhere.parameters()} == {"meta"}
    assert {each.device.type for each in module.parameters()} == {"cpu"}


class Uncopied(nn.Sequential):
    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle a lock")


def test_a_module_that_cannot_be_copied():
    module = Uncopied(*small())
    with pytest.raises(UnsupportedError, match="cannot pickle a lock") as caught:
        freeze(module, "cpu")
    assert "module.eval().requires_grad_(False)" in caught.value.hint
    assert freeze(module.eval().requires_grad_(False), "cpu") is module


@pytest.mark.parametrize(
    ("given", "message"),
    [("resnet50", "neuron:17,model=resnet50"), (nn.ReLU, "class 'torch.nn"), (len, "given: builtin_function")],
)
def test_only_a_module_is_a_network(given, message):
    with pytest.raises(UsageError, match=r"torch\.nn\.Module") as caught:
        check_module(given)
    assert message in str(caught.value)


def test_the_record_is_of_the_weights():
    module = small()
    first = record(module)
    assert first.name == "Sequential in memory"
    assert record(module.eval()) == first
    with torch.no_grad():
        module[0].bias[0] += 1e-6
    assert record(module) != first
    whole = nn.Linear(2, 1).half()
    by_hand = b"".join(
        f"{name} torch.float16 {shape}".encode() + value.detach().numpy().tobytes()
        for name, shape, value in (("weight", (1, 2), whole.weight), ("bias", (1,), whole.bias))
    )
    assert record(whole).sha256 == hashlib.sha256(by_hand).hexdigest()


def prepared(module, shape, function=None, **given):
    preprocessing = Preprocessing.of(*(given.get(name) for name in ("size", "mean", "std")), function)
    return wrap_module(module, preprocessing, shape, "cpu")


def test_channels_are_those_of_the_first_convolution():
    samples = torch.rand(2, 1, 8, 8)
    network = prepared(small(), (1, 8, 8))
    assert torch.equal(network.prepare(samples), samples.expand(-1, 3, -1, -1))
    colour = torch.rand(2, 3, 8, 8)
    grey = prepared(nn.Conv2d(1, 2, 3), (3, 8, 8)).prepare(colour)
    assert torch.allclose(grey[:, 0], 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2])
    unchanged = prepared(nn.Flatten(), (1, 8, 8))
    assert torch.equal(unchanged.prepare(samples), samples)


def test_channels_are_those_of_the_mean():
    network = prepared(nn.Flatten(), (1, 8, 8), mean=[0.1, 0.2, 0.3])
    assert network.prepare(torch.zeros(1, 1, 8, 8))[0, :, 0, 0].tolist() == pytest.approx([-0.1, -0.2, -0.3])


def test_inputs_that_do_not_fit():
    with pytest.raises(UnsupportedError, match="Linear cannot take these inputs: mat1 and mat2") as caught:
        prepared(nn.Linear(7, 2), (1, 8, 8))
    assert "inputs of shape (2, 1, 8, 8), made of samples of shape (1, 8, 8)" in caught.value.given
    with pytest.raises(UnsupportedError, match="1 channels") as caught:
        prepared(nn.Conv2d(1, 2, 3), (3, 8, 8), mean=[0.5, 0.5, 0.5])
    with pytest.raises(UnsupportedError, match="Linear cannot take"):
        prepared(nn.Linear(3, 1), (2,))
    with pytest.raises(UnsupportedError, match="4 channels"):
        prepared(small(), (4, 8, 8))


def test_a_preprocessing_is_tried():
    with pytest.raises(PluginError, match="lost the gradient"):
        prepared(small(), (3, 8, 8), torch.detach)
