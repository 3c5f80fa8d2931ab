"""Small files of every kind that is read, ways to damage them, and the public functions that read them."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import tempfile
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wctstyle import images, inputs, looks, lut, samples, weights
from wctstyle.analogies import files as analogy_files
from wctstyle.analogies import making
from wctstyle.cli.manifest import read_manifest
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.errors import WctStyleError
from wctstyle.images.writing import Kept
from wctstyle.optimizer import checkpoint
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.recipe import Optimisation, Recipe
from wctstyle.recipe_kinds import kind_of
from wctstyle.settings import Settings
from wctstyle.sources import Source, StyleSource
from wctstyle.textures.recipe import TextureRecipe
from wctstyle.training.pictures import load_painter
from wctstyle.training.recipe import load_recipe
from wctstyle.video.clips import Place
from wctstyle.video.forms import form_of
from wctstyle.video.reading import open_clip
from wctstyle.video.recipe import VideoRecipe, read_recipe
from wctstyle.video.work import Work, work_folder

MOST = 2**20
"""Most pixels that are read: damaged headers promise many."""

FRAMES = 6
"""Frames of a clip that are decoded."""

HUGE = (0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFFFF, 0xFFFF, 0x7FFF, 0, 1)
"""Lengths that no small file has."""

DEEP = 100_000
"""Brackets that are nested, more than any parser's stack takes."""


@dataclass(frozen=True)
class Seed:
    """A sound file: its kind, which names its reader, the suffix, and the bytes."""

    kind: str
    name: str
    suffix: str
    data: bytes


# --- Sound files --------------------------------------------------------------------------


