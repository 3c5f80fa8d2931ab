"""Commands that write, killed at random moments: nothing half is left, and the same command gives the same bytes.

Run as `python -m benchmarks.kills`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import report
from wctstyle import images, samples
from wctstyle.errors import ConfigError, WctStyleError

LOADED = (
    "wctstyle.cli.commands",
    "wctstyle.stylizer",
    "wctstyle.batch",
    "wctstyle.optimizer.run",
    "wctstyle.textures.making",
    "wctstyle.dreams.dreaming",
    "wctstyle.analogies.making",
    "wctstyle.video.making",
    "scipy.ndimage",
    "h5py",
    "av",
)
"""What is imported once: each run is a fork of this process, before JAX has a device."""

ROUND = 5
"""Kills in a row until the command may end, as somebody does who tries again and again."""

LONGEST = 180.0
"""Seconds until a run counts as hanging."""

LINGER = 20.0
"""Seconds in which the processes that a killed command had started have to end."""


@dataclass(frozen=True)
class Command:
    """A command that writes. results: what it makes, by names in its folder; again: arguments to go on with."""

    arguments: tuple[str, ...]
    results: tuple[str, ...]
    again: Callable[[Path], tuple[str, ...]] = lambda folder: ()
    repeats: bool = False


def _when(name: str, *arguments: str) -> Callable[[Path], tuple[str, ...]]:
    """Give arguments where a file or folder is left from a run."""
    return lambda folder: arguments if (folder / name).exists() else ()


STYLE = ("--style", "sample:peacock")
SMALL = ("--size", "96")

COMMANDS: dict[str, Command] = {
    "stylize": Command(("stylize", "photo.png", *STYLE, *SMALL, "-o", "out.png"), ("out.png",)),
    "stylize large": Command(("stylize", "photo.png", *STYLE, "--size", "1600", "-o", "out.tif"), ("out.tif",)),
    "folder": Command(
        ("stylize", "photos", *STYLE, *SMALL, "-o", "out/"),
        tuple(f"out/{k}-stylized.png" for k in range(6)),
        _when("out", "--skip-existing"),
        repeats=True,
    ),
    "batch": Command(
        ("batch", "manifest.csv", "-o", "out", "--workers", "1"),
        tuple(f"out/{k}.png" for k in range(6)),
        _when("out", "--skip-existing"),
        repeats=True,
    ),
    "optimize": Command(
        ("optimize", "photo.png", *STYLE, *SMALL, "--steps", "40", "-o", "out.png"),
        ("out.png",),
        _when("out.png.state.safetensors", "--resume"),
    ),
    "video": Command(
        ("video", "clip.gif", *STYLE, *SMALL, "-o", "out.mp4"), ("out.mp4",), _when(".out.mp4.wctstyle", "--resume")
    ),
    "frames": Command(
        ("video", "clip.gif", *STYLE, *SMALL, "-o", "frames"),
        tuple(f"frames/{k:06d}.png" for k in range(1, 49)),
        _when(".frames.wctstyle", "--resume"),
    ),
    "texture": Command(("texture", "sample:peacock", "--size", "96", "-o", "out.png"), ("out.png",)),
    "dream": Command(("dream", "photo.png", *SMALL, "--steps", "2", "-o", "out.png"), ("out.png",)),
    "analogy": Command(
        ("analogy", "photo.png", "after.png", "--paint", "0", "--save", "out.safetensors"), ("out.safetensors",)
    ),
    "lut": Command(("lut", "make", "photo.png", *STYLE, "-o", "out.cube"), ("out.cube",)),
    "look": Command(("looks", "save", "mine", "made.png"), ("home/looks/mine.json",)),
    "import": Command(("weights", "import", "vgg.npz"), ("home/weights/vgg19_encoder.safetensors",)),
}


def prepare(folder: Path) -> None:
    """Make the files that commands read."""
    from wctstyle import weights
    from wctstyle.encoder import MODELS
    from wctstyle.settings import Settings
    from wctstyle.stylizer import Stylizer

    photo = images.resize_to(samples.picture("cat"), height=72, width=96)
    images.save(folder / "photo.png", photo.rgb)
    images.save(folder / "after.png", np.sqrt(photo.rgb))
    (folder / "photos").mkdir()
    rows = ["content,styles,size,output"]
    for k in range(6):
        images.save(folder / "photos" / f"{k}.png", np.roll(photo.rgb, 9 * k, axis=1))
        rows.append(f"photos/{k}.png,sample:peacock,96,{k}.png")
    (folder / "manifest.csv").write_text("\n".join(rows))
    frames = [folder / f"frame{k}.png" for k in range(48)]
    for k, frame in enumerate(frames):
        images.save(frame, np.roll(photo.rgb, k, axis=1))
    images.save_animation(folder / "clip.gif", frames, [80] * 48, quality=90, recipe={})
    for frame in frames:
        frame.unlink()
    style = samples.picture("peacock")
    made = Stylizer("slim").stylize(photo.rgb, [(style.rgb, 1.0)], Settings())
    from wctstyle.recipe import Recipe
    from wctstyle.sources import Source, StyleSource

    recipe = Recipe(Source("photo.png"), (StyleSource("sample:peacock"),), 96, Settings(), "slim", stroke_scale=1.0)
    images.save(folder / "made.png", made.image, recipe=recipe.to_json())
    shapes = weights.expected_shapes(MODELS["vgg19"], "encoder")
    rng = np.random.default_rng(0)
    tensors = {name.removeprefix("encoder/"): rng.normal(0, 0.05, shape).astype("f4") for name, shape in shapes.items()}
    np.savez(folder / "vgg.npz", **tensors)  # pyright: ignore[reportArgumentType]


def start(
    arguments: Sequence[str], folder: Path, *, log: Path | None = None, before: Callable[[], None] = lambda: None
) -> int:
    """Run a command in a fork of this process; returns its process id.

    log: the file to which it speaks. before: is called in the fork.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        spoken = os.open(log or "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(spoken, 1)
        os.dup2(spoken, 2)
        os.environ["WCTSTYLE_HOME"] = str(folder / "home")
        sys.argv = ["wctstyle", *arguments]
        from wctstyle.cli import main as command

        before()
        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def ended(pid: int, seconds: float) -> int | None:
    """Wait for a process; returns its exit status, minus the signal if one ended it, None if it still runs."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            return None
        time.sleep(0.002)


def others(session: int) -> list[int]:
    """List the processes that a command started, which share its session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


@dataclass
class Kills:
    """One command, killed again and again."""

    name: str
    command: Command
    base: Path
    rng: random.Random
    seconds: float = 0.0
    wanted: dict[str, bytes] = field(default_factory=dict)
    kills: int = 0
    after_files: int = 0
    completions: int = 0
    findings: list[str] = field(default_factory=list)
    left: int = 0

    def folder(self) -> Path:
        """Make a folder with the files that the command reads."""
        folder = self.base / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.base / "inputs", folder)
        return folder

    def first(self) -> None:
        """Run the command to its end twice, which says how long it takes and what it makes.

        Raises:
            ConfigError: it fails.
        """
        for _ in range(2):  # the first one compiles
            folder, begun = self.folder(), time.monotonic()
            pid = start(self.command.arguments, folder)
            code = ended(pid, LONGEST)
            if code != 0:
                raise ConfigError(f"{self.name} ended with {code}: {(folder / 'log.txt').read_text()[-500:]}")
            self.seconds = time.monotonic() - begun
            self.wanted = {name: (folder / name).read_bytes() for name in self.command.results}

    def run(self, times: int, until: float) -> None:
        """Kill the command so many times; now and then let it end."""
        self.first()
        while self.kills < times and time.monotonic() < until:
            folder = self.folder()
            for _ in range(min(ROUND, times - self.kills)):
                if self._kill(folder):
                    break
            self.complete(folder)

    def _kill(self, folder: Path) -> bool:
        """Kill one run; returns whether it had ended before, or all is there."""
        pid = start((*self.command.arguments, *self.command.again(folder)), folder)
        if self.rng.random() < 0.5:
            moment = self.rng.uniform(0, self.seconds)
        else:  # a file has appeared or grown
            moment = self._stirred(folder, pid) + self.rng.choice((0, 0.001, 0.003, 0.01, 0.05))
            self.after_files += 1
        code = ended(pid, moment)
        if code is not None:
            self.check(folder, complete=code == 0)
            return True
        os.kill(pid, signal.SIGKILL)
        ended(pid, 10)
        self.kills += 1
        deadline = time.monotonic() + LINGER
        while (left := others(pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for orphan in left:
            os.kill(orphan, signal.SIGKILL)
        if left:
            self.findings.append(f"{len(left)} processes lived on for {LINGER:g} s after the command was killed")
        self.check(folder, complete=False)
        return all((folder / name).exists() for name in self.wanted)

    def _stirred(self, folder: Path, pid: int) -> float:
        """Wait until something in the folder changes, at most as long as the command takes; 0 always."""
        before, end = _state(folder), time.monotonic() + self.seconds
        while time.monotonic() < end and _state(folder) == before:
            if ended_already(pid):
                break
            time.sleep(0.0005)
        return 0.0

    def check(self, folder: Path, *, complete: bool) -> None:
        """Check that every result is whole or not there."""
        for name, data in self.wanted.items():
            file = folder / name
            if file.exists() and file.read_bytes() != data:
                self.findings.append(f"{name} has {file.stat().st_size} bytes, others than the {len(data)} wanted")
            elif complete and not file.exists():
                self.findings.append(f"{name} is missing, though the command ended well")

    def complete(self, folder: Path) -> None:
        """Let the command end, and compare what it made."""
        if self.command.repeats or not all((folder / name).exists() for name in self.wanted):
            code = ended(pid := start((*self.command.arguments, *self.command.again(folder)), folder), LONGEST)
            if code is None:
                os.kill(pid, signal.SIGKILL)
                ended(pid, 10)
            if code != 0:
                self.findings.append(f"again, it ended with {code}: {(folder / 'log.txt').read_text()[-400:]}")
                return
            self.check(folder, complete=True)
            self.completions += 1
        self.left += sum(1 for path in folder.rglob(".wctstyle-*"))


def ended_already(pid: int) -> bool:
    """Say whether a process is over, without taking its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _state(folder: Path) -> list[tuple[str, int]]:
    """List files with their sizes, but for the log."""
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            if name != "log.txt":
                with contextlib.suppress(OSError):
                    found.append((f"{root}/{name}", os.stat(f"{root}/{name}").st_size))
    return sorted(found)


@contextlib.contextmanager
def prepared() -> Iterator[Path]:
    """Give a folder with what commands read in its folder `inputs`, and import what all of them need.

    Raises:
        ConfigError: the files cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="wctstyle-kills-") as name:
        base = Path(name)
        (base / "inputs").mkdir()
        pid = os.fork()  # so that JAX has no device here
        if not pid:
            code = 1
            try:
                prepare(base / "inputs")
                code = 0
            except Exception as error:  # noqa: BLE001 (told, and the process ends)
                report.say(repr(error))
            finally:
                os._exit(code)
        if ended(pid, LONGEST) != 0:
            raise ConfigError("the files that commands read cannot be made")
        for module in LOADED:
            importlib.import_module(module)
        yield base


def measured(names: Sequence[str], times: int, seconds: float, seed: int) -> list[Kills]:
    """Kill each command so many times; all in folders of their own, which are deleted."""
    found = []
    with prepared() as base:
        for name in names:
            kills = Kills(name, COMMANDS[name], base, random.Random(f"{seed}:{name}"))
            kills.run(times, time.monotonic() + seconds)
            found.append(kills)
            report.say(f"{name}: {kills.kills} kills, {kills.completions} completions, {kills.findings[:2]}")
    return found


def markdown(found: Sequence[Kills]) -> str:
    """Write the figures."""
    rows = [
        [k.name, f"{k.seconds:.1f}", *map(str, (k.kills, k.after_files, k.completions, k.left, len(k.findings)))]
        for k in found
    ]
    columns = ["command", "s", "kills", "aimed at writes", "run to the end after", "temporary files left", "wrong"]
    lines = "".join(f"- {k.name}: {finding}\n" for k in found for finding in k.findings)
    return f"{report.table(columns, rows)}\n{lines}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status: 1 when something was found."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    add = parser.add_argument
    add("--command", choices=(*COMMANDS,), nargs="*", default=[*COMMANDS], help="which commands; all by default")
    add("--times", type=int, default=50, help="kills of each")
    add("--seconds", type=float, default=600, help="at most this long for each")
    add("--seed", type=int, default=0, help="other moments")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    try:
        found = measured(args.command, args.times, args.seconds, args.seed)
        facts = report.circumstances("benchmarks.kills", argv)
        figures = {k.name: {"kills": k.kills, "completions": k.completions, "findings": k.findings} for k in found}
        report.publish(facts, markdown(found), {"commands": figures}, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 1 if any(k.findings for k in found) else 0


if __name__ == "__main__":
    sys.exit(main())
