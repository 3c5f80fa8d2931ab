"""Regions on the page in a real Chromium: painting, scribbling, ready-made and uploaded masks, undo, and a reload.

Each test is one visit with several steps, as opening the page is what takes time.
"""

from __future__ import annotations

import base64
import re

import numpy as np
from test_demo_access import violations
from visitor import DESK, FIXTURES, MARKS, PHONE, expect

from wctstyle import images, masks
from wctstyle.demo.pictures import THUMB_SIDE
from wctstyle.errors import ImageError

pytestmark = MARKS
served, browser, visit = FIXTURES

TINTED = """([x, y]) => {
  const tint = document.querySelector(".wct-tint");
  if (!tint.classList.contains("wct-seen")) return false;
  const at = [Math.floor(x * tint.width), Math.floor(y * tint.height)];
  return tint.getContext("2d").getImageData(...at, 1, 1).data[3] > 40;
}"""


SMALL = """[...document.querySelectorAll(".wct-brush button, .wct-regions :is(button, input)")]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 32)
  .map((node) => node.outerHTML)"""


def pixels(somebody):
    """The picture on the stage, in [0, 1]."""
    return images.load(base64.b64decode(somebody.source.partition(",")[2])).rgb


def moved(before, after, rows, columns):
    """How much a part of the picture changed; the part is given as shares of the picture."""
    height, width = before.shape[:2]
    part = tuple(slice(int(a * side), int(b * side)) for (a, b), side in ((rows, height), (columns, width)))
    return float(np.abs(before[part] - after[part]).mean())


def place(somebody, x, y):
    box = somebody.page.locator(".wct-pane-after").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def stroke(somebody, *places):
    """Paint with the mouse from place to place, each a share of the picture."""
    mouse = somebody.page.mouse
    mouse.move(*place(somebody, *places[0]))
    mouse.down()
    for each in places[1:]:
        mouse.move(*place(somebody, *each), steps=6)
    mouse.up()


def tinted(somebody, *at):
    return somebody.page.evaluate(TINTED, list(at))


def until_tinted(somebody, at, wanted=True):
    somebody.page.mouse.move(*place(somebody, 0.5, 0.5))
    somebody.page.wait_for_function(f"([x, y]) => ({TINTED})([x, y]) === {str(wanted).lower()}", arg=list(at))


def map_of(*colors):
    """A map of colours: one column of a picture for each."""
    return np.repeat(np.asarray(colors, np.float32)[None], 64, axis=0).repeat(32, axis=1)


def chips(somebody):
    return somebody.page.locator(".wct-chips button[aria-pressed]")


def begin(somebody, way):
    """Open + Region and choose a way to mark one."""
    somebody.page.get_by_role("button", name="Add a region").click()
    somebody.page.locator(f".wct-maker [data-way={way}]").click()


def act(somebody, name):
    somebody.page.locator(f"[data-brush={name}]").click()


