"""Sample pictures that work offline: photos from scikit-image's package and styles drawn by this project.

Functions here take a sample's name. Wherever the package accepts a picture's path, ``sample:NAME`` works too.
"""

from __future__ import annotations

import difflib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wctstyle import images
from wctstyle.errors import ConfigError, ImageError
from wctstyle.files import replace_file

PREFIX = "sample:"

Kind = Literal["content", "style"]


@dataclass(frozen=True)
class _Sample:
    """One sample: its kind, its file, and a description with its licence."""

    kind: Kind
    file: str
    text: str


def _drawn(name: str, text: str) -> _Sample:
    return _Sample("style", f"{name}.jpg", f"{text}; drawn by this project's own program, MIT")


#: The photos are in scikit-image's wheel (checked with 0.26), and their docstrings in
#: skimage/data/_fetchers.py state the licences given here. Photos without a stated licence are left out.
_SAMPLES: dict[str, _Sample] = {
    "astronaut": _Sample("content", "astronaut.png", "Astronaut Eileen Collins; NASA, public domain"),
    "cat": _Sample("content", "chelsea.png", "Chelsea the cat; Stefan van der Walt, CC0"),
    "coffee": _Sample("content", "coffee.png", "A cup of coffee; Rachel Michetti, CC0"),
    "hubble": _Sample("content", "hubble_deep_field.jpg", "Hubble eXtreme Deep Field; NASA, public domain"),
    "photographer": _Sample("content", "camera.png", "A man with a camera, grey; Lav Varshney, CC0"),
    "rocket": _Sample("content", "rocket.jpg", "Falcon 9 lifting off; SpaceX, public domain"),
    "cubist-guitar": _drawn("cubist-guitar", "Still life in facets, ochre and slate"),
    "impasto-night": _drawn("impasto-night", "Night over a lake in thick curved strokes"),
    "ink-mountains": _drawn("ink-mountains", "Misty peaks and pines in ink wash, a red seal"),
    "marbling": _drawn("marbling", "Marbled paper, combed and stirred inks"),
    "mosaic-fish": _drawn("mosaic-fish", "Three fish in stone tesserae with a border"),
    "paper-cutouts": _drawn("paper-cutouts", "Seaweed leaves cut from bright painted paper"),
    "peacock": _drawn("peacock", "A peacock's train in green enamel and gold"),
    "pointillist-bay": _drawn("pointillist-bay", "Evening bay in dots of pure pigment"),
    "riso-desert": _drawn("riso-desert", "Desert dusk, three-ink halftone print"),
    "stained-glass": _drawn("stained-glass", "Sunrise and tulips in leaded glass"),
    "tapestry": _drawn("tapestry", "Woven kilim of medallions and deer"),
    "woodcut-wave": _drawn("woodcut-wave", "Breaking wave and rayed sun, black on cream woodcut"),
}


def names(kind: Kind) -> tuple[str, ...]:
    """List the names of the contents (photos) or of the styles (drawn), alphabetically.

    Raises:
        ConfigError: if `kind` is neither "content" nor "style".

    Example:
        >>> names("style")[:2]
        ('cubist-guitar', 'impasto-night')
    """
    if kind not in ("content", "style"):
        raise ConfigError(f"kind of sample: got {kind!r}, must be 'content' or 'style'; choose one of the two")
    return tuple(sorted(name for name, sample in _SAMPLES.items() if sample.kind == kind))


def path(name: str) -> Path:
    """Find the file of a sample: drawn styles are in this package, photos in the installed scikit-image.

    Raises:
        ConfigError: if no sample has the name; the message lists all samples and suggests the closest.
        ImageError: if the installed package lacks the file.

    Example:
        >>> path("marbling").name, path("cat").name
        ('marbling.jpg', 'chelsea.png')
    """
    sample = _sample(name)
    found = (_photos() if sample.kind == "content" else _styles()) / sample.file
    if not found.is_file():
        package = "scikit-image" if sample.kind == "content" else "wctstyle"
        raise ImageError(
            f"{PREFIX}{name}: the installed {package} has no {sample.file}, expected at {found}; reinstall {package}"
        )
    return found


def picture(name: str) -> images.Picture:
    """Load a sample with `images.load`; its source is ``sample:NAME``.

    Raises:
        ConfigError: if no sample has the name.
        ImageError: if its file is missing or damaged.

    Example:
        >>> picture("cat").rgb.shape
        (300, 451, 3)
    """
    loaded = images.load(path(name))
    return images.Picture(rgb=loaded.rgb, alpha=loaded.alpha, source=PREFIX + name)


def describe(name: str) -> str:
    """Describe in one line what a sample shows, who made it, and its licence.

    Raises:
        ConfigError: if no sample has the name.

    Example:
        >>> describe("coffee")
        'A cup of coffee; Rachel Michetti, CC0'
    """
    return _sample(name).text


def resolve(spec: str) -> str | Path:
    """Turn ``sample:NAME`` into the path of its file and return any other text unchanged.

    Raises:
        ConfigError: if the text begins with ``sample:`` and no sample has the name.
        ImageError: if the installed package lacks the file.

    Example:
        >>> resolve("sea.jpg")
        'sea.jpg'
    """
    return path(spec.removeprefix(PREFIX)) if spec.startswith(PREFIX) else spec


def export(folder: str | Path) -> tuple[Path, ...]:
    """Copy every sample to ``folder/content/NAME.*`` and ``folder/style/NAME.*``; return the new paths.

    Creates missing folders. Files of the same name are replaced atomically.

    Raises:
        ConfigError: if a folder or file cannot be written.
        ImageError: if the installed packages lack a file; nothing is written in that case.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     copies = export(folder)
        ...     len(copies) == len(names("content")) + len(names("style")), copies[0].relative_to(folder).as_posix()
        (True, 'content/astronaut.png')
    """
    sources = {name: path(name) for name in _SAMPLES}
    copies = []
    for name, source in sources.items():
        target = Path(folder) / _SAMPLES[name].kind / f"{name}{source.suffix}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, source.read_bytes())
        except OSError as error:
            raise ConfigError(
                f"{target}: the sample cannot be written ({error.strerror or error}); "
                "name a folder that can be written and has room"
            ) from error
        copies.append(target)
    return tuple(copies)


def _sample(name: str) -> _Sample:
    if name in _SAMPLES:
        return _SAMPLES[name]
    near = difflib.get_close_matches(name.lower(), _SAMPLES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(
        f"{PREFIX}{name}: no sample has this name; {hint}"
        f"contents: {', '.join(names('content'))}; styles: {', '.join(names('style'))}"
    )


def _photos() -> Path:
    """Find skimage/data without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ImageError("the sample photos come with scikit-image, which is not installed: pip install scikit-image")
    return Path(spec.submodule_search_locations[0]) / "data"


def _styles() -> Path:
    return Path(__file__).parent / "gallery"
