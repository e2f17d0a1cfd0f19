"""One function measures files and samples: a query is in its own set."""

import io

import numpy as np
import pytest
import torch
from analytic import Identity
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from running import read_lines, run_cli

import equidiff
from equidiff.images.convert import image_to_tensor
from equidiff.images.read import read_image
from equidiff.registry.manager import Plugins
from equidiff.run.session import prepare
from equidiff.run.settings import Settings

OBJECTIVES = ("neuron:17", "neuron:block2.5,positions=all", "layer:pool", "classifier:bag", "classifier",
              "classifier,output=distribution", "neuron:3 + -0.5*neuron:17")  # fmt: skip
SMALL = "toy:fashion,steps=2"
SCORE = "def score(samples):\n    return samples.flatten(1).sum(dim=1)\n"


def picture(seed, size, mode="L"):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def opened(query, objective="neuron:17"):
    """The session of a run, without prior samples, which take the longest."""
    return prepare(Settings(SMALL, objective, query=query, tolerance=1e-3), Plugins(), with_prior=False)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_picture_of_the_generators_size_measures_the_same_as_a_file_and_as_a_sample(objective):
    spread = prepare(Settings(SMALL, objective, query=0), Plugins()).prior.spread
    assert spread > 0

    @settings(max_examples=4, deadline=None)
    @given(seed=st.integers(0, 2**31), mode=st.sampled_from(["L", "RGB"]))
    def check(seed, mode):
        image = picture(seed, (28, 28), mode)
        file = io.BytesIO()
        image.save(file, "png")
        from_file, as_tensor = (opened(query, objective) for query in (Image.open(file), image_to_tensor(image)))
        assert (from_file.problem.target - as_tensor.problem.target).norm() <= 1e-4 * spread
        for session in (from_file, as_tensor):
            assert session.problem.judge(session.query.sample)[1].item() < (1e-4 * spread) ** 2

    check()


def test_every_query_of_the_toy_is_in_its_own_set():
    sessions = [opened(query) for query in range(20)]
    losses = torch.tensor([[one.problem.judge(other.query.sample)[1].item() for other in sessions] for one in sessions])
    assert losses.diagonal().max() < 1e-9
    # the negative control: others are not
    assert (losses + torch.eye(20)).gt(1e-3).float().mean() > 0.9


@pytest.mark.parametrize("sampling", [{}, {"saved": "float"}, {"regularizer": "none"}, {"regularizer": "tv:0.5"}])
def test_contains_its_query(sampling, tmp_path):
    found = equidiff.sample(SMALL, query=13, samples=1, budget=1, **sampling)
    assert found.contains(found.query).all()
    assert equidiff.load(found.save(tmp_path / "run")).contains(found.query).all()


def test_a_query_of_floats_is_rounded_as_its_set_is():
    query = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    found = equidiff.sample(SMALL, query=query, samples=1, budget=1)
    assert torch.equal(found.query, (query.clamp(0, 1) * 255).round() / 255)
    assert found.contains(found.query).all()
    assert found.contains(query).all()  # judged as it would be saved
    exact = equidiff.sample(SMALL, query=query, samples=1, budget=1, saved="float")
    assert torch.equal(exact.query, query)
    assert exact.contains(query).all()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_function_of_samples_never_sees_a_larger_picture(mode, tmp_path):
    """It is made for 28 x 28 grey pixels: a file of another size is fitted to these, and shown so."""
    (tmp_path / "probe.py").write_text(SCORE)
    picture(0, (280, 280), mode).resize((28, 28)).resize((280, 280)).save(tmp_path / "query.png")
    out = tmp_path / "run"
    query = ("--query", tmp_path / "query.png")
    spec = f"custom:{tmp_path}/probe.py:score"
    outcome = run_cli("run", "-g", SMALL, "-o", spec, *query, "-n", 1, "--budget", 1, "--out", out)
    assert outcome.code in (0, 3), outcome.stderr
    found = equidiff.load(out)
    assert found.query.shape == (1, 1, 28, 28)
    assert found.target.item() == pytest.approx(found.query.sum().item(), rel=1e-5)


def test_a_network_of_its_own_size_keeps_the_details_of_a_file():
    image = picture(0, (56, 56))
    session = opened(image)
    assert session.query.sample.shape == (1, 1, 56, 56)
    assert session.problem.judge(session.query.sample)[0].item() == pytest.approx(session.problem.target.item())


class Brightness(equidiff.Objective):
    """An author's own, that leaves everything to the contract."""

    names, unit = ("brightness",), "value"

    def measure(self, samples):
        assert samples.shape[1:] == (1, 4, 4)
        return samples.flatten(1).mean(dim=1, keepdim=True)


@pytest.mark.parametrize("size", [(4, 4), (40, 40), (9, 17)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_objective_that_says_nothing_gets_the_shape_of_samples(size, mode):
    image = picture(1, size, mode)
    found = equidiff.sample(Identity(1, 4, 4), Brightness(), "none", query=image, samples=1, budget=1)
    assert found.query.shape == (1, 1, 4, 4)
    assert found.target.item() == pytest.approx(np.asarray(image.convert("L")).mean() / 255, abs=0.15)


def test_members_of_a_run_are_members_after_reading_the_files_back(tmp_path):
    out = tmp_path / "run"
    assert run_cli("run", "-g", SMALL, "-n", 3, "--out", out).code == 0
    found, lines = equidiff.load(out), read_lines(out / "members.jsonl")
    files = torch.cat([image_to_tensor(read_image(out / line["image"])) for line in lines])
    assert torch.equal(files, found.samples)
    assert found.contains(files).all()
    objective = prepare(Settings(SMALL), Plugins(), default_to_query=True).problem.objective
    with torch.no_grad():
        measured = objective.measure(files)[:, 0].tolist()
    for line, value in zip(lines, measured, strict=True):
        assert line["measurement"] == [pytest.approx(value, abs=1e-5)]
        assert "measurement_saved" not in line
        assert abs(value - found.target.item()) < found.info.within  # no caption outside the tolerance
    # the negative control: before it was asked to, a run judged floats, and their files differ
    exact = equidiff.sample(SMALL, query=3, samples=3, saved="float")
    assert not torch.equal(exact.samples, (exact.samples.clamp(0, 1) * 255).round() / 255)
    assert exact.records[0].measurement_saved != exact.records[0].measurement
