"""The page in a real Chromium: what visitors do, on a service and on a phone. Screenshots go to artifacts/demo."""

from __future__ import annotations

import re
import threading
import time

import pytest
from narrow import picture
from visitor import DESK, FIXTURES, MARKS, PHONE, WAIT_MS, expect, hold, until

from wctstyle import images
from wctstyle.demo import actions, downloads, optimising, results, server
from wctstyle.errors import ConfigError
from wctstyle.optimizer import run

pytestmark = MARKS
served, browser, visit = FIXTURES

ASK_FIRST = """() => {
  const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
  devices.getUserMedia = (wanted) => new Promise((resolve) => {
    window.allow = async () => resolve((window.given = await ask(wanted)));
  });
}"""
"""Leaves the camera waiting until `allow()`, as the question of a browser does."""


def test_the_first_picture_is_there_without_touching_anything(visit):
    somebody = visit()
    assert somebody.source.startswith("data:image/jpeg")
    assert somebody.history() == 1
    assert somebody.page.title() == "wctstyle"
    assert re.search(r"128 × 128 · \d+ ms", somebody.page.inner_text(".wct-status"))
    width = somebody.page.evaluate("document.querySelector('.wct-after').getBoundingClientRect().width")
    assert width > 300
    somebody.shot("open")


def test_moving_a_slider_changes_the_picture_and_the_shares(visit):
    somebody = visit()
    first = somebody.source
    somebody.after(lambda: somebody.slide(".wct-card input[type=range]", 0.1))
    assert somebody.source != first
    assert somebody.page.locator(".wct-card output").all_inner_texts() == ["20%", "80%"]
    second = somebody.source
    somebody.after(lambda: somebody.page.locator("#wct-strength input[type=range]").press("ArrowLeft"))
    assert somebody.source != second
    newest = somebody.page.locator(".wct-open").first
    expect(newest).to_have_attribute("title", re.compile(r"strength 0\.99"))


def test_another_quality_paints_another_picture_and_is_in_the_history(visit):
    somebody = visit()
    page, quality = somebody.page, somebody.page.locator("#wct-model")
    first = somebody.source
    expect(quality.get_by_role("radio")).to_have_count(2)
    expect(quality).to_contain_text("Best needs VGG-19")
    somebody.after(quality.get_by_label("Better").click)
    assert somebody.source != first
    expect(page.locator(".wct-open").first).to_have_attribute("title", re.compile("strength 1, Better, 128 px"))
    somebody.after(page.locator(".wct-open").last.click)
    expect(quality.get_by_label("Fast")).to_be_checked()


def test_dials_and_choices_are_followed_by_the_picture(visit):
    somebody = visit()
    page = somebody.page
    page.locator("#wct-more > button").click()
    for dial, value in (("strength", 1.5), ("color", 0.2), ("detail", 0.8)):
        before = somebody.source
        somebody.after(lambda dial=dial, value=value: somebody.slide(f"#wct-{dial} input[type=range]", value))
        assert somebody.source != before
    for group, choice in (("transform", "Original (wct)"), ("blend", "Average results"), ("colors", "Matched")):
        before = somebody.source
        somebody.after(page.locator(f"#wct-{group}").get_by_label(choice).click)
        assert somebody.source != before
    somebody.shot("dials")


def test_the_last_of_many_moves_is_what_is_shown(visit, monkeypatch):
    somebody = visit()
    moved, live, answers = threading.Event(), actions.live, []

    def answer(service, session, look):
        moved.wait(WAIT_MS / 1000)
        stage = live(service, session, look)
        answers.append(([weight for _, weight in look.styles], stage["after"]))
        return stage

    monkeypatch.setattr(actions, "live", answer)
    for step in range(30):
        somebody.slide(".wct-card input[type=range]", f"{step / 100:.2f}")
    somebody.slide(".wct-card input[type=range]", "0.4")
    moved.set()
    until(lambda: answers and answers[-1] == (pytest.approx([0.4, 0.4]), somebody.source))
    assert len(answers) < 31  # those that came while one was made are passed over
    title = re.compile(r"impasto night 50% \+ stained glass 50%")
    expect(somebody.page.locator(".wct-open").first).to_have_attribute("title", title)


