"""Names and addresses: of this machine, in the headers Host and Origin, and of who asks."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket

from wctstyle.errors import ConfigError
from wctstyle.web.asgi import Scope, header

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""What this machine calls itself."""

EVERYWHERE = ("0.0.0.0", "::", "")
"""Addresses to listen on that stand for all of this machine's."""

DEFAULT_PORTS = {"http": 80, "https": 443}

NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
"""A host's name, in lower case."""

HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:/@\s]+)(:(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
"""The form of the header Host."""


def is_private(host: str, share: bool = False) -> bool:
    """Say whether only this machine reaches a server there."""
    found = literal(host)
    return not share and (host == "localhost" if found is None else found.is_loopback)


def literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address that is written in numbers, None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def check_address(host: str, port: int | None) -> None:
    """Try to take the port, or any where none is given, as servers refuse late and in words of their own.

    Raises:
        ConfigError: the port is taken, or the host is not of this machine.
    """
    try:
        family = socket.getaddrinfo(host.strip("[]"), port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(*family[:3]) as probe:
            if os.name == "posix":  # Windows would share a port that another server listens on
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(family[4])
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        where, other = (f"--host {host}", "another") if port is None else (f"--host {host} --port {port}", "others")
        raise ConfigError(f"{where}: cannot be served there: {reason}; choose {other}") from error


def own_names() -> tuple[str, ...]:
    """Return the names that this machine has in its network."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        short = socket.gethostname().lower()
        names = [short, socket.getfqdn().lower(), f"{short.partition('.')[0]}.local"]
    return tuple(dict.fromkeys(name for name in names if NAME.fullmatch(name)))


def split_host(text: str) -> tuple[str, int | None] | None:
    """Split the header Host into name, in lower case without brackets, and port; None where it makes no sense."""
    found = HOST.fullmatch(text.strip())
    if found is None:
        return None
    name = found["name"].lower().strip("[]").rstrip(".")
    port = None if found["port"] is None else int(found["port"])
    if (literal(name) is None and not NAME.fullmatch(name)) or (port or 0) > 65535:
        return None
    return name, port


def split_origin(text: str) -> tuple[str, str, int] | None:
    """Split the header Origin into scheme, name and port; None for `null` and what makes no sense."""
    scheme, between, rest = text.strip().lower().partition("://")
    found = split_host(rest.removesuffix("/"))
    if not between or scheme not in DEFAULT_PORTS or found is None:
        return None
    name, port = found
    return scheme, name, DEFAULT_PORTS[scheme] if port is None else port


def matches(name: str, pattern: str) -> bool:
    """Say whether a host's name is one that is allowed: `*` is any, `*.example.org` any name that ends so."""
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return pattern in ("*", name)


def client_of(scope: Scope, behind_proxy: bool) -> str:
    """Return the address of who asks; IPv6 addresses of one network (/64) are one, as each visitor has many.

    Behind a proxy it is the last of X-Forwarded-For: the one that the nearest proxy wrote. Those before it may be made
    up by the visitor.
    """
    peer = scope.get("client")
    name = str(peer[0]) if peer else "unknown"
    if behind_proxy:
        name = (header(scope, "x-forwarded-for") or name).rpartition(",")[2].strip()
    found = literal(name.partition("%")[0])
    if found is None:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        if not found.is_loopback:
            return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
