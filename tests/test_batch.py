"""Many pictures from the command line: folders, patterns, names, styles, manifests, workers, reports and sheets."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import wctstyle
from wctstyle import cli, images, places
from wctstyle.batch import Batch
from wctstyle.cli import batch_command, contents, naming, outputs
from wctstyle.cli.manifest import COLUMNS, read_manifest
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.inputs import StyleSpec
from wctstyle.specs import PAINTING


def invoke(*args: object) -> Any:
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


def done(*args: object, code: int = 0) -> Any:
    result = invoke(*args)
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def told(*args: object) -> str:
    """Run what is refused; the message in one line. Nothing may be written."""
    before = sorted(Path().rglob("*"))
    result = done(*args, code=2)
    assert result.stdout == ""
    assert sorted(Path().rglob("*")) == before
    return " ".join(result.stderr.split())


@pytest.fixture
def trip(here: Path, photo: np.ndarray) -> Path:
    """Photos in a tree: a.png, b.png, day/a.png, day/night/c.png."""
    for number, name in enumerate(("a", "b", "day/a", "day/night/c")):
        path = here / "trip" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        images.save(path, np.roll(photo, number, axis=1))
    return here


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


# --- Trees and patterns --------------------------------------------------------------------------------


def test_a_tree_is_kept(trip: Path, one_model: Any):
    done("stylize", "trip", "--recursive", "--style", "waves.png", "-o", "trip/out")
    tree = ["a-stylized.png", "b-stylized.png", "day/a-stylized.png", "day/night/c-stylized.png"]
    assert files("trip/out") == tree
    Path("trip/out/-2").write_text("a file with a number for its name")
    again = done("stylize", "trip", "--recursive", "--style", "waves.png", "-o", "trip/out", "--skip-existing")
    assert again.stdout == ""  # results below the photos are none themselves
    assert "4 of 4 results are there already" in again.stderr
    Path("trip/out/-2").unlink()
    assert files("trip/out") == tree


@pytest.mark.parametrize(
    ("pattern", "recursive", "found"),
    [
        ("trip/*.png", False, {"trip/a.png": "", "trip/b.png": ""}),
        ("trip/**/a.png", False, {"trip/a.png": "", "trip/day/a.png": ""}),
        ("trip/**/a.png", True, {"trip/a.png": "", "trip/day/a.png": "day"}),
        ("trip/*/*/c.*", True, {"trip/day/night/c.png": "day/night"}),
        ("tri[p]/b.png", False, {"trip/b.png": ""}),
        ("trip", False, {"trip/a.png": "", "trip/b.png": ""}),
        ("trip/day", True, {"trip/day/a.png": "", "trip/day/night/c.png": "night"}),
    ],
)
def test_patterns_name_photos(trip: Path, pattern: str, recursive: bool, found: dict[str, str]):
    (trip / "trip" / "a-stylized.png").write_bytes(b"")
    (trip / "trip" / ".hidden").mkdir()
    (trip / "trip" / ".hidden" / "a.png").write_bytes((trip / "sea.png").read_bytes())
    assert contents.photos_of([pattern], recursive=recursive) == found


def test_a_pattern_that_finds_nothing_is_told(trip: Path):
    message = "Error: trip/*.jpg: no pictures of this pattern; wanted one of .jpg"
    assert message in told("stylize", "trip/*.jpg", "--style", "waves.png")
    (trip / "odd[1].png").write_bytes((trip / "sea.png").read_bytes())
    assert contents.photos_of(["odd[1].png"]) == {"odd[1].png": ""}  # a file comes before a pattern


# --- Names, styles, sheets and reports -----------------------------------------------------------------


def test_results_are_named_by_a_template(trip: Path, one_model: Any):
    style = ("--style", "waves.png", "--style", "sample:marbling:0.5")
    done("stylize", "trip/*.png", *style, "--name", "{number}/{stem}-{style}-{model}.jpg", "-o", "out")
    assert files("out") == ["1/a-waves+marbling-slim.jpg", "2/b-waves+marbling-slim.jpg"]
    done("stylize", "trip/**/a.png", *style, "--name", "{stem}", "-o", "same")
    assert files("same") == ["a-2.png", "a.png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{date}.png", "there is no field {date}; there are {stem}, {style}, {model}, {number}"),
        ("{stem", "is no template: expected '}' before end of string"),
        ("../{stem}.png", "leads out of the output folder"),
        ("/tmp/{stem}.png", "leads out of the output folder"),
        ("{stem}.gif", "cannot write the format '.gif'"),
        ("{stem!r:>9}.png", ""),
        ("{0}.png", "there is no field {0}"),
        ("{stem.x}.png", "there is no field {stem.x}"),
    ],
)
def test_bad_templates_are_refused(here: Path, name: str, message: str):
    if message:
        assert f"Error: --name {name}: {message}" in told("stylize", "sea.png", "--style", "waves.png", "--name", name)
    else:
        assert naming.template_of(name, None) == name


def test_every_photo_in_every_style(trip: Path, one_model: Any):
    arguments = ("stylize", "trip", "--style", "waves.png:0.2", "--style", "sea.png", "--each-style", "-o", "out")
    result = done(*arguments, "--sheet", "sheet.png", "--report", "report.jsonl")
    assert files("out") == ["a-sea.png", "a-waves.png", "b-sea.png", "b-waves.png"]
    recipe = images.read_recipe("out/a-waves.png")
    assert recipe is not None
    assert [(style["name"], style["weight"]) for style in recipe["styles"]] == [("waves.png", 1.0)]
    sheet = images.load("sheet.png")
    assert (sheet.width, sheet.height) == (3 * 264 + 8, 3 * 264 + 8)
    cells = sheet.rgb[4:-4, 4:-4].reshape(3, 264, 3, 264, 3)
    filled = (cells < 0.99).any(axis=(1, 3, 4))
    assert filled.tolist() == [[False, True, True], [True] * 3, [True] * 3]
    assert "sheet.png: all results on one sheet" in result.stderr
    assert "--each-style: paints whole photos" in told(*arguments[:-2], "-o", "two", "--mask", "x=sea.png")


def test_a_report_names_every_picture(trip: Path, one_model: Any):
    (trip / "trip" / "ab.png").write_bytes((trip / "sea.png").read_bytes()[:300])
    arguments = ("stylize", "trip", "--style", "waves.png", "-o", "out", "--report", "report.jsonl")
    result = done(*arguments, code=2)
    assert files("out") == ["a-stylized.png", "b-stylized.png"]
    assert result.stderr.startswith("Error: 1 of 3 pictures failed:\n  trip/ab.png: cannot decode this PNG")
    lines = [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
    assert [line["content"] for line in lines] == ["trip/a.png", "trip/ab.png", "trip/b.png"]
    assert lines[0].keys() == {"content", "output", "seconds"}
    assert lines[0]["seconds"] > 0
    assert lines[1].keys() == {"content", "error", "seconds"}
    assert lines[1]["error"].startswith("trip/ab.png: cannot decode")
    assert "--report report.jsonl: exists already" in told(*arguments[:4], "-o", "b", *arguments[6:])
    stopped = done(*arguments[:4], "-o", "c", "--stop-at-failure", code=2)
    assert files("c") == ["a-stylized.png"]
    assert "Error: 1 of 3 pictures failed" in stopped.stderr


def test_a_fault_in_one_picture_leaves_the_others(trip: Path, one_model: Any, monkeypatch: pytest.MonkeyPatch):
    make = Batch.make

    def faulty(batch: Batch, content: str, *args: Any, **options: Any) -> Any:
        if content == "trip/a.png":
            raise MemoryError("no room")
        return make(batch, content, *args, **options)

    monkeypatch.setattr(Batch, "make", faulty)
    result = done("stylize", "trip", "--style", "waves.png", "-o", "out", code=2)
    assert "1 of 2 pictures failed:\n  trip/a.png: MemoryError: no room (a fault of wctstyle)" in result.stderr
    assert files("out") == ["b-stylized.png"]


def test_what_every_picture_would_fail_of_is_told_once(trip: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(model: str) -> Any:
        raise WeightsError("weights of slim are missing")

    monkeypatch.setattr("wctstyle.stylizer.Stylizer", missing)
    result = done("stylize", "trip", "--style", "waves.png", "-o", "out", code=2)
    assert result.stderr == "Error: weights of slim are missing\n"


def test_sheets_are_for_hundreds(trip: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("wctstyle.cli.painting.MOST", 1)
    monkeypatch.setattr("wctstyle.cli.painting.paint_all", pytest.fail)
    arguments = ("stylize", "trip", "--style", "waves.png", "-o", "out", "--sheet")
    assert "--sheet s.png: is for up to 1 results, here are 2; leave it out" in told(*arguments, "s.png")
    assert "--sheet s.gif: cannot write the format '.gif'" in told(*arguments, "s.gif")
    one = ("stylize", "sea.png", "--style", "waves.png", "--sheet")
    assert "--sheet sea.png: is one of the input pictures" in told(*one, "sea.png")


# --- Manifests -----------------------------------------------------------------------------------------


def manifest(text: str, name: str = "m.csv") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_a_manifest_says_all_of_a_picture(trip: Path):
    columns = "content,styles,weights,output,strength,model,size,mask,colors,use_look\n"
    rows = read_manifest(manifest(
        columns
        + "trip/a.png,waves.png:0.5;sample:marbling,,one.jpg,0.5,medium,64,,match,\n"
        + "trip/b.png,waves.png@cup;sea.png,2;1,,,,,cup=sea.png,,\n"
        + "\n"
        + "sample:cat,,,,,,,,,engraving\n"
    ))  # fmt: skip
    first, second, third = rows
    assert (first.line, first.content, first.output) == (2, "trip/a.png", "one.jpg")
    assert first.setup.styles == (StyleSpec("waves.png", 0.5), StyleSpec("sample:marbling"))
    assert (first.setup.settings.strength, first.setup.settings.colors) == (0.5, "match")
    assert (first.setup.model, first.setup.sizes.size) == ("medium", 64)
    assert second.setup.styles == (StyleSpec("waves.png", 2.0, "cup"), StyleSpec("sea.png", 1.0))
    assert dict(second.setup.regions.masks) == {"cup": "sea.png"}
    assert third.line == 5
    assert third.setup.styles[0].source.startswith("sample:")
    lines = [
        {"content": "trip/a.png", "styles": ["waves.png:0.5", "sample:marbling"], "output": "one.jpg", "strength": 0.5,
         "model": "medium", "size": 64, "colors": "match"},
        {"content": "trip/b.png", "styles": ["waves.png@cup", "sea.png"], "weights": [2, 1], "mask": ["cup=sea.png"]},
        {"content": "sample:cat", "use-look": "engraving", "detail": None},
    ]  # fmt: skip
    same = read_manifest(manifest("\n".join(map(json.dumps, lines)), "m.jsonl"))
    assert [row.setup for row in same] == [row.setup for row in rows]
    assert [row.content for row in same] == [row.content for row in rows]


def test_every_option_of_a_picture_is_a_column():
    assert set(COLUMNS) == {"content", "output", "styles", "weights", *PAINTING} - {"style"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("content,styles,stength\n", "m.csv, line 1: there is no column 'stength'; the columns are content, styles,"),
        ("styles\nwaves.png\n", "m.csv, line 1: column content is missing"),
        ("content,size,size\n", "m.csv, line 1: column size is there twice"),
        ("content,styles\n", "m.csv: has no rows"),
        ("content,styles\nsea.png,waves.png,7\n", "m.csv, line 2: has more fields than the first line"),
        ("content,styles\n,waves.png\n", "m.csv, line 2: content is missing"),
        ("content,styles\ngone.png,waves.png\n", "m.csv, line 2: gone.png: there is no such file"),
        ("content,styles\nsea.png,gone.png\n", "m.csv, line 2: gone.png: there is no such file"),
        ("content,styles\n.,waves.png\n", "m.csv, line 2: content .: is no single file"),
        ("content,styles\n-,waves.png\n", "m.csv, line 2: content -: is no single file"),
        ("content\nsea.png\n", "m.csv, line 2: no style given"),
        ("content,styles,strength\nsea.png,waves.png,2\n", "line 2: strength is 2.0, must be between 0 and 1.5"),
        ("content,styles,strength\nsea.png,waves.png,x\n", "line 2: strength is 'x', wanted a number"),
        ("content,styles,size\nsea.png,waves.png,1.5\n", "line 2: size is '1.5', wanted a whole number"),
        ("content,styles,model\nsea.png,waves.png,best\n", "line 2: model is 'best', must be one of slim, medium"),
        ("content,styles,blend\nsea.png,waves.png,mix\n", "line 2: blend is 'mix', must be one of barycenter"),
        ("content,styles\nsea.png,waves.png:-1\n", "line 2: styles waves.png:-1: weight is -1, must be >= 0"),
        ("content,styles,weights\nsea.png,waves.png,1;2\n", "line 2: weights has 2 numbers for 1 styles"),
        ("content,styles,weights\nsea.png,waves.png:2,1\n", "line 2: weights and styles both weigh waves.png"),
        ("content,styles,output\nsea.png,waves.png,a.gif\n", "line 2: output a.gif: cannot write the format '.gif'"),
        ("content,styles,output\nsea.png,waves.png,a.png\nwaves.png,sea.png,a.png\n",
         "m.csv, line 3: output a.png is that of line 2 too"),
        ("content,styles,use_look\nsea.png,waves.png,gone\n", "line 2: gone: no look has this name"),
        ("content,styles,mask\nsea.png,waves.png@x,\n", "line 2: styles waves.png@x: there is no mask of that name"),
    ],
)  # fmt: skip
def test_mistakes_of_a_manifest_are_told_with_their_lines(here: Path, text: str, message: str):
    assert message in told("batch", manifest(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "m.jsonl, line 1: is no JSON"),
        ("[1]", "m.jsonl, line 1: is [1], wanted an object with a content"),
        ('{"content": "sea.png", "styles": "waves.png", "stregth": 1}', "line 1: there is no column 'stregth'"),
        ('{"content": "sea.png", "styles": {"a": 1}}', "line 1: styles is {'a': 1}, wanted a list"),
        ('{"content": 7, "styles": []}', "line 1: content is 7, wanted a text"),
        (
            '{"content": "sea.png", "styles": ["waves.png"], "size": true}',
            "line 1: size is True, wanted a whole number",
        ),
        (
            '{"content": "sea.png", "styles": ["waves.png"], "weights": ["x"]}',
            "line 1: weights is 'x', wanted a number",
        ),
    ],
)
def test_mistakes_of_json_are_told_too(here: Path, text: str, message: str):
    assert message in told("batch", manifest(text, "m.jsonl"))


def test_all_mistakes_are_told_at_once_up_to_a_limit(here: Path):
    rows = "".join(f"gone{number}.png,waves.png\n" for number in range(25))
    with pytest.raises(ConfigError) as caught:
        read_manifest(manifest("content,styles\n" + rows))
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[19].startswith("m.csv, line 21: gone19.png")
    assert lines[20] == "and 5 more"
    with pytest.raises(ConfigError, match=r"^gone\.csv: cannot be read as a manifest: No such file"):
        read_manifest("gone.csv")
    Path("bytes.csv").write_bytes(b"content\n\xff\xfe")
    with pytest.raises(ConfigError, match=r"^bytes\.csv: cannot be read as a manifest: "):
        read_manifest("bytes.csv")


def test_an_error_of_another_file_names_its_photos(trip: Path, one_model: Any):
    (trip / "bad.png").write_bytes(b"text")
    rows = "content,styles,mask\ntrip/b.png,waves.png,\ntrip/a.png,bad.png,\nsea.png,waves.png,k=bad.png\n"
    result = done("batch", manifest(rows), "-o", "out", code=2)
    assert "2 of 3 pictures failed:\n  trip/a.png and 1 more: bad.png: is text, not a picture" in result.stderr


ROWS = "content,styles,output\ntrip/a.png,waves.png,deep/one.jpg\ntrip/b.png,sea.png,\ntrip/day/a.png,waves.png,\n"


def test_a_manifest_is_painted_and_gone_on_with(trip: Path, one_model: Any):
    arguments = ("batch", manifest(ROWS), "-o", "out", "--report", "report.jsonl")
    result = done(*arguments)
    assert sorted(result.stdout.split()) == ["out/a-stylized.png", "out/b-stylized.png", "out/deep/one.jpg"]
    before = {name: (trip / "out" / name).stat().st_mtime_ns for name in files("out")}
    assert "out/deep/one.jpg: exists already; give --overwrite to replace it" in told(*arguments[:4])
    (trip / "out" / "b-stylized.png").unlink()
    images.save("out/a-stylized.png", images.load("sea.png").rgb)  # another's
    again = done(*arguments, "--skip-existing", code=2)
    assert again.stdout == "out/b-stylized.png\n"
    assert "1 of 3 results are there already; they are left" in again.stderr
    assert "out/a-stylized.png: is the result of another photo or of other settings" in again.stderr
    assert (trip / "out" / "deep" / "one.jpg").stat().st_mtime_ns == before["deep/one.jpg"]
    lines = [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
    assert [("stayed" in line, "error" in line) for line in lines] == [(True, False), (False, False), (False, True)]
    assert [(line["line"], line["seconds"] is None) for line in lines] == [(2, True), (3, False), (4, True)]
    assert done(*arguments[:4], "--overwrite").stdout.count("\n") == 3
    assert "contradict each other" in told(*arguments[:4], "--overwrite", "--skip-existing")
    over = manifest("content,styles,output\ntrip/a.png,waves.png,sea.png\nsea.png,waves.png,x.png\n")
    assert "sea.png: is one of the input pictures" in told("batch", over, "--overwrite")


def test_many_photos_of_one_name_are_numbered_in_one_go(trip: Path):
    """Thousands of IMG_0001 take no time for every pair of them."""
    began = time.process_time()
    rows = read_manifest(manifest("content,styles\n" + "trip/a.png,waves.png\n" * 3000))
    planned = batch_command._plan(rows, "out", None, None)
    chosen = outputs.plan_outputs(["trip/a.png"] * 3000, into_folder=True, out="out", format=None, overwrite=False,
                                    inputs=["trip/a.png"])  # fmt: skip
    assert time.process_time() - began < 3
    names = ["out/a-stylized.png", *(f"out/a-stylized-{number}.png" for number in range(2, 3001))]
    assert planned == names == [str(path) for path in chosen]


def test_pictures_come_from_addresses_and_go_there(trip: Path, one_model: Any):
    places.write("memory://in/sea.png", Path("sea.png").read_bytes())
    places.write("memory://in/waves.png", Path("waves.png").read_bytes())
    rows = "content,styles\nmemory://in/sea.png,memory://in/waves.png\nmemory://in/gone.png,memory://in/waves.png\n"
    arguments = ("batch", manifest(rows), "-o", "memory://out/deep")
    result = done(*arguments, code=2)
    assert result.stdout == "memory://out/deep/sea-stylized.png\n"
    assert "1 of 2 pictures failed:\n  memory://in/gone.png: there is no such file" in result.stderr
    written = images.load(places.read("memory://out/deep/sea-stylized.png"))
    done("stylize", "sea.png", "--style", "waves.png", "-o", "local.png")
    assert written.content_hash == images.load("local.png").content_hash
    assert "sea-stylized.png: exists already" in done(*arguments, code=2).stderr
    assert "1 of 2 results are there already" in done(*arguments, "--skip-existing", code=2).stderr
    for option in (("memory://in/sea.png", "--style", "waves.png"), ("sea.png", "--style", "memory://in/waves.png")):
        assert "is a web address; download the picture" in told("stylize", *option)


# --- Workers -------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(wctstyle.__file__).parents[1])}


def start(*args: str) -> subprocess.Popen[str]:
    """Start the command line in a session of its own, where Ctrl-C reaches all of its processes."""
    launch = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from wctstyle.cli import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", launch, *args], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def workers_of(pid: int) -> list[int]:
    """Return the spawned processes below one, without the tracker of multiprocessing."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs the process tree of Linux")
