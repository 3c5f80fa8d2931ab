"""Training end to end on tiny models: least-squares starts, every stage, checkpoints and resume."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from narrow import quick_compilation
from skimage import data as skimage_data

from wctstyle import encoder as encoder_module
from wctstyle import images, weights
from wctstyle.convolution import conv3x3
from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder, ModelConfig
from wctstyle.errors import ConfigError, NonFiniteError
from wctstyle.losses import gram
from wctstyle.model import extract, fill
from wctstyle.training import deep, initialize, loop, recipe, reconstruct, stylised, tasks
from wctstyle.training.answers import Answers
from wctstyle.training.data import Crops, MixedCrops

TEACHER = ModelConfig("vgg19", (8, 8, 8, 8, 8))
STUDENT = ModelConfig("slim", (4, 4, 6, 6, 6))


@pytest.fixture(scope="module", autouse=True)
def _quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with quick_compilation(tmp_path_factory.mktemp("programs")):
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("pictures")
    for kind, names in (("content", ("astronaut", "coffee")), ("style", ("chelsea", "rocket"))):
        (root / kind).mkdir()
        for name in names:
            rgb = getattr(skimage_data, name)().astype(np.float32) / 255
            picture = images.resize(images.load(rgb), long_side=96)
            images.save(root / kind / f"{name}.png", picture.rgb)
    return root / "content", root / "style"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A table of tiny models, and the tensors of a tiny teacher."""
    monkeypatch.setitem(encoder_module.MODELS, "vgg19", TEACHER)
    monkeypatch.setitem(encoder_module.MODELS, "slim", STUDENT)
    monkeypatch.setattr(reconstruct, "INITIAL_CROPS", 8)
    monkeypatch.setattr(deep, "INITIAL_CROPS", 8)
    return extract(Encoder(TEACHER, rngs=nnx.Rngs(3)), "encoder")


def _crops(folders: tuple[Path, Path], count: int, size: int = 32) -> np.ndarray:
    return MixedCrops(Crops(folders[0], size=size, seed=1), Crops(folders[1], size=size, seed=2)).batch(count, 0)[1]


def _stages(steps: int, kinds: tuple[str, ...] = recipe.KINDS) -> recipe.Recipe:
    options = {
        "stylised": {"views": 2, "wct": 0.5}, "reconstruct": {"views": 1}, "deep": {"views": 2},
        "average": {"back": 1, "share": 0.75},
    }  # fmt: skip
    rows = [loop.Stage(kind, steps, size=32, batch=2, rate=1e-3, options=options[kind]) for kind in kinds]
    return recipe.Recipe("slim", "slim", 7, tuple(rows))


def test_least_squares_recovers_a_convolution() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 24, 24, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    y = np.asarray(conv3x3(jnp.asarray(x), jnp.asarray(kernel), jnp.asarray(bias)))
    found_kernel, found_bias = initialize.least_squares_conv(x, y)
    np.testing.assert_allclose(found_kernel, kernel, atol=2e-3)
    np.testing.assert_allclose(found_bias, bias, atol=2e-3)


def test_selected_channels_explain_their_copies() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1, 16, 16, 3)).astype(np.float32)
    mixed = np.concatenate([base, base @ rng.normal(size=(3, 5)).astype(np.float32)], axis=-1)
    chosen = initialize.select_channels(mixed, 3)
    flat = mixed.reshape(-1, 8)
    solution, *_ = np.linalg.lstsq(flat[:, chosen], flat, rcond=None)
    np.testing.assert_allclose(flat[:, chosen] @ solution, flat, atol=1e-3)
    assert len(set(chosen)) == 3


def test_full_width_student_starts_as_its_teacher(folders: tuple[Path, Path]) -> None:
    teacher = Encoder(TEACHER, rngs=nnx.Rngs(3))
    student = Encoder(TEACHER, rngs=nnx.Rngs(4))
    crops = _crops(folders, 8, 64)
    initialize.initialize_encoder(student, teacher, crops)
    features = zip(*(jax.jit(lambda x, of=of: of(x))(crops) for of in (student, teacher)), strict=True)
    for level, (s, t) in enumerate(features, start=1):
        error = float(jnp.linalg.norm(s - t) / jnp.linalg.norm(t))
        assert error < 0.1, f"relu{level}_1: {error}"