def test_a_move_that_changes_nothing_is_answered_too(visit):
    somebody = visit()
    for _ in range(10):
        somebody.after(somebody.page.get_by_role("button", name="astronaut", exact=True).click)
    expect(somebody.page.locator(".wct-busy")).to_have_count(0)


def test_styles_come_and_go_and_the_pad_blends_them(visit):
    somebody = visit()
    page = somebody.page
    for name in ("woodcut wave", "marbling"):
        somebody.after(page.get_by_role("button", name=name, exact=True).click)
    assert page.locator(".wct-card").count() == 4
    assert page.locator(".wct-pad img").count() == 4
    box = page.locator(".wct-pad").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    somebody.after(lambda: page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=5))
    page.mouse.up()
    assert int(page.locator(".wct-card output").last.inner_text().rstrip("%")) > 90
    somebody.shot("blend-of-four")
    somebody.after(lambda: page.locator(".wct-knob").press("ArrowLeft"))
    somebody.after(page.get_by_role("button", name="Even").click)
    assert page.locator(".wct-card output").all_inner_texts() == ["25%"] * 4
    somebody.after(page.get_by_role("button", name="Solo").click)
    assert page.locator(".wct-card output").all_inner_texts() == ["100%", "0%", "0%", "0%"]
    somebody.after(page.get_by_role("button", name="Remove marbling").click)
    assert page.locator(".wct-card").count() == 3
    somebody.after(page.get_by_role("button", name="Surprise me").click)
    assert 2 <= page.locator(".wct-card").count() <= 4
    while page.locator(".wct-card").count() > 1:
        page.locator(".wct-remove").first.click()
    page.locator(".wct-remove").first.click()
    page.wait_for_selector("text=Keep at least one style")


def test_own_pictures_are_taken_and_bad_ones_refused(visit, tmp_path):
    somebody = visit()
    page = somebody.page
    images.save(tmp_path / "tall.png", picture(96, 48, seed=1))
    photos, styles = (page.locator(f"{part} input[type=file]") for part in (".wct-photos", ".wct-styles"))
    somebody.after(lambda: photos.set_input_files(tmp_path / "tall.png"))
    page.wait_for_function("document.querySelector('.wct-status').textContent.startsWith('48 × 96')")
    images.save(tmp_path / "paint.jpg", picture(64, 64, seed=2))
    somebody.after(lambda: styles.set_input_files(tmp_path / "paint.jpg"))
    assert page.locator(".wct-card b").all_inner_texts()[-1] == "paint.jpg"
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    photos.set_input_files(tmp_path / "bad.png")
    page.wait_for_selector("text=could not be read as a picture")
    somebody.shot("bad-file")
    (tmp_path / "huge.png").write_bytes(bytes(3 * 2**20))
    photos.set_input_files(tmp_path / "huge.png")
    page.wait_for_selector("text=huge.png: too large, 3 MB. Files may have up to 2 MB.")
    assert page.locator(".wct-busy").count() == 0


def test_a_note_moves_nothing_and_goes(visit, tmp_path):
    somebody = visit(PHONE)
    page, note = somebody.page, somebody.page.locator(".wct-note")
    place = "document.querySelector('.wct-styles').getBoundingClientRect().y"
    before = page.evaluate(place)
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    page.locator(".wct-photos input[type=file]").set_input_files(tmp_path / "bad.png")
    expect(note).to_contain_text("could not be read as a picture")
    assert page.evaluate(place) == before
    somebody.shot("phone-note")
    expect(note).to_be_hidden()


def test_a_failure_ends_the_wait_and_is_told(visit, monkeypatch):
    somebody = visit()
    page, seen = somebody.page, threading.Event()

    def refuse(*_):
        seen.wait(WAIT_MS / 1000)
        raise ConfigError("not today")

    with monkeypatch.context() as patch:
        patch.setattr(actions, "live", refuse)
        somebody.slide("#wct-strength input[type=range]", 0.5)
        expect(page.locator(".wct-busy")).to_have_count(1)
        seen.set()
        page.wait_for_selector("text=not today")
        somebody.shot("failure")
        expect(page.locator(".wct-busy")).to_have_count(0)
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.6))