def test_workers_that_die_or_are_interrupted(here: Path, tiny_weights: Path, one_model: Any, photo: np.ndarray):
    """One is killed in the middle, one picture is broken; then Ctrl-C, and the rest is made here."""
    (here / "photos").mkdir()
    for number in range(24):
        images.save(here / "photos" / f"{number:02}.png", np.roll(photo, number, axis=0))
    (here / "photos" / "11.png").write_bytes((here / "sea.png").read_bytes()[:300])
    command = ("stylize", "photos", "--style", "waves.png", "-o", "out", "--workers", "2", "--skip-existing")
    with start(*command) as running:
        assert running.stdout is not None
        first = running.stdout.readline().strip()
        workers = workers_of(running.pid)
        os.kill(workers[0], signal.SIGKILL)
        second = [running.stdout.readline().strip() for _ in range(3)]
        os.killpg(running.pid, signal.SIGINT)
        rest, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert "the worker that painted it was killed by signal 9" in stderr
    assert stderr.endswith("Stopped. No half-written file is left.\n")
    early = [first, *second, *rest.split()]
    names = files("out")
    assert len(early) == len(set(early))
    assert {os.path.basename(path) for path in early} <= set(names)
    assert len(names) <= len(early) + 2  # what was done and not yet told
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    for name in names:
        assert name.endswith("-stylized.png")
        assert images.load(Path("out", name)).rgb.shape == photo.shape
    late = done(*command[:-3], "--skip-existing", code=2)
    assert "Error: 1 of " in late.stderr
    assert "photos/11.png: cannot decode this PNG" in late.stderr
    assert files("out") == [f"{number:02}-stylized.png" for number in range(24) if number != 11]
    assert not set(late.stdout.split()) & {f"out/{name}" for name in names}