def test_a_region_is_painted_mended_named_kept_and_deleted(visit):
    somebody = visit()
    page, note = somebody.page, somebody.page.locator(".wct-note")
    expect(chips(somebody)).to_have_count(0)
    before = pixels(somebody)
    begin(somebody, "brush")
    expect(chips(somebody)).to_have_text(["Everything else", "Region 1"])
    somebody.slide(".wct-size input", 150)
    somebody.after(lambda: stroke(somebody, (0.1, 0.2), (0.1, 0.8)))
    left = pixels(somebody)
    assert moved(before, left, (0.3, 0.7), (0, 0.15)) > 0.1
    assert moved(before, left, (0, 1), (0.6, 1)) < 0.02
    somebody.shot("regions-brush")
    assert violations(page) == []

    # Strokes are undone one by one; invert, fill and erase change the mask.
    somebody.after(lambda: stroke(somebody, (0.9, 0.2), (0.9, 0.8)))
    assert tinted(somebody, 0.9, 0.5)
    somebody.after(lambda: page.keyboard.press("Control+z"))
    assert tinted(somebody, 0.1, 0.5)
    assert not tinted(somebody, 0.9, 0.5)
    assert np.abs(pixels(somebody) - left).max() < 0.02
    somebody.after(lambda: act(somebody, "invert"))
    until_tinted(somebody, (0.9, 0.5))
    assert not tinted(somebody, 0.1, 0.5)
    somebody.after(lambda: act(somebody, "fill"))
    until_tinted(somebody, (0.1, 0.5))
    page.keyboard.press("e")
    expect(page.locator(".wct-hand [data-hand=erase]")).to_have_attribute("aria-pressed", "true")
    somebody.after(lambda: stroke(somebody, (0.5, 0.2), (0.5, 0.8)))
    assert not tinted(somebody, 0.5, 0.5)
    size = page.locator(".wct-size input")
    wide = float(size.input_value())
    page.keyboard.press("[")
    assert float(size.input_value()) < wide
    page.locator(".wct-hand [data-hand=paint]").press("Escape")
    expect(page.locator(".wct-brush")).to_be_hidden()
    expect(chips(somebody)).to_have_count(2)
    page.keyboard.press("ArrowLeft")  # the keyboard goes on at the chip of the region
    expect(chips(somebody).first).to_be_focused()

    # The gallery and the dials are those of the region.
    photo = pixels(somebody)
    expect(page.get_by_role("heading", name=re.compile("^Styles of Region 1"))).to_be_visible()
    somebody.after(page.get_by_role("button", name="marbling", exact=True).click)
    styled = pixels(somebody)
    assert moved(photo, styled, (0.3, 0.7), (0, 0.15)) > 0.02
    somebody.after(lambda: page.get_by_label("Strength of Region 1").fill("0.5"))
    assert moved(styled, pixels(somebody), (0.3, 0.7), (0, 0.15)) > 0.01
    chips(somebody).first.click()
    expect(page.locator(".wct-card b")).to_have_text(["impasto night", "stained glass"])

    # Names are checked, and said to be wrong with the reason.
    chips(somebody).nth(1).click()
    name = page.get_by_label("Name", exact=True)
    for wrong, reason in (
        ("a=b", "a name cannot have “=”."),
        ("rest", "that is the name of all that lies in no region"),
    ):
        name.fill(wrong)
        name.press("Enter")
        expect(note).to_contain_text(f"{wrong}: {reason}")
        expect(name).to_have_value("Region 1")
    somebody.after(lambda: (name.fill("Wall"), name.press("Enter")))
    expect(chips(somebody)).to_have_text(["Everything else", "Wall"])

    # A page that is loaded anew has it all.
    kept = page.locator(".wct-open[title*='Wall: marbling']").first
    expect(kept).to_be_visible()
    somebody.reload()
    page.wait_for_selector(".wct-stage[data-shown]")
    expect(chips(somebody)).to_have_text(["Everything else", "Wall"])
    chips(somebody).nth(1).click()
    expect(page.locator(".wct-card b")).to_have_text(["marbling"])
    page.locator(".wct-region [data-way=brush]").click()
    until_tinted(somebody, (0.1, 0.5))
    assert not tinted(somebody, 0.5, 0.5)
    act(somebody, "done")
    page.locator(".wct-region [data-way=delete]").click()
    expect(note).to_contain_text("Wall was deleted")
    expect(chips(somebody)).to_have_count(0)
    somebody.after(kept.click)
    expect(chips(somebody)).to_have_text(["Everything else", "Wall"])
    somebody.after(lambda: page.locator("[data-step=undo]").click())
    expect(chips(somebody)).to_have_count(0)
    somebody.after(lambda: page.locator("[data-step=undo]").click())
    expect(chips(somebody)).to_have_text(["Everything else", "Wall"])


