"""The stage in a real Chromium: zoom and pan, full screen, two photos beside each other, and no silent wait."""

from __future__ import annotations

import re
import threading
import time

import numpy as np
import pytest
from narrow import picture
from visitor import DESK, FIXTURES, MARKS, PHONE, WAIT_MS, expect, hold

from wctstyle import images
from wctstyle.demo import actions
from wctstyle.demo.pictures import data_address

pytestmark = MARKS
served, browser, visit = FIXTURES

TOUCH = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
BOX = "(node) => { const box = node.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; }"
PAUSE_MS = 400
"""Longer than what the page takes for one turn of a wheel, or for one tap of two."""


def shown(height, width, *, seed=0, format="jpeg", **more):
    """What the server sends: two different pictures of one size."""
    after, before = (
        data_address(images.encode(picture(height, width, seed=seed + i), format=format), format) for i in (0, 1)
    )
    return {
        "after": after,
        "before": before,
        "width": width,
        "height": height,
        "milliseconds": 5,
        "labels": ["Photo", "Styled"],
        **more,
    }


@pytest.fixture
def put(monkeypatch):
    """Let the next move of a visitor bring this to the stage."""
    moves = iter(range(1, 100))

    def put(somebody, value):
        monkeypatch.setattr(actions, "live", lambda *_: {**value, "serial": time.time()})
        somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", f"{next(moves) / 100:.2f}"))

    return put


TURN = """(selectors) => selectors.map((selector) => !document.querySelector(selector).dispatchEvent(
  new WheelEvent("wheel", { deltaY: 120, bubbles: true, cancelable: true })))"""
"""Turns the wheel in one go over several parts of the page; says for each whether it is kept from the page."""


class Stage:
    """The stage of a visitor, in pixels."""

    def __init__(self, somebody):
        self.page = somebody.page
        self.canvas, self.status = self.page.locator(".wct-canvas"), self.page.locator(".wct-status")

    def box(self, selector):
        return np.array(self.page.locator(selector).evaluate(BOX))

    @property
    def image(self):
        return self.box(".wct-after")

    @property
    def fits(self):
        return "wct-zoomed" not in self.page.locator(".wct-stage").get_attribute("class")

    def at(self, x, y):
        """A place in the canvas, given from 0 to 1, in the window."""
        left, top, width, height = self.box(".wct-canvas")
        return left + x * width, top + y * height

    def under(self, point):
        """What of the picture is at a place of the window, from 0 to 1."""
        image = self.image
        return (np.array(point) - image[:2]) / image[2:]

    def wheel(self, by, *, ctrl=False):
        if ctrl:
            self.page.keyboard.down("Control")
        self.page.mouse.wheel(0, by)
        if ctrl:
            self.page.keyboard.up("Control")
        self.page.wait_for_timeout(100)

    def keys(self, *keys):
        self.canvas.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def drag(self, start, end):
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=8)
        self.page.mouse.up()

    @property
    def scrolled(self):
        self.page.wait_for_timeout(PAUSE_MS)
        return self.page.evaluate("scrollY")

    def mode(self, name):
        self.page.locator(".wct-modes").get_by_role("button", name=name, exact=True).click()


