"""Weights files that libraries publish by address, kept in torch's own cache."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from equidiff.errors import WeightsError, first_line
from equidiff.networks.hub import TIMEOUT_S


def fetch(url: str, hint: str) -> Path:
    """Find a file in torch's cache, or download it; its hash is checked where its name has one.

    Args:
        url: address of the file.
        hint: a way to do without the download, for the error.

    Raises:
        WeightsError: it is not in the cache and cannot be downloaded.
    """
    import torch.hub

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if path.is_file():
        return path
    try:
        _download(url, path)
    except Exception as error:  # whatever the connection, the disk or the check of the hash raises
        command = f"curl -L --create-dirs -o {shlex.quote(str(path))} {url}"
        raise WeightsError(
            f"{path.name} cannot be fetched: {first_line(error)}",
            given=url,
            expected="a reachable server, or the file on this disk",
            hint=f"{command}   # or {hint}",
        ) from error
    return path


def _download(url: str, path: Path) -> None:
    import torch.hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set")
    # a request first: it fails soon, while a download would wait for minutes
    with urlopen(Request(url, method="HEAD"), timeout=TIMEOUT_S):
        path.parent.mkdir(parents=True, exist_ok=True)
    found = torch.hub.HASH_REGEX.search(path.name)
    torch.hub.download_url_to_file(url, str(path), found.group(1) if found else None)