def test_what_is_moved_while_a_picture_fails_is_painted(visit, monkeypatch):
    somebody = visit()
    page, go, live, asked = somebody.page, threading.Event(), actions.live, []

    def first_fails(service, session, look):
        asked.append(look.dials["strength"])
        if len(asked) == 1:
            go.wait(WAIT_MS / 1000)
            raise ConfigError("not today")
        return live(service, session, look)

    monkeypatch.setattr(actions, "live", first_fails)
    somebody.slide("#wct-strength input[type=range]", 0.5)
    until(lambda: asked)
    somebody.slide("#wct-strength input[type=range]", 0.6)
    page.wait_for_timeout(500)  # until it is on its way; later it would be painted anyway
    somebody.after(go.set)
    page.wait_for_selector("text=not today")
    assert asked[:2] == [0.5, 0.6]  # Gradio, which noted it too, may ask once more


def test_what_is_tapped_stays_in_place_and_keeps_the_keyboard(visit):
    somebody = visit()
    page = somebody.page

    def at():
        return page.evaluate("document.activeElement.getAttribute('aria-label')")

    style = page.get_by_role("button", name="marbling", exact=True)
    box = style.bounding_box()
    for label in ("marbling", "cat"):
        page.get_by_role("button", name=label, exact=True).focus()
        somebody.after(lambda: page.keyboard.press("Enter"))
        assert at() == label
    assert style.bounding_box() == box
    page.get_by_label("Remove impasto night").focus()
    somebody.after(lambda: page.keyboard.press("Enter"))
    assert at() == "Remove stained glass"
    somebody.until_history(2)
    page.locator(".wct-strip li").last.get_by_role("button", name="Compare as A").focus()
    page.keyboard.press("Enter")
    assert at().startswith("Compare as A: styled: astronaut")
    bare = "getComputedStyle(document.activeElement).outlineStyle"
    page.locator("#wct-strength input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(bare) == "solid"


def test_command_and_python_are_copied(visit):
    somebody = visit()
    page = somebody.page
    somebody.context.grant_permissions(["clipboard-read", "clipboard-write"])
    somebody.tab("Download")
    page.get_by_role("button", name="Show as command and Python").click()
    page.wait_for_selector("text=--strength")
    room = page.evaluate(
        "(() => { const text = document.querySelector('.cm-content');"
        " return text.parentNode.clientHeight - text.clientHeight; })()"
    )
    assert room < 40, "there is empty room below a command of several lines"
    for button, start in zip(page.get_by_label("Copy").all(), ("wctstyle stylize", "from wctstyle"), strict=True):
        button.click()
        page.wait_for_function(f"navigator.clipboard.readText().then((text) => text.startsWith('{start}'))")


def test_a_pasted_picture_is_the_photo(visit):
    somebody = visit()
    somebody.after(lambda: somebody.hand("paste", "body", "copied.png", picture(96, 48, seed=3)))
    expect(somebody.chosen()).to_have_text("copied.png")
    expect(somebody.page.locator(".wct-status")).to_contain_text("48 × 96")


def test_a_picture_dropped_on_the_stage_is_the_photo_and_on_the_styles_a_style(visit):
    somebody = visit()
    page, stage = somebody.page, somebody.page.locator(".wct-stage")
    somebody.hand("dragover", ".wct-canvas", "dropped.png", picture(48, 96, seed=4))
    expect(stage).to_contain_class("wct-dropping")
    somebody.after(lambda: somebody.hand("drop", ".wct-canvas", "dropped.png", picture(48, 96, seed=4)))
    expect(stage).not_to_contain_class("wct-dropping")
    expect(somebody.chosen()).to_have_text("dropped.png")
    expect(page.locator(".wct-status")).to_contain_text("96 × 48")
    expect(page.locator(".wct-card")).to_have_count(2)
    somebody.after(lambda: somebody.hand("drop", ".wct-styles", "mine.png", picture(64, 64, seed=5)))
    expect(page.locator(".wct-card b")).to_have_text(["mine.png"])
    expect(somebody.chosen()).to_have_text("dropped.png")


def test_a_picture_dropped_beside_does_not_replace_the_page(visit):
    somebody = visit()
    somebody.page.evaluate("window.unbroken = true")
    assert somebody.hand("dragover", "#wct-strength", "beside.png", picture(48, 96, seed=4))
    somebody.after(lambda: somebody.hand("drop", "#wct-strength", "beside.png", picture(48, 96, seed=4)))
    expect(somebody.chosen()).to_have_text("beside.png")
    assert somebody.page.evaluate("window.unbroken")


def test_a_picture_is_taken_with_the_camera(visit):
    somebody = visit()
    page, dialog = somebody.page, somebody.page.locator(".wct-camera")
    somebody.context.grant_permissions(["camera"])
    page.get_by_role("button", name="Camera").click()
    page.wait_for_function("document.querySelector('.wct-camera video').videoWidth > 0")
    somebody.shot("camera")
    somebody.after(page.get_by_role("button", name="Take photo").click)
    expect(dialog).to_be_hidden()
    expect(somebody.chosen()).to_have_text("camera.jpg")
    expect(page.locator(".wct-status")).not_to_contain_text("128 × 128")
    page.wait_for_function(
        "document.querySelector('.wct-camera video').srcObject.getTracks().every((t) => t.readyState === 'ended')"
    )


def test_a_camera_that_is_refused_is_told(visit):
    somebody = visit()
    page = somebody.page
    page.get_by_role("button", name="Camera").click()
    expect(page.locator(".wct-camera-note")).to_contain_text("The browser does not allow the camera here")
    page.get_by_role("button", name="Take photo").click()
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".wct-camera")).to_be_hidden()
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.5))


