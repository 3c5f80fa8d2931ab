"""The command `wctstyle demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from wctstyle.cli.console import Verbose, clean_exit, tell
from wctstyle.cli.server_options import ServerOptions, leaving, with_server_options
from wctstyle.settings import DEFAULT_MODEL, MAX_SIDE, ModelName
from wctstyle.web import check_address


@clean_exit
@with_server_options
def demo(
    server: ServerOptions,
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
            show_default="--keep where only this machine reaches the page: not with --share, --behind-proxy or --host",
            help="Write the pictures and the history of pages to this disk, so that a restarted server has them.",
        ),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Blend styles live in the browser."""
    from wctstyle.demo.limits import Limits

    limits = Limits(max_size=max_size, live_size=min(512, max_size), queue_size=queue_size)
    exposure = server.exposure(host, share=share)
    from wctstyle.demo import build, launch

    check_address(host, port)
    tell("Loading the model and making the first picture ...")
    built = build(model=model, limits=limits, keep=exposure.private if keep is None else keep)

    def ready(address: str) -> None:
        typer.echo(address)
        tell("The demo is open at this address. Ctrl-C stops it.")

    stopping = server.stopping()
    with leaving(stopping):
        launch(built, exposure, port=port, ready=ready, stopping=stopping)
