"""Help with choosing a style, in a real Chromium: the photo in every style, and those most like the photo first."""

from __future__ import annotations

import threading

import pytest
from narrow import picture
from visitor import DESK, FIXTURES, MARKS, PHONE, WAIT_MS, expect, until

from wctstyle import images, samples
from wctstyle.demo.backend import Backend

pytestmark = MARKS
served, browser, visit = FIXTURES

STYLES = len(samples.names("style"))


class Sheet:
    """The contact sheet of a visitor."""

    def __init__(self, somebody):
        self.page = somebody.page
        self.button = self.page.get_by_role("button", name="Try all styles")
        self.panel = self.page.locator(".wct-tries")
        self.pictures = self.panel.locator(".wct-thumb")
        self.waiting = self.panel.locator(".wct-waiting")
        self.note = self.panel.locator("[role=status]")

    def names(self):
        return self.pictures.evaluate_all("(nodes) => nodes.map((node) => node.getAttribute('aria-label'))")


@pytest.fixture
def turns(monkeypatch):
    """Let pictures of the sheet be painted one by one: `release` lets the next one go; yields what was painted."""
    go, painted, render = threading.Semaphore(0), [], Backend.render

    def wait(self, session, composition):
        if composition.size == 256:  # those of the page are smaller here
            go.acquire(timeout=WAIT_MS / 1000)
            painted.append(composition)
        return render(self, session, composition)

    monkeypatch.setattr(Backend, "render", wait)
    go.painted = painted
    yield go
    go.release(1000)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_photo_in_every_style_comes_bit_by_bit_and_one_is_taken_with_a_tap(
    served, visit, turns, viewport, tmp_path
):
    somebody = visit(viewport)
    sheet, page = Sheet(somebody), somebody.page
    images.save(tmp_path / "mine.png", picture(64, 64, seed=2))
    somebody.after(lambda: page.locator(".wct-styles input[type=file]").set_input_files(tmp_path / "mine.png"))
    expect(sheet.panel).to_be_hidden()
    sheet.button.click()
    expect(sheet.button).to_have_attribute("aria-expanded", "true")
    expect(sheet.pictures).to_have_count(STYLES + 1)
    expect(sheet.waiting).to_have_count(STYLES + 1)
    expect(sheet.note).to_contain_text(f"in {STYLES + 1} styles")
    for left in (STYLES, STYLES - 1):
        turns.release()
        expect(sheet.waiting).to_have_count(left)
    somebody.shot(f"sheet-{viewport['width']}")
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.7))  # the page goes on meanwhile
    turns.release(STYLES)
    expect(sheet.waiting).to_have_count(0)
    expect(sheet.note).to_contain_text("Choose one")
    expect(sheet.panel.locator(".wct-bar")).to_be_hidden()
    sources = sheet.pictures.locator("img").evaluate_all("(nodes) => nodes.map((node) => node.src)")
    assert len(set(sources)) == STYLES + 1
    assert len({composition.styles for composition in turns.painted}) == STYLES + 1
    assert {composition.settings.strength for composition in turns.painted} == {1.0}
    box = sheet.pictures.first.bounding_box()
    assert min(box["width"], box["height"]) >= 24
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    somebody.after(sheet.pictures.nth(3).click)
    expect(page.locator(".wct-card b")).to_have_text([sheet.names()[3]])
    expect(sheet.panel.locator("[aria-pressed=true]")).to_have_count(1)
    expect(sheet.panel).to_be_visible()
    sheet.panel.get_by_role("button", name="Close").click()
    expect(sheet.panel).to_be_hidden()
    expect(sheet.button).to_be_focused()


def test_the_photo_is_encoded_once_for_the_sheet(served, visit):
    cache = served[0].service.backend.stylizer("slim").cache

    def encoded():
        return {key for key in [*cache._items] if key[0] == "content"}

    somebody = visit()
    page, sheet = somebody.page, Sheet(somebody)
    somebody.after(lambda: somebody.hand("paste", "body", "new.png", picture(300, 290, seed=11)))
    before = encoded()
    sheet.button.click()
    expect(sheet.waiting).to_have_count(0)
    assert page.locator(".wct-tries .wct-thumb").count() == STYLES
    assert len(encoded() - before) == 1


