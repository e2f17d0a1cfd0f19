"""The report of runs with no, two and a thousand classes, of old runs and of points: chips, colours, map, verdict."""

import json
import re
import shlex
from html import unescape

import pytest
import torch
from made_runs import EVIL, data_of, made, page_of
from running import run_circles, run_cli
from scipy.stats import binomtest

from equidiff.analysis.report.class_chips import COLOURS, MOST_CHIPS, chips_of, class_colours
from equidiff.analysis.report.commands import commands_of
from equidiff.analysis.report.scatter import scatter_of
from equidiff.analysis.report.sort_keys import sort_keys
from equidiff.analysis.report.verdict import answers
from equidiff.run.info import CalledInfo


def called(members, prior=(), query=0):
    """What a network calls these members and prior samples, given as class indices."""
    count = lambda classes: tuple(  # noqa: E731
        {"index": each, "name": f"class {each}", "count": classes.count(each)}
        for each in sorted(set(classes), key=lambda each: (-classes.count(each), each))
    )
    own = None if query is None else {"index": query, "name": f"class {query}", "probability": 0.9}
    return CalledInfo.model_validate(
        {"network": "probe", "classes": 1000, "query": own, "members": count(members), "prior": count(prior)}
    )


def headline(text):
    return unescape(re.search(r"<h1[^>]*>(.*?)</h1>", text)[1])


# ---- chips


def test_shares_have_intervals_and_stand_beside_those_of_prior_samples():
    info = made(called=called([0] * 3 + [1] * 5, [1] + [2] * 9)).info
    chips = chips_of(info)
    one, zero = chips.shown
    assert (one.name, one.members, one.is_query) == ("class 1", 5, False)
    assert (zero.members, zero.is_query) == (3, True)
    interval = binomtest(5, 8).proportion_ci(0.95, method="wilson")
    assert one.interval == f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %"
    assert one.bar[2] == 62.5
    assert one.bar[0] == pytest.approx(100 * interval.low, abs=0.01)
    assert one.bar[0] + one.bar[1] == pytest.approx(100 * interval.high, abs=0.01)
    assert one.prior.startswith("10 %")
    assert zero.prior.startswith("0 %")
    assert chips.elsewhere == "1 class that no member has: 9 of 10 prior samples"


def test_a_thousand_classes_are_folded():
    members = [5, *range(43)]
    found = made(count=44, called=called(members, range(100, 164), query=42))
    chips = chips_of(found.info)
    assert len(chips.shown) == MOST_CHIPS
    assert [chip.name for chip in chips.shown if chip.is_query] == ["class 42"]  # in sight, though rare
    assert len(chips.shown) + len(chips.folded) == 43
    text = page_of(found)
    assert "and 37 others" in text
    assert "64 classes that no member has: 64 of 64 prior samples" in text
    colours = class_colours(found.info)
    assert [colours[each] for each in (5, 0, 1)] == [0, 1, 2]
    assert max(colours.values()) == COLOURS
    assert text.count("other classes") == 1


def test_one_more_class_is_no_others():
    text = page_of(made(count=7, called=called(range(7))))
    assert "and 1 other<" in text


def test_two_classes():
    found = made(classes=("inner", "outer"), prior=4)
    text = page_of(found)
    assert headline(text) == "The network probe calls the query inner (90 %), and the members inner (3) and outer (3)"
    assert "3 of 6 members" in text
    assert text.count('class="chip"') == 2
    assert "and 0 other" not in text


def test_a_target_without_a_query_has_classes_all_the_same():
    found = made(classes=("inner", "outer"), prior=4, query=False)
    text = page_of(found)
    assert headline(text) == "The network probe calls the members inner (3) and outer (3)"
    assert 'id="game"' not in text
    assert "<em>query</em>" not in text


def test_no_classes():
    text = page_of(made(prior=4))
    assert headline(text).startswith("6 of 8 samples are members: unit 0 = 0.5 (activation), within 0.05")
    for part in ('class="chip"', 'id="class"', "Called by"):
        assert part not in text
    assert 'id="game"' in text  # any prior sample will do
    assert data_of(text)["classes"] == {}


def test_a_run_of_the_first_schema():
    found = made(schema_version=1)
    for record in found.records:
        object.__setattr__(record, "measurement_saved", [0.75])
    text = page_of(found)
    data = data_of(text)
    assert headline(text) == "6 of 8 samples are members: unit 0 = 0.5 (activation), with a loss below 0.001"
    facts = dict(data["members"][0]["facts"])
    assert facts["value"] == "0.75 activation"  # one value: of the image on the page
    assert facts["tolerated"] == "up to 0.032 away before rounding"
    assert data["prior"] == []
    assert 'id="game"' not in text
    assert 'id="plane-of-map"' in text  # of the members alone
    assert "prior sample</li>" not in text


def test_names_with_markup_are_text():
    found = made(classes=(EVIL, '" onmouseover="alert(1)', "</script>"), prior=4)
    text = page_of(found)
    harmless = page_of(made(classes=("a", "b", "c"), prior=4))
    assert EVIL not in text
    assert text.count("<script") == harmless.count("<script")
    assert text.count("</script") == harmless.count("</script")
    assert 'onmouseover="alert' not in text
    assert data_of(text)["classes"]["2"] == "</script>"


# ---- the map


