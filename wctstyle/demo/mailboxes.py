"""Gradio's mailboxes: what is done with messages to pages and calls that nobody reads."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from wctstyle.web.asgi import App, Receive, Scope, Send

SWEEP_EVERY = 10.0
"""Seconds between looks at the mailboxes."""

READ_WITHIN = 300.0
"""Seconds for which a result waits to be read."""

UNREAD = 200
"""Most mailboxes with results that nobody has read yet; the oldest go first. A result is up to half a megabyte."""


def forget(blocks: gr.Blocks, key: str) -> None:
    """Throw the mailbox of a page or call away; its next event gets a new one."""
    blocks._queue.pending_messages_per_session.pop(key, None)
    blocks._queue.pending_event_ids_session.pop(key, None)


def at_work(blocks: gr.Blocks) -> set[str]:
    """Return the pages and calls that have an event which waits or runs."""
    return {event.session_hash for event in blocks._queue.event_ids_to_events.values()}


class Mailboxes:
    """ASGI middleware that looks for unread mailboxes now and then, on the event loop of Gradio's queue.

    Gradio keeps the mailbox of a call for good, and its result until 2000 others have come, if nobody reads it.
    """

    def __init__(self, app: App, blocks: gr.Blocks) -> None:
        self.app, self._blocks = app, blocks
        self._seen: dict[str, tuple[float, Any]] = {}
        self._next = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sweep if it is time, and let the request pass."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + SWEEP_EVERY
            self.sweep(now)
        await self.app(scope, receive, send)

    def sweep(self, now: float) -> None:
        """Throw away what stayed as it is for `READ_WITHIN` seconds, and the oldest of more than `UNREAD` results."""
        queue, seen = self._blocks._queue, {}
        boxes, pending = queue.pending_messages_per_session, queue.pending_event_ids_session
        full = []
        for key in {*boxes, *pending} - at_work(self._blocks):
            waiting = boxes[key].qsize() if key in boxes else 0
            state = waiting, frozenset(pending.get(key, ()))
            since, before = self._seen.get(key, (now, state))
            seen[key] = (since if before == state else now), state
            if waiting:
                full.append(key)
        full.sort(key=lambda key: -seen[key][0])
        late = (key for key, (since, _) in seen.items() if now - since >= READ_WITHIN)
        for key in {*late, *full[UNREAD:]}:
            forget(self._blocks, key)
            del seen[key]
        self._seen = seen
