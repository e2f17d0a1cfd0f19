"""The report in a browser, used as a person would. Skipped without Chromium."""

import json

import pytest
import torch
from browsing import NEEDS_CHROMIUM, PHONE, opened
from made_runs import EVIL, made
from playwright.sync_api import expect
from safetensors.torch import save_file

from equidiff.analysis.report import write_report

CLASSES = ("bag", "coat", EVIL)  # of member i: number i modulo 3

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Twelve members and four others, with attribution maps and metrics; names that try to inject code."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "attributions").mkdir()
    maps = {"query": torch.randn(1, 8, 8), "members": torch.randn(12, 8, 8)}
    save_file(maps, folder / "attributions" / "saliency.safetensors")
    method = {"name": "saliency", "spec": "saliency", "status": "done", "file": "saliency.safetensors", "numbers": {}}
    about = {"schema_version": 1, "methods": [method]}
    (folder / "attributions" / "attributions.json").write_text(json.dumps(about))
    metric = {"value": 1.0, "interval": [0.5, 1.5], "plain": 2.0, "n": 12, "unit": "nats"}
    (folder / "metrics.json").write_text(json.dumps({"schema_version": 1, "groups": {"fidelity": {EVIL: metric}}}))
    found = made(count=12, others=4, classes=CLASSES, prior=9, versions={"equidiff": "0.1.0", EVIL: EVIL})
    return write_report(found, folder, folder / "report.html", [EVIL])


@pytest.fixture
def page(browser, report):
    with opened(browser, report) as page:
        yield page


def titles(page):
    """Positions of the members shown, in order."""
    return page.eval_on_selector_all(
        "#grid li:not([hidden]) .card", "cards => cards.map(card => Number(card.dataset.at))"
    )


def test_members_are_sorted(page):
    assert titles(page) == list(range(12))
    page.select_option("#sort", "error")
    # the synthetic values have errors 0, 0.01, 0.02, 0, ...
    assert titles(page) == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    page.click("#direction")
    assert titles(page) == [2, 5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9]
    # cards are drawn as they come into view: the caption has text a frame later
    expect(page.locator("#grid li:first-child .caption")).to_contain_text("0.02", use_inner_text=True)


def test_members_are_filtered(page):
    page.click("#filters summary")
    page.fill('[data-key="error"] .low', "0.005")
    page.fill('[data-key="error"] .high', "0.015")
    assert titles(page) == [1, 4, 7, 10]
    assert page.inner_text("#shown") == "4 of 12 members shown"
    page.click("#filters button[type=reset]")
    expect(page.locator("#shown")).to_have_text("12 of 12 members shown")
    assert titles(page) == list(range(12))


def test_a_member_beside_the_query(page):
    page.click(".card[data-at='4']")
    assert page.is_visible("#viewer")
    assert page.inner_text("#viewed") == "member 4: coat (75 %)"
    headings = page.eval_on_selector_all("#maps thead th", "all => all.map(each => each.textContent)")
    assert headings == ["saliency", "spectrum"]
    widths = page.eval_on_selector_all("#pairs img, #maps img", "all => all.map(each => each.naturalWidth)")
    assert widths == [8] * 6
    own = page.get_attribute(".card[data-at='4'] img", "src")
    assert page.get_attribute("#pairs .of-member img", "src") == own
    assert page.get_attribute("#pairs .of-query img", "src") == page.get_attribute(".query img", "src")
    facts = page.inner_text("#facts")
    assert "coat (75 %)" in facts
    assert "0.51 activation" in facts
    assert "0.01 away" in facts
    assert "up to 0.05 away" in facts
    page.click("#close")
    assert not page.is_visible("#viewer")


def test_the_keyboard_alone(page):
    page.keyboard.press("Tab")
    assert page.inner_text(":focus") == "Skip to the members"
    page.keyboard.press("Enter")
    while page.evaluate("document.activeElement.className") != "card":
        page.keyboard.press("Tab")
    page.select_option("#sort", "error")
    page.focus("#grid li:first-child .card")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.at") == "3"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.inner_text("#viewed") == "member 3: bag (75 %)"
    page.keyboard.press("ArrowRight")  # the next one in sorted order
    assert page.inner_text("#viewed") == "member 6: bag (75 %)"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # there is nothing before the first
    assert page.inner_text("#viewed") == "member 0: bag (75 %)"
    page.keyboard.press("Escape")
    assert not page.is_visible("#viewer")
    # the close event comes after the dialog has closed
    expect(page.locator(":focus")).to_have_attribute("data-at", "0")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.at") == "11"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    columns = len(page.evaluate("getComputedStyle(document.querySelector('#grid')).gridTemplateColumns").split())
    assert titles(page).index(int(page.evaluate("document.activeElement.dataset.at"))) == min(columns, 11)


def test_on_a_phone(browser, report):
    with opened(browser, report, viewport=PHONE, has_touch=True) as page:
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0
        page.tap(".card[data-at='1']")
        assert page.is_visible("#viewer")
        box = page.locator("#viewer").bounding_box()
        assert (box["width"], box["height"]) == (PHONE["width"], PHONE["height"])
        assert page.evaluate("viewer.scrollWidth - viewer.clientWidth") == 0


def luminance(page, selector, name):
    """Relative luminance of a colour, as WCAG defines it."""
    colour = page.eval_on_selector(selector, f"e => getComputedStyle(e).{name}")
    channels = [int(each) / 255 for each in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_light_and_dark_have_contrast(browser, report, scheme, dark):
    with opened(browser, report, color_scheme=scheme) as page:
        ground = luminance(page, "html", "backgroundColor")
        assert (ground < 0.1) == dark
        for selector, name in ((("h1", "color")), ("#shown", "color"), (".chart text", "fill"), (".skip", "color")):
            low, high = sorted((ground, luminance(page, selector, name)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, selector


def test_in_print(page):
    page.emulate_media(media="print")
    assert not page.is_visible(".controls")
    assert page.is_visible(".card[data-at='11'] img")
    assert page.pdf().startswith(b"%PDF")


def test_names_are_text(page):
    for part in ("#metrics", "#reproduce"):
        page.eval_on_selector_all(f"{part}, {part} details", "all => all.forEach(each => { each.open = true; })")
        assert EVIL in page.inner_text(part)
    for part in ("h1", ".chips", ".legend", "#grid"):
        assert EVIL in page.inner_text(part)
    assert page.eval_on_selector_all("script", "all => all.length") == 2


def test_the_command_can_be_copied(page):
    page.click("#copy")
    expect(page.locator("#copy")).not_to_have_text("Copy")
    assert page.inner_text("#command").startswith("equidiff run --generator toy ")
