"""Loading of the networks whose activations autoencoders read: Vision Transformers, and others of timm."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equidiff.contracts import BuildContext
from equidiff.errors import UnsupportedError, WeightsError, first_line
from equidiff.folders.json_files import MOST_OF_SETTINGS, read_json
from equidiff.images.convert import to_channels
from equidiff.networks import Network, load_network
from equidiff.networks.checkpoints import hash_weights, put_weights, read_weights
from equidiff.networks.pillow import PillowResizing
from equidiff.networks.timm_names import check_name
from equidiff.types import Samples
from equidiff_sae.catalog import FASHION_VIT

# names in autoencoders' settings, and timm's names of the same weights
KNOWN = {
    "open-clip:laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K": "vit_base_patch32_clip_224.datacompxl",
    "facebook/dino-vitb16": "vit_base_patch16_224.dino",
    # as saev names them
    **{f"clip/ViT-B-{size}/openai": f"vit_base_patch{size}_clip_quickgelu_224.openai" for size in (16, 32)},
    "clip/ViT-L-14/openai": "vit_large_patch14_clip_quickgelu_224.openai",
    "clip/ViT-L-14-336/openai": "vit_large_patch14_clip_quickgelu_336.openai",
    **{
        f"dinov2/dinov2_vit{size[0]}14{registers}": f"vit_{size}_patch14{timms}_dinov2.lvd142m"
        for size in ("small", "base", "large", "giant")
        for registers, timms in (("", ""), ("_reg", "_reg4"))
    },
}
# epsilon of layer norms that Prisma sets more exactly than timm
EPSILON = {"facebook/dino-vitb16": 1e-12}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")  # of the hub's repositories
BEHIND = ("head.", "norm.", "fc_norm.")  # weights behind the last block


@dataclass(frozen=True)
class View:
    """The images that a network reads.

    Attributes:
        size: their height and width; None for the network's own.
        crop: share of the shorter side that is kept, in the centre.
        interpolation: of the resizing; None for the network's own.
    """

    size: int | None = None
    crop: float = 1.0
    interpolation: str | None = None


def load_tower(name: str, checkpoint: str | None, context: BuildContext, view: View = View()) -> Network:
    """Load a network with the autoencoders' preprocessing: resize the shorter side, crop the centre.

    Args:
        name: a timm name, a name from an autoencoder's settings, "fashion-vit", a folder in timm's layout (config.json
            and model.safetensors), or a name of another source, e.g. "hf:facebook/dinov2-base". Networks of another
            source prepare images as they do for all objectives.
        checkpoint: a weights file: timm's, or open_clip's for the same architecture. The hub's when absent.
        context: sets the device; the weights are appended to it.
        view: the images that it reads; for another size than the network's own, position embeddings are interpolated as
            timm does.

    Raises:
        UnknownNameError: there is no such model.
        WeightsError: the weights cannot be downloaded or read, or do not fit.
        UnsupportedError: the network cannot read images of this size.
    """
    folder = find_folder(name)
    if folder is not None:
        network = _from_folder(folder, checkpoint, context, view)
    elif ":" in _resolve(name):  # the prefix of another library; timm's names have none here
        network = _from_source(_resolve(name), checkpoint, context, view)
    else:
        network = _from_timm(_resolve(name), checkpoint, context, view)
    _check_size(network, view.size)
    for module in network.module.modules() if name in EPSILON else ():
        if isinstance(module, nn.LayerNorm):
            module.eps = EPSILON[name]
    return network


def find_folder(name: str) -> Path | None:
    """The folder that holds the network; None for a name of timm."""
    if name == FASHION_VIT:
        return Path(str(files("equidiff_sae") / "weights" / FASHION_VIT))
    return Path(name) if Path(name).is_dir() else None


def _resolve(name: str) -> str:
    """The name that `load_network` knows: repositories of the hub that are not timm's are those of transformers."""
    known = KNOWN.get(name, name.removeprefix("timm/").removeprefix("timm:"))
    return f"hf:{known}" if HUB_ID.fullmatch(known) else known


def _from_source(name: str, checkpoint: str | None, context: BuildContext, view: View) -> Network:
    network = load_network(name, checkpoint, context)
    if view.size not in (None, network.sample_shape[1]):
        raise _wrong_size(name, view.size, f"its own preprocessing makes images of {network.sample_shape[1]} pixels")
    return network


@torch.no_grad()
def _check_size(network: Network, size: int | None) -> None:
    embed: Any = getattr(network.module, "patch_embed", None)
    if size is None or embed is None:
        return
    try:
        embed(network.probe(1))
    except (AssertionError, ValueError, RuntimeError) as error:
        raise _wrong_size(network.name, size, error) from error


def quick_gelu_twin(name: str) -> str | None:
    """Timm's name of the same weights with QuickGELU, where they were trained with it and the network has GELU."""
    import timm

    architecture, dot, tag = _resolve(name).partition(".")
    twin = f"{architecture.replace('_clip_', '_clip_quickgelu_')}{dot}{tag}"
    candidate = "_clip_" in architecture and "quickgelu" not in architecture
    return twin if candidate and timm.is_model_pretrained(twin) else None


