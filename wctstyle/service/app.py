"""The routes: HTTP to jobs and back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query
from fastapi.exceptions import RequestValidationError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse

from wctstyle import __version__
from wctstyle.service import description as words
from wctstyle.service.forms import read_form
from wctstyle.service.jobs import Job
from wctstyle.service.kinds import KINDS
from wctstyle.service.painting import ALL
from wctstyle.service.refusals import FAULT, Refused
from wctstyle.service.service import Service, told

log = logging.getLogger("wctstyle.service")

LONGEST_WAIT = 60.0
"""Most seconds that a question for a job waits for its end."""

LOOK_EVERY = 0.5
"""Seconds between looks whether a client is still there, and between two events of a stream that has no news."""

PRIVATE = {"Cache-Control": "no-store"}
"""Nobody between server and client is to keep pictures."""

Key = Annotated[str | None, Header(alias="Idempotency-Key", description="Sent twice, it names one job.")]


class Routes:
    """The handlers of one service."""

    def __init__(self, service: Service) -> None:
        self.service, self.jobs = service, service.jobs

    def connect(self, app: FastAPI) -> None:
        """Add all routes to an app."""
        kinds = [kind.arguments(self.service.limits, self.service.studio) for kind in KINDS.values()]
        stylizing = words.body(kinds[list(KINDS).index("stylize")], words.STYLIZE_EXAMPLE)
        jobs = words.body(words.merged(kinds, list(KINDS)), words.JOB_EXAMPLE)
        job = words.answer("The job.", words.JOB)
        early = words.answer("It is not done yet.", words.ERROR)
        events = {"description": "Events", "content": {"text/event-stream": {}}}
        add = app.add_api_route
        add("/v1/stylize", self.stylize, methods=["POST"], tags=["pictures"], summary="Paint a photo at once",
            openapi_extra=stylizing, responses={200: words.PICTURE, **words.REFUSALS})  # fmt: skip
        add("/v1/jobs", self.begin, methods=["POST"], tags=["jobs"], summary="Ask for a job", status_code=202,
            openapi_extra=jobs, responses={202: job, **words.REFUSALS})  # fmt: skip
        add("/v1/jobs/{id}", self.state, methods=["GET"], tags=["jobs"], summary="How far a job is",
            responses={200: job, **words.MISSING})  # fmt: skip
        add("/v1/jobs/{id}", self.cancel, methods=["DELETE"], tags=["jobs"],
            summary="Cancel a job, or delete its result", responses={200: job, **words.MISSING})  # fmt: skip
        add("/v1/jobs/{id}/result", self.result, methods=["GET"], tags=["jobs"], summary="The result of a job",
            responses={200: words.FILE, 409: early, **words.MISSING})  # fmt: skip
        add("/v1/jobs/{id}/result/{name}", self.one_result, methods=["GET"], tags=["jobs"],
            summary="One file of a job", responses={200: words.FILE, **words.MISSING})  # fmt: skip
        add("/v1/jobs/{id}/events", self.events, methods=["GET"], tags=["jobs"],
            summary="The job, again and again as it changes (server-sent events)",
            responses={200: events, **words.MISSING})  # fmt: skip
        for name in ("models", "options", "samples"):
            read = getattr(self.service, name)
            add(f"/v1/{name}", _listing(read), methods=["GET"], tags=["about"], summary=read.__doc__.split("\n")[0],
                responses={200: words.answer("The list.")})  # fmt: skip

    # --------------------------------------------------------------------------------------------------- the handlers

    async def stylize(self, request: Request, key: Key = None) -> Response:
        """Paint one photo and answer with the picture; its recipe is inside.

        If the connection is lost the job ends, unless it has an Idempotency-Key: then the same request gets its result.
        """
        job = await self._submit(request, "stylize", key)
        try:
            while not job.over:
                await _news(job, LOOK_EVERY)
                if not job.over and await request.is_disconnected():
                    break
        finally:
            if key is None and not job.over:
                self.jobs.cancel(job)
        made = self._done(job)[0]
        assert made.path is not None
        headers = {"x-wctstyle-seconds": f"{job.seconds:.3f}", "x-wctstyle-job": job.id}
        if job.warnings:
            headers["x-wctstyle-warning"] = "; ".join(job.warnings).encode("ascii", "backslashreplace").decode()
        drop = None if key is not None else BackgroundTask(self.jobs.cancel, job)
        return _file(made.path, made.type, headers, drop)

    async def begin(self, request: Request, key: Key = None) -> Response:
        """Put a job in line; its state and its result are there for a while, whatever becomes of the connection."""
        job = await self._submit(request, None, key)
        found = self._told(request, job)
        return JSONResponse(found, 202, {**PRIVATE, "Location": found["url"]})

    async def state(
        self,
        request: Request,
        id: str,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the end.")] = 0.0,
    ) -> Response:
        """Say how far a job is; with `wait`, as soon as it has ended, or after so many seconds."""
        job, end = self.jobs.find(id), asyncio.get_running_loop().time() + wait
        while not job.over and (left := end - asyncio.get_running_loop().time()) > 0:
            await _news(job, left)
        return JSONResponse(self._told(request, job), headers=PRIVATE)

    async def cancel(self, request: Request, id: str) -> Response:
        """End a job: at once while it waits, at its next step while it runs. Of one that is over, delete the result."""
        job = self.jobs.find(id)
        self.jobs.cancel(job)
        return JSONResponse(self._told(request, job) if not job.over or job.state == "cancelled" else _gone(job))

    async def result(self, request: Request, id: str) -> Response:
        """Answer with the picture or video; of a batch, with a list, or a ZIP if the client accepts application/zip."""
        job = self.jobs.find(id)
        made = self._done(job)
        if not job.work.several:
            assert made[0].path is not None
            return _file(made[0].path, made[0].type)
        if "application/zip" in request.headers.get("accept", ""):
            return await self.one_result(id, ALL)
        return JSONResponse(self._told(request, job)["result"], headers=PRIVATE)

    async def one_result(self, id: str, name: str) -> Response:
        """Answer with a file of a job by its name; `all.zip` has all of a batch."""
        made = self._done(self.jobs.find(id))
        found = next((one for one in made if one.name == name and one.path is not None), None)
        if found is None or found.path is None:
            raise Refused(404, f"the job has no result {name[:80]!r}", field="name")
        return _file(found.path, found.type)

    async def events(self, request: Request, id: str) -> Response:
        """Tell of a job as server-sent events, each with the same JSON as the job's own address, up to its end."""
        job = self.jobs.find(id)

        async def lines() -> AsyncIterator[str]:
            last = ""
            while True:
                over, text = job.over, json.dumps(self._told(request, job))
                if text != last:
                    yield f"event: {job.state}\ndata: {text}\n\n"
                last = text
                if over:
                    return
                await _news(job, LOOK_EVERY)
                await asyncio.sleep(0.05)  # so that quick steps do not make a flood

        return StreamingResponse(lines(), media_type="text/event-stream", headers=PRIVATE)

    # -------------------------------------------------------------------------------------------------------- parts

    async def _submit(self, request: Request, kind: str | None, key: str | None) -> Job:
        with self.service.receiving() as folder:
            form = await read_form(request, self.service.limits, folder)
            given = form.values.pop("kind", None) if kind is None else [kind]
            if not given or len(given) > 1:
                raise Refused(422, f"kind is missing or given twice; give one of {', '.join(KINDS)}", field="kind")
            accept = request.headers.get("accept", "")
            return await run_in_threadpool(self.service.submit, given[0], form, accept=accept, key=key)

    def _told(self, request: Request, job: Job) -> dict[str, Any]:
        return told(self.jobs, job, request.scope.get("root_path", ""))

    def _done(self, job: Job) -> Sequence[Any]:
        """Return what a job made.

        Raises:
            Refused: it is not done.
        """
        if job.error is not None:
            raise job.error
        if job.state == "cancelled":
            raise Refused(410, "the job was cancelled; it has no result")
        if job.state != "done":
            raise Refused(409, f"the job is {job.state}; ask again later", headers={"Retry-After": "1"})
        return job.made


