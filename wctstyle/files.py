"""Atomic file writes, what killed processes left of them, locks, and where the user's own files are."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import platformdirs

HIDDEN = ".wctstyle-"
"""How temporary names beside a target begin."""

LEFT_SECONDS = 24 * 3600.0
"""Age from which a temporary file counts as left where nothing can be asked whether who wrote it still runs."""

_MARK = re.compile(r"(?P<machine>[0-9a-f]{8})-(?P<pid>\d{1,10})-(?P<born>\d{1,20})-")
_TEMPORARY = re.compile(re.escape(HIDDEN) + r"[\w-]+\.tmp(?!\.wctstyle)(\.\w+)?")


def temporary_name() -> str:
    """Return a name that no other file has, and that tells which process it is of."""
    return f"{_marked(HIDDEN)}{secrets.token_hex(8)}.tmp"


def temporary_folder(start: str = HIDDEN, within: Path | None = None) -> Path:
    """Make a folder whose name begins with `start`, in the system's folder for such unless another is given.

    Deletes what is left of others that began alike (`sweep`).
    """
    within = Path(tempfile.gettempdir()) if within is None else within
    sweep(within, start)
    return Path(tempfile.mkdtemp(prefix=_marked(start), dir=within))


def sweep(folder: Path, start: str = HIDDEN) -> None:
    """Delete the temporary files and folders, by names that begin with `start`, whose process is surely dead.

    A name tells the machine and the process (`_marked`). Where that cannot be asked, as on another machine, only files
    count as left, at an age of `LEFT_SECONDS`; so do hidden ones without a process in their name. What cannot be
    deleted stays.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(start):
                continue
            with contextlib.suppress(OSError):
                is_folder = entry.is_dir(follow_symlinks=False)
                if not _left(entry, start, is_folder=is_folder):
                    continue
                if is_folder:
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)


def _left(entry: os.DirEntry[str], start: str, *, is_folder: bool) -> bool:
    """Say whether what wrote a temporary file or folder is dead."""
    mark = _MARK.match(entry.name, len(start))
    runs = None
    if mark is not None and mark["machine"] == _machine():
        runs = _runs(int(mark["pid"]), int(mark["born"]))
    elif mark is None and not _TEMPORARY.fullmatch(entry.name):
        return False
    if runs is not None or is_folder:
        return runs is False
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_SECONDS


def _marked(start: str) -> str:
    """Return the beginning of a name with the machine, the process and when that began."""
    return f"{start}{_machine()}-{os.getpid()}-{_born(os.getpid())}-"


@functools.cache
def _machine() -> str:
    """Return what tells processes that can be asked for by their number from others.

    These are those of this host, since it was started, and in a container those of the same one.
    """
    known = [platform.node()]
    with contextlib.suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        known.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("|".join(known).encode()).hexdigest()[:8]


def _born(pid: int) -> int:
    """Return when a process began, in ticks since the machine did; 0 where that is not known."""
    try:
        fields = (Path("/proc") / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return int(fields.rpartition(")")[2].split()[19])
    except (OSError, LookupError, ValueError):
        return 0


def _runs(pid: int, born: int) -> bool | None:
    """Say whether a process of this machine runs; None where that cannot be asked."""
    if os.name == "nt":  # there, the question would end it
        return None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        pass
    now = _born(pid)
    return not born or not now or born == now


@functools.lru_cache(maxsize=256)
def _swept(folder: str) -> None:
    """Sweep a folder the first time that this process writes in it; more often is slow where it holds many files."""
    sweep(Path(folder))


@contextlib.contextmanager
def replacing(target: Path, temporary: str | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file that is renamed to `target` at the end, so that no reader sees a partial file.

    Keeps the mode of the file it replaces. Leaves no temporary file behind if the body fails or is interrupted; what a
    killed process left in the folder is deleted at the first write in it (`sweep`). A caller that may have to clean up
    after a killed process chooses its name (`temporary`).

    Raises:
        OSError: the write failed; `target` is unchanged.
    """
    _swept(os.path.abspath(target.parent))
    written = target.parent / (temporary or temporary_name())
    try:
        with written.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            written.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(written, target)
    finally:
        with contextlib.suppress(OSError):
            written.unlink(missing_ok=True)


def replace_file(target: Path, data: bytes, temporary: str | None = None) -> None:
    """Write a file as `replacing` does."""
    with replacing(target, temporary) as file:
        file.write(data)


class Held(Exception):
    """Another process, or another part of this one, has the lock."""


class Lock:
    """A lock on a file, which is made if it is missing. It ends with `release`, and with its process however that ends.

    Where the disk knows no locks it is always given.

    Raises:
        Held: another has it.
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        while True:
            self._file = path.open("ab")
            try:
                _lock(self._file.fileno())
            except Held:
                self._file.close()
                raise
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(self._file.fileno()), path.stat()):
                    return
            self._file.close()  # who had it deleted the file meanwhile

    def release(self, *, delete: bool = False) -> None:
        """Give it back; again does nothing. delete: the file as well."""
        if self._file.closed:
            return
        if delete:
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:  # Windows deletes no open file
                self._file.close()
                with contextlib.suppress(OSError):
                    self.path.unlink(missing_ok=True)
        self._file.close()


def _lock(file: int) -> None:
    """Lock an open file.

    Raises:
        Held: it is locked.
    """
    try:
        try:
            import fcntl
        except ImportError:
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue] (of Windows)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise Held from error
    except OSError:  # the disk knows no locks
        return


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the disk knows no links, or the name is on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def user_folder(name: str) -> Path:
    """Name a folder of the user's: in `WCTSTYLE_HOME` where that is set, else in the user's data folder.

    It need not exist yet.
    """
    home = os.environ.get("WCTSTYLE_HOME")
    base = Path(home).expanduser() if home else platformdirs.user_data_path("wctstyle", appauthor=False)
    return base / name