class Fingers:
    """Touches, as the browser gets them from a screen."""

    def __init__(self, page):
        self.page, self.session = page, page.context.new_cdp_session(page)

    def send(self, kind, *points):
        touches = [{"x": float(x), "y": float(y), "id": id} for id, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def move(self, start, end, steps=12):
        """Put fingers down, move them and take them up; one row for each finger."""
        start, end = np.array(start, float), np.array(end, float)
        self.send("touchStart", *start)
        for step in range(1, steps + 1):
            self.send("touchMove", *(start + (end - start) * step / steps))
            self.page.wait_for_timeout(16)
        self.page.wait_for_timeout(200)  # so that nothing is flung
        self.send("touchEnd")

    def tap(self, point):
        self.send("touchStart", point)
        self.send("touchEnd")


# ------------------------------------------------------------------------------------------------------ zoom and pan


def test_the_wheel_scrolls_the_page_until_the_picture_is_zoomed(visit, put):
    somebody = visit({"width": 1280, "height": 600})
    stage = Stage(somebody)
    put(somebody, shown(150, 330))
    point = stage.at(0.7, 0.4)
    stage.page.mouse.move(*point)
    stage.wheel(120)
    assert stage.fits
    assert (scrolled := stage.scrolled) > 0
    point = np.array(stage.at(0.7, 0.4))  # the stage stays in sight, a little higher
    stage.page.mouse.move(*point)
    seen, width = stage.under(point), stage.image[2]
    stage.wheel(-100, ctrl=True)
    assert stage.image[2] > 1.2 * width
    assert stage.under(point) == pytest.approx(seen, abs=0.004)
    stage.page.wait_for_timeout(PAUSE_MS)
    width = stage.image[2]
    stage.wheel(-120)
    assert stage.image[2] > 1.1 * width
    turns = stage.page.evaluate(TURN, [".wct-canvas"] * 12)
    assert turns == [True] * 12  # the turn that zoomed out does not go on with the page
    assert stage.fits
    assert stage.scrolled == scrolled
    stage.wheel(120)
    assert stage.scrolled > scrolled


def test_a_page_that_is_being_scrolled_goes_on_over_a_zoomed_picture(visit):
    stage = Stage(visit())
    stage.keys("+")
    assert stage.page.evaluate(TURN, ["#wct-right", ".wct-canvas", ".wct-canvas"]) == [False] * 3
    stage.page.wait_for_timeout(PAUSE_MS)
    assert stage.page.evaluate(TURN, [".wct-canvas"]) == [True]


def test_two_fingers_zoom_and_one_scrolls_the_page_or_pans(visit):
    somebody = visit(PHONE, **TOUCH)
    stage, fingers = Stage(somebody), Fingers(somebody.page)
    middle = np.array(stage.at(0.5, 0.5))
    fingers.move([middle], [middle - (0, 90)])
    assert (scrolled := stage.scrolled) > 40
    assert stage.fits
    middle = np.array(stage.at(0.5, 0.5))
    width = stage.image[2]
    fingers.move([middle - (20, 0), middle + (20, 0)], [middle - (50, 0), middle + (50, 0)])
    assert stage.image[2] == pytest.approx(2.5 * width, rel=0.15)
    assert stage.under(middle) == pytest.approx([0.5, 0.5], abs=0.03)
    before = stage.image
    fingers.move([middle], [middle - (30, 50)])
    assert stage.image[:2] - before[:2] == pytest.approx([-30, -50], abs=2)
    assert stage.scrolled == scrolled
    assert somebody.page.evaluate("visualViewport.scale") == 1
    fingers.move([middle - (60, 0), middle + (60, 0)], [middle - (10, 0), middle + (10, 0)])
    assert stage.fits
    assert stage.image[2] == pytest.approx(width, abs=1)


def test_a_finger_on_a_split_picture_moves_the_line_or_scrolls(visit):
    somebody = visit(PHONE, **TOUCH)
    stage, fingers = Stage(somebody), Fingers(somebody.page)
    stage.mode("Split")
    fingers.move([stage.at(0.5, 0.3)], [stage.at(0.65, 0.3)])
    line = stage.box(".wct-line")[0]
    assert line == pytest.approx(stage.at(0.65, 0.3)[0], abs=2)
    start = np.array(stage.at(0.4, 0.5))
    fingers.move([start], [start - (0, 90)])
    assert stage.scrolled > 40
    assert stage.box(".wct-line")[0] == line


def test_a_zoomed_picture_is_dragged_as_far_as_its_edge(visit):
    stage = Stage(visit())
    stage.keys("+", "+", "+")
    before, middle = stage.image, np.array(stage.at(0.5, 0.5))
    stage.drag(middle, middle + (60, -40))
    assert stage.image[:2] - before[:2] == pytest.approx([60, -40], abs=1)
    assert stage.image[2:] == pytest.approx(before[2:])
    before = stage.image
    stage.keys("ArrowRight", "ArrowDown")
    assert stage.image[:2] - before[:2] == pytest.approx([-60, -60], abs=1)
    for _ in range(4):
        stage.drag(middle, middle + (200, 200))
    assert stage.image[:2] == pytest.approx(stage.box(".wct-canvas")[:2], abs=1)


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_double_click_shows_each_pixel_and_again_the_whole(visit, put, ratio):
    somebody = visit(device_scale_factor=ratio)
    stage = Stage(somebody)
    put(somebody, shown(1200, 2000))
    width = stage.image[2]
    point = np.array(stage.at(0.3, 0.45))
    seen = stage.under(point)
    stage.page.mouse.dblclick(*point)
    expect(stage.status).to_contain_text("zoom 100%")
    assert stage.image[2:] * ratio == pytest.approx([2000, 1200])
    corner = (stage.image - stage.box(".wct-canvas"))[:2] * ratio
    assert corner == pytest.approx(np.round(corner), abs=0.01)
    assert stage.under(point) == pytest.approx(seen, abs=0.01)
    stage.page.wait_for_timeout(PAUSE_MS)
    stage.page.mouse.dblclick(*point)
    assert stage.image[2] == width
    expect(stage.status).not_to_contain_text("zoom")


def test_a_double_tap_makes_a_small_picture_larger_and_leaves_the_line(visit):
    somebody = visit(PHONE, **TOUCH)
    stage, fingers = Stage(somebody), Fingers(somebody.page)
    stage.mode("Split")
    width, line = stage.image[2], stage.box(".wct-line")[0]
    point = stage.at(0.3, 0.4)
    fingers.tap(point)
    fingers.tap(point)
    stage.page.wait_for_function("document.querySelector('.wct-zoomed')")
    assert stage.image[2] == pytest.approx(2 * width)
    assert stage.box(".wct-line")[0] == pytest.approx(line, abs=1)


def test_keys_and_buttons_zoom_and_the_status_tells(visit):
    somebody = visit()
    stage, page = Stage(somebody), somebody.page
    fit = stage.image[2]
    for name, factor in (("Zoom in", 2**0.5), ("Zoom in", 2), ("Zoom out", 2**0.5), ("Fit", 1)):
        button = page.get_by_role("button", name=name, exact=True)
        assert min(button.bounding_box()["width"], button.bounding_box()["height"]) >= 24
        button.click()
        assert stage.image[2] == pytest.approx(factor * fit, abs=0.1)
    stage.keys("+", "+")
    assert stage.image[2] == pytest.approx(2 * fit, abs=0.1)
    expect(stage.status).to_have_text(re.compile(rf"128 × 128 · .* · zoom.{2 * fit / 128:.0%}"))
    stage.keys("-")
    assert stage.image[2] == pytest.approx(2**0.5 * fit, abs=0.1)
    stage.keys("1")
    assert stage.image[2] == pytest.approx(128)
    stage.keys("0")
    assert stage.image[2] == pytest.approx(fit)
    stage.keys(*12 * "+")
    expect(page.get_by_role("button", name="Zoom in", exact=True)).to_have_attribute("aria-disabled", "true")
    stage.keys("0")
    page.locator("#wct-strength input[type=number]").press("1")
    page.locator("#wct-strength input[type=range]").press("f")
    assert stage.image[2] == pytest.approx(fit)
    assert page.locator(".wct-full").count() == 0


def test_both_pictures_zoom_and_the_line_stays_on_the_screen(visit):
    somebody = visit()
    stage = Stage(somebody)
    stage.mode("Split")
    stage.drag(stage.at(0.2, 0.5), stage.at(0.4, 0.5))
    line = stage.box(".wct-line")[0]
    assert line == pytest.approx(stage.at(0.4, 0.5)[0], abs=2)
    stage.keys("+", "+", "+")
    stage.page.get_by_label("Where the view is split").press("ArrowRight")
    stage.page.get_by_label("Where the view is split").press("ArrowLeft")
    assert stage.box(".wct-before") == pytest.approx(stage.image)
    assert stage.box(".wct-line")[0] == pytest.approx(line, abs=4)  # the keys move in half percents
    line, before = stage.box(".wct-line")[0], stage.image
    stage.drag(stage.at(0.8, 0.5), stage.at(0.7, 0.6))
    assert stage.image[0] < before[0] - 30
    assert stage.box(".wct-before") == pytest.approx(stage.image)
    assert stage.box(".wct-line")[0] == line
    before = stage.image
    stage.drag((line + 1, stage.at(0, 0.5)[1]), stage.at(0.6, 0.5))
    assert stage.image == pytest.approx(before)
    assert stage.box(".wct-line")[0] == pytest.approx(stage.at(0.6, 0.5)[0], abs=2)
    clip = stage.page.locator(".wct-pane-before").evaluate("(node) => getComputedStyle(node).clipPath")
    assert float(re.search(r"([\d.]+)%", clip)[1]) == pytest.approx(40, abs=1)
    somebody.shot("zoom-split")


def test_pixels_are_seen_above_200_percent_only(visit, put):
    somebody = visit()
    stage = Stage(somebody)
    rendering = "getComputedStyle(document.querySelector('.wct-after')).imageRendering"
    put(somebody, shown(600, 600))
    stage.keys("1", "+")
    expect(stage.status).to_contain_text("zoom 141%")
    assert stage.page.evaluate(rendering) == "auto"
    stage.keys("+", "+")
    expect(stage.status).to_contain_text("zoom 283%")
    assert stage.page.evaluate(rendering) == "pixelated"


def test_the_zoom_stays_for_pictures_of_the_same_shape(visit, put):
    somebody = visit()
    stage = Stage(somebody)
    put(somebody, shown(300, 451))
    stage.keys("+", "+", "+", "ArrowRight", "ArrowDown")
    before = stage.image
    put(somebody, shown(300, 451, seed=2))
    assert stage.image == pytest.approx(before)
    expect(stage.status).to_contain_text("5 ms")
    put(somebody, shown(200, 301, seed=4, milliseconds=6883))  # the same photo, smaller and rounded
    expect(stage.status).to_contain_text("· 6.9 s")
    assert stage.image == pytest.approx(before, abs=3)
    put(somebody, shown(451, 300, seed=6))
    assert stage.fits
    expect(stage.status).not_to_contain_text("zoom")


# ------------------------------------------------------------------------------------------------------- full screen


@pytest.mark.parametrize("missing", [False, True])
def test_full_screen_fills_it_and_goes_with_escape(visit, missing):
    somebody = visit()
    stage, page = Stage(somebody), somebody.page
    if missing:
        page.evaluate("delete Element.prototype.requestFullscreen")
    width = page.evaluate("document.querySelector('.wct-canvas').clientWidth")
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.querySelector('.wct-canvas').clientWidth === innerWidth")
    assert page.evaluate("Boolean(document.fullscreenElement)") is not missing
    for x, y in ((0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.05, 0.95), (0.75, 0.5)):
        inside = "([x, y]) => Boolean(document.elementFromPoint(x * innerWidth, y * innerHeight).closest('.wct-stage'))"
        assert page.evaluate(inside, [x, y])
    page.locator(".wct-thumb").first.evaluate("(node) => node.focus()")
    assert page.evaluate("!document.activeElement.closest('.wct-palette')")
    fit = stage.image[2]
    page.mouse.move(*stage.at(0.5, 0.5))
    stage.wheel(-120)
    assert stage.image[2] > 1.1 * fit
    stage.mode("Split")
    expect(page.locator(".wct-line")).to_be_visible()
    somebody.shot(f"full-screen-{'without' if missing else 'with'}")
    page.keyboard.press("Escape")
    page.wait_for_function(f"document.querySelector('.wct-canvas').clientWidth === {width}")
    assert not page.evaluate("document.fullscreenElement")
    stage.keys("f")
    page.wait_for_function("document.querySelector('.wct-canvas').clientWidth === innerWidth")
    page.get_by_role("button", name="Leave full screen").click()
    page.wait_for_function(f"document.querySelector('.wct-canvas').clientWidth === {width}")
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.5))
    assert page.evaluate("document.querySelectorAll('[inert]').length") == 0