def test_normalized_encoder_has_unit_rms_and_the_same_direction(folders: tuple[Path, Path]) -> None:
    crops = _crops(folders, 8, 64)
    encoder = Encoder(TEACHER, rngs=nnx.Rngs(3))
    before = encoder(crops)
    initialize.normalize_encoder(encoder, crops)
    for was, now in zip(before, encoder(crops), strict=True):
        assert float(jnp.sqrt(jnp.mean(now**2))) == pytest.approx(1, rel=1e-3)
        np.testing.assert_allclose(now / jnp.linalg.norm(now), was / jnp.linalg.norm(was), atol=1e-5)


def test_decoder_start_beats_a_random_one(folders: tuple[Path, Path]) -> None:
    crops = _crops(folders, 8, 64)
    encoder, decoder = Encoder(TEACHER, rngs=nnx.Rngs(3)), Decoder(TEACHER, rngs=nnx.Rngs(5))
    initialize.normalize_encoder(encoder, crops)
    random = {k: float(v) for k, v in reconstruct.block_losses(decoder, crops, encoder(crops)).items()}
    initialize.initialize_decoder(decoder, encoder, crops)
    fitted = {k: float(v) for k, v in reconstruct.block_losses(decoder, crops, encoder(crops)).items()}
    assert all(fitted[k] < 0.7 * random[k] for k in random), (fitted, random)


def test_crops_depend_on_seed_and_step_alone(folders: tuple[Path, Path]) -> None:
    one, two = (Crops(folders[0], size=32, seed=5, views=3) for _ in range(2))
    one.batch(3, 0)
    names, crops = one.batch(3, 1)
    again_names, again = two.batch(3, 1)
    assert names == again_names
    np.testing.assert_array_equal(crops, again)
    assert crops.shape == (3, 32, 32, 3)
    assert 0 <= crops.min() <= crops.max() <= 1


def test_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no pictures"):
        Crops(tmp_path, size=32, seed=0)


def test_every_stage_runs_and_writes_weights(
    folders: tuple[Path, Path], tiny: dict[str, np.ndarray], tmp_path: Path
) -> None:
    reports: list[dict[str, object]] = []
    path = recipe.train(
        _stages(1), content=folders[0], style=folders[1], teacher=tiny, out=tmp_path, report=reports.append
    )
    tensors, metadata = weights.load_file(path)
    assert {k: v.shape for k, v in tensors.items()} == (
        weights.expected_shapes(STUDENT, "encoder") | weights.expected_shapes(STUDENT, "decoder")
    )
    assert all(np.isfinite(v).all() for v in tensors.values())
    assert json.dumps(metadata)
    assert [r["stage"] for r in reports if "loss" in r] == ["reconstruct", "deep", "stylised"]
    done = [weights.load_file(p)[0] for p in sorted(tmp_path.glob("*-done.safetensors"))]
    assert len(done) == len(recipe.KINDS)
    for name, value in done[-1].items():
        np.testing.assert_allclose(value, 0.25 * done[1][name] + 0.75 * done[2][name], rtol=1e-5, atol=1e-7)
    assert [r["stage"] for r in reports if "dead_channels" in r] == ["reconstruct"]
    before = len(reports)
    again = recipe.train(
        _stages(1), content=folders[0], style=folders[1], teacher=tiny, out=tmp_path, report=reports.append
    )
    assert again == path
    assert len(reports) == before, "finished stages must not run again"


def test_interrupted_training_resumes_to_the_same_weights(
    folders: tuple[Path, Path], tiny: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _stages(4, ("reconstruct",))

    def run(out: Path) -> dict[str, np.ndarray]:
        path = recipe.train(plan, content=folders[0], style=folders[1], teacher=tiny, out=out, report=lambda _: None)
        return weights.load_file(path)[0]

    whole = run(tmp_path / "whole")
    original = MixedCrops.batch

    def interrupted(self: MixedCrops, count: int, step: int) -> object:
        if step == 2:
            raise KeyboardInterrupt
        return original(self, count, step)

    with monkeypatch.context() as patch:
        patch.setattr(MixedCrops, "batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "broken")
    resumed = run(tmp_path / "broken")
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)


@pytest.mark.parametrize("base", [3, 4])
def test_the_deep_stage_learns_and_leaves_the_shallow_layers(
    base: int, folders: tuple[Path, Path], tiny: dict[str, np.ndarray], tmp_path: Path
) -> None:
    teacher, encoder, decoder = Encoder(TEACHER), Encoder(STUDENT, rngs=nnx.Rngs(1)), Decoder(STUDENT, rngs=nnx.Rngs(2))
    fill(teacher, tiny, "encoder")
    before = extract(encoder, "encoder") | extract(decoder, "decoder")
    stage, reports = loop.Stage("deep", 50, size=32, batch=2, rate=3e-3, options={"base": base, "views": 1}), []
    deep.deep(
        encoder, decoder, teacher, stage, content=folders[0], style=folders[1], seed=7,
        checkpoint=tmp_path / "c.safetensors", report=reports.append,
    )  # fmt: skip
    after = extract(encoder, "encoder") | extract(decoder, "decoder")
    moved = {name for name, value in before.items() if not np.array_equal(value, after[name])}
    names = [name for name, _, _ in STUDENT.convs()]
    kept = {f"{part}/{name}" for part in ("encoder", "decoder") for name in names[: names.index(f"conv{base}_1") + 1]}
    assert {name.rpartition("/")[0] for name in before} - {name.rpartition("/")[0] for name in moved} == kept
    assert reports[-1]["loss"] < 0.8 * reports[0]["loss"]


def test_the_deep_stage_is_not_for_the_teacher_itself(folders: tuple[Path, Path], tmp_path: Path) -> None:
    teacher = Encoder(TEACHER, rngs=nnx.Rngs(3))
    with pytest.raises(ConfigError, match="narrower"):
        deep.deep(
            teacher, Decoder(TEACHER), teacher, loop.Stage("deep", 1), content=folders[0], style=folders[1], seed=7,
            checkpoint=tmp_path / "c.safetensors", report=lambda _: None,
        )  # fmt: skip


def test_the_deep_stage_names_a_base_that_cannot_be(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 or 4; got 5"):
        deep.deep(
            Encoder(STUDENT, rngs=nnx.Rngs(1)), Decoder(STUDENT), Encoder(TEACHER, rngs=nnx.Rngs(3)),
            loop.Stage("deep", 1, options={"base": 5}), content=folders[0], style=folders[1], seed=7,
            checkpoint=tmp_path / "c.safetensors", report=lambda _: None,
        )  # fmt: skip


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    stage = loop.Stage("reconstruct", 3)

    def step(params: object, state: object, index: int) -> tuple[object, object, dict[str, object]]:
        return params, state, {"loss": jnp.asarray(np.nan if index else 1.0)}

    with pytest.raises(NonFiniteError, match="step 1"):
        loop.run(stage, {"w": jnp.ones(2)}, step, checkpoint=tmp_path / "c.safetensors", report=lambda _: None)


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    stage = loop.Stage("reconstruct", 3)
    loop.save_checkpoint(tmp_path / "c.safetensors", {"w": jnp.ones(2)}, stage, 1)
    with pytest.raises(ConfigError, match="another recipe"):
        loop.load_checkpoint(tmp_path / "c.safetensors", {"w": jnp.ones(3)}, stage)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = ", "cannot be used"),
        ('model = "big"\nseed = 1\nstages = []', "not one of"),
        ('model = "slim"\nseed = 1\n[[stages]]\nkind = "paint"\nsteps = 1', "paint"),
        ('model = "slim"\nseed = 1\n[[stages]]\nkind = "reconstruct"\nsteps = 0', "at least 1"),
        ('model = "slim"\nseed = 1\n[[stages]]\nkind = "reconstruct"\nsteps = 1\nspeed = 2', "speed"),
        (
            'model = "slim"\nseed = 1\n[[stages]]\nkind = "average"\nsteps = 1\noptions = {back = 1, share = 0.5}',
            "back=1",
        ),
    ],
)
def test_bad_recipes_are_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        recipe.load_recipe(path)


def test_shipped_recipe_loads_and_unknown_ones_are_named() -> None:
    for name in ("slim", "vgg19"):
        assert recipe.load_recipe(name).model == name
    with pytest.raises(ConfigError, match="slim"):
        recipe.load_recipe("nosuch")


def test_heads_are_the_linear_maps_between_the_features(folders: tuple[Path, Path]) -> None:
    crops = _crops(folders, 20, 32)
    encoder = Encoder(STUDENT, rngs=nnx.Rngs(1))
    mixing = [np.random.default_rng(k).normal(size=(c, 9)).astype(np.float32) for k, c in enumerate(STUDENT.channels)]

    student = jax.jit(lambda x: encoder(x))

    def teacher(x: np.ndarray) -> tuple[jnp.ndarray, ...]:
        return tuple(f @ m for f, m in zip(student(x), mixing, strict=True))

    heads = reconstruct.fit_heads(student, teacher, crops)
    parts = reconstruct.distillation_losses(student(crops), teacher(crops), heads)
    assert all(float(parts[f"feature{k}"]) < 1e-3 for k in range(1, 6)), parts


def test_a_perfect_chain_has_no_error(folders: tuple[Path, Path]) -> None:
    crops = jnp.asarray(_crops(folders, 2))
    encoder = Encoder(STUDENT, rngs=nnx.Rngs(1))
    features = encoder(crops)

    class Oracle:
        def block(self, x: jnp.ndarray, level: int) -> jnp.ndarray:
            return (crops, *features)[level - 1]

    for level in (1, 3, 5):
        parts = reconstruct.chain_losses(Oracle(), crops, features, level)  # type: ignore[arg-type]
        assert {k: float(v) for k, v in parts.items()} == {f"pixel{level}": 0.0, f"chain{level}": 0.0}


def test_the_full_width_trains_its_decoder_and_leaves_its_encoder(
    folders: tuple[Path, Path], tiny: dict[str, np.ndarray], tmp_path: Path
) -> None:
    plan = recipe.Recipe("vgg19", "vgg19", 7, _stages(2, ("reconstruct",)).stages)
    path = recipe.train(plan, content=folders[0], style=folders[1], teacher=tiny, out=tmp_path, report=lambda _: None)
    assert path.name == "vgg19_decoder.safetensors"
    tensors, _ = weights.load_file(path)
    assert {k: v.shape for k, v in tensors.items()} == weights.expected_shapes(TEACHER, "decoder")
    kept, _ = weights.load_file(tmp_path / "0-reconstruct-done.safetensors")
    for name, value in tiny.items():
        np.testing.assert_array_equal(kept[name], value, err_msg=name)


def test_answers_are_kept_for_named_crops_alone() -> None:
    asked = []

    def mean(crops: np.ndarray) -> tuple[np.ndarray, ...]:
        asked.append(len(crops))
        return (crops.mean(axis=(1, 2)),)

    answers = Answers(mean)
    crops = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    (first,) = answers([(0, 3, 0), (1, 3, -1)], crops)
    np.testing.assert_allclose(first, crops.mean(axis=(1, 2)), rtol=1e-3)
    (again,) = answers([(0, 3, 0), (1, 3, -1)], np.zeros_like(crops))
    np.testing.assert_array_equal(again[0], first[0])
    np.testing.assert_array_equal(again[1], 0)
    assert asked == [1, 1, 1]


def _judged(folders: tuple[Path, Path]) -> tuple[stylised.Judge, np.ndarray, list[tuple[int, ...]], Encoder]:
    teacher = Encoder(TEACHER, rngs=nnx.Rngs(3))
    pictures, names = Crops(folders[0], size=32, seed=5, views=1), [(0, 0), (1, 0)]
    crops = np.stack([pictures.crop(index, np.random.default_rng(0)) for index, _ in names])
    return stylised.Judge(teacher), crops, names, teacher


def _task(kind: tasks.Kind, second: float = 1.0) -> tasks.Task:
    """A task for two pictures; `second` is the share of the second style, of the style for `part`."""
    shares = np.full(2, second, np.float32)
    return tasks.Task(
        kind,
        strength=shares if kind == "part" else np.ones_like(shares),
        shares=np.stack([1 - shares, shares], axis=1) if kind == "blend" else None,
        masks=np.full((2, 2, 32, 32), 0.5, np.float32) if kind == "regions" else None,
    )


def test_the_judge_says_what_the_teacher_sees(folders: tuple[Path, Path]) -> None:
    judge, crops, names, teacher = _judged(folders)
    (grams,), (content,) = judge.wanted(_task("whole"), (names, crops), [(names, crops)]), judge.content(names, crops)
    acts = teacher.activations(jnp.asarray(crops), padding="zero")
    for level, found in enumerate(grams, start=1):
        np.testing.assert_allclose(found, gram(acts[f"relu{level}_1"]), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(content, acts["relu4_2"], rtol=1e-2, atol=1e-3)
    own = judge.losses(judge.params, jnp.asarray(crops), [grams], content)
    other = judge.losses(judge.params, jnp.asarray(crops[::-1].copy()), [grams], content)
    assert float(own["style"]) < 0.02 < float(other["style"])
    assert float(own["content"]) < 0.02 < float(other["content"])


def test_the_judge_wants_what_lies_between(folders: tuple[Path, Path]) -> None:
    judge, crops, names, _ = _judged(folders)
    one, two = (names, crops), (names[::-1], crops[::-1].copy())
    (first,), (second,) = (judge.wanted(_task("whole"), one, [s]) for s in (one, two))
    for kind, styles in (("blend", [one, two]), ("part", [two])):
        for share, end in ((0.0, first), (1.0, second)):
            (found,) = judge.wanted(_task(kind, share), one, styles)
            for got, want in zip(found, end, strict=True):
                assert float(jnp.linalg.norm(got - want) / jnp.linalg.norm(want)) < 0.02
        (middle,) = judge.wanted(_task(kind, 0.5), one, styles)
        for got, a, b in zip(middle, first, second, strict=True):
            assert float(jnp.linalg.norm(got - a)) < float(jnp.linalg.norm(b - a))
    assert [len(level) for style in judge.wanted(_task("regions"), one, [one, two]) for level in style] == [2] * 10


def test_parts_of_a_picture_are_judged_apart(folders: tuple[Path, Path]) -> None:
    judge, crops, names, _ = _judged(folders)
    (content,) = judge.content(names, crops)
    (own,), (other,) = (
        judge.wanted(_task("whole"), (names, crops), [(order, crops[k])])
        for order, k in ((names, [0, 1]), (names[::-1], [1, 0]))
    )
    picture = jnp.asarray(crops)

    def style(grams: list[tuple[jax.Array, ...]], masks: tuple[jax.Array, ...] | None = None) -> float:
        return float(judge.losses(judge.params, picture, grams, content, masks)["style"])

    everywhere = tasks.shrink(jnp.ones((2, 2, 32, 32)))
    assert style([own, other], everywhere) == pytest.approx((style([own]) + style([other])) / 2, rel=1e-4)
    left = np.zeros((2, 2, 32, 32), np.float32)
    left[:, 0, :, :16] = left[:, 1, :, 16:] = 1
    halves = tasks.shrink(jnp.asarray(left))
    acts = judge.look(judge.params, picture)
    seen = [acts[f"relu{k}_1"] for k in range(1, 6)]
    split = [
        tuple(gram(x[:, :, : x.shape[2] // 2]) for x in seen),
        tuple(gram(x[:, :, x.shape[2] // 2 :]) for x in seen),
    ]
    assert style(split, halves) < 0.002 < style(split[::-1], halves)


def test_parts_of_a_picture_take_their_own_styles(folders: tuple[Path, Path]) -> None:
    encoder, decoder = Encoder(STUDENT, rngs=nnx.Rngs(1)), Decoder(STUDENT, rngs=nnx.Rngs(2))
    photos, paintings = (jnp.asarray(Crops(f, size=32, seed=5).batch(2, 0)[1]) for f in folders)
    features, first = encoder(photos), encoder(paintings)
    second = encoder(jnp.sqrt(paintings[::-1]))

    @jax.jit
    def paint(*styles: tuple[jax.Array, ...], **asked: Any) -> jax.Array:
        return stylised.stylize_batch(decoder, features, styles, jnp.asarray([0.1, 0.3]), kind="mixed", **asked)

    alone = [paint(style) for style in (first, second)]
    for which in (0, 1):
        whole = np.zeros((2, 2, 32, 32), np.float32)
        whole[:, which] = 1
        np.testing.assert_allclose(
            paint(first, second, masks=tasks.shrink(jnp.asarray(whole))), alone[which], atol=1e-4
        )
        shares = jnp.asarray(whole[:, :, 0, 0])
        np.testing.assert_allclose(paint(first, second, shares=shares), alone[which], atol=2e-2)
    nothing = paint(first, strength=0.0)
    np.testing.assert_allclose(nothing, np.asarray(decoder.block(features[0], 1)), atol=1e-5)
    assert not np.allclose(paint(first, strength=0.5), alone[0], atol=1e-2)


def test_tasks_are_drawn_by_their_shares() -> None:
    options = stylised.DEFAULTS | {"strengths": 0.2, "blends": 0.3, "regions": 0.1, "strength": (0.25, 0.75)}
    drawn = [tasks.draw_task(np.random.default_rng(k), 2, 32, options) for k in range(600)]
    counts = {kind: sum(t.kind == kind for t in drawn) / len(drawn) for kind in ("part", "blend", "regions", "whole")}
    assert counts == pytest.approx({"part": 0.2, "blend": 0.3, "regions": 0.1, "whole": 0.4}, abs=0.06)
    for task in drawn:
        part = task.kind == "part"
        assert ((task.strength >= 0.25) & (task.strength <= 0.75)).all() if part else (task.strength == 1).all()
        assert (task.shares is not None) == (task.kind == "blend")
        assert (task.masks is not None) == (task.kind == "regions")
        if task.shares is not None:
            np.testing.assert_allclose(task.shares.sum(axis=1), 1, rtol=1e-6)
        if task.masks is not None:
            np.testing.assert_allclose(task.masks.sum(axis=1), 1, rtol=1e-5)
            assert (np.abs(task.masks.mean(axis=(2, 3)) - 0.5) < 0.1).all()
    assert all(tasks.draw_task(np.random.default_rng(k), 1, 32, stylised.DEFAULTS).kind == "whole" for k in range(20))


@pytest.mark.parametrize("share", ["blends", "regions"])
def test_the_stylised_stage_learns_from_every_task(
    share: str, folders: tuple[Path, Path], tiny: dict[str, np.ndarray], tmp_path: Path
) -> None:
    teacher, encoder, decoder = Encoder(TEACHER), Encoder(STUDENT, rngs=nnx.Rngs(1)), Decoder(STUDENT, rngs=nnx.Rngs(2))
    fill(teacher, tiny, "encoder")
    stage, reports = loop.Stage("stylised", 50, size=32, batch=2, rate=3e-3, options={share: 1.0, "wct": 0.0}), []
    stylised.stylised(
        encoder, decoder, teacher, stage, content=folders[0], style=folders[1], seed=7,
        checkpoint=tmp_path / "c.safetensors", report=reports.append,
    )  # fmt: skip
    assert reports[-1]["loss"] < 0.9 * reports[0]["loss"]


def test_dead_channels_are_woken_and_nothing_else_changes(folders: tuple[Path, Path]) -> None:
    crops = _crops(folders, 4)
    encoder, decoder = Encoder(STUDENT, rngs=nnx.Rngs(1)), Decoder(STUDENT, rngs=nnx.Rngs(2))
    for name, channel in (("conv4_2", 3), ("conv5_1", 2)):
        conv = encoder.conv(name)
        conv.bias[...] = conv.bias[...].at[channel].set(-100.0)
    before = encoder(crops)
    decoded = [decoder.block(x, level) for level, x in enumerate(before, start=1)]
    assert initialize.wake_channels(encoder, decoder, crops) >= 2
    assert sum(reconstruct.dead_channels(encoder, crops).values()) == 0
    features = encoder(crops)
    for level, (was, now) in enumerate(zip(before, features, strict=True), start=1):
        np.testing.assert_allclose(decoder.block(now, level), decoded[level - 1], atol=1e-5)
        alive = np.asarray(was).max(axis=(0, 1, 2)) > 0
        np.testing.assert_allclose(now[..., alive], was[..., alive], atol=1e-5)
    share = np.mean(np.asarray(features[4])[..., 2] > 0)
    assert 0.02 < share < 0.2
    assert initialize.wake_channels(encoder, decoder, crops) == 0


def test_names_say_folder_picture_and_view(folders: tuple[Path, Path]) -> None:
    data = MixedCrops(*(Crops(folder, size=32, seed=1, views=1) for folder in folders))
    names, crops = data.batch(5, 0)
    assert [name[0] for name in names] == [0, 0, 1, 1, 1]
    assert all(view == 0 for _, _, view in names)
    assert len(crops) == 5


def test_a_second_stage_goes_on_from_the_first(
    folders: tuple[Path, Path], tiny: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruct, "wake_channels", lambda *_: 0)
    first, second = _stages(1, ("reconstruct", "reconstruct")).stages
    plan = recipe.Recipe("slim", "slim", 7, (first, dataclasses.replace(second, rate=1e-9)))
    recipe.train(plan, content=folders[0], style=folders[1], teacher=tiny, out=tmp_path, report=lambda _: None)
    before, after = (weights.load_file(tmp_path / f"{k}-reconstruct-done.safetensors")[0] for k in (0, 1))
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=1e-6, err_msg=name)
