"""Masks: ready-made ones, from marks, from maps of colours; on the command line and in recipes."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from wctstyle import cli, faces, finding, images, inputs, masks, samples
from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import Mask, RegionSpecs, StyleSpec, regions_for
from wctstyle.regions import Style

HEIGHT, WIDTH, HORIZON = 120, 160, 70


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union."""
    found = mask > 0.5
    return float((found & truth).sum() / (found | truth).sum())


def grain(height: int, width: int, color: tuple[float, ...], amount: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, amount, (height, width, 1))
    return np.clip(np.array(color) + noise, 0, 1).astype(np.float32)


@pytest.fixture
def landscape() -> tuple[np.ndarray, np.ndarray]:
    """A blue sky with a white cloud over rough ground, with a dark tower into the sky; and where the sky is."""
    picture = grain(HEIGHT, WIDTH, (0.4, 0.35, 0.15), 0.12)
    height = np.linspace(0, 1, HORIZON)[:, None, None]
    picture[:HORIZON] = (1 - height) * np.array([0.3, 0.5, 0.9]) + height * np.array([0.7, 0.8, 0.95])
    picture[20:35, 30:80] = 0.96
    sky = np.zeros((HEIGHT, WIDTH), bool)
    sky[:HORIZON] = True
    picture[25:HORIZON, 120:140], sky[25:HORIZON, 120:140] = grain(HORIZON - 25, 20, (0.25, 0.2, 0.2), 0.05), False
    return picture.astype(np.float32), sky


# ----------------------------------------------------------------------------------------------------- ready masks


def test_the_sky_is_found_with_its_clouds_and_without_a_tower(landscape):
    picture, sky = landscape
    mask = masks.ready("sky", picture)
    assert mask.dtype == np.float32
    assert overlap(mask, sky) > 0.95
    assert mask[22:33, 35:75].min() > 0.5
    assert mask[35:60, 123:137].max() < 0.5


def test_a_sky_upside_down_is_none(landscape):
    picture, _ = landscape
    with pytest.raises(ImageError, match="photo: no sky was found; it has to be smooth, bright or blue, and to reach"):
        masks.ready("sky", picture[::-1].copy())


def test_a_mask_has_the_sharp_edges_of_a_large_photo(landscape):
    """It is found small, and its border is still within two pixels of the photo's."""
    picture, sky = landscape
    large = picture.repeat(6, axis=0).repeat(6, axis=1)
    mask = masks.ready("sky", large)
    assert mask.shape == (6 * HEIGHT, 6 * WIDTH)
    column = mask[:, 20 * 6]
    assert abs(int((column > 0.5).sum()) - 6 * HORIZON) <= 6
    assert (np.abs(column - 0.5) < 0.4).sum() <= 18


def test_plain_areas_are_those_without_texture():
    picture = grain(96, 96, (0.5, 0.5, 0.5), 0.15)
    picture[:, 48:] = (0.6, 0.3, 0.3)
    assert overlap(masks.ready("plain", picture), np.arange(96)[None] >= np.full((96, 1), 48)) > 0.95
    with pytest.raises(ImageError, match="no plain area was found"):
        masks.ready("plain", grain(96, 96, (0.5, 0.5, 0.5), 0.15))


def test_light_and_dark_share_a_photo_out():
    picture = grain(64, 96, (0.2, 0.25, 0.2), 0.03)
    picture[:, 40:] = grain(64, 56, (0.8, 0.7, 0.6), 0.03)
    light, dark = masks.ready("light", picture), masks.ready("dark", picture)
    assert overlap(light, np.arange(96)[None] >= np.full((64, 1), 40)) > 0.97
    np.testing.assert_allclose(light + dark, 1, atol=1e-6)
    picture = np.full((64, 96, 3), 0.2, np.float32)
    picture[:, 40:] = 0.8
    two_tones = masks.ready("light", picture)
    assert two_tones[0, 0] == 0
    assert two_tones[0, -1] == 1
    with pytest.raises(ImageError, match="too alike to tell apart"):
        masks.ready("dark", np.full((64, 64, 3), 0.4, np.float32))


