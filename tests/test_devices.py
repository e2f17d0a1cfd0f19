"""The precision that a device is given."""

import pytest
import torch

from equidiff.devices import choose_dtype, set_precision


@pytest.fixture
def capability(monkeypatch):
    def be(*version):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: version)

    return be


def test_auto_is_chosen_by_the_device(capability):
    capability(9, 0)
    assert choose_dtype("auto", "cuda") == choose_dtype("auto", "cuda:1") == "tf32"
    assert choose_dtype("auto", "cuda", exact=True) == "float32"
    assert choose_dtype("auto", "cpu") == choose_dtype("auto", "mps") == "float32"
    capability(7, 5)  # Turing has no TF32
    assert choose_dtype("auto", "cuda") == "float32"


@pytest.mark.parametrize("name", ["float32", "tf32", "bfloat16"])
def test_a_dtype_that_is_asked_for_stays(name):
    assert choose_dtype(name, "cpu") == choose_dtype(name, "cuda", exact=True) == name


def test_products_on_a_gpu_are_as_exact_as_asked():
    before = torch.get_float32_matmul_precision()
    try:
        assert set_precision("tf32", "cuda") == "float32"
        assert torch.get_float32_matmul_precision() == "high"
        assert set_precision("bfloat16", "cpu") == "bfloat16"
        assert torch.get_float32_matmul_precision() == "high"  # another device leaves it alone
        assert set_precision("float32", "cuda") == "float32"
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision(before)