def _from_folder(folder: Path, checkpoint: str | None, context: BuildContext, view: View) -> Network:
    import timm

    try:
        settings = read_json(folder / "config.json", MOST_OF_SETTINGS)
        arguments = {**settings.get("model_args", {}), **({} if view.size is None else {"img_size": view.size})}
        module = timm.create_model(settings["architecture"], **arguments)
        config = settings["pretrained_cfg"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"The folder does not hold a model in timm's layout: {error}",
            given=folder,
            expected="config.json (architecture, model_args, pretrained_cfg) and model.safetensors",
        ) from error
    path = Path(checkpoint) if checkpoint else folder / "model.safetensors"
    return _filled(module, folder.name, path, _of_size(config, view.size), context, view)


def _from_timm(name: str, checkpoint: str | None, context: BuildContext, view: View) -> Network:
    import timm

    size = view.size
    if checkpoint is None or not timm.is_model(name):
        module = load_network(name, None, context).module  # the hub's weights, or an error that lists the known names
        return _network(_resized(module, name, size), name, _config(module, size), context.device, view)
    name = check_name(name)
    config = timm.get_pretrained_cfg(name)
    fixed = size is not None and config is not None and config.fixed_input_size
    try:
        module = timm.create_model(name, num_classes=0, **({"img_size": size} if fixed else {}))
    except (AssertionError, ValueError, RuntimeError) as error:
        raise _wrong_size(name, size, error) from error
    return _filled(module, name, Path(checkpoint), _config(module, size), context, view)


def _config(module: nn.Module, size: int | None) -> dict[str, Any]:
    import timm

    return _of_size(timm.data.resolve_model_data_config(module), size)


def _of_size(config: dict[str, Any], size: int | None) -> dict[str, Any]:
    return config if size is None else {**config, "input_size": (config["input_size"][0], size, size)}


def _resized(module: Any, name: str, size: int | None) -> nn.Module:
    """The module for images of another size, with its position embeddings interpolated as timm does."""
    config = module.pretrained_cfg
    if size is None or not config.get("fixed_input_size") or tuple(config["input_size"][1:]) == (size, size):
        return module
    if not hasattr(module, "set_input_size"):
        raise _wrong_size(name, size, "timm cannot change the size of this architecture once its weights are loaded")
    try:
        module.set_input_size(img_size=(size, size))
    except (AssertionError, ValueError, RuntimeError) as error:
        raise _wrong_size(name, size, error) from error
    return module.requires_grad_(False)


def _wrong_size(name: str, size: int | None, reason: object) -> UnsupportedError:
    text = first_line(reason) if isinstance(reason, Exception) else str(reason)
    return UnsupportedError(f"{name} cannot read images of this size: {text}", given=f"size={size}")


def _filled(module: Any, name: str, path: Path, config: dict[str, Any], context: BuildContext, view: View) -> Network:
    """Build a network with weights from a file; those behind the last block are not needed, and may be missing."""
    weights = _converted(module, read_weights(path), path, view.size)
    own = module.state_dict()
    behind = {key for key in own.keys() | weights.keys() if key.startswith(BEHIND)}
    unfit = {key for key in behind if key not in own or key not in weights or own[key].shape != weights[key].shape}
    fitting = {key: value for key, value in weights.items() if key not in unfit}
    kept = {key: own[key] for key in unfit & own.keys()}
    put_weights(module, fitting | kept, path, hint="model=NAME must name the architecture of the checkpoint")
    record = hash_weights(path, name if path.name == "model.safetensors" else None)
    if record not in context.weights:
        context.weights.append(record)
    module.float().eval().requires_grad_(False).to(context.device)
    return _network(module, name, config, context.device, view)


def _converted(module: Any, weights: dict[str, Tensor], path: Path, size: int | None) -> dict[str, Tensor]:
    """Weights under timm's names, with position embeddings for the size that was asked for."""
    convert = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    theirs, ours = weights.get("pos_embed"), getattr(module, "pos_embed", None)
    if size is None and theirs is not None and ours is not None and theirs.shape[1] != ours.shape[1]:
        raise WeightsError(
            "The checkpoint has position embeddings for images of another size.",
            given=f"{theirs.shape[1]} of them in {path}, and {ours.shape[1]} in the network",
            expected="the size of the images that it was trained on",
            hint=_hint(module, theirs.shape[1]),
        )
    foreign = any("visual." in key for key in weights) or "mask_token" in weights
    if convert is None or not (foreign or size is not None):
        return weights
    return dict(convert(weights, module))


def _hint(module: Any, positions: int) -> str:
    side = math.isqrt(positions)  # a prefix of few tokens does not add a row of patches
    return f"size={side * module.patch_embed.patch_size[0]}"


def _network(module: nn.Module, name: str, config: dict[str, Any], device: str, view: View) -> Network:
    """Build a network with Prisma's preprocessing: the crop keeps the whole shorter side, unlike some of timm's."""
    import timm

    channels = config["input_size"][0]
    resize = timm.data.create_transform(
        input_size=config["input_size"],
        interpolation=view.interpolation or config["interpolation"],
        crop_pct=view.crop,
        is_training=False,
        normalize=False,
    )
    return Network(
        module,
        name,
        device,
        tuple(config["input_size"]),
        prepare=partial(_prepare_samples, resize, channels, config["mean"], config["std"]),
        channels_last=getattr(module, "output_fmt", None) == "NHWC",
    )


def _prepare_samples(
    resize: Callable[[Tensor], Tensor], channels: int, mean: Sequence[float], std: Sequence[float], samples: Samples
) -> Tensor:
    with PillowResizing():
        resized = resize(to_channels(samples, channels))
    # torchvision's own reads the values, which fake tensors do not have
    shift, scale = (resized.new_tensor(values)[:, None, None] for values in (mean, std))
    return (resized - shift) / scale
