"""Files of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from equidiff.folders.atomic import write_atomically


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write a safetensors file in one move, and return its path.

    Raises:
        OSError: it cannot be written.
    """

    def write(part: Path) -> None:
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, metadata)
        except SafetensorError as error:  # the system's reason is in its text only
            raise OSError(str(error)) from error

    return write_atomically(path, write)
