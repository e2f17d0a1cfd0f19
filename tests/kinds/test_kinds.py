"""Kinds of samples: files that give back what was judged, descriptions that survive, drawings of the right size."""

import csv
import io
import wave

import numpy as np
import pytest
import torch
from analytic import Identity
from hypothesis import given, settings
from hypothesis import strategies as st

from equidiff.contracts.sample_kind import CONTOUR, LINES, SHEET
from equidiff.errors import PluginError, QueryError, RunFolderError
from equidiff.folders.text import printable
from equidiff.kinds.csv_files import cell, read_row, to_csv
from equidiff.kinds.image import Image
from equidiff.kinds.point import Point
from equidiff.kinds.registry import KINDS, kind_from, kind_of, kind_of_shape
from equidiff.kinds.signal import Signal
from equidiff.kinds.signal_changes import add_noise, resample
from equidiff.kinds.spectrogram import decibels
from equidiff.kinds.table import Column, Table, significant

TABLE = Table((Column("a", low=0, high=2), Column("b", unit="s", low=-1, high=1)))
EXAMPLES = {
    "image": (Image(), (3, 5, 4)),
    "point": (Point(), (2,)),
    "signal": (Signal(8000), (300,)),
    "table": (TABLE, (2,)),
}


class Named(Identity):
    """A generator that names the kind of its samples."""

    def __init__(self, kind, *shape):
        super().__init__(*shape)
        self.kind = kind


def noise(*shape, seed=0, scale=0.8):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_every_kind_has_an_example():
    assert EXAMPLES.keys() == KINDS.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_description_gives_the_same_kind_again(name):
    kind, shape = EXAMPLES[name]
    again = kind_from(kind.to_json(), shape)
    assert again == kind
    assert again.to_json() == kind.to_json()
    assert kind_of(Named(kind, *shape)) is kind


def test_the_shape_says_the_kind_where_nothing_else_does():
    assert kind_of(Identity(3, 8, 8)) == kind_from(None, (1, 4, 4)) == Image()
    for shape in ((2,), (4, 8, 8), (7, 3), ()):
        assert kind_of_shape(shape) == Point()


@pytest.mark.parametrize("kind", [Signal(8000), TABLE, Image(), "signal", Signal])
def test_a_generator_may_not_name_a_kind_that_does_not_fit(kind):
    with pytest.raises(PluginError, match="kind does not fit"):
        kind_of(Named(kind, 3, 4, 5, 6))


@pytest.mark.parametrize(
    "described",
    [
        {"name": "hologram"},
        {"name": "signal"},
        {"name": "signal", "rate": -1},
        {"name": "signal", "rate": "\x1b[2Jfast"},
        {"name": "table", "columns": [{"name": "a"}]},
        {"name": "table", "columns": [{"name": ""}, {"name": "b"}]},
        {"name": "table", "columns": [{"name": "a", "low": 1, "high": 0}, {"name": "b"}]},
        {"name": "table", "columns": 7},
        {"name": ["table"]},
        {"name": "image"},
        "signal",
        [],
    ],
)
def test_a_description_that_is_none_is_one_error(described):
    with pytest.raises(RunFolderError, match="not known") as raised:
        kind_from(described, (2, 5) if described == {"name": "signal", "rate": -1} else (2,))
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("rate", [0, -5, 2.5, True, "8000", None, 10**7])
def test_a_rate_is_a_whole_number(rate):
    with pytest.raises(PluginError, match="rate of a signal"):
        Signal(rate)


@pytest.mark.parametrize(
    "columns",
    [(), ("a", "b"), (Column("a"), Column("a"))],
)
def test_columns_have_names_of_their_own(columns):
    with pytest.raises(PluginError, match="columns of a table"):
        Table(columns)


@pytest.mark.parametrize(
    "values", [{"name": " "}, {"name": "a", "low": 1, "high": 1}, {"name": "a", "low": float("nan")}]
)
def test_a_column_has_a_name_and_a_range(values):
    with pytest.raises(PluginError, match="column of a table"):
        Column(**values)


