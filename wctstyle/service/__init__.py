"""The API for programs: pictures at once, slow work as jobs, over HTTP (FastAPI).

The modules import only downwards: running, app, description, service, kinds, clips, extras, painting, pictures, studio,
jobs, forms, arguments, refusals, limits. `Limits` alone imports neither JAX nor FastAPI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wctstyle.service.limits import Limits

if TYPE_CHECKING:
    from wctstyle.service.app import make_app
    from wctstyle.service.service import Service
    from wctstyle.service.studio import Studio

__all__ = ["Limits", "Service", "Studio", "make_app"]


def __getattr__(name: str) -> Any:
    if name == "make_app":
        from wctstyle.service.app import make_app

        return make_app
    if name == "Service":
        from wctstyle.service.service import Service

        return Service
    if name == "Studio":
        from wctstyle.service.studio import Studio

        return Studio
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
