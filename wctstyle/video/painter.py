"""Painting the frames of a video one by one, with what they share: styles, plans, faces, the texture's noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.codes import ContentCode, Part, StyleCode
from wctstyle.faces import face_map
from wctstyle.grading import graded_photo
from wctstyle.look import small_sides
from wctstyle.measuring import texture_of
from wctstyle.moments import Affine, Moments, mixture
from wctstyle.plan import Plan
from wctstyle.regions import Region, is_painted, shares, weighted_styles
from wctstyle.settings import DEFAULT_CALM, Settings
from wctstyle.sizes import pad_to_family
from wctstyle.texture import textured
from wctstyle.video.carrying import Places, carried_places, noise_at, own_places
from wctstyle.video.flow import Flow, warped
from wctstyle.video.frames import Frame

if TYPE_CHECKING:
    from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

REMEMBERED = 0.5
"""Time constant in seconds with which a shot's moments forget what they were, so that colours do not wander."""

OTHER = 0.15
"""Distance of a frame's moments from its shot's (`apart`) from which they alone count. Neighbours are 0.03 to 0.05
apart in slow clips, up to 0.8 where a pan or smoke changes what is seen; older moments leave dull paint there."""

PLANNED_EVERY = 4
"""Frames that share a plan. Planning takes as long as a ninth of a pass."""

RENEWED = 0.5
"""(distance / `OTHER`)^2 from which the plan is made anew at once."""

SOUGHT_EVERY = 6
"""Frames after which faces are sought again; between, their map is carried along."""

SLOWEST = 1.0
"""Time constant in seconds with which the colours of a shot follow its maps at calm 1, where a photo stays a photo."""

FACES_KEPT = 0.5
"""Share of the carried map of faces in what is used when they are sought again: one miss does not make them blink."""


def apart(one: Moments, other: Moments) -> float:
    """Return (|m - m'|^2 + |S - S'|) / |S'|, with Frobenius norms, as `plan.likeness` does."""
    mean, covariance = np.subtract(one.mean, other.mean), np.subtract(one.covariance, other.covariance)
    return float((mean @ mean + np.linalg.norm(covariance)) / (np.linalg.norm(other.covariance) + 1e-12))


@dataclass
class Shot:
    """What the frames of a shot share. All of it is arrays or numbers, so that it can be saved."""

    first: Rgb
    """The first photo, whose colours styles get with the colours "match"."""
    places: Places
    """Which place of the texture's field each pixel takes."""
    seconds: float
    """When the last frame is shown."""
    count: int = 0
    """Frames painted."""
    pooled: Moments | None = None
    """Moments of the photos up to now; the newest weigh most."""
    plan: Plan | None = None
    """The plan of the last frames, where there are no masks."""
    planned_for: str = ""
    """The styles of that plan, with their weights."""
    faces: Float[np.ndarray, "h w"] | None = None
    maps: Float[np.ndarray, "r h w 3 4"] | None = None
    """Where a photo stays a photo: the maps of the regions (`photoreal.LocalAffine`) as they were last planned."""
    calm_maps: Float[np.ndarray, "r h w 3 4"] | None = None
    """Those maps smoothed over time."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays by name."""
        found: dict[str, Any] = {"first": self.first, "places": self.places, "faces": self.faces}
        found |= {"maps": self.maps, "calm_maps": self.calm_maps}
        found |= {"seconds": self.seconds, "count": self.count, "planned_for": self.planned_for}
        if self.pooled is not None:
            found |= {f"pooled_{name}": part for name, part in self.pooled._asdict().items()}
        if self.plan is not None:
            found |= {f"affine_{name}": part for name, part in self.plan.affine._asdict().items()}
            found |= {f"palette_{name}": part for name, part in self.plan.palette._asdict().items()}
            found["likeness"] = self.plan.likeness
        return {name: np.asarray(part) for name, part in found.items() if part is not None}


