"""The command line: parsing, messages and exit codes in this process, whole runs as processes of their own."""

from __future__ import annotations

import dataclasses
import errno
import http.server
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from narrow import QUICKLY_COMPILED
from PIL import Image
from typer.testing import CliRunner

import wctstyle
from wctstyle import cli, color, fitting, images, inputs, recipe, samples, sources, specs
from wctstyle.batch import CONTENT_SIZE, Batch, Setup
from wctstyle.cli import console, contents, outputs
from wctstyle.cli import specs as cli_specs
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.optimizer import OptimizeSettings
from wctstyle.recipe import Optimisation
from wctstyle.settings import (
    DEFAULT_MODEL,
    DEFAULT_STROKE_SCALE,
    MAX_SIDE,
    WHOLE_STYLE,
    ModelName,
    Settings,
    style_long_side,
)
from wctstyle.sources import Source, StyleSource

_quick = QUICKLY_COMPILED

pure = settings(deadline=None, max_examples=60)


def invoke(*args: object) -> Any:
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


def environment() -> dict[str, str]:
    """Let processes in any folder find the package that is tested, installed or not."""
    return {**os.environ, "PYTHONPATH": str(Path(wctstyle.__file__).parents[1])}


def process(*args: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wctstyle", *map(str, args)]
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    return done


def fails(*args: object, code: int = 2) -> str:
    """Run in this process; the message, as one line. Nothing may be on stdout."""
    result = invoke(*args)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.split())


# --- Parsing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "files", "source", "weight"),
    [
        ("sea.jpg", (), "sea.jpg", 1.0),
        ("sea.jpg:0.3", (), "sea.jpg", 0.3),
        ("sea.jpg:0", (), "sea.jpg", 0.0),
        ("sea.jpg:1e-3", (), "sea.jpg", 1e-3),
        ("sea.jpg:2", ("sea.jpg:2",), "sea.jpg:2", 1.0),
        ("sea.jpg:2:0.5", ("sea.jpg:2",), "sea.jpg:2", 0.5),
        ("a:b.jpg", (), "a:b.jpg", 1.0),
        (r"C:\art\sea.jpg", (), r"C:\art\sea.jpg", 1.0),
        (r"C:\art\sea.jpg:.5", (), r"C:\art\sea.jpg", 0.5),
        ("C:/art/sea.jpg", (), "C:/art/sea.jpg", 1.0),
        ("sample:marbling", (), "sample:marbling", 1.0),
        ("sample:marbling:0.7", (), "sample:marbling", 0.7),
    ],
)
def test_parse_style(text: str, files: tuple[str, ...], source: str, weight: float):
    assert specs.parse_style(text, exists=files.__contains__) == inputs.StyleSpec(source, weight)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sea.jpg:-1", "--style sea.jpg:-1: weight is -1, must be >= 0"),
        ("sea.jpg:nan", "--style sea.jpg:nan: weight is nan, must be a finite number >= 0"),
        ("sea.jpg:inf", "--style sea.jpg:inf: weight is inf, must be a finite number >= 0"),
        ("sea.jpg:half", "--style sea.jpg:half: weight is 'half', must be a number >= 0"),
        ("sea.jpg:", "--style sea.jpg:: weight is '', must be a number >= 0"),
        ("sea.jpg:0,5", "--style sea.jpg:0,5: weight is '0,5', must be a number >= 0"),
        ("sample:marbling:x", "--style sample:marbling:x: weight is 'x', must be a number >= 0"),
        ("sample:marbling:-2", "--style sample:marbling:-2: weight is -2, must be >= 0"),
    ],
)
def test_bad_style_weights_are_named(text: str, message: str):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        specs.parse_style(text, exists={"sea.jpg"}.__contains__)


@pure
@given(text=st.text(), files=st.sets(st.text(), max_size=3))
def test_parse_style_takes_any_text(text: str, files: set[str]):
    try:
        spec = specs.parse_style(text, exists=files.__contains__)
    except ConfigError:
        event("refused")
        return
    assert math.isfinite(spec.weight)
    assert spec.weight >= 0
    text = text.removesuffix(f"@{spec.region}") if spec.region else text
    if spec.source == text:
        assert spec.weight == 1
    else:
        assert text.startswith(spec.source + ":")
        assert float(text.removeprefix(spec.source + ":")) == spec.weight


@pure
@given(
    source=st.one_of(st.text(min_size=1), st.sampled_from(["sample:cat", "a:1", r"C:\x.png", "sample:a:2"])),
    weight=st.floats(0, 1e9),
)
def test_a_formatted_style_is_read_back(source: str, weight: float):
    assume(source != "sample:")
    assert specs.parse_style(sources.format_style(source, weight), exists={source}.__contains__) == (
        inputs.StyleSpec(source, weight)
    )


def test_constants_agree_with_the_rooms_they_mirror():
    from wctstyle import encoder, settings, transforms, weights

    assert get_args(settings.ModelName) == tuple(encoder.MODELS)
    assert set(get_args(settings.TransformKind)) == set(transforms.TRANSFORMS)
    assert get_args(cli_specs.Preprocessing) == get_args(weights.Preprocessing)


def test_defaults_are_those_of_the_package():
    from typer.main import get_command

    command: Any = get_command(cli.app)
    defaults = {option.name: option.default for option in command.commands["stylize"].params}
    fields = {field.name: getattr(Settings(), field.name) for field in dataclasses.fields(Settings)}
    assert {name: defaults[name] for name in fields} == fields
    assert defaults["model"] == DEFAULT_MODEL
    assert defaults["style_size"] is defaults["stroke_scale"] is None
    assert inputs.Strokes() == inputs.Strokes(stroke_scale=DEFAULT_STROKE_SCALE)


# --- Which contents, which outputs --------------------------------------------------------------------


def test_folders_are_expanded_by_name_and_not_recursively(here: Path, photo: np.ndarray):
    (here / "trip" / "below").mkdir(parents=True)
    for name in ("b.PNG", "a.jpg", "below/c.png"):
        images.save(here / "trip" / name.lower(), photo)
    (here / "trip" / "notes.txt").write_text("no picture")
    found = contents.expand_contents(["trip", "sea.png", "sample:cat", "sea.png"])
    assert found == [str(Path("trip/a.jpg")), str(Path("trip/b.png")), "sea.png", "sample:cat"]


def test_results_in_a_folder_are_no_photos_of_it(here: Path, photo: np.ndarray):
    (here / "trip").mkdir()
    for name in ("a.jpg", "a-stylized.png", "a-stylized-2.webp", "b-stylized.png", "a-stylized-late.png"):
        images.save(here / "trip" / name, photo)
    found = contents.expand_contents(["trip", "trip/a-stylized.png"])
    names = [Path(path).name for path in found]
    assert names == ["a-stylized-late.png", "a.jpg", "b-stylized.png", "a-stylized.png"]


def test_a_batch_goes_on_where_it_was_stopped(here: Path, one_model: Any, photo: np.ndarray):
    batch = ("stylize", "sea.png", "waves.png", "--style", "waves.png", "-o", "done")
    assert invoke(*batch[:2], *batch[3:-1], "done/").exit_code == 0
    before = (here / "done" / "sea-stylized.png").stat()
    assert "give --overwrite to replace, --skip-existing to leave them, or another" in fails(*batch)
    assert "contradict each other" in fails(*batch, "--overwrite", "--skip-existing")
    result = invoke(*batch, "--skip-existing")
    assert (result.exit_code, result.stdout) == (0, "done/waves-stylized.png\n")
    assert "1 of 2 results are there already" in result.stderr
    assert (here / "done" / "sea-stylized.png").stat().st_mtime_ns == before.st_mtime_ns
    again = invoke(*batch, "--skip-existing")
    assert (again.exit_code, again.stdout) == (0, "")


def test_another_photo_of_the_same_name_is_made_once(here: Path, one_model: Any, photo: np.ndarray):
    """Cameras count from IMG_0001 in every folder."""
    for folder, rgb in (("trip", photo), ("party", 1 - photo)):
        (here / folder).mkdir()
        images.save(here / folder / "IMG_0001.png", rgb)
    batch = ("stylize", "--style", "waves.png", "--skip-existing", "-o", "done")
    for photos, told in (
        (["trip"], "done/IMG_0001-stylized.png\n"),
        (["party"], "done/IMG_0001-stylized-2.png\n"),
        (["party", "trip"], ""),
    ):
        result = invoke(*batch, *photos)
        assert (result.exit_code, result.stdout) == (0, told)
    (here / "done" / "IMG_0001-stylized.png").unlink()
    assert invoke(*batch, "party").stdout == ""  # found under its number
    assert invoke(*batch, "party", "trip").stdout == "done/IMG_0001-stylized.png\n"


def test_a_result_of_other_settings_is_none_of_this_batch(here: Path, one_model: Any, photo: np.ndarray):
    (here / "done").mkdir()
    images.save(here / "done" / "sea-stylized.png", photo)  # without a recipe, so anybody's
    plain = ("stylize", "sea.png", "--style", "waves.png", "--skip-existing")
    runs = [(), ("--strength", 0.5), ("--style", "sea.png"), ("--size", 48), ("--model", "medium")]
    for number, options in enumerate(runs, start=2):
        path = f"done/sea-stylized-{number}.png"
        assert invoke(*plain, *options, "-o", "done/").stdout == f"{path}\n"
        assert invoke(*plain, *options, "-o", "done/").stdout == ""
        said = fails(*plain, *options, "--color", 0.5, "-o", path)
        assert "is the result of another photo or of other settings; give --overwrite" in said
        assert invoke(*plain, *options, "-o", path).exit_code == 0
    assert np.array_equal(images.load("done/sea-stylized.png").rgb, images.load("sea.png").rgb)
    assert invoke(*plain).stdout == "sea-stylized.png\n"  # in the current folder
    assert invoke(*plain).stdout == ""


