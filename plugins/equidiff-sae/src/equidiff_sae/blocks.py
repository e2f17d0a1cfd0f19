"""Blocks of transformers, and the places in them that hook names mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from equidiff.errors import UnsupportedError

# names of the parts of a block: those of timm, and of vision towers of transformers
ATTENTION = ("attn", "attention", "self_attn", "self_attention")
MLP = ("mlp", "ffn")
FIRST_NORM = ("norm1", "layernorm_before", "layer_norm1", "ln_1", "layer_norm")
SECOND_NORM = ("norm2", "layernorm_after", "layer_norm2", "ln_2")
PROJECTION = ("proj", "out_proj", "o_proj", "output.dense")
FEWEST = 2  # blocks of a transformer


class Place(NamedTuple):
    """A module, and whether its input is read in place of its output."""

    module: nn.Module
    before: bool = False


def blocks_of(module: Any) -> Any:
    """The blocks of a transformer, in order; None where there is no list of equal blocks, or several."""
    own = getattr(module, "blocks", None)
    if isinstance(own, nn.Sequential | nn.ModuleList):
        return own
    lists = [each for each in module.modules() if isinstance(each, nn.Sequential | nn.ModuleList)]
    alike = [each for each in lists if len(each) >= FEWEST and _is_transformer(each)]
    return alike[0] if len(alike) == 1 else None  # several: stages of a hierarchical network


def _is_transformer(blocks: Any) -> bool:
    kinds = Counter(type(block) for block in blocks)
    return len(kinds) == 1 and _part(blocks[0], ATTENTION) is not None


def place_of(block: Any, site: str, name: str) -> Place:
    """The place in a block that a site means.

    Args:
        block: block of a transformer.
        site: one of `SITES`.
        name: of the network, for messages.

    Raises:
        UnsupportedError: the block has no such place.
    """
    place = SITES[site](block)
    if place is None:
        raise UnsupportedError(
            f"The blocks of {name} have no {site}.",
            given=f"{type(block).__name__} with {', '.join(child for child, _ in block.named_children())}",
            expected="site=resid_post, or the name of a module of the block as site=",
        )
    return place


def _part(block: Any, names: tuple[str, ...]) -> Any:
    """The first of these modules that the block has; a block that only passes values on does not count."""
    for name in names:
        owner: Any = block
        for step in name.split("."):
            owner = getattr(owner, step, None)
        if isinstance(owner, nn.Module) and not isinstance(owner, nn.Identity):
            return owner
    return None


def _is_post_norm(block: Any) -> bool:
    """True for blocks that normalise what attention and MLP give, not what they get."""
    return "Post" in type(block).__name__


def _middle(block: Any) -> Place | None:
    """The residual stream between attention and MLP: the input of the MLP, or of the norm before it."""
    module = _part(block, MLP if _is_post_norm(block) else SECOND_NORM)
    return None if module is None or _part(block, MLP) is None else Place(module, before=True)


def _norm(names: tuple[str, ...]) -> Callable[[Any], Place | None]:
    def find(block: Any) -> Place | None:
        module = _part(block, names)
        return None if module is None or _is_post_norm(block) else Place(module)

    return find


def _output(names: tuple[str, ...]) -> Callable[[Any], Place | None]:
    def find(block: Any) -> Place | None:
        module = _part(block, names)
        return None if module is None else Place(module)

    return find


def _heads(block: Any) -> Place | None:
    """What the heads give, side by side: the input of attention's last projection, or of a norm before it."""
    attention = _part(block, ATTENTION)
    last = None if attention is None else _part(attention, ("norm", *PROJECTION))
    return None if last is None else Place(last, before=True)


SITES: dict[str, Callable[[Any], Place | None]] = {
    "resid_pre": lambda block: Place(block, before=True),
    "resid_mid": _middle,
    "resid_post": lambda block: Place(block),
    "attn_out": _output(ATTENTION),
    "mlp_out": _output(MLP),
    "ln1.hook_normalized": _norm(FIRST_NORM),
    "ln2.hook_normalized": _norm(SECOND_NORM),
    "attn.hook_z": _heads,
}
