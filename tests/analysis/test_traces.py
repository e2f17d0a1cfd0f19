"""Classes and other units along a path, against the same numbers measured one by one."""

import pytest
import torch

from equidiff.analysis.path.traces import MOST, RARE, trace
from equidiff.registry.manager import Plugins
from equidiff.run.session import prepare
from equidiff.run.settings import Settings

FRAMES = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def session_of(objective, generator="toy:fashion,steps=1", **settings):
    known = {"generator": generator, "objective": objective, "query": 3, "device": "cpu", "tolerance": 0.01, "batch": 2}
    return prepare(Settings(**known | settings), Plugins(), with_prior=False)


def test_units_are_the_others_of_the_layer_and_those_that_move_most():
    session = session_of("neuron:17")
    units = trace(session, FRAMES)["units"]
    assert len(units["names"]) == len(set(units["names"])) == MOST
    assert "pre-logits.17" not in units["names"]
    for place, name in enumerate(units["names"]):
        own = session_of(f"neuron:{name.rpartition('.')[2]}").problem.objective.measure(FRAMES)[:, 0]
        torch.testing.assert_close(torch.tensor([row[place] for row in units["values"]]), own, atol=1e-3, rtol=1e-3)
    moved = [max(column) - min(column) for column in zip(*units["values"], strict=True)]
    assert moved == sorted(moved, reverse=True)
    names, values = session.problem.objective.others(FRAMES)
    ranges = (values.amax(dim=0) - values.amin(dim=0)).tolist()
    assert dict(zip(names, ranges, strict=True))[units["names"][-1]] == pytest.approx(sorted(ranges)[-MOST], rel=1e-3)


def test_classes_are_those_of_the_network():
    session = session_of("neuron:17")
    classes = trace(session, FRAMES)["classes"]
    expected = session.predictor.probabilities(FRAMES)
    for place, name in enumerate(classes["names"]):
        column = expected[:, session.predictor.names.index(name)]
        torch.testing.assert_close(
            torch.tensor([row[place] for row in classes["values"]]), column, atol=1e-4, rtol=1e-3
        )
        assert column.max() >= RARE
    left_out = [name for name in session.predictor.names if name not in classes["names"]]
    assert all(expected[:, session.predictor.names.index(name)].max() < RARE for name in left_out)


def test_a_frame_that_failed_has_no_values():
    frames = FRAMES.clone()
    frames[3] = torch.nan
    found = trace(session_of("neuron:17"), frames)
    for part in found.values():
        assert part["values"][3] == [None] * len(part["names"])
        assert None not in part["values"][2]


def test_parts_that_are_not_known_are_absent():
    points = session_of("classifier:inner", "toy:circles", query=0, regularizer="none")
    found = trace(points, torch.rand(4, 2))
    assert found.keys() == {"classes"}
    assert set(found["classes"]["names"]) <= {"inner", "outer"}
    assert "units" not in trace(session_of("neuron:block2.3,positions=all"), FRAMES)
