"""The page in a real Chromium: what visitors do, on a desk and on a phone. Screenshots go to artifacts/demo."""

from __future__ import annotations

import re
import time

import pytest
from demo_desk import ROOT, chromium, narrow_server
from narrow import picture

from wctstyle import images

sync_api = pytest.importorskip("playwright.sync_api")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = ROOT / "artifacts" / "demo"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    chromium()
    with narrow_server(tmp_path_factory.mktemp("demo")) as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    executable = chromium()
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """One open page; `problems` collects what the console and the network complain of."""

    def __init__(self, browser, address, viewport=DESK):
        self.address, self.problems = address, []
        self.context = browser.new_context(viewport=viewport, accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", self._request)
        self.page.goto(address)
        self.page.wait_for_selector(".wct-stage[data-shown]")
        self.page.wait_for_selector(".wct-strip li")

    def _console(self, message):
        if message.type == "error" and "413" not in message.text:
            self.problems.append(message.text)

    def _request(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.problems.append(f"asked another server: {request.url}")

    @property
    def shown(self):
        return int(self.page.locator(".wct-stage").get_attribute("data-shown") or 0)

    @property
    def source(self):
        return self.page.locator(".wct-after").get_attribute("src")

    def after(self, action):
        """Do something and wait until another picture is on the stage."""
        before = self.shown
        action()
        self.page.wait_for_function(f"Number(document.querySelector('.wct-stage').dataset.shown) > {before}")

    def tab(self, name):
        self.page.get_by_role("tab", name=name).click()

    def slide(self, selector, value):
        self.page.locator(selector).first.fill(str(value))

    def history(self):
        return self.page.locator(".wct-strip li").count()

    def until_history(self, count):
        self.page.wait_for_function(f"document.querySelectorAll('.wct-strip li').length >= {count}")

    def shot(self, name):
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def close(self):
        self.context.close()


@pytest.fixture
def visit(served, browser):
    visitors = []

    def arrive(viewport=DESK):
        visitors.append(Visitor(browser, served[1], viewport))
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        visitor.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


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
    somebody.until_history(2)
    assert "strength 0.99" in somebody.page.locator(".wct-open").first.get_attribute("title")


def test_the_last_of_many_moves_is_what_is_shown(visit):
    somebody = visit()
    for step in range(30):
        somebody.slide(".wct-card input[type=range]", f"{step / 100:.2f}")
    somebody.slide(".wct-card input[type=range]", "0.4")
    somebody.until_history(2)
    assert "impasto night 50% + stained glass 50%" in somebody.page.locator(".wct-open").first.get_attribute("title")
    assert somebody.shown < 32


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
    somebody.after(page.get_by_role("button", name="Take out marbling").click)
    assert page.locator(".wct-card").count() == 3
    somebody.after(page.get_by_role("button", name="Surprise me").click)
    assert 2 <= page.locator(".wct-card").count() <= 4
    while page.locator(".wct-card").count() > 1:
        page.locator(".wct-remove").first.click()
    page.locator(".wct-remove").first.click()
    page.wait_for_selector("text=A blend needs one style at least")


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
    page.wait_for_selector("text=up to 2 MB are taken here")
    assert page.locator(".wct-busy").count() == 0


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
    somebody.tab("Take away")
    page.get_by_role("button", name="Show as command and Python").click()
    page.wait_for_selector("text=--strength 0.5")
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as download:
        page.locator("#wct-download").click()
    somebody.shot("take-away")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert images.read_recipe(file)["strength"] == 0.5
    other = visit()
    other.after(lambda: other.page.locator(".wct-photos input[type=file]").set_input_files(file))
    other.page.wait_for_selector("text=Settings restored")
    assert other.page.locator("#wct-strength input[type=range]").input_value() == "0.5"
    assert other.page.locator(".wct-card output").all_inner_texts() == ["33%", "67%"]


def test_optimising_streams_previews_stops_and_is_compared(visit):
    somebody = visit()
    page = somebody.page
    somebody.tab("Optimise")
    steps = page.locator("#wct-steps input[type=number]")
    steps.fill("400")
    steps.press("Tab")
    somebody.after(page.locator("#wct-optimise").click)
    page.wait_for_selector("text=/Step [0-9]+ of 400/")
    somebody.shot("optimise")
    page.locator("#wct-stop").click()
    page.wait_for_selector("text=/Stopped, the best so far is kept|Done: 400 steps/")
    somebody.until_history(2)
    assert page.locator(".wct-optimised").count() == 1
    somebody.tab("Compare")
    page.get_by_role("button", name="Compare the latest two").click()
    page.wait_for_selector("#wct-right table")
    assert page.locator("#wct-right tbody tr").count() == 2
    assert page.locator(".wct-stage").get_attribute("data-mode") == "split"
    assert page.locator(".wct-tag-after").inner_text() == "B optimised"
    assert page.locator("#wct-figures .wct-curve").count() == 1
    somebody.shot("compare")
    assert page.locator(".wct-strip [aria-pressed=true]").all_inner_texts() == ["B", "A"]
    somebody.tab("Take away")
    page.get_by_label("result B").click()
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as download:
        page.locator("#wct-download").click()
    assert images.read_recipe(download.value.path())["command"] == "optimize"


def test_the_history_gives_settings_back_and_sides_to_compare(visit):
    somebody = visit()
    page = somebody.page
    page.locator("#wct-strength input[type=range]").fill("0.3")
    somebody.until_history(2)
    somebody.after(page.locator(".wct-open").last.click)
    page.wait_for_function("document.querySelector('#wct-strength input[type=range]').value === '1'")
    sides = page.locator(".wct-strip li").first.get_by_role("button")
    sides.nth(1).click()
    somebody.after(page.locator(".wct-strip li").last.get_by_role("button", name="Compare as B").click)
    assert page.locator(".wct-tag-before").inner_text() == "A fast"


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


def test_a_closed_tab_stops_its_job_and_is_forgotten(served, visit):
    desk = served[0].desk
    known = set(desk.sessions._items)
    somebody = visit()
    (key,) = set(desk.sessions._items) - known
    session = desk.sessions.get(key)
    somebody.tab("Optimise")
    somebody.page.locator("#wct-steps input[type=number]").fill("400")
    somebody.page.locator("#wct-steps input[type=number]").press("Tab")
    somebody.after(somebody.page.locator("#wct-optimise").click)
    somebody.close()
    assert session.closed.wait(30)
    assert key not in desk.sessions._items
    assert session.history == []


def test_a_phone_has_one_column_and_the_picture_in_sight(visit):
    somebody = visit(PHONE)
    page = somebody.page
    somebody.shot("phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator("#wct-strength").scroll_into_view_if_needed()
    time.sleep(0.3)
    stage, slider = page.locator(".wct-canvas").bounding_box(), page.locator("#wct-strength").bounding_box()
    assert 0 <= stage["y"] < 60
    assert slider["y"] >= stage["y"] + stage["height"]
    somebody.after(lambda: page.locator("#wct-strength input[type=range]").fill("0.4"))
    somebody.shot("phone-sliders")


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
