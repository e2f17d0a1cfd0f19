"""Networks of timm, which need no prefix."""

from __future__ import annotations

from pathlib import Path

from equidiff.errors import UsageError
from equidiff.networks.network import Network
from equidiff.networks.pretrained import load_timm
from equidiff.networks.request import Request
from equidiff.networks.timm_names import check_name, is_timm_name

PREFIXES = {".pt2": "exported", ".ts": "torchscript", ".torchscript": "torchscript", ".py": "module"}


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
    _refuse_file(name)
    if not request.weights:
        return _bare(name)
    return load_timm(name, request.checkpoint, request.context, mean=request.mean, std=request.std, pad=request.pad)


def _refuse_file(name: str) -> None:
    """Say which prefix a file or a folder needs."""
    path = Path(name).expanduser()
    if is_timm_name(name) or not path.exists():
        return
    kind = "hf" if path.is_dir() else PREFIXES.get(path.suffix)
    raise UsageError(
        "A network in a file or a folder needs a prefix.",
        given=f"model={name}",
        expected="model=PREFIX:PATH, or the name of an architecture and checkpoint=PATH",
        hint=f"model={kind}:{name}{':FUNCTION' if kind == 'module' else ''}"
        if kind
        else f"model=resnet50,checkpoint={name}",
    )


def _bare(name: str) -> Network:
    """A network with random weights, whose layers can be listed."""
    import timm

    module = timm.create_model(check_name(name)).eval()
    size = timm.data.resolve_model_data_config(module)["input_size"]
    return Network(module, name, "cpu", size, prepare=lambda samples: samples)
