"""Training end to end on tiny models: least-squares starts, the teacher's pictures, every stage, and going on."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from feature_strategies import correlated
from flax import nnx
from narrow import QUICKLY_COMPILED, random_tensors
from skimage import data as skimage_data

from wctstyle import encoder as encoder_module
from wctstyle import images, weights
from wctstyle.convolution import conv3x3
from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder, ModelConfig
from wctstyle.errors import ConfigError, NonFiniteError, WeightsError
from wctstyle.losses import gram, relative_error
from wctstyle.model import build, extract, fill
from wctstyle.moments import Affine, measure
from wctstyle.plan import moved, plan
from wctstyle.training import coherence as calm
from wctstyle.training import encoders, initialize, loop, painters, pictures, recipe
from wctstyle.training.answers import Answers
from wctstyle.training.data import Crops, MixedCrops
from wctstyle.training.painters import Judge, Tasks
from wctstyle.training.pictures import Painter, Pictures
from wctstyle.transforms import affine, blend

_quick = QUICKLY_COMPILED

TEACHER = ModelConfig("vgg19", (8, 8, 8, 8, 8), (4, 4, 6))
STUDENT = ModelConfig("slim", (4, 4, 6, 6, 6), (4, 4, 6))
PAINTER = ModelConfig("painter", (6, 6, 6, 7, 1), (6, 6, 6))
SIZE, COUNT = 32, 24
PICTURES = {"photos": 3, "paintings": 3, "seed": 7}

Tensors = dict[str, np.ndarray]


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


@pytest.fixture(scope="module")
def painter() -> Tensors:
    """A tiny teacher that paints: random, but its pictures have mid tones and its features live."""
    tensors = random_tensors(4, PAINTER)
    kernel = tensors["decoder/conv4_1/kernel"][:, :, : PAINTER.channels[3]]
    return {name: tensors[name] for name in pictures.teacher_shapes(PAINTER)} | {"decoder/conv4_1/kernel": kernel}


@pytest.fixture(scope="module")
def tiny(_quick: None) -> Iterator[Tensors]:
    """A table of tiny models, and the tensors of a tiny teacher of encoders."""
    with pytest.MonkeyPatch.context() as patch:
        for config in (TEACHER, STUDENT):
            patch.setitem(encoder_module.MODELS, config.name, config)
        patch.setattr(encoders, "INITIAL_CROPS", 8)
        patch.setattr(painters, "INITIAL_TASKS", 8)
        yield extract(Encoder(TEACHER, rngs=nnx.Rngs(3)), "encoder")


def _make(folder: Path, folders: tuple[Path, Path], painter: Tensors, **changes: Any) -> Pictures:
    asked: dict[str, Any] = {"count": COUNT, "photos": 5, "paintings": 4, "size": SIZE, "seed": 3}
    pictures.make(folder, painter=painter, content=folders[0], style=folders[1], **asked | changes)
    return Pictures.load(folder)


@pytest.fixture(scope="module")
def shown(
    _quick: None, tmp_path_factory: pytest.TempPathFactory, folders: tuple[Path, Path], painter: Tensors
) -> Pictures:
    """The teacher's pictures, with tasks of every kind among them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BLENDS", "PARTS", "SAME"):
            patch.setattr(pictures, name, 0.3)
        return _make(tmp_path_factory.mktemp("shown"), folders, painter)


@pytest.fixture(scope="module")
def painted(
    _quick: None, tmp_path_factory: pytest.TempPathFactory, folders: tuple[Path, Path], painter: Tensors
) -> Path:
    """A folder of the pictures that `_recipe` asks for, to be copied."""
    folder = tmp_path_factory.mktemp("painted")
    _make(folder, folders, painter, **PICTURES)
    return folder


@pytest.fixture(scope="module")
def tasks(shown: Pictures) -> Tasks:
    """The tasks of `shown` for the student, whose programs and codes are made once."""
    return Tasks([shown], _student()[0])


@pytest.fixture(scope="module")
def judge(_quick: None) -> Judge:
    """The one whom painters of `shown` are judged by."""
    return Judge(Encoder(TEACHER, rngs=nnx.Rngs(3)))


def _crops(folders: tuple[Path, Path], count: int, size: int = SIZE) -> np.ndarray:
    return MixedCrops(Crops(folders[0], size=size, seed=1), Crops(folders[1], size=size, seed=2)).batch(count, 0)[1]


def _student() -> tuple[Encoder, Decoder]:
    return build(STUDENT, random_tensors(5, STUDENT))


def _recipe(*kinds: str, steps: int = 2, **options: dict[str, Any]) -> recipe.Recipe:
    chosen = {"encoder": {"views": 1}, "average": {"back": 1, "share": 0.75}} | options
    rows = [loop.Stage(kind, steps, size=SIZE, batch=2, rate=1e-3, options=chosen.get(kind, {})) for kind in kinds]
    wanted = {"count": COUNT, "size": SIZE} | PICTURES
    return recipe.Recipe("slim", "slim", wanted.pop("seed"), tuple(rows), wanted)


look = nnx.jit(lambda network, x: network(x))
code_of = nnx.jit(lambda encoder, x: encoder.code(x))
activations_of = nnx.jit(lambda encoder, x: encoder.activations(x))
moments_of = jax.jit(measure)
blended = jax.jit(lambda one, other, share: blend([one, other], jnp.stack([share, 1 - share])))
mapped_by = {
    "pairs": jax.jit(lambda code, own, target, strength: moved(code, affine(own, target), strength)),
    "plans": jax.jit(lambda code, own, target, strength: moved(code, plan(own, target).affine, strength)),
}


# ----------------------------------------------------------------------------------------- least-squares starts


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
    features = zip(*(look(of, crops) for of in (student, teacher)), strict=True)
    for level, (s, t) in enumerate(features, start=1):
        error = float(jnp.linalg.norm(s - t) / jnp.linalg.norm(t))
        assert error < 0.1, f"relu{level}_1: {error}"


def test_normalized_encoder_has_unit_rms_and_the_same_direction(folders: tuple[Path, Path]) -> None:
    crops = _crops(folders, 8, 64)
    encoder = Encoder(TEACHER, rngs=nnx.Rngs(3))
    before = look(encoder, crops)
    initialize.normalize_encoder(encoder, crops)
    for was, now in zip(map(np.asarray, before), map(np.asarray, look(encoder, crops)), strict=True):
        assert float(np.sqrt(np.mean(now**2))) == pytest.approx(1, rel=1e-3)
        np.testing.assert_allclose(now / np.linalg.norm(now), was / np.linalg.norm(was), atol=1e-5)


def test_a_decoder_that_reads_what_the_teachers_does_starts_as_it(painter: Tensors) -> None:
    config = dataclasses.replace(PAINTER, name="student")
    decoder, teacher = Decoder(config, rngs=nnx.Rngs(5)), Painter(painter)
    mapped = correlated(np.random.default_rng(0), (24, 8, 8, 7), mean=1.0)
    c = mapped.shape[-1]
    same = Affine(np.eye(c, dtype=np.float32), np.zeros(c, np.float32))
    painted = np.concatenate([teacher.paint(code[None], same) for code in mapped])
    codes = np.concatenate([mapped, np.zeros((*mapped.shape[:3], 3), np.float32)], axis=-1)
    initialize.initialize_decoder(decoder, painter, codes, mapped, painted)
    found = look(decoder, codes)
    assert np.mean((found - painted) ** 2) < 0.2 * painted.var()


# ----------------------------------------------------------------------------------------------- training data


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


def test_names_say_folder_picture_and_view(folders: tuple[Path, Path]) -> None:
    data = MixedCrops(*(Crops(folder, size=32, seed=1, views=1) for folder in folders))
    names, crops = data.batch(5, 0)
    assert [name[0] for name in names] == [0, 0, 1, 1, 1]
    assert all(view == 0 for _, _, view in names)
    assert len(crops) == 5


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


# -------------------------------------------------------------------------------------- the teacher's pictures


def test_roots_and_the_map_between_them_agree_with_the_other_form() -> None:
    rng = np.random.default_rng(0)
    source, target = (np.cov(correlated(rng, (1, 8, 9, 5)).reshape(-1, 5).T.astype(np.float64)) for _ in range(2))
    root, inverse = pictures.roots(source)
    np.testing.assert_allclose(root, oracles.sqrtm(source), atol=1e-6)
    np.testing.assert_allclose(root @ inverse, np.eye(5), atol=1e-8)
    found = pictures.transport((root, inverse), pictures.roots(target)[0])
    np.testing.assert_allclose(found, oracles.mk(source, target), atol=1e-5)


def test_tasks_are_drawn_by_their_shares() -> None:
    tasks = pictures.draw_tasks(np.random.default_rng(0), 4000, 7, 5)
    assert np.mean(tasks["share"] < 1) == pytest.approx(pictures.BLENDS, abs=0.03)
    assert np.mean(tasks["strength"] < 1) == pytest.approx(pictures.PARTS, abs=0.03)
    same = tasks["content"] < 0
    assert same.mean() == pytest.approx(pictures.SAME, abs=0.01)
    np.testing.assert_array_equal(-1 - tasks["content"][same], tasks["styles"][same, 0])
    np.testing.assert_array_equal(tasks["share"][same], 1)
    assert set(tasks["content"][~same]) == set(range(7))
    assert set(tasks["styles"].ravel()) == set(range(5))
    assert ((tasks["strength"] >= 0) & (tasks["strength"] <= 1)).all()
    assert ((tasks["share"] >= 0.25) & (tasks["share"] <= 1)).all()


def test_plain_photos_have_one_colour_or_go_from_one_to_another() -> None:
    drawn = [pictures.plain(np.random.default_rng(seed), 32) for seed in range(30)]
    for rgb in drawn:
        assert rgb.shape == (32, 32, 3)
        assert rgb.dtype == np.float32
        assert 0 <= rgb.min() <= rgb.max() <= 1
        assert np.linalg.matrix_rank(rgb.reshape(-1, 3) - rgb[0, 0], tol=1e-3) <= 1
        assert max(np.abs(np.diff(rgb, axis=axis)).max() for axis in (0, 1)) < 0.1
    flat = [np.ptp(rgb.reshape(-1, 3), axis=0).max() == 0 for rgb in drawn]
    assert 0 < sum(flat) < 30


