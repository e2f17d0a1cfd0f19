"""The two-choice game of the report: what it shows, its score, and its export."""

import json

import pytest
from browsing import NEEDS_CHROMIUM, opened
from full_report import COUNT, PRIOR, write_full
from made_runs import made
from playwright.sync_api import expect
from scipy.stats import binomtest

from equidiff.analysis.report import write_report

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_full(tmp_path_factory.mktemp("game"))


@pytest.fixture
def page(browser, report):
    with opened(browser, report) as page:
        yield page


def play(page, rounds, choose):
    page.fill("#game-rounds", str(rounds))
    page.fill("#game-seed", "5")
    page.click("#game button[type=submit]")
    for at in range(rounds):
        expect(page.locator("#round")).to_contain_text(f"Round {at + 1} of {rounds}")
        page.keyboard.press(choose(page))
    expect(page.locator("#score")).to_be_visible()
    with page.expect_download() as download:
        page.click("#game-json")
    return json.loads(download.value.path().read_text())


def right(page):
    """The key for the member, found by its image."""
    source = page.get_attribute(".choice >> nth=0 >> img", "src")
    own = page.eval_on_selector_all("#grid img", "all => all.map(each => each.src)")
    return "ArrowLeft" if source in own else "ArrowRight"


def test_the_game_is_scored_and_exported(page):
    alternate = iter([True, True, True, False, True, True, True, True])

    def mostly(page):
        key = right(page)
        return key if next(alternate) else {"ArrowLeft": "ArrowRight", "ArrowRight": "ArrowLeft"}[key]

    written = play(page, 8, mostly)
    interval = binomtest(7, 8).proportion_ci(0.95, method="wilson")
    assert written["score"]["hits"] == 7
    assert written["score"]["interval"] == pytest.approx([interval.low, interval.high])
    assert f"{100 * interval.low:.0f} % to {100 * interval.high:.0f} %" in page.inner_text("#score-text")
    rounds = written["rounds"]
    assert [each["choice"] for each in rounds] == ["member"] * 3 + ["prior"] + ["member"] * 4
    assert len({each["member"] for each in rounds}) == 8
    assert all(each["ms"] >= 0 for each in rounds)
    assert all((each["choice"] == each["left"]) == (each["side"] == "left") for each in rounds)
    assert (written["seed"], written["run"]["objective"]) == (5, "neuron:17")
    assert page.locator("#rounds li").count() == 8


def test_the_game_pairs_by_class_and_repeats_with_its_seed(page):
    first, second = (play(page, COUNT, lambda _: "ArrowLeft") for _ in range(2))
    assert {each["left"] for each in first["rounds"]} == {"member", "prior"}
    for each in first["rounds"]:
        assert each["matched"]
        assert each["member_class"] == each["prior_class"]
    # nine prior samples, three of each class, for four members of each class
    used = [each["prior"] for each in first["rounds"]]
    assert len(set(used)) == PRIOR
    pairs = [[(each["member"], each["prior"], each["left"]) for each in game["rounds"]] for game in (first, second)]
    assert pairs[0] == pairs[1]


def test_the_game_never_tells(page):
    page.click("#game button[type=submit]")
    texts = page.eval_on_selector_all(
        ".choice", "all => all.map(each => each.innerText + each.querySelector('img').alt)"
    )
    assert texts == ["left", "right"]
    names = page.eval_on_selector_all(".choice img", "all => all.map(each => each.className)")
    assert names[0] == names[1]


def test_a_member_among_the_prior_samples_is_no_wrong_answer(browser, tmp_path):
    found = made(count=4, others=1, classes=("bag", "coat"), prior=4)
    found.prior["losses"][:3] = 0.0
    report = write_report(found, tmp_path, tmp_path / "report.html")
    with opened(browser, report) as page:
        written = play(page, 4, lambda _: "ArrowRight")
        assert {each["prior"] for each in written["rounds"]} == {3}  # a coat
        matched = {each["member_class"]["name"]: each["matched"] for each in written["rounds"]}
        assert matched == {"bag": False, "coat": True}
    found.prior["losses"][:] = 0.0
    page = write_report(found, tmp_path, tmp_path / "report.html").read_text()
    assert 'id="game"' not in page
