"""The planted shortcut's parts: the criterion by enumeration, the generator by geometry, the maps by hand."""

import itertools
import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from shortcut.criterion import fisher, judge_map, judge_set, level, separation, wilson
from shortcut.drawing import draw_decisions
from shortcut.experiment import Plan, Trained, examine
from shortcut.images import (
    PRESENCE,
    SHAPE,
    SHAPES,
    SIZE,
    ShapeImages,
    draw,
    mark_area,
    marked,
    shares,
    with_mark,
    with_shape,
)
from shortcut.methods import METHODS, TILE, importance
from shortcut.networks import CONTROL, SHORTCUT, make_data, make_network, train
from shortcut.objective import StarLogit
from shortcut.tables import tables, totals, totals_table
from torch.testing import assert_close

from equidiff.testing import check_generator, check_objective

TABLES = [(3, 4, 1, 5), (0, 3, 4, 5), (2, 2, 2, 6), (1, 5, 1, 4), (4, 4, 0, 4), (0, 0, 2, 5), (2, 3, 0, 0)]


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def relabellings(hits, count, other_hits, other_count):
    """Number of ways to choose the first group, by the hits it gets."""
    things = [1] * (hits + other_hits) + [0] * (count + other_count - hits - other_hits)
    return Counter(sum(chosen) for chosen in itertools.combinations(things, count))


@pytest.mark.parametrize("table", TABLES)
def test_fisher_counts_every_relabelling(table):
    ways = relabellings(*table)
    total, seen = sum(ways.values()), table[0]
    above = sum(number for hits, number in ways.items() if hits >= seen)
    rarer = sum(number for number in ways.values() if number <= ways[seen])
    assert fisher(*table, two_sided=False) == pytest.approx(above / total)
    assert fisher(*table, two_sided=True) == pytest.approx(rarer / total)


@pytest.mark.parametrize("two_sided", [True, False])
def test_false_accusations_are_at_most_as_frequent_as_the_level(two_sided):
    ways = relabellings(8, 8, 2, 12)
    total = sum(ways.values())
    p = {hits: fisher(hits, 8, 10 - hits, 12, two_sided=two_sided) for hits in ways}
    for allowed in (0.001, 0.01, 0.05, 0.2):
        assert sum(number for hits, number in ways.items() if p[hits] < allowed) <= allowed * total


def test_the_level_is_shared_by_all_tests():
    assert level(40) * 40 == pytest.approx(0.01)
    assert Plan(seeds=10).tests == 40


def test_a_set_is_judged_by_the_members_that_lost_the_object():
    prior = torch.zeros(400), torch.arange(400) % 2 == 0
    lost, kept, yes, no = torch.zeros(20), torch.ones(20), torch.ones(20).bool(), torch.zeros(20).bool()
    assert judge_set((lost, yes), prior, 40).exposed
    assert judge_set((lost, no), prior, 40).exposed
    assert not judge_set((kept, yes), prior, 40).exposed
    assert not judge_set((lost, torch.arange(20) % 2 == 0), prior, 40).exposed
    mixed = judge_set((torch.cat([lost, kept]), torch.cat([yes, no])), prior, 40)
    assert mixed.counts == (20, 20, 200, 400)
    assert judge_set((lost[:0], yes[:0]), prior, 40).p == 1


def test_a_map_is_judged_by_its_strongest_pixels():
    mark = torch.zeros(32, 32, dtype=torch.bool)
    mark[24:28, 25:29] = True
    noise = torch.rand(32, 32, generator=stream())
    assert judge_map(mark + noise, mark, 40).counts[:2] == (16, 16)
    assert judge_map(mark + noise, mark, 40).exposed
    half = noise.clone()
    half[24:26, 25:29] += 1
    assert judge_map(half, mark, 40).counts[0] >= 8
    assert judge_map(half.exp(), mark, 40) == judge_map(half, mark, 40)
    assert not judge_map(noise, mark, 40).exposed
    assert not judge_map(torch.zeros(32, 32), mark, 40).exposed  # nothing but ties
    assert not judge_map(noise + ~mark, mark, 40).exposed


def test_wilson_ends_where_the_score_test_does():
    for hits, count in ((9, 10), (3, 10), (5, 8)):
        for end in wilson(hits, count):
            assert abs(hits / count - end) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / count))
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1