def test_the_pictures_are_what_the_teacher_makes_of_the_tasks(shown: Pictures, painter: Tensors) -> None:
    """Held against the package's own maps and blends; the folder keeps 8 bits of them."""
    teacher = Painter(painter)
    kinds = set()
    for task, result in zip(shown.tasks, shown.results, strict=True):
        at = task["content"]
        photo = shown.contents[at] if at >= 0 else shown.styles[-1 - at]
        code, content = teacher.encode(pictures.floats(photo)[None])
        targets = [teacher.encode(pictures.floats(shown.styles[s])[None])[1] for s in task["styles"]]
        share = task["share"]
        target = blended(*targets, float(share)) if share < 1 else targets[0]
        mapped = mapped_by["pairs"](code, content, target, float(task["strength"]))
        same = Affine(np.eye(code.shape[-1], dtype=np.float32), np.zeros(code.shape[-1], np.float32))
        want = teacher.paint(mapped, same)[0]
        assert np.abs(result / np.float32(255) - want).max() < 0.02, task
        kinds.add((share < 1, task["strength"] < 1, at < 0))
    assert {(False, False, False), (True, False, False), (False, True, False)} <= kinds
    assert shown.results.std() > 5


def test_making_pictures_goes_on_where_it_was_stopped(
    painted: Path, folders: tuple[Path, Path], painter: Tensors, tmp_path: Path
) -> None:
    def stop(done: int, count: int) -> None:
        raise KeyboardInterrupt

    whole = Pictures.load(painted)
    with pytest.raises(KeyboardInterrupt):
        _make(tmp_path / "broken", folders, painter, report=stop, **PICTURES)
    begun = Pictures.load(tmp_path / "broken")
    assert 0 < len(begun.tasks) == len(begun.results) < COUNT
    told: list[tuple[int, int]] = []
    resumed = _make(tmp_path / "broken", folders, painter, report=lambda *at: told.append(at), **PICTURES)
    assert told[-1] == (COUNT, COUNT)
    for name in ("contents", "styles", "tasks", "results"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name), err_msg=name)
    told.clear()
    _make(tmp_path / "broken", folders, painter, report=lambda *at: told.append(at), **PICTURES)
    assert not told


@pytest.mark.parametrize("change", [{"count": COUNT + 1}, {"photos": 6}, {"size": 48}, {"seed": 4}], ids=str)
def test_pictures_of_another_recipe_are_not_gone_on_with(
    change: dict[str, int], painted: Path, folders: tuple[Path, Path], painter: Tensors, tmp_path: Path
) -> None:
    shutil.copytree(painted, tmp_path / "own")
    with pytest.raises(ConfigError, match="pictures of another recipe"):
        _make(tmp_path / "own", folders, painter, **PICTURES | change)


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no teacher's pictures"):
        Pictures.load(tmp_path)


def test_a_teachers_file_is_read_with_its_preprocessing(painter: Tensors, tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", **{name: value.astype(np.float16) for name, value in painter.items()})
    found = pictures.load_painter(tmp_path / "p.npz")
    assert {name: value.shape for name, value in found.items()} == pictures.teacher_shapes(PAINTER)
    rgb = np.random.default_rng(0).random((1, 16, 16, 3)).astype(np.float32)
    kernel, bias = (painter[f"encoder/conv1_1/{leaf}"].astype(np.float16) for leaf in ("kernel", "bias"))
    want = oracles.correlate3x3(oracles.caffe(rgb), kernel, bias)
    got = oracles.correlate3x3(rgb, found["encoder/conv1_1/kernel"], found["encoder/conv1_1/bias"])
    np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())


