"""Vision networks of Hugging Face transformers, from the hub or a folder; code of a repository is never run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equidiff.errors import UnsupportedError, UsageError, WeightsError, first_line
from equidiff.images.convert import to_channels
from equidiff.networks.checkpoints import hash_weights, read_weights
from equidiff.networks.classes import class_names
from equidiff.networks.libraries import silenced
from equidiff.networks.network import Network
from equidiff.networks.pillow import PillowResizing
from equidiff.networks.preprocessing import Preprocessing
from equidiff.networks.request import Request
from equidiff.networks.sources.building import CLASS_TOKENS, finish, per_channel, require
from equidiff.networks.sources.folder import find_folder, weights_entry
from equidiff.types import Samples

PROBE_SIDE = 224
POOLER = "pooler."


def load(request: Request) -> Network:
    """Load a classifier, a vision encoder or the vision tower of a larger model, with its own image processor.

    Raises:
        WeightsError: the folder or its files cannot be obtained or read, or do not fit.
        UnsupportedError: it is not a network of images.
        PluginError: transformers is not installed.
    """
    require("transformers", "hf", request.model)
    request.refuse("pad", why="pad is for timm models.", expected="no pad option")
    request.refuse(
        "pretrained",
        why="A repository has one set of weights a revision.",
        expected="hf:REPOSITORY@REVISION, or checkpoint=PATH",
    )
    folder, revision = find_folder(request)
    with silenced("transformers"):
        kind, config, classifies = _choose(request, folder)
        module = _load_module(request, folder, revision, kind, config)
        processor = _processor(request, folder)
    channels = getattr(config, "num_channels", 3)
    prepare = _preparation(request, processor, channels)
    network = Network(
        module,
        request.model,
        request.context.device,
        _shape(request, prepare, channels, config),
        prepare=prepare,
        names=_names(config) if classifies else None,
        resizes=processor is None or bool(processor.do_resize),
        classifies=classifies,
        class_token=any(name.endswith(CLASS_TOKENS) for name, _ in module.named_parameters()),
    )
    return finish(network)


def _choose(request: Request, folder: Path) -> tuple[Any, Any, bool]:
    """The class of the network, its settings, and whether its outputs are classes."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

    config = _read_config(request, folder)
    architecture = next(iter(config.architectures or ()), "")
    named = getattr(transformers, architecture, None)
    tower = getattr(config, "vision_config", None)
    if named is not None and any(architecture in _several(names) for names in CLASSIFIERS.values()):
        return named, config, True
    if tower is not None:
        if hasattr(config, "projection_dim"):
            tower.projection_dim = config.projection_dim
        named, config = _registered(tower), tower
        # with the projection into the space that images share with texts
        named = getattr(transformers, f"{getattr(named, '__name__', '')}WithProjection", named)
    elif named is None or not architecture.endswith(("Model", "ModelWithProjection")):
        named = _registered(config)
    if getattr(named, "main_input_name", None) != "pixel_values":
        raise UnsupportedError(
            f"{request.model} is not a network of images.",
            given=architecture or config.model_type,
            expected="an image classifier, a vision encoder, or a model with a vision tower",
        )
    return named, config, False


def _read_config(request: Request, folder: Path) -> Any:
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever transformers raises for a model that it does not know
        foreign = "trust_remote_code" in str(error)
        raise UnsupportedError(
            f"{request.model} needs code of its repository, which is not run."
            if foreign
            else f"The settings of {request.model} cannot be read: {first_line(error)}",
            given=folder / "config.json",
            expected="a model that transformers knows by itself",
            hint="model=module:FILE.py:FUNCTION, with code that you have read" if foreign else None,
        ) from error


