"""Prior samples of a run, the spread of the measurement over them, and tolerances that are a part of it."""

import json
import math

import numpy as np
import pytest
import torch
from analytic import Identity, Linear
from running import assert_one_error, make_old, read_run, run_circles, run_cli
from safetensors.torch import load_file

import equidiff
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.errors import UsageError
from equidiff.run.info import read_info
from equidiff.run.prior import COUNT, absolute_tolerance, measure_prior
from equidiff.run.settings import Settings, parse_tolerance
from equidiff.run.wording import prior_warning
from equidiff.search.problem import Problem


def problem(weights, target=0.0, weight=1.0):
    weights = torch.tensor(weights)
    target = torch.full((len(weights),), target)
    return Problem(Identity(weights.shape[1]), Linear(weights), NoRegularizer(), target, weight=weight)


@pytest.mark.parametrize("weights", [[[3.0, 4.0]], [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]])
def test_the_spread_is_the_root_of_the_total_variance(weights):
    prior = measure_prior(problem(weights), None, 16)
    slow = math.sqrt(sum(np.var(prior.measurements[:, m].numpy()) for m in range(len(weights))))
    assert prior.spread == pytest.approx(slow, rel=1e-3)
    true = math.sqrt(sum(a * a + b * b for a, b in weights))  # of a standard normal
    assert prior.spread == pytest.approx(true, rel=4 / math.sqrt(2 * COUNT))
    assert len(prior.losses) == COUNT


def test_it_depends_on_nothing_but_generator_and_objective():
    one, other = (measure_prior(problem([[3.0, 4.0]], target), None, batch) for target, batch in ((0.0, 16), (2.0, 7)))
    assert torch.equal(one.samples, other.samples)
    assert one.spread == other.spread
    assert not torch.equal(one.losses, other.losses)


def test_samples_are_made_once_for_a_generator(monkeypatch):
    made = problem([[3.0, 4.0]])
    calls = []
    monkeypatch.setattr(
        type(made.generator), "generate", lambda self, rows, steps=None: calls.append(len(rows)) or rows
    )
    first, again = (measure_prior(made, None, 16, key="one") for _ in range(2))
    assert sum(calls) == COUNT
    assert torch.equal(first.samples, again.samples)
    measure_prior(made, None, 16, key="another")
    measure_prior(made, None, 16)
    measure_prior(made, None, 16)
    assert sum(calls) == 4 * COUNT
    assert measure_prior(problem([[1.0, 1.0]]), None, 16, key="one").spread != first.spread  # measured anew


@pytest.mark.parametrize(
    ("given", "value", "relative"),
    [("5%", 0.05, True), (" 8 % ", 0.08, True), ("120%", 1.2, True), ("0.01", 0.01, False), (0.01, 0.01, False)],
)
def test_a_tolerance_is_a_loss_or_a_part_of_the_spread(given, value, relative):
    read = parse_tolerance(given)
    assert (read.value, read.relative) == (pytest.approx(value), relative)


@pytest.mark.parametrize("given", ["", "%", "x", "0", "-1", "0%", "inf", "nan", "5%%", "5 percent", math.inf])
def test_what_is_no_tolerance(given):
    with pytest.raises(UsageError, match="tolerance") as caught:
        Settings(tolerance=given)
    assert caught.value.hint == "--tolerance 5%"


@pytest.mark.parametrize("weight", [1.0, 9.0])
def test_a_part_of_the_spread_as_a_loss(weight):
    made = problem([[3.0, 4.0]], weight=weight)
    prior = measure_prior(made, None, 16)
    tolerance = absolute_tolerance(parse_tolerance("10%"), made, prior)
    # a sample at a tenth of a spread from the target has this loss
    at = made.target + 0.1 * prior.spread
    assert weight * (at - made.target).square().item() == pytest.approx(tolerance)
    assert absolute_tolerance(parse_tolerance(0.02), made, prior) == 0.02


def test_where_the_measurement_does_not_vary_the_distance_of_the_target_counts():
    flat = problem([[0.0, 0.0]], target=2.0)
    prior = measure_prior(flat, None, 16)
    assert prior.spread == 0
    assert absolute_tolerance(parse_tolerance("10%"), flat, prior) == pytest.approx(0.2**2)
    same = problem([[0.0, 0.0]])
    with pytest.raises(UsageError, match="same for all") as caught:
        absolute_tolerance(parse_tolerance("10%"), same, measure_prior(same, None, 16))
    assert caught.value.hint == "--tolerance 0.001"


