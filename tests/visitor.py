"""A visitor of the page in a real Chromium, and the fixtures that bring one. Screenshots go to artifacts/demo."""

from __future__ import annotations

import base64
import contextlib
import time
from weakref import WeakKeyDictionary

import pytest
from demo_service import ROOT, chromium, narrow_server

from benchmarks.demo import FLAGS
from wctstyle import images
from wctstyle.demo.steps import Steps

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


CALM = """() => {
  const press = (selector) => document.querySelectorAll(selector).forEach((node) => node.click());
  const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  press(".wct-full [data-view=full], .wct-modes [data-mode=after], .wct-note, .wct-camera[open] [data-camera=close]");
  press("[data-choose=close], [data-choose=suggest][aria-pressed=true], :is(#wct-more, #wct-more-optimise) > .open");
  press("#wct-tab-download fieldset label:first-of-type input:not(:checked), #wct-tab-blend-button");
  document.body.classList.remove("dark");
  tell("wct:busy", false);
  tell("wct:pair", [null, null]);
  tell("wct:shown", { value: {} }); // what waits to come into the history does not come any more
}"""
"""Ends what a test began on the page, and closes what it opened."""

BACK = """() => {
  document.dispatchEvent(new CustomEvent("wct:shelf", { detail: { pictures: {}, shelf: { content: [], style: [] } } }));
  document.querySelector(".wct-strip ol").replaceChildren();
  const later = window.setTimeout;
  const next = (act, capture) => document.addEventListener("wct:shown", act, { once: true, capture });
  next(() => (window.setTimeout = (act) => later(act, 0)), true); // into the history at once, not after a rest
  next(() => (window.setTimeout = later), false);
  document.querySelector("#wct-dials").dispatchEvent(new Event("input", { bubbles: true })); // so there is Undo
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "z", ctrlKey: true, bubbles: true }));
}"""
"""Takes the one step back that there is, without own pictures and with an empty history."""

TOP = """() => {
  document.dispatchEvent(new CustomEvent("wct:failed")); // after a step back the page waits on for a second
  document.querySelector("[data-view=fit]").click();
  const split = document.querySelector(".wct-split"), start = document.createElement("i");
  split.value = 50;
  split.dispatchEvent(new Event("input"));
  start.tabIndex = -1;
  document.body.prepend(start);
  start.focus(); // the keyboard goes on from here, though it is gone
  start.remove();
  window.scrollTo(0, 0);
}"""
"""Shows the whole picture, and begins at the top."""


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


_kept = WeakKeyDictionary()
"""Visitors that `stay`, by browser and what they were opened with."""

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

    def session(self, service):
        """What the server holds of this page, once that has told its key and knows its first composition."""
        known = service.sessions._items
        until(lambda: (key := self.page.evaluate("window.wctKey")) in known and known[key].steps.now)
        return known[self.page.evaluate("window.wctKey")]

    def put_back(self, service, first, viewport):
        """Bring the page and its session to where they were when it had opened; `first` was its composition.

        Blend, dials and photo are set by a step back to `first`. Left as they are: what the tabs Optimise, Compare and
        Download tell of earlier work, the number of steps of Optimise, and Redo.
        """
        self.page.mouse.move(0, 0)
        self.context.clear_permissions()
        if self.page.viewport_size != viewport:
            self.page.set_viewport_size(viewport)
        self.page.evaluate(CALM)
        expect(self.page.locator(".wct-busy")).to_have_count(0)
        session = self.session(service)
        session.steps, session.before_shown = Steps(past=[first]), None
        session._history.clear()
        session._pictures.clear()
        self.after(lambda: self.page.evaluate(BACK))
        self.page.wait_for_selector(".wct-strip li")
        self.page.evaluate(TOP)
        return session.steps.now == first and [kept.composition for kept in session.history] == [first]

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


@pytest.fixture
def stay(served, browser, request):
    """Bring visitors whose page stays open for the next test of the module: opening one costs more than most tests.

    The next test gets the page as if it were new (`Visitor.put_back`), in a window of the size that it asks for. For
    tests that add nothing to the page that stays: no changed nodes, no replaced functions, no broken connection. They
    undo what they evaluate there. Other options than the size of the window are another page; so is the second that
    one test asks for. After a test that failed its pages are closed. What needs a first visit takes `visit`.
    """
    service, here, failed = served[0].service, [], request.session.testsfailed
    kept = _kept.setdefault(browser, {})

    def arrive(viewport=DESK, **options):
        name = repr(sorted(options.items()))
        found = next((known for known in kept.get(name, []) if known not in here), None)
        if found:
            here.append(found)
            until(lambda: found[0].put_back(service, found[1], viewport))
        else:
            somebody = Visitor(browser, served[1], viewport, **options)
            here.append((somebody, somebody.session(service).steps.now))
            kept.setdefault(name, []).append(here[-1])
        return here[-1][0]

    yield arrive
    problems = [problem for somebody, _ in here for problem in somebody.problems]
    if problems or request.session.testsfailed > failed:
        for somebody, _ in here:
            somebody.close()
        for name, pages in kept.items():
            kept[name] = [known for known in pages if known not in here]
    assert not problems, problems


FIXTURES = (served, browser, visit)
"""For a module of tests: `served, browser, visit = FIXTURES`, with `pytestmark = MARKS`."""

STAYING = (*FIXTURES, stay)
"""The same with pages that stay: `served, browser, visit, stay = STAYING`."""
