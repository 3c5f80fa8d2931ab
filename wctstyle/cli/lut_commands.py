"""The commands `wctstyle lut ...`: lookup tables of colours, made from a photo in a style, and applied to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wctstyle import images, lut
from wctstyle.cli import options
from wctstyle.cli.clip_changes import ClipChange, is_clip
from wctstyle.cli.console import Verbose, clean_exit
from wctstyle.cli.contents import expand_contents
from wctstyle.cli.looks_command import given_options
from wctstyle.cli.options import option_names
from wctstyle.cli.outputs import check_file, is_sink, plan_outputs
from wctstyle.cli.specs import named_photo
from wctstyle.cutout import visible_sides
from wctstyle.errors import ConfigError
from wctstyle.inputs import Sizes, Strokes, fit_parts, read_full, read_photo, read_style, style_sides
from wctstyle.settings import DEFAULT_LOOK, DEFAULT_MODEL, ModelName, Settings

lut_app = typer.Typer(help="Make 3D lookup tables (.cube) of a photo in a style, and apply them.")

Table = Annotated[Path, typer.Argument(show_default=False, help="A .cube file.")]
Out = Annotated[str | None, typer.Option("-o", "--output", show_default=False, help="The file or folder to write.")]


@lut_app.command()
@clean_exit
def make(
    photo: Annotated[str, typer.Argument(show_default=False, help="A photo like those the table is for.")],
    output: Annotated[Path, typer.Option("-o", "--output", show_default=False, help="The .cube file to write.")],
    style: options.Style = None,
    strength: Annotated[float, typer.Option(help="0 is the photo's colors, 1 the full style's.")] = Settings.strength,
    model: Annotated[ModelName, typer.Option(help="As for stylize.")] = DEFAULT_MODEL,
    points: Annotated[int, typer.Option(help="Points along each axis.")] = lut.POINTS,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    overwrite: options.Overwrite = False,
    verbose: Verbose = 0,
) -> None:
    """Write the table that gives a photo the light and colors it has with `stylize --photo`, wherever they are.

    wctstyle lut make photo.jpg --style dusk.jpg -o dusk.cube
    """
    if output.suffix.lower() != ".cube":
        raise ConfigError(f"-o {output}: is no .cube file; give it that suffix")
    check_file(output, str(output), overwrite=overwrite, inputs=[photo])
    named = named_photo("lut make", photo, style, None)
    with option_names():
        settings = Settings(strength=strength, photo=True)
        lut.check_points(points)
        _, own = read_photo(photo, Sizes(max_pixels=max_pixels), usual=DEFAULT_LOOK)
        own = images.trimmed(own)  # around it the result is white, which is none of its colours
        full = [read_style(spec.source, max_pixels) for spec in named.styles]
        sides = style_sides(named.styles, {}, Strokes(), max(visible_sides(own)))
        pictures = fit_parts(full, named.styles, [None] * len(full), sides)
    from wctstyle.stylizer import Stylizer  # here, as it imports JAX, and mistakes are told before

    result = Stylizer(model).stylize(own, pictures, settings)
    lut.fit(images.fill_hidden(own).rgb, result.image, points).write(output, output.stem)
    typer.echo(str(output))


@lut_app.command("apply")
@clean_exit
def apply_table(
    context: typer.Context,
    table: Table,
    pictures: Annotated[list[str], typer.Argument(show_default=False, help="Pictures and folders, or one video file.")],
    output: Out = None,
    quality: options.Quality = images.DEFAULT_QUALITY,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    overwrite: options.Overwrite = False,
    verbose: Verbose = 0,
) -> None:
    """Apply a table to pictures, or to one video, at their own size.

    wctstyle lut apply dusk.cube photo.jpg -o graded.jpg

    wctstyle lut apply dusk.cube clip.mp4 -o graded.mp4
    """
    change = lut.read(table)
    if len(pictures) == 1 and is_clip(pictures[0]):
        own = quality if given_options(context)("quality") else None  # videos have another one by default
        clip = ClipChange.planned(
            pictures[0], output, made="graded", inputs=[str(table)], max_pixels=max_pixels, overwrite=overwrite,
            quality=own,
        )  # fmt: skip
        return clip.run(change, {})
    found = expand_contents(pictures)
    several = len(found) > 1 or any(Path(name).is_dir() for name in pictures)
    paths = plan_outputs(found, into_folder=several, out=output, format=None, overwrite=overwrite, inputs=found)
    if any(is_sink(str(path)) for path in paths):
        raise ConfigError(f"-o {output}: is no file; a table is applied to files")
    for source, path in zip(found, paths, strict=True):
        full = read_full(source, max_pixels)
        picture = full.picture()
        images.make_folder(path.parent)
        images.save(path, change(picture.rgb), picture.alpha, quality=quality, kept=images.Kept(full.bits))
        typer.echo(str(path))
