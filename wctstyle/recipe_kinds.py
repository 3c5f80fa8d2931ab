"""Recipes of dreams, textures and analogies, which are told from those of pictures by a key of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wctstyle.analogies.recipe import KEY as ANALOGY
from wctstyle.analogies.recipe import AnalogyRecipe
from wctstyle.dreams.recipe import KEY as DREAM
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.textures.recipe import KEY as TEXTURE
from wctstyle.textures.recipe import TextureRecipe

KINDS = {DREAM: DreamRecipe, TEXTURE: TextureRecipe, ANALOGY: AnalogyRecipe}


def kind_of(written: Mapping[str, Any]) -> type[DreamRecipe | TextureRecipe | AnalogyRecipe] | None:
    """Return which of these recipes is written, None if it is another's."""
    return next((kind for key, kind in KINDS.items() if key in written), None)
