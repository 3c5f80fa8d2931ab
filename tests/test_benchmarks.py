import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from narrow import VGG_WIDTHS, random_vgg
from original import ORIGINAL, needs_original

from benchmarks import judge as judges
from benchmarks import quality, report, sheets, speed
from benchmarks.judge import Judge
from wctstyle import images, metrics, weights
from wctstyle.encoder import MODELS, ModelConfig
from wctstyle.errors import ConfigError, ImageError, WeightsError
from wctstyle.settings import Settings

SIZE = 64
NARROW = ModelConfig("slim", (3, 4, 4, 5, 5))
"""Stands in for `slim`, whose programs take long to compile."""


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


def test_figures_against_a_plain_vgg(judge: Judge) -> None:
    result, content, style = photo(4, 50, 41), photo(5, 50, 41), photo(6, 37, 64)
    seen = [plain_vgg(random_vgg(), rgb) for rgb in (result, content, style)]
    levels = []
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
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
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        flat = [s[layer].reshape(-1, s[layer].shape[-1]) for s in (seen[0], seen[2])]
        m, wanted = (f.mean(0) for f in flat)
        r, t = (np.linalg.qr((f - f.mean(0)) / math.sqrt(len(f)))[1] for f in flat)  # the covariances are r' r, t' t
        cross = np.linalg.norm(r @ t.T, "nuc")
        squared = ((m - wanted) ** 2).sum() + (r**2).sum() + (t**2).sum() - 2 * cross
        distances.append(math.sqrt(squared / ((t**2).sum() + (wanted**2).sum())))
    assert figures["w2"] == pytest.approx(np.mean(distances), rel=2e-3)
    assert figures["content"] == pytest.approx(((a - b) ** 2).sum() / (b**2).sum(), rel=1e-3)
    assert figures["ssim"] == metrics.ssim(result, content)


def test_a_picture_judged_by_itself(judge: Judge) -> None:
    rgb = photo(7)
    figures = judge.figures(rgb, rgb.copy(), rgb.copy())
    assert figures["style"] == 0
    assert figures["style_by_level"] == [0] * 5
    assert figures["w2"] == pytest.approx(0, abs=1e-3)
    assert figures["content"] == 0
    assert figures["ssim"] == pytest.approx(1, abs=1e-12)


def test_an_equal_result_that_is_run_again_gets_the_same_figures(judge: Judge) -> None:
    rgb = photo(8)
    again = judge.see(rgb)
    for ours, kept in zip(again.moments, judge.style(rgb), strict=True):
        np.testing.assert_array_equal(ours.gram(), kept.gram())
    np.testing.assert_array_equal(again.content, judge.content(rgb).content)


def test_what_was_seen_is_kept_and_in_the_end_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(random_vgg())
    monkeypatch.setattr(judges, "REMEMBERED", 2)
    first = judge.content(photo(1))
    assert judge.content(photo(1)) is first
    judge.content(photo(2))
    judge.content(photo(3))
    assert judge.content(photo(1)) is not first


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


# --- quality -------------------------------------------------------------------------------------