def test_faces_are_those_that_are_kept():
    photo = images.resize(samples.picture("astronaut"), long_side=256).rgb
    np.testing.assert_array_equal(masks.ready("face", photo), faces.face_map(photo))
    with pytest.raises(ImageError, match="photo: no face was found; give another mask"):
        masks.ready("face", np.zeros((64, 64, 3), np.float32))


def test_the_region_face_is_the_ready_mask():
    photo = images.resize(samples.picture("astronaut"), long_side=256)
    style = (Style(grain(8, 8, (0.5, 0.5, 0.5), 0.2)), 1.0)
    specs = RegionSpecs(feather=0.03)
    (built_in,) = regions_for(photo, [style], [StyleSpec("a", region="face")], {}, specs, pytest.fail)
    (named,) = regions_for(
        photo, [style], [StyleSpec("a", region="me")], {"me": Mask("ready:face")}, specs, pytest.fail
    )
    np.testing.assert_array_equal(built_in.mask, named.mask)
    assert np.abs(built_in.mask - masks.ready("face", photo)).max() > 0.05  # softened as other masks are


def test_a_cut_out_has_the_same_mask_on_every_canvas(landscape):
    picture, _ = landscape
    canvas = np.zeros((HEIGHT + 50, WIDTH + 40, 4), np.float32)
    canvas[30 : 30 + HEIGHT, 10 : 10 + WIDTH] = np.dstack([picture, np.ones((HEIGHT, WIDTH))])
    mask = masks.ready("sky", images.load(canvas))
    np.testing.assert_array_equal(mask[30 : 30 + HEIGHT, 10 : 10 + WIDTH], masks.ready("sky", picture))
    assert mask.sum() == mask[30 : 30 + HEIGHT, 10 : 10 + WIDTH].sum()


