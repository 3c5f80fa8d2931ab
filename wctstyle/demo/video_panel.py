"""Video on the page: taking a clip in, painting it, and the player it ends in."""

from __future__ import annotations

from typing import Any

import gradio as gr

from wctstyle.demo import clips, sheets
from wctstyle.demo.friendly import handler
from wctstyle.demo.layout import ESTIMATED, QUIET
from wctstyle.demo.run_panel import FilePanel
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session
from wctstyle.errors import WctStyleError


class VideoPanel(FilePanel):
    """The handlers of the tab Video."""

    kind = "video"

    def connect(self, opened: Any) -> None:
        """Connect the buttons, and show the clip and the video that a page had before it was loaded again."""
        page = self.page
        uploaded = page.clip.upload(
            self._upload, None, page.clip, concurrency_id="clip", trigger_mode="multiple", **QUIET
        )
        page._told(uploaded)
        opened.then(self._clip, None, page.clip, queue=False, **QUIET)
        asked = [page.calm, page.video_steps, page.video_size, page.palette, *page.controls.values()]
        quality = page.controls["model"].change  # pyright: ignore[reportAttributeAccessIssue]
        for event in (uploaded.then, page.video_steps.change, page.video_size.change, quality):
            event(self._estimate, asked[1:], page.video_time, **ESTIMATED)
        self.connect_run(opened, asked, report=page.video, start=page.paint, stop=page.stop_video)

    @handler
    def _upload(self, request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        """Take a clip in; what is wrong with it stands where its name would."""
        session, data = self._session(request), event._data or {}
        limits, folders = self.service.limits, (self.upload_folder, self.export_folder)
        try:
            clip = clips.take_clip(data.get("path"), data.get("name"), *folders, limits)
            text, session.clip = clips.describe(limits, clip), clip
        except WctStyleError as error:
            text = str(error)
        return clips.said(text, limits)

    @handler
    def _clip(self, request: gr.Request) -> Any:
        clip = self._session(request).clip
        if clip is None or not clip.is_file():
            return gr.skip()
        return clips.said(clips.describe(self.service.limits, clip), self.service.limits)

    def _submit(self, session: Session, *asked: Any) -> Run:
        calm, steps, size, palette, *values = asked
        composition = self.page._composition(palette, *values)
        clip = clips.open_upload(self.service.limits, session.clip, size)
        return clips.submit(self.service, session, composition, clip, calm, steps)

    @handler
    def _estimate(self, request: gr.Request, steps: int, size: int, palette: Any, *values: Any) -> str:
        """Say how long optimising takes, once there is a clip."""
        clip = self._session(request).clip
        if not steps or clip is None:
            return ""
        opened = clips.open_upload(self.service.limits, clip, size)
        return clips.estimate(self.service, self.page._composition(palette, *values), opened, steps)

    def _told(self, now: clips.Progress) -> str:
        return sheets.frames(now.step, now.steps, now.text, now.pair)

    def _made(self, now: clips.Progress) -> str:
        assert now.file is not None
        return sheets.player(now.text, now.file)
