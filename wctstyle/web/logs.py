"""Lines on stderr: one for each request if wanted, as text or JSON, without what would name a picture."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from pathlib import PurePath
from typing import Any

from wctstyle.web.exposure import Exposure

requests = logging.getLogger("wctstyle.requests")
"""Told of each request: `extra={"request": {...}}`."""

SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers that uvicorn gives lines of their own form."""


class Lines(logging.Formatter):
    """Write a record in one line, as text or JSON.

    Without `names`, a fault is told by its kind and the places in the code that it went through: its message may name
    a picture or a folder.
    """

    def __init__(self, *, as_json: bool, names: bool) -> None:
        super().__init__()
        self._as_json, self._names = as_json, names

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        told: dict[str, Any] = {"time": moment, "level": record.levelname.lower()}
        request = getattr(record, "request", None)
        if request is not None:
            told |= {"event": "request", **request}
        else:
            told |= {"event": record.name, "message": self._message(record)}
        if record.exc_info and record.exc_info[1] is not None:
            told["fault"] = self._fault(record.exc_info[1])
        if self._as_json:
            return json.dumps(told)
        values = (f"{name}={value}" for name, value in told.items() if name not in ("time", "level", "event"))
        return " ".join((moment, told["level"], told["event"], *values))

    def _message(self, record: logging.LogRecord) -> str:
        text = record.getMessage() if self._names or record.name.startswith("wctstyle") else str(record.msg)
        return text.partition("\n")[0] if not self._names else text

    def _fault(self, error: BaseException) -> str:
        if self._names:
            return "".join(traceback.format_exception(error)).rstrip()
        frames = traceback.extract_tb(error.__traceback__)
        places = (f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
        return " < ".join((type(error).__name__, *reversed(list(places))))


def write_logs(exposure: Exposure) -> None:
    """Write all that is logged to stderr in the form that is wanted; do nothing where none is.

    Call it once the server has started: uvicorn sets up loggers of its own then.
    """
    if exposure.log_format is None:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(as_json=exposure.log_format == "json", names=exposure.log_names))
    logging.getLogger().handlers[:] = [handler]
    for name in SERVERS:
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = name != "uvicorn.access"  # its lines have paths and queries
    requests.setLevel(logging.INFO)
