"""Weights files that strangers made: each is refused with one error, in little time and memory, or read as it is."""

import io
import json
import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from equidiff.errors import WeightsError
from equidiff.folders.json_files import MOST_OF_SETTINGS
from equidiff.networks.checkpoints import archives, pickles, read_index, read_weights
from equidiff.networks.checkpoints.content import MOST_TENSORS

WEIGHTS = {"fc.weight": torch.arange(20.0).reshape(5, 4)}


def header(entries, data=b"", length=None):
    """A safetensors file with this header."""
    text = json.dumps(entries).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def archive(content, change=lambda name, data: [(name, data)], method=zipfile.ZIP_STORED):
    """A file of torch.save whose members are changed."""
    whole, changed = io.BytesIO(), io.BytesIO()
    torch.save(content, whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(changed, "w", method) as new:
        for name in old.namelist():
            for each, data in change(name, old.read(name)):
                new.writestr(each, data)
    return changed.getvalue()


def saved(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def bomb(ending, size):
    """A small file, of which one member unpacks to many zeros."""
    fill = bytes(size)
    return archive(WEIGHTS, lambda name, data: [(name, fill if name.endswith(ending) else data)], zipfile.ZIP_DEFLATED)


class Code:
    def __reduce__(self):
        return os.mkdir, ("code-was-run",)


def tower():
    """Dictionaries that list one another: as a tree, they are 200 to the sixth power."""
    content = {"x": 1}
    for _ in range(6):
        content = {f"key{number}": content for number in range(200)}
    return content


CASES = {
    "overlap": (lambda: header({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "damaged safetensors"),
    "beyond the file": (lambda: header({"a": entry(shape=(2**40,), offsets=(0, 2**42))}, bytes(8)), "cut short"),
    "endless header": (lambda: header({"a": entry()}, bytes(8), 2**60), "begins as no known format"),
    "huge shape": (lambda: header({"a": entry(shape=(2**62, 2**62, 0), offsets=(0, 0))}), "overflow"),
    "negative shape": (lambda: header({"a": entry(shape=(-1,))}, bytes(8)), "damaged safetensors"),
    "offsets of other kinds": (lambda: header({"a": entry(offsets=(0, [8]))}, bytes(8)), "header cannot be read"),
    "unknown type": (lambda: header({"a": entry("F99")}, bytes(8)), "damaged safetensors"),
    "half a byte": (lambda: header({"a": entry("F4", (16,))}, bytes(8)), "cannot be used as weights"),
    "complex": (lambda: header({"a": entry("C64", (1,))}, bytes(8)), "cannot be used as weights"),
    "deep header": (lambda: (9**6).to_bytes(8, "little") + b'{"a":' + b"[" * 9**6, "header cannot be read"),
    "many tensors": (
        lambda: header({str(each): entry(shape=(0,), offsets=(0, 0)) for each in range(MOST_TENSORS + 1)}),
        "20,001 tensors",
    ),
    "bomb": (lambda: bomb("data/0", 2**24), "would unpack to"),
    "pickle bomb": (lambda: bomb("data.pkl", archives.MOST_PICKLE + 1), "pickle of 16,777,217 bytes"),
    "two pickles": (lambda: archive(WEIGHTS, lambda name, data: [(name, data), (name.upper(), data)]), "of one name"),
    "something before": (lambda: b"PK\x03\x04" + saved(WEIGHTS), "something before"),
    "code": (lambda: saved({"a": Code()}), "posix.mkdir"),
    "code, older format": (lambda: saved({"a": Code()}, _use_new_zipfile_serialization=False), "more than tensors"),
    "code, bare": (lambda: pickle.dumps(Code()), "more than tensors"),
    "old pickle bomb": (lambda: b"\x80\x02]" + b"]a" * 9999 + b".", "too much beside its tensors"),
    "tower": (lambda: saved(tower()), "not a state dict"),
    "deep pickle": (
        lambda: archive(WEIGHTS, lambda name, data: [(name, DEEP if name.endswith("pkl") else data)]),
        "a list that is not a state dict",
    ),
    "expanded": (lambda: saved({"a": torch.zeros(1).expand(10**12)}), "more values than the file has"),
    "sparse": (lambda: saved({"a": torch.eye(3).to_sparse()}), "cannot be used as weights"),
    "no values": (lambda: saved({"a": torch.empty(10**9, device="meta")}), "cannot be used as weights"),
}  # fmt: skip
DEEP = b"\x80\x02" + b"]" * 9999 + b"a" * 9998 + b"."


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_checkpoint_is_one_error(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(archives, "MOST_MORE", 2**20 if case == "bomb" else archives.MOST_MORE)
    monkeypatch.setattr(pickles, "MOST_OLD_PICKLE", 2**14 if case == "old pickle bomb" else pickles.MOST_OLD_PICKLE)
    write, words = CASES[case]
    (tmp_path / "w.pt").write_bytes(write())
    with pytest.raises(WeightsError, match=words):
        read_weights(tmp_path / "w.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pt"]


def test_an_index_has_a_few_megabytes(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    names = '{"weight_map": {"a": "1.safetensors"}}'
    index.write_text(names.ljust(MOST_OF_SETTINGS))
    assert read_index(index) == ["1.safetensors"]
    index.write_text(names.ljust(MOST_OF_SETTINGS + 1))
    with pytest.raises(WeightsError, match="more than 4,194,304 bytes"):
        read_index(index)


def test_what_resembles_them_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_OLD_PICKLE", 2**10)  # the values of the tensors do not count
    torch.save({"a": torch.zeros(2**10)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(tmp_path / "old.pt")["a"], torch.zeros(2**10))
    (tmp_path / "compressed.pt").write_bytes(archive(WEIGHTS, method=zipfile.ZIP_DEFLATED))  # mapped, it is garbage
    (tmp_path / "stored.pt").write_bytes(archive(WEIGHTS))
    torch.save({"fc.weight": torch.ones(4).expand(5, 4)}, tmp_path / "expanded.pt")
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    for name in ("compressed.pt", "stored.pt", "w.safetensors"):
        assert torch.equal(read_weights(tmp_path / name)["fc.weight"], WEIGHTS["fc.weight"]), name
    assert read_weights(tmp_path / "expanded.pt")["fc.weight"].shape == (5, 4)
