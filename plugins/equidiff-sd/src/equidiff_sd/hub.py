"""Folders from a model hub: its local cache first, then the network."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from equidiff.errors import WeightsError
from equidiff.networks.checkpoints import first_line


def fetch(repository: str, files: tuple[list[str], list[str]], complete: Callable[[Path], bool], hint: str) -> Path:
    """The local snapshot of a repository, with the wanted files that it has; downloaded where the cache lacks any.

    Args:
        repository: hub id, ORG/NAME.
        files: names or patterns, and those of the files to take where these do not suffice.
        complete: whether a snapshot has what is needed.
        hint: how to do without the hub.

    Raises:
        WeightsError: the hub cannot be reached, has no such repository, or the disk is full.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils import LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(repository, allow_patterns=[*files[0], *files[1]], local_files_only=True))
        if complete(cached):
            return cached
    except LocalEntryNotFoundError:
        pass
    try:
        # asked first because it fails at once where a download would retry for a minute
        revision = HfApi().model_info(repository, timeout=10).sha
        found = Path(snapshot_download(repository, revision=revision, allow_patterns=files[0]))
        if not complete(found):
            snapshot_download(repository, revision=revision, allow_patterns=files[1])
        return found
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise _unreachable(repository, error, hint) from error
        raise WeightsError(
            f"The disk has no room for {repository}.",
            given=f"the hub's cache: {_cache()}",
            expected="a disk with room for its weights",
            hint="HF_HOME=DIR equidiff run ...   # keeps them elsewhere",
        ) from error
    except Exception as error:  # whatever the hub or the connection raises, the files are not there
        raise _unreachable(repository, error, hint) from error


def _unreachable(repository: str, error: Exception, hint: str) -> WeightsError:
    return WeightsError(
        f"{repository} cannot be had from the model hub: {first_line(error)}",
        given=repository,
        expected="an id on a reachable model hub, or its files in a local folder",
        hint=hint,
    )


def _cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE
