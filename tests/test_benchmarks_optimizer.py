"""The optimiser's benchmark: its parts by themselves, and a whole run with a narrow model."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import narrow
import numpy as np
import optax
import pytest

from benchmarks import directions
from benchmarks import optimizer as benchmark
from wctstyle import images, samples, weights
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError
from wctstyle.optimizer import Optimizer, OptimizeSettings, lbfgs, run
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL

SIZE = 32
SHALLOW: dict[str, Any] = {"content_layers": {"relu2_1": 1.0}, "style_layers": {"relu1_1": 1.0, "relu2_1": 1.0}}
"""The first layers alone, for programs that compile fast."""

ROWS = ["content start, one scale", "fast start, one scale", "fast start, pyramid"]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with narrow.quick_compilation(), narrow.shared_programs(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, DEFAULT_OPTIMIZER_MODEL, narrow.NARROW)
        patch.setattr(benchmark, "Programs", run.Programs)
        patch.setattr(benchmark, "OptimizeSettings", partial(OptimizeSettings, **SHALLOW))
        yield


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return narrow.random_tensors()


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    content = images.save(tmp_path / "content.png", narrow.picture(24, SIZE, seed=1))
    return content, images.save(tmp_path / "style.png", narrow.picture(SIZE, 28, seed=2))


def peer(code: str) -> str:
    """A command that runs a line of Python on the three files: c, s and o."""
    return shlex.join([sys.executable, "-S", "-c", f"import sys; c, s, o = sys.argv[1:]; {code}"]) + (
        " {content} {style} {out}"
    )


COPY = peer("open(o, 'wb').write(open(c, 'rb').read())")


# --- parts ---------------------------------------------------------------------------------------


def test_seconds_to_a_loss_count_at_the_finest_scale_alone() -> None:
    course = [(1.0, False, 0.1), (2.0, True, 0.5), (3.0, True, 0.4), (4.0, True, 0.3), (5.0, True, 0.35)]
    assert benchmark.seconds_to(course, 0.4) == 3.0
    assert benchmark.seconds_to(course, 0.5) == 2.0
    assert benchmark.seconds_to(course, 0.2) is None
    assert benchmark.seconds_to([], 1.0) is None


@pytest.mark.parametrize("side", [20, 300])
def test_a_picture_has_exactly_its_long_side(side: int, tmp_path: Path) -> None:
    see_through = np.linspace(0, 1, 40 * 80, dtype=np.float32).reshape(40, 80)
    path = images.save(tmp_path / "p.png", narrow.picture(40, 80), see_through)
    assert benchmark.picture(str(path), side).shape == (side // 2, side, 3)
    name = samples.names("style")[0]
    assert max(benchmark.picture(f"sample:{name}", side).shape) == side


def test_pictures_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        benchmark.picture("sample:nowhere", SIZE)
    with pytest.raises(ImageError, match=r"none\.png"):
        benchmark.picture(str(tmp_path / "none.png"), SIZE)


def test_optax_takes_one_step_even_if_there_is_no_time(
    tensors: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down a bowl that compiles fast; `test_a_whole_run` has the loss itself."""
    content, style = narrow.picture(24, SIZE, seed=1), narrow.picture(SIZE, 28, seed=2)
    monkeypatch.setattr(benchmark, "values", lambda terms, params, x, network: jnp.sum(x**2) * jnp.ones(len(terms)))
    settings = OptimizeSettings(steps=1, init="content", smallest=SIZE, **SHALLOW)
    found = benchmark.optax_run(DEFAULT_OPTIMIZER_MODEL, tensors, content, style, settings, 0.0)
    assert found["steps"] == 1
    assert found["loss"] < found["begin"]
    assert found["steps_per_second"] == pytest.approx(1 / found["seconds"])


def test_both_directions_go_down_a_bowl_by_the_same_rule() -> None:
    """A stretched bowl within reach of steps that are limited in length; the first step's length is the same."""
    scales = jnp.logspace(0, 2, 12)

    def loss(x: Any) -> Any:
        value = jnp.sum(scales * (x - 0.2) ** 2)
        return value, value[None]

    evaluate = jax.value_and_grad(loss, has_aux=True)
    x, nothing = jnp.zeros(12), jnp.zeros(12)
    transform = optax.scale_by_lbfgs(memory_size=10)
    start = directions.State(x, jnp.asarray(jnp.inf), nothing, nothing, jnp.asarray(0.0), transform.init(x))
    own = directions.run(jax.jit(lambda s: lbfgs.advance(s, evaluate)), lbfgs.start(x, 1, 10), 60)
    other = directions.run(jax.jit(lambda s: directions.optax_advance(s, evaluate, transform)), start, 60)
    assert own["losses"][0] == pytest.approx(other["losses"][0], rel=1e-5)
    for found in (own, other):
        assert found["losses"] == sorted(found["losses"], reverse=True)
        assert found["losses"][-1] < 1e-3 * found["losses"][0]


# --- other programs ------------------------------------------------------------------------------


def test_another_program_is_run_and_timed() -> None:
    content, style = narrow.picture(24, SIZE, seed=1), narrow.picture(16, 16, seed=2)
    slow = peer("import time; time.sleep(0.3); open(o, 'wb').write(open(c, 'rb').read())")
    result, seconds, peak = benchmark.peer_run(slow, content, style)
    assert np.abs(result - content).max() <= 0.51 / 255
    assert seconds >= 0.3
    large = peer("x = b'1' * (200 << 20); open(o, 'wb').write(open(c, 'rb').read())")
    assert benchmark.peer_run(large, content, style)[2] >= 200 / 1024 > peak > 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (peer("sys.exit('no such layer')"), "ended with 1: no such layer"),
        (peer("print('done')"), "ended with 0: and wrote no picture to {out}"),
        (peer("open(o, 'w').write('not a picture')"), "wrote no picture: .*out.png"),
        (peer("open(o, 'wb').write(open(s, 'rb').read())"), "wrote 32 x 32 pixels after scaling, .* 32 x 24"),
        ("/nowhere/program {out}", "cannot be run: No such file"),
    ],
)
def test_another_program_that_fails_is_named(command: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        benchmark.peer_run(command, narrow.picture(24, SIZE), narrow.picture(16, 16))
    assert str(caught.value).startswith(f"--peer {command}: ")


def test_another_program_is_read_from_its_option() -> None:
    assert benchmark.parse_peer("gatys 2=run.py --k=3 {content}") == ("gatys 2", "run.py --k=3 {content}")


@pytest.mark.parametrize(
    "text", ["run.py", "name=", "=run.py {out}", "a/b=run.py", "a=run {", "a=run {output}", "a=run {}", "a='run"]
)
def test_options_of_other_programs_that_make_no_sense(text: str) -> None:
    with pytest.raises(ConfigError, match="--peer"):
        benchmark.parse_peer(text)


# --- tables --------------------------------------------------------------------------------------


def test_tables_of_all_figures() -> None:
    losses = {"total": 0.123456, "style": 0.25, "content": 0.5}
    row = {"seconds": 2.0, "evaluations_per_second": 5.0, "losses": losses, "first_seconds": 3.25}
    found = {
        "peak_gib": 1.5,
        "rows": {"one": {**row, "seconds_to_goal": 1.04}, "two": {**row, "seconds_to_goal": None}},
    }
    plain = benchmark.markdown(found)
    head, _, one, two, *rest = plain.splitlines()
    assert head.startswith("| run |")
    assert [cell.strip() for cell in one.split("|")[1:-1]] == [
        "one", "2.0", "5.00", "0.12346", "0.250", "0.500", "1.0", "3.2",
    ]  # fmt: skip
    assert two.split("|")[7].strip() == "-"
    assert rest == ["", "Peak resident memory 1.50 GiB."]
    optax = {"seconds": 2.0, "steps": 7, "steps_per_second": 3.5, "loss": 0.2, "first_seconds": 4.0}
    figures = {"style": 0.25, "style_by_level": [0.1, 0.2, 0.3, 0.4, 0.5], "content": 0.75, "ssim": 0.5}
    found["rows"]["one"]["judged_seconds_to_goal"] = 1.5
    judged = {"one": {"seconds": 2.0, "peak_gib": 1.25, "loss": 0.12, **figures}}
    judged["fast alone"] = {"seconds": None, "peak_gib": None, "loss": 0.25, **figures}
    whole = benchmark.markdown({**found, "optax": optax, "judged": judged})
    assert whole.startswith(plain)
    assert "for 2 s: 7 steps (3.50/s), loss 0.20000, 4.0 s to compile." in whole
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in whole.splitlines()[-2:]]
    same = ["0.250", "0.10 0.20 0.30 0.40 0.50", "0.750", "0.500"]
    assert cells == [["one", "2.0", "1.25", "0.1200", "1.5", *same], ["fast alone", "-", "-", "0.2500", "-", *same]]


class Brightness:
    """A judge to whom the brightness of a picture is all there is."""

    def __init__(self) -> None:
        self.judged: list[float] = []

    def figures(self, result: np.ndarray, content: np.ndarray, style: np.ndarray) -> dict[str, Any]:
        self.judged.append(float(result.mean()))
        return {"style_by_level": [float(result.mean())] * 5, "content": 0.5}


def test_the_judged_loss_is_the_optimisers_without_variation() -> None:
    settings = OptimizeSettings(content_weight=0.2, style_weight=3, tv_weight=7)
    figures = {"style_by_level": [0.1, 0.2, 0.3, 0.4, 0.5], "content": 0.75}
    assert benchmark.judged_loss(figures, settings) == pytest.approx(0.2 * 0.75 + 3 * 0.11)


