"""Nothing is lost: the page in a real Chromium, loaded anew, left and come back to, and on a server that restarts."""

from __future__ import annotations

import contextlib
import re
import socket

import pytest
from demo_service import SMALL, chromium, narrow_server
from narrow import picture
from visitor import FIXTURES, MARKS, Visitor, expect, until

from wctstyle import images
from wctstyle.demo import server
from wctstyle.demo.store import Store

pytestmark = MARKS

_, browser, _ = FIXTURES

NO_STORAGE = (
    """Object.defineProperty(window, "sessionStorage", { get() { throw new DOMException("no", "SecurityError"); } });"""
)


class Host:
    """A server that can be stopped and started at its address."""

    def __init__(self, folder):
        self.folder, self.stack = folder, contextlib.ExitStack()
        self.store = Store(folder / "sessions", 2**26, 3600)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self):
        served = narrow_server(self.folder / "programs", SMALL, store=self.store, port=self.port)
        self.demo, self.address = self.stack.enter_context(served)

    def stop(self):
        self.stack.close()

    @property
    def sessions(self):
        return self.demo.service.sessions


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    chromium()
    host = Host(tmp_path_factory.mktemp("demo"))
    host.start()
    yield host
    host.stop()


@pytest.fixture
def visit(host, browser):
    visitors = []

    def arrive():
        visitors.append(Visitor(browser, host.address))
        return visitors[-1]

    yield arrive
    problems = [problem for visitor in visitors for problem in visitor.problems]
    for visitor in visitors:
        visitor.close()
    assert problems == []


def work(somebody, folder):
    """Add a photo and a style, blend, turn dials, and let it rest."""
    page = somebody.page
    images.save(folder / "mine.png", picture(96, 48, seed=1))
    images.save(folder / "paint.png", picture(64, 64, seed=2))
    somebody.after(lambda: page.locator(".wct-photos input[type=file]").set_input_files(folder / "mine.png"))
    somebody.after(lambda: page.locator(".wct-styles input[type=file]").set_input_files(folder / "paint.png"))
    somebody.after(page.get_by_role("button", name="stained glass", exact=True).click)
    somebody.after(lambda: somebody.slide(".wct-card input[type=range]", 0.2))
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.7))
    somebody.after(page.locator("#wct-model").get_by_label("Better").click)
    expect(page.locator(".wct-open").first).to_have_attribute("title", re.compile("mine.png .* strength 0.7, Better"))
    shares = page.locator(".wct-card output").all_inner_texts()
    assert len(shares) == 2
    return shares, somebody.history()


def expect_back(somebody, shares, history):
    """Wait until the page is as `work` left it."""
    page = somebody.page
    expect(somebody.chosen()).to_have_text("mine.png")
    expect(page.locator(".wct-card b")).to_have_text(["paint.png", "stained glass"])
    expect(page.locator(".wct-card output")).to_have_text(shares)
    expect(page.locator("#wct-strength input[type=range]")).to_have_value("0.7")
    expect(page.locator("#wct-model").get_by_label("Better")).to_be_checked()
    expect(page.locator(".wct-strip li")).to_have_count(history)
    expect(page.locator(".wct-styles [data-id^=upload]")).to_have_text(["paint.png"])
    expect(page.locator(".wct-photos [data-id^=upload]")).to_have_text(["mine.png"])
    expect(page.locator(".wct-status")).to_contain_text("48 × 96")
    page.wait_for_function("document.querySelector('.wct-before').naturalHeight === 96")


def expect_fresh(somebody):
    page = somebody.page
    expect(somebody.chosen()).to_have_text("astronaut")
    expect(page.locator("#wct-strength input[type=range]")).to_have_value("1")
    expect(page.locator(".wct-strip li")).to_have_count(1)
    expect(page.locator("[data-id^=upload]")).to_have_count(0)


LATE = """(key) => {
  navigator.locks.request(`wctstyle-page-${key}`, () => new Promise((resolve) => (window.free = resolve)));
}"""
"""Takes the lock of a page when that lets go of it, until `free` is called."""

AWAITED = "async () => Boolean(window.free && (await navigator.locks.query()).pending.length)"


def test_a_page_loaded_anew_keeps_its_key_though_its_lock_comes_late(visit):
    somebody = visit()
    page = somebody.page
    key = page.evaluate("window.wctKey")
    other = page.context.new_page()
    other.goto(page.url)
    other.evaluate(LATE, key)
    with somebody.leaving():
        page.reload(wait_until="commit")
        other.wait_for_function(AWAITED)
        other.wait_for_timeout(4000)  # longer than a new tab waits
        other.evaluate("window.free()")
        page.wait_for_function("window.wctKey")
    assert page.evaluate("window.wctKey") == key
    other.close()