def test_the_map_of_pixels_keeps_its_scale_and_says_what_it_is():
    found = made(count=4, prior=5)
    prior = found.prior["samples"].float() / 255
    scatter = scatter_of(found, prior, {})
    assert "by pixels" in scatter.about
    places = torch.tensor([*scatter.members, *scatter.prior, scatter.query])
    assert places.amin() >= 0.0499
    assert places.amax() <= 0.9501
    assert (places.amax(dim=0) - places.amin(dim=0)).max() == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"members": [[0, 1]]},
        {"prior": []},
        {"query": None},
        {"members": [[0.0, float("nan")]] * 4},
        {"members": "nonsense"},
        {"index": [0]},
    ],
)
def test_a_map_that_does_not_fit_the_run_is_not_used(broken):
    found = made(count=4, prior=2)
    prior = found.prior["samples"].float() / 255
    fits = {
        "space": "probe", "explained": [0.5, 0.1], "index": [0, 1, 2, 3], "members": [[0, 1], [2, 3], [1, 1], [0, 0]],
        "prior": [[5, 5], [1, 2]], "query": [2, 2],
    }  # fmt: skip
    assert "features of probe" in scatter_of(found, prior, {"map": fits}).about
    assert "by pixels" in scatter_of(found, prior, {"map": fits | broken if broken else {}}).about


def test_points_are_mapped_where_they_are(tmp_path):
    path = run_circles("-n", 4, "--out", tmp_path / "run").path
    text = run_cli("report", path).path.read_text()
    data = data_of(text)
    assert "Coordinates of the points." in text
    samples = torch.tensor([each["measured"] for each in data["members"]])
    assert samples.shape == (4, 1)
    assert all(len(each["place"]) == 2 for each in [*data["members"], *data["prior"]])
    assert 'id="game"' not in text
    assert "equidiff compare" in text  # coordinates are explained as pixels are
    assert "inner" in headline(text)


# ---- numbers, the verdict, commands


def test_typicality_is_high_among_prior_samples():
    found = made(count=3, others=1, prior=8)
    found.prior["samples"][:6] = 128
    found.prior["samples"][:6, 0, 0, 0] += torch.arange(6, dtype=torch.uint8)  # near each other, and not the same
    found.rows["samples"][0] = 128 / 255
    keys = {key.name: key.values for key in sort_keys(found)}
    assert keys["typicality"][0] > 10 * max(keys["typicality"][1:])
    assert "typicality" not in {key.name for key in sort_keys(made(prior=5))}


def test_the_verdict_places_values_on_their_scale():
    metrics = {
        "groups": {
            "fidelity": {
                "l2": {
                    "label": "deviation, L2", "value": 1.0, "interval": [0.5, 1.5], "plain": 4.0,
                    "plain_interval": [3.0, 5.0], "unit": "logit", "n": 8,
                },
                "saved_members": {"label": "members as saved", "value": 1.0, "unit": "share", "interval": [0.9, 1.0]},
                "kl": {"label": "KL", "value": None},
            },
            "diversity": {"vendi": {"label": EVIL, "value": 3.0, "unit": "of 8", "reference": 4.0}},
        }
    }  # fmt: skip
    metrics["verdicts"] = [{"name": "target", "holds": True, "sentence": EVIL}, {"name": "saving"}, 3]
    found = answers(metrics)
    assert [len(answer.rows) for answer in found] == [1, 1, 1]
    assert [(answer.sentence, answer.holds) for answer in found] == [(EVIL, True), ("", None), ("", None)]
    hit, stays, diverse = (answer.rows[0] for answer in found)
    # from 0 at 6 % of the width to 5 at 94 %
    assert hit.members == (6 + 8.8, 6 + 26.4, 6 + 17.6)
    assert hit.prior == (58.8, 94.0, 76.4)
    assert (hit.member_text, hit.prior_text) == ("1 (0.5 to 1.5)", "4 (3 to 5)")
    assert stays.members == (85.2, 94.0, 94.0)
    assert stays.prior is None
    assert diverse.reference == 94.0
    for odd in ({}, {"groups": 3, "verdicts": 3}, {"groups": {"fidelity": {"l2": {"value": float("nan")}, "kl": 3}}}):
        assert answers(odd) == []


def test_equal_rows_are_shown_once(tmp_path):
    leaf = {"value": 0.0123, "interval": [0.01, 0.02], "plain": 0.8, "n": 6, "unit": "logit"}
    group = {name: leaf | {"label": label} for name, label in (("l1", "one"), ("l2", "two"), ("max", "three"))}
    metrics = {"schema_version": 1, "groups": {"fidelity": group | {"other": leaf | {"label": "four", "plain": 0.9}}}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    text = page_of(made(), tmp_path)
    table = text[text.index('id="metrics"') : text.index('id="plots"')]
    assert re.findall(r'<th scope="row">(\w+)</th>', table) == ["one", "four"]


def test_commands_for_what_is_missing(tmp_path):
    found = made(classes=("a", "b"))
    commands = commands_of(found, tmp_path / "my run")
    assert shlex.split(commands["path"]) == ["equidiff", "path", str(tmp_path / "my run"), "0", "1"]  # unlike classes
    assert shlex.split(commands_of(made(), tmp_path)["path"])[-2:] == ["0", "5"]
    text = unescape(page_of(found, tmp_path / "my run"))
    for name in ("evaluate", "compare", "select", "path", "figure"):
        assert commands[name] in text
    own = {"generator": "toy", "objective": "custom:./probe.py:score", "regularizer": "none", "solver": "auto"}
    assert commands_of(made(specs=own), tmp_path)["evaluate"].endswith("--objective custom:./probe.py:score")
