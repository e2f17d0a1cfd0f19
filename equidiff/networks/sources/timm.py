"""Networks of timm, which need no prefix."""

from __future__ import annotations

from equidiff.networks.network import Network
from equidiff.networks.pretrained import load_timm
from equidiff.networks.request import Request
from equidiff.networks.timm_names import check_name


def load(request: Request) -> Network:
    """Load a timm model with its own evaluation transform.

    Raises:
        EquiDiffError: see `load_network`.
    """
    request.refuse(
        "pretrained",
        why="The weights of a timm model are part of its name.",
        expected="NAME.TAG, such as resnet50.a1_in1k, or checkpoint=PATH",
    )
    request.refuse("size", why="timm knows the size of a model's images.", expected="no size option")
    name = request.model.removeprefix("timm:")
    if not request.weights:
        return _bare(name)
    return load_timm(name, request.checkpoint, request.context, mean=request.mean, std=request.std, pad=request.pad)


def _bare(name: str) -> Network:
    """A network with random weights, whose layers can be listed."""
    import timm

    module = timm.create_model(check_name(name)).eval()
    size = timm.data.resolve_model_data_config(module)["input_size"]
    return Network(module, name, "cpu", size, prepare=lambda samples: samples)