# ------------------------------------------------------------------------------------------------------------ beside


def two_photos(**more):
    before = data_address(images.encode(picture(300, 200, seed=8), format="jpeg"))
    labels = ["A styled", "B styled"]
    return shown(180, 400, **{"before": before, "labels": labels, "mode": "split", "beside": True, **more})


@pytest.mark.parametrize(("viewport", "stacked"), [(DESK, False), (PHONE, True)])
def test_different_photos_are_beside_each_other_and_not_stretched(visit, put, viewport, stacked):
    somebody = visit(viewport)
    stage, page = Stage(somebody), somebody.page
    put(somebody, two_photos(before_width=200, before_height=300))
    after, before = stage.image, stage.box(".wct-before")
    assert after[2] / after[3] == pytest.approx(400 / 180, rel=0.01)
    assert before[2] / before[3] == pytest.approx(200 / 300, rel=0.01)
    axis = 1 if stacked else 0
    assert before[axis] + before[2 + axis] <= after[axis]
    canvas = stage.box(".wct-canvas")
    for box in (after, before):
        assert (box[:2] >= canvas[:2] - 1).all()
        assert (box[:2] + box[2:] <= canvas[:2] + canvas[2:] + 1).all()
    for side in ("before", "after"):
        expect(page.locator(f".wct-tag-{side}")).to_be_visible()
        tag, pane = stage.box(f".wct-tag-{side}"), stage.box(f".wct-pane-{side}")
        assert (tag[:2] >= pane[:2]).all()
        assert (tag[:2] + tag[2:] <= pane[:2] + pane[2:]).all()
    expect(page.locator(".wct-line")).to_be_hidden()
    somebody.shot(f"beside-{'stacked' if stacked else 'row'}")
    stage.keys("+", "+")
    assert stage.image[2] == pytest.approx(2 * after[2], abs=0.1)
    assert stage.box(".wct-before")[2] == pytest.approx(2 * before[2], abs=0.1)
    for name, seen, other in (("A styled", "before", "after"), ("B styled", "after", "before")):
        stage.mode(name)
        expect(page.locator(f".wct-{seen}")).to_be_visible()
        expect(page.locator(f".wct-{other}")).to_be_hidden()
    stage.keys("0")
    stage.mode("A styled")
    assert stage.box(".wct-before")[2] > before[2]  # it has all the room now
    stage.mode("Both")
    expect(page.locator(".wct-before")).to_be_visible()


