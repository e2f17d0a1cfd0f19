"""Files from a model hub: from its local cache, or downloaded, which shows its own progress."""

from __future__ import annotations

import errno
from pathlib import Path

from equidiff.errors import EquiDiffError, WeightsError
from equidiff.networks.checkpoints import first_line

PATIENCE_S = 10


def find_on_hub(repository: str, file: str, use: str, revision: str | None = None) -> Path:
    """A file of a hub's repository, downloaded if the local cache has it not.

    `HF_HUB_OFFLINE` and the hub's other environment variables hold.

    Args:
        repository: such as "hustvl/lightningdit-xl-imagenet256-800ep".
        file: its name there.
        use: how to say that a folder with the file is to be used, for the error; "{folder}" stands for the folder.
        revision: branch, tag or commit; the repository's main branch when absent.

    Raises:
        WeightsError: it cannot be had; says how to fetch it by hand, and where to put it.
    """
    from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(repository, file, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    try:
        # asked first because it fails at once where a download would retry for a minute
        HfApi().model_info(repository, revision=revision, timeout=PATIENCE_S)
        return Path(hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # whatever the hub or the connection raises, the file is not there
        raise _unavailable(repository, file, use, error) from error


def _unavailable(repository: str, file: str, use: str, error: Exception) -> EquiDiffError:
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    folder = repository.rpartition("/")[2]
    return WeightsError(
        f"{file} cannot be had: {'the disk is full' if full else first_line(error)}",
        given=f"the hub's repository {repository}",
        expected="room for it in the cache, which HF_HOME moves"
        if full
        else "a reachable hub, or the file on this disk",
        hint=f"hf download {repository} {file} --local-dir {folder}   # where there is a network\n"
        + use.format(folder=folder),
    )
