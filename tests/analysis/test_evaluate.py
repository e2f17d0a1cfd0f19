"""`equidiff evaluate`, through the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from running import run_circles, run_cli

from equidiff.images.convert import quantized
from equidiff.kinds.image_changes import compress
from equidiff.metrics import nearest_distances, percentiles, spectrum_slope
from equidiff.numerics.random import Stream, prior_latents
from equidiff.registry.manager import Plugins
from equidiff.run.finished import open_finished
from equidiff.run.invariant_set import InvariantSet
from equidiff.search.blocks import BLOCK

PRIOR = 24
FAST = ("--generator", "toy:fashion,steps=2", "--objective", "neuron:17")


@pytest.fixture(scope="module", autouse=True)
def few_prior_samples():
    """Few prior samples, to save time: their number matters to statistics, not to correctness."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equidiff.analysis.evaluation.sample_sets.FEWEST_PRIOR", PRIOR)
        yield


@pytest.fixture(scope="module")
def garments(tmp_path_factory):
    """Four members of garments, made with two sampler steps."""
    path = tmp_path_factory.mktemp("evaluate") / "run"
    outcome = run_cli("run", *FAST, "--samples", 4, "--tolerance", 0.01, "--device", "cpu", "--out", path)
    assert outcome.code == 0, outcome.stderr
    return path


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluate") / "points"
    assert run_circles("--samples", 6, "--out", path).code == 0
    return path


@pytest.fixture(scope="module")
def metrics(garments):
    outcome = run_cli("evaluate", garments, "--json", "--device", "cpu")
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout == (garments / "metrics.json").read_text()
    return json.loads(outcome.stdout)


def test_every_group_is_measured_and_numbers_come_with_intervals_and_units(metrics):
    assert metrics["schema_version"] == 1
    assert (metrics["members"], metrics["plain"]) == (4, PRIOR)
    assert list(metrics["groups"]) == ["fidelity", "spectral", "realism", "diversity"]
    for group, name in [("fidelity", "l2"), ("spectral", "slope"), ("realism", "kid"), ("diversity", "vendi")]:
        metric = metrics["groups"][group][name]
        assert metric["n"] == 4
        low, high = metric["interval"]
        assert low <= high
        assert {"value", "plain", "unit", "label"} <= metric.keys()
    assert set(metrics["absent"]) >= {"fidelity.kl", "realism.fid"}
    assert metrics["per_member"]["index"] == [0, 1, 2, 3]
    assert {len(values) for values in metrics["per_member"].values()} == {4}


def test_the_numbers_are_those_of_the_run(garments, metrics):
    """The run recorded them with other code."""
    found = InvariantSet.load(garments)
    deviation = (found.measurements - found.target).abs()[:, 0]
    assert metrics["groups"]["fidelity"]["l2"]["value"] == pytest.approx(deviation.mean().item(), rel=1e-3)
    saved = torch.tensor([record.measurement for record in found.members])
    deviation = (saved - found.target).abs()[:, 0]
    assert metrics["groups"]["fidelity"]["saved_l2"]["value"] == pytest.approx(deviation.mean().item(), rel=1e-3)
    slopes = spectrum_slope(found.samples)
    assert metrics["groups"]["spectral"]["slope"]["value"] == pytest.approx(slopes.mean().item(), rel=1e-4)
    norms = [record.latent_norm for record in found.members]
    assert metrics["groups"]["realism"]["latent_norm"]["value"] == pytest.approx(sum(norms) / 4, rel=1e-4)


