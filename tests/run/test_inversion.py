"""Runs that start from the query's own latent: where their samples start, and that nothing else changes."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from analytic import Curved, Identity, Linear, linear_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from running import assert_one_error, read_lines, read_run, read_tensors, run_circles, run_cli
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close

import equidiff
from equidiff.builtin.generators.fashion import load_fashion_flow
from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import BuildContext, Solver, Step
from equidiff.numerics.gaussian import angle_between
from equidiff.registry.manager import Plugins
from equidiff.run.finished import open_finished
from equidiff.run.inversion import invert_query
from equidiff.run.query import Query, as_sample, load_query
from equidiff.search.engine import Result, solve
from equidiff.search.starts import QueryStart, start_angle


class Takes(Solver):
    """Stands on its start, then on what it draws, then on its best two candidates."""

    budget = 1000

    def solve(self, latents, residual, budget):
        yield Step(0, (yield from residual.value(latents)))
        yield Step(1, (yield from residual.value(residual.draw(3))).rows(2, 3))
        found = yield from residual.candidates(5)
        yield Step(2, found.rows(0, 1))
        yield Step(3, found.rows(1, 2))


class Invertible(Identity):
    """x = z, and back."""

    def invert(self, samples: Tensor) -> Tensor:
        return samples


class Lossy(Invertible):
    """Its inverse forgets half of the sample."""

    def invert(self, samples: Tensor) -> Tensor:
        return torch.cat([samples[:, : samples.shape[1] // 2], torch.zeros(len(samples), samples.shape[1] // 2)], dim=1)


def results(problem, solver, indices, start, batch=16, budget=400, tolerance=1e-6):
    events = solve(problem, solver, indices, seed=3, batch=batch, budget=budget, tolerance=tolerance, start=start)
    return {event.index: event for event in events if isinstance(event, Result)}


@pytest.fixture(scope="module")
def start():
    return QueryStart(torch.randn(1, 400, generator=torch.Generator().manual_seed(8)))


def test_angles_cover_the_quarter_turn_evenly_however_many_there_are():
    """The largest gap is at most 2.7 times the mean one (three-distance theorem); of random angles it is ln n times."""
    for count in (1, 2, 5, 16, 33, 100, 1000):
        angles = sorted(start_angle(index) for index in range(count))
        assert angles[0] > 0
        assert angles[-1] == math.pi / 2
        gaps = np.diff([0, *angles])
        assert max(gaps) < 2.7 * (math.pi / 2) / count


def test_starts_draws_and_hands_are_those_of_the_formula(start):
    """Of many draws at one angle: their mean is cos(a) z*, their spread sin(a)."""
    prior = torch.randn(4000, 400, generator=torch.Generator().manual_seed(1))
    for index in (0, 1, 7):
        drawn, angle = start.transform(prior, index), start_angle(index)
        assert_close(drawn.mean(dim=0), math.cos(angle) * start.latent[0], atol=0.08, rtol=0)
        assert drawn.std(dim=0).mean().item() == pytest.approx(math.sin(angle), rel=0.02)


def test_samples_start_at_their_angles(start):
    """In 400 dimensions a draw from the prior is nearly at a right angle to z*, so the angle is nearly that meant."""
    problem = linear_problem(400, generator=Identity(400))
    for index, result in results(problem, Takes(), range(9), start).items():
        assert start.distance(result.answer.latents) == pytest.approx(start_angle(index), abs=0.2)
        assert result.answer.latents.norm() / 20 == pytest.approx(1, abs=0.15)


def test_a_sample_alone_is_the_same_as_among_others(start):
    problem = linear_problem(400, generator=Identity(400))
    for solver in (Takes(), Auto()):
        together = results(problem, solver, range(20), start)
        narrow = results(problem, solver, range(20), start, batch=3)
        alone = results(problem, solver, [17], start)
        assert_close(together[17].answer.latents, alone[17].answer.latents, atol=1e-5, rtol=0)
        assert_close(together[17].answer.latents, narrow[17].answer.latents, atol=1e-5, rtol=0)
        assert together[17].cost == alone[17].cost


def test_every_pass_of_an_own_hand_is_counted(start):
    class Counts(Identity):
        rows = 0

        def generate(self, latents, steps=None):
            Counts.rows += len(latents)
            return latents

    found = results(linear_problem(400, generator=Counts(400)), Takes(), range(4), start, batch=6)
    assert all(result.cost.forwards == 1 + 3 + 5 for result in found.values())
    assert all(result.cost.charged == result.cost.evaluations for result in found.values())
    # the passes are filled up to rows of four, which costs nobody anything
    assert sum(result.cost.forwards for result in found.values()) <= Counts.rows < 2 * 4 * 9


def test_hands_are_sorted_and_fresh(start):
    class TwoHands(Takes):
        def solve(self, latents, residual, budget):
            first = yield from residual.candidates(4)
            second = yield from residual.candidates(4)
            assert (first.loss.diff() >= 0).all()
            assert not torch.isin(first.loss, second.loss).any()
            yield Step(0, first.rows(0, 1))

    assert results(linear_problem(400, generator=Identity(400)), TwoHands(), [5], start)[5].error is None


@settings(deadline=None)  # the first call of torch takes long
@given(st.floats(0, math.pi), st.floats(0.1, 10), st.integers(0, 1000))
def test_distance_is_the_angle_whatever_the_lengths(angle, length, seed):
    one, other = torch.linalg.qr(torch.randn(30, 2, generator=torch.Generator().manual_seed(seed)).double()).Q.T
    turned = length * (math.cos(angle) * one + math.sin(angle) * other)
    assert angle_between(one, turned) == pytest.approx(angle, abs=1e-7)


def test_a_query_is_inverted_and_measured_again():
    problem = linear_problem(200, generator=Invertible(200))
    query = Query("a point", torch.randn(1, 200, generator=torch.Generator().manual_seed(4)), None)
    start, found = invert_query(query, problem)
    assert_close(start.latent, query.sample)
    assert found.round_trip == 0
    assert found.warning is None
    assert found.latent_norm == pytest.approx(query.sample.norm().item() / 200**0.5)
    assert found.loss == pytest.approx(problem.value(query.sample).loss.item())


def test_a_latent_that_is_not_typical_is_brought_to_the_nearest_length_that_is_and_that_is_told():
    query = Query("a point", 3 * torch.randn(1, 200, generator=torch.Generator().manual_seed(4)), None)
    start, found = invert_query(query, linear_problem(200, generator=Invertible(200)))
    length = start.latent.norm().item() / 200**0.5
    assert 1.1 < length < 1.15  # the 99.5 % point of chi with 200 degrees of freedom, over its root, is 1.13
    assert angle_between(start.latent, query.sample) == pytest.approx(0, abs=1e-6)
    assert found.latent_norm == pytest.approx(3, rel=0.1)
    off = (query.sample - start.latent).square().mean().sqrt() / query.sample.std(correction=0)
    assert found.round_trip == pytest.approx(off.item(), rel=1e-5)
    assert "differs from the query by" in found.warning


def test_a_poor_inverse_is_warned_of():
    with pytest.warns(UserWarning, match="not near the query"):
        equidiff.sample(Lossy(40), Linear(torch.ones(1, 40)), query=torch.randn(40), samples=1, start="query")


def test_pictures_become_samples():
    picture = Image.new("RGB", (40, 20), (255, 0, 0))
    picture.paste((0, 255, 0), (10, 0, 30, 20))
    fitted = as_sample(Query("p", torch.zeros(1, 3, 20, 40), picture), Identity(3, 10, 10))
    green = torch.tensor([0.0, 1.0, 0.0])[None, :, None, None].expand(1, 3, 10, 10)
    assert_close(fitted[..., 1:-1], green[..., 1:-1])  # bicubic pixels at the edge see a little of what is cut off
    assert_close(fitted, green, atol=0.1, rtol=0)
    grey = as_sample(Query("p", torch.zeros(1, 3, 20, 40), picture), Identity(1, 10, 10))
    assert_close(grey[..., 1:-1], torch.full((1, 1, 10, 8), 150 / 255))  # 0.587 * 255
    same = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    exact = as_sample(Query("p", torch.zeros(1, 1, 4, 4), same), Identity(1, 4, 4))
    assert_close(exact, torch.arange(16.0).reshape(1, 1, 4, 4) / 255)


def test_the_shipped_flow_gives_a_query_back():
    generator = load_fashion_flow(BuildContext(), None, recompute=False)
    sample = as_sample(load_query(3, generator), generator)
    with torch.no_grad():
        latent = generator.invert(sample)
        again = generator.generate(latent)
    assert ((again - sample).square().mean().sqrt() / sample.std()).item() < 0.05
    assert latent.norm().item() / 28 == pytest.approx(1, abs=0.1)
    assert abs(latent.mean().item()) < 0.1


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("start") / "run"
    outcome = run_circles("--query", 1, "--start", "query", "-n", 9, "--out", path)
    assert outcome.code == 0
    assert "gives the query back with an error of" in outcome.stderr
    return path


def test_the_folder_says_where_the_run_started(run):
    info = read_run(run)
    assert info["options"]["start"] == "query"
    assert info["inversion"]["round_trip"] < 1e-3
    assert info["inversion"]["loss"] < 1e-6
    tensors = read_tensors(run)
    for line in read_lines(run / "members.jsonl"):
        latent = tensors["latents"][line["index"]]
        assert line["distance"] == pytest.approx(angle_between(tensors["query_latent"][0], latent), abs=1e-6)
        assert line["start_angle"] == start_angle(line["index"])


def test_a_plain_run_says_nothing_of_distances(tmp_path):
    path = run_circles("-n", 1, "--out", tmp_path / "run").path
    assert read_run(path)["options"]["start"] == "prior"
    assert "inversion" not in read_run(path)
    assert not read_lines(path / "members.jsonl")[0].keys() & {"distance", "start_angle"}


def test_sets_keep_the_latent(run, tmp_path):
    loaded = equidiff.InvariantSet.load(run)
    found = equidiff.sample("toy:circles", "classifier:inner", query=1, samples=9, start="query")
    assert_close(found.query_latent, loaded.query_latent)
    assert_close(found.latents, loaded.latents, atol=1e-5, rtol=0)
    again = equidiff.InvariantSet.load(found.save(tmp_path / "saved"))
    assert_close(again.query_latent, found.query_latent)
    assert again.records == found.records
    assert open_finished(run, Plugins(), ("equidiff",), device="cpu").session.start is not None


@pytest.mark.parametrize("gathered", [True, False], ids=["interrupted", "killed"])
def test_a_resumed_run_starts_where_it_would_have(run, tmp_path, gathered):
    path = tmp_path / "part"
    whole = read_tensors(run)
    if gathered:
        shutil.copytree(run, path)
        lines = (run / "members.jsonl").read_text().splitlines()[:4]
        (path / "members.jsonl").write_text("\n".join(lines) + "\n")
    else:
        shutil.copytree(run, path)
        (path / "members.jsonl").write_text("")
        shutil.rmtree(path / "tensors")
    info = read_run(path) | {"status": "running"}
    (path / "run.json").write_text(json.dumps(info))
    assert run_cli("run", "--resume", path).code == 0
    tensors = read_tensors(path)
    assert_close(tensors["latents"], whole["latents"], atol=1e-5, rtol=0)
    assert_close(tensors["query_latent"], whole["query_latent"])
    same = [line | {"wall_s": 0} for line in read_lines(run / "members.jsonl")]
    assert [line["distance"] for line in read_lines(path / "members.jsonl")] == pytest.approx(
        [line["distance"] for line in same], abs=1e-4
    )


def test_a_run_that_lost_its_latent(run, tmp_path):
    path = tmp_path / "lost"
    shutil.copytree(run, path)
    tensors = load_file(path / "query.safetensors")
    save_file({"query": tensors["query"]}, path / "query.safetensors")
    (path / "run.json").write_text(json.dumps(read_run(path) | {"status": "interrupted"}))
    assert_one_error(run_cli("run", "--resume", path), 1, "is lost", "query_latent")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--start", "quey"), 2, ["start", "quey", "query"]),
        (("--start", "query", "--target", "0.5"), 2, ["no query to start from"]),
    ],
)
def test_bad_starts(arguments, code, words, tmp_path):
    assert_one_error(run_circles(*arguments, "--out", tmp_path / "run"), code, *words)
    assert not (tmp_path / "run").exists()


def test_a_generator_that_cannot_invert(tmp_path):
    outcome = run_cli("run", "-g", "toy:fashion,steps=1", "--start", "query", "--out", tmp_path / "run")
    assert_one_error(outcome, 1, "latent cannot be found", "a single step", "lightningdit", "--start prior")
    with pytest.raises(equidiff.EquiDiffError, match="cannot be found"):
        equidiff.sample(Curved(2), Linear(torch.ones(1, 2)), query=torch.ones(2), start="query", samples=1)


def test_a_query_of_another_shape():
    with pytest.raises(equidiff.EquiDiffError, match="shape of this generator's samples"):
        as_sample(Query("three numbers", torch.zeros(1, 3), None), Invertible(2))


def test_a_latent_that_is_not_finite():
    class Broken(Invertible):
        def invert(self, samples):
            return samples / 0

    with pytest.raises(equidiff.EquiDiffError, match="not finite"):
        equidiff.sample(Broken(2), Linear(torch.ones(1, 2)), query=torch.ones(2), start="query", samples=1)