def pixels(height: int = 23, width: int = 37) -> np.ndarray:
    """Draw a picture "h w 3" of 8 bits, smooth with a block of noise."""
    rows, columns = np.mgrid[0:height, 0:width]
    drawn = np.stack([7 * columns, 11 * rows, 3 * (rows + columns)], axis=-1) % 256
    drawn[: height // 2, : width // 2] = np.random.default_rng(0).integers(0, 256, (height // 2, width // 2, 3))
    return drawn.astype(np.uint8)


RECIPE = Recipe(
    content=Source("photo.jpg", "0" * 64),
    styles=(StyleSource("sea.jpg", "1" * 64, 0.5, mask=Source("part.png")), StyleSource("sample:peacock", "", 1.0)),
    size=512,
    settings=Settings(strength=0.7),
    model="slim",
    style_size=None,
    stroke_scale=1.0,
)


def written_recipes() -> dict[str, dict[str, Any]]:
    """Write recipes of several kinds as JSON."""
    whole = replace(RECIPE, styles=RECIPE.styles[1:])
    optimised = replace(RECIPE, optimisation=Optimisation(OptimizeSettings(steps=9), "medium", "fast", stopped=4))
    return {
        "picture": RECIPE.to_json(),
        "look": looks.Look.of(whole, "Night", "What it is like.").to_json(),
        "optimised": optimised.to_json(),
        "texture": TextureRecipe(RECIPE.styles).to_json(),
        "dream": DreamRecipe(RECIPE.content, size=256).to_json(),
        "video": VideoRecipe(whole, 0.5, tracks={"strength": "0s=0.2,2s=1"}).to_json(),
    }


def picture_seeds() -> Iterator[Seed]:
    """Write small pictures of every format, with recipes in those that keep them."""
    rgb, alpha = pixels(), np.linspace(0, 255, 23 * 37).reshape(23, 37).astype(np.uint8)
    for format, suffix in (("png", ".png"), ("jpeg", ".jpg"), ("webp", ".webp"), ("tiff", ".tif")):
        data = images.encode(rgb, format=format, recipe=replace(RECIPE, styles=RECIPE.styles[1:]).to_json())
        yield Seed("picture", f"{format} recipe", suffix, data)
        yield Seed("look", f"recipe in {format}", suffix, data)
        if format in ("png", "tiff"):
            kept = Kept(bits=16, dpi=(300, 300))
            deep = images.encode(rgb / np.float32(255), alpha, format=format, kept=kept)
            yield Seed("picture", f"{format} 16 bits", suffix, deep)
    image = Image.fromarray(rgb)
    with_alpha, few, ink = Image.fromarray(np.dstack([rgb, alpha])), image.quantize(32), image.convert("CMYK")
    moving = {"save_all": True, "append_images": [image.rotate(90 * k) for k in (1, 2)], "duration": 40}
    plain: list[tuple[str, Image.Image, str, str, dict[str, Any]]] = [
        ("png palette", few, "PNG", ".png", {"transparency": 1}),
        ("png alpha", with_alpha, "PNG", ".png", {}),
        ("apng", image, "PNG", ".png", moving),
        ("jpeg progressive", image, "JPEG", ".jpg", {"progressive": True}),
        ("jpeg CMYK", ink, "JPEG", ".jpg", {}),
        ("webp lossy", image, "WEBP", ".webp", {"quality": 50}),
        ("webp alpha", with_alpha, "WEBP", ".webp", {"lossless": True}),
        ("webp moving", image, "WEBP", ".webp", moving),
        ("gif", few, "GIF", ".gif", {}),
        ("gif moving", image, "GIF", ".gif", moving),
        ("bmp", image, "BMP", ".bmp", {}),
        ("bmp palette", few, "BMP", ".bmp", {}),
        ("tiff lzw", image, "TIFF", ".tif", {"compression": "tiff_lzw"}),
        ("tiff deflate CMYK", ink, "TIFF", ".tif", {"compression": "tiff_adobe_deflate"}),
        ("tiff jpeg", image, "TIFF", ".tif", {"compression": "jpeg"}),
        ("tiff float", image.convert("F"), "TIFF", ".tif", {}),
        ("ppm", image, "PPM", ".ppm", {}),
        ("avif", image, "AVIF", ".avif", {"quality": 60}),
    ]
    for name, drawn, form, suffix, options in plain:
        buffer = io.BytesIO()
        drawn.save(buffer, form, **options)
        yield Seed("picture", name, suffix, buffer.getvalue())
    flat = np.zeros((24, 36, 3), np.uint8)
    flat[:12, :, 0] = flat[:6, :18] = 255
    for format, suffix in (("png", ".png"), ("tiff", ".tif")):
        yield Seed("mask", format, suffix, images.encode(flat, format=format))
    yield from _heic()


def _heic() -> Iterator[Seed]:
    import pillow_heif

    buffer = io.BytesIO()
    image = Image.fromarray(pixels())
    pillow_heif.from_pillow(image).save(buffer, quality=60)
    yield Seed("picture", "heic", ".heic", buffer.getvalue())


def text_seeds(folder: Path) -> Iterator[Seed]:
    """Write recipes, looks, manifests and tables of colours."""
    for name, written in written_recipes().items():
        yield Seed("look", name, ".json", json.dumps(written, indent=1).encode())
        yield Seed("look", f"{name} in png", ".png", images.encode(pixels(8, 8), format="png", recipe=written))
    steps = np.linspace(0, 1, 3, dtype=np.float32)
    table = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    lut.Lut(table).write(folder / "table.cube")
    yield Seed("cube", "3 points", ".cube", (folder / "table.cube").read_bytes())
    photo, style = "sample:" + samples.names("content")[0], "sample:" + samples.names("style")[0]
    rows = [
        {"content": photo, "styles": [style], "weights": [1], "strength": 0.5, "output": f"{k}.png"} for k in (1, 2)
    ]
    yield Seed("manifest", "jsonl", ".jsonl", "\n".join(json.dumps(row) for row in rows).encode())
    lines = ["content,styles,weights,size,output", f"{photo},{style};{style},1;2,256,a.png", f"{photo},{style},,,b.png"]
    yield Seed("manifest", "csv", ".csv", "\r\n".join(lines).encode())
    yield Seed("training", "toml", ".toml", shipped_training_recipe())


def shipped_training_recipe() -> bytes:
    """Return the recipe by which slim was trained."""
    from importlib import resources

    return (resources.files("wctstyle.training") / "recipes" / "slim.toml").read_bytes()


def number_seeds(folder: Path) -> Iterator[Seed]:
    """Write files of numbers: weights, foreign weights, states, filters."""
    numbers = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)
    tensors = {"encoder/conv1_1/kernel": numbers, "encoder/conv1_1/bias": numbers[0, 0, 0]}
    metadata = {"config": {"name": "slim", "channels": [4]}, "licence": "none"}
    for name, dtype in (("weights", "float32"), ("half", "float16")):
        path = weights.save(folder / f"{name}.safetensors", tensors, metadata, dtype=dtype)  # pyright: ignore[reportArgumentType]
        yield Seed("weights", name, ".safetensors", path.read_bytes())
    foreign = {"features.0.weight": numbers.transpose(3, 2, 0, 1), "features.0.bias": numbers[0, 0, 0]}
    path = weights.save(folder / "foreign.safetensors", foreign, {})
    yield Seed("import", "safetensors", ".safetensors", path.read_bytes())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name.removeprefix("encoder/"): value for name, value in tensors.items()})  # pyright: ignore[reportArgumentType]
    yield Seed("import", "npz", ".npz", buffer.getvalue())
    yield Seed("painter", "npz", ".npz", buffer.getvalue())
    yield Seed("import", "keras", ".h5", _keras(numbers))
    checkpoint.save(folder / "state", (numbers, np.float32(1)), {"settings": {"steps": 3}, "version": "1"})
    yield Seed("state", "state", ".safetensors", (folder / "state").read_bytes())
    own = pixels(96, 96) / np.float32(255)
    analogy_files.save(folder / "warm.safetensors", making.learn(own, np.sqrt(own), paint=0.0))
    yield Seed("analogy", "filter", ".safetensors", (folder / "warm.safetensors").read_bytes())


