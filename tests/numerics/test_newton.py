"""Newton steps on a device that has no float64, as Apple's GPUs have none."""

import pytest
import torch
from torch import Tensor

from equidiff.numerics.gaussian import is_in_shell
from equidiff.numerics.newton import as_matrix, newton_step


class OnDevice(Tensor):
    """A tensor on such a device: only what `cpu` gives may become float64."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is Tensor.cpu:
            return args[0].as_subclass(Tensor)
        result = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(result, OnDevice) and result.dtype == torch.float64:
            raise TypeError("this device has no float64")
        return result


def on_device(tensor):
    return tensor.as_subclass(OnDevice)


def test_the_emulated_device_refuses_float64():
    with pytest.raises(TypeError, match="float64"):
        on_device(torch.ones(3)).double()


def test_the_algebra_of_a_step_is_on_the_cpu():
    random = torch.Generator().manual_seed(0)
    residuals, jacobian = torch.randn(2, generator=random), torch.randn(2, 3, 4, 4, generator=random)
    step = newton_step(on_device(residuals), as_matrix(on_device(jacobian)))
    assert torch.equal(step.as_subclass(Tensor), newton_step(residuals, as_matrix(jacobian)))
    # it zeroes the linearised residual, but for the damping
    left = residuals + jacobian.flatten(1) @ step.as_subclass(Tensor)
    assert left.abs().max() < 0.01 * residuals.abs().max()


def test_the_length_of_latents_is_judged_there_too():
    latents = torch.stack([torch.randn(100, generator=torch.Generator().manual_seed(0)), torch.zeros(100)])
    assert is_in_shell(on_device(latents)).tolist() == is_in_shell(latents).tolist() == [True, False]
