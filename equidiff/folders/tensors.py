"""Files of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import load, load_file, save
from torch import Tensor

from equidiff.folders.atomic import write_atomically


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write a safetensors file in one move, and return its path.

    Raises:
        OSError: it cannot be written.
    """
    return write_atomically(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata))


def map_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU, whose content is read when it is used, as large weights need it.

    Raises:
        SafetensorError: it is damaged.
        OSError: it cannot be read.
    """
    with utf8_path(path) as file:
        return load_file(file)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU and in memory: the file is closed, and may be replaced.

    Raises:
        SafetensorError: it is damaged.
        OSError: it cannot be read.
    """
    return load(path.read_bytes())


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """A path of the same file that safetensors takes, which refuses to read names that are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield Path(f"/dev/fd/{file.fileno()}")
    else:
        yield path
