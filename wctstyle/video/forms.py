"""What a target can hold: its container, its codec, and how a quality becomes an encoder's own number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from wctstyle import images
from wctstyle.errors import ConfigError, ImageError
from wctstyle.images.animations import KINDS as ANIMATIONS

DEFAULT_QUALITY = 75
"""For videos: hard to tell from the painted frames by eye, at a few megabits per second."""

CodecName = Literal["h264", "h265", "vp9", "av1", "prores"]


@dataclass(frozen=True)
class Codec:
    """An encoder: its pixel formats without and with opacity, the CRF at quality 100 and 1, and its options."""

    encoder: str
    pixels: str
    transparent: str | None = None
    crf: tuple[float, float] | None = None
    options: tuple[tuple[str, str], ...] = ()

    def settings(self, quality: int) -> dict[str, str]:
        """Return the options of the encoder for a quality."""
        options = dict(self.options)
        if self.crf is not None:
            best, worst = self.crf
            options["crf"] = str(round(best + (100 - quality) / 99 * (worst - best)))
        return options


def _has_avx512() -> bool:
    """Say whether this processor has AVX-512, by what NumPy found; its names for that have changed."""
    known = np.show_config(mode="dicts").get("SIMD Extensions", {})
    names = [*known.get("baseline", ()), *known.get("found", ())]
    return any(name.startswith("AVX512") or name == "X86_V4" for name in names)


STEADY_X264 = (("x264-params", "asm=avx2"),) if _has_avx512() else ()
"""What keeps x264 (core 165) from its code for AVX-512. Where blocks are weighed by what refers to them (mbtree), that
reads memory which was never written: equal frames became other bytes now and then (docs/notes/faults.md)."""

#: CRF ranges by eye and by each encoder's own advice: quality 75 is 18 in H.264, which is called visually lossless.
CODECS: dict[CodecName, Codec] = {
    "h264": Codec("libx264", "yuv420p", crf=(10, 40), options=(("preset", "medium"), *STEADY_X264)),
    "h265": Codec("libx265", "yuv420p", crf=(12, 42), options=(("preset", "medium"), ("x265-params", "log-level=0"))),
    "vp9": Codec("libvpx-vp9", "yuv420p", "yuva420p", (18, 55), (("b", "0"), ("deadline", "good"), ("cpu-used", "4"))),
    "av1": Codec("libsvtav1", "yuv420p", crf=(18, 58), options=(("preset", "8"),)),
    "prores": Codec("prores_ks", "yuv422p10le", "yuva444p10le", options=(("vendor", "apl0"),)),
}

#: Container formats by suffix, with the codecs that players expect in them; the first is the default.
CONTAINERS: dict[str, tuple[str, tuple[CodecName, ...]]] = {
    ".mp4": ("mp4", ("h264", "h265", "av1", "vp9")),
    ".m4v": ("mp4", ("h264", "h265")),
    ".mov": ("mov", ("h264", "h265", "prores")),
    ".mkv": ("matroska", ("h264", "h265", "vp9", "av1", "prores")),
    ".webm": ("webm", ("vp9", "av1")),
}


@dataclass(frozen=True)
class Form:
    """What is written. container: a format of FFmpeg's, "animation" or "folder". codec: of `CODECS`, None for pictures.

    suffix: of the file, or of the frames in a folder. alpha: it holds opacity; a stream has it in all frames then.
    """

    container: str
    codec: CodecName | None
    suffix: str
    quality: int
    alpha: bool

    @property
    def is_video(self) -> bool:
        """Whether it is a stream of video, not pictures."""
        return self.codec is not None


def form_of(
    out: str, *, codec: CodecName | None, format: str | None, quality: int | None, alpha: bool
) -> tuple[Form, str]:
    """Choose what a target holds by its suffix, a folder where it has none; with a note of what is lost, or "".

    Raises:
        ConfigError: the codec is unknown or does not go into the container, or a choice is out of place.
        ImageError: no video has that suffix.
    """
    path = Path(out)
    suffix = path.suffix.lower()
    if quality is not None:
        images.check_quality(quality)
    if out.endswith("/") or path.is_dir() or not suffix:
        if codec is not None:
            raise ConfigError(f"--codec {codec}: is for video files, and {out} is a folder of frames; leave it out")
        own = format or "png"
        lost = "transparency is laid over white in JPEG; use --format png to keep it" if own == "jpg" and alpha else ""
        return Form("folder", None, f".{own}", quality or images.DEFAULT_QUALITY, own != "jpg"), lost
    if format is not None:
        raise ConfigError(f"--format {format}: is for folders of frames, {out} is a file; leave it out")
    if suffix in ANIMATIONS:
        if codec is not None:
            raise ConfigError(f"--codec {codec}: is for video files, {suffix} has its own; leave it out")
        return Form("animation", None, suffix, quality or images.DEFAULT_QUALITY, True), ""
    if suffix not in CONTAINERS:
        known = ", ".join([*CONTAINERS, *ANIMATIONS])
        raise ImageError(f"-o {out}: no video has the suffix {suffix}; use one of {known}, or a folder for frames")
    container, codecs = CONTAINERS[suffix]
    chosen = codec or codecs[0]
    if chosen not in codecs:
        raise ConfigError(f"--codec {chosen}: does not go into {suffix}; use one of {', '.join(codecs)}")
    keeps = alpha and CODECS[chosen].transparent is not None
    lost = (
        f"{chosen} in {suffix} has no transparency, so the frames are laid over white; use .webm, .gif, .png, or .mov "
        "with --codec prores to keep it"
        if alpha and not keeps
        else ""
    )
    return Form(container, chosen, suffix, quality or DEFAULT_QUALITY, keeps), lost
