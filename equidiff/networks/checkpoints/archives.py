"""ZIP archives that strangers may have made, looked at before torch unpacks anything of them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from equidiff.errors import EquiDiffError, WeightsError, first_line

MOST_MORE = 2**28  # bytes to which all members together may unpack beyond the archive's own size
MOST_PICKLE = 2**24  # bytes of a pickle, each of which may cost a hundred in memory: tensors are in other members


@contextmanager
def open_archive(path: Path, expected: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive whose members are what they seem to be.

    Args:
        path: of the archive.
        expected: a description of a correct file, for the error.

    Raises:
        WeightsError: it is damaged, would unpack to much more than it is, or means different things to different
            readers: Python's finds the last of several members of one name, torch's the first.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            problem = _problem(archive, path.stat().st_size)
            if problem:
                raise WeightsError(f"The archive {problem}.", given=path, expected=expected)
            yield archive
    except EquiDiffError:
        raise
    except Exception as error:  # damage shows in whatever the reader meets first
        raise WeightsError(
            f"The archive is damaged: {first_line(error)}",
            given=path,
            expected=expected,
            hint="download the file again",
        ) from error


def is_mappable(path: Path) -> bool:
    """Tell whether torch may map the tensors of an archive: mapped, compressed ones would be read as they lie there."""
    if not zipfile.is_zipfile(path) or path.suffix == ".safetensors":  # torch takes that suffix at its word
        return False
    with zipfile.ZipFile(path) as archive:
        return all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())


def _problem(archive: zipfile.ZipFile, size: int) -> str | None:
    members = archive.infolist()
    if len({member.filename.casefold() for member in members}) < len(members):
        return "has several members of one name"
    if (
        min((member.header_offset for member in members), default=0)
        or sum(each.compress_size for each in members) > size
    ):
        return "has members that overlap, or something before the first one"
    unpacked = sum(member.file_size for member in members)
    if unpacked > size + MOST_MORE:
        return f"of {size:,} bytes would unpack to {unpacked:,}"
    pickles = [member.file_size for member in members if member.filename.endswith(".pkl")]
    if max(pickles, default=0) > MOST_PICKLE:
        return f"has a pickle of {max(pickles):,} bytes, beside the tensors"
    return None
