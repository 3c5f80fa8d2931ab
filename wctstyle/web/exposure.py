"""Who may reach a server, and how much one client may ask of it: checked values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from wctstyle.errors import ConfigError
from wctstyle.settings import checked_number, checked_whole
from wctstyle.web.addresses import EVERYWHERE, LOOPBACK, NAME, is_private, literal, own_names, split_origin

LogFormat = Literal["text", "json"]

RATE = 1200
"""Requests a minute and client: a page that loads asks for about a hundred, a camera for up to 15 a second."""

CLIENT_UPLOADS, ALL_UPLOADS = 4096, 16384
"""MiB an hour, of one client and of all: a camera sends about 1.5 GiB. Files of the API lie on disk for half an hour,
so no more than one and a half times the latter do."""

STOP_SECONDS = 30.0
"""How long running work may go on after a stop was asked for."""

LEAST_TOKEN, LEAST_PASSWORD = 16, 8
"""Characters. At ten guesses a minute and address, these are not guessed."""


@dataclass(frozen=True)
class Exposure:
    """How a server is exposed.

    host, share: where it listens, and whether there is a public tunnel to it. allowed_hosts: names it is called by (the
    header Host), next to this machine's own; `*.example.org` is any name that ends so, `*` any at all. allowed_origins:
    pages of other servers that may use it (https://example.org; `*`: any page). behind_proxy: believe what the nearest
    proxy says of its visitors (X-Forwarded-For and -Proto); requests that reach the server past the proxy could
    claim anything then. rate: requests a minute and client. client_uploads, all_uploads: MiB that one client and all of
    them send in an hour. These three are 0 for no limit, and None for none where only this machine reaches the server,
    `RATE`, `CLIENT_UPLOADS` and `ALL_UPLOADS` elsewhere. token: for programs, as `Authorization: Bearer TOKEN`.
    password: for browsers, which ask for it; any user name goes. metrics: answer /metrics. log_format: write a line to
    stderr for each request. log_names: with its path, which may name pictures, and with the messages of faults.
    stop_seconds: how long running work may go on after a stop was asked for.

    Raises:
        ConfigError: a value that makes no sense; the message begins with its name.
    """

    host: str = "127.0.0.1"
    share: bool = False
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    behind_proxy: bool = False
    rate: int | None = None
    client_uploads: int | None = None
    all_uploads: int | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    metrics: bool = False
    log_format: LogFormat | None = None
    log_names: bool = False
    stop_seconds: float = STOP_SECONDS

    def __post_init__(self) -> None:
        for pattern in self.allowed_hosts:
            _check_host(pattern)
        for origin in self.allowed_origins:
            if origin != "*" and split_origin(origin) is None:
                wanted = "must be as https://example.org or https://example.org:8443, without a path, or *"
                raise ConfigError(f"allowed_origins is {origin!r}, {wanted}")
        for name in ("rate", "client_uploads", "all_uploads"):
            if getattr(self, name) is not None:
                checked_whole(name, getattr(self, name), 0)
        for name, least in (("token", LEAST_TOKEN), ("password", LEAST_PASSWORD)):
            _check_secret(name, getattr(self, name), least)
        if self.log_format is not None and self.log_format not in get_args(LogFormat):
            raise ConfigError(f"log_format is {self.log_format!r}, must be one of {', '.join(get_args(LogFormat))}")
        checked_number("stop_seconds", self.stop_seconds, 0, 3600)

    @property
    def private(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_private(self.host, self.share) and not self.behind_proxy

    @property
    def requests_a_minute(self) -> int:
        """Most requests a minute and client; 0: no limit."""
        return self._limit(self.rate, RATE)

    @property
    def client_upload_bytes(self) -> int:
        """Most bytes that one client sends in an hour; 0: no limit."""
        return self._limit(self.client_uploads, CLIENT_UPLOADS) * 2**20

    @property
    def all_upload_bytes(self) -> int:
        """Most bytes that all clients send in an hour; 0: no limit."""
        return self._limit(self.all_uploads, ALL_UPLOADS) * 2**20

    def _limit(self, given: int | None, usual: int) -> int:
        return given if given is not None else 0 if self.private else usual

    @property
    def host_patterns(self) -> tuple[str, ...]:
        """The names that the server answers to: see `addresses.matches`."""
        own = own_names() if self.host in EVERYWHERE else (self.host.strip("[]").lower(),)
        tunnel = ("*.gradio.live",) if self.share else ()
        return (*LOOPBACK, *own, *tunnel, *(pattern.lower().strip("[]") for pattern in self.allowed_hosts))

    @property
    def numbers_allowed(self) -> bool:
        """Whether any address in numbers may stand in the header Host.

        Only a name can be pointed at this machine by somebody else, so numbers are safe. They are refused where names
        are given: those who scan a network for servers know numbers only.
        """
        return not self.allowed_hosts


def _check_host(pattern: Any) -> None:
    name = str(pattern).lower().strip("[]").removeprefix("*.")
    if pattern != "*" and literal(name) is None and not NAME.fullmatch(name):
        wanted = "must be a name as studio.example.org or *.example.org, without scheme and port, or *"
        raise ConfigError(f"allowed_hosts is {pattern!r}, {wanted}")


def _check_secret(name: str, secret: str | None, least: int) -> None:
    if secret is not None and (len(secret) < least or not secret.isprintable() or not secret.isascii()):
        wanted = f"must be at least {least} characters: letters, digits and signs of ASCII"
        raise ConfigError(f"{name} has {len(secret)} characters, {wanted}")