def test_a_camera_allowed_after_its_window_was_closed_is_let_go(visit):
    somebody = visit()
    page = somebody.page
    somebody.context.grant_permissions(["camera"])
    page.evaluate(ASK_FIRST)
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Close").click()
    page.evaluate("allow()")
    page.wait_for_function("window.given && given.getTracks().every((track) => track.readyState === 'ended')")


def test_what_is_changed_without_a_network_comes_when_it_is_back(visit):
    somebody = visit()
    page, status = somebody.page, somebody.page.locator(".wct-status")
    page.evaluate("window.unbroken = true")
    somebody.after(lambda: somebody.hand("paste", "body", "copied.png", picture(96, 48, seed=6)))
    before = somebody.shown
    somebody.context.set_offline(True)
    somebody.slide("#wct-strength input[type=range]", 0.5)
    expect(page.locator(".wct-note")).to_contain_text("No connection to the server")
    somebody.shot("no-network")
    somebody.slide("#wct-strength input[type=range]", 0.6)
    assert somebody.shown == before
    somebody.context.set_offline(False)
    page.wait_for_function(f"Number(document.querySelector('.wct-stage').dataset.shown) > {before}")
    expect(status).to_contain_text("48 × 96")
    expect(page.locator(".wct-note")).to_be_hidden()
    expect(page.locator(".wct-open").first).to_have_attribute("title", re.compile(r"copied\.png .* strength 0\.6,"))
    assert page.evaluate("window.unbroken")
    assert {problem.rpartition("::")[2] for problem in somebody.problems} == {"ERR_INTERNET_DISCONNECTED"}
    somebody.problems.clear()


def test_the_view_splits_by_keyboard(visit):
    somebody = visit()
    page = somebody.page
    page.get_by_role("button", name="Split").click()
    before = page.locator(".wct-frame").get_attribute("style")
    page.get_by_label("Where the view is split").press("ArrowRight")
    assert "--split: 50.5%" in page.locator(".wct-frame").get_attribute("style") != before
    somebody.shot("split")


def test_a_download_dropped_back_restores_its_settings(visit, tmp_path):
    somebody = visit()
    page = somebody.page
    somebody.after(lambda: somebody.slide(".wct-card input[type=range]", 0.2))
    somebody.after(lambda: page.locator("#wct-strength input[type=range]").fill("0.5"))
    somebody.tab("Download")
    page.get_by_role("button", name="Show as command and Python").click()
    page.wait_for_selector("text=--strength 0.5")
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as download:
        page.locator("#wct-download").click()
    somebody.shot("download")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert images.read_recipe(file)["strength"] == 0.5
    other = visit()
    other.after(lambda: other.page.locator(".wct-photos input[type=file]").set_input_files(file))
    other.page.wait_for_selector("text=Settings restored")
    expect(other.page.locator("#wct-strength input[type=range]")).to_have_value("0.5")
    expect(other.page.locator(".wct-card output")).to_have_text(["33%", "67%"])


