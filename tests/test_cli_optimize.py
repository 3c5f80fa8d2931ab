"""The commands `optimize` and `compare`: messages in this process, Ctrl-C in one of its own."""

from __future__ import annotations

import dataclasses
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import narrow
import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from wctstyle import cli, images, optimization, specs, weights
from wctstyle.cli import comparison, optimize_run
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError, WeightsError
from wctstyle.inputs import RegionSpecs, Sizes, Strokes, StyleSpec
from wctstyle.optimizer import OptimizeSettings, run
from wctstyle.optimizer import settings as kinds
from wctstyle.recipe import Optimisation
from wctstyle.settings import DEFAULT_MODEL, DEFAULT_OPTIMIZER_MODEL

SHALLOW = ("--content-layers", "relu2_1", "--style-layers", "relu1_1=1,relu2_1=0.5")
"""The first layers alone, whose programs compile three times as fast; comparisons and regions have all."""

QUICK = ("--steps", "6", "--size", "32", "--smallest", "32", *SHALLOW)
STYLED = ("optimize", "sea.png", "--style", "waves.png")
SHIPPED = {name: dataclasses.replace(narrow.NARROW, name=name) for name in ("slim", "medium")}

PROCESS = """
import dataclasses, sys, time
import narrow
from wctstyle.cli import main, optimize_run
from wctstyle.encoder import MODELS
from wctstyle.optimizer import run
MODELS |= {"slim": narrow.NARROW, "medium": dataclasses.replace(narrow.NARROW, name="medium")}
run.CHUNK_SECONDS = 1e-9
class Gated(optimize_run.Stop):
    looks = 0
    @property
    def wanted(self):
        self.looks += 1
        end = time.monotonic() + 120
        while self.looks >= 5 and not self.pressed and time.monotonic() < end:
            time.sleep(0.01)
        return self.pressed
    @wanted.setter
    def wanted(self, pressed):
        self.pressed = pressed
optimize_run.Stop = Gated
with narrow.quick_compilation():
    main()
"""
"""The program with the narrow model and one step a call; after five it waits for Ctrl-C."""


def invoke(*args: object) -> Any:
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