def _keras(numbers: np.ndarray) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("block1_conv1/kernel", data=numbers, compression="gzip")
        file.create_dataset("block1_conv1/bias", data=numbers[0, 0, 0])
    return buffer.getvalue()


def video_seeds(folder: Path) -> Iterator[Seed]:
    """Write clips of a few frames in the containers that are read; the extra for video has to be there."""
    import av

    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(4000))
    yield from _work_seeds(folder)
    yield Seed("video", "sound alone", ".wav", (folder / "sound.wav").read_bytes())
    for suffix, codec in ((".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx-vp9"), (".avi", "mpeg4")):
        path = folder / f"clip{suffix}"
        with av.open(str(path), "w") as box:
            stream: Any = box.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
            for shift in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(np.roll(pixels(32, 48), shift, axis=1))
                box.mux(stream.encode(frame))
            box.mux(stream.encode())
        yield Seed("video", codec, suffix, path.read_bytes())


TARGET = "target.mp4"

NOTES = {".job": "job.json", ".note": "000000.json", ".npz": "state-000000.npz"}
"""Names of files in a folder of work, by the suffix that they have here."""


def _work_seeds(folder: Path) -> Iterator[Seed]:
    """Write what a stopped run of a video leaves: its job, a note of a segment and the state behind it."""
    with closing(_resumable(folder)) as begun:
        begun.begin(resume=False, overwrite=False)
    state = io.BytesIO()
    np.savez(state, last=pixels())
    note = json.dumps({"times": [0.0, 0.04], "place": asdict(Place())}).encode()
    job = (work_folder(folder / TARGET) / "job.json").read_bytes()
    for name, suffix, data in (("job", ".job", job), ("note", ".note", note), ("state", ".npz", state.getvalue())):
        yield Seed("work", name, suffix, data)


def _resumable(folder: Path) -> Work:
    form, _ = form_of(TARGET, codec=None, format=None, quality=None, alpha=False)
    return Work(folder / TARGET, form, {}, rate=Fraction(25), tick=Fraction(1, 25))


def seeds(*, video: bool = False) -> list[Seed]:
    """Write one sound file of every kind and layout."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = [*picture_seeds(), *text_seeds(folder), *number_seeds(folder)]
        return found + (list(video_seeds(folder)) if video else [])


# --- Damage -------------------------------------------------------------------------------


def flip(rng: random.Random, data: bytearray, _: list[Seed]) -> bytearray:
    """Change some bits, most often near the beginning, where headers are."""
    for _number in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 96))
        data[at] ^= 1 << rng.randrange(8)
    return data


def cut(rng: random.Random, data: bytearray, _: list[Seed]) -> bytearray:
    """End the file early."""
    return data[: rng.randrange(len(data))]


def double(rng: random.Random, data: bytearray, _: list[Seed]) -> bytearray:
    """Repeat a part."""
    start = rng.randrange(len(data))
    part = data[start : start + rng.randrange(1, 200)]
    return data[:start] + part * rng.choice((2, 3, 50)) + data[start + len(part) :]


def leave_out(rng: random.Random, data: bytearray, _: list[Seed]) -> bytearray:
    """Take out a part."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 64) :]


