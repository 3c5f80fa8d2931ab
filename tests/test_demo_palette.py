"""The palette and the history in a real Chromium: own pictures, undo, keyboard, camera, the pad."""

from __future__ import annotations

import base64
import re

import pytest
from narrow import picture
from visitor import FIXTURES, MARKS, PHONE, WAIT_MS, expect, hold, launched, until

from wctstyle import images
from wctstyle.demo import actions, steps

pytestmark = MARKS

served, _, visit = FIXTURES
TWO_CAMERAS = "--use-fake-device-for-media-stream=device-count=2"

FILES = """([kind, selector, files]) => {
  const dataTransfer = new DataTransfer();
  for (const [name, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
  }
  const target = document.querySelector(selector);
  target.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
}"""

UNDO_KEY = """(node) => !node.dispatchEvent(
  new KeyboardEvent("keydown", { key: "z", ctrlKey: true, bubbles: true, cancelable: true }))"""
"""Says whether the page takes Ctrl+Z at a node for itself."""


@pytest.fixture(scope="module")
def browser():
    with launched(TWO_CAMERAS) as browser:
        yield browser


def drag(somebody, event, selector, **files):
    """Drag pictures to an element: `name=seed`."""
    data = [
        (f"{name}.png", base64.b64encode(images.encode(picture(48, 64, seed=seed))).decode())
        for name, seed in files.items()
    ]
    somebody.page.evaluate(FILES, [event, selector, data])


def file(folder, name, seed):
    return images.save(folder / name, picture(48, 64, seed=seed))


def give(somebody, part, *files):
    somebody.page.locator(f"{part} input[type=file]").set_input_files(files)


def label(somebody):
    return somebody.page.evaluate("document.activeElement.getAttribute('aria-label')")


def names(somebody, part):
    return somebody.page.locator(f"{part} .wct-own .wct-thumb")


def blend(somebody):
    return somebody.page.locator(".wct-card b")


STRENGTH = "#wct-strength input[type=range]"


# ---------------------------------------------------------------------------------------------------------- uploads


def test_a_file_over_the_page_is_told_what_a_drop_does(visit):
    somebody = visit()
    page, hint = somebody.page, somebody.page.locator(".wct-drop-hint")
    expect(hint).to_be_hidden()
    for place, says in (
        (".wct-photos", "as the photo"),
        ("#wct-strength", "as the photo"),
        (".wct-styles", "as a style"),
        (".wct-blend", "as a style"),
    ):
        drag(somebody, "dragover", place, mine=1)
        expect(hint).to_contain_text(says)
    for zone in page.locator(".wct-zone").all():
        expect(zone).to_have_css("outline-style", "dashed")
    somebody.shot("drop-hint")
    drag(somebody, "dragover", ".wct-canvas", mine=1)
    expect(hint).to_be_hidden()
    drag(somebody, "dragover", ".wct-photos", mine=1)
    drag(somebody, "dragleave", "body", mine=1)
    expect(hint).to_be_hidden()
    expect(page.locator(".wct-zone").first).to_have_css("outline-style", "none")


def test_a_file_is_the_photo_wherever_it_is_dropped_and_a_style_on_the_blend(visit):
    somebody = visit()
    for seed, place in enumerate((".wct-photos", ".wct-head", "#wct-strength")):
        somebody.after(lambda seed=seed, place=place: drag(somebody, "drop", place, **{f"photo{seed}": seed + 1}))
        expect(somebody.chosen()).to_have_text(f"photo{seed}.png")
    expect(blend(somebody)).to_have_count(2)
    somebody.after(lambda: drag(somebody, "drop", ".wct-blend", paint=7))
    expect(blend(somebody)).to_have_text(["paint.png"])
    expect(somebody.chosen()).to_have_text("photo2.png")