def works(*args: object) -> str:
    result = invoke(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*args: object) -> str:
    result = invoke(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def programs() -> Iterator[None]:
    """Narrow models as the shipped ones; commands of the same model share its programs."""
    with narrow.quick_compilation(), narrow.shared_programs(), pytest.MonkeyPatch.context() as patch:
        for name, config in SHIPPED.items():
            patch.setitem(MODELS, name, config)
        yield


@pytest.fixture(scope="module")
def shipped(programs: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of narrow models; they are only read."""
    folder = tmp_path_factory.mktemp("shipped")
    for name, config in SHIPPED.items():
        metadata = {
            "config": {"name": name, "channels": list(config.channels)},
            "licence": "CC0",
            "source": "made for a test",
            "version": "1",
        }
        weights.save(folder / f"{name}.safetensors", narrow.random_tensors(), metadata)
    weights.write_manifest(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with sea.png (32 x 24) and waves.png (24 x 32)."""
    monkeypatch.setenv("WCTSTYLE_WEIGHTS", str(shipped))
    folder = tmp_path / "here"
    folder.mkdir()
    images.save(folder / "sea.png", narrow.picture(24, 32, seed=1))
    images.save(folder / "waves.png", narrow.picture(32, 24, seed=2))
    monkeypatch.chdir(folder)
    return folder


def rgb(path: str | Path) -> np.ndarray:
    return images.load(Path(path)).rgb


# --- Options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("optimize", "sea.png"), "Error: no style given; add one or more pictures"),
        (("optimize", "gone.png", "--style", "waves.png"), "Error: gone.png: there is no such file"),
        (("optimize", ".", "--style", "waves.png"), "Error: .: is a folder; `wctstyle optimize` takes one photo"),
        (
            ("lut", "make", ".", "--style", "waves.png", "-o", "x.cube"),
            "Error: .: is a folder; `wctstyle lut make` takes one photo",
        ),
        (("optimize", "sea.png", "--style", "waves.png:0"), "Error: --style: all weights are 0, so there is no style"),
        (("compare", "sea.png", "--style", "waves.png:0", "-o", "x"), "Error: --style: all weights are 0, so there is"),
        ((*STYLED, "--steps", "0"), "Error: --steps is 0, must be a whole number from 1"),
        ((*STYLED, "--content-weight", "-1"), "Error: --content-weight is -1.0, must be a number >= 0"),
        ((*STYLED, "--style-layers", "relu9_1"), "Error: --style-layers names 'relu9_1', must be one of relu1_1"),
        ((*STYLED, "--style-layers", "relu1_1=x"), "--style-layers relu1_1=x: weight of relu1_1 is 'x'"),
        ((*STYLED, "--content-layers", "relu4_2,relu4_2"), "relu4_2 is given twice; give each layer once"),
        ((*STYLED, "--init", "gone.png"), "Error: gone.png: there is no such file"),
        (
            (*STYLED, "--init", "waves.png"),
            "Error: --init waves.png: is 24 x 32 at the result's size, the photo 32 x 24",
        ),
        ((*STYLED, "--save-every", "-1"), "Error: --save-every is -1, must be a number of steps"),
        ((*STYLED, "--quality", "101"), "Error: --quality is 101, must be a whole number from 1 to 100"),
        ((*STYLED, "--size", "5000"), "Error: --size is 5000, must be from 1 to 4096 pixels"),
        ((*STYLED, "--style-size", "-1"), "Error: --style-size is -1, must be from 1 to 4096 pixels"),
        ((*STYLED, "--stroke-scale", "5"), "Error: --stroke-scale is 5.0, must be between 0.25 and 4"),
        (
            (*STYLED, "--stroke-scale", "2", "--style-size", "64"),
            "Error: --style-size 64 and --stroke-scale 2.0 contradict each other; give one of them",
        ),
        ((*STYLED, "--strength", "1.5"), "Error: --strength is 1.5, must be between 0 and 1"),
        ((*STYLED, "-o", "sea.png", "--overwrite"), "-o sea.png: is one of the input pictures"),
        ((*STYLED, "-o", "out.xyz"), "Error: -o out.xyz: cannot write the format '.xyz'"),
        ((*STYLED, "-o", "out.png", "--resume"), "Error: --resume: there is no out.state.safetensors"),
        ((*STYLED, "--optimizer", "sgd"), "'sgd' is not one of 'lbfgs', 'adam'"),
        ((*STYLED, "--model", "vgg19"), "wctstyle weights get vgg19"),
        (("compare", "sea.png", "--style", "waves.png"), "Missing option"),
        (
            ("compare", "sea.png", "--style", "waves.png", "-o", "sea.png"),
            "Error: -o sea.png: is no folder, but several pictures are to be written; give a folder",
        ),
    ],
)
def test_mistakes_are_told_with_exit_code_2(here: Path, monkeypatch: pytest.MonkeyPatch, args: Any, message: str):
    monkeypatch.setenv("COLUMNS", "300")
    before = sorted(here.rglob("*"))
    assert message in fails(*args)
    assert sorted(here.rglob("*")) == before


