"""The page about how contracts are used: its statements about calls, rows and gradients, as a run makes them."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import equidiff
from equidiff.builtin.laws.solve import AsSolved
from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import Generator, Objective, Regularizer

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "contracts-in-use.md"
MARKED = 25  # statements that are checked here; a new mark on the page needs a line below


class Call(NamedTuple):
    method: str
    rows: int
    gradients: bool


def recorded(component, calls):
    """The component, each public method of which notes its calls."""
    cls = type(component)
    methods = {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}
    for name, method in methods.items():
        if not callable(method):
            continue

        def noting(self, *args, name=name, method=method, **options):
            rows = next((len(each) for each in args if isinstance(each, torch.Tensor)), 0)
            calls.append(Call(name, rows, torch.is_grad_enabled()))
            return method(self, *args, **options)

        setattr(cls, name, noting)
    return component


def new_generator():
    class Noise(Generator):
        latent_shape, sample_shape = (289,), (1, 17, 17)  # with latents of the same shape, `auto` needs no Jacobian

        def generate(self, latents, steps=None):
            return torch.sigmoid(latents).reshape(-1, *self.sample_shape)

        def invert(self, samples):
            return torch.logit(samples.clamp(0.01, 0.99)).flatten(1)

        def queries(self):
            return torch.linspace(0.1, 0.9, 289).reshape(1, 1, 17, 17)

    return Noise()


def new_objective():
    class Mean(Objective):
        names, unit = ("mean",), "grey"

        def measure(self, samples):
            return samples.mean(dim=(1, 2, 3))[:, None]

    return Mean()


def new_regularizer():
    class Mirror(Regularizer):
        def views(self, samples):
            return [samples.flip(-1), samples.flip(-2)]

    return Mirror()


def run(*, samples=5, **options):
    """Sample with components that note their calls; the calls after the trial of each component, and the set."""
    calls = []
    solver, law = type("Solver", (Auto,), {})(), type("Law", (AsSolved,), {})()
    parts = [recorded(part, calls) for part in (new_generator(), new_objective(), new_regularizer())]
    kinds = {"solver": recorded(solver, calls), "law": recorded(law, calls)}
    found = equidiff.sample(*parts, samples=samples, **{"query": 0, **kinds, **options})
    return calls[[call.method for call in calls].index("queries") :], found


@pytest.fixture(scope="module")
def calls():
    return run()[0]


def of(calls, *methods):
    return [call for call in calls if call.method in methods]


def test_components_are_tried_with_two_rows_when_they_are_built():
    calls = []
    equidiff.sample(recorded(new_generator(), calls), new_objective(), "none", query=0, samples=1)
    trial = calls[: [call.method for call in calls].index("queries")]
    assert {Call("generate", 1, False), Call("generate", 2, True)} <= set(trial)
    assert max(call.rows for call in trial) == 2


def test_the_page_marks_what_is_checked_here():
    assert PAGE.read_text().count("✓") == MARKED + 1  # and the sentence that says what the mark means


def test_prior_samples_come_first_without_gradients(calls):
    before = of(calls[: [call.method for call in calls].index("solve")], "generate")
    assert {call.gradients for call in before} == {False}
    assert sum(call.rows for call in before) == 64


@pytest.mark.parametrize(("batch", "rows"), [(16, 4), (3, 2), (1, 1)])
def test_passes_of_a_search_have_one_size_on_a_cpu(batch, rows):
    made, _ = run(batch=batch)
    searching = of(made[[call.method for call in made].index("solve") :], "generate")
    assert {call.rows for call in searching if call.gradients} == {rows}
    assert {call.rows for call in searching} <= {rows, min(16, 1 << (batch.bit_length() - 1))}
    assert {call.gradients for call in searching} == {True, False}


def test_the_objective_is_compared_once_for_the_samples_and_each_view(calls):
    counts = Counter(call.method for call in calls[[call.method for call in calls].index("solve") :])
    assert counts["views"] == counts["penalty"] == counts["generate"]
    assert counts["compare"] == counts["measure"] == 3 * counts["generate"]


def test_the_query_is_measured_alone_and_prior_samples_are_compared_at_once(calls):
    assert of(calls, "measure")[0] != Call("measure", 1, True)
    assert Call("measure", 1, False) in calls
    assert of(calls, "discrepancy") == [Call("discrepancy", 64, False)]


def test_what_is_called_once(calls):
    counts = Counter(call.method for call in calls)
    assert counts["predictor"] == counts["describe"] == counts["split_sampler"] == counts["queries"] == 1
    assert counts["check"] == 2  # of the solver, and of the law
    assert counts["solve"] == counts["sample"] == 5
    assert counts["invert"] == 0


def test_starting_at_the_query_inverts_one_row_without_gradients():
    made, _ = run(samples=1, start="query")
    assert of(made, "invert") == [Call("invert", 1, False)]


def test_as_many_samples_are_under_way_as_fill_four_passes():
    made, _ = run(samples=40)
    names = [call.method for call in made]
    first = names.index("solve")
    assert names[first : names.index("generate", first)].count("solve") == 16


def test_a_penalty_of_latents_leaves_the_sampler_whole():
    calls = []

    class Length(Regularizer):
        def penalty(self, samples, latents):
            return 1e-6 * latents.flatten(1).square().sum(dim=1)

    equidiff.sample(recorded(new_generator(), calls), new_objective(), Length(), query=0, samples=1)
    assert not of(calls, "split_sampler")
