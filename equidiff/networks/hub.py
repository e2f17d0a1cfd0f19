"""Files of a model hub, taken from its local cache or downloaded (the hub shows the progress)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from equidiff.errors import WeightsError, first_line

TIMEOUT_S = 10


def find_file(repository: str, names: Sequence[str], hint: str, revision: str | None = None) -> Path:
    """Find the first of several files that a repository has; its folder is named after the commit.

    Args:
        repository: as in `find_snapshot`.
        names: names of the files, in order of preference.
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

    def complete(folder: Path) -> bool:
        return bool(_present(folder, names))

    return _present(find_snapshot(repository, wanted, complete, hint, revision), names)[0]


def find_cached_file(repository: str, names: Sequence[str]) -> Path | None:
    """Find the first of several files that the local cache has of a repository's main branch; None if it has none."""
    folder = _find_cached(repository, None)
    return next(iter(_present(folder, names)), None) if folder else None


def find_snapshot(
    repository: str,
    wanted: Callable[[Sequence[str]], list[str]],
    complete: Callable[[Path], bool],
    hint: str,
    revision: str | None = None,
) -> Path:
    """Find a repository in the hub's local cache, or download it; its folder is named after the commit.

    `HF_HUB_OFFLINE` and the other environment variables of the hub apply.

    Args:
        repository: hub id, ORGANISATION/NAME.
        wanted: maps the names of all files to the names or patterns of those to download.
        complete: tells if a folder of the cache has all files needed.
        hint: hint of the error: a way to do without the hub.
        revision: branch, tag or commit; the repository's main branch when absent.

    Raises:
        WeightsError: the hub cannot be reached, has no such repository or files, or the disk is full.
    """
    from huggingface_hub import HfApi, snapshot_download

    cached = _find_cached(repository, revision)
    if cached is not None and complete(cached):
        return cached
    try:
        # a request first: it fails at once, while a download would retry for a minute
        files = HfApi().model_info(repository, revision=revision, timeout=TIMEOUT_S).siblings or []
        patterns = wanted([file.rfilename for file in files])
        # by the name of the revision: given a commit, the cache would not remember which name it stands for
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:  # whatever the hub or the connection raises, there are no files
        raise _unavailable(repository, hint, error) from error


def _present(folder: Path, names: Sequence[str]) -> list[Path]:
    return [folder / name for name in names if (folder / name).is_file()]


def _find_cached(repository: str, revision: str | None) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import HFValidationError, LocalEntryNotFoundError

    try:
        # no patterns: the caller decides which files may be missing, not the hub's list of all files
        return Path(snapshot_download(repository, revision=revision, allow_patterns=[], local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None


def _unavailable(repository: str, hint: str, error: Exception) -> WeightsError:
    from huggingface_hub import constants

    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return WeightsError(
            f"{repository} cannot be fetched from the hub: the disk is full",
            given=f"the hub's cache: {constants.HF_HUB_CACHE}",
            expected="enough space for the files",
            hint="HF_HOME=DIR equidiff ...   # a cache on another disk",
        )
    return WeightsError(
        f"{repository} cannot be fetched from the hub: {first_line(error)}",
        given=repository,
        expected="a repository on a reachable model hub, or its files on this disk",
        hint=hint,
    )