def test_a_run_is_judged_until_it_is_as_low_as_the_first_row() -> None:
    def row(*levels: int) -> dict[str, Any]:
        course = [(i + 0.5, np.full((2, 2, 3), level, np.uint8)) for i, level in enumerate(levels)]
        return {"seconds": len(levels), "pictures": course}

    rows, judge = {"first": row(200, 50, 100), "second": row(255, 102, 90, 10), "third": row(120)}, Brightness()
    none = np.zeros((2, 2, 3), np.float32)
    benchmark.judge_courses(cast(Any, judge), rows, none, none, OptimizeSettings())
    assert [row["judged_seconds_to_goal"] for row in rows.values()] == [3, 2.5, None]
    assert judge.judged == pytest.approx([level / 255 for level in (100, 255, 102, 90, 120)])


# --- whole runs ----------------------------------------------------------------------------------


@pytest.fixture
def weights_file(tensors: dict[str, np.ndarray], tmp_path: Path) -> Path:
    return weights.save(tmp_path / "narrow.safetensors", tensors, {"licence": "MIT"})


def test_a_whole_run(
    weights_file: Path, pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "vgg.npz", **narrow.random_vgg())
    content, style = pictures
    out, file = tmp_path / "new" / "out", tmp_path / "f.json"
    options = f"--content {content} --style {style} --size {SIZE} --steps 4 --weights {weights_file} --optax"
    options += f" --vgg {tmp_path / 'vgg.npz'} --out {out} --json {file}"
    assert benchmark.main([*options.split(), "--peer", f"copy={COPY}"]) == 0
    printed = capsys.readouterr()
    found = json.loads(file.read_text())
    assert set(found) == {"circumstances", "goal", "rows", "peak_gib", "optax", "judged"}
    assert list(found["rows"]) == ROWS
    for row in found["rows"].values():
        assert set(row) == {
            "first_seconds", "seconds", "evaluations_per_second", "losses", "course", "seconds_to_goal",
            "judged_seconds_to_goal",
        }  # fmt: skip
        assert row["evaluations_per_second"] == pytest.approx(4 / row["seconds"])
        assert row["course"][-1] == [row["seconds"], True, row["losses"]["total"]]
    start = found["rows"][ROWS[0]]
    assert found["goal"] == start["losses"]["total"] <= start["course"][0][2]
    assert start["seconds_to_goal"] <= start["seconds"]
    other = found["optax"]
    assert other["begin"] == pytest.approx(start["course"][0][2], rel=1e-4)  # the same loss, before the first step
    assert other["loss"] < other["begin"]
    assert other["seconds"] >= start["seconds"]
    assert other["steps_per_second"] == pytest.approx(other["steps"] / other["seconds"])
    assert 0.01 < found["peak_gib"] < 64
    names = [*ROWS, "fast alone", "copy"]
    assert list(found["judged"]) == names
    assert found["judged"]["copy"]["content"] == pytest.approx(0, abs=1e-6)
    assert found["judged"]["copy"]["ssim"] == pytest.approx(1)
    assert found["judged"]["fast alone"]["seconds"] is None
    assert found["judged"]["copy"]["seconds"] > 0
    files = {f"{name.replace(', ', '_').replace(' ', '-')}.png" for name in names}
    assert {path.name for path in out.iterdir()} == files
    assert {images.load(path).rgb.shape for path in out.iterdir()} == {(24, SIZE, 3)}
    np.testing.assert_array_equal(images.load(out / "copy.png").rgb, images.load(content).rgb)
    assert "| content start, one scale |" in printed.out
    assert "| copy " in printed.out
    assert "optax.lbfgs" in printed.out
    assert "content start, one scale: " in printed.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--size 0", "long side is 0"),
        ("--size 8", "smallest is 8"),
        ("--steps 0", "steps is 0"),
        ("--content {folder}/none.png", "none.png"),
        ("--style sample:nowhere", "nowhere"),
        ("--model wide", "wide"),
        ("--weights {folder}/none.safetensors", "none.safetensors"),
        ("--vgg {folder}/none.npz", "none.npz: there is no such file"),
        ("--peer run.py", "--peer run.py: wanted NAME=COMMAND"),
        ("--out {folder}/content.png", "content.png: cannot be made"),
    ],
)
def test_bad_options_are_told_before_anything_is_run(
    options: str,
    message: str,
    pictures: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Optimizer, "run", lambda *_, **__: pytest.fail("ran"))
    given = ["--content", str(pictures[0]), "--style", str(pictures[1]), "--size", str(SIZE)]
    assert benchmark.main([*given, *options.format(folder=tmp_path).split()]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.out == ""


def test_figures_are_printed_even_where_no_json_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "measure", lambda args: {"rows": {}, "peak_gib": 1.0})
    assert benchmark.main(["--json", str(tmp_path / "none" / "f.json")]) == 2
    said = capsys.readouterr()
    assert "1.00 GiB" in said.out
    assert "cannot be written" in said.err