def test_after_two_photos_one_is_split_as_before(visit, put):
    somebody = visit()
    stage = Stage(somebody)
    put(somebody, two_photos(before_width=200, before_height=300))
    stage.keys("+")
    put(somebody, shown(180, 400, seed=10))
    assert stage.fits
    assert stage.box(".wct-before") == pytest.approx(stage.image)
    expect(somebody.page.locator(".wct-line")).to_be_visible()
    expect(somebody.page.locator(".wct-modes button")).to_have_text(["Styled", "Split", "Photo"])


# ---------------------------------------------------------------------------------------------------- no silent wait

WATCH = """() => {
  window.seen = [];
  const line = document.querySelector(".wct-pulse");
  const look = () => {
    seen.push([performance.now(), Number(getComputedStyle(line).opacity)]);
    requestAnimationFrame(look);
  };
  look();
  const begin = () => {
    window.began ??= performance.now();
    window.first ??= Number(getComputedStyle(line).opacity);
  };
  for (const name of ["input", "wct:moved"]) document.addEventListener(name, begin);
  document.addEventListener("wct:shown", () => (window.ended = performance.now()));
}"""
"""Writes down how much is seen of the line that says that work goes on: as it begins, and in every frame."""


@pytest.mark.parametrize("action", ["dial", "palette"])
def test_work_is_seen_at_once(visit, monkeypatch, action):
    somebody = visit()
    page, (_, go) = somebody.page, hold(monkeypatch, actions, "live")
    page.evaluate(WATCH)
    if action == "dial":
        somebody.slide("#wct-strength input[type=range]", 0.5)
    else:
        page.get_by_role("button", name="cat", exact=True).click()
    page.wait_for_function("window.began")
    assert page.evaluate("first") == 1  # as the page hears of it, so with the next frame
    somebody.shot("busy")
    go.set()
    expect(page.locator(".wct-busy")).to_have_count(0)
    expect(page.locator(".wct-pulse")).to_have_css("opacity", "0")


