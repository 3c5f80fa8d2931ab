"""The command `wctstyle texture`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Float
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

from wctstyle import images
from wctstyle.cli import options
from wctstyle.cli.console import Stop, Verbose, clean_exit, progress_bar, tell, waiting
from wctstyle.cli.options import from_options, option_names, size_option, style_option
from wctstyle.cli.outputs import is_sink, plan_outputs, result_stem
from wctstyle.cli.stylize_options import Blend, Model
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpecs
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_MODEL, optimizer_model
from wctstyle.specs import Named, parse_masks, parse_style_masks, parse_styles
from wctstyle.textures.reading import read_texture
from wctstyle.textures.settings import Gradient, TextureSettings

DEFAULTS = TextureSettings()

Styles = Annotated[
    list[str],
    typer.Argument(
        metavar="STYLE[:WEIGHT][@REGION]...",
        show_default=False,
        help="Pictures to make the texture of, or sample:NAME; several are blended, each with its share. @REGION: only "
        "where that mask is white.",
    ),
]
Size = Annotated[
    str, size_option(metavar="WIDTHxHEIGHT", help="Size of the texture in pixels; one number is a square.")
]
StyleSize = Annotated[
    int, size_option(metavar="LONG_SIDE", help="Long side of the styles in pixels, which sets the size of the strokes.")
]
Mask = Annotated[
    list[str] | None,
    style_option(
        "--mask", metavar="NAME=FILE", show_default=False,
        help="A region for styles with @NAME: white counts, grey in part. FILE#COLOR is one color of a map.",
    ),
]  # fmt: skip
GradientOption = Annotated[
    Gradient,
    style_option("--gradient", help="Let the styles follow each other: left to right, top to bottom, or from inside."),
]
Tileable = Annotated[
    bool, style_option("--tileable", help="Make opposite edges match, so that it repeats without seams.")
]
Optimize = Annotated[
    int,
    style_option(metavar="STEPS", help="Optimise the painted texture: slow, much closer; 100 is plenty."),
]
Seed = Annotated[int, style_option(help="Another seed gives another texture.")]
Out = Annotated[
    str | None,
    options.output_option(
        "--output", "-o", metavar="OUT", show_default="NAME-texture.png in the current folder",
        help="File to write, its suffix says the format.",
    ),
]  # fmt: skip
AsJson = Annotated[bool, options.output_option("--json", help="Print one JSON object, nothing else.")]


@clean_exit
def texture(
    style: Styles,
    size: Size = str(DEFAULTS.width),
    style_size: StyleSize = DEFAULTS.style_size,
    tileable: Tileable = False,
    seed: Seed = DEFAULTS.seed,
    optimize: Optimize = DEFAULTS.optimize,
    gradient: GradientOption = DEFAULTS.gradient,
    mask: Mask = None,
    style_mask: options.StyleMask = None,
    feather: options.Feather = DEFAULT_FEATHER,
    blend: Blend = DEFAULTS.blend,
    model: Model = DEFAULT_MODEL,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    output: Out = None,
    quality: options.Quality = images.DEFAULT_QUALITY,
    overwrite: options.Overwrite = False,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Make a new texture from styles, without a photo.

    wctstyle texture painting.jpg --size 1024x512 --tileable -o texture.png
    """
    width, height = _sides(size)
    settings = from_options(
        partial(TextureSettings, width=width, height=height), style_size=style_size, tileable=tileable, seed=seed,
        blend=blend, gradient=gradient, optimize=optimize,
    )  # fmt: skip
    from_options(images.check_quality, quality=quality)
    specs = parse_styles(style, command="texture")
    regions = from_options(RegionSpecs, masks=parse_masks(mask, specs), feather=feather)
    named = Named([], parse_style_masks(style_mask, specs), regions)
    path = _planned(named, output, overwrite=overwrite)
    with option_names():
        recipe, parts = read_texture(named, settings, model, max_pixels)
    began = time.perf_counter()
    images.make_folder(path.parent)
    with images.saving(path, settings.shape, quality=quality, recipe=recipe.to_json()) as writer:
        for rows in _made(parts, settings, model):
            writer.write(rows)
    seconds = time.perf_counter() - began
    found = {"output": str(path), "width": width, "height": height, "model": model, "seconds": round(seconds, 2)}
    typer.echo(json.dumps(found) if as_json else str(path))
    if verbose:
        tell(f"{width} x {height} pixels in {seconds:.1f} s")


def _sides(text: str) -> tuple[int, int]:
    """Read width and height.

    Raises:
        ConfigError: they are none.
    """
    found = re.fullmatch(r"(\d{1,9})(?:[xX×](\d{1,9}))?", text.strip())
    if found is None:
        raise ConfigError(f"--size {text}: wanted WIDTHxHEIGHT in pixels, as 1024x512, or one number for a square")
    return int(found[1]), int(found[2] or found[1])


def _planned(named: Named, output: str | None, *, overwrite: bool) -> Path:
    """Choose the file that is written.

    Raises:
        ConfigError: it is no file.
        ImageError: as `plan_outputs`.
    """
    if output is not None and is_sink(output):
        raise ConfigError(f"-o {output}: is no file; a texture is written to a file")
    first = named.styles[0].source
    (path,) = plan_outputs(
        [first], into_folder=False, out=output, format=None, overwrite=overwrite, inputs=named.files,
        names=[f"{result_stem(first)}-texture.png"],
    )  # fmt: skip
    return path


def _made(regions: Sequence[Any], settings: TextureSettings, model: str) -> Iterator[Float[np.ndarray, "h w 3"]]:
    """Make the texture; gives it from top to bottom, some rows at a time."""
    with waiting("getting ready"):
        from wctstyle.optimizer import Optimizer
        from wctstyle.stylizer import Stylizer
        from wctstyle.textures import making

        stylizer = Stylizer(model)
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    stop = Stop("this step")  # an interrupt may be lost in a callback of JAX
    with progress_bar(*columns) as progress, stop.listening():
        task = progress.add_task("measuring the styles", total=None)

        def check() -> None:
            if stop.wanted:
                raise KeyboardInterrupt("Stopped. Nothing was written.")

        def painting(tile: int, tiles: int) -> None:
            progress.update(task, completed=tile, total=tiles, description="tiles painted")
            check()

        if not settings.optimize:
            yield from making.painted_rows(stylizer, regions, settings, painting=painting)
            return
        image = None
        made = making.stages(stylizer, regions, settings, lambda: Optimizer(optimizer_model(model)), painting=painting)
        for stage in made:
            image = stage.image
            check()
            left = f"steps, {stage.seconds_left:.0f} s left" if stage.step else "compiling"
            progress.update(task, completed=stage.step, total=stage.steps, description=left)
        assert image is not None
        yield image