def test_quality_runs(
    judge: Judge, weights_file: Path, folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    content, style = folders
    elsewhere = tmp_path / "peer"
    elsewhere.mkdir()
    images.save(elsewhere / "recon_kodim01__painting.png", photo(2))
    options = f"--content {content} --style {style} --pairs 1 --size {SIZE} --weights {weights_file}"
    options += f" --setting plain:strength=0 --results {elsewhere}"
    options += f" --out {tmp_path / 'sheets'} --json {tmp_path / 'q.json'}"
    assert quality.main(options.split(), judge=judge) == 0
    found = json.loads((tmp_path / "q.json").read_text())
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["photo unchanged", "painting resized", "peer", "plain"]
    assert (rows["photo unchanged"]["content"], rows["photo unchanged"]["ssim"]) == (0, pytest.approx(1))
    expected = judge.figures(photo(2), photo(1), photo(2))
    for name in ("painting resized", "peer"):
        assert rows[name]["style"] == 0
        assert rows[name]["content"] == pytest.approx(expected["content"])
        assert rows[name]["seconds"] is None
    assert rows["plain"]["seconds"] > 0
    assert rows["plain"]["style"] == pytest.approx(np.mean(rows["plain"]["style_by_level"]))
    assert rows["plain"]["pairs"][0]["content_name"] == "recon_kodim01"
    reconstruction = found["reconstruction"]
    assert reconstruction["pictures"] == ["recon_kodim01"]
    assert all(0 < v < 60 for v in reconstruction["by_level"])
    assert reconstruction["alpha_0_to_photo"] == pytest.approx(reconstruction["by_level"][0], abs=0.01)
    assert float(reconstruction["alpha_0_to_decoded"]) > 60
    printed = capsys.readouterr().out
    assert "| photo unchanged" in printed
    assert "0.000 | 1.000" in printed
    sheet = images.load(tmp_path / "sheets" / "sheet_01.jpg")
    assert sheet.height == 384 + sheets.LABEL_HEIGHT + 2 * sheets.GAP
    assert sheet.width == 4 * 384 + 5 * sheets.GAP


def test_kinds_of_style() -> None:
    grey = np.repeat(photo(1)[..., :1], 3, axis=2)
    assert quality.style_kind(grey) == "greyscale"
    assert quality.style_kind(scipy.ndimage.zoom(photo(2), (4, 4, 1), order=1)) == "smooth"
    assert quality.style_kind(np.random.default_rng(1).random((32, 32, 3))) == "textured"


def test_figures_are_split_by_kind() -> None:
    kinds = [("grey", 1.0, 2.0), ("grey", 3.0, 4.0), ("textured", 5.0, 6.0)]
    extras = {"w2": 0.0, "ssim": 0.0, "style_by_level": [0.0] * 5, "seconds": None}
    figures = [{"style_kind": kind, "style": style, "content": content, **extras} for kind, style, content in kinds]
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
    text = "mine:detail=0.5,transform=wct,passes=5,level_strength=1:0.5+5:0.2"
    settings = Settings(detail=0.5, transform="wct", passes=5, level_strength={1: 0.5, 5: 0.2})
    assert quality.parse_setting(text) == ("mine", settings)
    assert quality.parse_setting("default") == ("default", Settings())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":detail=1", "has no name"),
        ("a:size=3", "'size=3', wanted field=value with one of strength"),
        ("a:detail", "'detail', wanted field=value"),
        ("a:detail=much", "'much' is no value for detail"),
        ("a:level_strength=1", "'1' is no value for level_strength"),
        ("a:detail=2", "detail is 2.0, must be between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        quality.parse_setting(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--pairs 2", "--pairs is 2, must be between 1 and 1"),
        ("--pairs 1 --results {peer}", "1 of 1 pictures are missing: recon_kodim01__painting.png"),
        ("--pairs 1 --style {peer}", "there are no pictures"),
        ("--pairs 1 --weights {peer}/none.safetensors", "none.safetensors"),
        ("--pairs 1 --model wide", "--model is 'wide'"),
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
    assert metrics.psnr(first, rgb) > 80


# --- sheets --------------------------------------------------------------------------------------


def test_tiles_lie_in_columns() -> None:
    red, green, blue = (np.full((20, w, 3), 0, np.uint8) for w in (40, 20, 30))
    red[..., 0] = green[..., 1] = blue[..., 2] = 255
    tiles = [sheets.Tile(pixels, "a long label that does not fit") for pixels in (red, green, blue)]
    sheet = sheets.contact_sheet([tiles, tiles[1:]], tile_height=100)
    gap, row = sheets.GAP, 100 + sheets.LABEL_HEIGHT + sheets.GAP
    assert sheet.shape == (gap + 2 * row, 4 * gap + 200 + 150 + 150, 3)
    assert tuple(sheet[gap + 50, gap + 199]) == (255, 0, 0)
    assert tuple(sheet[gap + 50, 2 * gap + 200]) == (0, 255, 0)
    assert tuple(sheet[gap + row + 50, 2 * gap + 200 + 149]) == (0, 0, 255)
    label = sheet[gap + row + 100 : gap + row + 100 + sheets.LABEL_HEIGHT]
    assert label.min() < 100
    assert label[:, gap + 200 : gap + 208].min() == 255


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
    for part in size["parts"].values():
        assert part["gflop"] == pytest.approx(speed.conv_flops(NARROW, 64, 64) / 1e9)
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
    # conv by conv at 32x16 pixels: multiplications and additions of a 3x3 window at each level's own resolution
    positions = {1: 512, 2: 128, 3: 32, 4: 8, 5: 2}
    slim = ModelConfig("slim", (16, 32, 64, 128, 128))
    convs = [(1, 3, 16), (1, 16, 16), (2, 16, 32), (2, 32, 32), (3, 32, 64), *[(3, 64, 64)] * 3]
    convs += [(4, 64, 128), *[(4, 128, 128)] * 3, (5, 128, 128)]
    assert speed.conv_flops(slim, 32, 16) == sum(18 * a * b * positions[k] for k, a, b in convs)


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
        assert metadata["config"] == {"name": "slim", "channels": [3, 4, 4, 5, 5]}
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
