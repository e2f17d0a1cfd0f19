"""Weights put into a network, whose tensors they must be, all of them and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from equidiff.errors import WeightsError

COUNTER = "num_batches_tracked"  # of batch norms: older checkpoints lack it, and evaluation does not read it


def put_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path, hint: str | None = None) -> None:
    """Copy a state dict into a module; every name and shape must fit.

    Args:
        module: receives the weights.
        weights: the state dict; one prefix before all of the module's own names is allowed, and then anything else
            without that prefix, such as a loss.
        path: file of the state dict, for the error.
        hint: hint of the error.

    Raises:
        WeightsError: a name or a shape does not fit; the message lists a few.
    """
    own = module.state_dict()
    fitting = beneath_prefix(weights, own)
    problems = misfits(own, fitting)
    if problems and not _fits_by_own_rules(module, fitting):
        text = "; ".join(f"{len(keys)} {what} ({_some(keys)})" for what, keys in problems.items())
        raise WeightsError(
            f"The checkpoint does not fit the network: {text}.",
            given=path,
            expected=f"the {len(own)} tensors of this architecture",
            hint=hint,
        )
    if not problems:
        module.load_state_dict({key: own[key] for key in own.keys() - fitting.keys()} | fitting)


def misfits(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, set[str]]:
    """Names that do not fit, by kind: "missing", "unexpected", "of another shape"; empty if all do."""
    problems = {
        "missing": {key for key in own.keys() - weights.keys() if not key.endswith(COUNTER)},
        "unexpected": weights.keys() - own.keys(),
        "of another shape": {key for key in own.keys() & weights.keys() if own[key].shape != weights[key].shape},
    }
    return {what: keys for what, keys in problems.items() if keys}


def beneath_prefix(weights: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Weights without the prefix under which all of a network's tensors lie, e.g. "model." in Lightning's checkpoints.

    Args:
        weights: the state dict.
        names: of the network's tensors.

    Returns:
        The tensors beneath the prefix; all of them as they are if there is no such prefix, or more than one.
    """
    needed = [name for name in names if not name.endswith(COUNTER)]
    if not needed or all(name in weights for name in needed):
        return dict(weights)
    starts = {key.removesuffix(needed[0]) for key in weights if key.endswith(f".{needed[0]}")}
    prefixes = [start for start in starts if all(start + name in weights for name in needed)]
    if len(prefixes) != 1:
        return dict(weights)
    (prefix,) = prefixes
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _fits_by_own_rules(module: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Load the weights as the module does itself, which may translate names of its older versions."""
    try:
        module.load_state_dict(weights)
    except RuntimeError:
        return False
    return True


def _some(keys: Iterable[str]) -> str:
    first, *others = sorted(keys)
    return ", ".join([first, *others[:2], *(["..."] if len(others) > 2 else [])])