def _several(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


def _registered(config: Any) -> Any:
    """The plain model for these settings; None if there is none."""
    from transformers import MODEL_MAPPING

    found = MODEL_MAPPING.get(type(config), None)
    return found[0] if isinstance(found, Sequence) else found


def _load_module(request: Request, folder: Path, revision: str | None, kind: Any, config: Any) -> nn.Module:
    if not request.weights:
        return kind(config)
    if request.checkpoint is None:
        file = weights_entry(folder) or folder
        load = partial(kind.from_pretrained, folder, config=config)
        name = f"{request.name.partition('@')[0]}/{file.name}" if revision else None
    else:
        file, name = Path(request.checkpoint), None
        load = partial(kind.from_pretrained, None, config=config, state_dict=read_weights(file))
    record = hash_weights(file, name, revision)
    module, missing = _try(load, file)
    if missing and all(name.startswith(POOLER) for name in missing):
        module, missing = _try(partial(load, add_pooling_layer=False), file)
    if missing:
        raise WeightsError(
            f"The weights do not fit the network: {len(missing)} are missing ({', '.join(sorted(missing)[:3])}).",
            given=file,
            expected=f"the weights of {kind.__name__}",
        )
    if record not in request.context.weights:
        request.context.weights.append(record)
    return module


def _try(load: Callable[..., Any], file: Path) -> tuple[nn.Module, set[str]]:
    """Load the weights, and return names of those that the files do not have."""
    try:
        module, info = load(dtype=torch.float32, local_files_only=True, output_loading_info=True)
    except Exception as error:  # whatever transformers raises, the weights are unusable
        read_weights(file)  # says more of a file that is damaged, incomplete or something else
        raise WeightsError(
            f"The weights cannot be loaded: {first_line(error)}", given=file, expected="the weights of this network"
        ) from error
    return module, set(info["missing_keys"])


def _processor(request: Request, folder: Path) -> Any:
    """The image processor of the folder; None where the user says how images are prepared."""
    import transformers

    if request.size is not None:
        return None
    try:
        return transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="torchvision"
        )
    except Exception as error:  # whatever transformers raises, there is none
        raise UsageError(
            f"{request.model} does not say how its images are prepared: {first_line(error)}",
            given=f"{folder} without a usable preprocessor_config.json",
            expected="the options size, mean and std",
            hint=f"model={request.model},size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225",
        ) from error


def _preparation(request: Request, processor: Any, channels: int) -> Callable[[Samples], Tensor]:
    if processor is None:
        own = Preprocessing.of(request.size, request.mean, request.std, None)
        return lambda samples: own.prepare(to_channels(samples, channels))
    given = {"image_mean": request.mean, "image_std": request.std}
    options = {name: per_channel(value, [0.0] * channels) for name, value in given.items() if value is not None}

    def prepare(samples: Samples) -> Tensor:
        # processors count from 0 to 255; their own operations are differentiable on tensors of floats
        pixels = to_channels(samples, channels) * 255
        with PillowResizing(white=255, rows_first=True):  # as they resize the 8-bit tensor of a file
            prepared = processor(images=pixels, input_data_format="channels_first", return_tensors="pt", **options)
        return prepared["pixel_values"]

    return prepare


def _shape(request: Request, prepare: Callable[[Samples], Tensor], channels: int, config: Any) -> tuple[int, ...]:
    """Shape of a sample at the network's own size, as the preprocessing leaves it."""
    side = getattr(config, "image_size", None)
    side = side if isinstance(side, int) else PROBE_SIDE
    inputs = prepare(torch.full((1, channels, side, side), 0.5))
    if inputs.ndim != 4:
        raise UnsupportedError(
            f"The inputs of {request.model} are not images.",
            given=f"inputs of shape {tuple(inputs.shape)} for one image",
            expected="a network of images of a fixed size",
        )
    return tuple(inputs.shape[1:])


def _names(config: Any) -> tuple[tuple[str, ...], ...] | None:
    labels = {int(index): str(name) for index, name in (config.id2label or {}).items()}
    if all(name == f"LABEL_{index}" for index, name in labels.items()):
        return None
    return class_names(labels)
