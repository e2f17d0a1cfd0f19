"""Runs of a generator without queries of its own ask about one of its prior samples."""

import pytest
import torch
from PIL import Image
from running import assert_one_error, read_run, run_circles, run_cli
from safetensors.torch import load_file

import equidiff
from equidiff.contracts import Objective
from equidiff.errors import QueryError, UsageError
from equidiff.images.convert import quantized
from equidiff.run.prior import COUNT
from equidiff.run.prior_query import choose_prior_query, is_prior_query

QUICK = ("-g", "pixels:8", "-r", "none", "-n", "1", "--tolerance", "1e9")


class Brightness(Objective):
    names, unit = ("brightness",), "activation"

    def __init__(self, threshold=-1.0, sparse=False):
        self.threshold, self.sparse = threshold, sparse

    def measure(self, samples):
        return (samples.flatten(1).mean(dim=1, keepdim=True) - self.threshold).clamp(min=0)


class Corners(Objective):
    names, unit = ("left", "right"), "activation"

    def measure(self, samples):
        return torch.stack([samples[:, 0, 0, 0], samples[:, 0, -1, -1]], dim=1)


@pytest.fixture
def samples():
    return torch.rand(COUNT, 1, 4, 4)


def chosen(objective, samples, query="prior"):
    written, found = choose_prior_query(query, samples, objective, 7, quantized)
    index = int(written.partition(":")[2])
    assert torch.equal(found.sample, samples[index : index + 1])
    return index, found.source


def test_a_sparse_unit_is_asked_where_it_is_most_active(samples):
    order = quantized(samples).flatten(1).mean(dim=1).argsort()
    highest = int(order[-1])
    assert chosen(Brightness(sparse=True), samples) == (highest, f"prior sample {highest} (the highest of 64)")


def test_another_unit_is_asked_at_its_median(samples):
    order = quantized(samples).flatten(1).mean(dim=1).argsort()
    median = int(order[(COUNT - 1) // 2])
    assert chosen(Brightness(), samples) == (median, f"prior sample {median} (the median of 64)")


def test_a_unit_that_is_silent_on_half_of_them_counts_as_sparse(samples):
    values = quantized(samples).flatten(1).mean(dim=1)
    assert chosen(Brightness(float(values.sort().values[40])), samples)[0] == int(values.argmax())
    assert chosen(Brightness(float(values.sort().values[20])), samples)[1].endswith("(the median of 64)")


def test_of_several_outputs_it_is_the_one_nearest_to_their_medians(samples):
    corners = Corners().measure(quantized(samples))
    distances = (corners - corners.median(dim=0).values).norm(dim=1)
    assert chosen(Corners(), samples)[0] == int(distances.argmin())


def test_one_of_them_by_its_number(samples):
    assert chosen(Brightness(), samples, "prior:12") == (12, "prior sample 12")
    with pytest.raises(QueryError, match="no such prior sample"):
        chosen(Brightness(), samples, "prior:64")


def test_a_unit_that_is_never_active_has_no_query(samples):
    with pytest.raises(QueryError, match="None of 64 prior samples"):
        chosen(Brightness(2.0, sparse=True), samples)


def test_what_is_such_a_query():
    assert all(map(is_prior_query, ("prior", "prior:0", "prior:63")))
    assert not any(map(is_prior_query, ("priors", "./prior", "prior:x", 3, None)))


def test_the_command_without_a_query(tmp_path):
    run = tmp_path / "run"
    done = run_cli("run", *QUICK, "-o", "neuron:17,model=fashion", "--out", run)
    assert done.code == 0, done.stderr
    info = read_run(run)
    index = int(info["options"]["query"].removeprefix("prior:"))
    assert info["target"]["source"] == f"prior sample {index} (the median of 64)"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("query ")]
    assert line.endswith(f"prior sample {index} (the median of 64) (choose another with --query)")
    prior = load_file(run / "prior.safetensors")
    with Image.open(run / "query.png") as image:
        assert list(image.tobytes()) == prior["samples"][index].flatten().tolist()
    assert prior["measurements"][index].tolist() == pytest.approx(info["target"]["values"], abs=1e-5)
    assert run_cli("report", run).code == 0
    page = (run / "report.html").read_text()
    assert f"prior sample {index} (the median of 64)" in page
    assert f"--query prior:{index}" in page
    again = run_cli(
        "run", *QUICK, "-o", "neuron:17,model=fashion", "--out", tmp_path / "b", "--query", f"prior:{index}"
    )
    assert again.code == 0
    assert read_run(tmp_path / "b")["target"]["values"] == info["target"]["values"]


def test_from_python():
    asked = {"generator": "pixels:8", "objective": Brightness(sparse=True), "regularizer": "none", "samples": 1}
    found = equidiff.sample(**asked, query="prior", tolerance=1e9)
    assert found.info.target.source.endswith("(the highest of 64)")
    assert found.contains(found.query).all()
    with pytest.raises(UsageError) as error:
        equidiff.sample(**asked)
    assert "prior" in error.value.hint


def test_a_percentile_of_prior_samples_is_a_target():

    low, high = (
        equidiff.sample("toy:circles", "neuron:act1.0", target=f"p{share}", samples=1).info for share in (5, 95)
    )
    assert low.target.is_given
    assert low.target.values[0] < high.target.values[0]


@pytest.mark.parametrize("target", ["p101", "p999"])
def test_no_such_percentile(target):
    assert_one_error(run_circles("--target", target), 2, "p0 to p100", "--target p90")


def test_a_percentile_is_of_one_output():
    assert_one_error(run_cli("run", "-g", "toy:circles", "-o", "layer:act1", "--target", "p50"), 2, "32 outputs")
