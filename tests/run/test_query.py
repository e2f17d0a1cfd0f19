"""Finding, reading and measuring what the user asks about."""

import pytest
import torch
from PIL import Image

from equidiff.builtin.generators.circles import Circles
from equidiff.contracts import Generator
from equidiff.errors import QueryError, UsageError
from equidiff.run.query import default_query, load_query, parse_target


class Pictures(Generator):
    """Makes grey pictures; has as many queries of its own as asked."""

    latent_shape = sample_shape = (1, 4, 4)

    def __init__(self, count=0):
        self.count = count

    def generate(self, latents, steps=None):
        return latents

    def queries(self):
        return [Image.new("L", (4, 4), 10 * index) for index in range(self.count)]


@pytest.mark.parametrize(("count", "index"), [(0, None), (1, 0), (3, 0), (4, 3), (20, 3)])
def test_default_is_query_3_or_the_first(count, index):
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


def test_target():
    assert torch.equal(parse_target("-1.5, 2e3", 2), torch.tensor([-1.5, 2000.0]))
    for text, outputs in (("1,2", 1), ("inf", 1), ("", 1), ("1;2", 2)):
        with pytest.raises(UsageError, match="target cannot be used"):
            parse_target(text, outputs)