def test_masks_are_scribbled_found_uploaded_and_taken_of_a_style(visit, monkeypatch, tmp_path):
    somebody = visit()
    page, note = somebody.page, somebody.page.locator(".wct-note")
    begin(somebody, "scribble")
    stroke(somebody, (0.85, 0.2), (0.85, 0.8))
    page.locator(".wct-hand [data-hand=outside]").click()
    somebody.after(lambda: stroke(somebody, (0.15, 0.2), (0.15, 0.8)))
    act(somebody, "see")
    until_tinted(somebody, (0.8, 0.5))
    assert not tinted(somebody, 0.25, 0.5)
    somebody.shot("regions-scribble")
    act(somebody, "done")

    # All styles are tried in the region, until another is chosen.
    with page.expect_request(lambda request: '"region":"Region 1"' in (request.post_data or "")):
        page.get_by_role("button", name="Try all styles").click()
    expect(page.locator(".wct-tries")).to_be_visible()
    chips(somebody).first.click()
    expect(page.locator(".wct-tries")).to_be_hidden()

    # A ready-made mask, and one that is not found.
    gone = []

    def found(kind, photo):
        if kind == absent or gone:
            raise ImageError(f"no {kind} was found in this photo")
        upper = np.arange(photo.height) < photo.height / 2
        return np.repeat(upper[:, None], photo.width, axis=1).astype(np.float32)

    monkeypatch.setattr(masks, "ready", found)
    present, absent = masks.offered()[:2]
    begin(somebody, absent)
    expect(note).to_contain_text(f"no {absent} was found in this photo")
    expect(chips(somebody)).to_have_count(2)
    somebody.after(lambda: begin(somebody, present))
    expect(chips(somebody)).to_have_count(3)
    page.locator(".wct-region [data-way=brush]").click()
    until_tinted(somebody, (0.5, 0.2))
    assert not tinted(somebody, 0.5, 0.8)
    act(somebody, "done")

    # In a photo without it, the region waits; the picture is made without it.
    gone.append(True)
    somebody.after(page.get_by_role("button", name="coffee", exact=True).click)
    expect(page.locator(".wct-absent")).to_have_count(1)
    somebody.after(page.get_by_role("button", name="astronaut", exact=True).click)
    expect(page.locator(".wct-absent")).to_have_count(0)
    expect(chips(somebody)).to_have_count(3)

    # A part of a style.
    chips(somebody).first.click()
    part = page.get_by_role("button", name="Part of impasto night")
    expect(part).to_have_attribute("aria-pressed", "false")
    part.click()
    expect(page.locator(".wct-subject")).to_be_visible()
    assert page.evaluate("document.querySelector('.wct-subject').naturalWidth") > THUMB_SIDE
    before = somebody.source
    somebody.after(lambda: stroke(somebody, (0.2, 0.2), (0.4, 0.4)))
    expect(part).to_have_attribute("aria-pressed", "true")
    assert somebody.source != before
    somebody.shot("regions-part")
    page.keyboard.press("Escape")
    expect(page.locator(".wct-subject")).to_be_hidden()
    page.get_by_role("button", name="Split", exact=True).click()
    expect(page.locator(".wct-before")).to_be_visible()
    expect(page.locator(".wct-subject")).to_be_hidden()
    page.get_by_role("button", name="Styled", exact=True).click()

    # A map of colours brings a region for each.
    images.save(tmp_path / "map.png", map_of((1, 0, 0), (0, 0, 1)))
    page.get_by_role("button", name="Add a region").click()
    expect(page.locator(".wct-maker")).to_be_visible()
    assert violations(page) == []
    somebody.after(lambda: page.get_by_label("Upload a mask").set_input_files(tmp_path / "map.png"))
    expect(chips(somebody)).to_have_count(5)

    # Files can be dropped on the regions; there is an end to them.
    many = map_of((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1))
    somebody.after(lambda: somebody.hand("drop", ".wct-regions", "many.png", many))
    expect(note).to_contain_text("many.png has 6 regions. The first 4 are used.")
    expect(chips(somebody)).to_have_count(9)
    begin(somebody, "brush")
    expect(note).to_contain_text("A photo takes up to 8 regions.")
    expect(chips(somebody)).to_have_count(9)
    assert page.evaluate("document.documentElement.scrollWidth") <= DESK["width"]


def test_on_a_phone_one_finger_paints_and_two_zoom(visit):
    somebody = visit(PHONE, has_touch=True, is_mobile=True)
    page = somebody.page
    fingers = somebody.context.new_cdp_session(page)

    def touch(*steps):
        """Move fingers: each step is the places where they are, as shares of the picture."""
        for number, places in enumerate(steps):
            points = [
                dict(zip("xy", place(somebody, *each), strict=True), id=index) for index, each in enumerate(places)
            ]
            kind = "touchMove" if number else "touchStart"
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    before = pixels(somebody)
    page.get_by_role("button", name="Add a region").tap()
    page.locator(".wct-maker [data-way=brush]").tap()
    expect(page.locator(".wct-brush")).to_be_visible()
    somebody.slide(".wct-size input", 90)
    somebody.after(lambda: touch([(0.1, 0.2)], [(0.1, 0.5)], [(0.1, 0.8)]))
    after = pixels(somebody)
    assert moved(before, after, (0.3, 0.7), (0, 0.15)) > 0.1
    assert moved(before, after, (0, 1), (0.6, 1)) < 0.02
    small = page.evaluate(SMALL)
    assert small == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert violations(page) == []
    somebody.shot("regions-phone")

    shown = somebody.shown
    touch([(0.5, 0.5)], [(0.5, 0.5), (0.6, 0.5)], [(0.4, 0.5), (0.8, 0.5)])
    expect(page.locator(".wct-stage")).to_have_class(re.compile("wct-zoomed"))
    act(somebody, "see")
    page.locator("[data-view=fit]").tap()
    assert tinted(somebody, 0.1, 0.5)
    assert not tinted(somebody, 0.5, 0.5)
    assert somebody.shown == shown
    page.locator("[data-brush=done]").tap()
    expect(page.locator(".wct-brush")).to_be_hidden()
