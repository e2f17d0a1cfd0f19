"""The tokens of a network at one place, by Prisma's hook names or the names of modules."""

from __future__ import annotations

import math
import re
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equidiff.errors import UnknownNameError, UnsupportedError, unknown_name
from equidiff.networks import Network, Tap
from equidiff_sae.blocks import SITES, blocks_of, place_of
from equidiff_sae.config import split_hook

CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")  # parameters
# of larger models, in front of the names of a tower's modules
OWNERS = re.compile(r"^(?:module|model|vision_model|vision_tower|visual|trunk|backbone)\.")
INPUT = ".input"  # ending of the name of a module whose input is read


@final
class Vision:
    """The tokens of a network at one hook.

    Tokens are what a layer of a transformer gives, and the positions of a feature map, row by row.

    Args:
        network: the network.
        hook: hook name, e.g. "blocks.9.hook_resid_post", or the dotted name of a module, e.g. "layer3.5"; with ".input"
            at its end, the module's input.
        processed: read the tokens of Prisma's processed weights: `from_pretrained` folds layer norms and centres
            writing weights. That leaves the model's output as it is, but not the hooked tokens.
        width: width of the tokens, which tells the channels of a feature map from its height and width.

    Raises:
        UnknownNameError: there is no such layer, site or module.
        UnsupportedError: the network's blocks have no such site.
    """

    def __init__(self, network: Network, hook: str, processed: bool = False, width: int | None = None) -> None:
        self.network = network
        self.hook = hook
        self.processed = processed
        self.is_map = False  # what was read last is a feature map
        self._width = width
        self._tap = _tap(network, hook)
        if processed and not can_process(network, hook):
            raise UnsupportedError(
                "Prisma's processed weights are known for blocks of timm's transformers alone.",
                given=f"weights=processed at {hook} of {network.name}",
                expected="weights=raw",
            )

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches."""
        own = getattr(self.network.module, "num_prefix_tokens", None)
        if own is not None:
            return int(own)
        # transformers' have one parameter for each kind of them
        named = {name.rpartition(".")[2]: value for name, value in self.network.module.named_parameters()}
        registers = named["register_tokens"].shape[-2] if "register_tokens" in named else 0
        return registers + sum(name in named for name in (*CLASS_TOKENS, "distillation_token"))

    @property
    def has_class_token(self) -> bool:
        """True where the first token is a class token."""
        # some of timm's have it as a parameter, and transformers' as one of their embeddings
        names = (name.rpartition(".")[2] for name, _ in self.network.module.named_parameters())
        return any(name in CLASS_TOKENS for name in names)

    def read(self, inputs: Tensor) -> Float[Tensor, "batch tokens width"]:
        """The tokens at the hook, for prepared inputs; differentiable."""
        if not self.processed:
            return self._tokens(self._tap.read(inputs))
        with _Embedding(self.network.module) as embedding:
            tokens = self._tap.read(inputs)
        return self._process(tokens, embedding)

    def _tokens(self, output: Any) -> Tensor:
        if isinstance(output, (tuple, list)):
            output = output[0]
        if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
            raise UnsupportedError(
                "This layer does not give tokens.",
                given=f"{type(output).__name__} at {self.hook} of {self.network.name}",
                expected="tokens, a feature map or a vector",
            )
        self.is_map = output.ndim == 4
        if output.ndim == 2:
            return output[:, None]
        if output.ndim == 3:
            return output
        first, last = (self._width in (None, output.shape[axis]) for axis in (1, 3))
        channels_last = self.network.channels_last if first == last else last
        return output.flatten(1, 2) if channels_last else output.flatten(2).transpose(1, 2)

    def _process(self, tokens: Tensor, embedding: _Embedding) -> Tensor:
        layer, site = split_hook(self.hook) or (0, "")
        if site.startswith("ln"):
            gain, bias = _affine(self.network.module, layer, site[2])
            return (tokens - bias) / gain
        centred = tokens - tokens.mean(dim=-1, keepdim=True)
        # the outputs of patch embedding, class token and first norm keep their mean
        return centred + embedding.mean() if site.startswith("resid") else centred


def can_process(network: Network, hook: str) -> bool:
    """True for places where the tokens of Prisma's processed weights are known."""
    return split_hook(hook) is not None and all(hasattr(network.module, name) for name in ("blocks", "patch_embed"))


def choose_tokens(tokens: Float[Tensor, "batch tokens width"], which: str, vision: Vision) -> Tensor:
    """The class token, the patches, or all tokens, of tokens that were just read.

    Raises:
        UnsupportedError: there is no class token here, or the patches cannot be told from the rest.
    """
    if which == "all" or (which == "patches" and vision.is_map):
        return tokens
    network, count = vision.network, tokens.shape[1]
    patches = count if vision.is_map else _patches(network)
    prefix = vision.prefix if patches is None else count - patches
    if which == "patches":
        if prefix in (0, vision.prefix):
            return tokens[:, prefix:]
        raise UnsupportedError(
            "The patches cannot be told from the other tokens here.",
            given=f"{count} tokens at {vision.hook} of {network.name}, which makes {patches} patches",
            expected="tokens=all",
        )
    if prefix > 0 and prefix == vision.prefix and vision.has_class_token:
        return tokens[:, :1]
    raise UnsupportedError(
        f"{network.name} has no class token at {vision.hook}: {_other_tokens(vision, count, prefix)}.",
        given="tokens=cls",
        expected="tokens=patches or tokens=all",
    )


def _other_tokens(vision: Vision, count: int, prefix: int) -> str:
    """Name the tokens that are there in place of a class token."""
    if vision.is_map:
        return f"its {count} tokens are the positions of a feature map"
    if prefix < 0:
        return "it has one vector for an image"
    return "its first tokens are registers" if prefix else f"its {count} tokens are patches"


def _patches(network: Network) -> int | None:
    """Number of patches that the network makes of an image; None where it does not say."""
    owners: tuple[Any, ...] = (
        network.module,
        *(getattr(network.module, name, None) for name in ("patch_embed", "config")),
    )
    size: Any = next((owner.patch_size for owner in owners if hasattr(owner, "patch_size")), None)
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else tuple(size)
    return math.prod(length // side for length, side in zip(network.sample_shape[1:], sides, strict=True))


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
    modules = dict(network.module.named_modules())
    if hook in modules and hook:  # Prisma's own hook points, and modules by their names
        return Tap(network, hook, modules[hook])
    parts = split_hook(hook)
    blocks = blocks_of(network.module)
    if parts is not None and blocks is not None:
        layer, site = parts
        if not -len(blocks) <= layer < len(blocks):
            raise UnknownNameError(
                f"{network.name} has no layer {layer}.", given=hook, expected=f"a layer from 0 to {len(blocks) - 1}"
            )
        block = blocks[layer]
        if site in SITES:
            return Tap(network, hook, *place_of(block, site, network.name))
        before = site.endswith(INPUT)
        inner = dict(block.named_modules()).get(site.removesuffix(INPUT))
        if inner is not None:
            return Tap(network, hook, inner, before)
        names = [name for name, _ in block.named_children()]
        raise UnknownNameError(
            f"There is no hook named {hook!r} in {network.name}.",
            given=hook,
            expected=f"layer=NUMBER with site={', site='.join(SITES)}; or a module of the block: {', '.join(names)}",
        )
    name = hook.removesuffix(INPUT)
    while name not in modules and OWNERS.match(name):
        name = OWNERS.sub("", name)
    if name not in modules or not name:
        raise unknown_name(f"layer of {network.name}", hook, [known for known in modules if known])
    return Tap(network, hook, modules[name], before=hook.endswith(INPUT))
