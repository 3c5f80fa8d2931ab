"""Build the archives of a release, and show that they come out the same elsewhere: `python -m tools.release FOLDER`.

The sdist is built from this checkout, and the wheel too. Then both are built again from the unpacked sdist, in another
folder and with other times of its files. Exits with 1 where a byte differs. Needs hatchling (extra `test`).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def build(source: Path, folder: Path) -> list[Path]:
    """Build sdist and wheel of `source` into a folder; returns both.

    Times in them are SOURCE_DATE_EPOCH where it is set, else one that hatchling fixes.
    """
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder.resolve())]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return sorted(folder.glob("wctstyle-*"))


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist and give all files other times; returns the folder with pyproject.toml."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    for path in source.rglob("*"):
        os.utime(path, (1e9, 1e9))
    return source


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(first: list[Path], second: list[Path]) -> list[str]:
    """Name the archives that are missing from one of two lists, or differ."""
    ours, theirs = ({path.name: digest(path) for path in paths} for paths in (first, second))
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def main(folder: str) -> int:
    """Build, build again, compare; returns the exit code."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        sys.exit(f"{folder}: is not empty; name a folder that is, so that nothing old is released")
    made = build(ROOT, target)
    sdist = next(path for path in made if path.name.endswith(".tar.gz"))
    with tempfile.TemporaryDirectory() as elsewhere:
        source = unpack(sdist, Path(elsewhere) / "source")
        again = build(source, Path(elsewhere) / "again")
        wrong = differences(made, again)
    for path in made:
        sys.stdout.write(f"{digest(path)}  {path}\n")
    if wrong:
        sys.stderr.write(f"not the same when built from the sdist: {', '.join(wrong)}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("wanted: python -m tools.release FOLDER")
    sys.exit(main(sys.argv[1]))
