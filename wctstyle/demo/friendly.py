"""Errors as messages on the page."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import gradio as gr

from wctstyle.demo.runs import FAULT
from wctstyle.errors import WctStyleError

log = logging.getLogger("wctstyle.demo")

_P = ParamSpec("_P")
_R = TypeVar("_R")


def friendly(action: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn errors into messages on the page: ours as they are, all others without anything of the inside."""

    @functools.wraps(action)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return action(*args, **kwargs)
        except gr.Error:
            raise
        except WctStyleError as error:
            raise gr.Error(str(error), title="That did not work", duration=8, print_exception=False) from None
        except Exception:
            log.exception("a fault in %s", getattr(action, "__name__", "an action"))
            raise gr.Error(FAULT, title="Sorry", duration=8, print_exception=False) from None

    return run