def test_quick_answers_do_not_make_it_flicker(visit, put):
    somebody = visit()
    page = somebody.page
    put(somebody, shown(64, 64))
    page.wait_for_timeout(1000)
    page.evaluate(WATCH)
    for value in (0.7, 0.8, 0.9):
        somebody.after(lambda value=value: somebody.slide("#wct-strength input[type=range]", value))
    expect(page.locator(".wct-pulse")).to_have_css("opacity", "0")
    opacity = np.array(page.evaluate("seen.filter(([time]) => time > began).map(([time, opacity]) => opacity)"))
    assert (np.diff(opacity) > 0.6).sum() <= 1  # it comes at most once in full, and then stays or fades
    held = page.evaluate(
        "seen.filter(([time]) => time > ended && time < ended + 120).map(([time, opacity]) => opacity)"
    )
    assert min(held, default=1) > 0.9
    somebody.slide("#wct-strength input[type=range]", 0.4)
    moving = "document.querySelector('.wct-pulse').getAnimations({ subtree: true })[0]"
    quiet = f"(() => {{ const it = {moving}; return !it || it.effect.getTiming().delay; }})()"
    assert page.evaluate(quiet) in (True, 400)


def test_the_wait_goes_on_for_the_last_of_several_moves(visit, monkeypatch):
    somebody = visit()
    page, turns, live = somebody.page, threading.Semaphore(0), actions.live

    def wait(*arguments):
        turns.acquire(timeout=WAIT_MS / 1000)
        return live(*arguments)

    monkeypatch.setattr(actions, "live", wait)
    somebody.slide("#wct-strength input[type=range]", 0.5)
    page.wait_for_timeout(PAUSE_MS)
    somebody.slide("#wct-strength input[type=range]", 0.6)
    somebody.after(turns.release)
    page.wait_for_timeout(2000)
    expect(page.locator(".wct-busy")).to_have_count(1)
    somebody.after(turns.release)
    expect(page.locator(".wct-busy")).to_have_count(0)


