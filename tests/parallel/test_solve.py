"""The function that workers carry out: what a worker has loaded is there for its next run."""

import pytest

from equidiff.errors import EquiDiffError, RunFolderError, UsageError
from equidiff.networks import load
from equidiff.parallel import sessions
from equidiff.parallel.prepare import Question, prepare_pieces
from equidiff.parallel.solve import Order, read_news, solve_pieces
from equidiff.parallel.work import NEWS
from equidiff.registry import build
from equidiff.run.info import RunInfo
from equidiff.run.packed import unpack
from equidiff.run.session import Session
from equidiff.run.settings import Settings
from equidiff.search.batching import BatchReduced


@pytest.fixture(autouse=True)
def _new_worker(monkeypatch):
    monkeypatch.setattr(sessions, "_sessions", type(sessions._sessions)())
    sessions.SHARED.__init__()


@pytest.fixture
def loads(monkeypatch):
    """Names of the generators and networks that are loaded."""
    seen = []
    load_one, build_one = load._load, build._build_one

    def load_network(request):
        seen.append(request.model)
        return load_one(request)

    def build_component(plugins, kind, spec, context):
        if kind == "generator":
            seen.append(str(spec))
        return build_one(plugins, kind, spec, context)

    monkeypatch.setattr(load, "_load", load_network)
    monkeypatch.setattr(build, "_build_one", build_component)
    return seen


def prepared(objective, **others):
    settings = Settings("toy:circles", objective, query=0, samples=4, device="cpu", **others)
    (answer,) = prepare_pieces([(Question.of(settings), [0])])
    assert not isinstance(answer, Exception), answer
    return RunInfo.model_validate_json(answer[0][1][0])


def test_news_of_smaller_passes_are_in_the_answer_where_there_is_no_shared_disk(monkeypatch):
    info = prepared("classifier:inner")
    monkeypatch.setattr(Session, "run", lambda self, indices: iter([BatchReduced(8, 4)]))
    (answer,) = solve_pieces([(Order.of(info, None), range(4))])
    assert [(index, read_news(told)) for index, told in answer] == [(NEWS, BatchReduced(8, 4))]


def test_the_second_run_of_a_worker_loads_nothing(loads):
    infos = [prepared("classifier:inner"), prepared("neuron:act2.3")]
    assert sorted(loads) == ["circles", "toy:circles"]
    answers = solve_pieces([(Order.of(info, None), range(4)) for info in infos])
    answers += solve_pieces([(Order.of(infos[0], None), [1, 2])])
    assert sorted(loads) == ["circles", "toy:circles"]
    assert [[index for index, _ in sorted(answer)] for answer in answers] == [[0, 1, 2, 3]] * 2 + [[1, 2]]
    again = {index: unpack(packed)[1]["samples"] for index, packed in answers[2]}
    for index, packed in answers[0]:
        if index in again:
            assert unpack(packed)[1]["samples"].equal(again[index])


def test_a_run_that_cannot_be_built_is_answered_by_its_error_beside_the_others():
    good = prepared("classifier:inner")
    bad = good.model_copy(update={"weights": tuple(file.model_copy(update={"sha256": "0"}) for file in good.weights)})
    answers = solve_pieces([(Order.of(bad, None), [0]), (Order.of(good, None), [0])])
    assert isinstance(answers[0], RunFolderError)
    assert [index for index, _ in answers[1]] == [0]


def test_code_that_was_not_named_is_not_executed(tmp_path):
    (tmp_path / "probe.py").write_text("def f(x):\n    return x[:, :1]\n")
    info = prepared(f"custom:{tmp_path}/probe.py:f")
    order = Order.of(info, None)
    assert not isinstance(solve_pieces([(order, [0])])[0], Exception)
    sessions._sessions.clear()
    unnamed = Order(order.info)
    (answer,) = solve_pieces([(unnamed, [0])])
    assert isinstance(answer, RunFolderError)
    assert "would be executed" in str(answer)


def test_objects_made_in_python_are_refused():
    with pytest.raises(UsageError, match="object made in Python"):
        Question.of(Settings(generator=object()))


def test_errors_of_the_users_own_classes_can_be_sent():
    own = type("Own", (Exception,), {"__module__": "probe"})
    assert isinstance(sessions.portable(own("no")), EquiDiffError)
    for error in (ValueError("no"), UsageError("no")):
        assert sessions.portable(error) is error