def test_a_batch_keeps_no_photo(here: Path, one_model: Any, photo: np.ndarray):
    for name in "abc":
        images.save(f"{name}.png", photo * {"a": 1, "b": 0.9, "c": 0.8}[name])
    assert (
        invoke("stylize", "a.png", "b.png", "c.png", "--style", "waves.png", "--detail", 1, "-o", "done").exit_code == 0
    )
    assert {kind for kind, *_ in one_model.cache._items} == {"style"}
    assert one_model.cache.total == sum(code.nbytes for code, _ in one_model.cache._items.values())


def test_a_picture_goes_through_pipes(here: Path, tiny_weights: Path):
    command = [sys.executable, "-m", "wctstyle", "stylize", "-", "--style", "waves.png", "-o", "-"]
    given = (here / "sea.png").read_bytes()
    done = subprocess.run(
        command, cwd=here, env=environment(), input=given, capture_output=True, timeout=300, check=True
    )
    assert done.stderr == b""
    assert images.load(done.stdout).rgb.shape == (64, 48, 3)
    found = images.read_recipe(done.stdout)
    assert found is not None
    assert found["content"]["name"] == "stdin"
    assert sorted(path.name for path in here.iterdir()) == ["sea.png", "waves.png"]


def test_pictures_from_stdin_and_into_what_is_no_file(here: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch):
    given, style = (here / "sea.png").read_bytes(), ("--style", "waves.png")

    def run(*args: object) -> Any:
        return CliRunner().invoke(cli.app, [str(arg) for arg in ("stylize", *args)], input=given)

    assert run("-", *style).stdout == "stdin-stylized.png\n"
    assert images.load(run("sea.png", "--style", "-", "--format", "webp", "-o", "-").stdout_bytes).width == 48
    assert invoke("recipe", "stdin-stylized.png").stdout.startswith("wctstyle stylize stdin --style waves.png")
    assert CliRunner().invoke(cli.app, ["recipe", "-"], input=Path("stdin-stylized.png").read_bytes()).exit_code == 0
    for _ in range(2):
        result = run("sea.png", *style, "--skip-existing", "-o", os.devnull)
        assert (result.exit_code, result.stdout) == (0, f"{os.devnull}\n")
    assert os.path.exists(os.devnull)
    assert not os.path.isfile(os.devnull)
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    assert run("sea.png", *style, "-o", "pipe").exit_code == 0
    reader.join(60)
    assert images.load(read[0]).width == 48


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-", "--style", "-"), "-: is standard input, which can be read once; give a file for the other picture"),
        (("sea.png", "waves.png", "--style", "waves.png", "-o", "-"), "-o -: takes one picture, but several are to be"),
        (("sea.png", "waves.png", "--style", "waves.png", "-o", os.devnull), f"-o {os.devnull}: takes one picture"),
        (("sea.png", "--style", "waves.png", "-o", "-", "--json"), "-o -: writes the picture to standard output"),
    ],
)
def test_pipes_that_make_no_sense_are_refused(here: Path, args: tuple[str, ...], message: str):
    assert message in fails("stylize", *args)
    assert sorted(path.name for path in here.iterdir()) == ["sea.png", "waves.png"]


def test_a_run_with_a_state_needs_a_file(here: Path):
    for out in ("-", os.devnull):
        assert f"-o {out}: is no file, and the state of a run is kept" in fails(
            "optimize", "sea.png", "--style", "waves.png", "-o", out
        )
    assert "-o -: is no folder" in fails("compare", "sea.png", "--style", "waves.png", "-o", "-")


