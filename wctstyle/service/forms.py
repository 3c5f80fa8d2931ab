"""The body of a request: texts and files by name, the files in a folder of their own."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from wctstyle import samples
from wctstyle.errors import ConfigError
from wctstyle.masks import PREFIX, split_color
from wctstyle.service.limits import MIB, Limits
from wctstyle.service.refusals import Refused

TEXT_BYTES = 65536
"""Most bytes of one text."""

TEXTS = 500
"""Most texts in one request."""

LONGEST_NAME = 100


@dataclass(frozen=True)
class Form:
    """What a request brought. values: texts by their fields, uploads among them by name. uploads: their paths by name.

    fields: the field that each upload came in.
    """

    folder: Path
    values: dict[str, list[str]] = field(default_factory=dict)
    uploads: dict[str, Path] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A hash of all that was sent, equal for requests that ask for the same."""
        return hashlib.sha256(repr((sorted(self.values.items()), sorted(self.hashes.items()))).encode()).hexdigest()

    def source(self, field: str, name: str) -> str:
        """Return what `inputs.read` takes for a picture that a field names.

        Raises:
            ConfigError: it is neither a file of this request nor a sample.
        """
        if name.startswith(samples.PREFIX):
            samples.path(name.removeprefix(samples.PREFIX))
            return name
        if name not in self.uploads:
            raise ConfigError(
                f"{field} names {name[:80]!r}, which is neither a file of this request nor sample:NAME; send the file "
                "in the field file"
            )
        return str(self.uploads[name])

    def mask(self, field: str, name: str) -> str:
        """Return what `inputs.read_masks` takes for a mask that a field names.

        Raises:
            ConfigError: it is neither a file of this request nor found in photos.
        """
        if name.startswith(PREFIX):
            return name
        file, color = split_color(name)
        return self.source(field, file) + (f"#{color}" if color else "")

    def public(self, text: str) -> str:
        """Write a message without the folders of this machine."""
        for name, path in self.uploads.items():
            text = text.replace(str(path), name)
        return text.replace(f"{self.folder}{os.sep}", "")

    def field_of(self, text: str) -> str | None:
        """Return the field of the upload that a message begins with."""
        return next((self.fields[name] for name in self.uploads if text.startswith(f"{name}:")), None)

    def add(self, field: str, upload: UploadFile) -> None:
        """Keep an upload; equal ones share a file, and others of the same name get a number."""
        data = hashlib.file_digest(upload.file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
        base = clean_name(upload.filename)
        stem, suffix = os.path.splitext(base)
        name, number = base, 1
        while name in self.uploads and self.hashes[name] != data:
            number += 1
            name = f"{stem}-{number}{suffix}"
        if name not in self.uploads:
            path = self.folder / str(len(self.uploads)) / name
            path.parent.mkdir(parents=True)
            upload.file.seek(0)
            with path.open("wb") as file:
                shutil.copyfileobj(upload.file, file, MIB)
            self.uploads[name], self.hashes[name], self.fields[name] = path, data, field
        self.values.setdefault(field, []).append(name)


def clean_name(text: str | None) -> str:
    """Return the name of a file without folders, and without what has a meaning in names of pictures."""
    name = re.split(r"[/\\]", text or "")[-1]
    name = "".join(char if char.isprintable() and char not in "#?*" else "-" for char in name).strip()
    stem, suffix = os.path.splitext(name)
    name = stem[: LONGEST_NAME - len(suffix)] + suffix if len(suffix) < LONGEST_NAME else ""
    if name in ("", ".", "..", "-") or name.startswith((samples.PREFIX, PREFIX)):
        return "picture"
    return name


async def read_form(request: Request, limits: Limits, folder: Path) -> Form:
    """Read a body; its files are written to the folder.

    Raises:
        Refused: it is no form, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limits.request_bytes:
        raise _too_large("this request", int(told), limits.request_bytes)
    body = _counted(request, limits.request_bytes if kind == "multipart/form-data" else MIB)
    try:
        if kind == "multipart/form-data":
            sent = await MultiPartParser(
                request.headers, body, max_files=limits.files, max_fields=TEXTS, max_part_size=TEXT_BYTES
            ).parse()
        elif kind == "application/x-www-form-urlencoded":
            sent = await FormParser(request.headers, body).parse()
        else:
            raise Refused(
                415, f"the body is {kind[:80] or 'of no type'}, must be multipart/form-data; see /docs for examples"
            )
    except (MultiPartException, KeyError, UnicodeDecodeError) as error:
        raise Refused(400, f"the form cannot be read: {getattr(error, 'message', 'it is damaged')}") from error
    try:
        return await run_in_threadpool(_kept, sent, limits, folder)
    finally:
        await sent.close()


def _kept(sent: FormData, limits: Limits, folder: Path) -> Form:
    form, kind = Form(folder), sent.get("kind")
    for name, value in sent.multi_items():
        if isinstance(value, str):
            form.values.setdefault(name, []).append(value)
            continue
        most = limits.video_bytes if (kind, name) == ("video", "content") else limits.upload_bytes
        if (value.size or 0) > most:
            raise _too_large(clean_name(value.filename), value.size or 0, most, name)
        if value.size:
            form.add(name, value)
        elif value.filename:  # browsers send a file without a name where none was chosen
            what = f"{clean_name(value.filename)}: is empty (0 bytes); export or download it again"
            raise Refused(422, what, field=name)
    return form


def _too_large(what: str, size: int, most: int, field: str | None = None) -> Refused:
    return Refused(413, f"{what} has {size:,} bytes; up to {most:,} are taken", field=field)


async def _counted(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """Pass a body on, up to so many bytes."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise _too_large("this request", size, most)
        yield chunk
