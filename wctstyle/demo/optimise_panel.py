"""Optimise on the page: starting, following and stopping a run, and the comparison it ends in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from wctstyle.demo import actions, optimising, results, sheets
from wctstyle.demo.friendly import handler
from wctstyle.demo.layout import QUIET, Layout
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session

LOOK_SECONDS = 0.2
"""How often a page looks for news of its run."""


class OptimisePanel:
    """The handlers of the tab Optimise, and of the bar below the stage that shows its run on every tab."""

    def __init__(self, page: Layout) -> None:
        self.page, self.service = page, page.service

    def _session(self, request: gr.Request) -> Session:
        return self.page._session(request)

    def connect(self, opened: Any) -> None:
        """Connect the buttons, and follow a run that goes on from before the page was opened."""
        page = self.page
        asked = [page.steps, page.method, page.begin_with, page.palette, *page.controls.values()]
        follow: dict[str, Any] = {
            "fn": self._follow,
            "inputs": None,
            "outputs": [page.stage, page.progress, page.running, page.strip, page.pair, page.sheet],
            "concurrency_id": "follow",
            "concurrency_limit": None,
            "trigger_mode": "multiple",  # a run that was stopped may still be followed when the next one is asked for
            **QUIET,
        }
        start = page.start.click(
            self._start, asked, [page.progress, page.running], concurrency_limit=None, trigger_mode="multiple", **QUIET
        )
        page._told(start).success(**follow)
        opened.then(**follow)
        gr.on([page.stop.click, page.running.submit], self._stop, None, page.progress, queue=False, **QUIET)
        asking = page.ask.click(lambda: sheets.ESTIMATING, None, page.progress, queue=False, **QUIET).then(
            self._estimate, asked, page.progress, concurrency_id="estimate", concurrency_limit=1, **QUIET
        )
        page._told(asking).failure(lambda: sheets.IDLE, None, page.progress, queue=False, **QUIET)

    @handler
    def _start(
        self, request: gr.Request, steps: float, method: str, start: str, palette: Any, *values: Any
    ) -> list[Any]:
        page, session = self.page, self._session(request)
        composition = page._composition(palette, *values)
        run = optimising.submit(self.service, session, composition, steps, method, start)
        return [self._report(run), self._bar(run)]

    async def _follow(self, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Stream previews; the stage is left alone as soon as something else was put there."""
        session = self._session(request)
        run, seen = session.run, -1
        if run is None or run.state == "ended":
            yield [gr.skip()] * 6
            return
        while run.state != "ended":
            if run.version != seen:
                seen = run.version
                yield self._news(session, run)
            await asyncio.sleep(LOOK_SECONDS)
        if session.run is run:  # not one that gave up its place to another
            async for news in self._ending(session, run):
                yield news

    def _news(self, session: Session, run: Run) -> list[Any]:
        stage = gr.skip()
        if run.progress is not None and session.moves == run.moves:
            stage, session.before_shown = run.progress.stage, None
        return [stage, self._report(run), self._bar(run), gr.skip(), gr.skip(), gr.skip()]

    async def _ending(self, session: Session, run: Run) -> AsyncIterator[list[Any]]:
        """Show the two results side by side, then their figures, which take a moment."""
        now = run.progress
        if run.error or now is None or now.kept is None:
            text = sheets.failed(run.error) if run.error else sheets.STOPPED_EARLY
            yield [gr.skip(), text, sheets.NO_RUN, gr.skip(), gr.skip(), gr.skip()]
            return
        a, b = now.fast.id, now.kept.id
        stage = results.pair(session, a, b) if session.moves == run.moves else gr.skip()
        strip = actions.strip(session)
        strip[0]["pair"] = [a, b]
        bar = sheets.progress(
            now.step, now.steps, text=f"{now.text} Measuring both …", losses=now.losses, finished=True
        )
        yield [stage, bar, sheets.NO_RUN, strip, {"a": a, "b": b}, sheets.MEASURING]
        figures = await asyncio.to_thread(results.report, self.service, session, a, b)
        yield [gr.skip(), sheets.ended(now.text, figures), gr.skip(), gr.skip(), gr.skip(), figures]

    def _report(self, run: Run) -> str:
        now = run.progress
        if run.state == "waiting":
            return sheets.waiting(self.service.queue.ahead(run))
        if run.stopped.is_set():
            return sheets.STOPPING
        if now is None:
            return sheets.PREPARING
        return sheets.progress(now.step, now.steps, text=now.text, losses=now.losses)

    def _bar(self, run: Run) -> dict[str, Any]:
        now = run.progress
        if run.state == "waiting":
            text = sheets.place(self.service.queue.ahead(run))
        elif run.stopped.is_set():
            text = "Stopping"
        else:
            text = now.text if now is not None else sheets.FIRST_STEP
        share = 100 * now.step / now.steps if now is not None else 0
        return {"state": run.state, "text": text, "share": share, "thumb": now.thumb if now is not None else ""}

    @handler
    def _stop(self, request: gr.Request) -> Any:
        run = self._session(request).run
        if run is None or run.state == "ended":
            return gr.skip()
        run.stop()
        return sheets.STOPPED_EARLY if run.state == "ended" else sheets.STOPPING

    @handler
    def _estimate(self, request: gr.Request, steps: float, method: str, start: str, palette: Any, *values: Any) -> Any:
        """Make a trial; while this page optimises, or once it does, its report stands there instead."""
        session, composition = self._session(request), self.page._composition(palette, *values)
        run, text = session.run if session.optimising else None, ""
        if run is None:
            text = optimising.estimate(self.service, session, composition, steps, method, start)
            run = session.run if session.optimising else None
        return sheets.progress(0, int(steps), text=text) if run is None else self._report(run)
