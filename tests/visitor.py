"""A visitor of the page in a real Chromium, and the fixtures that bring one. Screenshots go to artifacts/demo."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from weakref import WeakKeyDictionary

import pytest
from demo_service import ROOT, chromium, narrow_server

from benchmarks.demo import FLAGS
from wctstyle import images

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

WAIT_MS = 120_000
"""How long the page may take; for faults only, as programs are compiled on the way, on a busy machine too."""

expect.set_options(timeout=WAIT_MS)

MARKS = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SHOTS = ROOT / "artifacts" / "demo"
FAKE_CAMERA = "--use-fake-device-for-media-stream"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

LEFT = ("AbortError", "signal is aborted", "signal timed out", "TimeoutError")
"""What a browser says of requests that end because their page is left."""

BROKEN = "Connection errored out"
"""What Gradio's client says of a request that got no answer."""

HAND = """([kind, selector, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  const options = { bubbles: true, cancelable: true, clipboardData: transfer, dataTransfer: transfer };
  const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
  return !document.querySelector(selector).dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    chromium()
    with narrow_server(tmp_path_factory.mktemp("demo")) as served:
        yield served


@contextlib.contextmanager
def launched(camera):
    """Start Chromium with a camera."""
    executable = chromium()
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS, camera])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser():
    with launched(FAKE_CAMERA) as browser:
        yield browser


def until(condition):
    """Wait for what the page or the server does in its own time; the limit is for faults only."""
    end = time.monotonic() + WAIT_MS / 1000
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def hold(monkeypatch, module, name):
    """Let calls of a function wait. Returns their arguments, as they come, and the event that lets them all go."""
    calls, go, real = [], threading.Event(), getattr(module, name)

    def wait(*arguments, **more):
        calls.append(arguments)
        go.wait(WAIT_MS / 1000)
        return real(*arguments, **more)

    monkeypatch.setattr(module, name, wait)
    return calls, go


_left = WeakKeyDictionary()
"""Empty pages that visitors left, by browser and what they were opened with: their process has the code compiled."""


class Visitor:
    """One open page; `problems` collects what the console and the network complain of."""

    def __init__(self, browser, address, viewport=DESK, **options):
        self.address, self.problems = address, []
        self._free = _left.setdefault(browser, {}).setdefault(repr((viewport, sorted(options.items()))), [])
        self.page = self._free.pop() if self._free else self._new(browser, viewport=viewport, **options)
        self.context = self.page.context
        self._heard = {"console": self._console, "pageerror": self._error, "request": self._request}
        for event, handler in self._heard.items():
            self.page.on(event, handler)
        self.page.goto(address)
        self.page.wait_for_selector(".wct-stage[data-shown]")
        self.page.wait_for_selector(".wct-strip li")

    @staticmethod
    def _new(browser, **options):
        page = browser.new_context(accept_downloads=True, **options).new_page()
        page.set_default_timeout(WAIT_MS)
        return page

    def _error(self, error):
        self._note(f"error: {error}")

    def _console(self, message):
        if message.type == "error" and "413" not in message.text:
            self._note(message.text)

    def _note(self, problem):
        if not any(left in problem for left in LEFT):
            self.problems.append(problem)

    def _request(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.problems.append(f"asked another server: {request.url}")

    @contextlib.contextmanager
    def leaving(self):
        """Go from a page. It may say that its connection broke, as open requests end with it: that is no problem."""
        known = len(self.problems)
        yield
        self.problems[known:] = [problem for problem in self.problems[known:] if BROKEN not in problem]

    def reload(self):
        with self.leaving():
            self.page.reload()

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

    def hand(self, event, selector, name, rgb):
        """Paste or drag a picture onto an element; says whether the browser leaves it to the page."""
        data = base64.b64encode(images.encode(rgb)).decode()
        return self.page.evaluate(HAND, [event, selector, name, data])

    def chosen(self):
        return self.page.locator(".wct-photos [aria-pressed=true]")

    def history(self):
        return self.page.locator(".wct-strip li").count()

    def until_history(self, count):
        self.page.wait_for_function(f"document.querySelectorAll('.wct-strip li').length >= {count}")

    def shot(self, name):
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def close(self):
        self.context.close()

    def leave(self):
        """Leave an empty page to the next visitor: that opens the page in half the time of a new one."""
        for event, handler in self._heard.items():
            self.page.remove_listener(event, handler)
        self.page.evaluate("sessionStorage.clear(); localStorage.clear()")
        self.page.goto("about:blank")
        self.page.mouse.move(0, 0)
        self.context.clear_cookies()
        self.context.clear_permissions()
        self._free.append(self.page)


@pytest.fixture
def visit(served, browser, request):
    """Bring visitors; after a test that failed, their pages are closed, as nobody knows what is held or pressed."""
    visitors, failed = [], request.session.testsfailed

    def arrive(viewport=DESK, **options):
        visitors.append(Visitor(browser, served[1], viewport, **options))
        return visitors[-1]

    yield arrive
    problems = [problem for visitor in visitors for problem in visitor.problems]
    for visitor in visitors:
        if request.session.testsfailed > failed or visitor.page.is_closed():
            visitor.close()
        else:
            visitor.leave()
    assert not problems, problems


FIXTURES = (served, browser, visit)
"""For a module of tests: `served, browser, visit = FIXTURES`, with `pytestmark = MARKS`."""
