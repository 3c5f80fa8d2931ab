"""Pictures that a restored recipe names and that are not here: they take their places when they are added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wctstyle.demo.composition import Blend, Composition
from wctstyle.demo.pictures import PictureKind, StoredPicture
from wctstyle.regions import REST
from wctstyle.sources import Source


@dataclass(frozen=True)
class AwaitedStyle:
    """A style that is missing: its region (`REST` for the rest), place there, hash, weight and mask of its part."""

    region: str
    place: int
    hash: str
    weight: float
    part: tuple[str, ...] = ()


@dataclass(frozen=True)
class Awaited:
    """What is missing of a restored recipe.

    content: hash of its photo, "" once that is here. masks: those that are missing, by id; until they come, empty ones
    are held for them. stand_ins: the styles on the page where none of the recipe's was here; they leave for the first
    that comes.
    """

    content: str = ""
    styles: tuple[AwaitedStyle, ...] = ()
    masks: Mapping[str, Source] = field(default_factory=dict)
    stand_ins: Blend = ()

    @property
    def hashes(self) -> list[str]:
        """Hashes of all pictures that are missing, the photo first."""
        return [hash for hash in (self.content, *(style.hash for style in self.styles)) if hash]

    def take_masks(self, content_hash: str) -> tuple[Awaited, dict[str, Source]]:
        """Return what is still awaited once a picture is here, and the masks that it is: several where it is a map."""
        taken = {id: source for id, source in self.masks.items() if content_hash and source.hash == content_hash}
        return replace(self, masks={id: own for id, own in self.masks.items() if id not in taken}), taken

    def take(
        self, picture: StoredPicture, shown: Composition, most: int
    ) -> tuple[Awaited, Composition, list[PictureKind]]:
        """Put a picture where it is awaited: photo, blends, or both.

        Returns what is still awaited, the composition, and which of "content" and "style" the picture became.
        """
        kinds: list[PictureKind] = []
        left = self
        if picture.content_hash and picture.content_hash == self.content:
            kinds.append("content")
            left, shown = replace(left, content=""), replace(shown, content=picture.id)
        for wanted in self.styles:
            others = tuple(style for style in left.styles if style != wanted)
            blend = shown.blends.get(wanted.region)
            if wanted.region == REST and left.stand_ins and blend is not None and self._same(blend):
                blend = ()
            if wanted.hash != picture.content_hash or not wanted.hash or blend is None or len(blend) >= most:
                continue
            at = wanted.place - sum(other.region == wanted.region and other.place < wanted.place for other in others)
            style = (picture.id, wanted.weight, *wanted.part)
            shown = shown.with_blend(wanted.region, (*blend[:at], style, *blend[at:]))
            left = replace(left, styles=others, stand_ins=() if wanted.region == REST else left.stand_ins)
            kinds.append("style")
        return left, shown, sorted(set(kinds))

    def _same(self, styles: Blend) -> bool:
        return [id for id, *_ in styles] == [id for id, *_ in self.stand_ins]