def test_a_file_of_what_was_undone_cannot_be_downloaded(visit):
    somebody = visit()
    page, plan, file = somebody.page, somebody.page.locator("#wct-plan"), somebody.page.locator("#wct-download")
    somebody.after(page.get_by_role("button", name="cat", exact=True).click)
    somebody.tab("Download")
    expect(plan).to_contain_text("cat-stylized.png")
    make = page.get_by_role("button", name="Make the file")
    make.click()
    expect(file).to_contain_text("cat-stylized.png")
    somebody.tab("Blend")
    somebody.tab("Download")
    expect(file).to_be_visible()  # nothing was changed
    page.locator("body").press("Control+z")
    expect(file).to_be_hidden(timeout=500)  # at once, before another picture is there
    expect(plan).to_contain_text("astronaut-stylized.png")
    expect(file).to_be_hidden()
    make.click()
    with page.expect_download() as download:
        file.click()
    assert download.value.suggested_filename == "astronaut-stylized.png"
    page.locator("body").press("Control+Shift+z")
    expect(plan).to_contain_text("cat-stylized.png")
    expect(file).to_be_hidden()
    make.click()
    expect(file).to_be_visible()
    somebody.hand("paste", "body", "copied.png", picture(96, 48, seed=3))
    expect(plan).to_contain_text("copied-stylized.png")
    expect(file).to_be_hidden()


def test_what_is_chosen_before_the_page_knows_its_file_counts(visit, monkeypatch):
    somebody = visit()
    page, (asked, go) = somebody.page, hold(monkeypatch, downloads, "preview")
    somebody.tab("Download")
    until(lambda: asked)
    page.get_by_label("WebP").click()
    expect(page.get_by_label("WebP")).to_be_checked()
    go.set()
    expect(page.locator("#wct-plan")).to_contain_text("astronaut-stylized.webp")


def test_a_file_that_is_out_of_date_when_it_is_made_is_not_offered(visit, monkeypatch):
    somebody = visit()
    page, (_, go) = somebody.page, hold(monkeypatch, downloads, "export")
    somebody.tab("Download")
    page.get_by_role("button", name="Make the file").click()
    expect(page.locator(".wct-status")).to_have_text("Preparing the file")
    page.get_by_label("WebP").click()
    expect(page.locator("#wct-plan")).to_contain_text("astronaut-stylized.webp")
    go.set()
    expect(page.locator(".wct-note")).to_contain_text("changed while the file was made")
    expect(page.locator("#wct-download")).to_be_hidden()


def test_optimising_streams_previews_stops_and_is_compared(served, visit, monkeypatch):
    monkeypatch.setattr(optimising, "GIVE_WAY_SECONDS", 120)
    somebody = visit()
    page = somebody.page
    somebody.tab("Optimise")
    steps = page.locator("#wct-steps input[type=number]")
    steps.fill("400")
    steps.press("Tab")
    with served[0].service.backend.priority.quick():  # it gives way to this after its first step
        somebody.after(page.locator("#wct-optimise").click)
        page.wait_for_selector("text=/Step [0-9]+ of 400/")
        somebody.shot("optimise")
        page.locator("#wct-stop").click()
        page.wait_for_selector("text=Stopping")
    page.wait_for_selector("text=Stopped, the best so far is kept")
    # Without another click: both results over each other, with their figures and the curve of the loss.
    expect(page.locator("#wct-progress thead th")).to_have_text(["Fast", "Optimised"])
    expect(page.locator("#wct-progress .wct-curve")).to_have_count(1)
    expect(page.locator(".wct-stage")).to_have_attribute("data-mode", "split")
    expect(page.locator(".wct-tag-before")).to_have_text("Fast")
    expect(page.locator(".wct-tag-after")).to_have_text("Optimised")
    expect(page.locator(".wct-optimised")).to_have_count(1)
    expect(page.locator(".wct-strip [aria-pressed=true]")).to_have_text(["B", "A"])
    expect(page.locator(".wct-running")).to_be_hidden()
    somebody.tab("Compare")
    expect(page.locator("#wct-figures thead th")).to_have_text(["Fast", "Optimised"])
    somebody.shot("compare")
    somebody.tab("Download")
    expect(page.locator("#wct-plan")).to_have_text("astronaut-optimised.png: 64 × 64 pixels, PNG, lossless")
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as download:
        page.locator("#wct-download").click()
    assert "optimize" in images.read_recipe(download.value.path())
    page.get_by_role("button", name="Show as command").click()
    expect(page.get_by_text("wctstyle optimize").first).to_be_visible()
    page.get_by_label("256 pixels").click()
    expect(page.locator("#wct-plan")).to_contain_text("An optimised result keeps its size, 64 × 64")
    expect(page.locator("#wct-download")).to_be_hidden()  # it was another file
    page.get_by_label("Result A").click()
    expect(page.locator("#wct-plan")).to_have_text("astronaut-stylized.png: 256 × 256 pixels, PNG, lossless")