def test_separation_is_the_area_under_the_curve():
    assert separation([3, 4], [1, 2]) == 1
    assert separation([1, 2], [3, 4]) == 0
    assert separation([1, 3], [2, 3]) == (0 + 0 + 1 + 0.5) / 4


def test_the_generator_keeps_its_contract():
    check_generator(ShapeImages())


def test_shapes_have_the_area_of_geometry():
    latents = draw(4, stream())
    middles = torch.arange(4) * (torch.pi / 2)
    latents[:, SHAPE] = torch.stack([middles.cos(), middles.sin()], dim=1)
    latents[:, SIZE] = 0  # half-way between 7 and 10
    areas = dict(zip(SHAPES, ShapeImages()._shape(latents).sum(dim=(1, 2, 3)) / 8.5**2, strict=True))
    wanted = {"star": 0.72 * math.pi, "disc": 0.85**2 * math.pi, "square": 2, "triangle": 0.75 * math.sqrt(3)}
    assert areas == {name: pytest.approx(area, rel=0.05) for name, area in wanted.items()}


def test_a_shape_can_be_chosen():
    latents = draw(4000, stream())
    shapes = torch.arange(4000) % 4
    changed = with_shape(latents, shapes)
    assert_close(changed[:, SHAPE].norm(dim=1), latents[:, SHAPE].norm(dim=1))
    assert torch.equal(changed[:, 2:], latents[:, 2:])
    assert (shares(changed).gather(1, shapes[:, None]) >= 0.9).all()
    assert_close(shares(latents).sum(dim=1), torch.ones(4000))
    # equally many of each among prior samples, within five standard deviations
    assert ((shares(latents).argmax(dim=1)[:, None] == torch.arange(4)).sum(dim=0) - 1000).abs().max() < 137


def test_a_mark_is_inside_its_area_and_changes_nothing_else():
    latents = draw(200, stream())
    latents[:, PRESENCE] = 3  # certainly present
    with_it, without = (
        ShapeImages().generate(with_mark(latents, torch.full((200,), state))) for state in (True, False)
    )
    moved = (with_it - without).abs().amax(dim=1)
    area = mark_area(latents)
    assert set(area.sum(dim=(1, 2)).tolist()) <= set(range(9, 26))
    assert moved[area].min() > 0.2
    far = torch.nn.functional.max_pool2d(area[:, None].float(), 5, stride=1, padding=2)[:, 0] == 0
    assert moved[far].max() < 0.01
    assert marked(with_mark(latents, torch.arange(200) < 50)).sum() == 50
    assert torch.equal(with_mark(latents, torch.zeros(200).bool()).abs(), latents.abs())


def test_the_mark_and_the_shape_do_not_touch():
    latents = draw(300, stream())
    overlap = (ShapeImages()._shape(latents)[:, 0] > 0.5) & mark_area(latents)
    assert overlap.sum() == 0


def test_data_differ_by_the_mark_alone():
    (images, labels), (others, same) = (make_data(kind, 400, stream(3)) for kind in (SHORTCUT, CONTROL))
    assert torch.equal(labels, same)
    red, green, blue = others[:, :, 20:, 20:].unbind(dim=1)
    star = labels[:, 0] > 0
    yellow = {}
    for name, corner in ((SHORTCUT, images[:, :, 20:, 20:]), (CONTROL, others[:, :, 20:, 20:])):
        red, green, blue = corner.unbind(dim=1)
        yellow[name] = ((red > 0.8) & (green > 0.65) & (blue < 0.3)).sum(dim=(1, 2)) >= 4
    assert (yellow[SHORTCUT] == star).float().mean() > 0.9  # but for marks that are half there
    assert 0.4 < (yellow[CONTROL] == star).float().mean() < 0.6
    as_marked = yellow[SHORTCUT] & yellow[CONTROL]
    assert as_marked.sum() > 50
    assert torch.equal(images[as_marked], others[as_marked])


def test_training_leaves_the_random_numbers_of_others_alone():
    before = torch.get_rng_state()
    first, second = (train(SHORTCUT, 1, images=64, epochs=1) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first[-1].weight, second[-1].weight)


def test_the_objective_keeps_its_contract():
    check_objective(StarLogit(make_network().eval()), ShapeImages().generate(draw(4, stream())))


