"""The images of a folder, their labels, and reading them ahead."""

import threading

import pytest
from PIL import Image

from equidiff.errors import QueryError
from equidiff.images import folder as folder_module
from equidiff.images.folder import AHEAD, ImageFile, find_images, read_ahead


def make(folder, *paths):
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number % 256).save(folder / path)


def labels(folder, **more):
    return {file.path: file.label for file in find_images(folder, **more)}


def test_sorted_by_path_and_without_what_is_no_image(tmp_path):
    make(tmp_path, "b.PNG", "a/c.jpg", "a.webp", ".hidden.png", ".cache/d.png")
    (tmp_path / "notes.txt").write_text("no image")
    assert labels(tmp_path) == {"a/c.jpg": None, "a.webp": None, "b.PNG": None}
    assert [file.path for file in find_images(tmp_path)] == ["a/c.jpg", "a.webp", "b.PNG"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["cat/1.png", "dog/puppies/1.png"], ["cat", "dog"]),
        (["007_james.png", "340_zebra.png"], ["7", "340"]),
        (["n02391049_1.png", "n02391049_2.png"], ["n02391049", "n02391049"]),
        (["340_zebra.png", "holiday.png"], [None, None]),  # not every name begins with a number
        (["cat/1.png", "x.png"], [None, None]),  # not every image is in a sub-folder
    ],
)
def test_labels_from_the_folder_itself(paths, expected, tmp_path):
    make(tmp_path, *paths)
    assert list(labels(tmp_path).values()) == expected


def test_labels_from_a_file(tmp_path):
    folder = tmp_path / "images"
    make(folder, "cat/1.png", "cat/2.png", "3.png")
    file = tmp_path / "labels.csv"
    file.write_text("label,image\ntabby,cat/1.png\nsiamese,cat/2.png\n,3.png\n")
    assert labels(folder, labels=file) == {"3.png": None, "cat/1.png": "tabby", "cat/2.png": "siamese"}


@pytest.mark.parametrize(
    ("content", "words"),
    [("1.png,tabby\n", "lacks a column"), ("image,label\nother.png,tabby\n", "none of these"), ("", "lacks a column"),
     (b"\xff\xfe\xff", "lacks a column"), (None, "cannot be read")],
)  # fmt: skip
def test_labels_that_cannot_be_used(content, words, tmp_path):
    make(tmp_path, "1.png")
    file = tmp_path / "labels.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(QueryError, match=words):
        find_images(tmp_path, file)


def test_folders_without_images(tmp_path):
    with pytest.raises(QueryError, match="does not exist"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(QueryError, match="is empty"):
        find_images(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(QueryError, match="no images"):
        find_images(tmp_path)
    with pytest.raises(QueryError, match="is a file"):
        find_images(tmp_path / "notes.txt")


def test_read_ahead_keeps_the_order_and_says_what_is_broken(tmp_path):
    count = AHEAD + 20
    make(tmp_path, *(f"{index:03d}.png" for index in range(count)))
    (tmp_path / "010.png").write_bytes(b"")
    (tmp_path / "020.png").write_text("no image")
    files = [*find_images(tmp_path), ImageFile("gone.png")]
    found = list(read_ahead(tmp_path, files, lambda image: image.getpixel((0, 0))))
    assert [file for file, _ in found] == files
    broken = {file.path: value.problem for file, value in found if isinstance(value, QueryError)}
    assert broken.keys() == {"010.png", "020.png", "gone.png"}
    assert "empty file" in broken["010.png"]
    assert [value for _, value in found[:10]] == list(range(10))


def test_read_ahead_reads_no_further_than_it_must_and_stops(tmp_path):
    make(tmp_path, *(f"{index:03d}.png" for index in range(AHEAD + 50)))
    seen = []
    before = threading.active_count()
    readings = read_ahead(tmp_path, find_images(tmp_path), lambda image: seen.append(image))
    for _ in range(3):
        next(readings)
    assert 3 <= len(seen) <= AHEAD + 3
    readings.close()
    assert threading.active_count() == before
    assert len(seen) <= AHEAD + 3


def test_what_prepare_raises_is_passed_on(tmp_path):
    make(tmp_path, "1.png")
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(tmp_path, find_images(tmp_path), lambda image: 1 / 0))


def test_a_long_search_says_how_far_it_is(tmp_path, monkeypatch):
    make(tmp_path, "a/1.png", "b/2.png")
    told = []
    find_images(tmp_path, tell=told.append)
    assert told == []  # it was short
    monkeypatch.setattr(folder_module, "TELL_EVERY_S", 0.0)
    find_images(tmp_path, tell=told.append)
    assert told[-1] == "looking for images: 2 among 4 files and folders so far"


def test_a_disk_is_no_folder_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "MOST_OTHERS", 40)
    for number in range(60):
        (tmp_path / f"{number}.txt").touch()
    Image.new("L", (2, 2)).save(tmp_path / "one.png")
    with pytest.raises(QueryError, match="61 files and folders in it, 1 are images"):
        find_images(tmp_path)
    for number in range(10):  # more than a tenth are: a data set with notes beside its images
        Image.new("L", (2, 2)).save(tmp_path / f"{number}.png")
    assert len(find_images(tmp_path)) == 11
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(find_images(tmp_path)) == 11
