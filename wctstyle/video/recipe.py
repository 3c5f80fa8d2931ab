"""The recipe of a video: that of a picture, and what only a video has."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from wctstyle import images, spelling
from wctstyle.errors import ConfigError, ImageError
from wctstyle.optimizer.settings import FRAME_STEPS, MAX_STEPS
from wctstyle.recipe import Recipe
from wctstyle.settings import checked_number, checked_whole
from wctstyle.sources import reading_recipe
from wctstyle.video import joining
from wctstyle.video.clips import Cut, pictures_in
from wctstyle.video.forms import CONTAINERS
from wctstyle.video.keyframes import parse_track

OPTIMIZED_BY = (
    "optimizer",
    "content_weight",
    "style_weight",
    "tv_weight",
    "content_layers",
    "style_layers",
    "statistic",
    "pooling",
)
"""Settings of the optimiser that `wctstyle video --optimize` has as options, beside those that the pass has too."""


@dataclass(frozen=True)
class VideoRecipe:
    """How a video was made.

    picture: what a frame has of a picture; numbers that change have their first value there. weights: keyframes of
    styles by their places; tracks: those of settings by name. fps: of a folder of frames, else None. steps: where the
    picture is optimised, those of a frame that follows another.
    """

    picture: Recipe
    calm: float
    cut: Cut = field(default_factory=Cut)
    fps: float | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    tracks: Mapping[str, str] = field(default_factory=dict)
    steps: int = FRAME_STEPS

    def to_json(self) -> dict[str, Any]:
        """Write it in JSON's types."""
        own = {"calm": self.calm, **asdict(self.cut), "fps": self.fps, "weights": self.weights, "tracks": self.tracks}
        if self.picture.optimisation:
            own["steps"] = self.steps
        return {**self.picture.to_json(), "video": own}

    @staticmethod
    def from_json(written: Mapping[str, Any], *, source: str) -> VideoRecipe:
        """Read what `to_json` wrote; it may come from a stranger's video.

        Raises:
            ConfigError: something is missing, has the wrong type or is out of range; it begins with `source`.
        """
        picture = Recipe.from_json(written, source=source)
        with reading_recipe(source):
            own = written["video"]
            end, fps = own["end"], own["fps"]
            cut = Cut(
                checked_number("start", own["start"], 0),
                None if end is None else checked_number("end", end, 0),
                own["every"],
            )
            weights = {place: str(parse_track(own["weights"][place], "weights")) for place in own["weights"]}
            tracks = {name: str(parse_track(own["tracks"][name], "tracks")) for name in own["tracks"]}
            if not {*weights} <= {*map(str, range(len(picture.styles)))} or not {*tracks} <= {"strength", "texture"}:
                raise ConfigError(f"keyframes of {[*weights, *tracks]}, which it does not have")
            calm = checked_number("calm", own["calm"], 0, 1)
            fps = None if fps is None else checked_number("fps", fps, 0)
            steps = checked_whole("steps", own.get("steps", FRAME_STEPS), 1, MAX_STEPS)
            return VideoRecipe(picture, calm, cut, fps, weights, tracks, steps)

    def command(self) -> str:
        """Write the command that makes the video, without its output."""
        words = shlex.split(self.picture.fast.command())
        words[1] = "video"
        styles = [at + 1 for at, word in enumerate(words) if word == "--style"]
        for place, text in self.weights.items():
            style = self.picture.styles[int(place)]
            words[styles[int(place)]] = f"{style.name}:{text}" + (f"@{style.region}" if style.region else "")
        for name, text in self.tracks.items():
            words[words.index(f"--{name}") + 1] = text
        words += ["--calm", str(self.calm)]
        if self.picture.optimisation:
            goal = self.picture.optimisation.settings
            words += ["--optimize", "--steps", str(self.steps), "--first-steps", str(goal.steps)]
            words += spelling.options({name: getattr(goal, name) for name in OPTIMIZED_BY})
        for name, value in {**asdict(self.cut), "fps": self.fps}.items():
            if value is not None and value != getattr(Cut, name, None):
                words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
        return shlex.join(words)


def read_recipe(file: str | BinaryIO) -> dict[str, Any] | None:
    """Read the recipe in a video or a picture; None if there is none."""
    if isinstance(file, str) and Path(file).suffix.lower() in CONTAINERS and Path(file).is_file():
        return joining.read_recipe(file)
    return images.read_recipe(file)


def hash_of(source: str) -> str:
    """Return the hex SHA-256 of a file's bytes; of a folder, of the names and bytes of its pictures in order."""
    digest = hashlib.sha256()
    path = Path(source)
    files = pictures_in(path) if path.is_dir() else [path]
    try:
        for file in files:
            if path.is_dir():
                digest.update(file.name.encode() + b"\0")
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
    except OSError as error:
        raise ImageError(f"{source}: cannot be read: {error.strerror or error}; check its permissions") from error
    return digest.hexdigest()