@pytest.mark.parametrize("place", [".wct-photos", ".wct-canvas"])
def test_of_several_photos_the_first_is_used_and_the_rest_are_added(visit, place):
    somebody = visit()
    drag(somebody, "drop", place, one=1, two=2, three=3)
    expect(names(somebody, ".wct-photos")).to_have_text(["three.png", "two.png", "one.png"])
    expect(somebody.chosen()).to_have_text("one.png")
    expect(somebody.page.locator(".wct-note")).to_contain_text("under Photo")
    expect(blend(somebody)).to_have_count(2)


def test_every_message_names_its_file_and_the_limits_are_told_before(visit, tmp_path):
    somebody = visit()
    page, note = somebody.page, somebody.page.locator(".wct-note")
    expect(page.locator(".wct-limits")).to_have_text(re.compile(r"JPEG, PNG.* up to 2 MB"))
    bad, large = tmp_path / "holiday.tif", tmp_path / "large.png"
    bad.write_bytes(b"no picture")
    large.write_bytes(bytes(3 * 2**20))
    give(somebody, ".wct-photos", bad, large, file(tmp_path, "good.png", 1))
    expect(note).to_contain_text("holiday.tif: This file could not be read")
    expect(note).to_contain_text("large.png: too large, 3 MB")
    expect(names(somebody, ".wct-photos")).to_have_text(["good.png"])
    expect(somebody.chosen()).to_have_text("astronaut")


def test_styles_that_do_not_fit_are_kept_and_named(visit, tmp_path):
    somebody = visit()
    page = somebody.page
    for style in page.locator(".wct-styles [aria-pressed=false]").all()[:4]:
        somebody.after(style.click)
    give(somebody, ".wct-styles", file(tmp_path, "seventh.png", 1))
    expect(page.locator(".wct-note")).to_contain_text("seventh.png: a blend takes up to 6 styles")
    expect(names(somebody, ".wct-styles")).to_have_text(["seventh.png"])
    expect(blend(somebody)).to_have_count(6)


def test_the_first_own_style_replaces_the_samples_and_later_ones_join_it(visit, tmp_path):
    somebody = visit()
    page = somebody.page
    first = somebody.source
    somebody.after(lambda: give(somebody, ".wct-styles", file(tmp_path, "one.png", 1)))
    expect(page.locator(".wct-note")).to_contain_text("one.png takes the place of the sample styles. Undo")
    expect(blend(somebody)).to_have_text(["one.png"])
    somebody.after(lambda: give(somebody, ".wct-styles", file(tmp_path, "two.png", 2)))
    expect(blend(somebody)).to_have_text(["one.png", "two.png"])
    for _ in range(2):
        somebody.after(page.get_by_role("button", name="Undo").click)
    expect(blend(somebody)).to_have_text(["impasto night", "stained glass"])
    assert somebody.source == first


def test_a_blend_that_was_changed_is_not_replaced(visit, tmp_path):
    somebody = visit()
    somebody.after(somebody.page.get_by_role("button", name="marbling", exact=True).click)
    somebody.after(lambda: give(somebody, ".wct-styles", file(tmp_path, "one.png", 1)))
    expect(blend(somebody)).to_have_text(["impasto night", "stained glass", "marbling", "one.png"])


