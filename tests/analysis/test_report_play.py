"""The parts of the report that people play with, clicked through: chips, map, links, downloads, paths."""

import csv
import io

import pytest
from browsing import NEEDS_CHROMIUM, PHONE, opened
from full_report import CLASSES, COUNT, FRAMES, made_full, write_full
from made_runs import EVIL, data_of, decode_image
from PIL import Image
from playwright.sync_api import expect

from equidiff.images.convert import to_image

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_full(tmp_path_factory.mktemp("play"))


@pytest.fixture
def page(browser, report):
    with opened(browser, report) as page:
        yield page


def shown(page):
    """Indices of the members shown, in order."""
    found = page.eval_on_selector_all("#grid li:not([hidden])", "all => all.map(each => each.id)")
    return [int(each.removeprefix("member-")) for each in found]


# ---- classes, sorting


def test_a_chip_shows_the_members_of_its_class(page):
    assert page.locator(".chip").count() == 3
    chip = page.locator('.chip[data-class="2"]')
    assert EVIL in chip.inner_text()
    chip.click()
    assert shown(page) == [2, 5, 8, 11]
    assert chip.get_attribute("aria-pressed") == "true"
    assert page.input_value("#class") == "2"
    chip.click()
    assert shown(page) == list(range(COUNT))
    page.select_option("#class", "1")
    assert shown(page) == [1, 4, 7, 10]


def test_the_direction_says_what_it_does_and_does_it(page):
    assert page.inner_text("#direction") == "Lowest first"
    page.click("#direction")
    assert page.inner_text("#direction") == "Highest first"
    assert shown(page) == list(range(COUNT))[::-1]
    page.click("#direction")
    assert shown(page) == list(range(COUNT))
    page.select_option("#sort", "class")
    assert shown(page) == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    page.select_option("#sort", "typicality")
    values = page.evaluate("visible().map(card => numberOf(card, 'typicality'))")
    assert values == sorted(values)


# ---- the map


def drag(page, start, end):
    box = page.locator("#plane-of-map").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()


def test_a_box_on_the_map_filters_the_members(page):
    assert "features of probe" in page.inner_text("#map")
    drag(page, (0.02, 0.02), (0.5, 0.98))
    # they lie in a row, from the left edge to the right one
    assert shown(page) == [0, 1, 2, 3, 4, 5]
    assert page.inner_text("#shown") == f"6 of {COUNT} members shown"
    faint = page.eval_on_selector_all(".member-mark.out", "all => all.map(each => Number(each.dataset.at))")
    assert sorted(faint) == [6, 7, 8, 9, 10, 11]
    page.locator('.chip[data-class="0"]').click()  # both filters hold
    assert shown(page) == [0, 3]
    page.locator('.chip[data-class="0"]').click()
    page.focus("#plane-of-map")
    page.keyboard.press("Escape")
    assert shown(page) == list(range(COUNT))


def test_a_finger_that_scrolls_leaves_the_map_as_it_was(page):
    drag(page, (0.02, 0.02), (0.5, 0.98))
    box = page.locator("#plane-of-map").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 320, box["y"] + 200)
    assert shown(page) != [0, 1, 2, 3, 4, 5]
    page.dispatch_event("#plane-of-map", "pointercancel")
    assert shown(page) == [0, 1, 2, 3, 4, 5]
    page.mouse.move(box["x"] + 10, box["y"] + 10)  # the drag is over
    assert shown(page) == [0, 1, 2, 3, 4, 5]
    page.mouse.up()


def test_the_map_by_keyboard(page):
    page.focus("#plane-of-map")
    page.keyboard.press("ArrowRight")
    middle = shown(page)
    assert middle == [3, 4, 5, 6, 7, 8]
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert shown(page) == [0, 1, 2, 3, 4, 5]
    for _ in range(20):
        page.keyboard.press("Shift+ArrowLeft")
    assert shown(page) == [0]
    page.keyboard.press("Escape")
    assert shown(page) == list(range(COUNT))


def test_a_look_at_the_map_and_a_click(page):
    page.hover('.member-mark[data-at="5"]')
    assert "member 5" in page.inner_text("#near")
    assert EVIL in page.inner_text("#near")
    page.hover('.prior-mark[data-prior="4"]', force=True)
    assert "prior sample 4" in page.inner_text("#near")
    page.click('.member-mark[data-at="5"]')
    assert page.inner_text("#viewed").startswith("member 5")


# ---- one member


def test_links_to_members(browser, report):
    with opened(browser, report, "#member-7") as page:
        assert page.inner_text("#viewed").startswith("member 7")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("location.hash") == "#member-8"
        page.keyboard.press("Escape")
        expect(page.locator("#viewer")).not_to_be_visible()
        page.wait_for_function("location.hash === ''")
        page.evaluate("location.hash = '#member-3'")
        expect(page.locator("#viewed")).to_contain_text("member 3")
        page.click("#close")
        page.click("#selections a")
        expect(page.locator("#viewed")).to_contain_text("member 7")
    with opened(browser, report, "#member-99") as page:
        assert not page.is_visible("#viewer")