def test_workers_have_no_standard_input(here: Path):
    message = "-: is standard input, which one process reads once; give a file"
    assert message in told("stylize", "-", "sea.png", "--style", "waves.png", "-o", "out", "--workers", "2")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs the process tree of Linux")
def test_actors_of_ray_paint_a_manifest(here: Path, tiny_weights: Path, one_model: Any, photo: np.ndarray):
    """One actor is killed and one picture is broken; all others are painted."""
    pytest.importorskip("ray")
    names = [f"{number:02}" for number in range(24)]
    for number, name in enumerate(names):
        images.save(f"{name}.png", np.roll(photo, number, axis=0))
    Path("11.png").write_bytes(Path("sea.png").read_bytes()[:300])
    rows = manifest("content,styles\n" + "".join(f"{name}.png,waves.png\n" for name in names))
    with start("batch", rows, "-o", "out", "--workers", "2", "--ray") as running:
        assert running.stdout is not None
        told = [running.stdout.readline().strip()]
        actors = actors_of(running.pid)
        os.kill(actors[0], signal.SIGKILL)
        stdout, stderr = running.communicate(timeout=120)
    assert len(actors) == 2
    assert running.returncode == 2, stderr
    assert "the worker that painted it was lost" in stderr
    assert "Error: 1 of 24 pictures failed:" in stderr
    assert "11.png: cannot decode this PNG" in stderr
    wanted = [f"{name}-stylized.png" for name in names if name != "11"]
    assert sorted([*told, *stdout.split()]) == [f"out/{name}" for name in wanted]
    assert files("out") == wanted
    done("stylize", "05.png", "--style", "waves.png", "-o", "same.png")
    assert images.load("same.png").content_hash == images.load("out/05-stylized.png").content_hash


def actors_of(pid: int) -> list[int]:
    """Return the processes of Ray's actors that stand below one process."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if not (entry / "cmdline").read_bytes().startswith(b"ray::_Actor"):
                continue
            above = entry
            while above.name not in (str(pid), "1", "0"):
                above = Path("/proc", re.findall(r"PPid:\t(\d+)", (above / "status").read_text())[0])
            found += [int(entry.name)] if above.name == str(pid) else []
        except OSError:  # it has just ended, or is no process
            continue
    return found
