"""Optimise on the page: starting, following and stopping a run, and the comparison it ends in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from wctstyle.demo import actions, optimising, results, sheets
from wctstyle.demo.friendly import handler
from wctstyle.demo.layout import ESTIMATED, QUIET
from wctstyle.demo.run_panel import RunPanel
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session


class OptimisePanel(RunPanel):
    """The handlers of the tab Optimise, and of the bar below the stage that shows its run on every tab."""

    kind = "optimise"
    untouched = [gr.skip()] * 4

    def connect(self, opened: Any) -> None:
        """Connect the buttons, and follow a run that goes on from before the page was opened."""
        page = self.page
        asked = [page.steps, page.method, page.begin_with, page.palette, *page.controls.values()]
        shown = [page.stage, page.strip, page.pair, page.sheet]
        self.connect_run(opened, asked, report=page.progress, start=page.start, stop=page.stop, shown=shown)
        asking = page.ask.click(lambda: sheets.ESTIMATING, None, page.progress, queue=False, **QUIET).then(
            self._estimate, asked, page.progress, **ESTIMATED
        )
        page._told(asking).failure(lambda: sheets.IDLE, None, page.progress, queue=False, **QUIET)

    def _submit(self, session: Session, *asked: Any) -> Run:
        steps, method, start, palette, *values = asked
        composition = self.page._composition(palette, *values)
        return optimising.submit(self.service, session, composition, steps, method, start)

    def _news(self, session: Session, run: Run) -> list[Any]:
        """Send previews; the stage is left alone as soon as something else was put there."""
        stage = gr.skip()
        if run.progress is not None and session.moves == run.moves:
            stage, session.before_shown = run.progress.stage, None
        return [stage, gr.skip(), gr.skip(), gr.skip()]

    async def _ending(self, session: Session, run: Run) -> AsyncIterator[list[Any]]:
        """Show the two results side by side, then their figures, which take a moment."""
        now = run.progress
        if run.error or now is None or now.kept is None:
            yield [self._nothing(run), sheets.NO_RUN, *self.untouched]
            return
        a, b = now.fast.id, now.kept.id
        stage = results.pair(session, a, b) if session.moves == run.moves else gr.skip()
        strip = actions.strip(session)
        strip[0]["pair"] = [a, b]
        bar = sheets.progress(
            now.step, now.steps, text=f"{now.text} Measuring both …", losses=now.losses, finished=True
        )
        yield [bar, sheets.NO_RUN, stage, strip, {"a": a, "b": b}, sheets.MEASURING]
        figures = await asyncio.to_thread(results.report, self.service, session, a, b)
        yield [sheets.ended(now.text, figures), *[gr.skip()] * 4, figures]

    def _told(self, now: optimising.Progress) -> str:
        return sheets.progress(now.step, now.steps, text=now.text, losses=now.losses)

    @handler
    def _estimate(self, request: gr.Request, steps: float, method: str, start: str, palette: Any, *values: Any) -> Any:
        """Make a trial; while this page optimises, or once it does, its report stands there instead."""
        session, composition = self._session(request), self.page._composition(palette, *values)
        run, text = self._live(session), ""
        if run is None:
            text = optimising.estimate(self.service, session, composition, steps, method, start)
            run = self._live(session)
        return sheets.progress(0, int(steps), text=text) if run is None else self._report(run)
