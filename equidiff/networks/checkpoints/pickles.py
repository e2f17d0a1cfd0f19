"""Pickles of the older format of torch.save, which is no archive: their size is found before they are loaded."""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import IO

from equidiff.errors import WeightsError

PARTS = 5  # pickles before the values of the tensors: a number, a version, the system, the content, names of storages
MOST_OLD_PICKLE = 2**21  # bytes of these together, each of which may cost 60 in memory: 500 tensors take 68 KB


def check_old_pickle(path: Path) -> None:
    """Refuse a file whose objects, beside the values of tensors, would take much memory; nothing of it is built.

    Damage is left to the loader, which says more about it.

    Raises:
        WeightsError: there are too many objects.
    """
    with path.open("rb") as file:
        if not _is_small(file):
            raise WeightsError(
                "The checkpoint holds too much beside its tensors, in the older format of torch.save.",
                given=path,
                expected=f"at most {MOST_OLD_PICKLE:,} bytes of names and settings",
                hint="save the weights alone as safetensors, on a machine where you trust the file",
            )


def _is_small(file: IO[bytes]) -> bool:
    try:
        for _ in range(PARTS):
            for _operation in pickletools.genops(file):
                if file.tell() > MOST_OLD_PICKLE:
                    return False
    except Exception:  # no pickle: the values of tensors, or damage
        return file.tell() <= MOST_OLD_PICKLE
    return True
