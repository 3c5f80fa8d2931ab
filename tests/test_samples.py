"""The sample gallery: the shipped pictures, how they are named and found, and the program that draws them."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tools.gallery import canvas, draw
from wctstyle import images, samples
from wctstyle.errors import ConfigError, ImageError

STYLES = samples.names("style")
CONTENTS = samples.names("content")


def _color_statistics(rgb: np.ndarray) -> np.ndarray:
    """Mean and square root of the covariance of the pixels' colors: nine distinct numbers, in sRGB units."""
    pixels = rgb.reshape(-1, 3).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return np.concatenate([pixels.mean(0), root.ravel()])


@pytest.fixture(scope="module")
def pictures() -> dict[str, images.Picture]:
    return {name: samples.picture(name) for name in STYLES + CONTENTS}


def test_names_match_the_drawing_program_and_the_shipped_files() -> None:
    shipped = {file.name for file in samples.path(STYLES[0]).parent.iterdir() if file.is_file()}
    assert tuple(sorted(draw.STYLES)) == STYLES
    assert shipped == {f"{name}.jpg" for name in STYLES}
    assert len(STYLES) == 12
    assert "astronaut" in CONTENTS
    assert not set(STYLES) & set(CONTENTS)


def test_shipped_styles_have_the_drawn_size_and_stay_small(pictures: dict[str, images.Picture]) -> None:
    total = sum(samples.path(name).stat().st_size for name in STYLES)
    assert total < 4_000_000
    for name in STYLES:
        assert max(pictures[name].rgb.shape) == draw.LONG_SIDE, name
        assert min(pictures[name].rgb.shape[:2]) >= 500, name


@pytest.mark.parametrize("name", STYLES + CONTENTS)
def test_every_sample_loads_and_names_itself(name: str, pictures: dict[str, images.Picture]) -> None:
    picture = pictures[name]
    assert picture.source == f"sample:{name}"
    assert picture.alpha is None
    assert picture.rgb.dtype == np.float32
    assert picture.rgb.std() > 0.05
    np.testing.assert_array_equal(picture.rgb, images.load(samples.path(name)).rgb)


def test_photos_come_from_the_installed_scikit_image(pictures: dict[str, images.Picture]) -> None:
    from skimage import data

    assert "skimage" in samples.path("cat").parts
    np.testing.assert_array_equal(np.rint(pictures["cat"].rgb * 255).astype(np.uint8), data.chelsea())
    np.testing.assert_array_equal(np.rint(pictures["astronaut"].rgb * 255).astype(np.uint8), data.astronaut())


def test_no_two_styles_have_near_equal_color_statistics(pictures: dict[str, images.Picture]) -> None:
    statistics = {name: _color_statistics(pictures[name].rgb) for name in STYLES}
    gaps = {pair: float(np.linalg.norm(statistics[pair[0]] - statistics[pair[1]])) for pair in combinations(STYLES, 2)}
    nearest = min(gaps, key=lambda pair: gaps[pair])
    assert gaps[nearest] > 0.1, (nearest, gaps[nearest])


def test_every_style_has_contrast_and_fine_texture(pictures: dict[str, images.Picture]) -> None:
    for name in STYLES:
        grey = pictures[name].rgb.mean(-1)
        dark, light = np.quantile(grey, [0.05, 0.95])
        assert light - dark > 0.35, name
        assert np.abs(np.diff(grey, axis=1)).mean() > 0.015, name