def test_own_pictures_are_deleted_by_keyboard_and_what_used_them_falls_back(visit, tmp_path):
    somebody = visit()
    page = somebody.page
    somebody.after(page.get_by_role("button", name="cat", exact=True).click)
    somebody.after(lambda: give(somebody, ".wct-photos", file(tmp_path, "mine.png", 1)))
    for seed, name in enumerate(("one", "two")):
        paint = file(tmp_path, f"{name}.png", 5 + seed)
        somebody.after(lambda paint=paint: give(somebody, ".wct-styles", paint))
    box = page.get_by_label("Delete mine.png").bounding_box()
    assert min(box["width"], box["height"]) >= 24
    page.locator(".wct-photos [tabindex='0']").focus()
    page.get_by_role("button", name="mine.png", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert label(somebody) == "Delete mine.png"
    somebody.after(lambda: page.keyboard.press("Enter"))
    expect(somebody.chosen()).to_have_text("cat")
    expect(names(somebody, ".wct-photos")).to_have_count(0)
    somebody.after(page.get_by_label("Delete one.png").click)
    expect(blend(somebody)).to_have_text(["two.png"])
    somebody.after(page.get_by_label("Delete two.png").click)
    expect(blend(somebody)).to_have_text(["impasto night", "stained glass"])


def test_a_deleted_picture_leaves_the_session_and_the_steps(served, visit, tmp_path):
    known = set(served[0].service.sessions._items)
    somebody = visit()
    (key,) = set(served[0].service.sessions._items) - known
    session = served[0].service.sessions._items[key]
    somebody.after(lambda: give(somebody, ".wct-photos", file(tmp_path, "mine.png", 1)))
    somebody.after(lambda: somebody.slide(STRENGTH, 0.5))
    somebody.after(somebody.page.get_by_label("Delete mine.png").click)
    expect(somebody.page.locator(".wct-note")).to_contain_text("mine.png was removed")
    somebody.after(lambda: somebody.page.keyboard.press("Control+z"))
    expect(somebody.page.locator(STRENGTH)).to_have_value("1")
    expect(somebody.chosen()).to_have_text("astronaut")
    assert session.pictures == []


# ----------------------------------------------------------------------------------------------------- undo and redo


def test_undo_and_redo_go_over_photo_blend_and_dials_and_the_picture_follows(visit):
    somebody = visit()
    page = somebody.page
    undo, redo = (page.get_by_role("button", name=name) for name in ("Undo", "Redo"))
    expect(undo).to_have_attribute("aria-disabled", "true")
    sources = [somebody.source]
    for act in (
        page.get_by_role("button", name="cat", exact=True).click,
        lambda: somebody.slide(STRENGTH, 0.5),
        lambda: somebody.slide(".wct-card input[type=range]", 0.1),
        page.get_by_role("button", name="marbling", exact=True).click,
        page.locator("#wct-model").get_by_label("Better").click,
    ):
        somebody.after(act)
        sources.append(somebody.source)
    assert len(set(sources)) == 6
    for source in sources[-2::-1]:
        somebody.after(lambda: page.keyboard.press("Control+z"))
        assert somebody.source == source
    expect(undo).to_have_attribute("aria-disabled", "true")
    expect(page.locator(STRENGTH)).to_have_value("1")
    expect(page.locator(".wct-card output")).to_have_text(["60%", "40%"])
    expect(somebody.chosen()).to_have_text("astronaut")
    for source, press in zip(sources[1:], ["Control+Shift+Z", "Control+y", None, "Control+Y", None], strict=True):
        somebody.after(redo.click if press is None else lambda press=press: page.keyboard.press(press))
        assert somebody.source == source
    expect(redo).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#wct-model").get_by_label("Better")).to_be_checked()
    somebody.after(undo.click)
    somebody.after(lambda: somebody.slide(STRENGTH, 0.7))
    expect(redo).to_have_attribute("aria-disabled", "true")


def test_undoing_twice_at_once_shows_the_picture_before_both(visit, monkeypatch):
    somebody = visit()
    page, first = somebody.page, somebody.source
    somebody.after(lambda: somebody.slide(STRENGTH, 0.5))
    somebody.after(page.locator("#wct-model").get_by_label("Better").click)
    painted, go = hold(monkeypatch, actions, "live")
    page.keyboard.press("Control+z")
    until(lambda: painted)
    page.keyboard.press("Control+z")
    expect(page.locator(STRENGTH)).to_have_value("1")
    go.set()
    page.wait_for_function("first => document.querySelector('.wct-after').src === first", arg=first)


def test_each_of_several_quick_undos_is_done_and_a_redo_among_them_is_one(visit, monkeypatch):
    somebody = visit()
    page, quality = somebody.page, somebody.page.locator("#wct-model")
    for act in (
        lambda: somebody.slide(STRENGTH, 0.5),
        quality.get_by_label("Better").click,
        page.get_by_role("button", name="cat", exact=True).click,
    ):
        somebody.after(act)
    somebody.after(lambda: page.keyboard.press("Control+z"))
    done, go = hold(monkeypatch, actions, "repaired")
    page.keyboard.press("Control+z")
    until(lambda: done)
    for keys in ("Control+z", "Control+y", "Control+y"):
        page.keyboard.press(keys)
    go.set()
    until(lambda: len(done) == 4)
    expect(quality.get_by_label("Better")).to_be_checked()  # back three, forward two
    expect(page.locator(STRENGTH)).to_have_value("0.5")
    expect(somebody.chosen()).to_have_text("astronaut")


def test_a_drag_is_one_step_and_an_undo_before_its_picture_counts_it(visit, monkeypatch):
    monkeypatch.setattr(steps, "DRAG_SECONDS", WAIT_MS / 1000)  # on a slow machine too
    somebody = visit()
    page = somebody.page
    somebody.after(page.get_by_role("button", name="cat", exact=True).click)
    slider = page.locator(".wct-card input[type=range]").first
    for value in (0.5, 0.4, 0.3, 0.2):
        somebody.after(lambda value=value: slider.fill(str(value)))
    slider.fill("0.1")
    page.keyboard.press("Control+z")
    expect(page.locator(".wct-card output")).to_have_text(["60%", "40%"])
    expect(somebody.chosen()).to_have_text("cat")


def test_text_fields_keep_their_own_undo(visit):
    page = visit().page
    assert page.locator("#wct-strength input[type=range]").evaluate(UNDO_KEY)
    assert page.locator("body").evaluate(UNDO_KEY)
    assert not page.locator("#wct-strength input[type=number]").evaluate(UNDO_KEY)


def test_a_restored_result_is_a_step(visit):
    somebody = visit()
    page = somebody.page
    somebody.after(lambda: somebody.slide(STRENGTH, 0.3))
    somebody.until_history(2)
    somebody.after(page.locator(".wct-open").last.click)
    expect(page.locator(STRENGTH)).to_have_value("1")
    somebody.after(page.get_by_role("button", name="Undo").click)
    expect(page.locator(STRENGTH)).to_have_value("0.3")


# ------------------------------------------------------------------------------------------- restoring, and results


def test_a_picture_that_a_restored_recipe_lacks_takes_its_place_when_it_is_added(visit, tmp_path):
    one, other = visit(), visit()
    paint, photo = file(tmp_path, "paint.png", 1), file(tmp_path, "photo.png", 2)
    one.after(lambda: give(one, ".wct-photos", photo))
    one.after(one.page.get_by_role("button", name="marbling", exact=True).click)
    one.after(lambda: give(one, ".wct-styles", paint))
    one.after(one.page.get_by_label("Remove impasto night").click)
    one.after(one.page.get_by_label("Remove marbling").click)
    one.after(one.page.get_by_role("button", name="marbling", exact=True).click)  # stained glass, paint, marbling
    one.after(lambda: one.slide(".wct-card input[type=range] >> nth=1", 0.9))
    shares = one.page.locator(".wct-card output").all_inner_texts()
    one.tab("Download")
    one.page.get_by_role("button", name="Make the file").click()
    with one.page.expect_download() as download:
        one.page.locator("#wct-download").click()
    download.value.save_as(tmp_path / "made.png")
    note = other.page.locator(".wct-note")
    other.after(lambda: give(other, ".wct-photos", tmp_path / "made.png"))
    expect(note).to_contain_text("Not here: photo.png, paint.png")
    expect(blend(other)).to_have_text(["stained glass", "marbling"])
    paint.rename(tmp_path / "renamed.png")
    other.after(lambda: give(other, ".wct-photos", tmp_path / "renamed.png"))
    expect(note).to_contain_text("renamed.png is in its place in the blend again")
    expect(blend(other)).to_have_text(["stained glass", "renamed.png", "marbling"])
    expect(other.page.locator(".wct-card output")).to_have_text(shares)
    expect(other.chosen()).to_have_text("astronaut")
    other.after(lambda: give(other, ".wct-styles", photo))
    expect(note).to_contain_text("photo.png is the photo again")
    expect(other.chosen()).to_have_text("photo.png")
    assert other.source == one.source


def test_what_a_restored_recipe_lacks_is_shown_as_far_as_the_page_has_seen_it(visit, tmp_path):
    somebody = visit()
    page, note = somebody.page, somebody.page.locator(".wct-note")
    somebody.after(lambda: give(somebody, ".wct-photos", file(tmp_path, "photo.png", 2)))
    thumb = names(somebody, ".wct-photos").locator("img").get_attribute("src")
    somebody.tab("Download")
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as download:
        page.locator("#wct-download").click()
    download.value.save_as(tmp_path / "made.png")
    somebody.tab("Blend")
    somebody.after(page.get_by_label("Delete photo.png").click)
    somebody.after(lambda: give(somebody, ".wct-photos", tmp_path / "made.png"))
    expect(note).to_contain_text("Not here: photo.png")
    expect(note.locator("img")).to_have_attribute("src", thumb)
    expect(note.locator("img")).to_have_attribute("alt", "photo.png")
    somebody.shot("missing")
    somebody.reload()  # from then on it does not know how it looks
    page.wait_for_selector(".wct-strip li")
    somebody.after(lambda: give(somebody, ".wct-photos", tmp_path / "made.png"))
    expect(note).to_contain_text("Not here: photo.png")
    expect(note.locator("img")).to_have_count(0)


def test_a_result_becomes_the_photo_or_a_style(visit):
    somebody = visit()
    page = somebody.page
    more = page.get_by_label("Use as photo or style").first
    assert min(more.bounding_box()[side] for side in ("width", "height")) >= 24
    more.click()
    somebody.shot("use-result")
    somebody.after(page.get_by_role("button", name="Use as photo", exact=True).click)
    expect(somebody.chosen()).to_have_text("styled-r1.png")
    expect(page.locator(".wct-menu")).to_be_hidden()
    more.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    somebody.after(lambda: page.keyboard.press("Enter"))
    expect(blend(somebody)).to_have_text(re.compile("styled-r"))
    somebody.shot("result-as-style")
    more.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert label(somebody).startswith("Use as photo or style")


def test_leaving_while_an_optimisation_runs_is_asked_for(visit):
    somebody = visit()
    page = somebody.page
    leave = "!window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    say = "document.dispatchEvent(new CustomEvent('wct:working', { detail: '%s' }))"
    assert not page.evaluate(leave)
    for state, asks in (("waiting", True), ("running", True), ("", False)):
        page.evaluate(say % state)
        assert page.evaluate(leave) is asks
    somebody.problems.clear()  # Gradio ends its connection at this event, as nobody stays after it


# ------------------------------------------------------------------------------------------------- blend and camera


def test_the_only_style_has_no_slider(visit):
    somebody = visit()
    page = somebody.page
    somebody.after(lambda: page.locator(".wct-card input[type=range]").last.fill("0"))
    somebody.after(page.get_by_label("Remove impasto night").click)
    expect(page.locator(".wct-card")).to_contain_text("The only style")
    expect(page.locator(".wct-card input")).to_have_count(0)
    expect(page.locator(".wct-card output")).to_have_text(["100%"])
    somebody.shot("only-style")
    somebody.after(page.get_by_role("button", name="marbling", exact=True).click)
    expect(page.locator(".wct-card input[type=range]")).to_have_count(2)


def test_the_knob_stands_only_where_it_means_the_shares_that_are_shown(visit):
    somebody = visit()
    page, knob = somebody.page, somebody.page.locator(".wct-knob")
    expect(knob).to_have_attribute("aria-valuenow", "40")
    for name in ("woodcut wave", "marbling"):
        somebody.after(page.get_by_role("button", name=name, exact=True).click)
    sliders = page.locator(".wct-card input[type=range]")
    somebody.after(page.get_by_role("button", name="Even").click)
    expect(page.locator(".wct-off")).to_have_count(0)
    for index, value in enumerate(("1", "0", "0", "1")):
        somebody.after(lambda index=index, value=value: sliders.nth(index).fill(value))
    expect(page.locator(".wct-off")).to_have_count(1)
    expect(knob).to_have_attribute("aria-valuetext", re.compile("impasto night 50%.*marbling 50%, set by the sliders"))
    somebody.after(lambda: knob.press("ArrowLeft"))
    expect(page.locator(".wct-off")).to_have_count(0)
    x, y = knob.evaluate("(node) => [node.style.left, node.style.top].map((part) => parseFloat(part) / 100)")
    means = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y]
    shown = [int(text.rstrip("%")) for text in page.locator(".wct-card output").all_inner_texts()]
    assert shown == pytest.approx([100 * share for share in means], abs=0.6)