@pytest.fixture
def steps(served, monkeypatch):
    """What lets the steps of an optimisation go, so many at each `release`; the first needs none."""
    gate = threading.Semaphore(0)
    monkeypatch.setattr(run, "CHUNK_SECONDS", 1e-9)  # a picture after every step
    monkeypatch.setattr(
        served[0].service.backend.priority, "give_way", lambda seconds: gate.acquire(timeout=WAIT_MS / 1000)
    )
    yield gate
    gate.release(10_000)


def test_a_run_is_seen_on_every_tab_and_its_previews_go_on_when_a_slider_moves(visit, steps):
    somebody = visit()
    page = somebody.page
    somebody.tab("Optimise")
    page.locator("#wct-steps input[type=number]").fill("400")
    page.locator("#wct-steps input[type=number]").press("Tab")
    bar = page.locator(".wct-running")
    page.locator("#wct-optimise").click()
    expect(bar).to_contain_text("Step ")
    somebody.tab("Blend")
    expect(bar).to_be_visible()
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.4))
    thumb = bar.locator("img").get_attribute("src")
    steps.release(3)
    page.wait_for_function("src => document.querySelector('.wct-running img').src !== src", arg=thumb)
    expect(page.locator(".wct-tag-after")).to_have_text("Styled")  # what was moved stays on the stage
    somebody.shot("running")
    bar.get_by_role("button", name="Stop").click()
    expect(bar).to_contain_text("Stopping")
    steps.release()
    expect(bar).to_be_hidden()
    expect(page.locator(".wct-optimised")).to_have_count(1)


def test_the_history_gives_settings_back_and_sides_to_compare(visit):
    somebody = visit()
    page = somebody.page
    page.locator("#wct-strength input[type=range]").fill("0.3")
    somebody.until_history(2)
    somebody.after(page.locator(".wct-open").last.click)
    expect(page.locator("#wct-strength input[type=range]")).to_have_value("1")
    newest, first = page.locator(".wct-strip li").first, page.locator(".wct-strip li").last
    newest.get_by_role("button", name="Compare as A").click()
    first.get_by_role("button", name="Compare as B").click()
    expect(page.locator(".wct-tag-before")).to_have_text("A")
    expect(page.locator(".wct-strip [aria-pressed=true]")).to_have_text(["A", "B"])
    somebody.tab("Compare")
    expect(page.locator("#wct-figures thead th")).to_have_count(2)  # at once, without another button


def test_figures_are_of_the_results_chosen_last(visit, monkeypatch):
    somebody = visit()
    page = somebody.page
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.3))
    somebody.until_history(2)
    page.wait_for_timeout(500)  # its answer is still ending: once, a move right then got no picture
    somebody.after(page.locator("#wct-model").get_by_label("Better").click)
    somebody.until_history(3)
    measured, go = hold(monkeypatch, results, "report")
    rows = page.locator(".wct-strip li")
    rows.nth(2).get_by_role("button", name="Compare as A").click()
    rows.nth(1).get_by_role("button", name="Compare as B").click()
    until(lambda: measured)
    rows.nth(0).get_by_role("button", name="Compare as B").click()
    expect(rows.nth(0).get_by_role("button", name="Compare as B")).to_have_attribute("aria-pressed", "true")
    go.set()
    somebody.tab("Compare")
    expect(page.locator("#wct-figures p").nth(1)).to_have_text(re.compile("^B .*, Better,"))


