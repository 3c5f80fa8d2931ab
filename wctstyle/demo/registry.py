"""All sessions, and which page has which.

A page has a key of its own, which its browser makes and keeps as long as the tab is open. Its session is found by it
again when the page is loaded anew. A page without one has a session until it is closed.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from typing import Protocol

from wctstyle.demo.limits import Limits
from wctstyle.demo.sessions import Session

KEY = re.compile(r"[0-9a-f]{32}")
"""The form of a page's own key. It comes from a browser, so everything else is taken for none."""

MOST_PAGES = 8
"""Pages that are remembered for one session: each load of a page is a new one to Gradio."""


class Storage(Protocol):
    """Where sessions are kept beyond this process."""

    def save(self, session: Session) -> None:
        """Keep a session as it is now."""

    def load(self, key: str, limits: Limits) -> Session | None:
        """Return the session of a key, None where there is none."""

    def sweep(self) -> None:
        """Drop what is too old or too much."""


class Sessions:
    """All sessions: made on first use, forgotten when their pages are closed or, the least recently used, for room.

    With a store they are written to it first, by `write`, and come back from it when they are asked for.
    """

    def __init__(self, limits: Limits, store: Storage | None = None) -> None:
        self.limits, self.store = limits, store
        self._items: OrderedDict[str, Session] = OrderedDict()
        self._leaving: dict[str, Session] = {}
        self._homes: dict[str, str] = {}
        self._lock = threading.RLock()
        self._writing = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all sessions take."""
        with self._lock:
            return sum(session.nbytes for session in self._items.values())

    def get(self, page: str, key: str | None = None) -> Session:
        """Return the session of a page: that of the page's own key where it has one. A new one if there is none."""
        key = key if key is not None and KEY.fullmatch(key) else None
        name = key or page
        with self._lock:
            known = name in self._items or name in self._leaving
        stored = None
        if not known and key is not None and self.store is not None:
            stored = self.store.load(key, self.limits)  # reads pictures, so others do not wait for it
        with self._lock:
            session = self._items.get(name) or self._leaving.pop(name, None)
            if session is None and stored is not None:
                session, stored.written = stored, stored.state
            session = self._items[name] = session or Session(name, self.limits, lasting=key is not None)
            self._welcome(session, page)
            self._items.move_to_end(name)
            while len(self._items) > self.limits.sessions:
                self._forget_one()
        return session

    def _welcome(self, session: Session, page: str) -> None:
        """Note that a page asked for its session; one that it had before it told its key is let go."""
        if self._homes.get(page, session.key) != session.key:
            self.close(page)
        session.seen = session.pages[page] = time.monotonic()
        session.pages.move_to_end(page)
        self._homes[page] = session.key
        while len(session.pages) > MOST_PAGES:
            self._homes.pop(session.pages.popitem(last=False)[0], None)

    def quiet_since(self, page: str, moment: float) -> bool:
        """Say whether a page asked for nothing since a moment of `time.monotonic()`."""
        with self._lock:
            session = self._items.get(self._homes.get(page, page))
        return session is None or session.pages.get(page, 0.0) <= moment

    def at_work(self, page: str) -> bool:
        """Say whether a page's session is (`Session.at_work`)."""
        with self._lock:
            session = self._items.get(self._homes.get(page, page))
        return session is not None and session.at_work

    def close(self, page: str) -> None:
        """Forget a page, and its session unless that has other pages, such as the same one loaded anew."""
        with self._lock:
            name = self._homes.pop(page, page)
            session = self._items.get(name)
            if session is None:
                return
            session.pages.pop(page, None)
            if not session.pages:
                self._let_go(self._items.pop(name))

    def make_room(self) -> None:
        """Forget the least recently used sessions until all together hold no more than allowed; the latest stays."""
        with self._lock:
            while len(self._items) > 1 and self.nbytes > self.limits.total_bytes:
                self._forget_one()

    def write(self) -> None:
        """Write what changed to the store, and let go of what has left. Takes its time, and nobody waits for it."""
        if self.store is None:
            return
        with self._writing:
            with self._lock:
                left = list(self._leaving.values())
                sessions = [session for session in [*self._items.values(), *left] if session.lasting]
            for session in sessions:
                state = session.state
                if state != session.written and not (session.written is None and session.untouched):
                    self.store.save(session)
                    session.written = state
            with self._lock:
                for session in left:
                    if self._leaving.pop(session.key, None) is not None:  # else it was asked for meanwhile
                        session.close()

    def _forget_one(self) -> None:
        """Forget the least recently used session but the latest; one that is at work only if all are."""
        older = list(self._items)[:-1]
        key = next((key for key in older if not self._items[key].at_work), older[0])
        self._let_go(self._items.pop(key))

    def _let_go(self, session: Session) -> None:
        for page in session.pages:
            self._homes.pop(page, None)
        session.pages.clear()
        if self.store is not None and session.lasting:
            if session.run is not None:
                session.run.stop()
            self._leaving[session.key] = session
        else:
            session.close()
