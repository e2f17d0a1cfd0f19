"""One way to write a file: all of it, or nothing."""

import errno
import stat

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from equidiff.folders.atomic import write_atomically, write_image
from equidiff.folders.tensors import write_tensors


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("grüße\n", "grüße\n".encode()),
        (b"\x00\xff", b"\x00\xff"),
        (lambda path: path.write_bytes(b"made"), b"made"),
    ],
)
def test_content_is_text_bytes_or_a_function(tmp_path, content, read):
    file = tmp_path / "file.txt"
    file.write_text("the old one")
    assert write_atomically(file, content) == file
    assert file.read_bytes() == read
    assert names(tmp_path) == ["file.txt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("the old one")
    seen = []

    def write(path):
        path.write_text("half")
        seen.append((path.parent, file.read_text()))
        path.write_text("whole")

    write_atomically(file, write)
    assert seen == [(tmp_path, "the old one")]
    assert file.read_text() == "whole"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("no"), KeyboardInterrupt()]
)
def test_a_writer_that_raises_leaves_the_old_file_and_nothing_else(tmp_path, error):
    file = tmp_path / "file.txt"
    file.write_text("the old one")

    def write(path):
        path.write_text("half")
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomically(file, write)
    assert caught.value is error
    assert file.read_text() == "the old one"
    assert names(tmp_path) == ["file.txt"]


def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path):
    folder = tmp_path / "folder"
    (tmp_path / "folder.part").mkdir()
    (tmp_path / "folder.part" / "rest").write_text("of a process that was killed")

    def make(name):
        def write(path):
            path.mkdir()
            (path / name).write_text(name)
            if name == "broken":
                raise OSError(errno.ENOSPC, "No space left on device")

        return write

    for name in ("first", "second"):
        write_atomically(folder, make(name))
        assert names(folder) == [name]
    with pytest.raises(OSError, match="No space left"):
        write_atomically(folder, make("broken"))
    assert names(folder) == ["second"]
    assert names(tmp_path) == ["folder"]


def test_what_cannot_be_replaced_is_an_error(tmp_path):
    """A file never takes a folder's place."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "folder", "text")
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "absent" / "file.txt", "text")
    assert names(tmp_path) == ["folder"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    written = write_atomically(tmp_path / "written", "text")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_images_and_tensors(tmp_path):
    with Image.open(write_image(tmp_path / "image.png", Image.new("L", (3, 2), 7))) as image:
        assert (image.format, image.size, image.getpixel((0, 0))) == ("PNG", (3, 2), 7)
    rows = torch.arange(6.0).reshape(2, 3)
    found = load_file(write_tensors(tmp_path / "rows.safetensors", {"rows": rows.T}))
    assert torch.equal(found["rows"], rows.T)
    assert names(tmp_path) == ["image.png", "rows.safetensors"]


def test_tensors_that_the_system_will_not_have(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        write_tensors(tmp_path / "absent" / "rows.safetensors", {"rows": torch.zeros(1)})
