"""The options of commands that start a server: who may reach it, and how much one client may ask."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from wctstyle.cli.console import EXIT_INTERRUPTED, tell
from wctstyle.cli.options import from_options
from wctstyle.errors import ConfigError
from wctstyle.web.exposure import ALL_UPLOADS, CLIENT_UPLOADS, RATE, STOP_SECONDS, Exposure, LogFormat
from wctstyle.web.stopping import Stopping

_option = functools.partial(typer.Option, rich_help_panel="Exposed server")

NO_LIMIT = "none where only this machine reaches the server"

AllowedHost = Annotated[
    list[str] | None,
    _option(
        "--allowed-host",
        metavar="NAME",
        show_default="this machine's own names, and addresses in numbers",
        help="A name that the server is called by, as studio.example.org or *.example.org; several times for more.",
    ),
]
AllowOrigin = Annotated[
    list[str] | None,
    _option(
        "--allow-origin",
        metavar="ORIGIN",
        show_default="none but the server's own",
        help="A page that may call the server from elsewhere (CORS), as https://example.org; * lets any.",
    ),
]
Rate = Annotated[
    int | None,
    _option(
        metavar="REQUESTS",
        show_default=f"{RATE}; {NO_LIMIT}",
        help="Requests that one address may make in a minute; 0: no limit.",
    ),
]
ClientUploads = Annotated[
    int | None,
    _option(
        metavar="MIB",
        show_default=f"{CLIENT_UPLOADS}; {NO_LIMIT}",
        help="MiB that one address may send in an hour; 0: no limit.",
    ),
]
AllUploads = Annotated[
    int | None,
    _option(
        metavar="MIB",
        show_default=f"{ALL_UPLOADS}; {NO_LIMIT}",
        help="MiB that all together may send in an hour; 0: no limit.",
    ),
]
Token = Annotated[
    str | None,
    _option(
        envvar="WCTSTYLE_TOKEN",
        show_default=False,
        help="Ask programs for this token (Authorization: Bearer TOKEN). Other users of this machine can see options, "
        "so give it by the environment, or a file.",
    ),
]
TokenFile = Annotated[
    Path | None,
    _option(envvar="WCTSTYLE_TOKEN_FILE", metavar="FILE", show_default=False, help="A file with the token in it."),
]
Password = Annotated[
    str | None,
    _option(
        envvar="WCTSTYLE_PASSWORD",
        show_default=False,
        help="Ask browsers for this password, with any user name. Give it by the environment, or a file, as the token.",
    ),
]
PasswordFile = Annotated[
    Path | None,
    _option(
        envvar="WCTSTYLE_PASSWORD_FILE", metavar="FILE", show_default=False, help="A file with the password in it."
    ),
]
Figures = Annotated[bool, _option("--metrics", help="Answer /metrics with figures for Prometheus.")]
LogForm = Annotated[
    LogFormat | None,
    _option("--log-format", show_default="no line for a request", help="Write a line to stderr for each request."),
]
LogNames = Annotated[
    bool, _option("--log-names", help="Log paths and messages of faults as well, which may name pictures.")
]
BehindProxy = Annotated[
    bool,
    _option(
        "--behind-proxy",
        help="Believe the nearest proxy who a visitor is (X-Forwarded-For, -Proto). Visitors must not get past it.",
    ),
]
StopAfter = Annotated[
    float, _option(metavar="SECONDS", help="How long running work may go on after Ctrl-C or SIGTERM.")
]


@dataclass(frozen=True)
class ServerOptions:
    """The options as they were given; the fields are parameters of a command that has `with_server_options`."""

    allowed_host: AllowedHost = None
    allow_origin: AllowOrigin = None
    behind_proxy: BehindProxy = False
    rate: Rate = None
    client_uploads: ClientUploads = None
    all_uploads: AllUploads = None
    password: Password = None
    password_file: PasswordFile = None
    token: Token = None
    token_file: TokenFile = None
    metrics: Figures = False
    log_format: LogForm = None
    log_names: LogNames = False
    stop_after: StopAfter = STOP_SECONDS

    def exposure(self, host: str, *, share: bool = False) -> Exposure:
        """Check the options for a server at an address.

        Raises:
            ConfigError: one makes no sense, naming it.
        """
        own = {"allowed_hosts": self.allowed_host, "allowed_origins": self.allow_origin}
        same = {name: getattr(self, name) for name in SAME}
        secrets = {
            "token": _secret("token", self.token, self.token_file),
            "password": _secret("password", self.password, self.password_file),
        }
        try:
            return from_options(
                Exposure,
                host=host,
                share=share,
                stop_seconds=self.stop_after,
                **{name: tuple(given or ()) for name, given in own.items()},
                **same,
                **secrets,
            )
        except ConfigError as error:
            raise ConfigError(_renamed(str(error))) from error

    def stopping(self) -> Stopping:
        """Return what hears Ctrl-C and SIGTERM, and says so."""
        after = f"Running work may take up to {self.stop_after:g} seconds to end; press Ctrl-C again to stop at once."
        return Stopping(lambda: tell(f"Stopping. {after}"))


SAME = ("behind_proxy", "rate", "client_uploads", "all_uploads", "metrics", "log_format", "log_names")
"""Options with the names that `Exposure` has for them."""

OTHER = {
    "--allowed-hosts": "--allowed-host",
    "--allowed-origins": "--allow-origin",
    "--stop-seconds": "--stop-after",
    "--password": "the password (--password, --password-file or WCTSTYLE_PASSWORD)",
    "--token": "the token (--token, --token-file or WCTSTYLE_TOKEN)",
}


def _renamed(text: str) -> str:
    name, _, rest = text.partition(" ")
    return f"{OTHER.get(name, name)} {rest}"


def _secret(name: str, given: str | None, file: Path | None) -> str | None:
    """Return a secret that is given, or stands in a file."""
    if file is None:
        return given
    if given is not None:
        raise ConfigError(f"--{name} and --{name}-file contradict each other; give one of them")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        wanted = f"give a file with the {name} in it"
        raise ConfigError(f"--{name}-file {file}: cannot be read: {reason}; {wanted}") from error


@contextlib.contextmanager
def leaving(stopping: Stopping) -> Iterator[None]:
    """End the process where a server was asked to stop: with 0, or as by Ctrl-C where it was to stop at once.

    Python's own end is left out: where a thread still compiles or paints, XLA aborts the process then.
    """
    code = 0
    try:
        yield
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
        tell("Stopped at once.")
    if stopping.wanted:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


_Command = TypeVar("_Command", bound=Callable[..., None])


def with_server_options(command: _Command) -> _Command:
    """Add these options to a command, whose parameter `server` gets all of them as one `ServerOptions`."""
    own = inspect.signature(command, eval_str=True)
    hints = get_type_hints(ServerOptions, include_extras=True)
    added = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(ServerOptions)
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = {field.name: given.pop(field.name) for field in fields(ServerOptions)}
        command(**given, server=ServerOptions(**options))

    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own.parameters.values()
        if parameter.name != "server"
    ]
    parameters = [*kept, *added]
    run.__signature__ = own.replace(parameters=parameters)  # pyright: ignore[reportAttributeAccessIssue]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": None}
    return run  # pyright: ignore[reportReturnType]