def shot_of(arrays: Mapping[str, np.ndarray]) -> Shot:
    """Return the shot that `Shot.arrays` saved."""

    def put_together(kind: Callable[..., Any], name: str) -> Any:
        parts = {key.removeprefix(name): part for key, part in arrays.items() if key.startswith(name)}
        return jax.device_put(kind(**parts)) if parts else None

    affine = put_together(Affine, "affine_")
    plan = None
    if affine is not None:
        plan = Plan(affine, put_together(Affine, "palette_"), jax.device_put(arrays["likeness"]))
    return Shot(
        arrays["first"],
        arrays["places"],
        float(arrays["seconds"]),
        int(arrays["count"]),
        put_together(Moments, "pooled_"),
        plan,
        str(arrays["planned_for"]),
        arrays.get("faces"),
        arrays.get("maps"),
        arrays.get("calm_maps"),
    )


def _named(styles: Sequence[tuple[StyleCode, float]]) -> str:
    """Tell styles with their weights from others."""
    return ";".join(f"{code.key}={weight}" for code, weight in styles)


def _codes(region: Region) -> list[tuple[StyleCode, float]]:
    """Return the measured styles of a region."""
    return [(style.picture, weight) for style, weight in weighted_styles(region.styles)]


def stays_photo(frame: Frame, regions: Sequence[Region], settings: Settings) -> bool:
    """Tell whether a frame gets the maps of its shot; others with `Settings.photo` are made each by itself."""
    by_itself = frame.alpha is not None or any(region.colors_in(settings) == "only" for region in regions)
    return settings.photo and settings.strength > 0 and not by_itself