def test_two_visitors_at_once_keep_to_themselves(visit, tmp_path):
    one, two = visit(), visit()
    images.save(tmp_path / "mine.png", picture(64, 96, seed=7))
    one.after(lambda: one.page.locator(".wct-photos input[type=file]").set_input_files(tmp_path / "mine.png"))
    for step in range(1, 6):
        for visitor in (one, two):
            visitor.slide(".wct-card input[type=range]", f"{step / 10:.1f}")
    for visitor, size in ((one, "96 × 64"), (two, "128 × 128")):
        visitor.page.wait_for_function(f"document.querySelector('.wct-status').textContent.startsWith('{size}')")
        visitor.until_history(2)
    assert "mine.png" in one.page.inner_text(".wct-photos")
    assert "mine.png" not in two.page.inner_text(".wct-photos")


def test_live_goes_on_while_somebody_else_optimises(visit):
    one, two = visit(), visit()
    one.tab("Optimise")
    one.page.locator("#wct-steps input[type=number]").fill("400")
    one.page.locator("#wct-steps input[type=number]").press("Tab")
    one.after(one.page.locator("#wct-optimise").click)
    two.after(lambda: two.slide(".wct-card input[type=range]", 0.9))
    one.page.locator("#wct-stop").click()
    one.page.wait_for_selector("text=/the best so far is kept|Done: 400 steps/")


def test_optimisations_wait_for_their_turn_and_can_leave_the_line(served, visit, monkeypatch):
    monkeypatch.setattr(optimising, "GIVE_WAY_SECONDS", 120)
    one, two = visit(), visit()
    sheets = [visitor.page.locator("#wct-progress") for visitor in (one, two)]
    for visitor in (one, two):
        visitor.tab("Optimise")
        visitor.page.locator("#wct-steps input[type=number]").fill("400")
        visitor.page.locator("#wct-steps input[type=number]").press("Tab")
    with served[0].service.backend.priority.quick():  # the first optimisation gives way to this until it is left
        one.page.locator("#wct-optimise").click()
        expect(sheets[0]).to_contain_text("Step ")
        one.page.locator("#wct-optimise").click()  # once more, which changes nothing
        one.page.locator("#wct-estimate").click()
        two.page.locator("#wct-estimate").click()
        expect(sheets[1]).to_contain_text("for 400 steps at")
        two.page.locator("#wct-optimise").click()
        expect(sheets[1]).to_contain_text("Waiting: 1 before this one")
        expect(two.page.locator(".wct-running")).to_contain_text("Waiting: 1 before this one")
        two.shot("waiting")
        two.page.locator("#wct-stop").click()
        expect(sheets[1]).to_contain_text("Stopped before it began")
        two.page.locator("#wct-steps input[type=number]").fill("40")
        two.page.locator("#wct-steps input[type=number]").press("Tab")
        two.page.locator("#wct-optimise").click()
        expect(sheets[1]).to_contain_text("Waiting: 1 before this one")
        expect(sheets[0]).to_contain_text("Step ")
        one.page.locator("#wct-stop").click()
        expect(sheets[0]).to_contain_text("Stopping")
    expect(sheets[0]).to_contain_text("Stopped, the best so far is kept")
    expect(sheets[1]).to_contain_text("Done: 40 steps")
    for visitor in (one, two):
        expect(visitor.page.locator(".wct-optimised")).to_have_count(1)
    two.page.locator("#wct-stop").click()
    two.tab("Blend")
    two.after(lambda: two.slide("#wct-strength input[type=range]", 0.5))
    expect(sheets[1]).to_contain_text("Done: 40 steps")


def test_an_optimisation_that_cannot_begin_leaves_no_one_waiting(visit):
    somebody = visit()
    page = somebody.page
    for slider in page.locator(".wct-card input[type=range]").all():
        somebody.after(lambda slider=slider: slider.fill("0"))
    somebody.tab("Optimise")
    page.locator("#wct-optimise").click()
    page.wait_for_selector("text=The weights of all styles are 0")
    expect(page.locator("#wct-progress")).to_contain_text("Nothing is running")


def test_comparing_without_two_results_says_what_to_do(visit):
    somebody = visit()
    page = somebody.page
    somebody.tab("Compare")
    page.get_by_role("button", name="Compare the last optimisation").click()
    page.wait_for_selector("text=There is only one result so far")
    expect(page.locator("#wct-figures .wct-sheet")).to_contain_text("Nothing is compared yet.")


def arriving(service, visit):
    """A visitor, and the session that is new since."""
    known = set(service.sessions._items)
    somebody = visit()
    (key,) = set(service.sessions._items) - known
    return somebody, service.sessions._items[key]


