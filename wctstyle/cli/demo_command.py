"""The command `wctstyle demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from wctstyle.cli.console import Verbose, clean_exit, tell
from wctstyle.settings import DEFAULT_MODEL, MAX_SIDE, ModelName


@clean_exit
def demo(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, show_default="the first free one from 7860", help="Port to listen on."),
    ] = None,
    share: Annotated[bool, typer.Option("--share", help="Open a public tunnel through gradio.live as well.")] = False,
    model: Annotated[
        ModelName,
        typer.Option(
            help="The model that paints: slim is fast, medium is better, vgg19 is best and needs `weights get vgg19`."
        ),
    ] = DEFAULT_MODEL,
    max_size: Annotated[
        int, typer.Option(metavar="LONG_SIDE", help=f"Longest side rendered, in pixels, up to {MAX_SIDE}.")
    ] = 2048,
    queue_size: Annotated[int, typer.Option(help="Jobs that may wait before visitors are asked to come back.")] = 64,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep",
            show_default="--keep where only this machine reaches the page, so not with --share or another --host",
            help="Write the pictures and the history of pages to this disk, so that a restarted server has them.",
        ),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Blend styles live in the browser."""
    from wctstyle.demo.limits import Limits

    limits = Limits(max_size=max_size, live_size=min(512, max_size), queue_size=queue_size)
    from wctstyle.demo import build, check_address, is_private, launch

    check_address(host, port)
    tell("Loading the model and making the first picture ...")
    built = build(model=model, limits=limits, keep=is_private(host, share) if keep is None else keep)

    def ready(address: str) -> None:
        typer.echo(address)
        tell("The demo is open at this address. Ctrl-C stops it.")

    launch(built, host=host, port=port, share=share, ready=ready)
