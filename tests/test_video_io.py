"""Videos in and out: odd files made here, what is written, sound, and runs that are stopped and go on."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from wctstyle import cli, images
from wctstyle.errors import ConfigError, ImageError
from wctstyle.sources import Source, StyleSource
from wctstyle.video import forms, recipe, work
from wctstyle.video.clips import Cut, seconds_of
from wctstyle.video.forms import CODECS, CONTAINERS, form_of
from wctstyle.video.job import VideoJob
from wctstyle.video.reading import open_clip

av = pytest.importorskip("av", reason="videos need PyAV: pip install 'wctstyle[video]'")

ORANGE = (0.9, 0.6, 0.1)
CLOSE = 4 / 255
"""What encoders may change of plain colours."""


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    from narrow import quick_compilation  # here, as a process that reads this module needs no JAX

    with quick_compilation():
        yield


# ------------------------------------------------------------------------------------------------------ files made here


def level(index: int) -> float:
    """The grey of the n-th frame, by which it is known again."""
    return (20 + 12 * (index % 16)) / 255


def grey(index: int, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), level(index), np.float32)


def yuv(rgb: Sequence[float], kr: float, kb: float, *, full: bool, bits: int = 8) -> list[int]:
    """A colour by the definition of Y'CbCr (ITU-R BT.601, BT.709, BT.2020)."""
    r, g, b = rgb
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr, top, by = (b - y) / 2 / (1 - kb), (r - y) / 2 / (1 - kr), 2**bits - 1, 2 ** (bits - 8)
    if full:
        return [round(y * top), round(cb * top) + 128 * by, round(cr * top) + 128 * by]
    return [round((219 * y + 16) * by), round((224 * cb + 128) * by), round((224 * cr + 128) * by)]


