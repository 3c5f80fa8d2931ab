"""The command `wctstyle dream`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

from wctstyle import images
from wctstyle.cli import options
from wctstyle.cli.console import Stop, Verbose, clean_exit, progress_bar, waiting, warn
from wctstyle.cli.contents import expand_contents, kind_of_several
from wctstyle.cli.options import from_options, option_names, output_option, result_size, sizes_from
from wctstyle.cli.outputs import is_sink, plan_outputs, result_stem, write_to
from wctstyle.cli.video_command import video_target
from wctstyle.dreams.reading import DreamPictures, read_dream
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.dreams.settings import FPS, SHEET, USUAL_SIZE, DreamSettings, check_layer, frame_count, parse_channels
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpecs
from wctstyle.masks import PREFIX, split_color
from wctstyle.optimizer.settings import LAYERS
from wctstyle.settings import DEFAULT_FEATHER, ModelName
from wctstyle.video.forms import form_of

if TYPE_CHECKING:
    from wctstyle.dreams.dreaming import Dreamer

DEFAULTS = DreamSettings()


def _either(name: str) -> str:
    """Name a default, and that of a sheet where it is another one."""
    usual, sheet = getattr(DEFAULTS, name), getattr(SHEET, name)
    return f"{usual}" if usual == sheet else f"{usual}; {sheet} for a sheet"


Photo = Annotated[
    str | None, typer.Argument(metavar="PHOTO", show_default=False, help="A photo, or sample:NAME; none for --sheet.")
]
LayerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--layer",
        metavar="LAYER",
        show_default=", ".join(DEFAULTS.layers),
        help=f"Whose activations to raise: {LAYERS[0]} (edges) to {LAYERS[-1]} (eyes, faces). Give it several times to "
        "raise several.",
    ),
]
Channels = Annotated[
    str | None, typer.Option(metavar="N,N-M", show_default="all", help="Only these channels of the layer.")
]
Guide = Annotated[
    str | None,
    typer.Option(metavar="FILE", show_default=False, help="Raise what is like this picture, instead of everything."),
]
Octaves = Annotated[
    int | None, typer.Option(show_default=_either("octaves"), help="Sizes to dream at, the smallest first.")
]
OctaveScale = Annotated[
    float | None, typer.Option(show_default=_either("octave_scale"), help="Ratio of a size to the one before.")
]
Steps = Annotated[int | None, typer.Option(show_default=_either("steps"), help="Steps at each size.")]
Strength = Annotated[float, typer.Option(help="Length of a step; 0 is the photo.")]
Jitter = Annotated[
    int | None, typer.Option(show_default=_either("jitter"), help="Shift before each step, in pixels at most.")
]
Seed = Annotated[int, typer.Option(help="Of the shifts, and of the noise that a sheet starts from.")]
MaskOption = Annotated[
    str | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        show_default=False,
        help="Dream only where it is white. FILE#COLOR is one color of a map, ready:KIND is found in the photo.",
    ),
]
Zoom = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", show_default=False, help=f"Make a video that zooms in, {FPS} frames a second."),
]
SheetOption = Annotated[
    str | None,
    typer.Option(
        "--sheet", metavar="LAYER", show_default=False, help="Draw what each channel of this layer responds to."
    ),
]
ModelOption = Annotated[
    ModelName | None,
    typer.Option(
        show_default="vgg19 where it is installed, else medium",
        help="The network that dreams. vgg19 sees eyes and animals, medium and slim lines and knots.",
    ),
]
Output = Annotated[
    str, output_option("--output", "-o", metavar="OUT", show_default=False, help="A picture; with --zoom a video.")
]


@clean_exit
def dream(
    output: Output,
    photo: Photo = None,
    layer: LayerOption = None,
    channels: Channels = None,
    guide: Guide = None,
    octaves: Octaves = None,
    octave_scale: OctaveScale = None,
    steps: Steps = None,
    strength: Strength = DEFAULTS.strength,
    jitter: Jitter = None,
    seed: Seed = DEFAULTS.seed,
    mask: MaskOption = None,
    feather: options.Feather = DEFAULT_FEATHER,
    zoom: Zoom = None,
    sheet: SheetOption = None,
    model: ModelOption = None,
    size: Annotated[int | None, result_size(USUAL_SIZE)] = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    quality: Annotated[
        int | None, output_option(show_default="as of stylize and video", help="Of JPEG, WebP and videos, 1 to 100.")
    ] = None,
    overwrite: options.Overwrite = False,
    verbose: Verbose = 0,
) -> None:
    """Let a network dream: change a photo so that it sees more of what it sees there.

    wctstyle dream photo.jpg -o dream.jpg
    wctstyle dream --sheet relu4_1 -o channels.png
    """
    usual = DEFAULTS if sheet is None else SHEET
    layers = layer or DEFAULTS.layers if sheet is None else [sheet]
    given = {"octaves": octaves, "octave_scale": octave_scale, "steps": steps, "jitter": jitter}
    values = {name: getattr(usual, name) if value is None else value for name, value in given.items()}
    settings = from_options(
        DreamSettings, layers=_checked_layers("--layer" if sheet is None else "--sheet", layers),
        channels=from_options(parse_channels, text=channels or ""), strength=strength, seed=seed, **values,
    )  # fmt: skip
    if quality is not None:
        from_options(images.check_quality, quality=quality)
    if sheet is not None:
        _refuse_with_sheet({"PHOTO": photo, "--layer": layer, "--guide": guide, "--mask": mask, "--zoom": zoom,
                            "--size": size})  # fmt: skip
        path = _picture_path("sheet", output, [], overwrite=overwrite)
        image = _draw(settings, model, path, quality)
    elif photo is None:
        raise ConfigError("no photo given; name one, or give --sheet LAYER to see the channels of a layer")
    else:
        pictures = DreamPictures(photo, guide, mask, feather, sizes_from(size, None, None, max_pixels))
        image = _dream(pictures, settings, zoom, model, output, quality, overwrite=overwrite)
    if not is_sink(str(image)):
        typer.echo(str(image))


def _files(named: DreamPictures) -> list[str]:
    """Return every file that is read.

    Raises:
        ConfigError: the photo is several.
    """
    if expand_contents([named.photo]) != [named.photo]:
        raise ConfigError(f"{named.photo}: is {kind_of_several(named.photo)}; give one photo")
    from_options(RegionSpecs, feather=named.feather)
    mask = [] if named.mask is None or named.mask.startswith(PREFIX) else [split_color(named.mask)[0]]
    return [named.photo, *([named.guide] if named.guide else []), *mask]


def _checked_layers(option: str, layers: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    for layer in layers:
        check_layer(option, layer)
    return tuple(layers)


def _refuse_with_sheet(others: dict[str, Any]) -> None:
    for name, value in others.items():
        if value is not None:
            raise ConfigError(f"{name} {value}: a sheet is made from noise and takes no {name}; leave it out")


def _picture_path(source: str, output: str, inputs: list[str], *, overwrite: bool) -> Path:
    (path,) = plan_outputs(
        [source], into_folder=False, out=output, format=None, overwrite=overwrite, inputs=inputs,
        names=[f"{result_stem(source)}-dream.png"],
    )  # fmt: skip
    return path


def _dreamer(model: str | None) -> Dreamer:
    from wctstyle.dreams.dreaming import Dreamer, usual_model  # here, as it imports JAX, and mistakes are told before

    with waiting("getting ready"):
        return Dreamer(model or usual_model())


def _dream(
    named: DreamPictures,
    settings: DreamSettings,
    zoom: float | None,
    model: str | None,
    output: str,
    quality: int | None,
    *,
    overwrite: bool,
) -> Path:
    """Dream of a photo, and write the picture or the video."""
    inputs, form = _files(named), None
    if zoom is None:
        path = _picture_path(named.photo, output, inputs, overwrite=overwrite)
    else:
        from_options(frame_count, zoom=zoom)
        form, _ = form_of(output, codec=None, format=None, quality=quality, alpha=False)
        path = video_target(output, form, inputs, resume=False, overwrite=overwrite)
    dreamer = _dreamer(model)
    with option_names():
        request = read_dream(named, settings, dreamer.model, zoom=zoom)
    photo, rgb, more, recipe = request.photo, request.rgb, request.how, request.recipe
    if form is None or zoom is None:
        steps = dreamer.steps(rgb, settings, **more)
        total = settings.steps * len(settings.sizes(*rgb.shape[:2]))
        *_, last = _watched(steps, total)
        return _save(path, last.image, photo.alpha, quality, recipe)
    from wctstyle.dreams.zoom import frames, write

    made = _watched(frames(dreamer, rgb, settings, zoom, **more), frame_count(zoom))
    write(path, form, made, recipe.to_json(), warn=warn)
    return path


def _draw(settings: DreamSettings, model: str | None, path: Path, quality: int | None) -> Path:
    """Draw a sheet of channels."""
    dreamer = _dreamer(model)
    from wctstyle.dreams.sheet import BATCH, cells, laid_out

    layer = settings.layers[0]
    count = len(settings.channels) or dreamer.ascent.width(layer)
    made = list(_watched(cells(dreamer, settings), -(-count // BATCH)))
    return _save(path, laid_out(made), None, quality, DreamRecipe(None, settings, dreamer.model))


def _watched(parts: Iterator[Any], total: int) -> Iterator[Any]:
    """Show a live bar while the parts of a work are made."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.description}", markup=False))  # fmt: skip
    stop = Stop("this step")  # an interrupt may be lost in a callback of JAX
    with progress_bar(*columns) as progress, stop.listening():
        task = progress.add_task("dreaming", total=total)
        for part in parts:
            progress.advance(task)
            if stop.wanted:
                raise KeyboardInterrupt("Stopped. Nothing was written.")
            yield part


def _save(path: Path, image: Any, alpha: Any, quality: int | None, recipe: DreamRecipe) -> Path:
    quality = quality or images.DEFAULT_QUALITY
    if is_sink(str(path)):
        write_to(path, images.encode(image, alpha, format="png", quality=quality, recipe=recipe.to_json()))
    else:
        images.make_folder(path.parent)
        images.save(path, image, alpha, quality=quality, recipe=recipe.to_json())
    return path
