"""The page for those who use a keyboard, a screen reader, large type or a small screen."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from visitor import DESK, FIXTURES, MARKS, PHONE, expect

from wctstyle.demo import actions
from wctstyle.errors import ConfigError

pytestmark = MARKS
served, browser, visit = FIXTURES

LANDSCAPE = {"width": 844, "height": 390}
ZOOMED = {"width": 320, "height": 256}
"""What is left of 1280 by 1024 at 400 %."""

TABS = ("Blend", "Optimise", "Video", "Compare", "Extras", "Download")
OWN = "#wct-main :is(button, input:not([type=hidden]), [role=slider]), .wct-head :is(button, a)"

VIOLATIONS = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"], rules: { "target-size": { enabled: true } } });
  return found.violations.flatMap((rule) => rule.nodes.map((node) => [rule.id, rule.impact, node.target.join(" ")]));
}"""

SMALL = """(own) => [...document.querySelectorAll(own)]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.matches(".wct-skip"))
  .map((node) => [node, (node.closest("label:has(> input)") || node).getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24)
  .map(([node, box]) => `${node.outerHTML.slice(0, 90)}: ${box.width} x ${box.height}`)"""

LOOK = """() => {
  const node = document.activeElement, parts = [node, node.closest("label"), node.nextElementSibling].filter(Boolean);
  const line = (part) => {
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(part);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && outlineColor;
  };
  const box = (node.closest("label") || node).getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const top = document.elementFromPoint(x, y);
  return {
    name: node.getAttribute("aria-label") || node.innerText || node.outerHTML.slice(0, 80),
    own: Boolean(node.closest("#wct-main, .wct-head")),
    marked: parts.some(line),
    covered: Boolean(top && top.closest("#wct-stage") && !node.closest("#wct-stage")),
  };
}"""