def test_a_dial_that_sends_nothing_yet_does_not_look_busy_for_long(visit):
    somebody = visit()
    page = somebody.page
    page.locator("#wct-more > button").click()
    size = page.locator("#wct-size input[type=range]")
    size.evaluate("(node) => node.dispatchEvent(new Event('input', { bubbles: true }))")
    expect(page.locator(".wct-busy")).to_have_count(1)
    expect(page.locator(".wct-busy")).to_have_count(0, timeout=10_000)


def test_work_of_others_has_its_text_in_the_status(visit):
    somebody = visit()
    page, status = somebody.page, somebody.page.locator(".wct-status")
    tell = "(detail) => document.dispatchEvent(new CustomEvent('wct:busy', { detail }))"
    page.evaluate(tell, "Preparing the file")
    expect(status).to_have_text("Preparing the file")
    expect(page.locator(".wct-busy")).to_have_count(1)
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.5))
    expect(status).to_have_text("Preparing the file")  # that picture is not the file
    expect(page.locator(".wct-busy")).to_have_count(1)
    page.evaluate(tell, False)
    expect(status).to_contain_text("128 × 128")
    expect(page.locator(".wct-busy")).to_have_count(0)
    page.evaluate(tell, True)
    expect(page.locator(".wct-busy")).to_have_count(1)
    expect(status).to_contain_text("128 × 128")


@pytest.mark.parametrize(("wanted", "animation"), [("no-preference", "wct-run"), ("reduce", "none")])
def test_nothing_runs_for_those_who_want_less_motion(visit, wanted, animation):
    page = visit(reduced_motion=wanted).page
    page.evaluate("document.dispatchEvent(new CustomEvent('wct:busy', { detail: true }))")
    name = "getComputedStyle(document.querySelector('.wct-pulse'), '::after').animationName"
    assert page.evaluate(name) == animation
    expect(page.locator(".wct-pulse")).to_have_css("opacity", "1")


# ------------------------------------------------------------------------------------------------ names, transparency


def test_the_text_of_a_picture_says_what_it_is(visit, put):
    somebody = visit()
    page = somebody.page
    expect(page.locator(".wct-after")).to_have_attribute("alt", "Styled")
    put(somebody, shown(64, 64, labels=["A styled", "B optimised"]))
    expect(page.locator(".wct-after")).to_have_attribute("alt", "B optimised")
    expect(page.locator(".wct-before")).to_have_attribute("alt", "A styled")
    expect(page.get_by_role("img", name="B optimised")).to_have_count(1)
    expect(page.get_by_role("img", name="A styled")).to_have_count(0)  # not seen, so not read either


def test_a_checkerboard_is_behind_transparent_pictures_only(visit, put):
    somebody = visit()
    page = somebody.page
    ground = "getComputedStyle(document.querySelector('.wct-pane-after')).backgroundImage"
    put(somebody, shown(64, 64))
    assert page.evaluate(ground) == "none"
    for format in ("png", "webp"):
        put(somebody, shown(64, 64, format=format))
        assert "conic-gradient" in page.evaluate(ground)