# ---- files


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([(50,), (1, 50), (2, 50)]))
def test_a_sound_file_gives_back_what_was_judged(tmp_path_factory, seed, shape):
    kind, file = Signal(8000), tmp_path_factory.mktemp("sound") / "a.wav"
    sample = noise(*shape, seed=seed)
    kind.write(file, sample)
    rounded = kind.rounded(sample[None])
    assert torch.equal(kind.read(file, shape), rounded)
    assert torch.equal(kind.rounded(rounded), rounded)
    assert torch.equal(kind.saved(sample[None]), rounded)
    with wave.open(str(file)) as plain:  # a second opinion
        assert (plain.getframerate(), plain.getsampwidth(), plain.getnframes()) == (8000, 2, 50)
        numbers = np.frombuffer(plain.readframes(50), "<i2").reshape(50, -1).T
    assert np.array_equal(numbers / 32768, rounded.reshape(-1, 50).numpy())


def test_the_gradient_of_a_sound_is_that_of_the_clamp():
    samples = torch.tensor([[-1.5, -1.0, 0.1, 0.9999, 1.2]], requires_grad=True)
    (gradient,) = torch.autograd.grad((Signal(8000).saved(samples) * torch.arange(1.0, 6)).sum(), samples)
    assert gradient.tolist() == [[0, 2, 3, 4, 0]] or gradient.tolist() == [[0, 2, 3, 0, 0]]
    assert Signal(8000).excess(samples.detach())[0].tolist() == pytest.approx([-0.5, 0, 0, 0, 0.2])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_sounds_of_other_programs_are_read(tmp_path, dtype):
    from scipy.io import wavfile

    wanted = np.sin(np.arange(400) / 5) * 0.5
    scale = {np.uint8: 127, np.int16: 2**15 - 1, np.int32: 2**31 - 1, np.float32: 1}[dtype]
    numbers = wanted * scale + (128 if dtype is np.uint8 else 0)
    wavfile.write(tmp_path / "a.wav", 8000, numbers.astype(dtype))
    name, sample = Signal(8000).read_query(str(tmp_path / "a.wav"), (400,))
    assert name == str(tmp_path / "a.wav")
    assert np.abs(sample[0].numpy() - wanted).max() < 0.02


def test_a_sound_of_another_rate_is_resampled_and_channels_are_mixed(tmp_path):
    file, time = tmp_path / "a.wav", torch.arange(800) / 16000
    wave_ = 0.5 * torch.sin(2 * torch.pi * 440 * time)
    Signal(16000).write(file, torch.stack([wave_, torch.zeros(800)]))
    name, sample = Signal(8000).read_query(str(file), (400,))
    assert name == f"{file}, resampled from 16000 Hz"
    inner = slice(40, 360)  # the filter has no past at the ends
    torch.testing.assert_close(sample[0, inner], wave_[::2][inner] / 2, atol=0.01, rtol=0)
    assert Signal(16000).read_query(str(file), (2, 800))[1].shape == (1, 2, 800)


@pytest.mark.parametrize("length", [100, 399, 401, 5000])
def test_a_sound_of_another_length_is_refused(tmp_path, length):
    Signal(8000).write(tmp_path / "a.wav", noise(length))
    with pytest.raises(QueryError, match="length") as raised:
        Signal(8000).read_query(str(tmp_path / "a.wav"), (400,))
    assert "400 samples at 8000 Hz (0.05 s)" in str(raised.value)


def test_the_numbers_of_a_table_read_back_to_the_last_bit(tmp_path):
    samples = torch.cat([noise(200, 2), noise(50, 2, scale=1e-12), noise(50, 2, scale=1e12)])
    TABLE.write_all(tmp_path / "table.csv", enumerate(samples))
    for row in (0, 17, 299):
        name, sample = TABLE.read_query(f"{tmp_path / 'table.csv'}:{row}", (2,))
        assert name == f"{tmp_path / 'table.csv'}, row {row}"
        assert torch.equal(sample[0], samples[row])
    assert torch.equal(TABLE.read_query(str(tmp_path / "table.csv"), (2,))[1][0], samples[0])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4, unique=True))