def lengthen(rng: random.Random, data: bytearray, _: list[Seed]) -> bytearray:
    """Put huge numbers where a length may be; in text, instead of a number."""
    digits = [at for at, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if data[:1] in (b"{", b"c", b"T", b"#", b"[") and digits:
        at = rng.choice(digits)
        number = rng.choice((b"1e999", b"9" * 5000, b"-1", b"NaN", b"null", b'"a"', b"[]", b"{}", b"1e-400", b"true"))
        return data[:at] + number + data[at + 1 :]
    form, size = rng.choice(((">I", 4), ("<I", 4), (">H", 2), ("<H", 2), ("<Q", 8), (">Q", 8)))
    at = rng.randrange(max(1, min(len(data), 400) - size))
    data[at : at + size] = struct.pack(form, rng.choice(HUGE) & (2 ** (8 * size) - 1))
    return data


def graft(rng: random.Random, data: bytearray, others: list[Seed]) -> bytearray:
    """Put in a part of another file."""
    other = rng.choice(others).data
    start, at = rng.randrange(len(other)), rng.randrange(len(data))
    return data[:at] + other[start : start + rng.randrange(1, 400)] + data[at + rng.choice((0, 0, 64)) :]


def nest(rng: random.Random, data: bytearray, _: list[Seed]) -> bytearray:
    """Nest brackets deeply, in place of the first value after a colon or behind a bracket."""
    places = [at for at, byte in enumerate(data) if byte in b":[{"] or [0]
    at = rng.choice(places[:200]) + 1
    return data[:at] + rng.choice((b"[", b'{"a":')) * DEEP + data[at:]


STRANGE = (b"\0", b"\xff\xfe", b"../../", b"/etc/passwd", b"\xed\xa0\x80", b"\\ud800", b"\r", b'"', b"%s{}")


def strange(rng: random.Random, data: bytearray, _: list[Seed]) -> bytearray:
    """Put characters in that names and numbers seldom have."""
    at = rng.randrange(len(data))
    return data[:at] + rng.choice(STRANGE) + data[at + rng.choice((0, 1)) :]


DAMAGE = (flip, flip, flip, cut, double, leave_out, lengthen, lengthen, graft, nest, strange)

Mutated = tuple[Seed, bytes]


def mutated(seed: int, number: int, sound: list[Seed]) -> Mutated:
    """Make the damaged file of a number; the same seed and number give the same file."""
    rng = random.Random(f"{seed}:{number}")
    chosen = rng.choice(sound)
    data = bytearray(chosen.data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        damage = rng.choice(DAMAGE)
        if damage is nest and chosen.suffix not in (".json", ".jsonl", ".toml", ".safetensors", ".csv"):
            damage = flip
        data = damage(rng, data, sound) or bytearray(b"\0")
    return chosen, bytes(data)


# --- Readers ------------------------------------------------------------------------------


def _each(*reads: Callable[[], Any]) -> None:
    """Call all of these functions, whatever the others say.

    Raises:
        WctStyleError: one refused the file; the messages of all that did.
    """
    problems = []
    for read in reads:
        try:
            read()
        except WctStyleError as error:
            problems.append(str(error))
    if problems:
        raise WctStyleError("\n".join(problems))


def _picture(path: Path) -> None:
    _each(
        lambda: images.load(path, max_pixels=MOST),
        lambda: images.animation(str(path), max_pixels=MOST),
        lambda: images.read_recipe(path),
    )


def _look(path: Path) -> None:
    found = looks.parsed(path.read_bytes())
    if found is None:
        looks.read(path)  # refuses it
    else:
        _each(lambda: _made(path, found), lambda: looks.Look.from_json(found), lambda: looks.read(path))


def _made(path: Path, written: Mapping[str, Any]) -> None:
    """Read a recipe and write its command and program, as `wctstyle recipe` does."""
    if "video" in written:
        VideoRecipe.from_json(written, source=path.name).command()
        return
    made = (kind_of(written) or Recipe).from_json(written, source=path.name)
    made.command("out.png")
    made.program("out.png")


def _mask(path: Path) -> None:
    _each(*(lambda name=name: inputs.read_masks({"sky": name}, MOST) for name in (str(path), f"{path}#red")))


def _import(path: Path) -> None:
    weights.import_vgg19(path, path.with_name("imported.safetensors"))


def _state(path: Path) -> None:
    leaves, found = checkpoint.read(path)
    checkpoint.check(path, found, {"settings": {"steps": 3}, "version": "1"})
    checkpoint.restore(leaves, (np.zeros((3, 3, 3, 4), np.float32), np.float32(0)), path)


def _clip(path: Path) -> None:
    _each(lambda: read_recipe(str(path)), lambda: _frames(path))


def _frames(path: Path) -> None:
    for count, _ in enumerate(open_clip(str(path), size=0, max_pixels=MOST).frames(), start=1):
        if count >= FRAMES:
            break


def _work(path: Path) -> None:
    """Put one damaged file among sound ones, and go on from there."""
    work = work_folder(path.parent / TARGET)
    with tempfile.TemporaryDirectory() as name:
        sound = {seed.suffix: seed.data for seed in _work_seeds(Path(name))}
    work.mkdir()
    for suffix, data in {**sound, path.suffix: path.read_bytes()}.items():
        (work / NOTES[suffix]).write_bytes(data)
    with closing(_resumable(path.parent)) as resumed:
        resumed.begin(resume=True, overwrite=False)
        resumed.state()


READERS: Mapping[str, Callable[[Path], Any]] = {
    "picture": _picture,
    "mask": _mask,
    "look": _look,
    "cube": lut.read,
    "manifest": lambda path: read_manifest(str(path)),
    "training": load_recipe,
    "weights": weights.load_file,
    "import": _import,
    "painter": load_painter,
    "state": _state,
    "analogy": analogy_files.load,
    "video": _clip,
    "work": _work,
}
"""What reads each kind of file, by public functions."""


def read(kind: str, folder: Path, suffix: str, data: bytes) -> None:
    """Write a file into an empty folder and read it.

    Raises:
        WctStyleError: it is refused.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / f"damaged{suffix}"
    path.write_bytes(data)
    READERS[kind](path)