@pytest.mark.parametrize("name", ["tapestry", "stained-glass"])
def test_drawing_is_deterministic(name: str) -> None:
    once, again = (draw.draw(name, long_side=64) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert max(once.shape) == 64
    assert once.dtype == np.float32
    assert once.min() >= 0
    assert once.max() <= 1


@pytest.mark.parametrize("name", ["ink-mountains", "pointillist-bay", "riso-desert", "peacock", "stained-glass"])
def test_a_small_drawing_is_the_shipped_picture(name: str, pictures: dict[str, images.Picture]) -> None:
    drawn = images.resize(images.load(draw.draw(name, long_side=192)), long_side=32).rgb
    shipped = images.resize(pictures[name], long_side=32).rgb
    rows, columns = (min(a, b) for a, b in zip(drawn.shape[:2], shipped.shape[:2], strict=True))
    pair = np.corrcoef(drawn[:rows, :columns].ravel(), shipped[:rows, :columns].ravel())
    assert pair[0, 1] > 0.9


def test_draw_all_writes_the_named_styles(tmp_path: Path) -> None:
    written = draw.draw_all(tmp_path / "new" / "folder", only=["marbling"], long_side=32)
    assert written == [tmp_path / "new" / "folder" / "marbling.jpg"]
    assert images.load(written[0]).rgb.shape == (24, 32, 3)
    assert [file.name for file in written[0].parent.iterdir()] == ["marbling.jpg"]


def test_drawing_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.gallery.draw", str(tmp_path), "--long-side", "32"]
    good = subprocess.run([*command, "--only", "tapestry"], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert images.load(tmp_path / "tapestry.jpg").rgb.shape[1] == 32


def test_the_drawing_command_reports_an_unknown_style(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw.main([str(tmp_path), "--only", "fresco"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("no style is named 'fresco'")
    assert err.count("\n") == 1


def test_the_busiest_style_is_written_at_full_size(tmp_path: Path) -> None:
    (path,) = draw.draw_all(tmp_path, only=["riso-desert"])
    shipped = samples.path("riso-desert")
    assert np.abs(images.load(path).rgb - images.load(shipped).rgb).mean() < 0.01


def test_drawing_refuses_impossible_sizes_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 15 px, must be >= 16"):
        draw.draw("tapestry", long_side=15)
    with pytest.raises(ConfigError, match="long side must be 1000"):
        canvas.Canvas(0, 900, 700, 64)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be made a folder"):
        draw.draw_all(tmp_path / "file", only=["tapestry"], long_side=16)


def test_kind_must_be_known() -> None:
    with pytest.raises(ConfigError, match=r"got 'photo', must be 'content' or 'style'"):
        samples.names("photo")  # type: ignore[arg-type]


@pytest.mark.parametrize("call", [samples.path, samples.picture, samples.describe])
def test_unknown_names_list_the_known_and_the_nearest(call) -> None:
    with pytest.raises(ConfigError) as caught:
        call("peacok")
    message = str(caught.value)
    assert "sample:peacok: no sample has this name; did you mean peacock?" in message
    assert all(name in message for name in STYLES + CONTENTS)


def test_far_names_get_no_guess() -> None:
    with pytest.raises(ConfigError) as caught:
        samples.resolve("sample:zzzzzzzz")
    assert "did you mean" not in str(caught.value)


def test_resolve_turns_only_sample_specs_into_paths() -> None:
    assert samples.resolve("sample:woodcut-wave") == samples.path("woodcut-wave")
    for spec in ("sea.jpg", "samples/sea.jpg", "woodcut-wave", "", "C:\\sample:cat"):
        assert samples.resolve(spec) is spec


@pytest.mark.parametrize("name", STYLES + CONTENTS)
def test_descriptions_are_one_line_with_a_licence(name: str) -> None:
    text = samples.describe(name)
    assert "\n" not in text
    assert ("MIT" in text) if name in STYLES else ("CC0" in text or "public domain" in text)


def test_export_copies_every_sample(tmp_path: Path) -> None:
    target = tmp_path / "pictures"
    copies = samples.export(target)
    assert {file for file in target.rglob("*") if file.is_file()} == set(copies)
    assert {file.parent.name for file in copies} == {"content", "style"}
    assert sorted(file.stem for file in copies) == sorted(STYLES + CONTENTS)
    for copy in copies:
        assert copy.read_bytes() == samples.path(copy.stem).read_bytes()
    assert samples.export(target) == copies


def test_export_names_the_file_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "content").write_text("in the way")
    with pytest.raises(ConfigError, match="the sample cannot be written"):
        samples.export(tmp_path)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_export_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    old = tmp_path / "content" / "astronaut.png"
    old.parent.mkdir()
    old.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ConfigError if isinstance(failure, OSError) else KeyboardInterrupt):
        samples.export(tmp_path)
    assert [file.name for file in old.parent.iterdir()] == ["astronaut.png"]
    assert old.read_bytes() == b"old"


def test_a_missing_file_says_which_package_to_reinstall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_photos", lambda: tmp_path)
    with pytest.raises(ImageError, match=r"installed scikit-image has no chelsea\.png.*reinstall scikit-image"):
        samples.path("cat")
    with pytest.raises(ImageError, match="scikit-image"):
        samples.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
