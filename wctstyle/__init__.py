"""Style transfer by whitening and colouring: any photo, any blend of paintings, one pass.

`import wctstyle` is quick: what needs JAX is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wctstyle import images, samples
    from wctstyle.codes import Result
    from wctstyle.errors import ConfigError, ImageError, NonFiniteError, WctStyleError, WeightsError
    from wctstyle.optimizer.run import Optimizer
    from wctstyle.recipe import Recipe
    from wctstyle.regions import Region, Style
    from wctstyle.settings import Settings
    from wctstyle.stylizer import Stylizer, stylize

__version__ = "1.0.0"

__all__ = [
    "ConfigError",
    "ImageError",
    "NonFiniteError",
    "Optimizer",
    "Recipe",
    "Region",
    "Result",
    "Settings",
    "Style",
    "Stylizer",
    "WctStyleError",
    "WeightsError",
    "images",
    "samples",
    "stylize",
]

_FROM = {
    "codes": ("Result",),
    "errors": ("ConfigError", "ImageError", "NonFiniteError", "WctStyleError", "WeightsError"),
    "images": (),
    "optimizer.run": ("Optimizer",),
    "recipe": ("Recipe",),
    "regions": ("Region", "Style"),
    "samples": (),
    "settings": ("Settings",),
    "stylizer": ("Stylizer", "stylize"),
}
"""Where each name is defined; a module without names is given itself."""


def __getattr__(name: str) -> Any:
    for module, names in _FROM.items():
        if name == module or name in names:
            found = importlib.import_module(f"{__name__}.{module}")
            value = found if name == module else getattr(found, name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