def test_arrow_keys_keep_the_scroll_position(browser, report):
    with opened(browser, report, viewport={"width": 600, "height": 500}) as page:
        page.evaluate("scrollTo({top: 700, behavior: 'instant'})")
        page.evaluate("cards[4].click()")
        page.evaluate("viewer.scrollTop = 120")
        before = page.evaluate("[scrollY, viewer.scrollTop]")
        assert before[0] > 0
        assert before[1] == 120
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert page.inner_text("#viewed").startswith("member 7")
        assert page.evaluate("[scrollY, viewer.scrollTop]") == before


def test_the_nearest_real_image_is_shown_where_there_is_one(page):
    page.click("#member-2 button")
    assert f"birds/{EVIL}.png (distance 0.5)" in page.inner_text("#pairs")
    assert (decode_image(page.get_attribute(".of-nearest img", "src")) == 64).all()
    page.keyboard.press("ArrowRight")
    assert page.locator(".of-nearest").count() == 0


def test_downloads(page, report):
    page.click("#member-4 button")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "member-4.png"
    saved = Image.open(download.value.path())
    own = made_full().samples[4]
    assert saved.tobytes() == to_image(own).tobytes()
    page.click("#close")
    with page.expect_download() as download:
        page.click("#csv")
    run = data_of(report.read_text())["run"]["id"]
    assert download.value.suggested_filename == f"members-{run}.csv"
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert [row["member"] for row in rows] == [str(index) for index in range(COUNT)]
    assert [row["class"] for row in rows[:3]] == ["bag", "'=HYPERLINK()", EVIL]
    assert float(rows[1]["unit 0"]) == 0.51
    assert float(rows[2]["probability"]) == 0.75


# ---- paths


def test_the_needle_stands_still_while_class_and_other_units_move(page):
    ends = []
    for frame in range(FRAMES):
        page.locator(".path input").evaluate(
            "(input, frame) => { input.value = frame; input.dispatchEvent(new Event('input')); }", frame
        )
        needle = page.locator(".needle")
        ends.append((needle.get_attribute("x2"), needle.get_attribute("y2")))
        levels = page.eval_on_selector_all(".level", "all => all.map(each => each.getAttribute('width'))")
        texts = page.locator(".meters").all_inner_texts()
        assert f"{25 * frame} %" in texts[0]
        assert levels[0] == f"{25 * frame}%"
        caption = page.inner_text(".scrub figcaption")
        assert caption == ("not a member" if frame == 2 else f"{CLASSES[frame % 3]} (75 %)")
        assert page.is_visible(".frame") == (frame != 2)
        if frame != 2:
            assert (decode_image(page.get_attribute(".frame", "src")) == round(255 * frame / 4)).all()
    assert len(set(ends)) == 1
    assert "3 of 4 frames are members; it jumps from frame 1 to 3." in page.inner_text("#paths")
    page.focus(".path input")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text(".path output") == "2 of 3"


# ---- on a phone, and without JavaScript


def test_everything_can_be_used_on_a_phone(browser, report):
    with opened(browser, report, viewport=PHONE, has_touch=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        # query, classes and members are on the first screen
        for part in (".query img", ".chip >> nth=2", "#grid li >> nth=0 >> img"):
            box = page.locator(part).bounding_box()
            assert 0 <= box["y"] <= PHONE["height"] - box["height"], part
        page.tap('.chip[data-class="1"]')
        assert shown(page) == [1, 4, 7, 10]
        page.tap("#game button[type=submit]")
        page.tap(".choice >> nth=1")
        expect(page.locator("#round")).to_contain_text("Round 2")
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_the_first_screen_of_a_desktop(browser, report):
    with opened(browser, report, viewport={"width": 1440, "height": 900}) as page:
        for part in ("h1", ".query img", ".chip >> nth=2", "#grid li >> nth=11 >> img"):
            box = page.locator(part).bounding_box()
            assert box["y"] + box["height"] <= 900, part
        assert not page.is_visible("#settings dl")


def test_members_without_javascript(browser, report):
    with opened(browser, report, java_script_enabled=False) as page:
        assert page.locator("#grid img").count() == COUNT
        assert page.is_visible("#member-11 img")
        assert page.is_visible("noscript p")
        for part in (".controls", "#game", ".scrub"):
            assert not page.is_visible(part), part
        assert page.locator(".strip img").count() == FRAMES - 1
        # figures have an alpha channel, and belong on white
        assert page.get_attribute("#figures img", "alt") == "logits"
        assert (decode_image(page.get_attribute("#figures img", "src")) == 255).all()


def test_injected_code_does_not_run(browser, report, tmp_path):
    """A negative control: the policy stops even a script that got onto the page."""
    changed = tmp_path / "changed.html"
    text = report.read_text().replace(
        "</main>", "<script>window.ran = true</script><img src=x onerror=alert(1)></main>"
    )
    changed.write_text(text)
    context = browser.new_context()
    page = context.new_page()
    refused = []
    page.on("console", lambda line: refused.append(line.text))
    page.goto(changed.as_uri())
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in refused)
    context.close()
