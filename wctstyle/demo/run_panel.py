"""What the tabs whose work takes minutes have in common: following a run, telling of it on every tab, stopping it."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from wctstyle.demo import sheets
from wctstyle.demo.friendly import handler
from wctstyle.demo.layout import QUIET, Layout
from wctstyle.demo.runs import Run, RunKind
from wctstyle.demo.sessions import Session

LOOK_SECONDS = 0.2
"""How often a page looks for news of its run."""


class RunPanel(abc.ABC):
    """A tab with runs of one kind.

    untouched: what sets none of the components that `connect_run` calls shown. stopped: what is told of a run that was
    stopped and left nothing.
    """

    kind: ClassVar[RunKind]
    untouched: ClassVar[list[Any]] = []
    stopped: ClassVar[str] = sheets.STOPPED_EARLY

    def __init__(self, page: Layout) -> None:
        self.page, self.service = page, page.service

    def connect_run(
        self,
        opened: Any,
        asked: list[Any],
        *,
        report: Any,
        start: Any,
        stop: Any,
        shown: Sequence[Any] = (),
        also: Sequence[Any] = (),
    ) -> None:
        """Connect the buttons, and follow a run that goes on from before the page was opened.

        asked: what `_submit` takes. report: where it is told how far a run is. shown: what it changes on the way. also:
        events besides the click that start a run.
        """
        page = self.page
        follow: dict[str, Any] = {
            "fn": self._follow,
            "inputs": None,
            "outputs": [report, page.running, *shown],
            "concurrency_id": "follow",
            "concurrency_limit": None,
            "trigger_mode": "multiple",  # a run that was stopped may still be followed when the next one is asked for
            **QUIET,
        }
        for begin in (start.click, *also):
            begun = begin(
                self._start, asked, [report, page.running], concurrency_limit=None, trigger_mode="multiple", **QUIET
            )
            page._told(begun).success(**follow)
        opened.then(**{**follow, "fn": self._found})
        gr.on([stop.click, page.running.submit], self._stop, None, report, queue=False, **QUIET)  # pyright: ignore

    def _session(self, request: gr.Request) -> Session:
        return self.page._session(request)

    def _run(self, session: Session) -> Run | None:
        """Return the run of a page, if it is one of this tab."""
        run = session.run
        return run if run is not None and run.kind == self.kind else None

    def _live(self, session: Session) -> Run | None:
        """Return the run of a page that has not ended, if it is one of this tab."""
        run = self._run(session)
        return None if run is None or run.state == "ended" else run

    @handler
    def _start(self, request: gr.Request, *asked: Any) -> list[Any]:
        run = self._submit(self._session(request), *asked)
        return [self._report(run), self._bar(run)]

    @abc.abstractmethod
    def _submit(self, session: Session, *asked: Any) -> Run:
        """Put a run in line."""

    async def _found(self, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Stream news of a run to its page that was loaded again; of one that has ended only what lasts."""
        run = self._run(self._session(request))
        if run is None or (run.state == "ended" and not self._lasts(run)):
            yield [gr.skip(), gr.skip(), *self.untouched]
            return
        async for news in self._follow(request):
            yield news

    async def _follow(self, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Stream news of a run to its page, and how it ended; it may have ended already."""
        session = self._session(request)
        run, seen = self._run(session), -1
        if run is None:
            yield [gr.skip(), gr.skip(), *self.untouched]
            return
        while run.state != "ended":
            if run.version != seen:
                seen = run.version
                yield [self._report(run), self._bar(run), *self._news(session, run)]
            await asyncio.sleep(LOOK_SECONDS)
        if session.run is run:  # not one that gave up its place to another
            async for news in self._ending(session, run):
                yield news

    def _lasts(self, run: Run) -> bool:
        """Say whether a page that is loaded again shows how a run ended."""
        return False

    def _news(self, session: Session, run: Run) -> list[Any]:
        """Return what the components of `shown` get while a run goes on."""
        return self.untouched

    @abc.abstractmethod
    def _ending(self, session: Session, run: Run) -> AsyncIterator[list[Any]]:
        """Tell how a run ended."""

    def _nothing(self, run: Run) -> str:
        """Say why a run made nothing."""
        return sheets.failed(run.error) if run.error else self.stopped

    def _report(self, run: Run) -> str:
        if run.state == "waiting":
            return sheets.waiting(self.service.queue.ahead(run))
        if run.stopped.is_set():
            return sheets.STOPPING[self.kind]
        return sheets.PREPARING[self.kind] if run.progress is None else self._told(run.progress)

    @abc.abstractmethod
    def _told(self, now: Any) -> str:
        """Write how far a run is."""

    def _bar(self, run: Run) -> dict[str, Any]:
        now = run.progress
        if run.state == "waiting":
            text = sheets.place(self.service.queue.ahead(run))
        elif run.stopped.is_set():
            text = "Stopping"
        else:
            text = now.text if now is not None else sheets.FIRST[self.kind]
        share = 100 * now.step / now.steps if now is not None and now.steps else 0
        return {"state": run.state, "text": text, "share": share, "thumb": now.thumb if now is not None else ""}

    @handler
    def _stop(self, request: gr.Request) -> Any:
        run = self._live(self._session(request))
        if run is None:
            return gr.skip()
        run.stop()
        return sheets.STOPPED_EARLY if run.state == "ended" else sheets.STOPPING[self.kind]


class FilePanel(RunPanel):
    """A tab whose runs end in a file, which a page that is loaded again shows too. Their progress has a `file`."""

    def __init__(self, page: Layout, upload_folder: str, export_folder: Path) -> None:
        super().__init__(page)
        self.upload_folder, self.export_folder = upload_folder, export_folder

    def _lasts(self, run: Run) -> bool:
        now = run.progress
        return now is not None and now.file is not None and now.file.is_file()

    async def _ending(self, session: Session, run: Run) -> AsyncIterator[list[Any]]:
        now = run.progress
        failed = run.error or now is None or now.file is None
        yield [self._nothing(run) if failed else self._made(now), sheets.NO_RUN]

    @abc.abstractmethod
    def _made(self, now: Any) -> Any:
        """Return what shows the file."""
