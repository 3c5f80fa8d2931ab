"""Applying one change to a whole clip, as `lut apply` and `analogy` do: the file to write, and the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle.cli.console import warn
from wctstyle.cli.video_command import run_job, tell_made, video_target
from wctstyle.errors import ConfigError
from wctstyle.video.changing import Changer
from wctstyle.video.clips import Clip
from wctstyle.video.forms import CONTAINERS, Form, form_of
from wctstyle.video.job import VideoJob
from wctstyle.video.reading import open_clip
from wctstyle.video.work import work_folder


def is_clip(name: str) -> bool:
    """Tell whether a name is that of a video file."""
    return Path(name).suffix.lower() in CONTAINERS and not Path(name).is_dir()


@dataclass(frozen=True)
class ClipChange:
    """A clip that is to be changed, and where the result goes."""

    clip: Clip
    target: Path
    form: Form

    @staticmethod
    def planned(
        source: str, output: str | None, *, made: str, inputs: Sequence[str], max_pixels: int, overwrite: bool,
        size: int | None = None, quality: int | None = None, format: str | None = None,
    ) -> ClipChange:  # fmt: skip
        """Open a clip, and check that the result can be written. made: what errors call a result, as "graded".

        Raises:
            ConfigError: there is no output, or its format does not go with an option.
            ImageError: the clip cannot be read, or the target not be written.
        """
        if output is None:
            raise ConfigError(f"{source}: is a video; name the one to write, as -o {made}{Path(source).suffix}")
        clip = open_clip(source, size=size or 0, max_pixels=max_pixels)
        form, lost = form_of(output, codec=None, format=format, quality=quality, alpha=clip.has_alpha)
        target = video_target(output, form, [source, *inputs], resume=False, overwrite=overwrite)
        if lost:
            warn(f"-o {output}: {lost}")
        return ClipChange(clip, target, form)

    def run(
        self, made_of: Callable[[np.ndarray], np.ndarray], recipe: Mapping[str, Any], *, calm: float = 0.0,
        as_json: bool = False,
    ) -> None:  # fmt: skip
        """Change every frame by `made_of` (`Changer`), with a bar, and say where the result is.

        Ctrl-C leaves a file that plays up to there.

        Raises:
            KeyboardInterrupt: it was stopped.
        """
        job = VideoJob(self.clip, self.target, self.form, recipe)
        try:
            made = run_job(job, lambda: Changer(made_of, calm), overwrite=True, as_json=as_json)
        finally:
            shutil.rmtree(work_folder(self.target), ignore_errors=True)  # no run goes on with it
        tell_made(made, self.clip.source, self.target, as_json=as_json)
