"""Vision Transformers: their loading, and their tokens at Prisma's hook names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equidiff.contracts import BuildContext
from equidiff.errors import UnknownNameError, UnsupportedError, WeightsError
from equidiff.images.convert import to_channels
from equidiff.networks import Network, Tap, load_network
from equidiff.networks.checkpoints import hash_weights, put_weights, read_weights
from equidiff.types import Samples
from equidiff_sae.catalog import FASHION_VIT
from equidiff_sae.config import split_hook

# names in autoencoders' settings, and timm's names of the same weights
KNOWN = {
    "open-clip:laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K": "vit_base_patch32_clip_224.datacompxl",
    "facebook/dino-vitb16": "vit_base_patch16_224.dino",
}
# epsilon of layer norms that Prisma sets more exactly than timm
EPSILON = {"facebook/dino-vitb16": 1e-12}
# site: (module of a timm block, its input instead of its output)
SITES = {
    "resid_pre": ("", True),
    "resid_mid": ("norm2", True),
    "resid_post": ("", False),
    "attn_out": ("attn", False),
    "mlp_out": ("mlp", False),
    "ln1.hook_normalized": ("norm1", False),
    "ln2.hook_normalized": ("norm2", False),
}


def load_vit(name: str, checkpoint: str | None, context: BuildContext) -> Network:
    """Load a Vision Transformer with the autoencoders' preprocessing: resize the shorter side, crop the centre.

    Args:
        name: a timm name, a name from an autoencoder's settings, "fashion-vit", or a folder in timm's layout
            (config.json and model.safetensors).
        checkpoint: a weights file: timm's, or open_clip's for the same architecture. The hub's when absent.
        context: sets the device; the weights are appended to it.

    Raises:
        UnknownNameError: there is no such model.
        WeightsError: the weights cannot be downloaded or read, or do not fit.
        UnsupportedError: the model is not a Vision Transformer of plain blocks.
    """
    folder = _folder(name)
    if folder is not None:
        network = _from_folder(folder, checkpoint, context)
    else:
        timm_name = KNOWN.get(name, name.removeprefix("timm/"))
        network = _from_timm(timm_name, checkpoint, context)
    if not isinstance(getattr(network.module, "blocks", None), nn.Sequential) or not hasattr(
        network.module, "num_prefix_tokens"
    ):
        raise UnsupportedError(
            f"{name} is not a Vision Transformer that hooks can read.",
            given=type(network.module).__name__,
            expected="a VisionTransformer of timm",
        )
    for module in network.module.modules() if name in EPSILON else ():
        if isinstance(module, nn.LayerNorm):
            module.eps = EPSILON[name]
    return network


@final
class Vision:
    """The tokens of a Vision Transformer at one hook.

    Args:
        network: the transformer.
        hook: hook name, e.g. "blocks.9.hook_resid_post".
        processed: read the tokens of Prisma's processed weights: `from_pretrained` folds layer norms and centres
            writing weights. That leaves the model's output as it is, but not the hooked tokens.

    Raises:
        UnknownNameError: there is no such layer or site.
    """

    def __init__(self, network: Network, hook: str, processed: bool = False) -> None:
        self.network = network
        self.hook = hook
        self.processed = processed
        self._tap = _tap(network, hook)

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches; the class token is the first of them."""
        return int(getattr(self.network.module, "num_prefix_tokens"))  # noqa: B009  nn.Module knows no such attribute

    def read(self, inputs: Tensor) -> Float[Tensor, "batch tokens width"]:
        """The tokens at the hook, for prepared inputs; differentiable."""
        if not self.processed:
            return self._tap.read(inputs)
        with _Embedding(self.network.module) as embedding:
            tokens = self._tap.read(inputs)
        return self._process(tokens, embedding)

    def _process(self, tokens: Tensor, embedding: _Embedding) -> Tensor:
        layer, site = split_hook(self.hook) or (0, "")
        if site.startswith("ln"):
            gain, bias = _affine(self.network.module, layer, site[2])
            return (tokens - bias) / gain
        centred = tokens - tokens.mean(dim=-1, keepdim=True)
        # the outputs of patch embedding, class token and first norm keep their mean
        return centred + embedding.mean() if site.startswith("resid") else centred


def choose_tokens(tokens: Float[Tensor, "batch tokens width"], which: str, prefix: int) -> Tensor:
    """The class token, the patches, or all tokens; `prefix` tokens come before the patches."""
    if which == "cls":
        return tokens[:, :1]
    return tokens[:, prefix:] if which == "patches" else tokens


