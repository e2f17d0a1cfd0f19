"""Networks of torchvision, with its published weights or a local checkpoint."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from equidiff.errors import UnsupportedError, WeightsError, first_line, unknown_name
from equidiff.images.convert import to_channels
from equidiff.networks.checkpoints import (
    Kind,
    beneath_prefix,
    hash_weights,
    put_weights,
    read_content,
    read_weights,
    recognise,
)
from equidiff.networks.classes import class_names, imagenet_names
from equidiff.networks.network import Network
from equidiff.networks.pillow import PillowResizing
from equidiff.networks.request import Request
from equidiff.networks.sources.building import finish, normalize, per_channel
from equidiff.networks.sources.download import fetch
from equidiff.types import Samples

IMAGENET_CLASSES = 1000
WITH_BRANCHES = ("googlenet", "inception_v3")  # classifiers beside the last one, which only training uses
BRANCHES = ("aux1.", "aux2.", "AuxLogits.")
DENSE_LAYER = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def load(request: Request) -> Network:
    """Load a network of `torchvision.models` with the preprocessing of its published weights.

    Raises:
        UnknownNameError: there is no such network, or no such weights of it.
        UnsupportedError: it is not a classifier of images.
        WeightsError: the weights cannot be obtained or read, or do not fit.
    """
    request.refuse("size", "pad", why="torchvision says how images are prepared.", expected="no such option")
    _check_name(request.name)
    published = _published(request.name, request.pretrained)
    module = _load_module(request, published)
    categories = published.meta["categories"] if published else []
    transform = published.transforms() if published else _default_transform()
    network = Network(
        module,
        request.model,
        request.context.device,
        (3, transform.crop_size[0], transform.crop_size[0]),
        prepare=_on_tensors(
            transform, per_channel(request.mean, transform.mean), per_channel(request.std, transform.std)
        ),
        names=_names(categories) if len(categories) == _outputs(module) else None,
    )
    return finish(network)


def _check_name(name: str) -> None:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name in known:
        return
    if name in torchvision.models.list_models():
        raise UnsupportedError(
            f"{name} of torchvision is not a classifier of images.",
            given=f"model=torchvision:{name}",
            expected="a network for classification, such as torchvision:resnet50",
            hint="model=module:FILE.py:FUNCTION takes any network, as a function returns it",
        )
    raise unknown_name("network of torchvision", name, known)


def _published(name: str, chosen: str | None) -> Any:
    """The weights of a network that torchvision publishes; None if there are none."""
    import torchvision

    weights = torchvision.models.get_model_weights(name)
    if chosen is None:
        return getattr(weights, "DEFAULT", None)
    named = weights.__members__
    if chosen not in named:
        raise unknown_name(f"set of weights of {name}", chosen, list(named))
    return named[chosen]


def _load_module(request: Request, published: Any) -> nn.Module:
    if not request.weights:
        return _create(request.name, published, {})
    if request.checkpoint is None and published is None:
        raise UnsupportedError(
            f"torchvision publishes no weights of {request.name}.",
            expected="a local weights file",
            hint=f"model={request.model},checkpoint=PATH",
        )
    if request.checkpoint is None:
        path = fetch(published.url, f"model={request.model},checkpoint=PATH")
        record = hash_weights(path, f"torchvision {request.name}", str(published.name))
    else:
        path = Path(request.checkpoint)
        record = hash_weights(path)
    state = _todays_names(read_weights(path))
    module = _create(request.name, published, state)
    hint = "model=torchvision:NAME must name the architecture that the checkpoint was trained with"
    if request.name.startswith("mnasnet"):
        _put_versioned(module, state, path, hint)
    else:
        put_weights(module, state, path, hint=hint)
    if record not in request.context.weights:
        request.context.weights.append(record)
    return module


def _put_versioned(module: nn.Module, state: dict[str, Tensor], path: Path, hint: str) -> None:
    """Load an MNASNet, which reads files by the version of its layout that torch.save keeps beside the weights."""
    saved = None if recognise(path) is Kind.SAFETENSORS else getattr(read_content(path), "_metadata", None)
    versioned: Any = OrderedDict(state)
    versioned._metadata = saved or {"": {"version": module._version}}
    try:
        module.load_state_dict(versioned)
    except RuntimeError as error:
        raise WeightsError(
            f"The checkpoint does not fit the network: {first_line(error)}",
            given=path,
            expected="the tensors of this architecture",
            hint=hint,
        ) from error


def _todays_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the dots that DenseNets of 2017, whose weights are still published, have within a layer's name."""
    return {DENSE_LAYER.sub(r"\1\2", key): value for key, value in state.items()}


def _create(name: str, published: Any, state: dict[str, Tensor]) -> nn.Module:
    """Build a network as torchvision does for its published weights, with as many classes as the checkpoint has."""
    import torchvision

    keywords: dict[str, Any] = {}
    if published is not None and name.startswith("vit_"):
        keywords["image_size"] = published.meta["min_size"][0]
    elif published is not None and name.startswith("maxvit"):
        keywords["input_size"] = published.meta["min_size"]
    elif name in WITH_BRANCHES:
        has_branches = any(key.startswith(BRANCHES) for key in state)
        keywords = {"transform_input": published is not None, "init_weights": False, "aux_logits": has_branches}
    module = torchvision.models.get_model(name, **keywords)
    state = beneath_prefix(state, module.state_dict())
    rows = [len(value) for key, value in state.items() if key == f"{_last_layer(module)}.weight"]
    if rows and rows[0] != _outputs(module):
        module = torchvision.models.get_model(name, **keywords, num_classes=rows[0])
    return module


def _last_layer(module: nn.Module) -> str:
    """Dotted name of the layer that gives the logits: the last linear one, or a convolution of one pixel."""
    layers = [name for name, child in module.named_modules() if isinstance(child, nn.Linear | nn.Conv2d)]
    return next(name for name in reversed(layers) if not name.startswith(BRANCHES))


def _outputs(module: nn.Module) -> int:
    weight: Any = module.get_submodule(_last_layer(module)).weight
    return len(weight)


def _default_transform() -> Any:
    from torchvision.transforms._presets import ImageClassification

    return ImageClassification(crop_size=224)


def _on_tensors(transform: Any, mean: Sequence[float], std: Sequence[float]) -> Callable[[Samples], Tensor]:
    """Adapt a preset to samples: differentiable, antialiased, without a clamp."""
    from torchvision.transforms import functional

    def prepare(samples: Samples) -> Tensor:
        samples = to_channels(samples, 3)
        with PillowResizing():
            samples = functional.resize(
                samples, transform.resize_size, interpolation=transform.interpolation, antialias=transform.antialias
            )
        return normalize(functional.center_crop(samples, transform.crop_size), mean, std)

    return prepare


def _names(categories: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    names = class_names(categories)
    if len(categories) != IMAGENET_CLASSES:
        return names
    return tuple(
        (*own, *(name for name in others if name not in own))
        for own, others in zip(names, imagenet_names("imagenet-1k"), strict=True)
    )