def test_another_camera_can_be_chosen(visit):
    somebody = visit()
    page = somebody.page
    somebody.context.grant_permissions(["camera"])
    page.get_by_role("button", name="Camera").focus()
    page.keyboard.press("Enter")
    devices = page.get_by_label("Which camera")
    expect(devices.locator("option")).to_have_count(2)
    running = "document.querySelector('.wct-camera video').srcObject.getVideoTracks()[0].getSettings().deviceId"
    first = page.evaluate(running)
    assert devices.input_value() == first
    page.evaluate("window.before = document.querySelector('.wct-camera video').srcObject")
    somebody.shot("cameras")
    devices.select_option(index=1)
    page.wait_for_function(f"{running} !== '{first}'")
    assert page.evaluate("before.getTracks().every((track) => track.readyState === 'ended')")
    page.get_by_role("button", name="Close").click()


# --------------------------------------------------------------------------------------------------------- keyboard


def test_the_blend_is_a_few_tab_stops_away_and_rows_are_walked_by_arrow_keys(visit):
    somebody = visit()
    page = somebody.page
    somebody.until_history(1)
    somebody.after(lambda: somebody.slide(STRENGTH, 0.5))
    somebody.until_history(2)
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
    page.locator("h1").click()
    stops = []
    while not (stops and stops[-1].startswith("Weight of")):
        page.keyboard.press("Tab")
        stops.append((label(somebody) or page.evaluate("document.activeElement.innerText"))[:12])
        assert len(stops) <= 11, stops
    assert "astronaut" in stops
    page.get_by_role("tab", name="Blend").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Optimise")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="astronaut", exact=True).focus()
    walked = []
    for key in ("ArrowLeft", "ArrowLeft", "End", "Home"):
        page.keyboard.press(key)
        walked.append(label(somebody))
    assert (walked[0], walked[1], walked[3]) == ("Camera", "Your photo", "Your photo")
    page.get_by_label("Your style").focus()
    page.keyboard.press("ArrowDown")
    down = page.evaluate("document.activeElement.getBoundingClientRect().top")
    assert down > page.locator(".wct-styles .wct-add").bounding_box()["y"] + 20
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") == down


def test_the_palette_fits_a_phone(visit, tmp_path):
    somebody = visit(PHONE)
    page = somebody.page
    somebody.after(lambda: give(somebody, ".wct-photos", file(tmp_path, "mine.png", 1)))
    somebody.after(lambda: give(somebody, ".wct-styles", file(tmp_path, "paint.png", 2)))
    page.locator("#wct-photo-title").scroll_into_view_if_needed()
    somebody.shot("phone-palette")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for part in (".wct-delete", ".wct-steps button", ".wct-strip li button", ".wct-remove"):
        for button in page.locator(part).all():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= 24, part