def test_no_cell_of_text_is_a_formula(names):
    rows = list(csv.reader(io.StringIO(to_csv(names, [(0, [1.5] * len(names))]))))
    assert len(rows) == 2
    assert all(len(row) == len(names) + 1 for row in rows)
    assert not any(text.startswith(("=", "+", "-", "@", "\t", "\r")) for text in rows[0])
    assert all(text == printable(text) and "\n" not in text for text in rows[0])


def test_columns_are_found_by_their_names_in_any_order(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(f"label,b,{cell('=a')},c\nx,2,1,no\ny,-4.5,1e-3,\n", encoding="utf-8-sig")
    assert read_row(f"{file}:1", ["=a", "b"])[1] == [1e-3, -4.5]


@pytest.mark.parametrize(
    ("content", "row", "words"),
    [
        ("", "", "empty"),
        ("a,c\n1,2\n", "", "lacks columns"),
        ("a,b\n1,2\n", ":1", "no such row"),
        ("a,b\n", "", "no such row"),
        ("a,b\n1,two\n", "", "no finite number"),
        ("a,b\n1,nan\n", "", "no finite number"),
        ("a,b\n1\n", "", "no finite number"),
        (None, "", "does not exist"),
        (b"\xff\xfea,b", "", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_the_query_is_one_error(tmp_path, content, row, words):
    file = tmp_path / "t.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(QueryError, match=words):
        TABLE.read_query(f"{file}{row}", (2,))


# ---- drawings, changes, comparisons, grids


@pytest.mark.parametrize("name", EXAMPLES)
def test_drawings_changes_and_grids_fit_the_samples(name):
    kind, shape = EXAMPLES[name]
    samples = noise(3, *shape).abs()
    for _, change in kind.changes.values():
        changed = change(kind.rounded(samples))
        assert changed.shape == samples.shape
        assert torch.equal(kind.rounded(changed), changed)
    compared = kind.compared(samples)
    assert compared.shape[0] == 3
    assert compared.ndim == 2
    grid = kind.to_grid(samples)
    assert grid.shape[1:] == kind.grid_shape(shape)
    torch.testing.assert_close(kind.from_grid(grid, shape), samples)
    tile = kind.tile(samples[0], 64)
    assert tile is None or max(tile.size) <= 64
    assert (tile is None) == (name == "point")
    assert kind.overview(shape) == {"image": SHEET, "signal": SHEET, "point": CONTOUR, "table": LINES}[name]
    low, high = kind.ranges(samples)
    assert (low.flatten() <= high.flatten()).all()


def test_a_sine_of_full_scale_has_no_decibels():
    wave_ = torch.sin(2 * torch.pi * 1000 * torch.arange(8000) / 8000)
    power = decibels(torch.stack([wave_, wave_ / 10, torch.zeros(8000)]))
    loudest = power.amax(dim=1).median(dim=1).values
    assert loudest.tolist() == pytest.approx([0, -20, -80], abs=0.1)
    assert power[0].mean(dim=1).argmax() * 8000 / 512 == pytest.approx(1000, abs=16)


def test_changes_of_sounds_do_what_they_say():
    wave_ = 0.5 * torch.sin(2 * torch.pi * 200 * torch.arange(4000) / 8000)[None]
    noisy = add_noise(wave_, 30)
    ratio = wave_.square().mean() / (noisy - wave_).square().mean()
    assert 10 * ratio.log10() == pytest.approx(30, abs=0.5)
    assert resample(wave_, 4000, 8000).shape == (1, 2000)
    assert significant(torch.tensor([123456.0, -0.00123456, 0.0]), 3).tolist() == pytest.approx([123000, -0.00123, 0])
