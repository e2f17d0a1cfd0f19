"""Draws from the members of a large run, and analyses that look at a draw instead of all."""

import json
from dataclasses import replace

import pytest
import torch
from made_runs import data_of, made, page_of

from equidiff.analysis.limits import ON_PAGE
from equidiff.analysis.subsample import chosen_members, draw_members, first_members, row_blocks
from equidiff.run.invariant_set import InvariantSet


def indices(found):
    return [record.index for record in found.members]


def shuffled(found):
    """The same run, with its records in another order."""
    order = torch.randperm(len(found.records), generator=torch.Generator().manual_seed(1)).tolist()
    rows = {name: values[order] for name, values in found.rows.items()}
    return replace(found, records=tuple(found.records[place] for place in order), rows=rows)


@pytest.fixture(scope="module")
def large():
    return made(count=600, size=4, others=300, classes=("bag", "shoe"), prior=9)


def test_a_small_run_is_drawn_as_a_whole():
    found = made(count=6)
    assert draw_members(found, 6) is found
    assert first_members(found, 6) is found


def test_a_draw_has_the_rows_of_its_own_members(large):
    drawn = draw_members(large, 40)
    assert isinstance(drawn, InvariantSet)
    assert len(drawn) == len(drawn.records) == 40
    assert indices(drawn) == sorted(set(indices(drawn)))
    assert torch.equal(drawn.samples, large.samples[indices(drawn)])
    assert torch.equal(drawn.measurements, large.measurements[indices(drawn)])


def test_a_draw_depends_on_seed_and_indices_alone_and_is_nested(large):
    first = indices(draw_members(large, 40))
    assert sorted(indices(draw_members(shuffled(large), 40))) == first
    assert set(first) < set(indices(draw_members(large, 80)))
    # a run that is not finished yet: those of its members that belong to the draw are drawn again
    part = replace(large, records=large.records[:300], rows={name: rows[:300] for name, rows in large.rows.items()})
    assert {index for index in first if index < 300} <= set(indices(draw_members(part, 40)))
    other = replace(large, info=large.info.model_copy(update={"seed": 1}))
    assert indices(draw_members(other, 40)) != first


def test_draws_favour_no_index(large):
    """Of 200 seeds, each drawing a third, every index is drawn about as often as another."""
    counts = torch.zeros(600)
    for seed in range(200):
        drawn = draw_members(replace(large, info=large.info.model_copy(update={"seed": seed})), 200)
        counts[indices(drawn)] += 1
    expected, spread = 200 / 3, (200 * 2 / 9) ** 0.5
    assert float((counts - expected).abs().max()) < 5 * spread
    assert float(counts.std()) < 1.2 * spread
    assert abs(float(counts[:300].mean()) - expected) < 1


def test_members_that_are_named_are_always_drawn(large):
    assert {3, 599} <= set(indices(draw_members(large, 10, always=[599, 3, 10**9])))
    assert indices(draw_members(large, 10, always=range(10))) == list(range(10))


def test_first_chosen_and_blocks(large):
    assert indices(first_members(large, 3)) == [0, 1, 2]
    assert indices(chosen_members(large, [9, 2])) == [9, 2]
    assert torch.equal(torch.cat(list(row_blocks(large, "samples", 256))), large.samples)


def test_the_page_of_a_large_run_has_a_draw_and_counts_all(large, tmp_path):
    (tmp_path / "selections").mkdir()
    chosen = {"by": "novelty", "meaning": "m", "features": "f", "members": [{"index": 577, "score": 1.0}]}
    (tmp_path / "selections" / "novelty.json").write_text(json.dumps(chosen))
    text = page_of(large, tmp_path)
    data = data_of(text)
    on_page = [member["index"] for member in data["members"]]
    assert len(on_page) == ON_PAGE
    assert data["total"] == 600
    assert on_page == indices(draw_members(large, ON_PAGE, [577]))
    assert f"The run has 600 members. This page has {ON_PAGE} of them" in text
    assert f"{ON_PAGE} of {ON_PAGE} members on this page shown" in text
    assert 'href="#member-577"' in text
    # of all: the counts of classes, the histograms and the number of the others, of which the first are listed
    assert "300 of 900 samples are not members" in text
    assert "300 samples, the first 200 of them" in text
    assert sum(int(each) for each in bar_counts(text)) == 600
    bags = sum(member["class"] == 0 for member in data["members"])
    assert f'<option value="0">bag ({bags})</option>' in text
    assert len(text) < 2_000_000


def bar_counts(text):
    chart = text.partition("Values of the members")[2].partition("Cost of the members")[0]
    return [part.rpartition(": ")[2].partition("<")[0] for part in chart.split("</title>")[:-1]]


def test_the_page_of_a_small_run_says_nothing_of_a_draw():
    text = page_of(made(count=6))
    assert "on this page shown" not in text
    assert "The run has" not in text
    assert data_of(text)["total"] == 6


def test_novelty_on_the_page_is_among_more_than_the_page(monkeypatch, large):
    monkeypatch.setattr("equidiff.analysis.report.sort_keys.COMPARED_ON_PAGE", 500)
    data = data_of(page_of(large))
    among = draw_members(large, 500).samples.flatten(1)
    for member in data["members"][:5]:
        own = large.samples[member["index"]].flatten()
        apart = (among - own).square().mean(dim=1).sqrt().sort().values
        assert member["numbers"]["novelty"] == pytest.approx(float(apart[1]), abs=0.004)  # rounded to 8 bits
