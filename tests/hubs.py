"""A model hub in a folder: its cache, as huggingface_hub keeps it, and downloads into it."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def use_cache(monkeypatch, folder):
    """Use a folder as the cache, and no hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def put_in_cache(repository, folder, inside="", revision="main", names=None):
    """Put files of a folder, by default all, into the cache as a download would; returns the snapshot's folder."""
    place = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / revision).write_text(COMMIT)
    snapshot = place / "snapshots" / COMMIT
    for name in files_of(folder) if names is None else names:
        (snapshot / inside / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, snapshot / inside / name)
    return snapshot


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def serve(monkeypatch, folder):
    """Make the hub serve the files of a folder, in any repository.

    Returns a list that grows with each download, by repository, revision and names.
    """
    downloads = []
    look_up = huggingface_hub.snapshot_download

    def download(repository, *, revision=None, allow_patterns=None, local_files_only=False):
        if local_files_only:
            return look_up(repository, revision=revision, allow_patterns=allow_patterns, local_files_only=True)
        names = list(filter_repo_objects(files_of(folder), allow_patterns=allow_patterns))
        downloads.append((repository, revision, names))
        return str(put_in_cache(repository, folder, revision=revision or "main", names=names))

    info = SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=name) for name in files_of(folder)])
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr("equidiff.registry.published._unreachable", lambda: None)
    return downloads
