"""Files from a model hub: from its local cache, or downloaded, which shows its own progress."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from equidiff.errors import WeightsError, first_line

PATIENCE_S = 10


def find_file(repository: str, names: Sequence[str], hint: str, revision: str | None = None) -> Path:
    """The first of several files that a repository has; the folder it is in is named after the commit.

    Args:
        repository: as in `find_snapshot`.
        names: of the file there, the preferred one first.
        hint: as in `find_snapshot`.
        revision: as in `find_snapshot`.

    Raises:
        WeightsError: as in `find_snapshot`, or the repository has none of them.
    """

    def wanted(there: Sequence[str]) -> list[str]:
        present = [name for name in names if name in there]
        if not present:
            raise LookupError(f"it has no {' or '.join(names)}")
        return present[:1]

    def found(folder: Path) -> list[Path]:
        return [folder / name for name in names if (folder / name).is_file()]

    return found(find_snapshot(repository, wanted, lambda folder: bool(found(folder)), hint, revision))[0]


def find_snapshot(
    repository: str,
    wanted: Callable[[Sequence[str]], list[str]],
    complete: Callable[[Path], bool],
    hint: str,
    revision: str | None = None,
) -> Path:
    """A repository's folder in the hub's local cache, named after the commit; downloaded where files are missing.

    `HF_HUB_OFFLINE` and the hub's other environment variables hold.

    Args:
        repository: hub id, ORGANISATION/NAME.
        wanted: from the names of all its files to the names or patterns of those to download.
        complete: whether a folder from the cache has what is needed.
        hint: how to do without the hub.
        revision: branch, tag or commit; the repository's main branch when absent.

    Raises:
        WeightsError: the hub cannot be reached, has no such repository or files, or the disk is full.
    """
    from huggingface_hub import HfApi, snapshot_download

    cached = _find_cached(repository, revision)
    if cached is not None and complete(cached):
        return cached
    try:
        # asked first because it fails at once where a download would retry for a minute
        files = HfApi().model_info(repository, revision=revision, timeout=PATIENCE_S).siblings or []
        patterns = wanted([file.rfilename for file in files])
        # by the name of the revision: by its commit, the cache would not remember which commit that name stands for
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:  # whatever the hub or the connection raises, the files are not there
        raise _unavailable(repository, hint, error) from error


def _find_cached(repository: str, revision: str | None) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import HFValidationError, LocalEntryNotFoundError

    try:
        # no patterns: what is missing is for the caller to judge, not for the hub's list of all files
        return Path(snapshot_download(repository, revision=revision, allow_patterns=[], local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None


def _unavailable(repository: str, hint: str, error: Exception) -> WeightsError:
    from huggingface_hub import constants

    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return WeightsError(
            f"{repository} cannot be had from the hub: the disk is full",
            given=f"the hub's cache: {constants.HF_HUB_CACHE}",
            expected="room for its files",
            hint="HF_HOME=DIR equidiff ...   # keeps the cache elsewhere",
        )
    return WeightsError(
        f"{repository} cannot be had from the hub: {first_line(error)}",
        given=repository,
        expected="a repository on a reachable model hub, or its files on this disk",
        hint=hint,
    )
