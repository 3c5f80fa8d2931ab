"""The download of the original VGG-19: the only code of the package that touches the network."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wctstyle.errors import ConfigError, WeightsError
from wctstyle.weights.convert import import_vgg19
from wctstyle.weights.files import digest, writing
from wctstyle.weights.models import user_dir

Progress = Callable[[int, int | None], None]

OFFICIAL_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
"""The original VGG-19 convolutions as Keras ships them (80 MB)."""

OFFICIAL_MD5 = "253f8cb515780f3b799900260a226db6"
"""MD5 of that file, as `keras.applications.vgg19` states it."""

_CHUNK = 1 << 16
_MAX_BYTES = 1 << 30
_TIMEOUT_S = 30.0
"""Silence after which an attempt is given up."""
_ATTEMPTS = 4
"""How many attempts in a row may bring nothing new."""
_PAUSE_S = 1.0
"""Before the second attempt; doubled for each that follows."""
_HOPELESS = (socket.gaierror, ssl.SSLCertVerificationError)
"""No such server, or no trusting it: another attempt changes nothing."""
_BY_HAND = "Or fetch the file by other means and run `wctstyle weights import FILE`"


class _Cut(Exception):
    """One attempt failed in a way that another may not."""


def download_vgg19(
    *, url: str = OFFICIAL_URL, md5: str = OFFICIAL_MD5, progress: Progress = lambda done, total: None
) -> Path:
    """Download the original VGG-19, check it and import it as `import_vgg19` does.

    The download goes to a `.part` file in `user_dir()`, where an interrupted one (a cut connection, Ctrl-C, a full
    disk) is taken up again by the next call. Proxies are those of the environment (`https_proxy`).

    Args:
        url: Where from, http or https.
        md5: MD5 of the file, in hex.
        progress: Called with (bytes so far, bytes in all or None if the server does not say).

    Returns:
        The imported encoder; the downloaded file itself is removed.

    Raises:
        ConfigError: `url` makes no sense.
        WeightsError: no network, the server does not have the file or keeps failing, the checksum is wrong (the
            download is then removed), or the disk is full.

    Example:
        >>> download_vgg19(url="vgg19.h5")
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: url is 'vgg19.h5', must begin with http:// or https:// and name a server
    """
    address = urllib.parse.urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError(f"url is {url!r}, must begin with http:// or https:// and name a server")
    part = user_dir() / "vgg19.h5.part"
    if not (part.is_file() and digest(part, "md5") == md5.lower()):
        _fetch_whole(url, part, progress)
        if (got := digest(part, "md5")) != md5.lower():
            size = part.stat().st_size
            part.unlink()
            raise WeightsError(
                f"{url}: the file received ({size} bytes) has MD5 {got}, wanted {md5.lower()}; it was removed. Run the "
                "command again; should this repeat, something between you and the server alters the file"
            )
    imported = import_vgg19(part)
    part.unlink()
    return imported


def _fetch_whole(url: str, part: Path, progress: Progress) -> None:
    """Fetch until the file is whole, or `_ATTEMPTS` in a row brought nothing new."""
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    most, fruitless = _size(part), 0
    while True:
        try:
            return _fetch(url, part, progress)
        except _Cut as cut:
            now = _size(part)
            most, fruitless = max(most, now), 0 if now > most else fruitless + 1
            if fruitless >= _ATTEMPTS:
                raise WeightsError(
                    f"{url}: {cut}; gave up after {fruitless} attempts that brought nothing new. {now} bytes are kept "
                    f"in {part}; run the command again to go on from there"
                ) from cut
        time.sleep(_PAUSE_S * 2**fruitless)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fetch(url: str, part: Path, progress: Progress) -> None:
    """Make one attempt, going on from what `part` holds where the server can."""
    have = _size(part)
    headers = {"User-Agent": "wctstyle", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            _receive(response, part, have, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the server cannot go on from there
            part.unlink(missing_ok=True)
        said = f"the server answered {error.code} {error.reason}"
        if error.code in (408, 416, 425, 429) or error.code >= 500:
            raise _Cut(said) from error
        raise WeightsError(f"{url}: {said}, wanted 200; check the address. {_BY_HAND}") from error
    except urllib.error.URLError as error:
        said = f"no connection to {urllib.parse.urlsplit(url).hostname}: {error.reason}"
        if isinstance(error.reason, OSError) and not isinstance(error.reason, _HOPELESS):
            raise _Cut(said) from error
        raise WeightsError(f"{url}: {said}. Check the network, DNS, the proxy and the clock. {_BY_HAND}") from error
    except http.client.InvalidURL as error:
        raise ConfigError(f"url is {url!r}: {error}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _cut(error) from error


def _cut(error: Exception) -> _Cut:
    if isinstance(error, TimeoutError):
        return _Cut(f"no answer for {_TIMEOUT_S:g} seconds")
    return _Cut(f"the connection failed: {str(error) or type(error).__name__}")


def _receive(response: Any, part: Path, have: int, progress: Progress) -> None:
    """Append the body to `part`, or start it over where the server sends the file from its beginning."""
    if response.status != 206:
        have = 0
    elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        part.unlink(missing_ok=True)
        raise _Cut(f"the server sent another range than the one from byte {have}")
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    with writing(part), open(part, "ab" if have else "wb") as file:
        progress(have, total)
        for chunk in _chunks(response):
            file.write(chunk)
            have += len(chunk)
            if have > _MAX_BYTES:
                raise WeightsError(f"{response.url}: sent over {_MAX_BYTES} bytes, far too many for VGG-19")
            progress(have, total)
    if total is not None and have < total:
        raise _Cut(f"the connection was cut after {have} of {total} bytes")


def _chunks(response: Any) -> Iterator[bytes]:
    """Read the body; here, so that a failing connection is not taken for a failing disk."""
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except (http.client.HTTPException, OSError) as error:
        raise _cut(error) from error