def _listing(read: Callable[[], dict[str, Any]]) -> Callable[..., Any]:
    async def listing() -> Response:
        return JSONResponse(read())

    listing.__doc__ = read.__doc__
    return listing


def _gone(job: Job) -> dict[str, Any]:
    return {"id": job.id, "kind": job.kind, "state": job.state, "deleted": True}


def _file(
    path: Path, type: str, headers: dict[str, str] | None = None, after: BackgroundTask | None = None
) -> Response:
    return FileResponse(
        path, headers={**PRIVATE, **(headers or {})}, media_type=type, filename=path.name,
        content_disposition_type="inline", background=after,
    )  # fmt: skip


async def _news(job: Job, seconds: float) -> None:
    """Wait until a job changes, at most so long."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(event.set)

    job.listeners.append(tell)
    try:
        if not job.over:
            await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        pass
    finally:
        job.listeners.remove(tell)


@cache
def _page() -> str:
    return (Path(__file__).parent / "assets" / "docs.html").read_text(encoding="utf-8")


async def docs() -> Response:
    """Answer with the page of the API; it loads nothing from elsewhere."""
    return HTMLResponse(_page(), headers={"Content-Security-Policy": POLICY})


PAGES = ("/", "/docs", "/openapi.json")
"""Addresses that say nothing of anybody, so that they need no secret."""

POLICY = "default-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'"


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.to_json()}, error.status, {**PRIVATE, **error.headers})


async def _status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"{request.method} {request.url.path[:80]}: {error.detail}; see /docs for what there is"
    return JSONResponse({"error": {"what": text, "field": None}}, error.status_code, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    return JSONResponse({"error": {"what": f"{field}: {first['msg']}", "field": field}}, 422)


async def _fault(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": {"what": FAULT, "field": None}}, 500)


def make_app(service: Service, middleware: Sequence[Middleware] = ()) -> FastAPI:
    """Make the app of a service."""
    app = FastAPI(
        title="wctstyle",
        version=__version__,
        description="Paint any photo in the style of any picture, or of a blend of several.",
        docs_url=None,
        redoc_url=None,
        middleware=list(middleware),
        exception_handlers={
            Refused: _refused,
            HTTPException: _status,
            RequestValidationError: _invalid,
            Exception: _fault,
        },
    )
    Routes(service).connect(app)
    for address in ("/", "/docs"):
        app.add_api_route(address, docs, include_in_schema=False)
    return app