def test_a_measurement_that_is_never_finite_is_refused(tmp_path):
    """Else the tolerance would be no number, and nothing a member without a word."""
    (tmp_path / "probe.py").write_text(
        "def score(points):\n    total = points.sum(dim=1)\n    return total / (total * 0 + (len(points) == 2))\n"
    )
    arguments = ("--objective", f"custom:{tmp_path}/probe.py:score", "--out", tmp_path / "run")
    assert_one_error(run_circles(*arguments, "--target", "0.3"), 2, "not finite", "--tolerance 0.001")
    assert not (tmp_path / "run").exists()


def test_a_run_writes_it(tmp_path):
    path = run_circles("-n", 2, "--seed", 5, "--tolerance", "5%", "--query", 1, "--out", tmp_path / "run").path
    info, tensors = read_run(path), load_file(path / "prior.safetensors")
    assert tensors.keys() == {"samples", "measurements", "losses", "classes"}
    spread = tensors["measurements"].double().std(dim=0, correction=0).item()
    assert info["prior"]["spread"] == pytest.approx(spread, rel=1e-3)
    assert info["tolerance_given"] == "5%"
    assert info["within"] == pytest.approx(0.05 * info["prior"]["spread"], rel=1e-6)
    assert info["tolerance"] == pytest.approx(info["within"] ** 2)
    assert info["prior"]["members"] == (tensors["losses"] < info["tolerance"]).sum()
    absolute = run_circles("-n", 1, "--tolerance", "0.01", "--query", 1, "--out", tmp_path / "absolute").path
    assert read_run(absolute)["tolerance"] == 0.01
    assert read_run(absolute)["prior"] == info["prior"] | {"members": read_run(absolute)["prior"]["members"]}
    found = equidiff.load(path)
    assert found.prior.keys() == tensors.keys()
    assert found.save(tmp_path / "again").joinpath("prior.safetensors").exists()


def test_a_resumed_run_keeps_its_tolerance(tmp_path):
    path = run_circles("-n", 2, "--out", tmp_path / "run").path
    before = read_run(path)
    (path / "run.json").write_text(json.dumps(before | {"status": "interrupted"}))
    assert run_cli("run", "--resume", path).code == 0
    after = read_run(path)
    assert {name: after[name] for name in ("tolerance", "within", "prior")} == {
        name: before[name] for name in ("tolerance", "within", "prior")
    }


def test_bad_input(tmp_path):
    assert_one_error(run_circles("--tolerance", "5 percent", "--out", tmp_path / "x"), 2, "tolerance", "--tolerance 5%")


def test_a_warning_where_prior_samples_are_members_already():
    info = equidiff.sample("toy:circles", "classifier:inner", "none", query=1, samples=1, tolerance=0.9).info
    assert info.prior.members > 0.25 * info.prior.count
    assert prior_warning(info).startswith(
        f"{info.prior.members} of {info.prior.count} prior samples are members before"
    )
    strict = equidiff.sample("toy:circles", "classifier:inner", "none", query=1, samples=1, tolerance=1e-6).info
    assert prior_warning(strict) is None


def test_schema_version_1_still_reads(tmp_path):
    path = run_circles("-n", 1, "--out", tmp_path / "run").path
    make_old(path, 1)
    info = read_run(path)
    for name in ("prior", "within", "tolerance_given", "called"):
        del info[name]
    del info["options"]["saved"]
    (path / "run.json").write_text(json.dumps(info))
    (path / "prior.safetensors").unlink()
    old = read_info(path)
    assert (old.prior, old.within, old.called, old.options.saved) == (None, None, None, "float")
    found = equidiff.load(path)
    assert found.prior == {}
    assert found.contains(found.samples).all()


def test_the_tolerance_of_infinite_is_that_of_the_thesis():
    found = equidiff.sample("toy:circles", "classifier:inner", solver="infinite", query=0, samples=1, budget=1)
    assert (found.info.tolerance, found.info.tolerance_given) == (0.01, "0.01")
