"""The command `wctstyle serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from wctstyle import heaps
from wctstyle.cli.console import Verbose, clean_exit, tell
from wctstyle.cli.options import from_options
from wctstyle.cli.server_options import ServerOptions, with_server_options
from wctstyle.service.limits import Limits
from wctstyle.settings import DEFAULT_MODEL, MAX_SIDE, ModelName
from wctstyle.web import check_address

GRANTED = Limits()


@clean_exit
@with_server_options
def serve(
    server: ServerOptions,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    model: Annotated[
        ModelName,
        typer.Option(
            help="The model that paints unless a request names one: slim is fast, medium is better, vgg19 is best and "
            "needs `weights get vgg19`."
        ),
    ] = DEFAULT_MODEL,
    max_size: Annotated[
        int, typer.Option(metavar="LONG_SIDE", help=f"Longest side of results, in pixels, up to {MAX_SIDE}.")
    ] = GRANTED.max_size,
    queue_size: Annotated[
        int, typer.Option(help="Jobs that may wait before clients are asked to come back.")
    ] = GRANTED.queue_size,
    job_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="The time after which a job ends with an error.")
    ] = GRANTED.job_seconds,
    result_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long results of jobs are kept.")
    ] = GRANTED.result_seconds,
    verbose: Verbose = 0,
) -> None:
    """Serve the API for programs, without a page.

    wctstyle serve --port 8000

    Requests and answers are described at /docs of its address.
    """
    limits = from_options(
        Limits, max_size=max_size, queue_size=queue_size, job_seconds=job_seconds, result_seconds=result_seconds
    )
    exposure = server.exposure(host)
    check_address(host, port)
    heaps.share()
    from wctstyle.service import Service, Studio  # here, as they import JAX
    from wctstyle.service.running import serve as run

    tell("Loading the model and making the first picture ...")
    studio = Studio(model)
    studio.warm()

    def ready(address: str) -> None:
        typer.echo(address)
        tell(f"The API is served at this address, and described at {address}docs. Ctrl-C stops it.")

    run(Service(studio, limits), exposure, port=port, ready=ready, stopping=server.stopping())
