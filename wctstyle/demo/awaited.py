"""Pictures that a restored recipe names and that are not here: they take their places when they are added."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wctstyle.demo.pictures import PictureKind, StoredPicture
from wctstyle.recipe import Recipe

Styles = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Awaited:
    """What is missing of a restored recipe.

    content: hash of its photo, "" once that is here. styles: place in the blend, hash and weight of each style that is
    missing. stand_ins: the styles on the page where none of the recipe's was here; they leave for the first that comes.
    """

    content: str = ""
    styles: tuple[tuple[int, str, float], ...] = ()
    stand_ins: Styles = ()

    @property
    def hashes(self) -> list[str]:
        """Hashes of all that is missing, the photo first."""
        return [hash for hash in (self.content, *(hash for _, hash, _ in self.styles)) if hash]

    @classmethod
    def of(cls, recipe: Recipe, has_content: bool, has_style: list[bool], most: float, stand_ins: Styles) -> Awaited:
        """List what a recipe lacks; `most` is what its weights are divided by."""
        styles = [
            (place, style.hash, style.weight / most)
            for place, (style, here) in enumerate(zip(recipe.styles, has_style, strict=True))
            if not here
        ]
        return cls("" if has_content else recipe.content.hash, tuple(styles), stand_ins)

    def take(
        self, picture: StoredPicture, content: str, styles: Styles, most: int
    ) -> tuple[Awaited, str, Styles, list[PictureKind]]:
        """Put a picture where it is awaited: photo, blend, or both.

        Returns what is still awaited, the photo, the blend, and which of "content" and "style" the picture became.
        """
        kinds: list[PictureKind] = []
        left = self
        if picture.content_hash and picture.content_hash == self.content:
            kinds.append("content")
            left, content = replace(left, content=""), picture.id
        for place, hash, weight in self.styles:
            others = [style for style in left.styles if style != (place, hash, weight)]
            blend = () if left.stand_ins and self._same(styles) else styles
            if hash != picture.content_hash or not hash or len(blend) >= most:
                continue
            at = place - sum(other < place for other, _, _ in others)
            styles = (*blend[:at], (picture.id, weight), *blend[at:])
            left = replace(left, styles=tuple(others), stand_ins=())
            kinds.append("style")
        return left, content, styles, sorted(set(kinds))

    def _same(self, styles: Styles) -> bool:
        return [id for id, _ in styles] == [id for id, _ in self.stand_ins]
