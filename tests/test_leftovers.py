"""What killed processes leave: temporary files that later writes delete, and locks that end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wctstyle import files
from wctstyle.service import Service, Studio

NOW = time.time()
OLD = NOW - files.LEFT_SECONDS - 60

WRITES = """
import sys, time
from pathlib import Path
from wctstyle import files
with files.replacing(Path(sys.argv[1]) / "x") as file:
    held = files.Lock(Path(sys.argv[1]) / "lock")
    folder = files.temporary_folder("wctstyle-serve-", Path(sys.argv[1]))
    (folder / "upload").touch()
    print("writing", flush=True)
    time.sleep(60)
"""


@contextmanager
def writing(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process in the middle of a write."""
    with subprocess.Popen([sys.executable, "-c", WRITES, str(folder)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"writing\n"
        yield other
        other.kill()


@pytest.fixture
def left(tmp_path: Path) -> set[str]:
    """Names that a killed process left in a folder: a file and a folder."""
    with writing(tmp_path):
        pass
    names = {path.name for path in tmp_path.iterdir()} - {"lock"}
    assert len(names) == 2
    return names


def named(folder: Path, name: str, modified: float = NOW, *, is_folder: bool = False) -> str:
    """Make a file or folder of an age."""
    path = folder / name
    path.mkdir() if is_folder else path.touch()
    os.utime(path, (modified, modified))
    return name


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"lock"}


def test_a_later_write_deletes_the_files_of_the_dead(tmp_path: Path, left: set[str]) -> None:
    files.replace_file(tmp_path / "y", b"whole")
    assert names_in(tmp_path) == {"y", *(name for name in left if name.startswith("wctstyle-serve-"))}


def test_a_later_server_deletes_the_folders_of_the_dead(
    tmp_path: Path, left: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = (Service(Studio("slim", offered=("slim",))) for _ in range(2))
    assert names_in(tmp_path) == {
        first.folder.name, second.folder.name, *(name for name in left if name.startswith(files.HIDDEN))
    }  # fmt: skip
    first.close()
    second.close()


def test_what_lives_is_left_alone(tmp_path: Path) -> None:
    with writing(tmp_path):
        before = names_in(tmp_path)
        for name in before:
            os.utime(tmp_path / name, (OLD, OLD))
        own = named(tmp_path, files.temporary_name(), OLD)
        files.sweep(tmp_path)
        files.sweep(tmp_path, "wctstyle-serve-")
        assert names_in(tmp_path) == {*before, own}


def mark(machine: str = "", pid: int = 0, born: int | None = None) -> str:
    born = files._born(os.getpid()) if born is None else born
    return f"{machine or files._machine()}-{pid or os.getpid()}-{born}-0123.tmp"


def test_age_decides_where_no_process_can_be_asked(tmp_path: Path) -> None:
    """Of other machines, and of names without a process; nothing of what is no temporary file is touched."""
    elsewhere, foreign = mark("0123abcd"), mark("0123abce")
    kept = {
        named(tmp_path, f".wctstyle-{elsewhere}"),
        named(tmp_path, ".wctstyle-0123456789abcdef.tmp"),
        named(tmp_path, f".wctstyle-{foreign}", OLD, is_folder=True),
        named(tmp_path, ".wctstyle-folder.tmp", OLD, is_folder=True),
        named(tmp_path, ".wctstyle-notes", OLD),
        named(tmp_path, ".wctstyle-a.tmp.wctstyle", OLD),
        named(tmp_path, ".wctstyle-a.mp4.wctstyle", OLD, is_folder=True),
        named(tmp_path, "picture.png", OLD),
    }
    named(tmp_path, f".wctstyle-{elsewhere}.mp4", OLD)
    named(tmp_path, ".wctstyle-0123456789abcdef.tmp.mp4", OLD)
    files.sweep(tmp_path)
    assert names_in(tmp_path) == kept


def test_a_number_that_another_process_has_now_is_no_life(tmp_path: Path) -> None:
    if not files._born(os.getpid()):
        pytest.skip("this system does not say when processes began")
    own = named(tmp_path, f".wctstyle-{mark(born=0)}")
    named(tmp_path, f".wctstyle-{mark(born=files._born(os.getpid()) + 1)}")
    files.sweep(tmp_path)
    assert names_in(tmp_path) == {own}


def test_where_processes_cannot_be_asked_age_decides(
    tmp_path: Path, left: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where a file that is open cannot be deleted; folders stay."""
    monkeypatch.setattr(files, "_runs", lambda pid, born: None)
    for start in (files.HIDDEN, "wctstyle-serve-"):
        files.sweep(tmp_path, start)
    assert names_in(tmp_path) == left
    for name in left:
        os.utime(tmp_path / name, (OLD, OLD))
    for start in (files.HIDDEN, "wctstyle-serve-"):
        files.sweep(tmp_path, start)
    assert names_in(tmp_path) == {name for name in left if name.startswith("wctstyle-serve-")}


def test_another_users_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert files._runs(os.getpid(), files._born(os.getpid()))


def test_a_link_is_not_followed(tmp_path: Path, left: set[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").touch()
    (folder,) = (name for name in left if name.startswith("wctstyle-serve-"))
    (tmp_path / f"{folder}2").symlink_to(tmp_path / "photos")
    files.sweep(tmp_path, "wctstyle-serve-")
    assert (tmp_path / "photos" / "1.png").exists()


def test_what_cannot_be_deleted_does_not_stop_a_write(
    tmp_path: Path, left: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "unlink", refused)
    files.replace_file(tmp_path / "y", b"whole")
    monkeypatch.undo()
    assert (tmp_path / "y").read_bytes() == b"whole"
    assert left < names_in(tmp_path)


# ---------------------------------------------------------------------------------------------------------------- locks


def test_a_lock_is_of_one_and_ends_with_its_process(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(files.Held):
        files.Lock(tmp_path / "lock")
    lock = files.Lock(tmp_path / "lock")
    with pytest.raises(files.Held):
        files.Lock(tmp_path / "lock")
    lock.release()
    lock.release()
    files.Lock(tmp_path / "lock").release(delete=True)
    assert not (tmp_path / "lock").exists()


def test_a_lock_on_a_file_that_was_just_deleted_is_taken_on_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, locked = tmp_path / "lock", files._lock

    def after_the_other(file: int) -> None:
        monkeypatch.setattr(files, "_lock", locked)
        place.unlink()
        locked(file)

    monkeypatch.setattr(files, "_lock", after_the_other)
    lock = files.Lock(place)
    with pytest.raises(files.Held):
        files.Lock(place)
    lock.release()


@pytest.mark.parametrize("busy", [True, False])
def test_windows_has_a_lock_of_its_own(busy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def locking(file: int, mode: int, count: int) -> None:
        calls.append((mode, count))
        if busy:
            raise PermissionError

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    if busy:
        with pytest.raises(files.Held):
            files.Lock(tmp_path / "lock")
    else:
        files.Lock(tmp_path / "lock").release()
    assert calls == [(2, 1)]


def test_a_disk_without_locks_does_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def none(file: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    for _ in range(2):
        files.Lock(tmp_path / "lock").release()


def test_windows_deletes_a_lock_that_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, unlink = files.Lock(tmp_path / "lock"), Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if not lock._file.closed:
            raise PermissionError
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    lock.release(delete=True)
    assert not (tmp_path / "lock").exists()