@pytest.mark.parametrize("way", ["close", "photo", "Escape"])
def test_a_sheet_that_is_closed_or_of_another_photo_is_painted_no_further(visit, turns, way):
    somebody = visit()
    page, sheet = somebody.page, Sheet(somebody)
    sheet.button.click()
    turns.release()
    expect(sheet.waiting).to_have_count(STYLES - 1)
    if way == "close":
        sheet.panel.get_by_role("button", name="Close").click()
    elif way == "photo":
        page.get_by_role("button", name="cat", exact=True).click()
    else:
        sheet.pictures.first.press("Escape")
    expect(sheet.panel).to_be_hidden()
    page.wait_for_timeout(500)
    turns.release(STYLES)
    page.wait_for_timeout(500)
    assert len(turns.painted) <= 2  # the second had begun
    turns.release(STYLES)
    sheet.button.click()
    expect(sheet.waiting).to_have_count(0)
    assert {composition.content for composition in turns.painted[2:]} == {
        "sample:cat" if way == "photo" else "sample:astronaut"
    }


def test_a_sheet_waits_for_that_of_another_visitor_and_may_be_closed_before(visit, turns):
    one, two = visit(), visit()
    sheets = [Sheet(somebody) for somebody in (one, two)]
    sheets[0].button.click()
    turns.release()
    expect(sheets[0].waiting).to_have_count(STYLES - 1)
    sheets[1].button.click()
    two.page.wait_for_timeout(300)
    sheets[1].button.click()
    expect(sheets[1].panel).to_be_hidden()
    turns.release(STYLES * 2)
    expect(sheets[0].waiting).to_have_count(0)
    two.page.wait_for_timeout(500)
    assert len(turns.painted) == STYLES


def test_a_sheet_steps_aside_for_live_pictures(served, visit, turns):
    somebody = visit()
    sheet, priority = Sheet(somebody), served[0].service.backend.priority
    turns.release(2)
    with priority.quick():
        sheet.button.click()
        until(lambda: turns.painted)
        assert len(turns.painted) < 2  # each waits for half a second
    expect(sheet.waiting).to_have_count(STYLES - 2)


def test_a_sheet_that_fails_is_closed_and_told(visit, monkeypatch):
    somebody = visit()
    sheet, render = Sheet(somebody), Backend.render

    def fail(self, session, composition):
        if composition.size == 256:
            raise RuntimeError("broken")
        return render(self, session, composition)

    monkeypatch.setattr(Backend, "render", fail)
    sheet.button.click()
    expect(somebody.page.locator(".wct-note")).to_contain_text("Something went wrong here")
    expect(sheet.panel).to_be_hidden()


def test_suggest_puts_the_styles_most_like_the_photo_first(served, visit):
    somebody = visit()
    page, sheet = somebody.page, Sheet(somebody)
    row = page.locator(".wct-styles .wct-thumb:not(.wct-add)")
    suggest = page.get_by_role("button", name="Suggest")
    names = "(nodes) => nodes.map((node) => node.getAttribute('aria-label'))"
    before = row.evaluate_all(names)
    suggest.click()
    expect(suggest).to_have_attribute("aria-pressed", "true")
    first = row.evaluate_all(names)
    assert sorted(first) == sorted(before)
    stylizer = served[0].service.backend.stylizer("slim")
    photo, *styles = (
        images.resize(samples.picture(name), long_side=256, enlarge=True).rgb
        for name in ("astronaut", *samples.names("style"))
    )
    distances = stylizer.distances(photo, styles)
    nearest = samples.names("style")[distances.index(min(distances))]
    assert first[0] == nearest.replace("-", " ")
    sheet.button.click()
    expect(sheet.waiting).to_have_count(0)
    assert sheet.names() == first
    suggest.click()
    expect(suggest).to_have_attribute("aria-pressed", "false")
    assert row.evaluate_all(names) == before == sheet.names()
    suggest.click()
    expect(suggest).to_have_attribute("aria-pressed", "true")
    somebody.after(page.get_by_role("button", name="cat", exact=True).click)
    expect(suggest).to_have_attribute("aria-pressed", "false")
    assert row.evaluate_all(names) == before


def test_the_sheet_is_one_tab_stop_and_its_pictures_are_chosen_by_keys(visit):
    somebody = visit()
    page, sheet = somebody.page, Sheet(somebody)
    sheet.button.focus()
    page.keyboard.press("Enter")
    expect(sheet.waiting).to_have_count(0)
    expect(sheet.panel.locator(".wct-thumb[tabindex='0']")).to_have_count(1)
    sheet.pictures.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    last = sheet.names()[-1]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == last
    somebody.after(lambda: page.keyboard.press("Enter"))
    assert page.evaluate("document.activeElement.closest('.wct-tries') !== null")
    expect(page.locator(".wct-card b")).to_have_text([last])