@pytest.mark.parametrize("kind", [kind for kind in masks.READY if kind != "person"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 2), (700, 3)])
def test_every_shape_gives_a_mask_or_a_message(kind, shape):
    picture = np.random.default_rng(0).uniform(size=(*shape, 3)).astype(np.float32)
    picture[: shape[0] // 2] = 0.9
    mask = masks.found(kind, picture)
    if mask is None:
        with pytest.raises(ImageError, match="give another mask"):
            masks.ready(kind, picture)
    else:
        assert mask.shape == shape
        assert mask.min() >= 0
        assert mask.max() <= 1


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """A network that finds people where red is; what it was given is listed."""
    seen: list[np.ndarray] = []

    class Red:
        def setInput(self, planes: np.ndarray) -> None:
            seen.append(planes)

        def forward(self) -> np.ndarray:
            return seen[-1][:, :1].copy()

    monkeypatch.setattr(finding, "person_network", Red)
    return seen


def test_people_are_where_the_network_finds_them(network):
    picture = np.full((90, 180, 3), (0, 0, 1), np.float32)
    picture[30:, 20:60] = (1, 0, 0)
    assert "person" in masks.offered()
    mask = masks.ready("person", picture)
    assert network[0].shape == (1, 3, 256, 256)
    assert overlap(mask, picture[..., 0] == 1) > 0.97
    with pytest.raises(ImageError, match="no person was found"):
        masks.ready("person", np.zeros((50, 50, 3), np.float32))


def test_a_mediapipe_without_weights_finds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mediapipe" / "modules").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert finding.person_network.__wrapped__() is None


def test_kinds_that_are_not_here_are_told(monkeypatch):
    monkeypatch.setattr(finding, "person_network", lambda: None)
    assert masks.offered() == ("face", "sky", "plain", "light", "dark")
    with pytest.raises(ConfigError, match=r"person: needs a network that is not installed; docs/regions\.md says"):
        masks.ready("person", np.zeros((8, 8, 3), np.float32))
    with pytest.raises(ConfigError, match="hat: there is no such ready mask; there are face, sky, plain, light, dark"):
        masks.ready("hat", np.zeros((8, 8, 3), np.float32))


# ------------------------------------------------------------------------------------------------------------ marks


@pytest.fixture
def disc() -> tuple[np.ndarray, np.ndarray]:
    """A spotted disc on a ground of two colours, and where it is."""
    rows, columns = np.mgrid[:150, :200]
    inside = np.hypot(rows - 80, columns - 90) < 45
    picture = np.where(
        columns[..., None] < 100, grain(150, 200, (0.2, 0.5, 0.3), 0.02), grain(150, 200, (0.6,) * 3, 0.02)
    )
    spotted = np.where((rows // 10 + columns // 10)[..., None] % 2, (0.8, 0.3, 0.2), (0.9, 0.5, 0.1))
    return np.where(inside[..., None], spotted, picture).astype(np.float32), inside


def test_a_few_marks_make_a_mask(disc):
    picture, inside = disc
    hints = np.zeros(inside.shape, np.int8)
    hints[78:84, 60:125] = 1
    hints[5:9, 10:190] = hints[140:144, 10:190] = -1
    mask = masks.from_scribble(picture, hints)
    assert mask.dtype == np.float32
    assert overlap(mask, inside) > 0.95
    np.testing.assert_array_equal(mask[hints != 0], hints[hints != 0] > 0)
    assert (np.abs(mask - 0.5) < 0.4).mean() < 0.05


def test_marks_may_be_inside_alone(disc):
    picture, inside = disc
    hints = np.zeros(inside.shape, np.int8)
    hints[78:84, 60:125] = 1
    assert overlap(masks.from_scribble(picture, hints), inside) > 0.9


def test_a_thin_mark_in_a_large_photo_counts(disc):
    picture, inside = disc
    large, where = (each.repeat(8, axis=0).repeat(8, axis=1) for each in (picture, inside))
    hints = np.zeros(where.shape, np.int8)
    hints[640, 480:1000], hints[40, 80:1500] = 1, -1
    assert overlap(masks.from_scribble(large, hints), where) > 0.9


def test_what_is_inside_has_to_be_marked(disc):
    picture, inside = disc
    hints = np.zeros(inside.shape, np.int8)
    with pytest.raises(ImageError, match="marks: nothing is marked as inside; draw a line over"):
        masks.from_scribble(picture, hints - 1)
    with pytest.raises(ImageError, match=r"marks: have shape \(9, 9\), the photo \(150, 200\)"):
        masks.from_scribble(picture, np.ones((9, 9), np.int8))
    everything = masks.from_scribble(np.full((20, 30, 3), 0.5, np.float32), np.ones((20, 30), np.int8))
    np.testing.assert_array_equal(everything, 1)


def test_green_marks_are_inside_and_red_ones_outside(disc):
    """Drawn on the photo or apart from it; what is as red in the photo itself is no mark."""
    picture, _ = disc
    picture = picture.copy()
    picture[100:110, 150:160] = (1, 0.1, 0.1)
    drawn = picture.copy()
    drawn[10:20, 10:20], drawn[30:40, 10:20] = (0, 0.9, 0.1), (1, 0.1, 0.1)
    wanted = np.zeros(picture.shape[:2], np.int8)
    wanted[10:20, 10:20], wanted[30:40, 10:20] = 1, -1
    np.testing.assert_array_equal(masks.hints_of(images.load(drawn), picture), wanted)
    alone = np.dstack([drawn, wanted != 0]).astype(np.float32)
    alone[50:60, :, :2] = (0, 1)  # transparent green
    np.testing.assert_array_equal(masks.hints_of(images.load(alone), picture), wanted)
    half = masks.hints_of(images.load(drawn), picture[::2, ::2])
    assert half[6:9, 6:9].min() == 1
    with pytest.raises(ImageError, match="is 200 x 150, the photo 150 x 150; draw marks on the photo"):
        masks.hints_of(images.load(drawn), picture[:, :150])


# ------------------------------------------------------------------------------------------------ pictures of masks

COLORS = {"blue": (0, 0, 1), "red": (0.9, 0.1, 0.1), "green": (0.1, 0.7, 0.2), "black": (0, 0, 0)}


def painted_map(side: int = 200) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Smooth edges between four colours, as a drawing program makes them; and where each is."""
    rows, columns = np.mgrid[: 4 * side, : 4 * side] / (4 * side)
    labels = np.where(rows < 0.45 + 0.1 * np.sin(6 * columns), 0, 1)
    labels[np.hypot(rows - 0.6, columns - 0.6) < 0.25] = 2
    labels[np.hypot(rows - 0.2, columns - 0.2) < 0.12] = 3
    drawn = np.array(list(COLORS.values()), np.float32)[labels]
    small = images.resize_planes(drawn, height=side, width=side)
    middle = labels[2::4, 2::4]
    return small, {name: middle == number for number, name in enumerate(COLORS)}


@pytest.mark.parametrize("quality", [None, 75])
def test_a_map_is_one_mask_for_each_color(quality):
    drawn, truth = painted_map()
    picture = images.load(drawn)
    if quality:
        buffer = io.BytesIO()
        Image.fromarray((drawn * 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
        picture = images.load(buffer.getvalue())
    found = masks.of_picture(picture)
    assert [name for name, _ in found] == sorted(truth, key=lambda name: -truth[name].sum())
    for name, mask in found:
        assert overlap(mask, truth[name]) > 0.96, name
    np.testing.assert_array_equal(np.sum([mask for _, mask in found], axis=0), 1)


def test_two_blues_have_two_names():
    drawn = np.zeros((60, 60, 3), np.float32)
    drawn[:35], drawn[35:50], drawn[50:] = (0.1, 0.2, 0.9), (0.5, 0.7, 1), (1, 1, 0)
    assert [name for name, _ in masks.of_picture(images.load(drawn))] == ["blue", "blue-2", "yellow"]


def test_a_grey_picture_is_one_mask():
    soft = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    ((name, mask),) = masks.of_picture(images.load(soft))
    assert name == "white"
    np.testing.assert_allclose(mask, soft, atol=1e-3)


def test_a_cut_out_is_the_mask_of_what_is_seen(landscape):
    picture, sky = landscape
    ((name, mask),) = masks.of_picture(images.load(np.dstack([picture, 1.0 * ~sky]).astype(np.float32)))
    assert name == "visible"
    np.testing.assert_array_equal(mask, ~sky)


def test_a_map_may_have_transparency():
    drawn, truth = painted_map()
    seen = ~truth["black"]
    found = dict(masks.of_picture(images.load(np.dstack([drawn, seen]).astype(np.float32))))
    assert found.keys() == {"blue", "red", "green"}
    assert not found["blue"][~seen].any()


def test_a_photo_is_no_mask(landscape):
    with pytest.raises(ImageError, match="is no mask: it has more than 16 colors, or they are not flat"):
        masks.of_picture(images.load(landscape[0]))
    with pytest.raises(ImageError, match="has no pink in it; its colors are"):
        masks.of_color(images.load(painted_map()[0]), "pink")


# -------------------------------------------------------------------------------------------------- the command line


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, list(args))
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else " ".join(result.output.split())


FAST = ("--keep-faces", "0", "--look", "0", "--size", "64")


@pytest.fixture
def scene(here: Path, landscape: tuple[np.ndarray, np.ndarray]) -> Path:
    """Add to the folder: land.png with a sky, rough.png without, and map.png, blue above and red below."""
    images.save(here / "land.png", landscape[0])
    images.save(here / "rough.png", grain(48, 64, (0.3, 0.2, 0.1), 0.2))
    halves = np.zeros((60, 80, 3), np.float32)
    halves[:30, :, 2] = halves[30:, :, 0] = 1
    images.save(here / "map.png", halves)
    return here


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (("--mask", "a=ready:sky"), {"name": "ready:sky", "region": "a"}),
        (("--mask", "a=map.png#blue"), {"name": "map.png#blue", "region": "a"}),
    ],
)
def test_a_recipe_finds_its_masks_again(options: tuple[str, ...], stored: dict[str, str], scene: Path, one_model: Any):
    """As a command and as a program; the mask of a file has a hash, a ready one has none."""
    made = ("--style", "waves.png@a", "--style-mask", "a=ready:light", *options, *FAST)
    run("stylize", "land.png", *made, "-o", "first.png")
    recipe = json.loads(run("recipe", "first.png", "--json"))
    has_hash = {"hash": images.load("map.png").content_hash} if "map.png" in stored["name"] else {}
    assert recipe["masks"] == [{**stored, **has_hash}]
    assert recipe["styles"][0]["mask"] == {"name": "ready:light"}
    run(*shlex.split(run("recipe", "first.png"))[1:], "-o", "second.png")
    exec(compile(run("recipe", "first.png", "--python"), "recipe", "exec"), {})
    first = images.load("first.png")
    assert images.load("second.png").content_hash == images.load("result.png").content_hash == first.content_hash
    changed = np.abs(first.rgb - images.resize(images.load("land.png"), long_side=64).rgb).mean(axis=-1)
    assert changed[:20].mean() > 0.05
    assert changed[-10:].mean() < 0.1 * changed[:20].mean()


def test_the_softness_of_faces_is_in_the_recipe(here: Path, one_model: Any):
    images.save("astronaut.png", images.resize(samples.picture("astronaut"), long_side=128).rgb)
    run("stylize", "astronaut.png", "--style", "waves.png@face", "--feather", "0.04", "--size", "128", "--look", "0",
        "-o", "first.png")  # fmt: skip
    assert json.loads(run("recipe", "first.png", "--json"))["feather"] == 0.04
    run(*shlex.split(run("recipe", "first.png"))[1:], "-o", "second.png")
    exec(compile(run("recipe", "first.png", "--python"), "recipe", "exec"), {})
    first = images.load("first.png").content_hash
    assert images.load("second.png").content_hash == images.load("result.png").content_hash == first


def test_every_photo_of_a_folder_has_its_own_mask(scene: Path, one_model: Any):
    """One without a sky is told, and the others are made."""
    (scene / "photos").mkdir()
    land = images.load("land.png").rgb
    images.save("photos/left.png", land)
    images.save("photos/none.png", images.load("rough.png").rgb)
    images.save("photos/right.png", np.ascontiguousarray(land[:, ::-1]))
    told = run("stylize", "photos", "--style", "waves.png@a", "--mask", "a=ready:sky", *FAST, "-o", "out", code=2)
    assert "1 of 3 pictures failed: photos/none.png: no sky was found" in told
    for name, turn in (("left", 1), ("right", -1)):
        changed = images.load(f"out/{name}-stylized.png").rgb - images.resize(
            images.load(f"photos/{name}.png"), long_side=64).rgb  # fmt: skip
        tower = np.abs(changed[:, ::turn][17:24, 50:54])
        assert tower.mean() < 0.5 * np.abs(changed[:20]).mean()


def test_a_map_names_its_regions(scene: Path, one_model: Any):
    """The colours that no style names are the rest."""
    styles = ("--style", "waves.png@blue", "--style", "sea.png")
    run("stylize", "land.png", *styles, "--mask-map", "map.png", *FAST, "-o", "map-out.png")
    half = np.zeros((60, 80), np.float32)
    half[:30] = 1
    images.save("half.png", half)
    run("stylize", "land.png", *styles, "--mask", "blue=half.png", *FAST, "-o", "mask-out.png")
    np.testing.assert_allclose(images.load("map-out.png").rgb, images.load("mask-out.png").rgb, atol=2 / 255)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("map.png#blue-2", ("map.png", "blue-2")),
        ("map #2 ü.png#Blue", ("map #2 ü.png", "Blue")),
        ("map.png#My roof #2", ("map.png", "My roof #2")),
        ("Mask #1.png", ("Mask #1.png", "")),
        ("folder#a/mask.png", ("folder#a/mask.png", "")),
        ("frames #1", ("frames #1", "")),
    ],
)
def test_a_color_is_told_from_a_name_with_a_number_sign(name: str, split: tuple[str, str]):
    assert masks.split_color(name) == split


@pytest.mark.parametrize(("command", "out"), [("optimize", "x.png"), ("compare", "x")])
def test_optimize_and_compare_take_them_too(command: str, out: str, scene: Path):
    """What is wrong with them is told before anything is painted."""
    told = run(command, "rough.png", "--style", "waves.png@a", "--mask", "a=ready:sky", "-o", out, code=2)
    assert "rough.png: no sky was found" in told
    told = run(command, "sea.png", "--style", "waves.png@pink", "--mask-map", "map.png", "-o", out, code=2)
    assert "map.png: has no pink in it; its colors are blue, red" in told


def test_the_command_mask_writes_masks(scene: Path, disc: tuple[np.ndarray, np.ndarray]):
    assert run("mask", "land.png", "--ready", "sky", "-o", "sky.png") == "sky.png\n"
    found = inputs.read_masks({"a": "sky.png"}, 0)["a"].plane
    np.testing.assert_allclose(found, masks.ready("sky", images.load("land.png").rgb), atol=1 / 255)
    picture, inside = disc
    drawn = picture.copy()
    drawn[78:84, 60:125], drawn[5:9, 10:190], drawn[140:144, 10:190] = (0, 1, 0), (1, 0, 0), (1, 0, 0)
    images.save("disc.png", picture)
    images.save("marks.png", drawn)
    run("mask", "disc.png", "--scribble", "marks.png", "-o", "disc-mask.png")
    assert overlap(images.load("disc-mask.png").rgb[..., 0], inside) > 0.95
    listed = run("mask", "--list")
    assert all(kind in listed for kind in masks.READY)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("mask", "land.png"), "wanted a photo, --ready KIND or --scribble FILE, and -o OUT; or --list alone"),
        (("mask", "land.png", "--ready", "sky", "--scribble", "map.png", "-o", "x.png"), "wanted a photo"),
        (("mask", "land.png", "--ready", "hat", "-o", "x.png"), "hat: there is no such ready mask; there are face"),
        (("mask", "rough.png", "--ready", "sky", "-o", "x.png"), "rough.png: no sky was found"),
        (("mask", ".", "--ready", "sky", "-o", "x.png"), ".: is a folder; a mask belongs to one photo"),
        (("mask", "land.png", "--scribble", "map.png", "-o", "map.png"), "is one of the input pictures"),
        (("mask", "land.png", "--ready", "sky", "-o", "land.png"), "is one of the input pictures"),
        (("mask", "land.png", "--scribble", "land.png", "-o", "x.png"), "nothing is marked as inside"),
        (("mask", "land.png", "--scribble", "waves.png", "-o", "x.png"), "waves.png: is 64 x 64, the photo 160 x 120"),
        (
            ("stylize", "land.png", "--style", "waves.png@a", "--mask", "a=ready:hat"),
            "--mask a=ready:hat: hat: there is no such ready mask",
        ),
        (
            ("stylize", "land.png", "--style", "waves.png", "--style-mask", "rest=ready:hat"),
            "--style-mask rest=ready:hat: hat: there is no such ready mask",
        ),
        (
            ("stylize", "land.png", "--style", "waves.png@a", "--mask", "a=map.png#green", "-o", "x.png"),
            "map.png: has no green in it; its colors are blue, red",
        ),
        (
            (
                "stylize",
                "land.png",
                "--style",
                "waves.png@red",
                "--mask-map",
                "map.png",
                "-o",
                "map.png",
                "--overwrite",
            ),
            "is one of the input pictures",
        ),
        (
            ("stylize", "land.png", "--style", "waves.png@red", "--mask-map", "sea.png", "-o", "x.png"),
            "sea.png: is no mask: it has more than 16 colors",
        ),
        (
            ("stylize", "land.png", "--style", "waves.png@a", "--mask", "a=map.png#Red", "-o", "x.png"),
            "map.png: has no Red in it; its colors are blue, red",
        ),
        (
            ("stylize", "land.png", "--style", "waves.png@My roof #2", "--mask-map", "map.png", "-o", "x.png"),
            "map.png: has no My roof #2 in it; its colors are blue, red",
        ),
        (
            ("stylize", "land.png", "--style", "waves.png", "--style", "sea.png@rest", "--mask-map", "map.png"),
            "--mask-map map.png: no style takes a color of it",
        ),
        (
            ("stylize", "land.png", "--style", "waves.png@red", "--mask-map", "ready:sky", "-o", "x.png"),
            "--mask-map ready:sky: is one mask, not a map of colors; give --mask NAME=ready:sky",
        ),
    ],
)
def test_mistakes_are_told(args: tuple[str, ...], message: str, scene: Path):
    assert message in run(*args, code=2)
