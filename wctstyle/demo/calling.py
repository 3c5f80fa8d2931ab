"""The pictures, masks and regions of a call of the API, taken into its session."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wctstyle import masks, samples
from wctstyle.demo.actions import Service
from wctstyle.demo.calls import Picture, RegionPart
from wctstyle.demo.composition import Composition, compose
from wctstyle.demo.masking import hold_mask
from wctstyle.demo.pictures import decode, public_name, take_upload
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpec
from wctstyle.regions import mask_of

DIALS = tuple(field.name for field in dataclasses.fields(RegionSpec))


@dataclasses.dataclass(frozen=True)
class Taker:
    """Takes what a call names. `upload_folder` holds uploads."""

    service: Service
    upload_folder: str

    def read(self, picture: dict) -> bytes:
        """Read an upload. Equal files share one path in Gradio, so it is left to other calls, and to the sweep."""
        return take_upload(picture.get("path"), self.upload_folder, self.service.limits, keep=True)

    def picture(self, session: Session, given: Picture) -> str:
        """Return the id of a sample, or of an upload that the session holds from now on."""
        if isinstance(given, str):
            if not given.startswith(samples.PREFIX):
                raise ConfigError(f"a picture is an uploaded file or sample:NAME, got {public_name(given)!r}")
            return session.picture(given).id
        picture = decode(self.read(given), self.service.limits)
        return session.add(picture, public_name(given.get("orig_name"))).id

    def mask(self, session: Session, given: Picture) -> str:
        """Return the id of a ready-made mask, or of an upload that the session holds from now on."""
        if isinstance(given, str):
            if not given.startswith(masks.PREFIX):
                raise ConfigError(f"a mask is an uploaded file or {masks.PREFIX}KIND, got {public_name(given)!r}")
            return masks.PREFIX + masks.checked_kind(given.removeprefix(masks.PREFIX))
        picture = decode(self.read(given), self.service.limits)
        name = Path(public_name(given.get("orig_name"))).stem
        return session.add_mask(
            hold_mask(mask_of(picture), self.service.limits.max_size, name, picture.content_hash)
        ).id

    def blend(
        self,
        session: Session,
        styles: Sequence[Picture],
        weights: Sequence[float] | None,
        parts: Sequence[dict | None] | None,
    ) -> list[list[Any]]:
        """Return styles as a palette has them. weights: equal if left out; parts: masks of styles."""
        weights = [1.0] * len(styles) if weights is None else weights
        parts = [None] * len(styles) if parts is None else parts
        for name, what, values in (("weights", "numbers", weights), ("style_masks", "files or null", parts)):
            if len(values) != len(styles):
                raise ConfigError(f"{name} must be a list of as many {what} as there are styles ({len(styles)})")
        return [
            [self.picture(session, style), weight, *([] if part is None else [self.mask(session, part)])]
            for style, weight, part in zip(styles, weights, parts, strict=True)
        ]

    def composition(
        self,
        session: Session,
        content: Picture,
        styles: Sequence[Picture],
        weights: Sequence[float] | None,
        *,
        style_masks: Sequence[dict | None] | None,
        regions: Sequence[RegionPart] | None = None,
        feather: float = 0.0,
        **dials: Any,
    ) -> Composition:
        """Make the composition of a call.

        Raises:
            WctStyleError: something of it makes no sense, or a picture cannot be read.
        """
        most = self.service.limits.styles
        if len(styles) > most or not (styles or regions):
            raise ConfigError(f"styles must be a list of 1 to {most} pictures; with regions it may be empty")
        palette = {
            "content": self.picture(session, content),
            "styles": self.blend(session, styles, weights, style_masks),
            "regions": [self._region(session, at, part) for at, part in enumerate(regions or ())],
            "feather": feather,
        }
        return self._composed(palette, dials)

    def photo(self, session: Session, content: Picture, dials: Mapping[str, Any]) -> Composition:
        """Make the composition of a call that takes no styles.

        Raises:
            WctStyleError: something of it makes no sense, or the picture cannot be read.
        """
        palette = {"content": self.picture(session, content), "styles": [], "regions": [], "feather": 0.0}
        return self._composed(palette, dials)

    def _composed(self, palette: dict[str, Any], dials: Mapping[str, Any]) -> Composition:
        model = self.service.backend.model if dials["model"] is None else dials["model"]
        return compose(self.service.limits, palette, **{**dials, "model": model})

    def _region(self, session: Session, at: int, part: RegionPart) -> dict[str, Any]:
        try:
            return {
                "name": f"Region {at + 1}" if part["name"] is None else part["name"],
                "mask": self.mask(session, part["mask"]),
                "styles": self.blend(session, part["styles"] or [], part["weights"], part["style_masks"]),
                "dials": {name: part[name] for name in DIALS},
            }
        except ConfigError as error:
            raise ConfigError(f"regions[{at}]: {error}") from error
