"""The command `wctstyle batch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from wctstyle import places
from wctstyle.cli import options
from wctstyle.cli import stylize_options as own
from wctstyle.cli.console import Verbose, clean_exit, waiting
from wctstyle.cli.manifest import Row, read_manifest
from wctstyle.cli.naming import named, template_of
from wctstyle.cli.outputs import check_folder, check_free, identities, identity, numbered_names
from wctstyle.cli.painting import Way, paint_all
from wctstyle.cli.specs import Format
from wctstyle.errors import ConfigError
from wctstyle.jobs.work import Job, Painter

Manifest = Annotated[
    str,
    typer.Argument(
        metavar="MANIFEST",
        show_default=False,
        help="A CSV or JSONL file with a row for each picture: content, styles, and any option of stylize.",
    ),
]
Ray = Annotated[
    bool,
    options.many_option("--ray", help="Paint with Ray: on the cluster of RAY_ADDRESS, or else here (extra `cluster`)."),
]
RayAddress = Annotated[
    str | None,
    options.many_option(
        "--ray-address", metavar="ADDRESS", show_default=False, help="Paint on the Ray cluster at this address."
    ),
]
Workers = Annotated[
    int | None,
    options.many_option(
        "--workers",
        min=1,
        metavar="N",
        show_default="1; on Ray as many as it has GPUs, or else cores",
        help="Number of worker processes or Ray actors; each loads its own model.",
    ),
]


@clean_exit
def batch(
    manifest: Manifest,
    output: Annotated[
        str | None,
        options.output_option(
            "--output",
            "-o",
            metavar="DIR",
            show_default="the current folder",
            help="Folder for results, or an address as s3://bucket/results.",
        ),
    ] = None,
    name: own.Name = None,
    format: own.FolderFormat = None,
    overwrite: options.Overwrite = False,
    skip_existing: own.SkipExisting = False,
    sheet: own.Sheet = None,
    workers: Workers = None,
    ray: Ray = False,
    ray_address: RayAddress = None,
    keep_going: own.KeepGoing = True,
    report: own.Report = None,
    as_json: own.AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Paint the pictures of a manifest, with processes of this machine or on a cluster.

    wctstyle batch manifest.csv -o painted --workers 2
    """  # fmt: skip
    if overwrite and skip_existing:
        raise ConfigError("--overwrite and --skip-existing contradict each other; give one of them")
    with waiting("reading the manifest"):
        rows = read_manifest(manifest)
        files = list(dict.fromkeys(file for row in rows for file in row.files))
        outputs = _plan(rows, output, template_of(name, format), format)
        local = [Path(place) for place in outputs if not places.is_address(place)]
        if local and not (output and places.is_address(output)):
            check_folder(Path(output or "."))
        check_free(local, overwrite=overwrite or skip_existing, inputs=[manifest, *files], other="output or folder")
    there = "replace" if overwrite else "keep" if skip_existing else "refuse"
    jobs = [
        Job(row.content, place, row.setup, there=there, line=row.line) for row, place in zip(rows, outputs, strict=True)
    ]
    on_ray = (ray_address or "") if ray or ray_address else None
    way = Way(
        workers or (1 if on_ray is None else None), on_ray, keep_going=keep_going, report=report, sheet=sheet,
        as_json=as_json, verbose=verbose,
    )  # fmt: skip
    way.check(len(jobs), overwrite=overwrite or skip_existing, inputs=[manifest, *files])
    paint_all(jobs, Painter(), way)


def _plan(rows: Sequence[Row], out: str | None, template: str | None, format: Format | None) -> list[str]:
    """Choose a place for each result: that of its row, or one by the template, numbered where it is taken."""
    taken = {places.join(out or "", row.output).casefold() for row in rows if row.output}
    read = identities([file for row in rows for file in row.files])
    names: dict[str, Iterator[str]] = {}
    found = []
    for number, row in enumerate(rows, start=1):
        plain = places.join(out or "", row.output or named(template, row.content, row.setup, number, format))
        if row.output:
            found.append(plain)
            continue
        place = next(
            name for name in names.setdefault(plain, numbered_names(plain))
            if name.casefold() not in taken and (places.is_address(name) or identity(name) not in read)
        )  # fmt: skip
        taken.add(place.casefold())
        found.append(place)
    return found
