"""The four sentences of an evaluation."""

import pytest

from equidiff.analysis.evaluation.results import Metric
from equidiff.analysis.evaluation.verdicts import judge_members


def groups(target=0.01, saved=1.0, percentile=(50.0, (40.0, 60.0)), ratio=(1.0, (0.9, 1.1))):
    return {
        "fidelity": {
            "l2": Metric("deviation", target, "activation", 64, (target * 0.8, target * 1.2), 0.8),
            "saved_members": Metric("saved", saved, "share", 64, (saved * 0.94, saved), 0.0),
            "jpeg_90_members": Metric("jpeg", 0.25, "share", 64),
        },
        "realism": {"percentile": Metric("percentile", percentile[0], "%", 64, percentile[1], 50.0)},
        "diversity": {"pairwise_ratio": Metric("ratio", ratio[0], "", 64, ratio[1], 1.0)},
    }


def judge(within=0.03, real=False, absent=None, **changes):
    return {each.name: each for each in judge_members(groups(**changes), absent or {}, within, real)}


def test_good_members():
    verdicts = judge()
    assert list(verdicts) == ["target", "saving", "realism", "diversity"]
    assert all(each.holds for each in verdicts.values())
    assert verdicts["target"].sentence == (
        "Members hit the target: their deviation is 0.01 activation (0.008 to 0.012), that of prior samples 0.8."
    )
    assert "64 of 64 are members as saved (94 % to 100 %), 16 after JPEG at quality 90" in verdicts["saving"].sentence
    assert "is 50 (40 to 60)" in verdicts["realism"].sentence
    assert "1.00 times as much (0.90 to 1.10)" in verdicts["diversity"].sentence


@pytest.mark.parametrize(
    ("name", "words", "changes"),
    [
        ("target", "miss the target", {"target": 0.1}),
        ("saving", "Not all survive saving: 43 of 64", {"saved": 43 / 64}),
        ("realism", "are further than usual from prior samples", {"percentile": (80.0, (70.0, 90.0))}),
        ("diversity", "less diverse than prior samples", {"ratio": (0.7, (0.6, 0.8))}),
    ],
)
def test_each_can_fail_alone(name, words, changes):
    verdicts = judge(**changes)
    assert words in verdicts[name].sentence
    assert [each.name for each in verdicts.values() if not each.holds] == [name]


def test_more_diverse_than_prior_samples_is_no_failure():
    verdict = judge(ratio=(1.4, (1.2, 1.6)))["diversity"]
    assert verdict.holds
    assert "more diverse" in verdict.sentence


def test_members_nearer_to_real_images_than_prior_samples_are_no_failure():
    verdict = judge(percentile=(20.0, (10.0, 30.0)), real=True)["realism"]
    assert verdict.holds
    assert "nearest real image" in verdict.sentence


def test_a_run_that_does_not_know_its_tolerance_in_the_unit_is_compared_with_prior_samples():
    assert judge(within=None, target=0.1)["target"].holds
    assert not judge(within=None, target=0.9)["target"].holds


def test_what_was_not_measured_says_why():
    (verdict,) = (
        each
        for each in judge_members({}, {"fidelity.saved_members": "the samples are points, not images"}, None, False)
        if each.name == "saving"
    )
    assert verdict.holds is None
    assert verdict.sentence == "Whether they survive saving was not measured: the samples are points, not images."
    assert "holds" not in verdict.to_json()


def test_one_member_has_no_interval():
    metrics = groups()
    metrics["fidelity"]["l2"] = Metric("deviation", 0.01, "activation", 1, None, 0.8)
    (first, *_) = judge_members(metrics, {}, 0.03, False)
    assert "0.01 activation, that of" in first.sentence
