"""The rank test of a search: the right laws pass, those known to be wrong are rejected, and nothing is lost."""

import json

import pytest
import torch
from analytic import Identity
from PIL import Image
from running import CIRCLES, assert_one_error, run_cli

from equidiff.analysis.calibration.outcome import MOST_MISSING, conclude
from equidiff.analysis.calibration.queries import draw_queries
from equidiff.analysis.calibration.search import Experiment, Row
from equidiff.analysis.calibration.statistics import make_statistics
from equidiff.contracts import Objective
from equidiff.registry.manager import Plugins
from equidiff.run.session import prepare
from equidiff.run.settings import Settings

NAMES = ("one", "two")


def rows_of(values, missing=0, measured=None):
    """Rows of statistics `[queries, draws, statistics]`, from each of which a few members are missing."""
    found = [row[: len(row) - missing].tolist() for row in values]
    fixed = torch.zeros(len(values)) if measured is None else measured
    return [
        Row(
            query=i, name=str(i), seed=i, asked=values.shape[1] - 1, values=row, measured=[[float(fixed[i])]] * len(row)
        )
        for i, row in enumerate(found)
    ]


def draws(queries=60, members=7, seed=1):
    """From one law for each query, which differ much: a centre of its own."""
    random = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(queries, 1, 2, generator=random, dtype=torch.float64)
    return centres + torch.randn(queries, 1 + members, 2, generator=random, dtype=torch.float64)


def judge(values, missing=0):
    return conclude(rows_of(values, missing), NAMES, 0.0, 1.0)


def test_an_exact_sampler_passes_and_its_numbers_are_those_of_the_ranks():
    values = draws()
    found = judge(values)
    assert found.outcome == "not rejected"
    assert found.p > 0.05
    assert "not rejected" in found.sentence
    for place, ranked in enumerate(found.statistics):
        ranks = (values[:, 1:, place] < values[:, :1, place]).sum(dim=1)
        assert ranked.counts == torch.bincount(ranks, minlength=8).tolist()
        assert ranked.mean_rank == pytest.approx(float((ranks + 0.5).mean()) / 8)
    assert found.members == {"asked": 420, "found": 420, "banked": 0}


def scaled(by):
    """Members about their mean, by a factor."""
    return lambda x: x.mean(dim=1, keepdim=True) + by * (x - x.mean(dim=1, keepdim=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (scaled(0.3), "spread too narrowly"),
        (scaled(4), "spread too widely"),
        (lambda x: x + 1, "larger values than their query"),
        (lambda x: x - 1, "smaller values than their query"),
    ],
)
def test_a_wrong_law_is_rejected_and_the_sentence_says_how(change, words):
    values = draws()
    values[:, 1:] = change(values[:, 1:])
    found = judge(values)
    assert found.outcome == "rejected"
    assert found.p < 0.01
    assert words in found.sentence


def test_members_that_are_missing_are_counted_and_many_withhold_the_verdict():
    values = draws(members=11)
    found = judge(values, missing=1)
    assert found.outcome == "not rejected"
    assert found.missing == pytest.approx(1 / 11)
    assert found.missing < MOST_MISSING
    assert judge(values, missing=2).outcome == "no verdict"
    none = judge(values, missing=11)
    assert (none.outcome, none.p, none.queries) == ("no verdict", None, {"ranked": 0, "without": 60})
    values[:, 1:] += 1
    assert judge(values, missing=1).outcome == "rejected"


def test_ties_neither_reject_nor_hide():
    values = draws()
    assert judge((2 * values).round()).outcome == "not rejected"
    values[:, 1:] += 1
    assert judge((2 * values).round()).outcome == "rejected"
    silent = judge(torch.zeros(60, 8, 2))
    assert (silent.outcome, list(silent.excluded)) == ("no verdict", [*NAMES])


def test_a_statistic_that_the_measurement_determines_is_left_out():
    """Members anywhere within the tolerance, and the query in its middle: by the measurement itself it is no draw."""
    random = torch.Generator().manual_seed(1)
    values, measured = draws(), torch.randn(60, generator=random, dtype=torch.float64)
    values[:, :, 0] = measured[:, None]
    values[:, 1:, 0] += 0.08 * (2 * torch.rand(60, 7, generator=random, dtype=torch.float64) - 1)
    found = conclude(rows_of(values, measured=measured), NAMES, 0.08, 1.0)
    assert list(found.excluded) == ["one"]
    assert found.outcome == "not rejected"
    assert judge(values).outcome == "rejected"  # what would be said without


class Wave(Objective):
    """y = sin(x1 + x2 / 2): any step along the gradient ends near a member, however far out."""

    names, unit = ("wave",), "value"

    def measure(self, samples):
        return (samples[:, 0] + samples[:, 1] / 2).sin()[:, None]


def analytic(queries, members, **settings):
    settings = Settings(Identity(3), Wave(), samples=members, **settings)
    session = prepare(settings, Plugins(), default_to_query=True)
    found = draw_queries(session, queries)
    experiment = Experiment(session, found, make_statistics(session, None, True), members)
    rows = [experiment.row(number) for number in range(queries)]
    return conclude(rows, experiment.statistics.names, session.tolerance**0.5, session.prior.spread)


