"""Networks that a function of the user's own returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from equidiff.errors import EquiDiffError, PluginError
from equidiff.folders.code import find_function
from equidiff.networks.checkpoints import hash_weights, put_weights, read_weights
from equidiff.networks.in_memory import record
from equidiff.networks.network import Network
from equidiff.networks.request import Request
from equidiff.networks.sources.building import assemble

EXPECTED = "a torch.nn.Module, or a pair of one and a function from samples to its inputs"


def load(request: Request) -> Network:
    """Call the function that the user named, and take the network that it returns.

    Raises:
        UsageError: the name is not the location of a function, or an option does not apply.
        PluginError: the code fails, or does not return a network.
        UnsupportedError: the network cannot take its inputs.
        WeightsError: the checkpoint cannot be read, or does not fit.
    """
    request.refuse(
        *("pretrained", "pad"),
        why="The function decides what the network is.",
        expected="checkpoint, or size, mean and std",
    )
    module, preprocess = _call(request.name)
    if request.checkpoint is None:
        weights = replace(record(module), name=request.model)
    else:
        path = Path(request.checkpoint)
        put_weights(module, read_weights(path), path)
        weights = hash_weights(path)
    if request.weights and weights not in request.context.weights:
        request.context.weights.append(weights)
    return assemble(request, module, preprocess)


def _call(place: str) -> tuple[nn.Module, Callable[..., Any] | None]:
    function = find_function(place, "module", "no arguments in, a network out")
    try:
        result = function()
    except EquiDiffError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise PluginError(
            f"{place} raised {type(error).__name__}: {error}", given=f"module:{place}", hint="--traceback shows where"
        ) from error
    module, preprocess = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if not isinstance(module, nn.Module) or (preprocess is not None and not callable(preprocess)):
        given = (
            ", ".join(type(part).__name__ for part in result) if isinstance(result, tuple) else type(result).__name__
        )
        raise PluginError(f"{place} does not return a network.", given=given, expected=EXPECTED)
    return module, preprocess