def test_numbers_that_are_compared_with_prior_samples_are_computed_again_by_hand(garments, metrics):
    finished = open_finished(garments, Plugins(), (), device="cpu")
    problem, found = finished.session.problem, finished.found
    with torch.no_grad():
        prior, reference = (
            quantized(problem.generator.generate(prior_latents(problem.generator, PRIOR, 0, stream)))
            for stream in (Stream.CONTROL, Stream.REFERENCE)
        )
        measured = problem.objective.measure(prior)
        jpeg = [problem.objective.measure(compress(rows, 75)) for rows in (found.samples, prior)]
        before = [problem.objective.measure(rows) for rows in (found.samples, prior)]
    fidelity, realism = metrics["groups"]["fidelity"], metrics["groups"]["realism"]
    deviation = (measured - found.target).abs().mean().item()
    assert fidelity["l1"]["plain"] == pytest.approx(deviation, rel=1e-4)
    spread = measured.std().item()
    assert fidelity["l1_spreads"]["value"] == pytest.approx(fidelity["l1"]["value"] / spread, rel=1e-4)
    shifts = [(now - then).abs().mean().item() for now, then in zip(jpeg, before, strict=True)]
    assert fidelity["jpeg_75_shift"]["value"] == pytest.approx(shifts[0], rel=1e-3)
    assert fidelity["jpeg_75_shift"]["plain"] == pytest.approx(shifts[1], rel=1e-3)
    rows = [each.flatten(1) for each in (found.samples, prior, reference)]
    ranks = percentiles(nearest_distances(rows[0], rows[2]), nearest_distances(rows[1], rows[2]))
    assert realism["percentile"]["value"] == pytest.approx(ranks.mean().item(), rel=1e-4)


def test_members_after_a_change_are_those_that_the_set_contains(garments, metrics):
    found = InvariantSet.load(garments)
    images = torch.stack([torch.from_numpy(np.array(Image.open(garments / str(each.image)))) for each in found.members])
    inside = found.contains(compress(images[:, None].float() / 255, 90))
    value = metrics["groups"]["fidelity"]["jpeg_90_members"]["value"]
    assert value == pytest.approx(inside.double().mean().item())


def test_prior_samples_are_not_the_runs_own_and_depend_only_on_their_index(garments):
    finished = open_finished(garments, Plugins(), (), device="cpu")
    generator = finished.session.problem.generator
    drawn = prior_latents(generator, 20, 0, Stream.CONTROL)
    torch.testing.assert_close(drawn[:5], prior_latents(generator, 5, 0, Stream.CONTROL), rtol=0, atol=0)
    assert not torch.equal(drawn[:5], prior_latents(generator, 5, 1, Stream.CONTROL))
    assert not torch.equal(drawn[:5], prior_latents(generator, 5, 0, Stream.REFERENCE))
    # and no latent that a run with this seed starts from or evaluates
    seen = []
    problem = finished.session.problem

    class Spy:
        def __getattr__(self, name):
            return getattr(problem, name)

        def value(self, latents, steps=None):
            seen.append(latents)
            return problem.value(latents, steps)

    session = replace(finished.session, problem=Spy(), budget=1.0)
    for _ in session.run(range(BLOCK)):
        pass
    seen = torch.cat(seen).flatten(1)
    assert len(seen) >= BLOCK
    gaps = torch.cdist(drawn.flatten(1), seen)
    assert gaps.min() > 1


def test_the_same_seed_gives_the_same_numbers_whatever_the_batch(garments, metrics):
    outcome = run_cli("evaluate", garments, "--json", "--device", "cpu", "--batch", 7)
    again = json.loads(outcome.stdout)
    for group, measured in metrics["groups"].items():
        for name, metric in measured.items():
            value = again["groups"][group][name]["value"]
            assert value == pytest.approx(metric["value"], rel=1e-3, abs=1e-5), name
    other = json.loads(run_cli("evaluate", garments, "--json", "--device", "cpu", "--seed", 5).stdout)
    kid = [each["groups"]["realism"]["kid"]["value"] for each in (metrics, other)]
    assert kid[0] != kid[1]


def test_the_tables_have_names_and_units(garments):
    outcome = run_cli("evaluate", garments, "--device", "cpu", "--members", 3, "--all")
    assert outcome.code == 0
    for words in ("95 % interval", "fidelity", "spectral", "realism", "diversity", "activation", "not measured"):
        assert words in outcome.stdout
    assert "Members: 3. Below 50" in outcome.stderr
    assert "is under test" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_it_begins_with_four_sentences(garments, metrics):
    outcome = run_cli("evaluate", garments, "--device", "cpu")
    assert outcome.code == 0
    lines = outcome.stdout.splitlines()
    assert lines == [each["sentence"] for each in metrics["verdicts"]]
    assert [each["name"] for each in metrics["verdicts"]] == ["target", "saving", "realism", "diversity"]
    assert "4 of 4 are members as saved" in lines[1]
    assert f"all numbers: equidiff evaluate {garments} --all" in outcome.stderr.splitlines()
    assert run_cli("evaluate", garments, "--device", "cpu", "--all").stdout.splitlines()[:4] == lines
