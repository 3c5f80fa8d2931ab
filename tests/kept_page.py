"""One open page for many tests of a module, put back between them: opening a page is what takes time.

The session behind the page is taken for a new one, and a file with the recipe of the first picture is dropped on the
page: from then on it has the photo, the blend, the dials, the steps and the history of a page that has just opened.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from pathlib import Path

import pytest
from demo_service import SMALL, chromium, narrow_server
from narrow import picture
from visitor import DESK, Visitor, expect, until

from wctstyle import images
from wctstyle.demo import layout
from wctstyle.demo.composition import Composition
from wctstyle.demo.recipes import recipe_for
from wctstyle.demo.sessions import Session

FIRST = Composition(size=SMALL.live_size)
"""What a page opens with."""

SETTLED = 300
"""Milliseconds after which a picture goes to the history here: each page that is put back waits for that."""

_numbers = itertools.count(1000, 1000)
"""Where the results of a page that is put back are counted from, so that those before are told from them."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    chromium()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "SETTLE_MILLISECONDS", SETTLED)
        with narrow_server(tmp_path_factory.mktemp("demo")) as served:
            yield served


def session_of(served, somebody):
    """The session of a page."""
    return served[0].service.sessions._items[somebody.page.evaluate("window.wctKey")]


class KeptPage:
    """The page of a module; it is opened when it is first needed, and anew after a test that failed."""

    def __init__(self, served, browser):
        self.served, self.browser, self.visitor = served, browser, None

    def ready(self):
        """Return the visitor, on a page as it opens."""
        if self.visitor is None:
            self.visitor = Visitor(self.browser, self.served[1])
        else:
            self.put_back()
        return self.visitor

    def put_back(self):
        somebody, sessions = self.visitor, self.served[0].service.sessions
        page = somebody.page
        page.set_viewport_size(DESK)
        page.mouse.move(0, 0)
        somebody.context.clear_permissions()
        somebody.tab("Blend")
        for selector in (".wct-tries [data-choose=close]", "[data-choose=suggest][aria-pressed=true]"):
            for button in page.locator(selector).all():
                if button.is_visible():
                    button.click()
        known = session_of(self.served, somebody)
        known.close()
        with tempfile.TemporaryDirectory() as folder:
            recipe = recipe_for(FIRST, known, size=FIRST.size).to_json()
            file = images.save(Path(folder) / "first.png", picture(16, 16), recipe=recipe)
            while True:  # a request of the test before may come in between; then it is done once more
                fresh = Session(known.key, known.limits, lasting=True)
                number = next(_numbers)
                fresh._numbers = itertools.count(number)
                with sessions._lock:
                    fresh.pages.update(sessions._items[known.key].pages)
                    sessions._items[known.key] = fresh
                page.locator(".wct-photos input[type=file]").set_input_files(file)
                until(lambda fresh=fresh: fresh.styled(FIRST))
                if [kept.composition for kept in fresh.history] == [FIRST] and not any(fresh.steps.offered.values()):
                    break
        expect(page.locator(".wct-strip li").first).to_have_attribute("data-id", f"r{number}")
        expect(page.locator(".wct-strip li")).to_have_count(1)
        expect(somebody.chosen()).to_have_text("astronaut")
        page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")

    def drop(self):
        """Close the page; the next test gets a new one."""
        visitor, self.visitor = self.visitor, None
        if visitor is not None:
            visitor.close()


@pytest.fixture(scope="module")
def kept_page(served, browser):
    kept = KeptPage(served, browser)
    yield kept
    kept.drop()


@pytest.fixture
def somebody(kept_page, request):
    """The visitor of the module, on a page as it opens."""
    failed = request.session.testsfailed
    try:
        visitor = kept_page.ready()
    except BaseException:
        kept_page.drop()
        raise
    yield visitor
    problems = [*visitor.problems]
    visitor.problems.clear()
    if request.session.testsfailed > failed or problems or visitor.page.is_closed():
        with contextlib.suppress(Exception):
            kept_page.drop()
    assert not problems, problems


KEPT = (served, kept_page, somebody)
"""For a module of tests: `served, kept_page, somebody = KEPT`, beside the browser of `visitor`."""
