"""The page in the browser: blend styles live, compare, take the result away (Gradio).

The modules import only downwards: server, exposed, guard, store, api, calls, page, layout, theme, memory, choosing,
optimising, results, actions, sheets, backend, sessions, composition, pictures, limits. Importing `Limits` alone imports
neither JAX nor Gradio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wctstyle.demo.limits import Limits

if TYPE_CHECKING:
    from wctstyle.demo.server import Demo, build, launch, serving

__all__ = ["Demo", "Limits", "build", "launch", "serving"]


def __getattr__(name: str) -> Any:
    if name in ("Demo", "build", "launch", "serving"):
        from wctstyle import heaps

        heaps.share()
        from wctstyle.demo import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
