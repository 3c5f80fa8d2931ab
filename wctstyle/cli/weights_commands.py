"""The commands `wctstyle weights ...`: list, verify, import and get."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from wctstyle.cli.console import EXIT_INPUT, Verbose, clean_exit, fail, print_table, progress_bar, tell
from wctstyle.cli.specs import Preprocessing
from wctstyle.errors import ConfigError
from wctstyle.settings import ModelName

weights_app = typer.Typer(help="List, check, import or download model weights.", no_args_is_help=True)


@weights_app.command("list")
@clean_exit
def list_weights(verbose: Verbose = 0) -> None:
    """List the models: whether they can be used here, their size, licence and files."""
    from wctstyle import weights

    table = Table("model", "usable", "size", "licence", "files", box=None, pad_edge=False)
    models = weights.list_models()
    for model in models:
        files = Text("\n".join(map(str, model.where)) or "-", overflow="fold")
        size = f"{model.size / 1e6:.1f} MB" if model.where else "-"
        table.add_row(model.name, "yes" if model.available else "no", size, model.licence or "-", files)
    print_table(table)
    for model in models:
        if model.why_not:
            tell(model.why_not)


@weights_app.command("verify")
@clean_exit
def verify_weights(verbose: Verbose = 0) -> None:
    """Check every weights file: checksum, shapes, finite numbers."""
    from wctstyle import weights

    reports = weights.verify()
    for report in reports:
        typer.echo(f"{report.file}: {'ok' if report.ok else 'has problems'}")
    problems = [f"{report.file}: {problem}" for report in reports for problem in report.problems]
    if problems:
        fail("the weights have problems:\n" + "\n".join(problems), EXIT_INPUT, traced=False)


@weights_app.command("import")
@clean_exit
def import_weights(
    file: Annotated[
        Path,
        typer.Argument(show_default=False, help="VGG-19 as Keras HDF5, torchvision's layout in safetensors, or .npz."),
    ],
    preprocessing: Annotated[
        Preprocessing | None,
        typer.Option(show_default="by the layout", help="What input the weights were trained on."),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Take the encoder of the model vgg19 from a file you have."""
    from wctstyle import weights

    typer.echo(str(weights.import_vgg19(file, preprocessing=preprocessing)))


@weights_app.command("get")
@clean_exit
def get_weights(
    model: Annotated[str, typer.Argument(show_default=False, help="vgg19 (slim and medium come with the package).")],
    url: Annotated[
        str | None,
        typer.Option(show_default="the official address", help="Another address of the same file (a mirror)."),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Download the encoder of the model vgg19 (80 MB, once); takes up an interrupted download again."""
    if model != "vgg19":
        known = "it comes with the package" if model in get_args(ModelName) else "there is no such model"
        raise ConfigError(f"weights get {model}: {known}; only vgg19 is downloaded")
    from wctstyle import weights

    with _download_bar() as update:
        path = weights.download_vgg19(progress=update, url=url or weights.OFFICIAL_URL)
    typer.echo(str(path))


@contextlib.contextmanager
def _download_bar() -> Iterator[Callable[[int, int | None], None]]:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with progress_bar(TextColumn("{task.description}"), *columns) as progress:
        task = progress.add_task("VGG-19", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
