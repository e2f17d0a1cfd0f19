"""TorchScript files, whose layers are read although hooks cannot enter the interpreter.

The archive is a program of its own, in TorchScript's language: torch runs it, and unpickles nothing but tensors.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from equidiff.errors import WeightsError, first_line
from equidiff.networks.checkpoints import hash_weights
from equidiff.networks.checkpoints.archives import open_archive
from equidiff.networks.network import Network
from equidiff.networks.request import Request
from equidiff.networks.sources.building import assemble
from equidiff.networks.sources.scripted import Scripted

EXPECTED = "a file of torch.jit.save(torch.jit.script(model.eval()), PATH), or of torch.jit.trace"


def load(request: Request) -> Network:
    """Load a TorchScript file as a network with the layers of the module that was scripted or traced.

    Raises:
        UsageError: an option does not apply.
        WeightsError: it is not such a file.
        UnsupportedError: it cannot take a batch of images.
    """
    request.refuse(
        *("checkpoint", "pretrained", "pad"),
        why="A TorchScript file contains its weights.",
        expected="size, mean and std",
    )
    path = Path(request.name).expanduser()
    if not path.is_file():
        raise WeightsError("The file does not exist.", given=path, expected=EXPECTED)
    if zipfile.is_zipfile(path):
        with open_archive(path, EXPECTED):
            pass  # what it would unpack to is checked
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that torch.export is newer
            script = torch.jit.load(str(path), map_location=request.context.device)
    except Exception as error:  # whatever torch raises for another or a damaged file
        raise WeightsError(
            f"This is not a TorchScript file: {first_line(error)}", given=path, expected=EXPECTED
        ) from error
    for parameter in script.parameters():
        parameter.requires_grad_(False)
    record = hash_weights(path)
    if record not in request.context.weights:
        request.context.weights.append(record)
    return assemble(request, Scripted(script.eval().float()), channels=_channels(script))


def _channels(script: Any) -> int | None:
    """Channels of the images, by the first convolution; None where that does not tell."""
    first = next((parameter for parameter in script.parameters() if parameter.ndim == 4), None)
    return first.shape[1] if first is not None and first.shape[1] in {1, 3} else None
