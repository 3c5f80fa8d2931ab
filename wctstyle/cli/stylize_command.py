"""The command `wctstyle stylize`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from wctstyle import images, inputs
from wctstyle.batch import Setup, each_alone
from wctstyle.cli import options
from wctstyle.cli import stylize_options as own
from wctstyle.cli.console import Verbose, clean_exit, tell, waiting, warn
from wctstyle.cli.contents import is_pattern
from wctstyle.cli.looks_command import given_options
from wctstyle.cli.naming import named, template_of
from wctstyle.cli.options import option_names
from wctstyle.cli.outputs import STDOUT, is_sink, plan_outputs
from wctstyle.cli.painting import Way, paint_all
from wctstyle.cli.setups import setup_from
from wctstyle.cli.specs import Format
from wctstyle.errors import ConfigError
from wctstyle.jobs.work import Job, Painter
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_MODEL, Settings
from wctstyle.specs import PAINTING, Named

DEFAULTS = Settings()


@clean_exit
def stylize(
    context: typer.Context,
    content: own.Contents,
    style: options.Style = None,
    use_look: options.UseLook = None,
    mask: options.Mask = None,
    mask_map: options.MaskMap = None,
    style_mask: options.StyleMask = None,
    region: options.RegionDials = None,
    feather: options.Feather = DEFAULT_FEATHER,
    strength: own.Strength = DEFAULTS.strength,
    detail: own.Detail = DEFAULTS.detail,
    colors: options.Colors = DEFAULTS.colors,
    color: options.Color = DEFAULTS.color,
    texture: own.Texture = DEFAULTS.texture,
    keep_faces: own.KeepFaces = DEFAULTS.keep_faces,
    transform: own.Transform = DEFAULTS.transform,
    blend: own.Blend = DEFAULTS.blend,
    refine: own.Refine = DEFAULTS.refine,
    photo: own.Photo = DEFAULTS.photo,
    model: own.Model = DEFAULT_MODEL,
    size: own.Size = None,
    look: own.Look = DEFAULTS.look,
    stroke_scale: options.StrokeScale = None,
    style_size: options.StyleSize = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    output: own.Output = None,
    format: own.FolderFormat = None,
    quality: options.Quality = images.DEFAULT_QUALITY,
    depth: own.Depth = None,
    keep_profile: own.KeepProfile = False,
    overwrite: options.Overwrite = False,
    skip_existing: own.SkipExisting = False,
    recursive: own.Recursive = False,
    each_style: own.EachStyle = False,
    name: own.Name = None,
    sheet: own.Sheet = None,
    workers: own.Workers = 1,
    keep_going: own.KeepGoing = True,
    report: own.Report = None,
    as_json: own.AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Stylize photos.

    wctstyle stylize photo.jpg --style painting.jpg -o result.png

    wctstyle stylize photos/ --style sample:woodcut-wave:0.7 --style sample:marbling:0.3 -o results/
    """
    if overwrite and skip_existing:
        raise ConfigError("--overwrite and --skip-existing contradict each other; give one of them")
    if output == STDOUT and (as_json or sys.stdout.isatty()):
        raise ConfigError(f"-o {STDOUT}: writes the picture to standard output; pipe it into a file, without --json")
    template = template_of(name, format, each_style=each_style)
    given = {option: context.params[option] for option in PAINTING}
    found, setup = setup_from(
        "stylize", content, given, chosen=given_options(context), recursive=recursive, apart=output
    )
    setups = each_alone(setup) if each_style else [setup]
    if inputs.STDIN in found.files and (workers > 1 or len(setups) > 1):
        raise ConfigError(f"{inputs.STDIN}: is standard input, which one process reads once; give a file")
    painter = Painter()
    with option_names():
        for one in setups:
            painter.batch(one)  # here, so that what is wrong with a style is told at once
    several = len(found.contents) > 1 or any(os.path.isdir(part) or is_pattern(part) for part in content)
    with waiting("looking for earlier results"):  # among those of many photos that takes a while
        jobs = _plan(
            found, setups, painter, template, into_folder=several or template is not None, out=output, format=format,
            overwrite=overwrite, skip_existing=skip_existing,
        )  # fmt: skip
    way = Way(
        workers, keep_going=keep_going, report=report, sheet=sheet, as_json=as_json, verbose=verbose,
        styles=[one.styles[0].source for one in setups] if each_style else [],
    )  # fmt: skip
    way.check(len(jobs), overwrite=overwrite or skip_existing, inputs=found.files)
    if not any(spec.weight for spec in setup.styles):
        warn("all styles have weight 0, so no style is left: the photo is returned")
    paint_all(jobs, painter, way, left=_still_to_make(jobs) if skip_existing else jobs)


def _plan(
    found: Named,
    setups: Sequence[Setup],
    painter: Painter,
    template: str | None,
    *,
    format: Format | None,
    skip_existing: bool,
    **where: Any,
) -> list[Job]:
    """Choose the place of each result, photo by photo; `where`: see `plan_outputs`."""
    photos = zip(found.contents, found.folders, strict=True)
    pairs = [(photo, folder, setup) for photo, folder in photos for setup in setups]

    def made(number: int, result: str) -> bool:
        photo, _, setup = pairs[number]
        return painter.batch(setup).made(photo, result)

    names = [
        os.path.join(folder, named(template, photo, setup, number, format))
        for number, (photo, folder, setup) in enumerate(pairs, start=1)
    ]
    outputs = plan_outputs(
        [photo for photo, _, _ in pairs], format=format, inputs=found.files, made=made if skip_existing else None,
        names=names, **where,
    )  # fmt: skip
    return [
        Job(photo, str(path), setup, (format or "png") if is_sink(str(path)) else None)
        for (photo, _, setup), path in zip(pairs, outputs, strict=True)
    ]


def _still_to_make(jobs: Sequence[Job]) -> list[Job]:
    """Leave out those whose results are there already, and say how many they are."""
    left = [job for job in jobs if is_sink(job.output) or not os.path.lexists(job.output)]
    if len(left) < len(jobs):
        tell(f"{len(jobs) - len(left)} of {len(jobs)} results are there already; they are left as they are")
    return left