class Painter:
    """Paints frames in one pass; those larger than `look`, with transparency or refined as `Stylizer.stylize` does.

    Where a photo stays a photo (`Settings.photo`), its maps are planned every few frames and smoothed over time, the
    more the higher `calm`.
    """

    def __init__(self, stylizer: Stylizer, calm: float = DEFAULT_CALM) -> None:
        self._stylizer, self.calm = stylizer, calm
        self.shot: Shot | None = None

    @property
    def faces(self) -> Float[np.ndarray, "h w"] | None:
        """Where faces are in the last frame; None where there are none or they are not tracked."""
        return None if self.shot is None else self.shot.faces

    def paint(self, frame: Frame, regions: Sequence[Region], settings: Settings, flow: Flow | None) -> Rgb:
        """Paint the next frame; without a `flow` from the one before it begins a shot."""
        photo = frame.rgb
        if flow is None or self.shot is None:
            self.shot, flow = Shot(photo, own_places(*photo.shape[:2]), frame.seconds), None
        shot = self.shot
        regions = self.matched(regions, settings)
        recolored = any(region.colors_in(settings) == "only" for region in regions)
        by_itself = recolored or frame.alpha is not None or settings.refine
        if stays_photo(frame, regions, settings):
            result = self._graded(shot, frame, regions, settings)
        elif by_itself or not settings.strength or small_sides(photo.shape, settings.look):
            content = photo if frame.alpha is None else images.Picture(photo, frame.alpha)
            result = self._stylizer.stylize(content, regions, settings).image
        else:
            result = self._at_once(shot, frame, regions, settings, flow)
        shot.count, shot.seconds = shot.count + 1, frame.seconds
        return result

    def _graded(self, shot: Shot, frame: Frame, regions: Sequence[Region], settings: Settings) -> Rgb:
        """Map the colours of a frame by the maps of its shot."""
        painted = [region for region in regions if is_painted(region)]
        named = (f"{settings.strength * region.strength}:{_named(_codes(region))}" for region in painted)
        wanted = "|".join([settings.transform, settings.blend, *named])
        if shot.maps is None or shot.planned_for != wanted or not shot.count % PLANNED_EVERY:
            found = self._stylizer.local_maps(frame.rgb, regions, settings) if painted else []
            shot.maps, shot.planned_for = np.array([local.planes for local in found], np.float32), wanted
        if shot.calm_maps is None or shot.calm_maps.shape != shot.maps.shape:
            shot.calm_maps = shot.maps
        else:
            passed = max(frame.seconds - shot.seconds, 0.0)
            share = 1 - math.exp(-passed / (SLOWEST * self.calm)) if self.calm else 1.0
            shot.calm_maps = shot.calm_maps + np.float32(share) * (shot.maps - shot.calm_maps)
        return graded_photo(frame.rgb, shot.calm_maps, regions, settings)

    def matched(self, regions: Sequence[Region], settings: Settings) -> list[Region]:
        """Give styles with the colours "match" those of the shot's first photo."""
        if self.shot is None or all(region.colors_in(settings) != "match" for region in regions):
            return [*regions]
        matched = self._stylizer.matched(regions, self.shot.first, settings)
        return [replace(r, colors="style") if r.colors_in(settings) == "match" else r for r in matched]

    def _at_once(
        self, shot: Shot, frame: Frame, regions: Sequence[Region], settings: Settings, flow: Flow | None
    ) -> Rgb:
        code = self._encoded(shot, frame.rgb, regions, settings, flow)
        if settings.keep_faces:
            self._track(shot, frame.rgb, flow)
            faces = shot.faces
            code = replace(code, find_faces=lambda photo: faces)
        self._pool(shot, code.moments, frame.seconds)
        parts = []
        for region, share in zip(regions, shares(regions, code.height, code.width), strict=True):
            if not is_painted(region):
                continue
            spread = None if share is None else code.padded(share)[None, :, :, None]
            plan = self._plan(shot, code, _codes(region), settings, spread)
            parts.append(Part(plan, spread, region.dials))
        return self._stylizer.render(code, parts, settings) if parts else frame.rgb.copy()

    def _encoded(
        self, shot: Shot, photo: Rgb, regions: Sequence[Region], settings: Settings, flow: Flow | None
    ) -> ContentCode:
        """Encode a photo with texture that goes along with what it shows."""
        if flow is not None:
            shot.places = carried_places(shot.places, flow)
        height, width = photo.shape[:2]
        amount = texture_of(regions, height, width, settings)
        if not amount:
            return self._stylizer.content(photo, texture=0.0)
        code = self._stylizer.content(textured(photo, amount, noise_at(shot.places)), texture=0.0)
        return replace(code, pixels=pad_to_family(photo), texture=amount)

    def _track(self, shot: Shot, photo: Rgb, flow: Flow | None) -> None:
        """Bring the map of faces to this frame, and seek faces now and then."""
        if flow is not None and shot.faces is not None:
            shot.faces = warped(shot.faces, flow.vectors)
        if shot.count % SOUGHT_EVERY:
            return
        found, carried = face_map(photo), shot.faces
        if shot.count and (found is not None or carried is not None):
            nowhere = np.zeros(photo.shape[:2], np.float32)
            found = nowhere if found is None else found
            carried = nowhere if carried is None else carried
            found = found + np.float32(FACES_KEPT) * (carried - found)
        shot.faces = found if found is None or found.max() > 1 / 255 else None

    def _pool(self, shot: Shot, moments: Moments, seconds: float) -> None:
        """Add a frame's moments to its shot's: the mean of all at first, then one that forgets."""
        own = jax.device_get(moments)
        if shot.pooled is None:
            shot.pooled = own
            return
        forgotten = 1 - math.exp(-max(seconds - shot.seconds, 0.0) / REMEMBERED)
        other = min((apart(own, shot.pooled) / OTHER) ** 2, 1.0)
        weight = max(1 / (shot.count + 1), forgotten, other)
        shot.pooled = Moments(own.count, *jax.device_get(mixture([shot.pooled, own], [1 - weight, weight])[1:]))
        if other > RENEWED:
            shot.planned_for = ""

    def _plan(
        self,
        shot: Shot,
        code: ContentCode,
        styles: Sequence[tuple[StyleCode, float]],
        settings: Settings,
        share: Float[np.ndarray, "1 H W 1"] | None,
    ) -> Plan:
        """Plan a region by what is in it now; the whole by the shot's moments, every few frames or for new styles."""
        wanted = ";".join([settings.transform, settings.blend, _named(styles)])
        if share is None and shot.plan is not None and shot.planned_for == wanted and shot.count % PLANNED_EVERY:
            return shot.plan
        target = self._stylizer.target(styles, kind=settings.blend)
        assert target is not None
        if share is not None:
            return self._stylizer.plan(code, target, transform=settings.transform, share=share)
        assert shot.pooled is not None
        pooled = replace(code, moments=shot.pooled)
        shot.plan, shot.planned_for = self._stylizer.plan(pooled, target, transform=settings.transform), wanted
        return shot.plan
