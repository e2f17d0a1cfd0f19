"""Files of a model hub: its cache first, then a download, and what is said where neither gives them."""

import errno
from pathlib import Path

import huggingface_hub
import pytest
from hubs import COMMIT, put_in_cache, serve, use_cache
from huggingface_hub import constants

from equidiff.errors import WeightsError
from equidiff.networks.hub import find_file, find_snapshot

NAMES = ("a.safetensors", "a.bin")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder of small files, and an empty cache without a hub."""
    use_cache(monkeypatch, tmp_path / "cache")
    for name in ("a.bin", "b.bin", "unet/a.bin"):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "files"


def has(name):
    return lambda folder: (folder / name).is_file()


def only(*names):
    return lambda there: list(names)


def test_the_cache_comes_first(files):
    """There is no hub here, and nothing asks for it."""
    snapshot = put_in_cache("some/one", files)
    assert find_file("some/one", NAMES, "hint") == snapshot / "a.bin"
    assert find_snapshot("some/one", only("b.bin"), has("b.bin"), "hint") == snapshot
    (files / "a.safetensors").write_text("preferred")
    put_in_cache("some/one", files)
    assert find_file("some/one", NAMES, "hint").name == "a.safetensors"


def test_the_first_of_the_names_is_downloaded_alone(files, monkeypatch):
    downloads = serve(monkeypatch, files)
    assert find_file("some/one", NAMES, "hint").read_text() == "a.bin"
    (files / "a.safetensors").write_text("preferred")
    serve(monkeypatch, files)
    assert find_file("other/one", NAMES, "hint").read_text() == "preferred"
    assert downloads == [("some/one", None, ["a.bin"])]


@pytest.mark.parametrize("revision", [None, "v2"])
def test_what_was_downloaded_is_found_without_a_hub_by_the_name_it_was_asked_for(files, monkeypatch, revision):
    with monkeypatch.context() as patch:
        downloads = serve(patch, files)
        path = find_file("some/one", NAMES, "hint", revision)
    assert downloads == [("some/one", revision, ["a.bin"])]
    assert path.parent.name == COMMIT
    assert find_file("some/one", NAMES, "hint", revision) == path
    assert find_file("some/one", NAMES, "hint", COMMIT) == path


def test_an_incomplete_snapshot_is_filled_up(files, monkeypatch):
    snapshot = put_in_cache("some/one", files, names=["a.bin"])
    downloads = serve(monkeypatch, files)
    assert find_snapshot("some/one", only("unet/*"), has("unet/a.bin"), "hint") == snapshot
    assert downloads == [("some/one", None, ["unet/a.bin"])]
    assert has("a.bin")(snapshot)
    assert has("unet/a.bin")(snapshot)


def test_wanted_is_told_all_names(files, monkeypatch):
    serve(monkeypatch, files)
    told = []
    find_snapshot("some/one", lambda there: told.extend(there) or ["a.bin"], has("a.bin"), "hint")
    assert told == ["a.bin", "b.bin", "unet/a.bin"]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("repository", ["some/one", "not..an/id"])
def test_without_a_hub_the_hint_is_the_callers(repository):
    for find in (
        lambda: find_file(repository, NAMES, "fetch it by hand"),
        lambda: find_snapshot(repository, only("a.bin"), has("a.bin"), "fetch it by hand"),
    ):
        with pytest.raises(WeightsError, match=f"{repository} cannot be fetched from the hub") as caught:
            find()
        assert caught.value.hint == "fetch it by hand"


def test_a_repository_without_such_a_file(files, monkeypatch):
    downloads = serve(monkeypatch, files)
    with pytest.raises(WeightsError, match=r"it has no c\.pt or d\.pt"):
        find_file("some/one", ("c.pt", "d.pt"), "hint")
    assert downloads == []


def test_a_full_disk(files, monkeypatch):
    serve(monkeypatch, files)
    look_up = huggingface_hub.snapshot_download

    def fill(repository, **options):
        if options.get("local_files_only"):
            return look_up(repository, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fill)
    with pytest.raises(WeightsError, match="some/one cannot be fetched from the hub: the disk is full") as caught:
        find_file("some/one", NAMES, "hint")
    assert str(Path(constants.HF_HUB_CACHE)) in caught.value.given
    assert "HF_HOME=" in caught.value.hint