def test_ctrl_c_while_loading_is_quiet(here: Path):
    script = (
        "import sys\n"
        "class Key:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'wctstyle.cli.commands':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Key())\n"
        "from wctstyle.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_style_with_nothing_on_it_is_refused(here: Path, photo: np.ndarray):
    images.save("clear.png", photo, np.zeros(photo.shape[:2], np.float32))
    assert "clear.png: is transparent all over" in fails("stylize", "sea.png", "--style", "clear.png")


def test_what_the_system_refuses_is_no_fault_of_ours(here: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", "disk.png")

    monkeypatch.setattr(images, "read_recipe", full)
    assert fails("recipe", "sea.png") == "Error: disk.png: No space left on device; give another place or name"
    monkeypatch.setattr(images, "read_recipe", raiser(OSError(errno.EBADF, "Bad file descriptor")))
    assert "a fault of wctstyle" in fails("recipe", "sea.png", code=1)


def a_recipe(**changes: Any) -> recipe.Recipe:
    return recipe.Recipe(**{"content": Source("a.png"), "styles": (StyleSource("b.png"),), "size": 64, **changes})


def test_the_recipe_of_a_stopped_picture_says_so(here: Path, photo: np.ndarray):
    stopped = a_recipe(optimisation=Optimisation(OptimizeSettings(steps=300), "slim", "noise", stopped=225))
    images.save("stopped.png", photo, recipe=stopped.to_json())
    result = invoke("recipe", "stopped.png")
    assert "--steps 300" in result.stdout
    assert "stopped.png: was stopped at step 225; the command runs to the end" in " ".join(result.stderr.split())


def test_all_missing_contents_are_named_at_once(here: Path):
    (here / "empty").mkdir()
    with pytest.raises(ImageError) as caught:
        contents.expand_contents(["gone.jpg", "sea.png", "empty", "https://example.org/x.jpg"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "gone.jpg: there is no such file; check the name and the folder"
    assert lines[1].startswith("empty: no pictures in this folder; wanted one of .jpg")
    assert "is a web address" in lines[2]
    assert len(lines) == 3


def plan(*sources: str, out: str | None = None, format: str | None = None, overwrite: bool = False) -> list[str]:
    into_folder = len(sources) > 1
    inputs = [*sources, "waves.png"]
    paths = outputs.plan_outputs(
        sources, into_folder=into_folder, out=out, format=format, overwrite=overwrite, inputs=inputs
    )
    return [path.as_posix() for path in paths]


def test_automatic_names_are_numbered_where_they_exist(here: Path):
    assert plan("sea.png") == ["sea-stylized.png"]
    (here / "sea-stylized.png").touch()
    (here / "sea-stylized-2.png").touch()
    assert plan("sea.png") == ["sea-stylized-3.png"]
    assert plan("sea.png", format="webp") == ["sea-stylized.webp"]
    assert plan("sea.png", overwrite=True) == ["sea-stylized.png"]
    assert plan("sample:cat", "sea.png") == ["cat-stylized.png", "sea-stylized-3.png"]


def test_an_automatic_name_is_never_an_input(here: Path):
    (here / "waves.png").rename(here / "sea-stylized.png")
    (here / "waves.png").symlink_to("sea-stylized.png")
    assert plan("sea.png", overwrite=True) == ["sea-stylized-2.png"]


def test_names_in_a_folder(here: Path):
    assert plan("sea.png", "up/Sea.jpg", out="new/deep") == [
        "new/deep/sea-stylized.png",
        "new/deep/Sea-stylized-2.png",
    ]
    assert not (here / "new").exists()
    assert plan("sea.png", out="new/", format="jpg") == ["new/sea-stylized.jpg"]
    (here / "new").mkdir()
    assert plan("sea.png", out="new") == ["new/sea-stylized.png"]
    (here / "new" / "sea-stylized.png").touch()
    with pytest.raises(ImageError, match=r"^-o new: has sea-stylized\.png already; give --overwrite"):
        plan("sea.png", out="new")
    assert plan("sea.png", out="new", overwrite=True) == ["new/sea-stylized.png"]


@pytest.mark.parametrize(
    ("out", "overwrite", "message"),
    [
        ("out.gif", False, r"-o out\.gif: cannot write the format '\.gif'; use one of \.png"),
        ("out", False, r"-o out: its name does not say which kind of file; .* as out\.png, or out/ for a folder"),
        ("gone/out.png", False, r"-o gone/out\.png: there is no folder gone; make it first"),
        ("old.png", False, r"-o old\.png: exists already; give --overwrite to replace it"),
        ("sea.png", True, r"-o sea\.png: is one of the input pictures, which are never overwritten"),
        ("./../here/waves.png", True, r"is one of the input pictures, which are never overwritten"),
        ("hard.png", True, r"is one of the input pictures, which are never overwritten"),
        ("old.png/", False, r"-o old\.png: is no folder, but several pictures are to be written"),
    ],
)
def test_bad_output_files_are_refused(here: Path, out: str, overwrite: bool, message: str):
    (here / "old.png").touch()
    (here / "hard.png").hardlink_to(here / "sea.png")
    with pytest.raises(ImageError, match=message):
        plan("sea.png", out=out, overwrite=overwrite)


def test_output_that_fits_is_taken(here: Path):
    (here / "old.png").touch()
    assert plan("sea.png", out="new.JPG") == ["new.JPG"]
    assert plan("sea.png", out="old.png", overwrite=True) == ["old.png"]
    assert plan("sea.png", out="new.jpeg", format="jpg") == ["new.jpeg"]
    with pytest.raises(ImageError, match=r"^-o new\.png: --format jpg is for folders, this file's name says \.png"):
        plan("sea.png", out="new.png", format="jpg")


def test_several_pictures_need_a_folder(here: Path):
    (here / "old").touch()
    with pytest.raises(ImageError, match=r"^-o new\.png: is a file name, but several pictures are to be written"):
        plan("sea.png", "waves.png", out="new.png")
    with pytest.raises(ImageError, match=r"^-o old: is no folder, but several pictures"):
        plan("sea.png", "waves.png", out="old")
    with pytest.raises(ImageError, match=r"^-o old/in: old is no folder"):
        plan("sea.png", "waves.png", out="old/in")


def test_a_folder_without_permission_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(dir: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(outputs.tempfile, "TemporaryFile", refused)
    with pytest.raises(ImageError, match="^-o new: no permission to write in .*here; give another folder"):
        plan("sea.png", "waves.png", out="new")
    with pytest.raises(ImageError, match="^-o new.png: no permission to write"):
        plan("sea.png", out="new.png")


# --- Messages -----------------------------------------------------------------------------------------

STYLED = ("stylize", "sea.png", "--style", "waves.png")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("stylize", "sea.png"), "Error: no style given; add one or more pictures"),
        (("stylize", "sea.png"), "wctstyle stylize photo.jpg --style painting.jpg"),
        (("stylize", "gone.jpg", "--style", "waves.png"), "Error: gone.jpg: there is no such file"),
        (("stylize", "sea.png", "--style", "gone.jpg"), "Error: gone.jpg: there is no such file"),
        (("stylize", "sea.png", "--style", "waves.png:-1"), "Error: --style waves.png:-1: weight is -1, must be >= 0"),
        (("stylize", "sea.png", "--style", "sample:gone"), "Error: sample:gone: no sample has this name"),
        (("stylize", "sample:kat", "--style", "waves.png"), "did you mean cat?"),
        ((*STYLED, "--strength", "1.6"), "Error: --strength is 1.6, must be between 0 and 1.5"),
        ((*STYLED, "--strength", "nan"), "Error: --strength is nan, must be between 0 and 1.5"),
        ((*STYLED, "--detail", "-0.1"), "Error: --detail is -0.1, must be between 0 and 1"),
        ((*STYLED, "--detail", "1.01"), "Error: --detail is 1.01, must be between 0 and 1"),
        ((*STYLED, "--color", "-1"), "Error: --color is -1.0, must be between 0 and 1"),
        ((*STYLED, "--color", "1.5"), "Error: --color is 1.5, must be between 0 and 1"),
        (
            (*STYLED, "--colors", "only", "--refine", "3"),
            "Error: --refine is 3, and with colors='only' nothing is painted",
        ),
        ((*STYLED, "--texture", "2"), "Error: --texture is 2.0, must be between 0 and 1"),
        ((*STYLED, "--look", "9"), "Error: --look is 9, must be from 128 to 4096 pixels, or 0 for none"),
        ((*STYLED, "--keep-faces", "2"), "Error: --keep-faces is 2.0, must be between 0 and 1"),
        ((*STYLED, "--refine", "201"), "Error: --refine is 201, must be a whole number of steps from 0 to 200"),
        ((*STYLED, "--stroke-scale", "0.2"), "Error: --stroke-scale is 0.2, must be between 0.25 and 4"),
        ((*STYLED, "--stroke-scale", "4.5"), "Error: --stroke-scale is 4.5, must be between 0.25 and 4"),
        ((*STYLED, "--stroke-scale", "nan"), "Error: --stroke-scale is nan, must be between 0.25 and 4"),
        (
            (*STYLED, "--stroke-scale", "2", "--style-size", "64"),
            "Error: --style-size 64 and --stroke-scale 2.0 contradict each other; give one of them",
        ),
        ((*STYLED, "--refine", "-1"), "Error: --refine is -1, must be a whole number of steps from 0 to 200"),
        ((*STYLED, "--size", "40000"), "Error: --size is 40000, must be from 1 to 32768 pixels, or 0"),
        ((*STYLED, "--depth", "12"), "Error: --depth is 12, must be 8 or 16 bits"),
        ((*STYLED, "--style-size", "-1"), "Error: --style-size is -1, must be from 1 to 4096 pixels"),
        ((*STYLED, "--quality", "0"), "Error: --quality is 0, must be a whole number from 1 to 100"),
        ((*STYLED, "--max-pixels", "-1"), "Error: --max-pixels is -1, must be a whole number"),
        ((*STYLED, "--max-pixels", "100"), "Error: waves.png: has 64 x 64 = 4,096 pixels, over the limit of 100"),
        ((*STYLED, "-o", "out.xyz"), "Error: -o out.xyz: cannot write the format '.xyz'"),
        ((*STYLED, "-o", "sea.png", "--overwrite"), "-o sea.png: is one of the input pictures"),
        ((*STYLED, "--transform", "zca"), "'zca' is not one of 'mk', 'wct', 'adain'"),
        ((*STYLED, "--model", "best"), "Invalid value for '--model': 'best' is not one of 'slim', 'medium', 'vgg19'"),
        ((*STYLED, "--strength", "lots"), "Invalid value for '--strength': 'lots' is not a number."),
        ((*STYLED, "--size", "2.5"), "Invalid value for '--size': '2.5' is not a whole number."),
        ((*STYLED, "--workers", "0"), "Invalid value for '--workers': 0 is given, it has to be greater than or equal"),
        (("stylize",), "Missing argument"),
        (("recipe", "sea.png"), "Error: sea.png: has no recipe in it"),
        (("recipe", "gone.png"), "Error: gone.png: there is no such file"),
        (("weights", "get", "slim"), "Error: weights get slim: it comes with the package; only vgg19 is downloaded"),
        (("weights", "get", "medium"), "Error: weights get medium: it comes with the package"),
        (("weights", "get", "vgg16"), "Error: weights get vgg16: there is no such model"),
        (("train", "slim", "--content", ".", "--style", "empty", "--out", "o"), "Error: --style empty: no pictures"),
        (("train", "slim", "--content", "gone", "--style", ".", "--out", "o"), "'gone' does not exist"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(
    here: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], message: str
):
    (here / "empty").mkdir()
    monkeypatch.setenv("COLUMNS", "300")
    before = sorted(here.rglob("*"))
    assert message in fails(*args)
    assert sorted(here.rglob("*")) == before


def test_mistakes_version_and_help_do_not_import_jax(here: Path):
    (here / "broken.png").write_bytes((here / "sea.png").read_bytes()[:300])
    lines = {
        "--version": 0,
        "--help": 0,
        "stylize --help": 0,
        "samples": 0,
        "stylize gone.png --style waves.png": 2,
        "stylize broken.png --style waves.png": 2,
        "stylize sea.png --style broken.png": 2,
        "stylize sea.png --style waves.png --strength 2": 2,
        "stylize sea.png --style waves.png --transform zca": 2,
        "stylize sea.png --style waves.png -o gone/x.png": 2,
        "recipe sea.png": 2,
        "suggest gone.png": 2,
        "suggest sea.png broken.png": 2,
    }
    script = (
        "import json, shlex, sys\n"
        "from wctstyle.cli import app\n"
        "codes = {}\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    try:\n"
        "        app(shlex.split(line), prog_name='wctstyle')\n"
        "    except SystemExit as end:\n"
        "        codes[line] = end.code\n"
        "print('\\n' + json.dumps([codes, sorted({'jax', 'flax'} & set(sys.modules))]))\n"
    )
    command = [sys.executable, "-c", script, json.dumps(list(lines))]
    done = subprocess.run(command, cwd=here, env=environment(), capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [lines, []]
    assert "Traceback" not in done.stderr


def test_the_program_and_the_module_print_the_version(here: Path):
    assert process("--version", cwd=here).stdout == f"wctstyle {wctstyle.__version__}\n"
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["wctstyle"] == "wctstyle.cli:main"


def test_a_mistake_is_one_message_of_a_process(here: Path):
    done = process("stylize", "sea.png", "--style", "waves.png:-1", cwd=here, code=2)
    assert done.stdout == ""
    assert done.stderr == "Error: --style waves.png:-1: weight is -1, must be >= 0\n"


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("variable", ["JAX_PLATFORMS", "JAX_PLATFORM_NAME"])
def test_a_device_that_is_not_there_is_told_by_its_variable(variable: str, here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv(variable, "abacus")
    done = process("stylize", "sea.png", "--style", "waves.png", "-o", "out.png", cwd=here, code=2)
    assert f"Error: {variable}=abacus: JAX cannot use this device here" in done.stderr
    assert "set it to cpu" in done.stderr
    assert not (here / "out.png").exists()


def test_faults_of_the_program_are_one_line_and_exit_code_1(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "read_recipe", raiser(KeyError("two\nlines")))
    message = fails("recipe", "sea.png", code=1)
    assert message.startswith("Error: KeyError: ")
    assert message.endswith("run it again with -vv to see where)")
    told = invoke("recipe", "sea.png", "-vv")
    assert told.exit_code == 1
    assert "Traceback" in told.stderr


def test_twice_verbose_shows_where_a_mistake_was_found(here: Path):
    told = invoke("recipe", "gone.png", "-vv")
    assert told.exit_code == 2
    assert "Traceback" in told.stderr
    assert told.stderr.splitlines()[-1].startswith("Error: gone.png: there is no such file")


@pytest.mark.parametrize("name", ["Übung 日本 🙂", "it's 'me'; $HOME", "e\u0301\u202edigits"])
def test_names_of_every_kind_work(name: str, here: Path, one_model: Any):
    (here / f"{name}.png").write_bytes((here / "sea.png").read_bytes())
    result = invoke("stylize", f"{name}.png", "--style", "waves.png", "-o", "out/")
    assert result.exit_code == 0, result.output
    (made,) = (here / "out").iterdir()
    assert made.name == f"{name}-stylized.png"
    found = images.read_recipe(made)
    assert found is not None
    assert found["content"]["name"] == f"{name}.png"
    for options in ((), ("--json",), ("--python",)):
        assert invoke("recipe", str(made), *options).exit_code == 0
    again = invoke("stylize", f"{name}.png", "--style", "waves.png", "-o", "out/", "--skip-existing", "--json")
    assert (again.exit_code, again.stdout) == (0, "")


def test_a_name_that_is_no_text_works(here: Path, tiny_weights: Path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (here / name).write_bytes((here / "sea.png").read_bytes())
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    done = process("stylize", name, "--style", "waves.png", "-o", "out/", cwd=here)
    assert (done.stdout, done.stderr) == ("out/caf\\udce9-stylized.png\n", "")
    (made,) = (here / "out").iterdir()
    found = images.read_recipe(made)
    assert found is not None
    assert found["content"]["name"] == name


def test_brackets_in_names_are_not_markup(here: Path):
    assert "[bold]gone[/].png: there is no such file" in fails("stylize", "[bold]gone[/].png", "--style", "waves.png")


def test_a_closed_pipe_is_quiet(here: Path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "wctstyle", "samples"]
    done = subprocess.run(command, env=environment(), stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writing)
    assert done.returncode == console.EXIT_BROKEN_PIPE
    assert done.stderr == b""


def test_every_option_has_help():
    from typer.main import get_command

    def leaves(command: Any) -> list[Any]:
        below = getattr(command, "commands", None)
        return [leaf for child in below.values() for leaf in leaves(child)] if below else [command]

    commands = leaves(get_command(cli.app))
    assert len(commands) == 23
    for command in commands:
        assert command.help, command.name
        assert [p.name for p in command.params if not getattr(p, "help", "") and p.name != "help"] == []


# --- Stylizing in this process, with one untrained model ---------------------------------------------


def made(*args: object) -> Path:
    result = invoke("stylize", *args)
    assert result.exit_code == 0, result.output
    return Path(result.stdout.splitlines()[-1])


def test_the_last_line_says_where_the_picture_is(here: Path, one_model: Any):
    assert made("sea.png", "--style", "waves.png") == Path("sea-stylized.png")
    assert sorted(path.name for path in here.iterdir()) == ["sea-stylized.png", "sea.png", "waves.png"]
    assert made("sea.png", "--style", "waves.png") == Path("sea-stylized-2.png")
    assert made("sea.png", "--style", "waves.png", "-o", "x.jpg") == Path("x.jpg")
    first, second, third = (images.load(name) for name in ("sea-stylized.png", "sea-stylized-2.png", "x.jpg"))
    assert first.content_hash == second.content_hash != images.load("sea.png").content_hash
    assert np.abs(first.rgb - third.rgb).mean() < 0.05
    with Image.open("x.jpg") as file:
        assert file.format == "JPEG"


def test_the_picture_is_the_stylizers(here: Path, one_model: Any):
    styles = ("--style", "waves.png:3", "--style", "sample:marbling:1", "--style-size", "64")
    out = made("sea.png", *styles, "--strength", "0.6", "--detail", "0.2")
    marbling = images.resize(samples.picture("marbling"), long_side=64)
    expected = one_model.stylize(
        images.load("sea.png").rgb,
        [(images.load("waves.png").rgb, 3.0), (marbling.rgb, 1.0)],
        Settings(strength=0.6, detail=0.2),
    ).image
    assert np.abs(images.load(out).rgb - expected).max() <= 0.5 / 255 + 1e-6


def test_every_setting_reaches_the_model(here: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []

    def spy(content: Any, styles: Any, settings: Settings, **_: Any) -> None:
        seen.append(([weight for region in styles for _, weight in region.styles], settings))
        raise NonFiniteError("enough seen")

    monkeypatch.setattr(one_model, "stylize", spy)
    options = ("--strength", "1.2", "--detail", "0.2", "--colors", "match", "--color", "0.7", "--texture", "0.1")
    options += ("--keep-faces", "0.4")
    options += ("--transform", "adain", "--blend", "linear", "--look", "256", "--refine", "3")
    fails(*STYLED, "--style", "sea.png:0.5", *options)
    assert seen == [([1.0, 0.5], Settings(1.2, 0.2, "match", 0.7, 0.1, 0.4, "adain", "linear", 256, 3))]


def test_the_model_is_the_one_that_was_named(here: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch):
    named: list[str] = []

    def load(model: str) -> Any:
        named.append(model)
        return one_model

    monkeypatch.setattr("wctstyle.stylizer.Stylizer", load)
    for options in ((), *(("--model", model) for model in get_args(ModelName))):
        made("sea.png", "--style", "waves.png", *options)
    assert named == [DEFAULT_MODEL, *get_args(ModelName)]


# --- Strokes ----------------------------------------------------------------------------------------------


@pure
@given(result=st.integers(1, MAX_SIDE), scale=st.floats(0.25, 4))
def test_strokes_grow_with_the_result(result: int, scale: float):
    side = style_long_side(result, scale)
    assert side >= 64
    if scale * result >= 64:
        assert abs(side - scale * result) <= 0.5
    assert style_long_side(result) == max(result, 64)
    assert inputs.Strokes(stroke_scale=scale).long_side(result) == side
    assert inputs.Strokes(style_size=min(side, MAX_SIDE)).long_side(result) == min(side, MAX_SIDE)
    assert inputs.Strokes(style_size=0).long_side(result) == 0


@pytest.mark.parametrize(("result", "scale"), [(1024, 4), (2048, 4), (3000, 1.5), (1500, 3)])
def test_strokes_over_the_largest_style_are_those_of_a_sample(result: int, scale: float):
    """Stripes are as wide as the dial says, where the whole painting would be too large, and come from all over it."""
    ramp = np.linspace(0, 0.8, 320, dtype=np.float32)
    stripes = 0.2 * (np.arange(320) // 8 % 2)
    columns = np.broadcast_to((ramp + stripes)[None, :, None], (240, 320, 3)).astype(np.float32)
    painting = images.load(np.ascontiguousarray(columns))
    side, most, pieces = style_long_side(result, scale), max(result, WHOLE_STYLE), fitting.PIECES
    sample = fitting.fit_style(painting, side, result).rgb[:, :, 0]
    assert sample.shape == (most * 3 // 4, most)
    row = sample[0, : most // pieces] - np.linspace(*sample[0, [0, most // pieces - 1]], most // pieces)
    edges = np.flatnonzero(np.abs(np.diff(row)) > 0.5 * np.abs(np.diff(row)).max())
    widths = np.diff(edges)
    assert np.median(widths[widths > 4]) == pytest.approx(8 * side / 320, rel=0.15)
    parts = [part.mean() for part in np.array_split(sample, pieces, axis=1)]
    wanted = [part.mean() for part in np.array_split(ramp + stripes, pieces)]
    assert parts == pytest.approx(wanted, abs=0.06)


def test_a_strip_of_a_painting_is_sampled_too():
    strip = images.load(np.full((1, 300, 3), 0.5, np.float32))
    assert fitting.fit_style(strip, 8192, 2048).rgb.shape == (7, 2048, 3)


@pytest.mark.parametrize("scale", [0.0, 0.24, 4.1, -1.0, math.inf, math.nan])
def test_strokes_out_of_range_are_refused(scale: float):
    with pytest.raises(ConfigError, match=f"^stroke_scale is {scale}, must be between 0.25 and 4$"):
        style_long_side(512, scale)


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ((), [64, 64]),  # of the photo, never enlarged
        (("--size", 128), [128, 128]),
        (("--size", 256), [256, 256]),
        (("--size", 128, "--stroke-scale", 2), [256, 256]),
        (("--size", 128, "--stroke-scale", 0.5), [64, 64]),
        (("--size", 128, "--stroke-scale", 0.25), [64, 64]),  # no smaller ones
        (("--size", 128, "--style-size", 48), [48, 48]),
        (("--size", 128, "--style-size", 0), [64, 0]),
    ],
)
def test_styles_are_measured_at_the_size_of_the_result(
    here: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], sides: list[int]
):
    seen: list[list[int]] = []

    def spy(content: Any, styles: Any, settings: Settings, **_: Any) -> None:
        seen.append([max(style.picture.shape[:2]) for region in styles for style, _ in region.styles])
        raise NonFiniteError("enough seen")

    monkeypatch.setattr(one_model, "stylize", spy)
    fails(*STYLED, "--style", "sample:marbling", *options)
    own = samples.picture("marbling")
    assert seen == [[side or max(own.height, own.width) for side in sides]]


def test_every_picture_of_a_batch_has_strokes_of_its_own_size(
    here: Path, photo: np.ndarray, one_model: Any, monkeypatch: pytest.MonkeyPatch
):
    for side in (80, 96):
        images.save(f"photo-{side}.png", images.resize(images.load(photo), long_side=side, enlarge=True).rgb)
    seen: list[Any] = []

    def spy(content: Any, styles: Any, settings: Settings, **_: Any) -> None:
        seen.append(styles[0].styles[0][0].picture)
        raise NonFiniteError("enough seen")

    monkeypatch.setattr(one_model, "stylize", spy)
    names = ("photo-80.png", "photo-96.png", "sea.png")
    assert "3 of 3 pictures failed" in fails("stylize", *names, "--style", "waves.png", "-o", "out")
    style = images.load("waves.png")
    assert [rgb.shape[0] for rgb in seen] == [80, 96, 64]
    for rgb in seen:  # from the file and not from the size before
        np.testing.assert_array_equal(rgb, images.resize(style, long_side=rgb.shape[0], enlarge=True).rgb)


# --- Dials ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [(), ("--detail", "1"), ("--color", "0"), ("--colors", "only"), ("--colors", "match"), ("--refine", "3")]
)
def test_strength_0_is_the_photo(here: Path, one_model: Any, options: tuple[str, ...]):
    out = made("sea.png", "--style", "waves.png", "--strength", "0", *options)
    assert np.abs(images.load(out).rgb - images.load("sea.png").rgb).max() < 1.5 / 255


def test_color_0_keeps_the_photos_colors(here: Path, one_model: Any, photo: np.ndarray):
    images.save("calm.png", 0.35 + 0.3 * photo)  # so that most of its colors exist at other lightnesses too
    painted = images.load(made("calm.png", "--style", "waves.png")).rgb
    out = images.load(made("calm.png", "--style", "waves.png", "--color", "0")).rgb
    own, free, kept = (color.rgb_to_oklab(rgb) for rgb in (images.load("calm.png").rgb, painted, out))
    wanted = own.copy()
    wanted[..., 0] = free[..., 0]
    inside = np.all(np.abs(color.oklab_to_rgb(wanted) - 0.5) < 0.48, axis=-1)
    assert inside.mean() > 0.5
    # a level of eight bits is that much of a and b, more so in the dark
    assert np.abs(kept - own)[inside][:, 1:].max() < 0.02
    assert np.abs(kept - own)[inside][:, 1:].mean() < 0.2 * np.abs(free - own)[inside][:, 1:].mean()


@pytest.mark.parametrize(
    ("size", "longest"), [(("--size", 32), 32), (("--size", 80), 80), (("--size", 0), 64), ((), 64)]
)
def test_content_size(here: Path, one_model: Any, size: tuple[object, ...], longest: int):
    with Image.open(made("sea.png", "--style", "waves.png:0", *size)) as result:
        assert result.size == (longest * 3 // 4, longest)


def test_large_pictures_are_shrunk_and_small_ones_left(style_picture: np.ndarray):
    large = images.Raster.of(images.resize(images.load(style_picture), long_side=1500, enlarge=True))
    small = images.load_raster(style_picture)
    usual, own = inputs.Sizes(), inputs.Sizes(0)
    assert max(inputs.fit_photo(large, usual, CONTENT_SIZE).rgb.shape) == 1024
    np.testing.assert_array_equal(inputs.fit_photo(small, usual, CONTENT_SIZE).rgb, small.picture().rgb)
    np.testing.assert_array_equal(inputs.fit_photo(large, own, CONTENT_SIZE).rgb, large.picture().rgb)
    huge = images.load_raster(np.zeros((1, 4097, 3), np.float32))
    with pytest.raises(ImageError, match=r"is 4097 x 1, too large to render at its own size; leave out size=0"):
        inputs.fit_photo(huge, own, CONTENT_SIZE)
    assert inputs.fit_photo(huge, inputs.Sizes(0, most=5000), CONTENT_SIZE) is huge
    huge = huge.picture()
    with pytest.raises(ImageError, match=r"is 4097 x 1, too large to render at its own size; leave out style_size=0"):
        fitting.fit_style(huge, 0)


def test_a_picture_too_large_for_its_own_size_names_the_option(here: Path):
    images.save("long.png", np.zeros((1, 4097, 3), np.float32))
    told = "long.png: is 4097 x 1, too large to render at its own size; leave out {0} 0, or give {0} 4096 or less"
    assert told.format("--size") in fails("optimize", "long.png", "--style", "waves.png", "--size", "0")
    for command in ("stylize", "optimize"):
        assert told.format("--style-size") in fails(command, "sea.png", "--style", "long.png", "--style-size", "0")


def test_a_batch_of_python_names_its_arguments():
    with pytest.raises(ConfigError, match=r"^size is 5000, must be from 1"):
        inputs.Sizes(size=5000)
    with pytest.raises(ConfigError, match=r"^style_size=64 and stroke_scale=2.0 contradict each other"):
        inputs.Strokes(64, 2.0)
    with pytest.raises(ConfigError, match=r"^quality is 0"):
        Setup((), quality=0)


def test_no_weight_left_warns_and_returns_the_photo(here: Path, one_model: Any):
    result = invoke("stylize", "sea.png", "--style", "waves.png:0")
    assert result.exit_code == 0
    assert result.stdout == "sea-stylized.png\n"
    assert result.stderr.startswith("Warning: all styles have weight 0, so no style is left: the photo is returned")
    assert images.load("sea-stylized.png").content_hash == images.load("sea.png").content_hash


def test_verbose_shows_a_table_of_seconds(here: Path, one_model: Any):
    result = invoke(*STYLED, "-v")
    assert result.stdout == "sea-stylized.png\n"
    assert "sea.png: 48 x 64, slim on cpu" in result.stderr
    for part in ("load_model", "read", "encode", "blend", "render", "refine", "write", "total"):
        assert re.search(rf"^ *{part} +\d+\.\d{{3}} *$", result.stderr, re.MULTILINE)


def test_a_recipe_makes_its_picture_again(here: Path, one_model: Any, tiny_weights: Path):
    made(
        *("sea.png", "--style", "waves.png:0.7", "--style", "sample:marbling:0.3", "--size", "60"),
        *("--stroke-scale", "1.5", "--strength", "1.25", "--detail", "0.1", "--color", "0.75", "--keep-faces", "0.3"),
        *("--colors", "match", "--texture", "0.6", "--look", "128"),
        *("--transform", "wct", "--blend", "linear", "--refine", "2", "-o", "first.webp", "--quality", "100"),
    )
    recipe = json.loads(invoke("recipe", "first.webp", "--json").stdout)
    assert recipe == {
        "version": wctstyle.__version__,
        "model": "slim",
        "content": {"name": "sea.png", "hash": images.load("sea.png").content_hash},
        "styles": [
            {"name": "waves.png", "weight": 0.7, "hash": images.load("waves.png").content_hash},
            {"name": "sample:marbling", "weight": 0.3, "hash": samples.picture("marbling").content_hash},
        ],
        "strength": 1.25,
        "detail": 0.1,
        "colors": "match",
        "color": 0.75,
        "texture": 0.6,
        "keep_faces": 0.3,
        "transform": "wct",
        "blend": "linear",
        "look": 128,
        "refine": 2,
        "photo": False,
        "size": 60,
        "style_size": None,
        "stroke_scale": 1.5,
    }
    command = shlex.split(invoke("recipe", "first.webp").stdout)
    assert command[:3] == ["wctstyle", "stylize", "sea.png"]
    made(*command[2:], "-o", "second.webp", "--quality", "100")
    assert images.load("second.webp").content_hash == images.load("first.webp").content_hash
    assert images.read_recipe("second.webp") == recipe


def test_regions_are_named_painted_and_found_in_the_recipe(here: Path, one_model: Any):
    """Half of the photo has one style, half another, and the recipe's command makes the same picture."""
    half = np.zeros((10, 10), np.float32)
    half[:, 5:] = 1
    images.save(here / "sky.png", np.repeat(half[..., None], 3, axis=2))
    dials = ("--keep-faces", "0", "--look", "0", "--size", "64")
    made("sea.png", "--style", "waves.png:2@sky", "--style", "sea.png@rest", "--mask", "sky=sky.png", *dials,
         "-o", "first.png")  # fmt: skip
    made("sea.png", "--style", "waves.png:2", "--style", "sea.png", *dials, "-o", "blend.png")
    first, blend = (images.load(name).rgb for name in ("first.png", "blend.png"))
    assert np.abs(first - blend).mean() > 0.05
    recipe = json.loads(invoke("recipe", "first.png", "--json").stdout)
    assert [(style["name"], style["weight"], style["region"]) for style in recipe["styles"]] == [
        ("waves.png", 2.0, "sky"),
        ("sea.png", 1.0, "rest"),
    ]
    assert recipe["masks"] == [{"region": "sky", "name": "sky.png", "hash": images.load("sky.png").content_hash}]
    made(*shlex.split(invoke("recipe", "first.png").stdout)[2:], "-o", "second.png")
    assert images.load("second.png").content_hash == images.load("first.png").content_hash


def test_the_program_of_a_recipe_makes_the_same_picture(here: Path, one_model: Any):
    """With a mask and a blend, run as it is printed; rounding to 8 bit aside."""
    images.save(here / "sky.png", np.tri(8, dtype=np.float32))
    made("sea.png", "--style", "waves.png:2@sky", "--style", "sample:marbling", "--mask", "sky=sky.png", "--size", "48",
         "--strength", "0.9", "-o", "first.png")  # fmt: skip
    program = invoke("recipe", "first.png", "--python").stdout
    assert program.endswith("images.save('result.png', image, photo.alpha)\n")
    exec(compile(program, "recipe", "exec"), {})
    assert images.load("result.png").content_hash == images.load("first.png").content_hash
    assert "--json and --python contradict each other" in fails("recipe", "first.png", "--json", "--python")


def test_a_cut_out_gives_the_same_result_on_a_larger_canvas(here: Path, one_model: Any):
    """With strokes by the default scale; its recipe's program and command agree."""
    sea = images.load("sea.png").rgb
    wide, opacity = np.zeros((90, 160, 3), np.float32), np.zeros((90, 160), np.float32)
    wide[11:75, 70:118], opacity[11:75, 70:118] = sea, 1
    images.save(here / "canvas.png", wide, opacity)
    for name, options in (("stylize", ("--refine", "1")), ("optimize", ("--steps", "2"))):
        for photo, result in (("sea.png", "opaque.png"), ("canvas.png", "cut.png")):
            assert invoke(name, photo, "--style", "waves.png", "--size", "0", *options, "-o", result,
                          "--overwrite").exit_code == 0  # fmt: skip
        opaque, cut = images.load("opaque.png"), images.load("cut.png")
        np.testing.assert_allclose(cut.rgb[11:75, 70:118], opaque.rgb, atol=1.01 / 255)
        assert cut.alpha is not None
        np.testing.assert_array_equal(cut.alpha, opacity)
        program = invoke("recipe", "cut.png", "--python").stdout
        exec(compile(program, "recipe", "exec"), {})
        assert images.load("result.png").content_hash == cut.content_hash


def test_a_mask_alone_leaves_the_photo_there(here: Path, one_model: Any):
    half = np.zeros((48, 64, 3), np.float32)
    half[:, :32] = 1
    images.save(here / "kept.png", half)
    made("sea.png", "--style", "waves.png", "--mask", "kept=kept.png", "--keep-faces", "0", "--size", "192", "-o",
         "out.png")  # fmt: skip
    photo = images.resize(images.load("sea.png"), long_side=192, enlarge=True).rgb
    changed = np.abs(images.load("out.png").rgb - photo)
    assert changed[:, :32].max() < 1 / 255
    assert changed[:, 80:].mean() > 0.05


def test_a_style_of_one_colour_is_told(here: Path, one_model: Any):
    images.save(here / "red.png", np.full((32, 32, 3), (0.8, 0.1, 0.1), np.float32))
    result = invoke("stylize", "sea.png", "--style", "red.png", "--style", "waves.png", "-o", "out.png")
    assert result.exit_code == 0
    said = " ".join(result.stderr.split())
    assert "red.png: is one colour all over, so that colour is all it gives" in said
    assert "waves.png:" not in said
    Path("other.png").write_bytes(Path("sea.png").read_bytes())
    several = invoke("stylize", "sea.png", "other.png", "--style", "red.png", "-o", "out")
    assert several.exit_code == 0
    assert several.stderr.count("one colour all over") == 1  # the photos share it


def test_a_style_for_faces_that_are_not_there_is_told(here: Path, one_model: Any):
    result = invoke("stylize", "sea.png", "--style", "waves.png@face", "-o", "out.png")
    assert "sea.png: no face was found, so the style of @face is not used" in " ".join(result.stderr.split())
    np.testing.assert_array_equal(images.load("out.png").rgb, images.load("sea.png").rgb)


def test_styles_with_regions_are_parsed():
    def parsed(text: str, *files: str) -> tuple[str, float, str]:
        spec = specs.parse_style(text, exists=lambda name: name in files)
        return spec.source, spec.weight, spec.region

    assert parsed("a.png@sky") == ("a.png", 1.0, "sky")
    assert parsed("a.png:0.5@sky") == ("a.png", 0.5, "sky")
    assert parsed("sample:marbling:2@face") == ("sample:marbling", 2.0, "face")
    assert parsed("a@2x", "a@2x") == ("a@2x", 1.0, "")
    assert parsed("me@home/a.png") == ("me@home/a.png", 1.0, "")
    assert parsed("a@b.png:0.5@sea-2") == ("a@b.png", 0.5, "sea-2")
    with pytest.raises(ConfigError, match=r"the region comes last; write a\.png:2@cup"):
        parsed("a.png@cup:2")
    with pytest.raises(ConfigError, match="names two regions"):
        parsed("a.png@cup@rest")


SKY = ("--style", "both.png:2@sky", "--style", "waves.png@sky", "--style", "both.png", "--mask", "sky=sky.png",
       "--keep-faces", "0", "--size", "96")  # fmt: skip


@pytest.fixture
def parts(here: Path) -> Path:
    """A picture that is light above and dark below, and masks of the upper half of it and of the photo's right."""
    waves = images.load("waves.png").rgb
    images.save(here / "both.png", np.concatenate([0.6 + 0.4 * waves, 0.4 * waves[::-1]]))
    images.save(here / "light.png", 0.6 + 0.4 * waves)
    upper = np.zeros((8, 8, 3), np.float32)
    upper[:4] = 1
    images.save(here / "upper.png", upper)
    images.save(here / "sky.png", upper.swapaxes(0, 1))
    return here


def test_the_part_of_a_style_that_counts_is_named(parts: Path, one_model: Any):
    """The result is near to that of the part alone; whole, the style is another one."""
    dials = ("--keep-faces", "0", "--size", "96")
    large = ("--style", "both.png", *dials, "--stroke-scale", "2")
    made("sea.png", *large, "--style-mask", "rest=upper.png", "-o", "part.png")
    made("sea.png", "--style", "light.png", *dials, "-o", "alone.png")
    made("sea.png", *large, "-o", "whole.png")
    part, alone, whole = (images.load(name).rgb for name in ("part.png", "alone.png", "whole.png"))
    assert np.abs(part - alone).mean() < 0.5 * np.abs(whole - alone).mean()


@pytest.mark.parametrize("command", ["stylize", "optimize"])
def test_parts_dials_and_borders_come_back_from_a_recipe(parts: Path, one_model: Any, command: str):
    """The recipe has them, and its command and its program make the same picture."""
    own = ("--style-mask", "sky/1=upper.png", "--style-mask", "rest=upper.png", "--feather", "0.02",
           "--region", "sky:strength=0.8,detail=0.5,stroke=0.5",
           "--region", "rest:texture=1.0,colors=photo,color=0.5")  # fmt: skip
    more = ("--steps", "2") if command == "optimize" else ()
    result = invoke(command, "sea.png", *SKY, *own, *more, "-o", "first.png")
    assert result.exit_code == 0, result.output
    recipe = json.loads(invoke("recipe", "first.png", "--json").stdout)
    upper = {"name": "upper.png", "hash": images.load("upper.png").content_hash}
    assert [style.get("mask") for style in recipe["styles"]] == [upper, None, upper]
    assert recipe["feather"] == 0.02
    rest = {"texture": 1.0, "colors": "photo", "color": 0.5}
    assert recipe["regions"] == {"sky": {"strength": 0.8, "detail": 0.5, "stroke": 0.5}, "rest": rest}
    again = invoke("recipe", "first.png").stdout
    assert set(own) <= set(shlex.split(again))
    assert invoke(*shlex.split(again)[1:], "-o", "second.png").exit_code == 0
    exec(compile(invoke("recipe", "first.png", "--python").stdout, "recipe", "exec"), {})
    hashes = {images.load(name).content_hash for name in ("first.png", "second.png", "result.png")}
    assert len(hashes) == 1
    for name in range(len(own) // 2) if command == "stylize" else ():  # each of them changes the picture
        fewer = own[: 2 * name] + own[2 * name + 2 :]
        other = invoke(command, "sea.png", *SKY, *fewer, *more, "-o", f"{name}.png")
        assert other.exit_code == 0, other.output
        assert images.load(f"{name}.png").content_hash not in hashes, own[2 * name : 2 * name + 2]


def test_the_same_parts_and_dials_are_made_once(parts: Path, one_model: Any):
    dials = ("--region", "sky:detail=0.5")
    made("sea.png", *SKY, *dials, "-o", "out.png")
    again = invoke("stylize", "sea.png", *SKY, *dials, "-o", "out.png", "--skip-existing")
    assert "1 of 1 results are there already" in " ".join(again.stderr.split())
    for other in (
        ("--region", "sky:detail=0.6"),
        (*dials, "--feather", "0"),
        (*dials, "--style-mask", "sky=upper.png"),
    ):
        result = invoke("stylize", "sea.png", *SKY, *other, "-o", "out.png", "--skip-existing")
        assert "results are there already" not in " ".join(result.stderr.split()), other


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--style-mask", "sky", "--style-mask sky: wanted REGION=FILE, or REGION/NUMBER=FILE"),
        ("--style-mask", "sky=", "wanted REGION=FILE"),
        ("--style-mask", "sky/two=upper.png", "wanted REGION=FILE"),
        (
            "--style-mask",
            "sea=upper.png",
            "there is no such style; the regions with their styles are sky (2), rest (1)",
        ),
        ("--style-mask", "sky/3=upper.png", "there is no such style"),
        ("--style-mask", "sky/0=upper.png", "there is no such style"),
        ("--style-mask", "sky=black.png", "black.png: is black all over, so nothing of the style counts"),
        ("--style-mask", "sky=gone.png", "gone.png"),
        ("--region", "sea:strength=1", "--region sea:strength=1: no style has that region; the regions are sky, rest"),
        (
            "--region",
            "sky",
            "--region sky: wanted NAME:DIAL=VALUE,..., the dials being strength, detail, texture, "
            "colors, color, stroke",
        ),
        ("--region", "sky:", "wanted NAME:DIAL=VALUE"),
        ("--region", "sky:colour=1", "wanted NAME:DIAL=VALUE"),
        ("--region", "sky:detail=much", "wanted NAME:DIAL=VALUE"),
        ("--region", "sky:detail=2", "--region sky:detail=2: detail of a region is 2.0, must be between 0 and 1"),
        ("--region", "sky:stroke=9", "stroke of a region is 9.0, must be between 0.25 and 4"),
        ("--region", "sky:colors=grey", "colors of a region is 'grey', must be one of style, photo, match, only"),
        ("--region", "sky:color=2", "color of a region is 2.0, must be between 0 and 1"),
        ("--region", "sky:strength=nan", "strength of a region is nan"),
        ("--region", "sky:detail=1,detail=0", "detail is given twice"),
        ("--feather", "1", "--feather is 1.0, must be between 0 and 0.1"),
        ("--feather", "nan", "--feather is nan"),
    ],
)
def test_bad_parts_and_dials_are_told(parts: Path, option: str, text: str, message: str):
    images.save("black.png", np.zeros((4, 4, 3), np.float32))
    assert message in " ".join(fails("stylize", "sea.png", *SKY, option, text, "-o", "out.png").split())


def test_parts_and_dials_are_given_once(parts: Path):
    mask, dial = ("--style-mask", "sky=upper.png"), ("--region", "sky:detail=1")
    told = fails("stylize", "sea.png", *SKY, *mask, "--style-mask", "sky/2=upper.png", "-o", "out.png")
    assert "waves.png has a mask already" in " ".join(told.split())
    told = fails("stylize", "sea.png", *SKY, *dial, "--region", "sky:strength=1", "-o", "out.png")
    assert "sky is given twice" in " ".join(told.split())
    told = fails("stylize", "sea.png", *SKY, *mask, "-o", "upper.png", "--overwrite")
    assert "is one of the input pictures" in told


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"regions": {"sky": {"detail": 3}}}, "detail of a region is 3"),
        ({"regions": {"sky": {"stroke": "x"}}}, "stroke of a region is 'x'"),
        ({"regions": 3}, "has no attribute"),
        ({"feather": -1}, "feather is -1"),
        ({"styles": [{"name": "a.png", "weight": 1, "mask": {"name": 3}}]}, "name is 3, must be text"),
    ],
)
def test_bad_parts_and_dials_of_a_recipe_are_told(changes: dict[str, Any], why: str):
    with pytest.raises(ConfigError, match=why):
        recipe.Recipe.from_json({**a_recipe().to_json(), **changes})


@pytest.mark.parametrize(
    ("styles", "masks", "message"),
    [
        (("a.png@sky",), (), "--style a.png@sky: there is no mask of that name; give --mask sky=FILE"),
        (("a.png",), ("sky.png",), "--mask sky.png: wanted NAME=FILE"),
        (("a.png",), ("sky=",), "--mask sky=: wanted NAME=FILE"),
        (("a.png",), ("a/b=b.png",), "wanted NAME=FILE, the name without any of @ = , / :"),
        (("a.png",), ("face=b.png",), "face is built in"),
        (("a.png",), ("sky=b.png", "sky=c.png"), "sky is given twice"),
    ],
)
def test_bad_regions_are_told(styles: tuple[str, ...], masks: tuple[str, ...], message: str):
    with pytest.raises(ConfigError) as caught:
        specs.parse_masks(masks, specs.parse_styles(styles, command="stylize"))
    assert message in str(caught.value)


def test_a_mask_is_never_overwritten(here: Path):
    images.save(here / "sky.png", np.ones((4, 4, 3), np.float32))
    told = fails("stylize", "sea.png", "--style", "waves.png@sky", "--mask", "sky=sky.png",
                 "-o", "sky.png", "--overwrite")  # fmt: skip
    assert "is one of the input pictures" in told


def test_every_dial_comes_back_from_a_recipe(here: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch):
    seen: list[Any] = []
    monkeypatch.setattr(Batch, "make", lambda batch, content, *_, **__: seen.append((batch, content)) or {})
    settings = Settings(
        strength=1.1,
        detail=0.3,
        colors="match",
        color=0.2,
        texture=0.7,
        keep_faces=0.9,
        transform="adain",
        blend="mixture",
        look=300,
        refine=7,
    )
    kept = Settings(**{**dataclasses.asdict(settings), "refine": 0, "photo": True})  # a photo is not refined
    for field in dataclasses.fields(Settings):
        both = [getattr(settings, field.name), getattr(kept, field.name)]
        assert both.count(field.default) <= (field.name in ("refine", "photo"))
    cases: list[tuple[Settings, dict[str, Any]]] = [
        (settings, {"style_size": 96}), (settings, {"style_size": 0}), (kept, {"stroke_scale": 0.5}),
    ]  # fmt: skip
    for wanted, strokes in cases:
        asked = a_recipe(
            settings=wanted, model="medium", size=72, content=Source("sea.png"),
            styles=(StyleSource("waves.png", weight=0.25),), **strokes,
        )  # fmt: skip
        assert recipe.Recipe.from_json(json.loads(json.dumps(asked.to_json()))).command() == asked.command()
        result = invoke(*shlex.split(asked.command())[1:])
        assert result.exit_code == 0, result.output
        batch, content = seen.pop()
        assert (batch.settings, batch.model, batch.sizes.size) == (wanted, "medium", 72)
        assert batch.sizes.strokes == inputs.Strokes(**strokes)
        assert content == "sea.png"


def test_a_recipe_tells_no_folders(here: Path, one_model: Any):
    out = made(here / "sea.png", "--style", here / "waves.png")
    assert "here" not in json.dumps(images.read_recipe(out))


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({}, "strength is missing"),
        ({**a_recipe().to_json(), "content": 3}, "argument of type 'int' is not"),
        ({**a_recipe().to_json(), "content": {}}, "name is missing"),
        ({**a_recipe().to_json(), "size": 0}, "size is 0, must be a whole number from 1"),
        ({**a_recipe().to_json(), "detail": 2}, "detail is 2, must be between 0 and 1"),
    ],
)
def test_a_recipe_that_lacks_something_is_told(here: Path, photo: np.ndarray, written: dict[str, Any], why: str):
    images.save("odd.png", photo, recipe=written)
    version = written.get("version")
    message = fails("recipe", "odd.png")
    assert f"odd.png: its recipe (of version {version}) cannot be used: {why}" in message


def test_a_recipe_cannot_inject_commands_or_escapes():
    command = a_recipe(content=Source("-rf"), styles=(StyleSource("x; rm \x1b[2J"),)).command()
    assert "\x1b" not in command
    assert shlex.split(command)[:5] == ["wctstyle", "stylize", "./-rf", "--style", "x; rm ?[2J"]


def test_a_recipe_cannot_name_options_of_its_own():
    written = a_recipe(optimisation=Optimisation(OptimizeSettings(steps=7), "medium", "noise")).to_json()
    written["optimize"]["settings"] |= {"output": "/home/me/wedding.jpg", "overwrite": True, "resume": True}
    words = shlex.split(recipe.Recipe.from_json(written).command())
    assert words[words.index("--steps") + 1] == "7"
    assert not {"--output", "--overwrite", "--resume"} & set(words)


def test_an_optimisation_of_a_picture_with_its_own_dials_is_two_commands():
    own = a_recipe(
        settings=Settings(detail=0.8, transform="adain", color=1 / 3, strength=0.5), stroke_scale=0.75,
        content=Source("my photo.png"),
    )  # fmt: skip
    settings = OptimizeSettings(steps=7, strength=0.5)

    def optimised(**changes: Any) -> str:
        return dataclasses.replace(own, optimisation=Optimisation(settings, "medium"), **changes).command()

    first, second = optimised().split(" && ")
    assert first == f"{own.command()} -o start.png"
    for option in ("--detail 0.8", "--transform adain", "--model slim", "--color 0.3333333333333333"):
        assert option in first
    words = shlex.split(second)
    assert words[:3] == ["wctstyle", "optimize", "my photo.png"]
    assert {"--init=start.png", "medium"} < set(words)
    assert words[words.index("--stroke-scale") + 1] == "0.75"
    assert "&&" not in optimised(settings=recipe.fast_settings(settings))
    noise = dataclasses.replace(own, optimisation=Optimisation(settings, "medium", "noise"))
    assert "&&" not in noise.command()


def test_one_failing_picture_of_several_does_not_stop_the_others(here: Path, one_model: Any):
    (here / "broken.png").write_bytes((here / "sea.png").read_bytes()[:300])
    result = invoke("stylize", "broken.png", "sea.png", "--style", "waves.png", "-o", "out")
    assert result.exit_code == 2
    assert result.stdout == f"{Path('out/sea-stylized.png')}\n"
    assert result.stderr.startswith("Error: 1 of 2 pictures failed:\n  broken.png: cannot decode this PNG")


def test_a_result_that_is_not_finite_is_exit_code_2(here: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(one_model, "stylize", raiser(NonFiniteError("the stylised picture is not finite", level=4)))
    assert fails(*STYLED) == "Error: the stylised picture is not finite (at relu4_1)"
    assert not (here / "sea-stylized.png").exists()


def test_an_interrupt_while_writing_leaves_nothing(here: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch):
    before = sorted(here.iterdir())
    monkeypatch.setattr(os, "replace", raiser(KeyboardInterrupt()))
    assert fails(*STYLED, code=130) == "Stopped. No half-written file is left."
    assert sorted(here.iterdir()) == before


def test_a_folder_that_cannot_be_made_is_told(here: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "mkdir", raiser(PermissionError(13, "Permission denied")))
    assert fails(*STYLED, "-o", "new/") == "Error: new: the folder cannot be made: Permission denied"


# --- Stylizing as a process ----------------------------------------------------------------------------


@pytest.mark.usefixtures("any_weights")
def test_a_folder_with_alpha_rotation_and_a_broken_file(here: Path, photo: np.ndarray):
    folder = here / "photos"
    folder.mkdir()
    alpha = np.tile(np.linspace(0, 1, photo.shape[1], dtype=np.float32), (photo.shape[0], 1))
    images.save(folder / "clear.png", photo, alpha)
    upright = Image.fromarray((photo * 255 + 0.5).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the stored rows rotated clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=exif)
    images.save(folder / "upright.png", photo)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    done = process("stylize", "photos", "--style", "waves.png", "-o", "out", "--json", cwd=here, code=2)
    lines = {Path(line["content"]).name: line for line in map(json.loads, done.stdout.splitlines())}
    assert list(lines) == ["broken.jpg", "clear.png", "turned.png", "upright.png"]
    assert "cannot decode this JPEG" in lines["broken.jpg"]["error"]
    assert done.stderr.startswith("Error: 1 of 4 pictures failed:\n  photos/broken.jpg: ")
    for name in ("clear.png", "turned.png", "upright.png"):
        line = lines[name]
        assert line["output"] == str(Path("out", name.replace(".png", "-stylized.png")))
        assert (line["width"], line["height"], line["model"]) == (48, 64, "slim")
        assert line["device"] == "cpu"
        parts = ["load_model", "read", "encode", "blend", "render", "refine", "write", "total"]
        assert list(line["seconds"]) == parts
        assert sum(line["seconds"][part] for part in parts[:-1]) <= line["seconds"]["total"] + 0.01
    assert [line.get("first_call") for line in lines.values()] == [None, True, False, False]
    assert lines["clear.png"]["seconds"]["load_model"] > 0 == lines["turned.png"]["seconds"]["load_model"]
    clear, turned, plain = (images.load(here / line["output"]) for line in list(lines.values())[1:])
    assert clear.alpha is not None
    assert np.abs(clear.alpha - alpha).max() <= 0.5 / 255 + 1e-6
    assert turned.alpha is None
    assert turned.content_hash == plain.content_hash
    assert clear.rgb.shape == plain.rgb.shape


@pytest.mark.usefixtures("any_weights")
def test_one_picture(here: Path):
    done = process("stylize", "sea.png", "--style", "waves.png", cwd=here)
    assert done.stdout == "sea-stylized.png\n"
    assert done.stderr == ""
    assert sorted(path.name for path in here.iterdir()) == ["sea-stylized.png", "sea.png", "waves.png"]
    assert images.load(here / "sea-stylized.png").rgb.shape == (64, 48, 3)


@pytest.mark.usefixtures("any_weights")
def test_ctrl_c_leaves_whole_files_only(here: Path, photo: np.ndarray):
    (here / "photos").mkdir()
    for name in "abc":
        images.save(here / "photos" / f"{name}.png", photo)
    # A child of a background job starts with SIGINT ignored, so the handler is set anew.
    start = (
        "import os, signal, time\n"
        "from wctstyle.cli import main\n"
        "replace = os.replace\n"
        "def gated(source, target):\n"
        "    if os.fspath(target).endswith('b-stylized.png'):\n"
        "        time.sleep(120)\n"
        "    replace(source, target)\n"
        "os.replace = gated\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "main()\n"
    )
    command = [sys.executable, "-c", start, "stylize", "photos", "--style", "waves.png", "-o", "out"]
    with subprocess.Popen(
        command, cwd=here, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        first = running.stdout.readline().strip()
        while not list((here / "out").glob(".*.tmp")):  # until the second is being written
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert stderr == "Stopped. No half-written file is left.\n"
    assert Path(first) == Path("out", "a-stylized.png")
    assert [path.name for path in (here / "out").iterdir()] == ["a-stylized.png"]
    assert images.load(here / first).rgb.shape == photo.shape


# --- The other commands ----------------------------------------------------------------------------------


def test_styles_are_suggested_those_most_like_the_photo_first(here: Path, any_weights: None):
    (here / "paintings").mkdir()
    images.save(here / "paintings" / "same.png", samples.picture("cat").rgb)
    lines = invoke("suggest", "sample:cat", "paintings", "sample:marbling", "sample:peacock").stdout.splitlines()
    names, distances = zip(*(line.split() for line in lines), strict=True)
    assert names[0] == str(Path("paintings") / "same.png")
    assert set(names[1:]) == {"sample:marbling", "sample:peacock"}
    assert [float(far) for far in distances] == sorted(float(far) for far in distances)
    listed = json.loads(invoke("suggest", "sample:cat", "--json").stdout)
    assert {one["style"] for one in listed} == {f"sample:{name}" for name in samples.names("style")}
    assert "styles are suggested for one photo" in fails("suggest", "paintings")
    assert "no sample has this name" in fails("suggest", "sample:cat", "sample:nope")


def test_samples_are_listed_and_exported(here: Path):
    listed = invoke("samples").stdout
    for kind in ("content", "style"):
        for name in samples.names(kind):
            assert re.search(rf"^{kind} +sample:{name} +{re.escape(samples.describe(name))}$", listed, re.MULTILINE)
    exported = invoke("samples", "--export", "gallery")
    assert exported.exit_code == 0
    paths = exported.stdout.splitlines()
    assert len(paths) == len(samples.names("content")) + len(samples.names("style"))
    assert all(images.is_image_file(path) for path in paths)


def test_weights_are_listed_and_verified(here: Path, tiny_weights: Path):
    listed = invoke("weights", "list")
    assert re.search(rf"^slim +yes +\d+\.\d MB +CC0 +{re.escape(str(tiny_weights))}", listed.stdout, re.MULTILINE)
    assert re.search(r"^medium +yes ", listed.stdout, re.MULTILINE)
    assert re.search(r"^vgg19 +no ", listed.stdout, re.MULTILINE)
    assert "wctstyle weights get vgg19" in listed.stderr
    verified = invoke("weights", "verify")
    assert verified.exit_code == 0
    assert verified.stdout.splitlines()[-1] == f"{tiny_weights / 'slim.safetensors'}: ok"


def test_damaged_weights_are_exit_code_2(
    here: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    data = (tiny_weights / "slim.safetensors").read_bytes()
    (damaged / "slim.safetensors").write_bytes(data[:-100])
    (damaged / "manifest.json").write_bytes((tiny_weights / "manifest.json").read_bytes())
    monkeypatch.setenv("WCTSTYLE_WEIGHTS", str(damaged))
    result = invoke("weights", "verify")
    assert result.exit_code == 2
    assert f"{damaged / 'slim.safetensors'}: has problems" in result.stdout
    assert result.stderr.startswith("Error: the weights have problems:\n")
    assert "sha256" in result.stderr
    assert f"{damaged / 'slim.safetensors'}: damaged" in fails(*STYLED)
    assert not (here / "sea-stylized.png").exists()


def test_weights_import(here: Path, monkeypatch: pytest.MonkeyPatch):
    (here / "net.pth").write_bytes(b"\x80\x02 pickled")
    assert "net.pth: is a pickle" in fails("weights", "import", "net.pth")
    arrays: dict[str, Any] = {"conv1_1/kernel": np.zeros((3, 3, 3, 8), np.float32)}
    np.savez(here / "net.npz", **arrays)
    message = fails("weights", "import", "net.npz")
    assert "conv1_1/kernel has shape (3, 3, 3, 8), wanted (3, 3, 3, 64)" in message
    assert "conv5_1/bias is missing" in message
    from wctstyle import weights

    calls: list[Any] = []

    def imported(path: Path, *, preprocessing: str | None) -> Path:
        calls.append((path, preprocessing))
        return Path("kept.safetensors")

    monkeypatch.setattr(weights, "import_vgg19", imported)
    result = invoke("weights", "import", "net.npz", "--preprocessing", "caffe")
    assert result.stdout == "kept.safetensors\n"
    assert invoke("weights", "import", "net.npz").exit_code == 0
    assert calls == [(Path("net.npz"), "caffe"), (Path("net.npz"), None)]


def test_weights_get(here: Path, monkeypatch: pytest.MonkeyPatch):
    from wctstyle import weights

    urls = []

    def download(*, progress: Any, url: str) -> Path:
        urls.append(url)
        progress(0, None)
        progress(50, 100)
        return Path("vgg19.safetensors")

    monkeypatch.setattr(weights, "download_vgg19", download)
    for args in ((), ("--url", "https://example.org/mirror.h5")):
        result = invoke("weights", "get", "vgg19", *args)
        assert (result.exit_code, result.stdout) == (0, "vgg19.safetensors\n")
    assert urls == [weights.OFFICIAL_URL, "https://example.org/mirror.h5"]


def test_weights_get_tells_what_the_server_said(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/vgg19.h5"
        message = fails("weights", "get", "vgg19", "--url", url)
        server.shutdown()
        thread.join()
    assert message.startswith(f"Error: {url}: the server answered 404 Not Found")


@pytest.fixture
def training(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace the training by one that reports twice, and the teacher's weights by none; collects the calls."""
    from wctstyle import weights
    from wctstyle.training import recipe

    calls: list[Any] = []

    def run(plan: Any, *, report: Any, **kwargs: Any) -> Path:
        calls.append((plan.name, kwargs))
        report({"stage": "distill", "step": 25, "steps": 50, "seconds": 12.3, "loss": 0.123456})
        report({"stage": "distill", "dead_channels": {"relu1_1": 0}})
        return Path("out/slim.safetensors")

    monkeypatch.setattr(recipe, "train", run)
    monkeypatch.setattr(weights, "load", lambda name, parts: ({f"{name}/{parts[0]}": np.zeros(1)}, {}))
    return calls


TRAIN = ("train", "slim", "--content", ".", "--style", ".", "--out", "out")


def test_training_reports_and_says_where_the_weights_are(training: list[Any]):
    result = invoke(*TRAIN)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{Path('out/slim.safetensors')}\n"
    assert result.stderr.splitlines() == [
        "distill 25/50 12 s  loss 0.1235",
        "distill  dead_channels {'relu1_1': 0}",
    ]
    name, options = training[0]
    assert name == "slim"
    assert list(options.pop("teacher")) == ["vgg19/encoder"]
    assert options == {"content": Path("."), "style": Path("."), "out": Path("out"), "painter": None}


def test_training_reports_as_json(training: list[Any]):
    result = invoke(*TRAIN, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.get("step") for line in lines] == [25, None, None]
    assert lines[-1] == {"weights": str(Path("out/slim.safetensors"))}
    assert result.stderr == ""


def test_a_teacher_file_is_imported_into_the_output_folder(training: list[Any], monkeypatch: pytest.MonkeyPatch):
    from wctstyle import weights

    Path("vgg.npz").touch()
    monkeypatch.setattr(weights, "import_vgg19", lambda path, dest: Path(f"{dest}<{path}"))
    monkeypatch.setattr(weights, "load_file", lambda path: ({str(path): np.zeros(1)}, {}))
    assert invoke(*TRAIN, "--teacher", "vgg.npz").exit_code == 0
    assert list(training[0][1]["teacher"]) == [str(Path("out/teacher.safetensors<vgg.npz"))]


def test_a_painter_file_is_read(training: list[Any], monkeypatch: pytest.MonkeyPatch):
    from wctstyle.training import pictures

    assert "'gone.npz' does not exist" in fails(*TRAIN, "--painter", "gone.npz")
    Path("painter.npz").write_bytes(b"no archive")
    assert "painter.npz: cannot be used as a painting teacher" in fails(*TRAIN, "--painter", "painter.npz")
    monkeypatch.setattr(pictures, "load_painter", lambda path: {str(path): np.zeros(1)})
    assert invoke(*TRAIN, "--painter", "painter.npz").exit_code == 0
    assert list(training[0][1]["painter"]) == ["painter.npz"]


def test_an_interrupted_training_says_how_to_go_on(training: list[Any], monkeypatch: pytest.MonkeyPatch):
    from wctstyle.training import recipe

    monkeypatch.setattr(recipe, "train", raiser(KeyboardInterrupt()))
    message = fails(*TRAIN, code=130)
    assert message == "Stopped. What was trained so far is kept in out; the same command goes on from there."


def test_an_unknown_training_recipe_is_told(training: list[Any]):
    assert "recipe 'gone': no such file, and not one of the shipped recipes" in fails("train", "gone", *TRAIN[2:])
