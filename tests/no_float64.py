"""A device without float64, as the GPUs of Apple are: its tensors say that they are on it, and are computed here."""

import sys

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "apple"


class Backend(_DummyBackendModule):
    """What torch asks of a device's own module."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend(NAME, Backend())
DEVICE = torch.device(NAME, 0)
aten = torch.ops.aten


class OnMps(torch.Tensor):
    """A tensor of the emulated device."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )

    def __init__(self, held):
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {})

    def __getitem__(self, place):  # torch makes an index of a list behind the back of the mode
        return super().__getitem__(torch.tensor(place) if isinstance(place, list) else place)

    def tolist(self):  # torch has none for subclasses
        return self.held.tolist()

    def __repr__(self):
        return f"OnMps({self.held})"


class Mps(TorchDispatchMode):
    """The mode in which tensors may be on `mps`."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {})


def compute(func, args, kwargs):
    given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
    inside = [each for each in given if isinstance(each, OnMps)]
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked)
    if asked is not None and asked.type == NAME:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    elif func is aten._to_copy.default and asked is not None and asked.type == "cpu" and inside:
        return func(inside[0].held, **{**kwargs, "device": None})
    stays = (bool(inside) and asked is None) or (asked is not None and asked.type == NAME)
    if inside and func is not aten._to_copy.default and func is not aten.copy_.default:
        outside = [each for each in given if not isinstance(each, OnMps) and each.ndim]
        if outside and func is not aten._index_put_impl_.default and "index" not in str(func):
            raise RuntimeError(f"Expected all tensors to be on the same device: {func}")
    held = tree_map(lambda each: each.held if isinstance(each, OnMps) else each, (args, kwargs))
    result = func(*held[0], **held[1])
    if not stays:
        return result
    return tree_map(lambda each: _put(each, inside, func), result)


def _put(value, inside, func):
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype == torch.float64 and value.ndim:
        raise TypeError(
            f"Cannot convert a MPS Tensor to float64 dtype as the MPS framework does not support it: {func}"
        )
    same = next((each for each in inside if each.held is value), None)  # an operation in place
    return OnMps(value) if same is None else same


COMMANDS = {
    "the default generator": ["run", "-g", "toy:fashion,steps=2", "-n", "1", "--budget", "3"],
    "circles": ["run", "-g", "toy:circles", "-o", "classifier:inner", "-n", "2"],
    "circles, from the query": ["run", "-g", "toy:circles", "-o", "classifier:inner", "--start", "query", "-n", "1"],
    **{
        f"solver {solver}": ["run", "-g", "pixels:8", "-s", solver, "-n", "1", "--budget", "3"]
        for solver in ("infinite", "lbfgs", "imagespace", "rejection", "auto")
    },
    **{
        f"regularizer {name}": ["run", "-g", "pixels:8", "-r", name, "-n", "1", "--budget", "3"]
        for name in ("tv", "none", "lowpass:0.3")
    },
    **{
        f"objective {spec}": ["run", "-g", "pixels:8", "-o", spec, "-n", "1", "--budget", "3", "--query", "prior:1"]
        for spec in (
            "layer:pool,model=fashion", "classifier:bag,model=fashion", "classifier,output=distribution,model=fashion",
            "neuron:3,model=fashion + 0.5*neuron:4,model=fashion",
        )
    },
    "evaluate": ["evaluate", "circles"],
    "select": ["select", "circles", "--count", "1"],
    "path": ["path", "circles", "0", "1"],
}  # fmt: skip


def main():
    """Run each command on the device, in this process, and write the names of those that failed."""
    from running import run_cli

    from equidiff.analysis.evaluation import sample_sets
    from equidiff.run import prior

    prior.COUNT = sample_sets.FEWEST_PRIOR = 8  # it is the operations that matter, not the numbers
    with Mps():
        for name, words in COMMANDS.items():
            more = ["--out", name] if words[0] in {"run", "samples"} else []
            if words[0] == "run" and "-g" in words and "-o" not in words:
                more += ["-o", "neuron:17,model=fashion", "--query", "prior:1"]
            done = run_cli(*words, *more, "--device", NAME)
            if done.code not in {0, 3}:
                sys.stdout.write(f"{name}: {done.stderr[-1500:]}\n")
        try:  # a negative control
            torch.ones(2, device=NAME).double()
        except TypeError:
            return
        sys.stdout.write("this device has float64\n")


if __name__ == "__main__":
    main()
