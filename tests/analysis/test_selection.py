"""Selections against slow reference implementations: determinants, loops, and the distribution of latent norms."""

import itertools
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from running import assert_one_error, run_circles, run_cli

import equidiff
from equidiff.analysis.selection import novelty, pick_diverse, select, typicality
from equidiff.metrics import median_distance
from equidiff.numerics.gaussian import is_in_shell, project_onto_shell


def draw(rows, size, seed):
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)).double()


def kernel_of(rows):
    width = median_distance(rows)
    return torch.tensor(
        [[math.exp(-0.5 * (math.dist(a, b) / width) ** 2) for b in rows.tolist()] for a in rows.tolist()]
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 8), st.integers(1, 4), st.integers(0, 1000), st.booleans())
def test_each_pick_makes_the_determinant_largest(rows, size, seed, with_query):
    features = draw(rows, size, seed)
    query = draw(1, size, seed + 5000) if with_query else None
    everything = features if query is None else torch.cat([features, query])
    kernel = kernel_of(everything).double()
    chosen, scores = pick_diverse(features, rows, query)
    assert sorted(chosen) == list(range(rows))
    before = [rows] if with_query else []
    for pick in chosen:
        left = [row for row in range(rows) if row not in before]
        determinants = {row: torch.det(kernel[[*before, row]][:, [*before, row]]).item() for row in left}
        base = torch.det(kernel[before][:, before]).item() if before else 1.0
        assert determinants[pick] >= max(determinants.values()) - 1e-9
        assert scores[pick].item() == pytest.approx(determinants[pick] / base, abs=1e-5)
        before.append(pick)


def test_the_greedy_choice_is_near_the_best_of_all():
    """Compare with all subsets of four by brute force: the greedy one need not be the best, but comes close."""
    features = draw(9, 3, 4)
    kernel = kernel_of(features).double()
    best = max(torch.det(kernel[list(s)][:, list(s)]).item() for s in itertools.combinations(range(9), 4))
    chosen, _ = pick_diverse(features, 4)
    assert torch.det(kernel[chosen][:, chosen]).item() > 0.7 * best


def test_copies_are_picked_last_and_score_nothing():
    features = draw(4, 3, 1)[[0, 1, 2, 3, 0, 1]]
    chosen, scores = pick_diverse(features, 6)
    assert {0, 1, 4, 5} & set(chosen[:4]) in ({0, 1}, {0, 5}, {1, 4}, {4, 5})
    assert scores[chosen[4:]].max() < 1e-6
    alike, scores = pick_diverse(torch.ones(3, 2), 3)
    assert sorted(alike) == [0, 1, 2]
    assert torch.isfinite(scores).all()


def test_novelty_is_that_of_the_formula():
    features, prior, query = draw(5, 3, 1), draw(20, 3, 2), draw(1, 3, 3)
    rows, others, (at,) = features.tolist(), prior.tolist(), query.tolist()
    usual = sorted(min(math.dist(a, b) for j, b in enumerate(others) if j != i) for i, a in enumerate(others))[9]
    far = sorted(math.dist(each, at) for each in others)[9]
    for row, score, alone in zip(rows, novelty(features, prior, query), novelty(features, prior, None), strict=True):
        away = min(math.dist(row, each) for each in others) / usual
        assert alone.item() == pytest.approx(away, rel=1e-6)
        assert score.item() == pytest.approx(math.sqrt(away * math.dist(row, at) / far), rel=1e-6)


def test_typicality_is_that_of_the_formula():
    features, prior = draw(5, 3, 1), draw(20, 3, 2)
    others = prior.tolist()
    own = sorted(sorted(math.dist(a, b) for j, b in enumerate(others) if j != i)[4] for i, a in enumerate(others))[9]
    for row, score in zip(features.tolist(), typicality(features, prior), strict=True):
        assert score.item() == pytest.approx(own / sorted(math.dist(row, each) for each in others)[4], rel=1e-6)


