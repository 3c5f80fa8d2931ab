"""The API in OpenAPI's words, made of the table of arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wctstyle.service.arguments import CLIPS, FORMATS, Argument, Sort

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["what"],
            "properties": {
                "what": {"type": "string", "description": "What is wrong, what is wanted and what to do."},
                "field": {"type": ["string", "null"], "description": "The field that is meant."},
                "nearest": {"type": "array", "items": {"type": "string"}, "description": "Known names like it."},
            },
        }
    },
    "example": {"error": {"what": "strength is 3.0, must be between 0 and 1.5", "field": "strength"}},
}

JOB: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "kind": {"type": "string"},
        "state": {"enum": ["waiting", "running", "done", "failed", "cancelled"]},
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "seconds": {"type": "number", "description": "For how long it has been at work."},
        "place": {"type": ["integer", "null"], "description": "Jobs that come before it, while it waits."},
        "url": {"type": "string"},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "error": {"anyOf": [ERROR["properties"]["error"], {"type": "null"}]},
        "result": {
            "type": "object",
            "description": "The file: name, type, bytes, width, height, recipe and url, with `more` files where "
            "there are some; or `files` of a batch, with all.zip, and `failed`.",
        },
    },
}


def answer(about: str, schema: dict[str, Any] | None = None, type: str = "application/json") -> dict[str, Any]:
    """Describe an answer."""
    return {"description": about, "content": {type: {"schema": schema or {"type": "object"}}}}


PICTURE = {"description": "The picture, with its recipe inside.", "content": {type: {} for type in FORMATS.values()}}

FILE = {
    "description": "The file, with its recipe inside.",
    "content": {type: {} for type in (*FORMATS.values(), *CLIPS.values())},
}

REFUSALS: dict[int | str, dict[str, Any]] = {
    413: answer("The request, or a file of it, is too large.", ERROR),
    422: answer("An argument is not known, missing, of the wrong type or out of range.", ERROR),
    503: answer("Too many jobs are waiting; the header Retry-After says when to come back.", ERROR),
}

MISSING: dict[int | str, dict[str, Any]] = {404: answer("There is no such job any more.", ERROR)}

STYLIZE_EXAMPLE = {"content": "sample:cat", "style": ["sample:marbling"], "size": 256}

JOB_EXAMPLE = {"kind": "optimize", "content": "sample:cat", "style": ["sample:marbling"], "size": 128, "steps": 10}


def body(arguments: Sequence[Argument], example: dict[str, Any]) -> dict[str, Any]:
    """Describe a form with these arguments, for `openapi_extra`."""
    schema = {
        "type": "object",
        "required": [argument.name for argument in arguments if argument.needed],
        "properties": {argument.name: argument.schema() for argument in arguments},
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema, "example": example}}}
    }


def merged(kinds: Sequence[Sequence[Argument]], names: Sequence[str]) -> list[Argument]:
    """Return the arguments of all kinds of jobs, each once; one that several take has all that any of them takes."""
    found: dict[str, list[Argument]] = {}
    for arguments in kinds:
        for argument in arguments:
            found.setdefault(argument.name, []).append(argument)
    kind = Argument("kind", "choice", "What is made; see /v1/options for what each takes.", choices=tuple(names),
                    needed=True)  # fmt: skip
    return [kind, *(_joined(alike, everywhere=len(alike) == len(kinds)) for alike in found.values())]


WIDER: tuple[Sort, ...] = ("track", "file")
"""What takes all that a number takes, and what a picture or a clip does."""


def _joined(alike: Sequence[Argument], *, everywhere: bool) -> Argument:
    """Describe arguments of one name as one; `everywhere`: all kinds have it."""
    sorts = {one.sort for one in alike}
    sort = alike[0].sort if len(sorts) == 1 else next((one for one in WIDER if one in sorts), "file")
    least, most = ([getattr(one, bound) for one in alike] for bound in ("least", "most"))
    return replace(
        alike[0],
        sort=sort,
        least=None if None in least else min(least),
        most=None if None in most else max(most),
        choices=tuple(dict.fromkeys(choice for one in alike for choice in one.choices)),
        needed=everywhere and all(one.needed for one in alike),
    )