def test_a_page_loaded_anew_is_as_it_was_left(visit, tmp_path):
    somebody = visit()
    page = somebody.page
    left = work(somebody, tmp_path)
    somebody.reload()
    expect_back(somebody, *left)
    somebody.shot("reloaded")
    page.wait_for_timeout(2500)  # longer than it takes a result to settle: nothing was made, so nothing is new
    expect_back(somebody, *left)
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.4))
    somebody.until_history(left[1] + 1 if left[1] < SMALL.history else left[1])
    somebody.reload()
    expect(page.locator("#wct-strength input[type=range]")).to_have_value("0.4")
    expect(somebody.chosen()).to_have_text("mine.png")


def test_a_move_just_before_the_page_is_loaded_anew_is_kept_too(visit):
    somebody = visit()
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.3))
    somebody.reload()
    expect(somebody.page.locator("#wct-strength input[type=range]")).to_have_value("0.3")
    somebody.until_history(2)
    assert "strength 0.3" in somebody.page.locator(".wct-open").first.get_attribute("title")


def test_a_page_that_was_left_and_come_back_to_is_as_it_was(visit, tmp_path):
    somebody = visit()
    left = work(somebody, tmp_path)
    with somebody.leaving():
        somebody.page.goto("about:blank")
    somebody.page.go_back()
    expect_back(somebody, *left)


def test_a_closed_page_is_let_go_from_memory_and_comes_back_from_disk(host, visit, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "CLOSE_AFTER", 0.1)
    somebody = visit()
    left = work(somebody, tmp_path)
    key = somebody.page.evaluate("window.wctKey")
    assert key in host.sessions._items
    somebody.page.wait_for_timeout(500)
    with somebody.leaving():
        somebody.page.goto("about:blank")
    until(lambda: key not in host.sessions._items and key not in host.sessions._leaving)
    somebody.page.go_back()
    expect_back(somebody, *left)


def test_a_restarted_server_has_everything(host, visit, tmp_path):
    somebody, other = visit(), visit()
    left = work(somebody, tmp_path)
    work(other, tmp_path)
    other.page.wait_for_timeout(2000)  # Gradio loads a page anew whose answer was cut off
    host.stop()
    host.start()
    somebody.reload()
    expect_back(somebody, *left)
    # The other page stays as it is, and goes on with its own photo.
    other.after(lambda: other.slide("#wct-strength input[type=range]", 0.5))
    expect(other.page.locator(".wct-status")).to_contain_text("48 × 96")
    expect(other.page.locator(".wct-open").first).to_have_attribute("title", re.compile("mine.png .* strength 0.5"))
    for visitor in (somebody, other):
        visitor.problems.clear()  # a console may tell that the server was away


def test_what_changed_is_on_disk_within_seconds(host, visit):
    somebody = visit()
    key = somebody.page.evaluate("window.wctKey")
    somebody.page.wait_for_timeout(1000 * server.WRITE_EVERY + 500)
    assert host.store.load(key, SMALL) is None  # nothing was done, so there is nothing to keep
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.2))
    until(lambda: (kept := host.store.load(key, SMALL)) is not None and kept.composition.settings.strength == 0.2)


def test_a_new_tab_and_a_copy_of_a_tab_are_fresh(visit):
    somebody = visit()
    somebody.after(lambda: somebody.slide("#wct-strength input[type=range]", 0.7))
    somebody.until_history(2)
    new = somebody.context.new_page()
    with somebody.context.expect_page() as opened:
        somebody.page.evaluate("() => void window.open(location.href)")
    keys = {somebody.page.evaluate("window.wctKey")}
    first = somebody.page
    for page in (new, opened.value):
        if page is new:
            page.goto(somebody.address)
        page.wait_for_selector(".wct-strip li")
        somebody.page = page
        expect_fresh(somebody)
        keys.add(page.evaluate("window.wctKey"))
    assert len(keys) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)
    somebody.page = first
    somebody.reload()
    expect(first.locator("#wct-strength input[type=range]")).to_have_value("0.7")
    assert first.evaluate("window.wctKey") in keys


def test_a_browser_that_stores_nothing_has_a_page_that_works(browser, host):
    context = browser.new_context()
    context.add_init_script(NO_STORAGE)
    page = context.new_page()
    page.goto(host.address)
    page.wait_for_selector(".wct-strip li")
    assert page.evaluate("window.wctKey") is None
    page.locator("#wct-strength input[type=range]").fill("0.7")
    expect(page.locator(".wct-strip li")).to_have_count(2)
    page.reload()
    page.wait_for_selector(".wct-strip li")
    expect(page.locator(".wct-strip li")).to_have_count(1)
    context.close()