def test_mistakes_do_not_import_jax(here: Path):
    mistakes = [["--style", "waves.png", "--steps", "0"], ["--style", "waves.png:0"]]
    script = (
        f"import sys\nfrom wctstyle.cli import app\nfor mistake in {mistakes}:\n"
        "    try:\n        app(['optimize', 'sea.png', *mistake])\n"
        "    except SystemExit as end:\n        print(end.code, {'jax', 'flax'} & set(sys.modules))\n"
    )
    root = Path(cli.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], env={**_environment(), "PYTHONPATH": str(root)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout == 2 * "2 set()\n"


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_options_are_those_of_the_settings():
    assert set(get_args(kinds.Start)) == {*optimization.STARTS, "image"}
    commands: Any = get_command(cli.app)
    defaults = {option.name: option.default for option in commands.commands["optimize"].params}
    plain = OptimizeSettings()
    fields = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    for name in ("content_layers", "style_layers", "dream"):
        assert defaults.pop(name) is None
        del fields[name]
    assert {name: defaults[name] for name in fields} == fields
    for name in ("optimize", "compare"):
        defaults = {option.name: option.default for option in commands.commands[name].params}
        assert defaults["model"] == DEFAULT_OPTIMIZER_MODEL
        assert defaults["style_size"] is defaults["stroke_scale"] is None


def test_layers_are_parsed():
    assert specs.parse_layers("--x", "relu4_2") == {"relu4_2": 1.0}
    assert specs.parse_layers("--x", "relu3_1=0.5, relu4_1 = 2") == {"relu3_1": 0.5, "relu4_1": 2.0}
    with pytest.raises(ConfigError, match="weight of relu3_1 is ''"):
        specs.parse_layers("--x", "relu3_1=")


# --- optimize -----------------------------------------------------------------------------------------------------


def test_a_picture_is_optimised_and_tells_how(here: Path):
    out = works(*STYLED, *QUICK, "-o", "out.png", "--save-every", "3")
    assert out == "out.png\n"
    assert rgb("out.png").shape == (24, 32, 3)
    assert sorted(p.name for p in here.iterdir() if p.name.startswith("out")) == [
        "out-0003.png",
        "out-0006.png",
        "out.png",
    ]
    assert "exists already" in fails(*STYLED, *QUICK, "-o", "out.png")
    command = shlex.split(works("recipe", "out.png"))
    assert command[:3] == ["wctstyle", "optimize", "sea.png"]
    assert works(*command[1:], "-o", "again.png") == "again.png\n"
    np.testing.assert_array_equal(rgb("again.png"), rgb("out.png"))


def test_the_course_is_printed_as_json(here: Path):
    lines = [json.loads(line) for line in works(*STYLED, *QUICK, "-o", "out.png", "--json").splitlines()]
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    assert {"step", "scale", "seconds", "losses", "steps_per_second", "seconds_left"} <= lines[0].keys()
    last = lines[-1]
    assert (last["output"], last["step"], last["reason"], last["model"]) == ("out.png", 6, "steps", "medium")
    assert last["losses"]["total"] < lines[0]["losses"]["total"]


@pytest.mark.parametrize(
    "options",
    [
        ("--optimizer", "adam", "--statistic", "moments", "--pooling", "avg", "--init", "noise", "--seed", "3"),
        (
            "--init",
            "sea.png",
            "--colors",
            "match",
            "--color",
            "0.5",
            "--normalize-gradients",
            "--strength",
            "0.5",
            "--plateau",
            "0.1",
        ),
        ("--style", "sea.png:0.5", "--blend", "mixture", "--init", "style", "--time-budget", "60", "--style-size", "0"),
        ("--stroke-scale", "2.0", "--keep-faces", "0.25", "--model", "slim", "--history", "4"),
    ],
)
def test_options_are_handed_on_and_found_in_the_recipe(here: Path, options: tuple[str, ...]):
    works(*STYLED, *QUICK, *options, "-o", "out.png")
    command = shlex.split(works("recipe", "out.png"))
    for option, value in zip(options, [*options[1:], ""], strict=True):
        if option.startswith("--") and option not in ("--init", "--style", "--style-size"):
            assert option in command
            if not value.startswith("--"):
                assert (
                    command[command.index(option) + 1] in (value, f"{float(value):g}.0")
                    if value[0].isdigit()
                    else value
                )
    works(*command[1:], "-o", "again.png")
    np.testing.assert_array_equal(rgb("again.png"), rgb("out.png"))


def test_ctrl_c_keeps_the_picture_and_the_state_and_resume_goes_on(here: Path):
    args = [*STYLED, "--steps", "40", "--size", "32", "--smallest", "16", "--init", "content", *SHALLOW, "--json"]
    whole = works(*args, "-o", "whole.png").splitlines()[-1]
    root = Path(cli.__file__).parents[2]
    environment = {**_environment(), "PYTHONPATH": f"{root}:{root / 'tests'}"}
    running = subprocess.Popen(
        [sys.executable, "-c", PROCESS, *args, "-o", "out.png"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert running.stdout is not None
    for line in running.stdout:
        if json.loads(line)["step"] >= 5:
            break
    running.send_signal(signal.SIGINT)
    _, messages = running.communicate(timeout=120)
    assert running.returncode == 130, messages
    assert "with --resume goes on" in " ".join(messages.split())
    assert "Traceback" not in messages
    assert rgb("out.png").shape == (24, 32, 3)
    recipe = images.read_recipe("out.png")
    assert (recipe["optimize"]["settings"]["steps"], recipe["optimize"]["stopped"]) == (40, 5)
    assert "Stopped at step 5 of 40" in messages
    assert (here / "out.state.safetensors").exists()
    assert "is left from a stopped run; give --resume" in fails(*args, "-o", "out.png")
    lines = works(*args, "-o", "out.png", "--resume").splitlines()
    assert json.loads(lines[0])["step"] > 5
    assert json.loads(lines[-1])["losses"] == json.loads(whole)["losses"]
    assert not (here / "out.state.safetensors").exists()
    np.testing.assert_array_equal(rgb("out.png"), rgb("whole.png"))
    assert images.read_recipe("out.png") == images.read_recipe("whole.png")


def test_the_result_may_go_into_a_folder(here: Path):
    (here / "old").mkdir()
    for folder in (".", "old", "new/"):
        works(*STYLED, *QUICK, "-o", folder, "--save-every", "4")
        assert (here / folder / "sea-stylized.png").is_file()
        assert (here / folder / "sea-stylized-0004.png").is_file()
    state = here / "old" / "sea-stylized.state.safetensors"
    state.write_bytes(b"left")
    assert f"{state.relative_to(here)}: is left from a stopped run; give --resume" in fails(*STYLED, "-o", "old")


def test_a_start_may_be_a_pixel_off(here: Path):
    images.save("start.png", narrow.picture(49, 64, seed=3))  # 25 x 32 where the photo has 24 x 32
    assert images.resize(images.load("start.png"), long_side=32).height == 25
    works(*STYLED, *QUICK, "--init", "start.png", "-o", "out.png")
    assert rgb("out.png").shape == (24, 32, 3)


def test_thin_pictures_are_named_with_what_helps(here: Path):
    images.save("line.png", narrow.picture(2, 128, seed=3))
    said = fails("optimize", "line.png", *STYLED[2:], "--size", "32")
    assert "line.png: is 128 x 2, and 32 x 1 as it is optimised, which takes at least 2 pixels each way" in said
    assert "give a larger --size" in said
    thin = (*STYLED[:2], "--style", "line.png", "--size", "32")
    assert "give a larger --stroke-scale" in fails(*thin)
    assert "give a larger --style-size" in fails(*thin, "--style-size", "40")


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        (("--size", 96), (96, 96)),
        (("--size", 192), (192, 192)),
        (("--size", 96, "--stroke-scale", 2), (96, 192)),
        (("--size", 96, "--stroke-scale", 0.75), (96, 72)),
        (("--size", 96, "--style-size", 40), (96, 40)),
        (("--size", 96, "--style-size", 0), (96, 32)),
        ((), (32, 64)),  # no smaller ones
    ],
)
def test_strokes_grow_with_the_result(here: Path, options: tuple[object, ...], sides: tuple[int, int]):
    given: dict[object, Any] = dict(zip(options[::2], options[1::2], strict=True))
    strokes = Strokes(given.get("--style-size"), given.get("--stroke-scale"))
    named = specs.Named(["sea.png"], [StyleSpec("waves.png")], RegionSpecs())
    sizes = Sizes(given.get("--size"), strokes, max_pixels=0)
    request = optimize_run.read_request(optimization.Wanted(named, OptimizeSettings(), "fast", "medium", sizes))
    assert (request.content.width, request.regions[0].styles[0][0].picture.shape[0]) == sides
    fast = request.recipe.fast
    assert (fast.model, fast.optimisation) == (DEFAULT_MODEL, None)
    assert (fast.style_size, fast.stroke_scale) == (strokes.style_size, strokes.stroke_scale)


def test_a_preview_that_cannot_be_saved_does_not_end_the_run(here: Path, monkeypatch: pytest.MonkeyPatch):
    save = images.save

    def full(path: Any, *args: Any, **kwargs: Any) -> None:
        if "-0" in str(path):
            raise ImageError(f"{path}: No space left")
        save(path, *args, **kwargs)

    monkeypatch.setattr(images, "save", full)
    result = invoke(*STYLED, *QUICK, "--save-every", "2", "-o", "out.png")
    assert (result.exit_code, result.stdout) == (0, "out.png\n")
    assert result.stderr.count("a preview is missing: out-0002.png: No space left") == 1
    assert "out-0004" not in result.stderr


@pytest.mark.parametrize("command", ["optimize", "stylize"])
def test_what_a_photo_hides_changes_nothing(here: Path, command: str):
    shown = rgb("sea.png")
    alpha = np.zeros(shown.shape[:2], np.float32)
    alpha[4:16, 6:24] = 1
    for name, hidden in (("black", 0.0), ("white", 1.0)):
        images.save(f"{name}.png", np.where(alpha[..., None] > 0, shown, np.float32(hidden)), alpha)
        options = QUICK if command == "optimize" else ("--size", "32")
        works(command, f"{name}.png", *STYLED[2:], *options, "-o", f"{name}-out.png")
    black, white = images.load("black-out.png"), images.load("white-out.png")
    np.testing.assert_array_equal(black.rgb, white.rgb)
    assert black.alpha is not None
    assert sorted(np.unique(black.alpha)) == [0, 1]


def test_resume_finds_the_result_that_was_not_named(here: Path):
    for number in ("", "-2"):
        works(*STYLED, *QUICK)
        assert (here / f"sea-stylized{number}.png").is_file()
    assert "there is no sea-stylized.state.safetensors" in fails(*STYLED, *QUICK, "--resume")
    (here / "sea-stylized-2.state.safetensors").write_bytes(b"damaged")
    assert "sea-stylized-2.state.safetensors" in fails(*STYLED, *QUICK, "--resume")
    (here / "sea-stylized.state.safetensors").write_bytes(b"damaged")
    assert "there are sea-stylized-2.state.safetensors and sea-stylized.state.safetensors" in " ".join(
        fails(*STYLED, *QUICK, "--resume").split()
    )


def test_a_full_disk_costs_the_state_and_not_the_picture(here: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*args: Any) -> None:
        raise WeightsError("the disk is full")

    monkeypatch.setattr(run.states, "save", full)
    monkeypatch.setattr(run, "SAVE_SECONDS", 0.0)
    result = invoke(*STYLED, *QUICK, "-o", "out.png")
    assert (result.exit_code, result.stdout) == (0, "out.png\n")
    assert result.stderr.count("so --resume will not find it: the disk is full") == 1
    assert rgb("out.png").shape == (24, 32, 3)

    calls = iter([False, True])
    wanted = property(lambda _: next(calls, True), lambda *_: None)
    monkeypatch.setattr(optimize_run.Stop, "wanted", wanted, raising=False)
    monkeypatch.setattr(run, "CHUNK_SECONDS", 1e-9)
    result = invoke(*STYLED, *QUICK, "-o", "stopped.png")
    assert result.exit_code == 130
    assert "it cannot go on from there" in " ".join(result.stderr.split())
    assert rgb("stopped.png").shape == (24, 32, 3)


def test_previews_never_replace_what_is_there(here: Path):
    (here / "sea.png").rename("out-0003.png")
    args = ("optimize", "out-0003.png", "--style", "waves.png", *QUICK, "--save-every", "3", "-o", "out.png")
    before = (here / "out-0003.png").read_bytes()
    assert "out-0003.png: is one of the input pictures, which are never overwritten" in fails(*args, "--overwrite")
    assert (here / "out-0003.png").read_bytes() == before
    images.save("old-0006.png", narrow.picture(4, 4, seed=3))
    assert "old-0006.png: exists already" in fails(*args[:-1], "old.png")


# --- compare ------------------------------------------------------------------------------------------------------


def test_compare_writes_pictures_and_a_report(here: Path):
    args = ("compare", "sea.png", "--style", "waves.png:2", "--steps", "6", "--size", "32", "--colors", "match")
    args += ("--color", "0.5", "-o", "both")
    out = works(*args)
    assert out == "both/report.html\n"
    names = {"content.png", "fast.png", "optimized.png", "sheet.png", "report.html"}
    assert {path.name for path in (here / "both").iterdir()} == names
    page = (here / "both" / "report.html").read_text(encoding="utf-8")
    for text in (
        "waves.png (2)",
        "<svg",
        "polyline",
        'src="optimized.png"',
        "the model medium (the original VGG-19 is not",
    ):
        assert text in page
    assert rgb("both/sheet.png").shape == (24, 32 + 18 + 32 + 32 + 3 * comparison.GAP, 3)
    assert "report.html: exists already; give --overwrite" in fails(*args)
    report = json.loads(works(*args, "--overwrite", "--json").splitlines()[-1])
    figures = report["figures"]
    assert figures["photo"]["content"] == pytest.approx(0, abs=1e-6)
    assert figures["optimised"]["style"] < figures["photo"]["style"]
    assert figures["optimised"]["seconds"] > 0
    assert images.read_recipe("both/content.png") is None
    fast = shlex.split(works("recipe", "both/fast.png"))
    assert fast[:2] == ["wctstyle", "stylize"]
    works(*fast[1:], "-o", "again.png")
    assert np.abs(rgb("again.png") - rgb("both/fast.png")).max() < 1.5 / 255
    optimised = works("recipe", "both/optimized.png")
    assert shlex.split(optimised)[:2] == ["wctstyle", "optimize"]
    for line in (optimised, shlex.join(fast)):
        assert "--colors match --color 0.5" in line


def test_regions_are_optimised_and_compared(here: Path):
    """Outside of the mask the photo stays; the recipe names mask and region; the report has figures."""
    half = np.zeros((24, 32, 3), np.float32)
    half[:, :16] = 1
    images.save(here / "left.png", half)
    regions = ("--style", "waves.png@left", "--mask", "left=left.png", "--steps", "3")
    works("optimize", "sea.png", *regions, "-o", "out.png")
    np.testing.assert_allclose(rgb("out.png")[:, 20:], rgb("sea.png")[:, 20:], atol=1 / 255)
    assert np.abs(rgb("out.png") - rgb("sea.png"))[:, :12].mean() > 0.01
    recipe = json.loads(works("recipe", "out.png", "--json"))
    assert recipe["styles"][0]["region"] == recipe["masks"][0]["region"] == "left"
    assert "--style waves.png@left --mask left=left.png" in works("recipe", "out.png")
    report = json.loads(works("compare", "sea.png", *regions, "-o", "both", "--json").splitlines()[-1])
    assert report["figures"]["fast"]["style"] > 0
    assert json.loads(works("recipe", "both/fast.png", "--json"))["masks"] == recipe["masks"]


def test_figures_that_are_not_known_are_null(here: Path):
    images.save("thin.png", narrow.picture(8, 32, seed=3))
    args = ("compare", "thin.png", "--style", "waves.png", "--steps", "2", "--size", "32", "-o", "both", "--json")
    report = json.loads(works(*args).splitlines()[-1], parse_constant=pytest.fail)
    assert report["figures"]["fast"]["ssim"] is None
    assert report["figures"]["fast"]["style"] > 0
    page = (here / "both" / "report.html").read_text(encoding="utf-8")
    assert "<td>–</td></tr>" in page
    assert "nan" not in page


def test_a_stopped_comparison_reports_what_it_has(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(optimize_run.Stop, "wanted", property(lambda _: True, lambda *_: None), raising=False)
    monkeypatch.setattr(run, "CHUNK_SECONDS", 1e-9)
    result = invoke(
        "compare", "sea.png", "--style", "waves.png", "--steps", "6", "--size", "32", "-o", "both", "--json"
    )
    assert result.exit_code == 130
    assert "Stopped at step 1 of 6. The report is of the picture so far." in " ".join(result.stderr.split())
    assert "1 of 6, then stopped" in (here / "both" / "report.html").read_text(encoding="utf-8")
    assert images.read_recipe("both/optimized.png")["optimize"]["settings"]["steps"] == 1


def test_the_recipe_of_a_run_that_ended_early():
    asked = Optimisation(OptimizeSettings(steps=20, time_budget=3.0, plateau=0.1), "medium")
    one = asked.ended(7, 1, "time")
    assert (one.settings.steps, one.settings.time_budget, one.stopped) == (7, None, None)
    several = asked.ended(7, 2, "")
    assert (several.settings.steps, several.settings.time_budget, several.stopped) == (20, None, 7)
    assert asked.ended(20, 1, "time") == asked.ended(7, 2, "plateau") == asked
    assert asked.ended(0, 1, "").settings.steps == 1  # stopped before the first step


def test_compare_keeps_the_pictures_if_judging_fails(here: Path, monkeypatch: pytest.MonkeyPatch):
    def judge(engine: Any) -> Any:
        raise WeightsError("the judge is away")

    monkeypatch.setattr("wctstyle.cli.compare_command._judge", judge)
    args = ("compare", "sea.png", "--style", "waves.png", "--steps", "2", "--size", "32", "-o", "both")
    assert "the judge is away" in fails(*args)
    assert {path.name for path in (here / "both").iterdir()} == {"content.png", "fast.png", "optimized.png"}


def test_compare_replaces_no_picture_unasked(here: Path):
    folder = here / "both"
    folder.mkdir()
    (here / "sea.png").rename(folder / "content.png")
    args = ("--style", "waves.png", "--steps", "2", "--size", "32", "-o", "both")
    assert "is one of the input pictures" in fails("compare", "both/content.png", *args, "--overwrite")
    images.save(here / "sea.png", narrow.picture(24, 32, seed=1))
    assert "content.png: exists already; give --overwrite" in fails("compare", "sea.png", *args)


def test_the_plot_has_a_line_for_every_scale():
    trace = [{"seconds": s, "losses": {"total": 1 / (s + 1)}, "scale": 1 + (s > 2)} for s in range(5)]
    plot = comparison.loss_plot(trace)
    assert plot.count("<polyline") == 2
    assert plot.startswith("<svg")
    flat = comparison.loss_plot([{"seconds": 0.0, "losses": {"total": 0.0}, "scale": 1}])
    assert "nan" not in flat


def test_names_in_the_report_are_escaped():
    figures = {"style": 0.1, "style_by_level": [0.1] * 5, "content": 0.2, "ssim": 0.3}
    entry = comparison.Entry("<b>", "a.png", None, figures)
    trace = [{"seconds": 1.0, "losses": {"total": 1.0}, "scale": 1}]
    page = comparison.report_page("<i>", [("<u>", 1.0)], [entry], trace, {"<k>": "<v>"})
    for raw in ("<b>", "<i>", "<u>", "<k>", "<v>"):
        assert raw not in page


def test_faces_that_no_content_weight_keeps_are_told(here: Path):
    told = "--content-weight 0 does not keep faces either"
    result = invoke(*STYLED, *QUICK, "--content-weight", "0", "-o", "free.png")
    assert told in " ".join(result.stderr.split())
    result = invoke(*STYLED, *QUICK, "--content-weight", "0", "--keep-faces", "0", "-o", "freer.png")
    assert result.exit_code == 0
    assert told not in " ".join(result.stderr.split())