def violations(page):
    """What axe-core finds, as (rule, impact, element)."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    return [tuple(found) for found in page.evaluate(VIOLATIONS)]


def everything_open(somebody, name):
    """Open a tab with all that it can show."""
    page = somebody.page
    somebody.tab(name)
    if name == "Blend":
        page.locator("#wct-more > button").click()
        expect(page.locator("#wct-size")).to_be_visible()
        page.get_by_role("button", name="Try all styles").click()
        expect(page.locator(".wct-tries .wct-waiting")).to_have_count(0)
    if name == "Optimise":
        page.locator("#wct-more-optimise > button").click()
        expect(page.locator("#wct-method")).to_be_visible()
    if name == "Download":
        page.get_by_role("button", name="Show as command and Python").click()
        expect(page.get_by_text("--strength")).to_be_visible()
        expect(page.locator(".cm-scroller:visible")).to_have_count(2)


def test_axe_would_find_what_was_wrong(visit):
    somebody = visit()
    page = somebody.page
    page.add_style_tag(
        content=".gradio-container .tab-container button.selected { color: #d6512e !important; transition: none; }"
        ".wct-presets { gap: 0 !important; flex-wrap: nowrap; }"
        ".wct-presets button { padding: 0 !important; width: 9px; height: 9px; font-size: 4px; overflow: hidden; }"
        ".wct-presets button { min-width: 0; min-height: 0; }"
    )
    page.evaluate(
        "document.querySelector('#wct-strip-title').outerHTML = '<h4 id=wct-strip-title>History</h4>';"
        "document.querySelector('.wct-palette section').remove()"
    )
    rules = {rule for rule, _, _ in violations(page)}
    assert rules == {"color-contrast", "target-size", "heading-order"}


def test_the_page_has_a_language_headings_and_landmarks(visit):
    page = visit().page
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.get_by_role("main")).to_have_count(1)
    for name in ("Photo", "Styles", "Blend", "History"):
        expect(page.get_by_role("region", name=re.compile(f"^{name}"))).to_have_count(1)
        expect(page.get_by_role("heading", level=2, name=re.compile(f"^{name}"))).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("wctstyle")
    expect(page.get_by_role("figure", name="Picture")).to_have_count(1)


def test_the_first_link_skips_to_the_blend_from_any_tab(visit):
    somebody = visit()
    page = somebody.page
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the blend")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport(ratio=1)
    somebody.tab("Compare")
    skip.press("Enter")
    expect(page.locator("#wct-blend-title")).to_be_focused()
    page.keyboard.press("Tab")
    assert (
        page.evaluate("document.activeElement.closest('section').getAttribute('aria-labelledby')") == "wct-blend-title"
    )


def test_arrow_keys_move_between_the_tabs(visit):
    somebody = visit()
    page = somebody.page
    tab = {name: page.get_by_role("tab", name=name) for name in TABS}
    expect(page.get_by_role("tablist")).to_have_count(1)
    tab["Blend"].focus()
    moves = ["ArrowRight Optimise", "End Download", "ArrowRight Blend", "ArrowLeft Download", "Home Blend"]
    for key, name in map(str.split, [*moves, "ArrowRight Optimise"]):
        page.keyboard.press(key)
        expect(tab[name]).to_be_focused()
        expect(tab[name]).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tabpanel", name=name)).to_be_visible()
    expect(page.locator('[role="tab"][tabindex="0"]')).to_have_text(["Optimise"])
    page.keyboard.press("Tab")
    expect(page.get_by_label("number input for Steps")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(tab["Optimise"]).to_be_focused()


def test_groups_and_sliders_say_what_they_are_for(visit):
    somebody = visit()
    page = somebody.page
    expect(page.locator("#wct-strength input[type=range]")).to_have_accessible_description(
        "0 is the photo, 1 the full style."
    )
    more = page.get_by_role("button", name="More")
    somebody.tab("Optimise")
    more.click()
    expect(page.get_by_role("group", name="Method")).to_have_accessible_description(
        "L-BFGS needs fewer steps. Adam moves more gently."
    )
    somebody.tab("Blend")
    expect(more).to_have_attribute("aria-expanded", "false")
    more.click()
    expect(more).to_have_attribute("aria-expanded", "true")


def walk(page):
    """Press Tab from the first link on to the end of the page; what has the focus at each stop."""
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.get_by_role("link", name="Skip to the blend").focus()
    passed = []
    for _ in range(90):
        page.keyboard.press("Tab")
        look = page.evaluate(LOOK)
        if not look["own"]:
            break
        passed.append(look)
    return passed


def check_controls(page):
    """Every control is large enough, marked when it has the focus, and uncovered."""
    assert page.evaluate(SMALL, OWN) == []
    passed = walk(page)
    assert len(passed) >= 8
    assert [look["name"] for look in passed if not look["marked"]] == []
    assert [look["name"] for look in passed if look["covered"]] == []


@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESK), ("dark", PHONE)], ids=["light-desk", "dark-phone"])
def test_axe_finds_nothing_and_every_control_is_large_enough_marked_and_uncovered(visit, viewport, scheme):
    """On one page, as opening every view costs as much as checking it; controls are walked in the light scheme."""
    somebody = visit(viewport)
    page = somebody.page
    switch = page.get_by_role("button", name="Switch between light and dark")
    if scheme == "dark":
        switch.click()
    page.locator(".wct-strip li").first.get_by_role("button", name="Compare as A").click()  # so that one is pressed
    expect(page.locator(".wct-strip [aria-pressed=true]")).to_have_count(1)
    found = {}
    for name in TABS:
        everything_open(somebody, name)
        found[name] = violations(page)
        somebody.shot(f"access-{scheme}-{viewport['width']}-{name.lower()}")
    assert found == dict.fromkeys(TABS, [])
    if scheme == "dark":
        switch.click()
    for name in TABS:
        somebody.tab(name)
        for shown in {"Blend": ["#wct-size", ".wct-tries"], "Download": [".cm-scroller >> nth=0"]}.get(name, []):
            expect(page.locator(shown)).to_be_visible()  # what was opened is open still
        check_controls(page)


def test_at_400_percent_nothing_is_small_or_cut_off_and_the_picture_gives_way(visit):
    somebody = visit(ZOOMED)
    page = somebody.page
    for name in TABS:
        everything_open(somebody, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= ZOOMED["width"]
        outside = page.evaluate(
            """(own) => [...document.querySelectorAll(own)].filter((node) => node.checkVisibility()
            && !node.closest(".wct-row, .wct-styles, .wct-frame, .wct-strip ol, .wct-skip"))
            .filter((node) => node.getBoundingClientRect().left < 0 || node.getBoundingClientRect().right > innerWidth)
            .map((node) => node.outerHTML.slice(0, 90))""",
            OWN,
        )
        assert outside == []
        somebody.shot(f"access-zoomed-{name.lower()}")
        check_controls(page)
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    stage = page.locator(".wct-canvas").bounding_box()
    assert stage["x"] == pytest.approx(ZOOMED["width"] - stage["x"] - stage["width"], abs=1)
    page.evaluate("window.scrollTo(0, 400)")
    assert page.locator(".wct-canvas").bounding_box()["y"] < -100
    page.get_by_role("button", name="Make the file").scroll_into_view_if_needed()
    page.get_by_label("Result A").click()
    page.get_by_role("button", name="Make the file").click()
    expect(page.locator(".wct-note")).to_have_text("Choose A below a result in the history first.")
    expect(page.locator(".wct-note")).to_be_in_viewport(ratio=1)


def test_in_landscape_the_picture_stays_beside_its_controls_and_none_is_small_or_covered(visit):
    somebody = visit(LANDSCAPE)
    page = somebody.page
    assert page.evaluate("document.documentElement.scrollWidth") <= LANDSCAPE["width"]
    slider = page.locator("#wct-strength input[type=range]")
    slider.scroll_into_view_if_needed()
    stage, box = page.locator("#wct-stage").bounding_box(), slider.bounding_box()
    assert stage["y"] >= 0
    assert stage["y"] + stage["height"] <= LANDSCAPE["height"]
    assert stage["x"] + stage["width"] <= box["x"]
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.5))
    page.locator(".wct-open").first.click()
    somebody.shot("access-landscape")
    for name in TABS:
        everything_open(somebody, name)
        check_controls(page)


def test_a_failure_is_told_once_and_on_the_stage(visit, monkeypatch):
    somebody = visit()
    page, note = somebody.page, somebody.page.locator(".wct-note")

    def refuse(*_):
        raise ConfigError("not today")

    def break_down(*_):
        raise RuntimeError("secret of /root/place")

    for fault, text in ((refuse, "not today"), (break_down, "Something went wrong here."), (refuse, "not today")):
        with monkeypatch.context() as patch:
            patch.setattr(actions, "live", fault)
            page.locator("#wct-strength input[type=range]").press("ArrowLeft")
            expect(note).to_contain_text(text)
        assert "secret" not in note.inner_text()
        expect(page.locator(".toast-body")).to_have_count(0)
        note.click()
        expect(note).to_be_hidden()
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.6))


LIVE = """() => {
  window.asked = 0;
  document.addEventListener("wct:asked", (event) => {
    const { targets } = gradio_config.dependencies.find(({ id }) => id === event.detail);
    if (targets.some(([, name]) => name === "input")) window.asked += 1;
  });
}"""
"""Counts in `asked` how often the page asks for a picture of the blend."""


def test_slow_dials_follow_the_keyboard_with_one_request_a_key(visit):
    somebody = visit()
    somebody.page.evaluate(LIVE)
    somebody.page.locator("#wct-more > button").click()
    for dial in ("look", "stroke_scale", "size"):
        follow_slowly(somebody, dial)


def follow_slowly(somebody, dial):
    """Move a dial by keys, by a number and by hand, and count the requests for each."""
    page = somebody.page
    page.evaluate("asked = 0")
    slider, number = (page.locator(f"#wct-{dial} input[type={kind}]") for kind in ("range", "number"))
    before = slider.input_value()
    slider.focus()
    somebody.after(lambda: page.keyboard.press("ArrowRight"))
    assert slider.input_value() != before
    assert page.evaluate("asked") == 1
    slider.blur()
    most = slider.get_attribute("max")
    number.focus()
    number.fill("99999")
    page.wait_for_timeout(300)
    assert page.evaluate("asked") == 1  # it is not entered yet
    somebody.after(lambda: page.keyboard.press("Enter"))
    assert number.input_value() == most
    page.keyboard.press("Tab")
    box = slider.bounding_box()
    page.wait_for_timeout(300)
    assert page.evaluate("asked") == 2  # leaving it changes nothing
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2, steps=4)
    page.wait_for_timeout(300)
    assert page.evaluate("asked") == 2  # it is still held
    somebody.after(page.mouse.up)
    page.wait_for_timeout(300)
    assert page.evaluate("asked") == 3


def test_quick_dials_follow_the_keyboard(visit):
    somebody = visit()
    page = somebody.page
    page.evaluate(LIVE)
    for dial in ("strength", "color", "detail", "texture", "keep_faces"):
        page.evaluate("asked = 0")
        slider = page.locator(f"#wct-{dial} input[type=range]")
        slider.focus()
        key = "ArrowLeft" if float(slider.input_value()) else "ArrowRight"
        somebody.after(lambda key=key: page.keyboard.press(key))
        assert page.evaluate("asked") == 1, dial