def test_the_conditional_law_passes_and_a_solver_that_leaves_the_prior_is_rejected():
    conditional = analytic(24, 5, law="conditional,moves=10", seed=1)
    assert conditional.outcome == "not rejected", conditional.sentence
    assert conditional.p > 0.05
    assert conditional.members == {"asked": 120, "found": 120, "banked": 0}
    far = analytic(16, 4, solver="infinite,lr=6", tolerance="8%", budget=100)
    assert far.outcome == "rejected", far.sentence
    (length,) = (each for each in far.statistics if each.name == "length of the latent")
    assert length.p < 0.001
    assert length.mean_rank < 0.3  # members are too long


def test_the_command_writes_ranks_verdict_and_picture_and_goes_on_after_an_interruption(tmp_path, monkeypatch):
    """The rows of a calibration that was interrupted and continued are those of an undisturbed one."""
    monkeypatch.chdir(tmp_path)
    args = ("calibrate", *CIRCLES, "-n", 4, "--members", 2, "--seed", 2)
    whole = run_cli(*args, "--out", "whole")
    assert whole.code == 0
    assert "The law is not rejected" in whole.stderr
    assert "4 queries: only large errors" in whole.stderr
    info = json.loads((whole.path / "calibration.json").read_text())
    assert (info["status"], info["result"]["outcome"]) == ("complete", "not rejected")
    assert info["result"]["members"]["found"] == 8
    with Image.open(whole.path / "ranks.png") as image:
        assert image.size[0] > 800

    row = Experiment.row
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "row", lambda self, number, tell: row(self, number, tell) if number < 2 else stop())
        stopped = run_cli(*args, "--out", "cut")
    assert stopped.code == 130
    assert "2 of 4 queries are kept" in stopped.stderr
    assert json.loads((tmp_path / "cut/calibration.json").read_text())["status"] == "interrupted"
    rows = tmp_path / "cut/rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-20])  # a line that was cut off
    assert_one_error(run_cli("calibrate", "--resume", "cut", "--seed", 3), 2, "keeps its own settings", "--resume")
    again = run_cli("calibrate", "--resume", "cut", "--json")
    assert (again.code, json.loads(again.stdout)["result"]) == (0, info["result"])
    assert rows.read_text() == (whole.path / "rows.jsonl").read_text()


def stop():
    raise KeyboardInterrupt


def test_queries_from_a_bank_are_none_that_searches_may_use(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIDIFF_CACHE", str(tmp_path / "cache"))
    outcome = run_cli(
        "calibrate", *CIRCLES, "-n", 4, "--members", 2, "--bank", 64, "--tolerance", "40%", "--out", tmp_path / "c"
    )
    rows = [json.loads(line) for line in (outcome.path / "rows.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == [f"sample {number} of the bank" for number in range(64, 68)]
    result = json.loads((outcome.path / "calibration.json").read_text())["result"]
    assert result["members"]["banked"] > 0
    assert "p is too small" in outcome.stderr


def test_images_of_a_folder_are_queries_too(tmp_path):
    garments = run_cli("samples", "--queries", "-n", 3, "--out", tmp_path / "garments").path / "images"
    (garments / "broken.png").write_bytes(b"none")
    args = ("-n", 4, "--members", 1, "--tolerance", "100%", "-s", "infinite", "--budget", 2)
    outcome = run_cli("calibrate", "-g", "toy:fashion,steps=2", "--images", garments, *args, "--out", tmp_path / "c")
    assert "1 images cannot be read" in outcome.stderr
    info = json.loads((outcome.path / "calibration.json").read_text())
    assert "length of the latent" not in info["statistics"]
    assert any(name.startswith("unit ") for name in info["statistics"])
    rows = [json.loads(line) for line in (outcome.path / "rows.jsonl").read_text().splitlines()]
    assert sorted(row["name"] for row in rows) == ["00000.png", "00001.png", "00002.png"]


def test_code_of_the_users_own_is_named_again_where_a_calibration_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "probe.py").write_text("def score(points):\n    return points[:, 0] + points[:, 1]\n")
    own = ("-o", "custom:./probe.py:score")
    run_cli("calibrate", "-g", "toy:circles", *own, "-n", 2, "--members", 1, "--out", "c")
    assert_one_error(run_cli("calibrate", "--resume", "c"), 1, "would be executed", "custom:./probe.py:score")
    assert_one_error(run_cli("calibrate", "--resume", "c", "-o", "neuron:1"), 2, "keeps its objective")
    assert run_cli("calibrate", "--resume", "c", *own).code == 0


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--images", "nowhere"), 1, "makes points"),
        (("--seed", 2**41), 2, "seed"),
        (("--features", "pixels"), 1, "no feature space"),
        (("--resume", "nowhere"), 1, "not a folder of equidiff calibrate"),
    ],
)
def test_bad_input_gets_one_error(args, code, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run_cli("calibrate", *(() if "--resume" in args else CIRCLES), *args, "-q")
    assert_one_error(outcome, code, words)
    assert not (tmp_path / "calibrations").exists()