def test_a_teachers_file_that_cannot_be_used_is_explained(painter: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    with pytest.raises(WeightsError, match="cannot be used as a painting teacher"):
        pictures.load_painter(path)
    for rubbish in (b"", b"rubbish", b"PK\x03\x04rubbish"):
        path.write_bytes(rubbish)
        with pytest.raises(WeightsError, match="cannot be used as a painting teacher"):
            pictures.load_painter(path)
    spoilt = painter | {"decoder/conv2_1/kernel": np.ones((3, 3, 5, 6), np.float32)}
    del spoilt["encoder/conv3_3/bias"]
    np.savez(path, **spoilt)
    with pytest.raises(WeightsError) as caught:
        pictures.load_painter(path)
    assert len(caught.value.problems) == 2
    assert "encoder/conv3_3/bias is missing" in str(caught.value)
    assert "decoder/conv2_1/kernel has shape (3, 3, 5, 6)" in str(caught.value)
    np.savez(path, something=np.ones(3))
    with pytest.raises(WeightsError, match="encoder/conv1_1/kernel"):
        pictures.load_painter(path)


# -------------------------------------------------------------------------------------------- a decoder's tasks


def test_a_tasks_code_is_mapped_as_at_use(shown: Pictures) -> None:
    encoder, _ = _student()
    tasks = Tasks([shown, shown], encoder)
    for number in range(COUNT):
        task = shown.tasks[number]
        code = code_of(encoder, pictures.floats(tasks.content(number))[None])
        targets = [moments_of(code_of(encoder, pictures.floats(shown.styles[s])[None])) for s in task["styles"]]
        share = task["share"]
        target = blended(*targets, float(share)) if share < 1 else targets[0]
        want = mapped_by["plans"](code, moments_of(code), target, float(task["strength"]))
        scale = float(np.abs(want).max())
        np.testing.assert_allclose(tasks.code(number), want, atol=1e-2 * scale, err_msg=str(task))
        np.testing.assert_array_equal(tasks.code(COUNT + number), tasks.code(number))
        assert tasks.whole(number) == (task["share"] == 1 and task["strength"] == 1)
        np.testing.assert_array_equal(tasks.picture(number), shown.results[number])
        np.testing.assert_array_equal(tasks.style(number), shown.styles[task["styles"][0]])
        assert tasks.names(number) != tasks.names(COUNT + number)
    (own, *_) = np.flatnonzero(shown.tasks["content"] < 0)
    np.testing.assert_array_equal(tasks.content(own), tasks.style(own))


def test_the_judge_wants_the_paintings_grams_and_the_photos_content(tasks: Tasks, judge: Judge) -> None:
    eye, numbers = Encoder(TEACHER, rngs=nnx.Rngs(3)), [1, 2, 1]
    grams, content = judge.wanted(tasks, numbers)
    paintings, photos = (
        activations_of(eye, pictures.floats(np.stack([of(n) for n in numbers]))) for of in (tasks.style, tasks.content)
    )
    for level, found in enumerate(grams, start=1):
        want = gram(paintings[f"relu{level}_1"])
        np.testing.assert_allclose(found, want, atol=2e-3 * float(want.max()))
    want = photos["relu4_2"]
    np.testing.assert_allclose(content, want, atol=2e-3 * float(want.max()))


# -------------------------------------------------------------------------------------------------- the encoder


def _train_encoder(
    encoder: Encoder, teacher: Encoder, steps: int, folders: tuple[Path, Path], out: Path, **options: Any
) -> list[dict[str, Any]]:
    reports: list[dict[str, Any]] = []
    stage = loop.Stage("encoder", steps, size=SIZE, batch=2, rate=3e-3, options=options)
    encoders.train_encoder(
        encoder, teacher, stage, content=folders[0], style=folders[1], seed=7, initialize=True,
        checkpoint=out / "c.safetensors", report=reports.append,
    )  # fmt: skip
    return reports


def test_heads_are_the_linear_maps_between_the_features(folders: tuple[Path, Path]) -> None:
    crops = _crops(folders, 20)
    encoder = Encoder(STUDENT, rngs=nnx.Rngs(1))
    mixing = [np.random.default_rng(k).normal(size=(c, 9)).astype(np.float32) for k, c in enumerate(STUDENT.channels)]

    student = jax.jit(lambda x: encoder(x))

    def teacher(x: np.ndarray) -> tuple[jnp.ndarray, ...]:
        return tuple(f @ m for f, m in zip(student(x), mixing, strict=True))

    heads = encoders.fit_heads(student, jax.jit(teacher), crops)
    parts = jax.jit(lambda x: encoders.distillation_losses(student(x), teacher(x), heads))(crops)
    assert all(float(parts[f"feature{k}"]) < 1e-3 for k in range(1, 6)), parts


@pytest.mark.parametrize("views", [0, 1])
def test_an_encoder_learns_what_the_teacher_sees(
    views: int, folders: tuple[Path, Path], tiny: Tensors, tmp_path: Path
) -> None:
    teacher, encoder = Encoder(TEACHER), Encoder(STUDENT, rngs=nnx.Rngs(1))
    fill(teacher, tiny, "encoder")
    reports = _train_encoder(encoder, teacher, 60, folders, tmp_path, views=views)
    losses = [row["loss"] for row in reports if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    assert {f"{part}{level}" for part in ("feature", "gram") for level in range(1, 6)} <= reports[0].keys()
    layers = nnx.eval_shape(lambda e, x: e.activations(x), encoder, jnp.zeros((1, 32, 32, 3)))
    assert reports[-1]["dead_channels"].keys() == layers.keys()


def test_the_teacher_has_nothing_to_learn_of_itself(folders: tuple[Path, Path], tmp_path: Path) -> None:
    teacher = Encoder(TEACHER, rngs=nnx.Rngs(3))
    with pytest.raises(ConfigError, match="vgg19 is the teacher itself"):
        _train_encoder(Encoder(TEACHER, rngs=nnx.Rngs(4)), teacher, 1, folders, tmp_path)


# -------------------------------------------------------------------------------------------------- the painter


@pytest.fixture
def train_painter(
    shown: Pictures, tasks: Tasks, judge: Judge, painter: Tensors, tiny: Tensors, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:  # fmt: skip
    """Train on `shown` or other pictures, with the shared tasks and judge; returns what was reported."""
    monkeypatch.setattr(painters, "Judge", lambda encoder: judge)

    def made(folders: list[Pictures], encoder: Encoder) -> Tasks:
        return tasks if folders[0] is shown else Tasks(folders, encoder)

    monkeypatch.setattr(painters, "Tasks", made)

    def train(
        decoder: Decoder, *, steps: int, initialize: bool = False, of: Pictures = shown, **options: Any
    ) -> list[dict[str, Any]]:
        reports: list[dict[str, Any]] = []
        stage = loop.Stage("painter", steps, size=SIZE, batch=2, rate=3e-3, options=options)
        painters.train_painter(
            _student()[0], decoder, Encoder(TEACHER, rngs=nnx.Rngs(3)), stage, pictures=[of], painter=painter, seed=7,
            initialize=initialize, checkpoint=tmp_path / "c.safetensors", report=reports.append,
        )  # fmt: skip
        return reports

    return train


def _pixel_error(decoder: Decoder, tasks: Tasks) -> float:
    codes, wanted = (np.stack([of(n) for n in range(COUNT)]) for of in (tasks.code, tasks.picture))
    return float(np.mean((look(decoder, codes[:, 0]) - pictures.floats(wanted)) ** 2))


def test_least_squares_begin_nearer_to_the_teachers_pictures_than_chance(
    shown: Pictures, tasks: Tasks, train_painter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearer also than one flat colour would be, and before the first step."""
    random, fitted = _student()[1], _student()[1]
    monkeypatch.setattr(painters, "run", lambda stage, learned, step, **_: learned)
    train_painter(fitted, steps=1, initialize=True)
    assert _pixel_error(fitted, tasks) < 0.7 * _pixel_error(random, tasks)
    assert _pixel_error(fitted, tasks) < np.var(shown.results / np.float32(255))


def test_a_decoder_learns_the_teachers_pictures_but_those_held_out(
    tasks: Tasks, train_painter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held out is reported and not trained on."""
    seen: set[int] = set()
    trained: set[int] = set()
    picture, run = Tasks.picture, painters.run

    def remembered(self: Tasks, number: int) -> np.ndarray:
        seen.add(number)
        return picture(self, number)

    def training(*args: Any, **more: Any) -> Any:
        params = run(*args, **more)
        trained.update(seen)
        seen.clear()
        return params

    decoder = _student()[1]
    with monkeypatch.context() as patch:
        patch.setattr(painters, "HELD_OUT", 6)
        patch.setattr(Tasks, "picture", remembered)
        patch.setattr(painters, "run", training)
        reports = train_painter(decoder, steps=75)
    assert len(trained) > 10
    assert not any(number % 6 == 0 for number in trained)
    assert seen == set(range(0, COUNT, 6))
    assert {"unseen_pixel", "unseen_feature", "unseen_gram"} <= reports[-1].keys()
    assert {"pixel", "range", "feature", "gram"} <= reports[0].keys()
    assert not {"style", "content"} & reports[0].keys()
    assert _pixel_error(decoder, tasks) < 0.9 * _pixel_error(_student()[1], tasks)


def test_beyond_the_teacher_a_decoder_learns_from_the_judge(tasks: Tasks, judge: Judge, train_painter: Any) -> None:
    """Compared on the same tasks before and after: a batch's loss depends on which tasks are in it."""
    decoder, eye = _student()[1], Encoder(TEACHER, rngs=nnx.Rngs(3))
    numbers = [n for n in range(COUNT) if tasks.whole(n)]
    wanted, _ = judge.wanted(tasks, numbers)
    codes = np.concatenate([tasks.code(n) for n in numbers])

    @nnx.jit
    def errors(eye: Encoder, decoder: Decoder, codes: Any) -> Any:
        levels = eye(jnp.clip(decoder(codes), -0.2, 1.2))
        return jnp.stack([relative_error(gram(a), want).mean() for a, want in zip(levels, wanted, strict=True)])

    def style_error(decoder: Decoder) -> float:
        """How far the judge sees what is painted from the paintings, over all tasks of full strength."""
        return float(np.mean(errors(eye, decoder, codes)))

    asked = {"pixel": 0.0, "feature": 0.0, "gram": 0.0, "style": 1.0, "content": 0.1}
    reports = train_painter(decoder, steps=110, **asked)
    assert style_error(decoder) < 0.97 * style_error(_student()[1])
    assert {"style", "content", *(f"style{k}" for k in range(1, 6))} <= reports[0].keys()
    assert not {"feature", "gram"} & reports[0].keys()


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-1, 5)], ids=str)
def test_a_picture_moves_along_a_flow(shift: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
    flow = np.broadcast_to(np.float32(shift), (16, 16, 2))
    shown = np.asarray(calm.inside(flow))[..., 0] > 0
    down, right = (slice(max(0, -by), 16 - max(0, by)) for by in shift)
    want = np.zeros((16, 16), bool)
    want[down, right] = True
    np.testing.assert_array_equal(shown, want)
    moved_back = np.roll(image, (-shift[0], -shift[1]), axis=(0, 1))
    np.testing.assert_allclose(np.asarray(jax.jit(calm.along)(image, flow))[shown], moved_back[shown], atol=1e-5)


def test_random_flows_are_smooth_and_of_a_few_pixels() -> None:
    flows = np.stack([calm.random_flow(np.random.default_rng(seed), 64) for seed in range(30)])
    assert flows.shape == (30, 64, 64, 2)
    assert calm.FLOW_SHIFT / 2 < flows.std() < 3 * calm.FLOW_SHIFT
    assert max(np.abs(np.diff(flows, axis=axis)).max() for axis in (1, 2)) < calm.FLOW_SHIFT / 2


def test_differences_that_are_the_photos_own_are_recognised() -> None:
    rng = np.random.default_rng(0)
    photo = rng.normal(size=(2, 12, 14, 6)).astype(np.float32)
    weights = calm.projection(rng, 6)
    anchors = calm.draw_anchors(rng, 12, 14)
    assert anchors.shape == (calm.ANCHORS, 2)
    assert (anchors >= 1).all()
    assert (anchors < (11, 13)).all()
    own, scaled, other = (
        float(jax.jit(calm.coherence)(x, photo, anchors, weights)) for x in (photo, 3 * photo + 5, photo[:, ::-1, ::-1])
    )
    assert scaled == pytest.approx(own, abs=1e-3)
    assert own < 0.5 * other
    assert other > 0.8 * np.log(8 * calm.ANCHORS)


def test_a_decoder_learns_to_be_calm(train_painter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing else asked for, a moved photo's picture comes nearer to the moved picture."""
    monkeypatch.setattr(painters, "HELD_OUT", 6)
    asked = {"pixel": 0.0, "feature": 0.0, "gram": 0.0, "flow": 1.0, "coherence": 0.01}
    first, *_, last, unseen = train_painter(_student()[1], steps=75, **asked)
    assert last["flow"] < 0.8 * first["flow"]
    assert last["coherence"] < first["coherence"]
    assert unseen["unseen_flow"] < 0.8 * first["flow"]


def test_a_plain_photo_is_calm_along_a_flow(shown: Pictures, train_painter: Any) -> None:
    """Its map stretches the least difference a hundredfold, so noise that is not in the photo must not be added."""
    flat = dataclasses.replace(shown, contents=np.full_like(shown.contents, 128))
    reports = train_painter(_student()[1], of=flat, steps=5, flow=1.0, style=1.0)
    assert reports[0]["flow"] < 0.05


def test_another_photo_is_mapped_by_the_tasks_own_map(tasks: Tasks) -> None:
    for number in (1, 2):
        own = tasks.frame(number, pictures.floats(tasks.content(number)))
        np.testing.assert_allclose(own, tasks.code(number), atol=1e-2 * np.abs(own).max())
        assert np.abs(tasks.frame(number, 1 - pictures.floats(tasks.content(number))) - own).max() > 0.1


# ----------------------------------------------------------------------------------------- the loop all stages share


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    stage = loop.Stage("painter", 3)

    def step(params: object, state: object, index: int) -> tuple[object, object, dict[str, object]]:
        return params, state, {"loss": jnp.asarray(np.nan if index else 1.0)}

    with pytest.raises(NonFiniteError, match="step 1"):
        loop.run(stage, {"w": jnp.ones(2)}, step, checkpoint=tmp_path / "c.safetensors", report=lambda _: None)


@pytest.mark.parametrize("busy", ["reports", "saves", "saves the end"])
def test_no_step_is_repeated_after_ctrl_c(busy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come after a step, while the training reports or saves."""
    stage, taken = loop.Stage("painter", 4), []
    at = {"reports": 2, "saves": 2, "saves the end": 4}[busy]
    save = loop.save_checkpoint

    def step(params: Any, state: Any, index: int) -> tuple[Any, Any, dict[str, Any]]:
        taken.append(index)
        return {"w": params["w"] + 1}, state, {"loss": jnp.float32(1)}

    def run(report: Any) -> Any:
        return loop.run(
            stage, {"w": jnp.zeros(2)}, step, checkpoint=tmp_path / "c.safetensors", report=report, report_every=1,
            save_seconds=0.0,
        )  # fmt: skip

    def report(row: dict[str, Any]) -> None:
        if busy == "reports" and row["step"] == at:
            raise KeyboardInterrupt

    def saved(path: Path, tree: Any, stage: loop.Stage, done: int) -> None:
        if busy != "reports" and done == at:
            monkeypatch.setattr(loop, "save_checkpoint", save)
            raise KeyboardInterrupt
        save(path, tree, stage, done)

    monkeypatch.setattr(loop, "save_checkpoint", saved)
    with pytest.raises(KeyboardInterrupt):
        run(report)
    trained = run(lambda row: None)
    assert taken == [0, 1, 2, 3]
    assert trained["w"].tolist() == [4, 4]


@pytest.mark.parametrize(("kind", "width"), [("painter", 3), ("encoder", 2)])
def test_checkpoint_of_another_model_or_stage_is_refused(tmp_path: Path, kind: str, width: int) -> None:
    loop.save_checkpoint(tmp_path / "c.safetensors", {"w": jnp.ones(2)}, loop.Stage("painter", 3), 1)
    with pytest.raises(ConfigError, match="another recipe"):
        loop.load_checkpoint(tmp_path / "c.safetensors", {"w": jnp.ones(width)}, loop.Stage(kind, 3))


# ------------------------------------------------------------------------------------------------------ recipes


PAINTED = 'model = "slim"\nseed = 1\n[[stages]]\nkind = "painter"\nsteps = 1\n'
ASKED = 'model = "slim"\nseed = 1\nstages = []\n[pictures]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = ", "cannot be used"),
        ("seed = 1\nstages = []", "has no model"),
        ('model = "big"\nseed = 1\nstages = []', "'big' is not one of"),
        (
            'model = "slim"\nseed = 1\n[[stages]]\nkind = "stylised"\nsteps = 1',
            "'stylised' is not one of encoder, painter",
        ),
        ('model = "slim"\nseed = 1\n[[stages]]\nkind = "encoder"\nsteps = 0', "at least 1"),
        (PAINTED + "size = 40", "multiple of 16"),
        (PAINTED + "speed = 2", "speed"),
        (PAINTED + 'options = {judge = "vgg16"}', "judge 'vgg16' is not one of slim"),
        (PAINTED + "options = {pixle = 1.0}", "painter has no option 'pixle', only judge, pixel"),
        ('model = "slim"\nseed = 1\n[[stages]]\nkind = "encoder"\nsteps = 1\noptions = {judge = "slim"}', "'judge'"),
        (
            'model = "slim"\nseed = 1\n[[stages]]\nkind = "average"\nsteps = 1\noptions = {back = 1, share = 0.5}',
            "back=1",
        ),
        (ASKED + "count = 1", "pictures has count = 1"),
        (ASKED + "photos = 0", "pictures has photos = 0"),
        (ASKED + "paintings = 2.5", "pictures has paintings = 2.5"),
        (ASKED + "size = 40", "pictures has size = 40"),
        (ASKED + "size = 16", "pictures has size = 16"),
        (ASKED + "pages = 3", "pictures has pages = 3"),
        ('pictures = 3\nmodel = "slim"\nseed = 1\nstages = []', "cannot be used"),
    ],
)
def test_bad_recipes_are_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        recipe.load_recipe(path)


def test_a_recipe_says_what_the_teacher_paints(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(PAINTED + 'options = {judge = "medium", style = 1.0}\n[pictures]\ncount = 12\nsize = 64\n')
    found = recipe.load_recipe(path)
    assert (found.name, found.model, found.seed) == ("own", "slim", 1)
    assert found.pictures == recipe.PICTURES_DEFAULTS | {"count": 12, "size": 64}
    assert found.stages == (loop.Stage("painter", 1, options={"judge": "medium", "style": 1.0}),)
    path.write_text(PAINTED)
    assert recipe.load_recipe(path).pictures == recipe.PICTURES_DEFAULTS


@pytest.mark.parametrize("name", ["slim", "medium", "vgg19"])
def test_shipped_recipes_load(name: str) -> None:
    assert recipe.load_recipe(name).model == name


def test_unknown_recipes_are_told_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"medium, slim, vgg19"):
        recipe.load_recipe("nosuch")


# -------------------------------------------------------------------------------------------------- end to end


def _train(
    plan: recipe.Recipe, out: Path, folders: tuple[Path, Path], **given: Any
) -> tuple[Path, list[dict[str, Any]]]:
    reports: list[dict[str, Any]] = []
    return recipe.train(plan, out=out, content=folders[0], style=folders[1], report=reports.append, **given), reports


@pytest.fixture
def train(folders: tuple[Path, Path], tiny: Tensors, painter: Tensors, painted: Path) -> Any:
    """Run a recipe on pictures that are there; returns its weights file and what was reported."""

    def run(plan: recipe.Recipe, out: Path, **changes: Any) -> tuple[Path, list[dict[str, Any]]]:
        given: dict[str, Any] = {"teacher": tiny, "painter": painter} | changes
        if given["painter"] is not None:
            shutil.copytree(painted, out / "pictures", dirs_exist_ok=True)
        return _train(plan, out, folders, **given)

    return run


WHOLE = _recipe("encoder", "painter", "painter", "average", painter={"judge": "vgg19"})


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, folders: tuple[Path, Path], tiny: Tensors, painter: Tensors
) -> tuple[Path, list[dict[str, Any]]]:
    """The weights file of a recipe with every stage, which made its pictures too, and what was reported."""
    return _train(WHOLE, tmp_path_factory.mktemp("whole"), folders, teacher=tiny, painter=painter)


def test_every_stage_runs_and_writes_weights(whole: tuple[Path, list[dict[str, Any]]], train: Any) -> None:
    path, reports = whole
    assert path.name == "slim.safetensors"
    tensors, metadata = weights.load_file(path)
    assert {k: v.shape for k, v in tensors.items()} == (
        weights.expected_shapes(STUDENT, "encoder") | weights.expected_shapes(STUDENT, "decoder")
    )
    assert all(np.isfinite(v).all() for v in tensors.values())
    assert json.dumps(metadata)
    assert metadata["config"] == {"name": "slim", "channels": list(STUDENT.channels)}
    assert [row["stage"] for row in reports if "loss" in row] == ["encoder", "painter", "painter"]
    assert [row["stage"] for row in reports if "dead_channels" in row] == ["encoder"]
    assert [row["step"] for row in reports if row["stage"] == "pictures"][-1] == COUNT
    done = [weights.load_file(p)[0] for p in sorted(path.parent.glob("*-done.safetensors"))]
    assert len(done) == 4
    for name, value in done[-1].items():
        np.testing.assert_allclose(value, 0.25 * done[1][name] + 0.75 * done[2][name], rtol=1e-5, atol=1e-7)
        if name.startswith("encoder/"):
            np.testing.assert_array_equal(value, done[0][name], err_msg=name)
    again, more = train(WHOLE, path.parent)
    assert again == path
    assert not more, "finished stages must not run again"


def test_interrupted_training_resumes_to_the_same_weights(
    whole: tuple[Path, list[dict[str, Any]]], train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two stages is interrupted after a step."""
    plan, real = dataclasses.replace(WHOLE, stages=WHOLE.stages[:2]), loop.run

    def stopped(stage: loop.Stage, params: Any, next_step: Any, **more: Any) -> Any:
        def step(params: Any, state: Any, index: int) -> Any:
            if index == 1:
                raise KeyboardInterrupt
            return next_step(params, state, index)

        return real(stage, params, step, **more)

    for module in (encoders, painters):
        with monkeypatch.context() as patch:
            patch.setattr(module, "run", stopped)
            with pytest.raises(KeyboardInterrupt):
                train(plan, tmp_path)
    train(plan, tmp_path)
    for done in ("0-encoder-done", "1-painter-done"):
        resumed = weights.load_file(tmp_path / f"{done}.safetensors")[0]
        for name, value in weights.load_file(whole[0].parent / f"{done}.safetensors")[0].items():
            np.testing.assert_allclose(resumed[name], value, rtol=2e-3, atol=1e-4, err_msg=name)


def test_a_second_stage_goes_on_from_the_first_and_both_with_the_shipped_encoder(
    train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a stage for it, it is taken as it is; here it judges as well."""
    shipped = {k: v for k, v in random_tensors(5, STUDENT).items() if k.startswith("encoder/")}
    asked = []

    def load(name: str, *, parts: tuple[str, ...]) -> tuple[Tensors, dict[str, Any]]:
        asked.append((name, parts))
        return shipped, {}

    monkeypatch.setattr(recipe.weights, "load", load)
    plan = _recipe("painter", "painter", steps=1, painter={"judge": "slim"})
    first, second = plan.stages
    plan = dataclasses.replace(plan, stages=(first, dataclasses.replace(second, rate=1e-9)))
    train(plan, tmp_path)
    assert asked == [("slim", ("encoder",))]
    before, after = (weights.load_file(tmp_path / f"{k}-painter-done.safetensors")[0] for k in (0, 1))
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=1e-6, err_msg=name)
    for name, value in shipped.items():
        np.testing.assert_array_equal(before[name], value, err_msg=name)


def test_a_shipped_encoder_may_be_the_judge(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    medium = dataclasses.replace(STUDENT, name="medium", channels=(3, 4, 5, 6, 6))
    monkeypatch.setitem(encoder_module.MODELS, "medium", medium)
    asked, judges = [], []

    def load(name: str, **_: Any) -> tuple[Tensors, dict[str, Any]]:
        asked.append(name)
        return random_tensors(5, encoder_module.MODELS[name]), {}

    def judged(encoder: Encoder, decoder: Decoder, judge: Encoder, *_: Any, **more: Any) -> None:
        judges.append(judge)

    monkeypatch.setattr(recipe.weights, "load", load)
    monkeypatch.setattr(painters, "train_painter", judged)
    train(_recipe("painter", steps=1, painter={"judge": "medium"}), tmp_path)
    assert asked == ["slim", "medium"]  # the first is the encoder that no stage trains
    (judge,) = judges
    assert judge.config == medium
    wanted = random_tensors(5, medium)
    for name, value in extract(judge, "encoder").items():
        np.testing.assert_array_equal(value, wanted[name], err_msg=name)


def test_the_full_width_trains_its_decoder_and_leaves_its_encoder(train: Any, tiny: Tensors, tmp_path: Path) -> None:
    plan = dataclasses.replace(_recipe("painter", steps=1), name="vgg19", model="vgg19")
    path, _ = train(plan, tmp_path)
    assert path.name == "vgg19_decoder.safetensors"
    tensors, _ = weights.load_file(path)
    assert {k: v.shape for k, v in tensors.items()} == weights.expected_shapes(TEACHER, "decoder")
    kept, _ = weights.load_file(tmp_path / "0-painter-done.safetensors")
    for name, value in tiny.items():
        np.testing.assert_array_equal(kept[name], value, err_msg=name)


def test_who_paints_needs_a_teacher_that_paints(train: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs a teacher that paints \(--painter\)"):
        train(_recipe("encoder", "painter"), tmp_path, painter=None)


def test_an_encoder_alone_needs_no_teacher_that_paints(train: Any, tmp_path: Path) -> None:
    path, reports = train(_recipe("encoder", steps=1), tmp_path, painter=None)
    assert path.is_file()
    assert not (tmp_path / "pictures").exists()
    assert {row["stage"] for row in reports} == {"encoder"}
