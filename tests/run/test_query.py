"""Finding, reading and measuring what the user asks about."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import Identity
from PIL import Image

from equidiff.builtin.generators.circles import Circles
from equidiff.builtin.generators.pixels import Pixels
from equidiff.contracts import Generator
from equidiff.errors import QueryError, UsageError
from equidiff.images.convert import quantized
from equidiff.registry.manager import Plugins
from equidiff.run.query import as_kept, default_query, load_query, parse_target
from equidiff.run.session import prepare
from equidiff.run.settings import Settings


class Pictures(Generator):
    """Makes grey pictures; has as many queries of its own as asked."""

    latent_shape = sample_shape = (1, 4, 4)

    def __init__(self, count=0):
        self.count = count

    def generate(self, latents, steps=None):
        return latents

    def queries(self):
        return [Image.new("L", (4, 4), 10 * index) for index in range(self.count)]


@pytest.mark.parametrize(("count", "index"), [(0, "prior"), (1, 0), (3, 0), (4, 3), (20, 3)])
def test_default_is_query_3_or_the_first_or_a_prior_sample(count, index):
    assert default_query(Pictures(count)) == index


@pytest.mark.parametrize("query", [2, "2"])
def test_own_query(query):
    found = load_query(query, Pictures(4))
    assert found.source == "the generator's own query 2"
    assert torch.equal(found.sample, torch.full((1, 1, 4, 4), 20 / 255))


@pytest.mark.parametrize("query", [-1, 4, "99"])
def test_own_query_out_of_range(query):
    with pytest.raises(QueryError, match="no such query"):
        load_query(query, Pictures(4))


def test_generator_without_queries():
    with pytest.raises(QueryError, match="no queries of its own"):
        load_query(0, Pictures())


def test_own_points():
    assert load_query(1, Circles()).sample.shape == (1, 2)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("1", 1), ("P", 3), ("CMYK", 3)])
def test_picture_modes(mode, channels, tmp_path):
    path = tmp_path / "query.tiff"
    Image.new("RGB", (5, 3), (10, 20, 30)).convert(mode).save(path)
    found = load_query(path, Pictures())
    assert found.sample.shape == (1, channels, 3, 5)
    assert found.source == str(path)


def test_pattern_that_matches_one_file(tmp_path):
    for name in ("340_zebra.png", "341_hog.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    assert load_query(str(tmp_path / "340*"), Pictures()).source.endswith("340_zebra.png")
    with pytest.raises(QueryError, match="2 files match"):
        load_query(str(tmp_path / "34*"), Pictures())


def test_tensor():
    assert load_query(torch.rand(1, 9, 7), Pictures()).sample.shape == (1, 1, 9, 7)
    assert load_query(torch.rand(2), Circles()).sample.shape == (1, 2)
    for wrong in (torch.rand(2, 1, 4, 4), torch.rand(1, 2, 4, 4), torch.full((1, 4, 4), torch.nan)):
        with pytest.raises(QueryError, match="not a query"):
            load_query(wrong, Pictures())


GREY = np.arange(63, dtype=np.uint8).reshape(9, 7)
RGB = np.stack([GREY, GREY + 64, GREY + 128], axis=2)


@pytest.mark.parametrize("array", [GREY, RGB, GREY[:, :, None], RGB[:, ::-1], RGB.astype(np.uint8, order="F")])
def test_an_array_of_bytes_is_an_image(array):
    found = load_query(array, Pictures())
    assert found.source == "an array given in Python"
    assert np.array_equal(np.asarray(found.image), array.squeeze())
    assert torch.equal(
        found.sample, load_query(Image.fromarray(np.ascontiguousarray(array.squeeze())), Pictures()).sample
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("layout", ["H W C", "C H W", "1 C H W"])
def test_an_array_of_floats_is_a_sample(layout, dtype):
    array = (RGB / 255).astype(dtype)
    expected = torch.tensor(array.astype(np.float32)).permute(2, 0, 1)[None]
    arrays = {"H W C": array, "C H W": array.transpose(2, 0, 1), "1 C H W": array.transpose(2, 0, 1)[None]}
    found = load_query(arrays[layout], Pictures())
    assert found.image is None
    assert torch.equal(found.sample, expected)


def test_other_arrays_that_are_queries():
    read_only = GREY / 255
    read_only.flags.writeable = False
    assert load_query(read_only, Pictures()).sample.shape == (1, 1, 9, 7)
    assert torch.equal(load_query(np.array([1, -2]), Circles()).sample, torch.tensor([[1.0, -2.0]]))
    assert load_query(np.full((1, 9, 7), 1.01), Pictures()).sample.max() > 1  # a sample is not clamped
    assert load_query(np.int64(2), Pictures(4)).source == "the generator's own query 2"


@pytest.mark.parametrize(
    "array",
    [
        RGB.transpose(2, 0, 1),
        np.dstack([RGB, GREY]),
        GREY.astype(np.int64),
        GREY > 3,
        GREY.astype(float),
        GREY / 255 - 0.1,
        np.full((9, 7), np.nan),
        np.full((3, 9, 7), 1e300),
        np.ones((2, 3, 9, 7)),
        np.ones((9, 7, 4)),
        np.ones(63),
        np.array(3),
        np.array(0.5),
        np.array([["a"]]),
        np.array([[None]]),
        1j * GREY,
        GREY[:0],
        GREY[:0] / 255,
    ],
    ids=str,
)
def test_arrays_that_are_no_queries(array):
    with pytest.raises(QueryError, match="array is not a query"):
        load_query(array, Pictures())


@pytest.mark.parametrize("array", [np.ones(3), GREY, GREY / 255, np.array(["a", "b"])])
def test_arrays_that_are_no_points(array):
    with pytest.raises(QueryError, match="array is not a query"):
        load_query(array, Circles())


@pytest.mark.parametrize("query", [True, 3.0, [0.1, 0.2], {"query": 3}, b"image.png", object()])
def test_things_that_are_no_queries(query):
    with pytest.raises(QueryError, match="cannot be of this type"):
        load_query(query, Pictures(4))


def test_a_large_query_is_kept_small_and_measured_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photograph.png")
    query = load_query(str(tmp_path / "photograph.png"), Pixels((3, 28, 28)))
    assert torch.equal(query.sample[0], torch.from_numpy(pixels).permute(2, 0, 1) / 255)
    kept = as_kept(query, Identity(3, 28, 28)).sample
    assert kept.shape == (1, 3, 887, 1182)
    assert torch.equal(kept, quantized(kept))
    assert abs(kept.mean() - query.sample.mean()) < 1e-3
    assert as_kept(query, Identity(3, 1024, 1024)).sample is query.sample  # a generator of large images keeps more
    long = replace(query, sample=torch.rand(1, 3, 1, 3_000_000))
    assert as_kept(long, Identity(3, 8, 8)).sample.shape == (1, 3, 1, 1_773_620)
    point = torch.zeros(1, 2)
    assert as_kept(replace(query, sample=point), Identity(2)).sample is point


def test_a_session_lets_go_of_a_large_query(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2000), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photograph.png")
    settings = Settings(
        "toy:fashion,steps=2", "neuron:17", query=str(tmp_path / "photograph.png"), samples=1, device="cpu"
    )
    gc.collect()
    before = large(pixels.size)
    session = prepare(settings, Plugins())
    gc.collect()
    assert session.describe().called.query.name
    assert session.kept_query.shape == (1, 1, 887, 1182)
    assert large(pixels.size) == before


def large(size):
    """Tensors and images that are alive with so many numbers, or more."""
    alive = [each for each in gc.get_objects() if issubclass(type(each), (torch.Tensor, Image.Image))]
    return sum((each.numel() if isinstance(each, torch.Tensor) else each.width * each.height) >= size for each in alive)


def test_target():
    assert torch.equal(parse_target("-1.5, 2e3", 2), torch.tensor([-1.5, 2000.0]))
    for text, outputs in (("1,2", 1), ("inf", 1), ("", 1), ("1;2", 2)):
        with pytest.raises(UsageError, match="target cannot be used"):
            parse_target(text, outputs)