def plain(values: Sequence[int], format: str, height: int, width: int) -> Any:
    """A frame of one colour, by the values of its planes."""
    frame = av.VideoFrame(width, height, format)
    for plane, value in zip(frame.planes, values, strict=True):
        kind = np.uint16 if "10" in format or "12" in format else np.uint8
        plane.update(np.full(plane.buffer_size // kind().itemsize, value, kind).tobytes())
    return frame


def write(
    path: Path,
    frames: Sequence[Any],
    *,
    codec: str = "libx264",
    format: str = "yuv420p",
    times: Sequence[float] | None = None,
    tags: Sequence[int] = (1, 1, 1, 1),
    change: Callable[[Any], None] = lambda stream: None,
    sound: Sequence[str] = (),
    tone: float | None = None,
    box: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Encode arrays or frames; `tags`: range, matrix, primaries, transfer. `sound`: codecs of tracks of tones."""
    with av.open(str(path), "w", container_options=box or {}) as out:
        stream = out.add_stream(codec, rate=25, options=options)
        tracks = [out.add_stream(name, rate=48000, layout="mono") for name in sound]
        for language, track in zip(("eng", "deu"), tracks, strict=False):
            track.metadata["language"] = language
        context = stream.codec_context
        first = frames[0]
        height, width = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
        context.width, context.height, context.pix_fmt = width, height, format
        context.time_base = Fraction(1, 1000)
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
        change(stream)
        for index, frame in enumerate(frames):
            if isinstance(frame, np.ndarray):
                kind = "rgba" if frame.shape[2] == 4 else "rgb24"
                frame = av.VideoFrame.from_ndarray(np.rint(frame * 255).astype(np.uint8), format=kind)
                frame = frame.reformat(
                    format=format, src_colorspace=1, dst_colorspace=1, src_color_range=2, dst_color_range=1
                )
            frame.pts = round(1000 * (times[index] if times else index / 25))
            frame.time_base = Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for pitch, track in enumerate(tracks, 1):
            beep(out, track, tone or (times[-1] + 0.1 if times else len(frames) / 25), pitch)
    return path


def beep(box: Any, track: Any, seconds: float, pitch: int) -> None:
    """A tone that is silent but in the second half of each second."""
    at = np.arange(round(48000 * seconds)) / 48000
    wave = np.sin(2 * np.pi * 440 * pitch * at) * (at % 1 >= 0.5) * 0.5
    frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 48000, 0
    box.mux(track.encode(frame))
    box.mux(track.encode(None))


def greys(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    return [grey(index, height, width) for index in range(count)]


def half_clear(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A grey whose upper half is clear."""
    frame = np.dstack([grey(index, height, width), np.ones((height, width), np.float32)])
    frame[: height // 2, :, 3] = 0
    return frame


def animated(path: Path, count: int = 3) -> Path:
    pictures = [Image.fromarray(np.rint(half_clear(index) * 255).astype(np.uint8)) for index in range(count)]
    times = [50 * (index + 1) for index in range(count)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=times, loop=0, disposal=2, lossless=True)
    return path


def frames_of(path: object, **options: Any) -> list[Any]:
    return [frame for frame, _ in open_clip(str(path), **options).frames()]


def indices(frames: Sequence[Any]) -> list[int]:
    """Which grey each frame has, by its middle."""
    means = [frame.rgb[frame.rgb.shape[0] * 3 // 4, frame.rgb.shape[1] // 2].mean() for frame in frames]
    return [round((255 * mean - 20) / 12) for mean in means]


# -------------------------------------------------------------------------------------------------------------- reading


def _turned(degrees: float) -> Callable[[Any], None]:
    return lambda stream: stream.set_display_rotation(degrees)


def _even(stream: Any) -> None:
    stream.codec_context.time_base = Fraction(1, 25)  # of AVI, which has no times


def _corner(height: int = 48, width: int = 64) -> np.ndarray:
    """White in the upper left quarter."""
    frame = np.zeros((height, width, 3), np.float32)
    frame[: height // 2, : width // 2] = 1
    return frame


def _interlaced(path: Path) -> Path:
    options = {"x264-params": "tff=1"}
    return write(path, greys(3), flags="+ildct", **options)


ODD: dict[str, tuple[Callable[[Path], Path], tuple[int, int], int]] = {
    "one-frame.mp4": (lambda path: write(path, greys(1)), (48, 64), 1),
    "no-sound.mkv": (lambda path: write(path, greys(5)), (48, 64), 5),
    "two-tracks.mp4": (lambda path: write(path, greys(5), sound=("aac", "aac")), (48, 64), 5),
    "odd-sides.webm": (lambda path: write(path, greys(3, 47, 63), codec="libvpx-vp9"), (47, 63), 3),
    "mpeg-ts.ts": (lambda path: write(path, greys(5), sound=("aac",)), (48, 64), 5),
    "raw.h264": (lambda path: write(path, greys(5)), (48, 64), 5),
    "old.avi": (lambda path: write(path, greys(5), codec="mpeg4", change=_even), (48, 64), 5),
    "ten-bits.mkv": (lambda path: write(path, greys(3), format="yuv420p10le"), (48, 64), 3),
    "lossless.mkv": (lambda path: write(path, greys(3), codec="ffv1", format="yuv444p"), (48, 64), 3),
    "hevc.mov": (lambda path: write(path, greys(3), codec="libx265", **{"x265-params": "log-level=0"}), (48, 64), 3),
    "quarter.mp4": (lambda path: write(path, greys(3), change=_turned(90)), (64, 48), 3),
    "half.mp4": (lambda path: write(path, greys(3), change=_turned(180)), (48, 64), 3),
    "wide-pixels.mkv": (
        lambda path: write(path, greys(3), change=lambda s: setattr(s, "sample_aspect_ratio", Fraction(3, 2))),
        (48, 96),
        3,
    ),
    "interlaced.mkv": (_interlaced, (48, 64), 3),
    "moving.gif": (animated, (48, 64), 3),
    "moving.png": (animated, (48, 64), 3),
    "moving.webp": (animated, (48, 64), 3),
    "still.png": (lambda path: animated(path, 1), (48, 64), 1),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read(name: str, tmp_path: Path) -> None:
    make, sides, count = ODD[name]
    clip = open_clip(str(make(tmp_path / name)))
    frames = [frame for frame, _ in clip.frames()]
    assert (clip.height, clip.width) == sides
    assert {frame.rgb.shape for frame in frames} == {(*sides, 3)}
    assert indices(frames) == list(range(count))
    assert [frame.index for frame in frames] == list(range(count))
    assert frames[0].seconds == pytest.approx(0, abs=0.05)
    if not name.endswith((".ts", ".h264")):  # which do not say
        assert clip.total == count
    assert any("interlaced" in note for note in clip.notes) == name.startswith("interlaced")


@pytest.mark.parametrize(("degrees", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1)), (270, (0, 1))])
def test_frames_are_upright(degrees: int, corner: tuple[int, int], tmp_path: Path) -> None:
    """PyAV turns counterclockwise."""
    (frame,) = frames_of(write(tmp_path / "turned.mp4", [_corner()], change=_turned(degrees)))
    height, width, _ = frame.rgb.shape
    quarters = frame.rgb[height // 4 :: height // 2, width // 4 :: width // 2, 0][:2, :2]
    assert np.unravel_index(np.argmax(quarters), (2, 2)) == corner


MATRICES = {"bt601": (5, 0.299, 0.114), "bt709": (1, 0.2126, 0.0722), "bt2020": (9, 0.2627, 0.0593)}


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("matrix", MATRICES)
def test_colors_are_those_that_were_written(matrix: str, bits: int, full: bool, tmp_path: Path) -> None:
    code, kr, kb = MATRICES[matrix]
    format = "yuv444p" if bits == 8 else "yuv444p10le"
    for color in (ORANGE, (1.0, 1.0, 1.0)):
        frame = plain(yuv(color, kr, kb, full=full, bits=bits), format, 48, 64)
        path = write(tmp_path / "colors.mkv", [frame], codec="ffv1", format=format, tags=(2 if full else 1, code, 1, 1))
        (read,) = frames_of(path)
        np.testing.assert_allclose(read.rgb[24, 32], color, atol=2.5 / 255 if bits == 8 else 0.7 / 255)


def test_wide_primaries_become_those_of_srgb(tmp_path: Path) -> None:
    """BT.709's red in BT.2020 (BT.2087: 0.6274, 0.0691, 0.0164 of linear light)."""
    wide = np.array([0.6274, 0.0691, 0.0164]) ** (1 / 2.4)
    frame = plain(yuv(wide, 0.2627, 0.0593, full=False, bits=10), "yuv444p10le", 48, 64)
    path = write(tmp_path / "wide.mkv", [frame], codec="ffv1", format="yuv444p10le", tags=(1, 9, 9, 14))
    (read,) = frames_of(path)
    np.testing.assert_allclose(read.rgb[24, 32], (1, 0, 0), atol=0.1)  # small light is steep in the curve
    assert read.rgb[24, 32, 0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("name", "transfer", "white"), [("PQ", 16, 0.5807), ("HLG", 18, 0.75)])
def test_high_dynamic_range_is_told_and_shown(name: str, transfer: int, white: float, tmp_path: Path) -> None:
    """Diffuse white, 203 nits (BT.2408: 58 % of PQ, 75 % of HLG), is bright, and a highlight is brighter yet."""
    shown = []
    for signal in (white, 1.3 * white):
        frame = plain(yuv([signal] * 3, 0.2627, 0.0593, full=False, bits=10), "yuv444p10le", 48, 64)
        path = write(tmp_path / "hdr.mkv", [frame], codec="ffv1", format="yuv444p10le", tags=(1, 9, 9, transfer))
        clip = open_clip(str(path))
        assert name in clip.notes[0]
        ((read, _),) = clip.frames()
        np.testing.assert_allclose(read.rgb[24, 32], read.rgb[24, 32, 0], atol=0.01)
        shown.append(read.rgb[24, 32, 0])
    assert 0.85 < shown[0] < 0.97
    assert shown[0] + 0.02 < shown[1] <= 1


def test_times_are_kept(tmp_path: Path) -> None:
    times = [0, 0.04, 0.3, 0.31, 1.5]
    frames = frames_of(write(tmp_path / "uneven.mkv", greys(5), times=times))
    assert [frame.seconds for frame in frames] == pytest.approx(times, abs=0.002)
    animation = frames_of(animated(tmp_path / "uneven.gif"))
    assert [frame.seconds for frame in animation] == pytest.approx([0, 0.05, 0.15])


TRANSPARENT = {
    "vp9.webm": {"codec": "libvpx-vp9", "format": "yuva420p", "change": lambda s: s.metadata.update(alpha_mode="1")},
    "prores.mov": {"codec": "prores_ks", "format": "yuva444p10le"},
    "moving.gif": {},
    "moving.png": {},
    "moving.webp": {},
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency_is_read(name: str, tmp_path: Path) -> None:
    options = TRANSPARENT[name]
    path = tmp_path / name
    path = write(path, [half_clear(i) for i in range(3)], **options) if options else animated(path)
    for frame in frames_of(path):
        assert frame.alpha[4, 32] == pytest.approx(0, abs=CLOSE)
        assert frame.alpha[40, 32] == pytest.approx(1, abs=CLOSE)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for index in range(11):
        images.save(tmp_path / f"frame{index}.png", grey(index, 20, 30))
    (tmp_path / "frame4.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    frames = frames_of(tmp_path, fps=10)
    assert indices(frames) == [0, 1, 2, 3, 3, 5, 6, 7, 8, 9, 10]
    assert [frame.index for frame in frames if frame.broken] == [4]
    assert [frame.seconds for frame in frames] == pytest.approx([index / 10 for index in range(11)])


def test_a_part_of_a_clip_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", greys(16))
    part = frames_of(path, cut=Cut(0.16, 0.4))
    assert indices(part) == [4, 5, 6, 7, 8, 9]
    assert part[0].seconds == pytest.approx(0)
    every = frames_of(path, cut=Cut(every=5))
    assert indices(every) == [0, 5, 10, 15]
    assert [frame.seconds for frame in every] == pytest.approx([0, 0.2, 0.4, 0.6])
    *_, (_, place) = open_clip(str(path), cut=Cut(every=5)).frames()
    assert place.end == pytest.approx(0.8)
    with pytest.raises(ImageError, match="has no frame there"):
        frames_of(path, cut=Cut(99))
    assert [seconds_of("--end", text) for text in ("12.5", "1:02", "1:00:03", None)] == [12.5, 62, 3603, None]
    with pytest.raises(ConfigError, match="--end is '1m'"):
        seconds_of("--end", "1m")


def test_reading_goes_on_at_a_place(tmp_path: Path) -> None:
    """Also behind what is sought by keyframes, with damaged and skipped frames counted."""
    path = damaged(write(tmp_path / "clip.mkv", greys(16) * 20, g="25"), [70])
    pairs = list(open_clip(str(path), cut=Cut(every=2)).frames())
    for at in (3, 150):
        rest = list(open_clip(str(path), cut=Cut(every=2)).frames(pairs[at][1]))
        assert [place for _, place in rest] == [place for _, place in pairs[at + 1 :]]
        for (one, _), (other, _) in zip(rest, pairs[at + 1 :], strict=True):
            np.testing.assert_array_equal(one.rgb, other.rgb)


# --------------------------------------------------------------------------------------------------------- broken files


def damaged(path: Path, which: Sequence[int]) -> Path:
    """Write noise over the packets of some frames."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as box:
        packets = [packet for packet in box.demux(video=0) if packet.size]
        places = [(packet.pos, bytes(packet)) for packet in packets]
    for index in which:
        body = places[index][1]
        at = data.find(body, max(0, places[index][0]))
        data[at + 5 : at + len(body)] = np.random.default_rng(1).integers(0, 255, len(body) - 5, np.uint8).tobytes()
    path.write_bytes(data)
    return path


def test_damaged_frames_repeat_the_one_before(tmp_path: Path) -> None:
    """Every frame is a keyframe here, so that what is damaged is known."""
    noise = np.random.default_rng(0).uniform(0, 0.2, (48, 64, 3)).astype(np.float32)
    frames = [np.clip(grey(index, 48, 64) + noise, 0, 1) for index in range(12)]
    path = damaged(write(tmp_path / "damaged.mp4", frames, g="1", bf="0"), [4, 7, 8])
    read = frames_of(path)
    assert [frame.index for frame in read if frame.broken] == [4, 7, 8]
    assert [frame.seconds for frame in read] == pytest.approx([index / 25 for index in range(12)])
    for index, same in ((4, 3), (7, 6), (8, 6)):
        np.testing.assert_array_equal(read[index].rgb, read[same].rgb)


def _cut(path: Path, share: float, **box: str) -> Path:
    noise = [np.random.default_rng(i).uniform(size=(48, 64, 3)) for i in range(50)]
    data = write(path, noise, sound=("aac",), box=box).read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


@pytest.mark.parametrize(("name", "box"), [("cut.mkv", {}), ("cut.mp4", {"movflags": "faststart"})])
def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes(name: str, box: dict[str, str], tmp_path: Path) -> None:
    clip = open_clip(str(_cut(tmp_path / name, 0.5, **box)))
    frames = list(clip.frames())
    assert 10 < len(frames) < 40
    assert any("cut off" in note for note in clip.notes)


@pytest.mark.parametrize("name", ["long.mkv", "long.mp4", "long.mov"])
def test_longer_sound_is_no_damage(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, greys(10), sound=("aac",), tone=4.0)
    clip = open_clip(str(path))
    assert (len(list(clip.frames())), clip.total, clip.notes) == (10, 10, [])


def _sound_alone(path: Path) -> Path:
    with av.open(str(path), "w") as box:
        beep(box, box.add_stream("aac", rate=48000, layout="mono"), 0.5, 1)
    return path


def _bytes(data: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(data)
        return path

    return make


def _photo(path: Path) -> Path:
    images.save(path, grey(0, 8, 8))
    return path


def _empty_folder(path: Path) -> Path:
    path.mkdir()
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zero.mp4": (_bytes(b""), r"is empty \(0 bytes\)"),
    "text.mp4": (_bytes(b"not a video\n" * 20), "is text, not a video"),
    "list.m3u8": (_bytes(b"#EXTM3U\nhttp://example.org/a.ts\n"), "is text, not a video"),
    "noise.mkv": (_bytes(bytes(range(256)) * 20), "is no video that can be read"),
    "cut.mp4": (lambda path: _cut(path, 0.5), "its index is missing or damaged .*cut off"),
    "sound.m4a": (_sound_alone, "holds sound alone"),
    "photo.jpg": (_photo, r"is a picture \(JPEG\).*wctstyle stylize"),
    "empty": (_empty_folder, "has no pictures in it"),
    "missing.mp4": (lambda path: path, "there is no such file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_video_is_told(name: str, tmp_path: Path) -> None:
    make, told = REFUSED[name]
    path = make(tmp_path / name)
    with pytest.raises(ImageError, match=told) as raised:
        frames_of(path)
    assert str(path) in str(raised.value)


def test_limits_of_size_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", greys(2))
    with pytest.raises(ImageError, match="over the limit of 1,000"):
        open_clip(str(path), max_pixels=1000)
    assert frames_of(path, size=32)[0].rgb.shape == (24, 32, 3)
    assert frames_of(path, size=0)[0].rgb.shape == (48, 64, 3)
    with pytest.raises(ImageError, match="is a web address"):
        open_clip("https://example.org/clip.mp4")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "clip.mp4", greys(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"pip install 'wctstyle\[video\]'"):
        open_clip(str(path))


def test_importing_needs_no_extra() -> None:
    script = (
        "import sys; sys.modules['av'] = sys.modules['cv2'] = None; import wctstyle.video.job, wctstyle.cli.commands"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# -------------------------------------------------------------------------------------------------------------- writing


class Keeps:
    """Paints nothing, and counts its frames as state; `dies_at` a frame, as if the process were killed."""

    dies_at = -1

    def __init__(self) -> None:
        self.count = 0

    def frames(self, frames: Iterator[Any]) -> Iterator[Any]:
        for frame in frames:
            if frame.index == self.dies_at:
                raise MemoryError("killed")
            assert frame.index == self.count, "the state is not that of the frame before"
            self.count += 1
            yield frame

    def state(self) -> dict[str, np.ndarray]:
        return {"count": np.asarray(self.count)}

    def restore(self, state: Any) -> None:
        self.count = int(state["count"]) if state else 0


def make(source: Path, target: Path, **options: Any) -> tuple[Any, list[str]]:
    """Make a video without a model; returns what came of it and what was told."""
    told: list[str] = []
    chosen = {name: options.pop(name, None) for name in ("codec", "format", "quality")}
    run = {name: options.pop(name) for name in ("resume", "overwrite", "stop") if name in options}
    painter = options.pop("painter", Keeps)
    clip = open_clip(str(source), **options)
    form, lost = form_of(str(target), **chosen, alpha=clip.has_alpha)
    made = VideoJob(clip, target, form, {"video": {"of": "a test"}}).run(painter, warn=told.append, **run)
    return made, [*told, *([lost] if lost else [])]


UNEVEN = [0.0, 0.04, 0.08, 0.3, 0.5, 2.1, 2.14, 2.5]

TARGETS = [(suffix, codec) for suffix, (_, codecs) in CONTAINERS.items() for codec in codecs if suffix != ".m4v"]


@pytest.mark.parametrize(("suffix", "codec"), [*TARGETS, (".gif", None), (".png", None), (".webp", None)])
def test_every_format_is_written(suffix: str, codec: Any, tmp_path: Path) -> None:
    """Odd sides, uneven times and a cut between segments; read back with the same colours, tags, times and recipe."""
    colors = [np.broadcast_to(np.float32(ORANGE) * (1 - 0.1 * i), (47, 63, 3)) for i in range(8)]
    source = write(tmp_path / "in.mkv", colors, codec="ffv1", format="yuv444p", times=UNEVEN)
    target = tmp_path / f"out{suffix}"
    made, told = make(source, target, codec=codec)
    assert (made.frames, told) == (8, [])
    frames = frames_of(target)
    sides = (47, 63) if codec is None else (48, 64)
    assert frames[0].rgb.shape == (*sides, 3)
    assert [frame.seconds for frame in frames] == pytest.approx(UNEVEN, abs=0.006 if suffix == ".gif" else 0.002)
    for frame, color in zip(frames, colors, strict=True):
        np.testing.assert_allclose(frame.rgb[20, 20], color[0, 0], atol=6 / 255)
        np.testing.assert_allclose(frame.rgb[-1, -1], color[0, 0], atol=6 / 255)
    assert recipe.read_recipe(str(target)) == {"video": {"of": "a test"}}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    if codec is not None:
        with av.open(str(target)) as box:
            (stream,) = box.streams
            frame = next(box.decode(video=0))
        assert [int(tag) for tag in (frame.colorspace, frame.color_primaries, frame.color_trc)] == [1, 1, 1]
        assert frame.color_range == 1
        assert stream.codec_context.codec.canonical_name == {"h265": "hevc"}.get(codec, codec)


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "vp9"), ("a.mov", "prores"), ("a.gif", None), ("a.webp", None)])
def test_transparency_is_written(name: str, codec: Any, tmp_path: Path) -> None:
    make(animated(tmp_path / "in.png"), tmp_path / name, codec=codec)
    frames = frames_of(tmp_path / name)
    assert indices(frames) == [0, 1, 2]
    for frame in frames:
        assert frame.alpha[4, 32] == pytest.approx(0, abs=CLOSE)
        assert frame.alpha[40, 32] == pytest.approx(1, abs=CLOSE)


def test_opaque_animations_lose_nothing(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((48, 64, 3), 20 + 12 * index, np.uint8)) for index in range(3)]
    pictures[0].save(tmp_path / "in.gif", save_all=True, append_images=pictures[1:], duration=50)
    _, told = make(tmp_path / "in.gif", tmp_path / "out.mp4")
    assert told == []
    assert {frame.alpha is None for frame in frames_of(tmp_path / "in.gif")} == {True}


def test_lost_transparency_is_told_and_white(tmp_path: Path) -> None:
    _, told = make(animated(tmp_path / "in.png"), tmp_path / "out.mp4")
    assert "no transparency" in told[0]
    np.testing.assert_allclose(frames_of(tmp_path / "out.mp4")[0].rgb[4, 32], 1, atol=CLOSE)


def test_frames_go_into_a_folder(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", greys(12))
    make(source, tmp_path / "out", format="jpg", cut=Cut(0.04))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{i:06d}.jpg" for i in range(1, 12)]
    assert indices(frames_of(tmp_path / "out", fps=25)) == list(range(1, 12))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("suffix", "codec"), TARGETS)
def test_a_few_frames_are_a_video(suffix: str, codec: Any, count: int, tmp_path: Path) -> None:
    """Fewer than encoders look ahead; three times, as x265 fails by chance."""
    source = write(tmp_path / "in.mkv", greys(count))
    for number in range(3 if codec == "h265" else 1):
        make(source, tmp_path / f"{number}{suffix}", codec=codec)
        assert indices(frames_of(tmp_path / f"{number}{suffix}")) == list(range(count))


def test_quality_changes_the_size(tmp_path: Path) -> None:
    noise = [np.random.default_rng(i).uniform(size=(48, 64, 3)) for i in range(4)]
    source = write(tmp_path / "in.mkv", noise, codec="ffv1", format="yuv444p")
    for codec in ("h264", "h265", "vp9", "av1"):
        sizes = []
        for quality in (20, 95):
            make(source, tmp_path / f"{codec}{quality}.mkv", codec=codec, quality=quality)
            sizes.append((tmp_path / f"{codec}{quality}.mkv").stat().st_size)
        assert sizes[0] < 0.7 * sizes[1], codec


@pytest.mark.parametrize(
    ("out", "options", "told"),
    [
        ("a.xyz", {}, "no video has the suffix .xyz; use one of .mp4"),
        ("a.webm", {"codec": "h264"}, r"--codec h264: does not go into .webm; use one of vp9, av1"),
        ("a.gif", {"codec": "h264"}, "--codec h264: is for video files"),
        ("folder", {"codec": "h264"}, "--codec h264: is for video files"),
        ("a.mp4", {"format": "png"}, "--format png: is for folders"),
        ("a.mp4", {"quality": 101}, "quality is 101"),
    ],
)
def test_what_no_target_holds_is_told(out: str, options: Any, told: str) -> None:
    chosen = {"codec": None, "format": None, "quality": None, **options}
    with pytest.raises((ConfigError, ImageError), match=told):
        form_of(out, **chosen, alpha=False)


def test_the_codecs_are_those_of_the_option() -> None:
    assert tuple(CODECS) == get_args(forms.CodecName)


# ---------------------------------------------------------------------------------------------------------------- sound


def tones(path: Path, track: int) -> np.ndarray:
    """Loudness in steps of 10 ms of a track, by the times in the file."""
    with av.open(str(path)) as box:
        start = max(0.0, (box.start_time or 0) / 1e6)
        loud = np.zeros(1000)
        for frame in box.decode(audio=track):
            wave = frame.to_ndarray().reshape(-1, len(frame.layout.channels)) if frame.format.is_packed else None
            wave = (frame.to_ndarray()[0] if wave is None else wave[:, 0]).astype(float)
            at = frame.time - start + np.arange(len(wave)) / frame.sample_rate
            np.maximum.at(loud, np.clip((at * 100).astype(int), 0, 999), np.abs(wave))
    return loud / loud.max() > 0.3


def test_sound_goes_along_in_time(tmp_path: Path) -> None:
    """Both tracks, packet by packet; the tone that begins at 1.5 s begins at 0.8 s behind a cut at 0.7 s."""
    source = write(tmp_path / "in.mp4", greys(16) * 5, sound=("aac", "aac"))
    target = tmp_path / "out.mp4"
    made, told = make(source, target, cut=Cut(0.7, 2.5))
    assert told == []
    with av.open(str(source)) as one, av.open(str(target)) as other:
        assert [s.metadata["language"] for s in other.streams.audio] == ["eng", "deu"]
        wanted = {bytes(p) for p in one.demux(audio=1) if p.size}
        copied = [bytes(p) for p in other.demux(audio=1) if p.size]
        assert set(copied) <= wanted
        assert len(copied) == pytest.approx(1.8 * 48000 / 1024, abs=2)
    for track in (0, 1):
        heard = np.flatnonzero(np.diff(tones(target, track).astype(int)) == 1)
        assert np.abs(heard / 100 - 0.8).min() < 0.05


def test_sound_that_does_not_fit_is_converted(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", greys(16) * 4, sound=("aac",))
    _, told = make(source, tmp_path / "out.webm", cut=Cut(0.7))
    assert "converted to libopus" in told[0]
    heard = np.flatnonzero(np.diff(tones(tmp_path / "out.webm", 0).astype(int)) == 1)
    assert np.abs(heard / 100 - 0.8).min() < 0.05
    with av.open(str(tmp_path / "out.webm")) as box:
        assert box.streams.audio[0].codec_context.codec.canonical_name == "opus"


def _with_subtitles(path: Path) -> Path:
    """Put a line of text beside a video: Matroska, with a track of SubRip written packet by packet."""
    source = write(path.with_name("plain.mkv"), greys(16) * 4)
    with av.open(str(source)) as read, av.open(str(path), "w") as box:
        stream = box.add_stream_from_template(read.streams.video[0], opaque=True)
        text = box.add_mux_stream("subrip")
        text.time_base = Fraction(1, 1000)
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                box.mux(packet)
        line = av.Packet(b"Hello")
        line.stream, line.time_base = text, Fraction(1, 1000)
        line.pts, line.dts, line.duration = 1200, 1200, 500
        box.mux(line)
    return path


def test_subtitles_go_along_or_are_told(tmp_path: Path) -> None:
    source = _with_subtitles(tmp_path / "in.mkv")
    _, told = make(source, tmp_path / "out.mkv", cut=Cut(1.0))
    assert told == []
    with av.open(str(tmp_path / "out.mkv")) as box:
        (line,) = [packet for packet in box.demux(subtitles=0) if packet.size]
        assert bytes(line) == b"Hello"
        assert float(line.pts * line.time_base) == pytest.approx(0.2, abs=0.01)
    _, told = make(source, tmp_path / "out.mp4")
    assert "subtitle stream 1 (srt) does not go into this container" in told[0]


# ------------------------------------------------------------------------------------------------------- stopped and on


def moving(count: int) -> list[np.ndarray]:
    """Frames that differ in more than their grey."""
    base = np.random.default_rng(0).uniform(0, 1, (48, 64, 3)).astype(np.float32)
    return [np.roll(base, index, axis=1) for index in range(count)]


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Seven seconds of ten frames each: four segments."""
    return write(tmp_path / "long.mp4", moving(70), times=[index / 10 for index in range(70)], sound=("aac",))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "h264"), ("a.mkv", "h265"), ("a.webm", "vp9"), ("a.gif", None)])
def test_a_run_that_was_killed_goes_on(name: str, codec: Any, long: Path, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    make(long, tmp_path / "whole" / name, codec=codec)
    target, opened = tmp_path / name, []

    class Dies(Keeps):
        dies_at = 47

    class Notes(Keeps):
        def restore(self, state: Any) -> None:
            super().restore(state)
            opened.append(self.count)

    with pytest.raises(MemoryError):
        make(long, target, codec=codec, painter=Dies)
    assert not target.exists()
    assert work.work_folder(target).is_dir()
    with pytest.raises(ConfigError, match=r"\.wctstyle: is left from a run.*--resume"):
        make(long, target, codec=codec)
    with pytest.raises(ConfigError, match="of another video or other settings"):
        make(long, target, codec=codec, resume=True, quality=30)
    made, _ = make(long, target, codec=codec, resume=True, painter=Notes)
    assert opened == [40]  # two segments of two seconds were finished
    assert made.frames == 70
    assert not work.work_folder(target).exists()
    same_frames(target, tmp_path / "whole" / name)


def test_each_frame_of_an_animated_png_of_16_bits_is_its_own(tmp_path: Path) -> None:
    """Eight bits of each are read, as of all animated pictures."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 2, 1, 0, 0, 1, 10, 0, 0))

    first, second = (zlib.compress(b"\0" + struct.pack(">6H", *[value] * 6)) for value in (0x1280, 0x5600))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">II", 2, 0)) + control(0) + chunk(b"IDAT", first)
    data += control(1) + chunk(b"fdAT", struct.pack(">I", 2) + second) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(data)
    found = [picture.rgb for picture, _ in images.animation(str(tmp_path / "deep.png")).frames()]
    np.testing.assert_allclose([rgb.mean() * 255 for rgb in found], [0x12, 0x56], atol=0.01)


def same_frames(one: Path, other: Path) -> None:
    pairs = list(zip(frames_of(one), frames_of(other), strict=True))
    assert [a.seconds for a, _ in pairs] == [b.seconds for _, b in pairs]
    for a, b in pairs:
        np.testing.assert_array_equal(a.rgb, b.rgb)


def test_a_run_that_is_stopped_leaves_what_plays_and_goes_on(long: Path, tmp_path: Path) -> None:
    make(long, tmp_path / "whole.mp4")
    target, count = tmp_path / "out.mp4", iter(range(1, 100))
    made, _ = make(long, target, stop=lambda: next(count) == 33)
    assert (made.frames, made.stopped) == (33, True)
    assert len(frames_of(target)) == 33
    with av.open(str(target)) as box:
        assert sum(f.samples for f in box.decode(audio=0)) / 48000 == pytest.approx(3.3, abs=0.1)
    made, _ = make(long, target, resume=True)
    assert (made.frames, made.stopped) == (70, False)
    same_frames(target, tmp_path / "whole.mp4")


def test_overwrite_starts_again(long: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    make(long, target, stop=lambda: True)
    made, _ = make(long, target, overwrite=True)
    assert made.frames == 70


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from pathlib import Path
from test_video_io import make
try:
    make(Path(sys.argv[2]), Path(sys.argv[3]), quality=100)
except Exception as error:
    print(type(error).__name__, error)
"""
"""A file may not grow beyond 20 kB, as on a disk that is full."""


def test_a_full_disk_leaves_no_half_video(tmp_path: Path) -> None:
    noise = [np.random.default_rng(i).uniform(size=(96, 128, 3)) for i in range(30)]
    source, target = write(tmp_path / "in.mkv", noise), tmp_path / "out.mp4"
    command = [sys.executable, "-c", FULL_DISK, str(Path(__file__).parent), str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith(("OSError", "ImageError")), done.stderr
    assert "File too large" in done.stdout or "space on the disk" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


# --------------------------------------------------------------------------------------------------- the command itself


def invoke(*args: object) -> Any:
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


@pytest.fixture
def clip(here: Path) -> Path:
    """A second of video in the current folder, at the size that other tests compile."""
    sea = images.load(here / "sea.png").rgb
    frames = [np.roll(sea, index, axis=1) for index in range(6)]
    return write(here / "clip.mp4", frames, times=[index / 5 for index in range(6)], sound=("aac",))


def test_the_command_paints_and_its_recipe_repeats_it(clip: Path, one_model: Any) -> None:
    pytest.importorskip("cv2", reason="calm videos need OpenCV")
    options = ("--style", "waves.png:0s=1,1s=0.5", "--style", "sea.png", "--start", "0.1", "--every", "2")
    result = invoke("video", "clip.mp4", *options, "-o", "out.mp4", "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["frame"] for line in lines[:-1]] == [1, 2, 3]
    assert lines[-1]["output"] == "out.mp4"
    told = invoke("recipe", "out.mp4")
    assert told.exit_code == 0, told.output
    words = told.stdout.split()
    assert words[:3] == ["wctstyle", "video", "clip.mp4"]
    assert {"waves.png:0s=1,1s=0.5", "--start", "0.1", "--every", "2", "--calm"} <= set(words)
    again = invoke(*words[1:], "-o", "again.mp4")
    assert again.exit_code == 0, again.output
    same_frames(Path("out.mp4"), Path("again.mp4"))
    assert invoke(*words[1:], "--no-sound", "-o", "mute.mp4").exit_code == 0
    for name, tracks in (("out.mp4", 1), ("mute.mp4", 0)):
        with av.open(name) as box:
            assert len(box.streams.audio) == tracks
    assert not np.allclose(frames_of("out.mp4")[0].rgb, frames_of("clip.mp4")[0].rgb, atol=0.1)
    assert invoke("recipe", "out.mp4", "--python").exit_code == 2


def test_the_command_goes_on_where_it_was_killed(clip: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the calm carries from frame to frame."""
    pytest.importorskip("cv2", reason="calm videos need OpenCV")
    monkeypatch.setattr("wctstyle.video.job.SEGMENT_SECONDS", 0.4)
    line = ("video", "clip.mp4", "--style", "waves.png", "-o")
    assert invoke(*line, "whole.mkv").exit_code == 0
    from wctstyle.video.calm import VideoStylizer

    paint, count = VideoStylizer._next, iter(range(10))

    def dying(*args: Any) -> Any:
        if next(count) == 3:
            raise MemoryError("killed")
        return paint(*args)

    with monkeypatch.context() as patch:
        patch.setattr(VideoStylizer, "_next", dying)
        assert invoke(*line, "out.mkv").exit_code == 1
    assert "--resume to go on" in invoke(*line, "out.mkv").stderr
    assert invoke(*line, "out.mkv", "--resume").exit_code == 0
    same_frames(Path("out.mkv"), Path("whole.mkv"))


def test_a_mask_may_be_a_video(clip: Path, one_model: Any) -> None:
    """The right half is painted in the first half of the clip, the left half in the rest."""
    masks = [np.zeros((64, 48, 3), np.float32) for _ in range(6)]
    for index, mask in enumerate(masks):
        mask[:, slice(24, 48) if index < 3 else slice(0, 24)] = 1
    write(Path("mask.mkv"), masks, codec="ffv1", format="yuv444p", times=[index / 5 for index in range(6)])
    options = ("--style", "waves.png@half", "--mask", "half=mask.mkv", "--calm", "0", "--feather", "0")
    result = invoke("video", "clip.mp4", *options, "-o", "out.mkv", "--quality", "95")
    assert result.exit_code == 0, result.output
    for index, (one, other) in enumerate(zip(frames_of("out.mkv"), frames_of("clip.mp4"), strict=True)):
        left, right = (np.abs(one.rgb - other.rgb)[:, half].mean() for half in (slice(4, 20), slice(28, 44)))
        assert (right > 3 * left) if index < 3 else (left > 3 * right), (index, left, right)


def test_a_video_takes_a_map_of_colours(clip: Path, one_model: Any) -> None:
    """The right half is blue and painted, the left half stays."""
    halves = np.zeros((64, 48, 3), np.float32)
    halves[:, :24, 0] = halves[:, 24:, 2] = 1
    images.save("map.png", halves)
    options = ("--style", "waves.png@blue", "--mask-map", "map.png", "--feather", "0", "--quality", "95")
    result = invoke("video", "clip.mp4", *options, "-o", "out.mkv")
    assert result.exit_code == 0, result.output
    assert "--mask 'blue=map.png#blue'" in invoke("recipe", "out.mkv").stdout
    for one, other in zip(frames_of("out.mkv"), frames_of("clip.mp4"), strict=True):
        left, right = (np.abs(one.rgb - other.rgb)[:, half].mean() for half in (slice(4, 20), slice(28, 44)))
        assert right > 3 * left


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("clip.mp4", "-o", "out.mp4"), "no style given"),
        (("clip.mp4", "--style", "waves.png", "-o", "clip.mp4"), "is one of the input pictures"),
        (("clip.mp4", "--style", "waves.png", "-o", "no/out.mp4"), "there is no folder no"),
        (("clip.mp4", "--style", "waves.png", "-o", "sea.png/out.mp4"), "sea.png"),
        (("clip.mp4", "--style", "waves.png", "-o", "out.mp4", "--start", "2", "--end", "1"), "--end is 1 s"),
        (("clip.mp4", "--style", "waves.png", "-o", "out.mp4", "--calm", "2"), "--calm is 2"),
        (("clip.mp4", "--style", "waves.png:0s=x", "-o", "out.mp4"), "--style waves.png:"),
        (("clip.mp4", "--style", "waves.png", "--strength", "much", "-o", "out.mp4"), "--strength is 'much'"),
        (("clip.mp4", "--style", "waves.png", "--fps", "10", "-o", "out.mp4"), "--fps 10: is for a folder"),
        (("clip.mp4", "--style", "waves.png", "--resume", "--overwrite", "-o", "out.mp4"), "contradict each other"),
        (("clip.mp4", "--style", "waves.png", "-o", "."), "is not empty"),
    ],
)
def test_mistakes_are_told_before_anything_is_painted(args: Sequence[str], told: str, clip: Path) -> None:
    before = sorted(Path.cwd().iterdir())
    result = invoke("video", *args)
    assert result.exit_code == 2, result.output
    assert told in " ".join(result.stderr.split())
    assert sorted(Path.cwd().iterdir()) == before


def test_an_existing_result_is_kept(clip: Path) -> None:
    Path("out.mp4").write_bytes(b"mine")
    result = invoke("video", "clip.mp4", "--style", "waves.png", "-o", "out.mp4")
    assert (result.exit_code, Path("out.mp4").read_bytes()) == (2, b"mine")


def test_a_strangers_recipe_is_checked(clip: Path) -> None:
    written = {"calm": 2, "start": 0, "end": None, "every": 1, "fps": None, "weights": {}, "tracks": {}}
    picture = recipe.Recipe(content=Source("clip.mp4"), styles=(StyleSource("waves.png"),), size=64).to_json()
    with pytest.raises(ConfigError, match="clip.mp4: its recipe cannot be used: calm is 2"):
        recipe.VideoRecipe.from_json({**picture, "video": written}, source="clip.mp4")
    for wrong in ({"weights": {"7": "0s=1"}}, {"tracks": {"refine": "0s=1"}}, {"tracks": {"strength": "--overwrite"}}):
        with pytest.raises(ConfigError, match=r"clip.mp4: its recipe cannot be used: (keyframes|tracks)"):
            recipe.VideoRecipe.from_json({**picture, "video": {**written, "calm": 1, **wrong}}, source="clip.mp4")
    with pytest.raises(ConfigError, match="clip.mp4: its recipe cannot be used: end is missing; see it with --json"):
        recipe.VideoRecipe.from_json({**picture, "video": {"calm": 0.5}}, source="clip.mp4")
    result = invoke("recipe", "clip.mp4")
    assert (result.exit_code, "has no recipe in it" in result.stderr) == (2, True)


def test_a_table_is_applied_to_a_video_with_its_sound(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4", greys(4), times=[index / 5 for index in range(4)], sound=("aac",))
    lines = [f"{red} {green} {1 - blue}" for blue in (0, 1) for green in (0, 1) for red in (0, 1)]
    (tmp_path / "table.cube").write_text("\n".join(["LUT_3D_SIZE 2", *lines]))
    out = tmp_path / "graded.mp4"
    apply = ("lut", "apply", tmp_path / "table.cube", clip)
    assert "-o graded.mp4" in invoke(*apply).stderr
    assert invoke(*apply, "-o", out).exit_code == 0
    for own, frame in zip(frames_of(clip), frames_of(out), strict=True):
        wanted = own.rgb.mean(axis=(0, 1))
        np.testing.assert_allclose(frame.rgb.mean(axis=(0, 1)), [wanted[0], wanted[1], 1 - wanted[2]], atol=2 * CLOSE)
    with av.open(str(out)) as box:
        assert len(box.streams.audio) == 1
    assert "exists already" in invoke(*apply, "-o", out).stderr
    assert "has no recipe" in invoke("recipe", out).stderr
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["clip.mp4", "graded.mp4", "table.cube"]
