"""What the page asks of masks: to take one that was drawn, scribbled or uploaded, to find one, to show one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import images, masks
from wctstyle.demo.actions import Service
from wctstyle.demo.composition import OUT_OF_DATE
from wctstyle.demo.masking import SHOWN_SIDE, StoredMask, hold_mask, kind_of, ready_made, scribbled, shown
from wctstyle.demo.pictures import address, decode, public_name, take_upload
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError, ImageError
from wctstyle.regions import mask_of

HEAD = "data:image/png;base64,"


def answer(service: Service, session: Session, asked: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Do what the page asks: "do" is draw, scribble, ready, show, file or picture. `folder` holds uploads.

    Returns "mask" and "png" (None where the page has it); or "masks", each with its "name"; or the "picture" of a
    style.

    Raises:
        ConfigError: it asks in another form, or for a picture or mask that is not held.
        ImageError: a picture cannot be read, or nothing is found in the photo.
    """
    if asked.get("do") == "file":
        return {"masks": _uploaded(service, session, asked, folder)}
    if asked.get("do") == "picture":  # large enough to paint on
        style = session.picture(_text(asked.get("of"))).as_content(SHOWN_SIDE)
        return {"picture": address(images.flatten(style).rgb)}
    act = ACTIONS.get(_text(asked.get("do")))
    if act is None:
        raise ConfigError(OUT_OF_DATE)
    mask, png = act(service, session, asked)
    service.sessions.make_room()
    return {"mask": mask, "png": png}


def _drawn(service: Service, session: Session, asked: Mapping[str, Any]) -> tuple[str, None]:
    plane = mask_of(_sent(service, asked.get("png")))
    return session.add_mask(hold_mask(plane, service.limits.max_size)).id, None


def _scribbled(service: Service, session: Session, asked: Mapping[str, Any]) -> tuple[str, str]:
    photo = _photo(service, session, asked)
    plane = scribbled(_sent(service, asked.get("png")), photo)
    return session.add_mask(hold_mask(plane, service.limits.max_size)).id, shown(plane)


def _ready(service: Service, session: Session, asked: Mapping[str, Any]) -> tuple[str, str]:
    return _shown(service, session, {**asked, "mask": f"{masks.PREFIX}{asked.get('kind')}"})


def _shown(service: Service, session: Session, asked: Mapping[str, Any]) -> tuple[str, str]:
    id = _text(asked.get("mask"))
    if not session.holds_mask(id):
        raise ConfigError(OUT_OF_DATE if id.startswith(masks.PREFIX) else "This mask is not kept here any more.")
    kind = kind_of(id)
    return id, shown(ready_made(kind, _photo(service, session, asked)) if kind else session.mask(id).plane)


def _uploaded(service: Service, session: Session, asked: Mapping[str, Any], folder: str) -> list[dict[str, str]]:
    name = public_name(asked.get("name"))
    try:
        picture = decode(take_upload(asked.get("path"), folder, service.limits), service.limits)
        held = take_masks(service, session, picture, name)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    return [{"mask": mask.id, "png": shown(mask.plane), "name": name} for name, mask in held]


def take_masks(service: Service, session: Session, picture: images.Picture, name: str) -> list[tuple[str, StoredMask]]:
    """Hold the masks of a picture, one of white on black or of what is visible, or one for each colour of a map.

    Returns them with their names: that of the file, or of the colour.

    Raises:
        ImageError: it is none of these.
    """
    found, stem, most = masks.of_picture(picture), Path(name).stem, service.limits.max_size
    if len(found) > 1:
        return [(part, session.add_mask(hold_mask(plane, most, f"{stem} {part}"))) for part, plane in found]
    ((_, plane),) = found
    as_it_is = np.array_equal(plane, mask_of(picture))  # then a command reads the same of the file
    mask = hold_mask(plane, most, stem, picture.content_hash if as_it_is else "")
    return [(stem, session.add_mask(mask))]


def _photo(service: Service, session: Session, asked: Mapping[str, Any]) -> images.Picture:
    return service.backend.content(session.picture(_text(asked.get("content"))), SHOWN_SIDE)


def _sent(service: Service, address: Any) -> images.Picture:
    """Read the address of a PNG.

    Raises:
        ConfigError: it is none.
        ImageError: the PNG is damaged or too large.
    """
    try:
        data = base64.b64decode(_text(address).removeprefix(HEAD), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(OUT_OF_DATE) from error
    return decode(data, service.limits)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(OUT_OF_DATE)
    return value


ACTIONS: Mapping[str, Callable[..., tuple[str, str | None]]] = {
    "draw": _drawn,
    "scribble": _scribbled,
    "ready": _ready,
    "show": _shown,
}
"""What the page asks for one mask, by the name of what is to be done."""