def test_a_run_goes_on_without_its_tab_and_is_waited_for(served, visit, monkeypatch, steps):
    monkeypatch.setattr(server, "CLOSE_AFTER", 0.5)
    service = served[0].service
    somebody, session = arriving(service, visit)
    somebody.tab("Optimise")
    somebody.page.locator("#wct-steps input[type=number]").fill("60")
    somebody.page.locator("#wct-steps input[type=number]").press("Tab")
    somebody.after(somebody.page.locator("#wct-optimise").click)
    somebody.close()
    step = session.run.progress.step
    steps.release(10)
    until(lambda: session.run.progress.step > step + 5)
    assert not session.closed.is_set()
    steps.release(60)
    until(session.closed.is_set)
    assert (session.run.state, session.run.progress.step) == ("ended", 60)


def test_a_closed_tab_is_forgotten(served, visit, monkeypatch):
    monkeypatch.setattr(server, "CLOSE_AFTER", 0.1)
    service = served[0].service
    somebody, session = arriving(service, visit)
    until(lambda: time.monotonic() - session.seen > 3)  # nothing that it asked for is on its way any more
    somebody.close()
    until(session.closed.is_set)
    assert session.key not in service.sessions._items
    assert session.history == []


def test_a_phone_has_one_column_and_the_picture_in_sight(visit):
    somebody = visit(PHONE)
    page = somebody.page
    somebody.shot("phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    first, last = (page.get_by_role("tab", name=name).bounding_box() for name in ("Blend", "Download"))
    assert first["y"] == last["y"], "the tabs take two rows"
    with page.expect_file_chooser() as chooser:  # what is said does not lie under the tools on the picture
        page.get_by_role("button", name="Your photo").click()
    chooser.value.set_files({"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"text"})
    expect(page.locator(".wct-note")).to_contain_text("notes.jpg: This file could not be read")
    said, tools = (page.locator(part).bounding_box() for part in (".wct-note", ".wct-tools"))
    assert said["y"] + said["height"] <= tools["y"]
    page.locator(".wct-note").click()
    page.locator("#wct-strength").scroll_into_view_if_needed()
    page.wait_for_function(
        """() => {
          const [stage, slider] = [".wct-canvas", "#wct-strength"].map(
            (part) => document.querySelector(part).getBoundingClientRect());
          return 0 <= stage.y && stage.y < 60 && stage.bottom <= slider.y && slider.y < innerHeight;
        }"""
    )
    somebody.after(lambda: page.locator("#wct-strength input[type=range]").fill("0.4"))
    somebody.shot("phone-sliders")
    page.locator("#wct-more > button").click()
    page.locator("#wct-size").scroll_into_view_if_needed()
    seen = page.evaluate(
        """() => {
          const title = document.querySelector("#wct-strength [data-testid=block-info]");
          const stage = document.querySelector(".wct-canvas").getBoundingClientRect();
          window.scrollBy(0, title.getBoundingClientRect().y - stage.y - stage.height / 2);
          const box = title.getBoundingClientRect();
          return document.elementFromPoint(box.x + 5, box.y + 5).closest(".wct-stage, .block").className;
        }"""
    )
    assert "wct-stage" in seen


def test_dark_is_dark_and_every_control_has_a_name(visit):
    somebody = visit()
    page = somebody.page
    page.get_by_role("button", name="Switch between light and dark").click()
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
    )
    assert max(red, green, blue) < 60
    somebody.shot("dark")
    nameless = page.evaluate(
        """[...document.querySelectorAll('#wct-main button, #wct-main input:not([type=hidden])')]
        .filter((e) => e.offsetParent && !e.getAttribute('aria-label') && !e.innerText && !(e.labels && e.labels.length)
            && !e.getAttribute('aria-labelledby'))
        .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.scrollWidth") <= DESK["width"]


def test_nothing_jumps_when_the_picture_changes(visit):
    somebody = visit()
    place = "JSON.stringify([...document.querySelectorAll('.wct-canvas, .wct-palette, #wct-strip')].map(e => {"
    place += "const b = e.getBoundingClientRect(); return [b.x, b.y, b.width]}))"
    before = somebody.page.evaluate(place)
    for name in ("cat", "coffee"):
        somebody.after(somebody.page.get_by_role("button", name=name, exact=True).click)
        assert somebody.page.evaluate(place) == before
