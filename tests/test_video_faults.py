"""Videos whose making is killed or done twice at once; equal frames are equal bytes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from test_video_io import Keeps, make, write
from typer.testing import CliRunner

from wctstyle import cli
from wctstyle.errors import ConfigError
from wctstyle.files import Lock
from wctstyle.video import work
from wctstyle.video.forms import CODECS, CodecName, form_of
from wctstyle.video.frames import Frame
from wctstyle.video.writing import Segment


@pytest.mark.parametrize("codec", [name for name in CODECS if name != "prores"])
def test_equal_frames_are_equal_bytes(codec: CodecName, tmp_path: Path) -> None:
    """Whatever memory held before: x264's code for AVX-512 reads some that was never written, most in narrow videos."""
    rng, made = np.random.default_rng(0), set()
    base = rng.uniform(0, 1, (8, 10, 3)).repeat(8, 0).repeat(8, 1).astype(np.float32)
    form, _ = form_of("out.mp4", codec=codec, format=None, quality=None, alpha=False)
    for _ in range(4):
        held = [np.full(size, value, np.uint8) for size, value in rng.integers(1, [200_000, 256], (30, 2))]
        del held[::2]  # what is given back, encoders get
        segment = Segment(tmp_path / "part.mp4", form, rate=Fraction(10), tick=Fraction(1, 10_000))
        for index in range(24):
            segment.add(Frame(index, index / 10, np.roll(base, index, axis=1)))
        segment.close()
        made.add(segment.path.read_bytes())
    assert len(made) == 1


# -------------------------------------------------------------------------------------------------------- killed or two


KILLED = """
import os, sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from test_video_io import make
from benchmarks.kill_points import dying
clip, killed = map(Path, sys.argv[3:5])
for name in sys.argv[5:]:
    for number in range(100):
        folder = killed / name / str(number)
        folder.mkdir(parents=True)
        child = os.fork()
        if not child:
            dying(folder, number)()
            make(clip, folder / name)
            os._exit(0)
        if not os.waitpid(child, 0)[1]:
            break
"""
"""Makes a video again and again, each time killed one change of files later, until it is made before that."""


def test_killed_at_any_change_of_files_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    colors = [np.full((16, 16, 3), index / 8, np.float32) for index in range(3)]
    clip = write(tmp_path / "in.mkv", colors, times=[0, 1, 2.5])
    killed, tests, names = tmp_path / "killed", Path(__file__).parent, ("out.mp4", "frames")
    line = [sys.executable, "-c", KILLED, *map(str, (tests, tests.parent, clip, killed)), *names]
    subprocess.run(line, check=True, timeout=120)
    for name in names:
        make(clip, tmp_path / name)
        wanted = contents(tmp_path / name)
        folders = [*(killed / name).iterdir()]
        assert len(folders) > 20
        for folder in folders:
            target = folder / name
            if target.is_file():
                assert contents(target) == wanted, folder
            make(clip, target, resume=work.work_folder(target).exists())
            assert contents(target) == wanted, folder
            assert [path.name for path in folder.iterdir()] == [name], folder


def contents(target: Path) -> dict[str, bytes]:
    """The bytes of a file, or of all files in a folder."""
    return {str(file.relative_to(target)): file.read_bytes() for file in [target, *target.rglob("*")] if file.is_file()}


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_a_second_run_at_the_same_time_is_told_and_touches_nothing(how: dict[str, bool], tmp_path: Path) -> None:
    clip = write(tmp_path / "in.mkv", [np.full((16, 16, 3), index / 8, np.float32) for index in range(4)])
    target, told = tmp_path / "out", []

    class Meets(Keeps):
        def frames(self, frames: Iterator[Frame]) -> Iterator[Frame]:
            for frame in super().frames(frames):
                if frame.index == 0:  # nothing is written meanwhile
                    before = contents(work.work_folder(target))
                    with pytest.raises(ConfigError, match="another run is writing this output now") as error:
                        make(clip, target, **how)
                    told.append(str(error.value))
                    assert contents(work.work_folder(target)) == before
                yield frame

    made, _ = make(clip, target, painter=Meets)
    assert (made.frames, len(told)) == (4, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"in.mkv", "out"}


def test_the_command_says_that_another_run_is_writing(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="calm videos need OpenCV")
    clip = write(tmp_path / "in.mkv", [np.full((16, 16, 3), 0.5, np.float32)])
    folder = work.work_folder(tmp_path / "out.mp4")
    folder.mkdir()
    lock = Lock(folder / "lock")
    line = ["video", str(clip), "--style", "sample:peacock", "-o", str(tmp_path / "out.mp4")]
    result = CliRunner().invoke(cli.app, line)
    lock.release()
    assert result.exit_code == 2
    assert "another run is writing this output now" in " ".join(result.stderr.split())
    assert [path.name for path in folder.iterdir()] == ["lock"]