class _Embedding:
    """Watches a forward pass for the part of the residual stream that Prisma does not centre."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._seen: Tensor | None = None

    def __enter__(self) -> _Embedding:
        pre_norm: Any = getattr(self._module, "norm_pre", None)
        self._first = pre_norm is not None and not isinstance(pre_norm, nn.Identity)
        watched = pre_norm if self._first else self._module.patch_embed
        self._handle = watched.register_forward_hook(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _note(self, _module: nn.Module, _arguments: object, output: Tensor) -> None:
        self._seen = output

    def mean(self) -> Tensor:
        assert self._seen is not None  # it runs before the blocks
        means = self._seen.mean(dim=-1, keepdim=True)
        if self._first:
            return means
        prefix = [getattr(self._module, name, None) for name in ("cls_token", "reg_token")]
        first = [token.mean(dim=-1, keepdim=True).expand(len(means), -1, -1) for token in prefix if token is not None]
        return torch.cat([*first, means], dim=1)


def _affine(module: Any, layer: int, number: str) -> tuple[Tensor, Tensor]:
    """Gain and bias of a block's first or second layer norm, in timm's or Prisma's transformer."""
    block = module.blocks[layer]
    if hasattr(block, f"norm{number}"):
        norm = getattr(block, f"norm{number}")
        return norm.weight, norm.bias
    norm = getattr(block, f"ln{number}")
    return norm.w, norm.b


def _tap(network: Network, hook: str) -> Tap:
    parts = split_hook(hook)
    blocks: Any = getattr(network.module, "blocks")  # noqa: B009
    if parts is None or parts[1] not in SITES:
        raise UnknownNameError(
            f"There is no hook named {hook!r} in a Vision Transformer.",
            given=hook,
            expected=f"layer=NUMBER with site={', site='.join(SITES)}",
        )
    layer, site = parts
    if layer >= len(blocks):
        raise UnknownNameError(
            f"{network.name} has no layer {layer}.", given=hook, expected=f"a layer from 0 to {len(blocks) - 1}"
        )
    modules = dict(network.module.named_modules())
    if hook in modules:  # Prisma's own hook points
        return Tap(network, hook, modules[hook])
    child, before = SITES[site]
    return Tap(network, hook, blocks[layer].get_submodule(child), before)


def _folder(name: str) -> Path | None:
    if name == FASHION_VIT:
        return Path(str(files("equidiff_sae") / "weights" / FASHION_VIT))
    return Path(name) if Path(name).is_dir() else None


def _from_folder(folder: Path, checkpoint: str | None, context: BuildContext) -> Network:
    import timm

    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        module = timm.create_model(settings["architecture"], **settings.get("model_args", {}))
        config = settings["pretrained_cfg"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"The folder does not hold a model in timm's layout: {error}",
            given=folder,
            expected="config.json (architecture, model_args, pretrained_cfg) and model.safetensors",
        ) from error
    path = Path(checkpoint) if checkpoint else folder / "model.safetensors"
    return _filled(module, folder.name, path, config, context)


def _from_timm(name: str, checkpoint: str | None, context: BuildContext) -> Network:
    import timm

    if checkpoint is None or not timm.is_model(name):
        module = load_network(name, None, context).module  # the hub's weights, or an error that lists the known names
        return _network(module, name, timm.data.resolve_model_data_config(module), context.device)
    module = timm.create_model(name, num_classes=0)
    return _filled(module, name, Path(checkpoint), timm.data.resolve_model_data_config(module), context)


def _filled(module: Any, name: str, path: Path, config: dict[str, Any], context: BuildContext) -> Network:
    """Build a network with weights from a file; those behind the last block are not needed, and may be missing."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    weights = read_weights(path)
    if any("visual." in key for key in weights):  # open_clip's names
        weights = checkpoint_filter_fn(weights, module)
    own = module.state_dict()
    behind = {key for key in own.keys() | weights.keys() if key.startswith(("head.", "norm.", "fc_norm."))}
    unfit = {key for key in behind if key not in own or key not in weights or own[key].shape != weights[key].shape}
    fitting = {key: value for key, value in weights.items() if key not in unfit}
    kept = {key: own[key] for key in unfit & own.keys()}
    put_weights(module, fitting | kept, path, hint="model=NAME must name the architecture of the checkpoint")
    record = hash_weights(path, name if path.name == "model.safetensors" else None)
    if record not in context.weights:
        context.weights.append(record)
    module.float().eval().requires_grad_(False).to(context.device)
    return _network(module, name, config, context.device)


def _network(module: nn.Module, name: str, config: dict[str, Any], device: str) -> Network:
    """Build a network with Prisma's preprocessing: the crop keeps the whole shorter side, unlike some of timm's."""
    import timm

    channels = config["input_size"][0]
    resize = timm.data.create_transform(
        input_size=config["input_size"],
        interpolation=config["interpolation"],
        crop_pct=1.0,
        is_training=False,
        normalize=False,
    )
    return Network(
        module,
        name,
        device,
        tuple(config["input_size"]),
        prepare=partial(_prepare_samples, resize, channels, config["mean"], config["std"]),
    )


def _prepare_samples(
    resize: Callable[[Tensor], Tensor], channels: int, mean: Sequence[float], std: Sequence[float], samples: Samples
) -> Tensor:
    resized = resize(to_channels(samples, channels))
    # torchvision's own reads the values, which fake tensors do not have
    shift, scale = (resized.new_tensor(values)[:, None, None] for values in (mean, std))
    return (resized - shift) / scale