@pytest.mark.parametrize("size", [20, 784])
def test_ninety_nine_of_a_hundred_lengths_are_typical(size):
    latents = draw(20_000, size, 0).float()
    assert is_in_shell(latents).float().mean().item() == pytest.approx(0.99, abs=0.003)
    assert is_in_shell(project_onto_shell(3 * latents[:50])).all()
    assert not is_in_shell(latents[:50] * 3 + 3 * latents[:50].sign()).any()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("selection") / "run"
    assert run_circles("--query", 1, "-n", 12, "--out", path).code == 0
    return path


def test_far_points_are_selected_as_diverse(run):
    """The smallest distance between four of twelve members on a ring is among the largest of any four."""
    found = equidiff.InvariantSet.load(run)
    outcome = run_cli("select", run, "--count", 4)
    chosen = [int(word) for word in outcome.stdout.split()]
    points = torch.cat([found.query, found.samples]).tolist()

    def spread(rows):
        return min(math.dist(points[a], points[b]) for a, b in itertools.combinations((0, *rows), 2))

    every = sorted(spread([row + 1 for row in rows]) for rows in itertools.combinations(range(12), 4))
    assert spread([row + 1 for row in chosen]) >= every[int(0.9 * len(every))]


def test_novel_and_typical_members_are_the_extremes(run):
    novel = json.loads(run_cli("select", run, "--count", 12, "--by", "novelty", "--json").stdout)
    scores = [member["score"] for member in novel["members"]]
    assert scores == sorted(scores, reverse=True)
    assert sorted(member["index"] for member in novel["members"]) == list(range(12))
    assert novel["plain"] == 128
    typical_ones = json.loads(run_cli("select", run, "--count", 3, "--by", "typicality", "--json").stdout)
    assert len(typical_ones["members"]) == 3


def test_the_selection_is_written_and_drawn(run):
    outcome = run_cli("select", run, "--count", 3, "--json")
    assert outcome.code == 0
    written = json.loads((run / "selections" / "diversity.json").read_text())
    assert written == json.loads(outcome.stdout)
    points = equidiff.InvariantSet.load(run).samples
    chosen = [member["index"] for member in written["members"]]
    for member in written["members"]:
        others = [math.dist(points[member["index"]], points[each]) for each in chosen if each != member["index"]]
        assert member["nearest"] == pytest.approx(min(others), rel=1e-5)
    with Image.open(run / "selections" / "diversity.png") as image:
        assert image.width > 600
    assert "nearest" not in json.loads(run_cli("select", run, "--count", 1, "--json").stdout)["members"][0]


def test_images_and_a_feature_space(tmp_path):
    path = tmp_path / "run"
    arguments = ("-g", "toy:fashion,steps=2", "--query", 3, "-n", 4, "--seed", 1, "--out", path)
    assert run_cli("run", *arguments).code in {0, 3}
    outcome = run_cli("select", path, "--count", 2, "--features", "pixels:8")
    assert outcome.code == 0
    assert "pixels:8" in outcome.stderr
    with Image.open(path / "selections" / "diversity.png") as image:
        assert image.height < image.width
    assert "under test" in run_cli("select", path, "--count", 2).stderr


def test_in_python():
    found = equidiff.sample("toy:circles", "classifier:inner", query=1, samples=5)
    selection = select(found._session, found, 2)
    assert len({member.index for member in selection.members}) == 2
    assert selection.features == "coordinates"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--by", "novelti"), 1, ["criterion named 'novelti'", "did you mean  novelty?"]),
        (("--count", "13"), 2, ["--count 13", "from 1 to 12", "--count 12"]),
        (("--count", "0"), 2, ["--count 0", "--count 1"]),
        (("--features", "pixels"), 1, ["makes points"]),
        (("--features", "pixls"), 1, ["pixels"]),
    ],
)
def test_bad_selections(arguments, code, words, run):
    assert_one_error(run_cli("select", run, *arguments), code, *words)


def test_no_run_folder(tmp_path):
    assert_one_error(run_cli("select", tmp_path), 1, "not a run folder")
