"""Errors as messages: to a client of the API in words, on the page on its stage."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import gradio as gr

from wctstyle.demo.runs import FAULT
from wctstyle.demo.sessions import Session
from wctstyle.errors import WctStyleError

log = logging.getLogger("wctstyle.demo")

_P = ParamSpec("_P")
_R = TypeVar("_R")


def note(text: str, kind: Literal["error", "good"]) -> dict[str, str]:
    """Say something on the stage."""
    return {"text": text, "kind": kind}


@contextlib.contextmanager
def refusals(action: str, session: Session | None = None) -> Iterator[None]:
    """Turn errors into messages: ours as they are, all others without anything of the inside.

    With a session, it keeps the message and Gradio only learns of a failure, so that it shows nothing itself:
    `Layout._tell` says it on the stage.
    """
    try:
        yield
        return
    except gr.Error:
        raise
    except WctStyleError as error:
        text = str(error)
    except Exception:
        log.exception("a fault in %s", action)
        text = FAULT
    if session is not None:
        session.refusal = text
    raise gr.Error(text, visible=session is None, print_exception=False)


def friendly(action: Callable[_P, _R]) -> Callable[_P, _R]:
    """Tell a client of the API of errors in words."""

    @functools.wraps(action)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with refusals(getattr(action, "__name__", "an action")):
            return action(*args, **kwargs)

    return run


_Handler = Callable[Concatenate[Any, gr.Request, _P], _R]


def handler(action: _Handler[_P, _R]) -> _Handler[_P, _R]:
    """Tell the page of errors, on its stage. For methods of what has `_session`."""

    @functools.wraps(action)
    def run(self: Any, request: gr.Request, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with refusals(action.__name__, self._session(request)):
            return action(self, request, *args, **kwargs)

    return run