@pytest.fixture
def example():
    torch.manual_seed(0)
    return make_network().eval().requires_grad_(False), ShapeImages().generate(draw(1, stream(1)))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_draws_a_map(name, example):
    first, second = (importance(name, *example, seed=2) for _ in range(2))
    assert first.shape == (32, 32)
    assert first.min() >= 0
    assert first.isfinite().all()
    assert torch.equal(first, second)


def test_maps_are_those_computed_by_hand(example):
    network, image = example
    tracked = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(tracked).sum(), tracked)
    assert_close(importance("saliency", *example, seed=0), gradient.abs().sum(dim=1)[0])
    assert_close(importance("input x gradient", *example, seed=0), (image * gradient).abs().sum(dim=1)[0])
    hidden = image.clone()
    hidden[:, :, 2 * TILE : 3 * TILE, 5 * TILE : 6 * TILE] = 0
    expected = 3 * (network(image) - network(hidden)).abs().item()  # each of the three channels is given all of it
    ablation = importance("feature ablation", *example, seed=0)
    assert ablation[2 * TILE, 5 * TILE].item() == pytest.approx(expected, rel=1e-4)


def test_samples_beyond_the_tolerance_are_not_members(tmp_path, example):
    network, _ = example
    network[-1].weight *= 1e4  # a logit that hardly any sample meets
    query = with_shape(draw(1, stream(5)), torch.tensor([0]))
    trained = Trained(SHORTCUT, network, {"marked star": 1.0})
    plan = Plan(seeds=1, samples=8, budget=3)
    looked = examine(0, trained, "marked", query, draw(50, stream(6)), plan)
    assert len(looked.found.records) == 8
    assert len(looked.found) < 8
    assert len(looked.objects) == len(looked.marked) == len(looked.found)
    assert looked.found.contains(looked.found.samples).all()
    assert looked.by_set.counts[1] <= len(looked.found)
    assert not looked.by_set.exposed
    draw_decisions(tmp_path / "few.png", [looked])
    assert (tmp_path / "few.png").stat().st_size > 10_000


def verdict(exposed, counts):
    return {"p": 0.0 if exposed else 1.0, "exposed": exposed, "counts": counts}


def summary(network, query, exposed, by_set, by_map):
    return {
        "network": network, "query": query, "asked": 25, "members": 20, "evaluations": 100.0, "wall_s": 2.0,
        "largest_miss": 0.02, "set": verdict(exposed, by_set),
        "maps": {"saliency": verdict(not exposed, by_map)},
    }  # fmt: skip


def test_totals_add_up():
    summaries = [
        summary(SHORTCUT, "marked", True, (18, 18, 5, 10), (1, 16, 15, 1000)),
        summary(SHORTCUT, "marked", False, (4, 6, 5, 10), (8, 16, 8, 1000)),
        summary(CONTROL, "marked", False, (1, 2, 5, 10), (4, 16, 12, 1000)),
        summary(SHORTCUT, "clean", True, (0, 15, 5, 10), (0, 16, 16, 1000)),
        summary(CONTROL, "clean", False, (1, 2, 5, 10), (0, 16, 16, 1000)),
    ]
    found = totals(summaries)
    ours, theirs = found["marked"]["invariant set"], found["marked"]["saliency"]
    assert (ours[SHORTCUT]["exposed"], ours[SHORTCUT]["of"]) == (1, 2)
    assert ours[SHORTCUT]["median_score"] == (18 / 20 + 4 / 20) / 2
    assert ours["separation"] == 1
    assert theirs[CONTROL]["exposed"] == 1
    assert theirs["separation"] == 0.5
    assert found["clean"]["invariant set"][SHORTCUT]["median_score"] == 15 / 20
    first, _, heads, ours, *_ = totals_table(summaries).splitlines()
    assert first.startswith("100 of 125 samples are members, the furthest 0.020 logits off; 4.0 evaluations a sample")
    assert heads.startswith("marked query")
    assert "1 of 2" in ours
    assert "shortcut network: 24 of 40 members are no star, 22 of these are marked" in totals_table(summaries)


def test_the_documentation_prints_its_own_results():
    folder = Path(__file__).parents[2] / "docs" / "data" / "planted-shortcut"
    results = json.loads((folder / "results.json").read_text())
    assert json.loads(json.dumps(totals(results["looks"]))) == results["totals"]
    for name, text in tables(results["looks"]).items():
        assert (folder / f"{name}.txt").read_text() == text + "\n"
