"""Networks of timm, imported on first use, with weights from a local file, the hub or an installed package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from equidiff.contracts import BuildContext, Weights
from equidiff.errors import UsageError, WeightsError, first_line
from equidiff.folders.json_files import MOST_OF_SETTINGS, read_json
from equidiff.images.convert import to_channels
from equidiff.networks.checkpoints import Kind, hash_weights, read_checkpoint, recognise, weights_files
from equidiff.networks.classes import imagenet_names
from equidiff.networks.finetuned import fill, fill_from_numpy
from equidiff.networks.hub import find_cached_file, find_file
from equidiff.networks.network import Network
from equidiff.networks.packages import Packaged, find_packaged_network, install_command, read_in_order
from equidiff.networks.pillow import PillowResizing
from equidiff.networks.preprocessing import Values
from equidiff.networks.sources.building import per_channel
from equidiff.networks.timm_names import check_name, current_name
from equidiff.types import Samples

HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def load_timm(
    name: str,
    checkpoint: str | None,
    context: BuildContext,
    *,
    mean: Values | None,
    std: Values | None,
    pad: str | None,
) -> Network:
    """Load a timm model with its own evaluation transform; arguments and errors are those of `load_network`."""
    import timm

    name = check_name(name)
    arguments = {} if pad is None else {"pad_type": pad}
    if checkpoint:
        module, record = _load_local(name, arguments, Path(checkpoint), context)
    else:
        module, record = _load_pretrained(name, arguments)
    if record not in context.weights:
        context.weights.append(record)
    module.eval().requires_grad_(False).to(context.device)

    config = timm.data.resolve_model_data_config(module)
    channels = config["input_size"][0]
    config |= {key: tuple(per_channel(value, config[key])) for key, value in (("mean", mean), ("std", std))}
    # one transform for images and samples: on tensors its parts are differentiable and antialiased
    transform = timm.data.create_transform(**config, is_training=False)
    subset = timm.data.infer_imagenet_subset(module)
    return Network(
        module,
        name,
        context.device,
        tuple(config["input_size"]),
        prepare=_on_tensors(transform, channels),
        names=imagenet_names(subset) if subset else None,
        head=_head(module),
        channels_last=getattr(module, "output_fmt", None) == "NHWC",
    )


def _on_tensors(transform: Any, channels: int) -> Callable[[Samples], Tensor]:
    """Adapt a transform to samples, without torchvision's Normalize: it reads values, which memory prediction lacks."""
    *geometry, normalize = transform.transforms
    constants = [list(map(float, each)) for each in (normalize.mean, normalize.std)]

    def prepare(samples: Samples) -> Tensor:
        samples = to_channels(samples, channels)
        with PillowResizing():
            for part in geometry:
                samples = part(samples)
        mean, std = (samples.new_tensor(each)[:, None, None] for each in constants)
        return (samples - mean) / std

    return prepare


def _create(name: str, arguments: dict[str, Any]) -> nn.Module:
    import timm

    try:
        return timm.create_model(name, **arguments)
    except TypeError as error:
        if "pad_type" not in arguments:
            raise
        raise UsageError(
            f"{name} has no option for padding: {error}",
            given=f"pad={arguments['pad_type']}",
            expected="no pad option, or a network of timm's EfficientNet family",
        ) from error


def _load_pretrained(name: str, arguments: dict[str, Any]) -> tuple[nn.Module, Weights]:
    """Load the model with weights of its authors, and make the record of their file.

    They come from the hub, converted by timm; from an installed package, where the hub's cache does not have them.
    """
    import timm

    config = timm.get_pretrained_cfg(name)
    repository = config.hf_hub_id if config else None
    if repository is None:
        raise WeightsError(
            f"The hub has no weights for {name}.", expected="a local weights file", hint=f"model={name},checkpoint=PATH"
        )
    packaged = find_packaged_network(name)
    if packaged is not None and find_cached_file(repository, HUB_FILES) is None:
        return _load_packaged(name, arguments, packaged)
    hint = f"model={name},checkpoint=PATH"
    install = install_command(name)
    path = find_file(repository, HUB_FILES, hint=f"{install}   # or {hint}" if install else hint)
    recognise(path)  # names what it is, if it is not the weights
    try:
        overlay = {"file": str(path), "custom_load": False}
        module = _create(name, {**arguments, "pretrained": True, "pretrained_cfg_overlay": overlay})
    except UsageError:
        raise
    except Exception as error:  # whatever timm raises, the weights are unusable
        raise WeightsError(
            f"The pretrained weights of {name} cannot be loaded: {first_line(error)}",
            given=path,
            expected=f"the file of {repository} as its authors published it, or a local weights file",
            hint=f"model={name},checkpoint=PATH",
        ) from error
    return module, hash_weights(path, repository, revision=path.parent.name)


def _load_packaged(name: str, arguments: dict[str, Any], packaged: Packaged) -> tuple[nn.Module, Weights]:
    module = _create(name, arguments)
    module.load_state_dict(read_in_order(module, packaged.path))
    return module, packaged.record()


def _load_local(name: str, arguments: dict[str, Any], path: Path, context: BuildContext) -> tuple[Any, Weights]:
    import timm

    source = _described(name, path)

    def create(**more: Any) -> nn.Module:
        return _create(source, arguments | more)

    files = weights_files(path)
    if len(files) == 1 and recognise(files[0]) is Kind.NUMPY:
        return fill_from_numpy(create, files[0]), hash_weights(path)
    checkpoint = read_checkpoint(path)
    module = fill(create, checkpoint.weights, path, timm.models.model_entrypoint(name))
    if checkpoint.passed_over:
        others = " and ".join(checkpoint.passed_over)
        context.notes.append(
            f"Of the weights in {path.name}, {checkpoint.entry} were read, as timm does, not {others}."
        )
    return module, replace(hash_weights(path), entry=checkpoint.entry)


def _described(name: str, path: Path) -> str:
    """The model's name for timm: a folder with a description of its own is built as it says."""
    config = path / "config.json"
    if not config.is_file():
        return name
    try:
        architecture = read_json(config, MOST_OF_SETTINGS).get("architecture")
    except (OSError, ValueError, AttributeError):
        return name
    if not isinstance(architecture, str):
        return name  # not timm's description
    if current_name(architecture).partition(".")[0] != name.partition(".")[0]:
        raise WeightsError(
            f"The folder holds weights of {architecture}, not of {name}.",
            given=path,
            expected=f"weights of {name}",
            hint=f"model={architecture},checkpoint={path}",
        )
    return f"local-dir:{path}"


def _head(module: Any) -> str | None:
    """Dotted name of the final linear layer; None if there are several (distilled models) or none."""
    classifier = module.get_classifier()
    names = (name for name, child in module.named_modules() if child is classifier)
    return None if isinstance(classifier, nn.Identity) else next(names, None)
