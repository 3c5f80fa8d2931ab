"""New textures: windows of one plane that agree, borders that meet, seeds, transitions, the optimiser, and recipes."""

import dataclasses
import os
import signal
import threading
from dataclasses import replace

import jax
import numpy as np
import pytest
from demo_service import SERVICE_FIXTURES, SMALL
from narrow import NARROW, picture, random_tensors
from typer.testing import CliRunner

from wctstyle import cli, images, samples
from wctstyle.demo import actions, textures
from wctstyle.demo.composition import Composition
from wctstyle.demo.texture_panel import STEPS
from wctstyle.errors import ConfigError
from wctstyle.optimizer.network import Network, features, parameters
from wctstyle.regions import Region
from wctstyle.settings import DEFAULT_MODEL
from wctstyle.sources import MaskSource, Source, StyleSource
from wctstyle.textures import plane as planes
from wctstyle.textures.making import make, stages
from wctstyle.textures.noise import white
from wctstyle.textures.plane import Plane, Window
from wctstyle.textures.recipe import KEY, TextureRecipe
from wctstyle.textures.settings import TextureSettings
from wctstyle.textures.transitions import named_parts, parts_of
from wctstyle.tiles import Tiling

service, session = SERVICE_FIXTURES
LEVEL = 0.1 / 255
"""How far two ways to paint the same pixels may be apart: as in pictures that are painted by tiles."""

SETTINGS = TextureSettings(width=128, height=64, style_size=256)


@pytest.fixture(scope="module")
def stylizer(service):
    """The narrow one of the page, with tiles of 64 pixels: few sizes are compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "SAMPLE", 128)
        patch.setattr(planes.Tiling, "of", lambda config, shape: Tiling(64 + 128))
        yield service.backend.stylizer("slim")


@pytest.fixture(scope="module")
def styles():
    return [picture(128, 128, seed=seed) ** power for seed, power in ((2, 2.0), (3, 0.5))]


def test_windows_of_the_noise_agree_and_repeat_with_its_period():
    whole = white(7, -70, -70, (200, 200))
    np.testing.assert_array_equal(white(7, -10, 5, (80, 70)), whole[60:140, 75:145])
    assert np.abs(white(8, -70, -70, (200, 200)) - whole).mean() > 0.3
    tiled = white(7, -24, -40, (96, 160), (24, 40))
    np.testing.assert_array_equal(tiled, np.tile(white(7, 0, 0, (24, 40), (24, 40)), (4, 4, 1)))


def test_tiles_give_what_one_window_gives_and_a_larger_texture_begins_with_the_smaller(stylizer, styles):
    whole = make(stylizer, styles[0], SETTINGS)
    plane = Plane(stylizer, parts_of(styles[0], SETTINGS), SETTINGS)
    plane._tile, seen = 128, []
    at_once = np.concatenate(list(plane.rows(lambda tile, tiles: seen.append((tile, tiles)))))
    assert np.abs(at_once - whole).max() < LEVEL
    assert seen == [(1, 1)]
    larger = make(stylizer, styles[0], replace(SETTINGS, width=160, height=96))
    assert np.abs(larger[:64, :128] - whole).max() < LEVEL
    assert np.abs(make(stylizer, styles[0], replace(SETTINGS, seed=1)) - whole).mean() > 0.01
    np.testing.assert_array_equal(make(stylizer, styles[0], SETTINGS), whole)


def test_a_tileable_texture_goes_on_beyond_its_borders(stylizer, styles):
    settings = replace(SETTINGS, tileable=True)
    plane = Plane(stylizer, parts_of(styles[0], settings), settings)
    whole = np.concatenate(list(plane.rows()))
    moved = plane._painted(1, Window(32, 96, 64, 64), settings.seed, settings.shape)
    assert np.abs(moved - np.roll(whole, (-32, -96), (0, 1))[:, :64]).max() < LEVEL
    across = np.abs(whole[:, 0] - whole[:, -1]).mean()
    assert across <= np.abs(np.diff(whole, axis=1)).mean((0, 2)).max()


def test_a_gradient_and_a_mask_lead_from_one_texture_to_the_other(stylizer, styles):
    left, right = (make(stylizer, style, replace(SETTINGS, width=512)) for style in styles)
    settings = replace(SETTINGS, width=512, gradient="horizontal")
    found = make(stylizer, styles, settings)
    assert np.abs(found[:, :16] - left[:, :16]).mean() < 0.1 * np.abs(right[:, :16] - left[:, :16]).mean()
    assert np.abs(found[:, -16:] - right[:, -16:]).mean() < 0.1 * np.abs(right[:, -16:] - left[:, -16:]).mean()
    middle = found[:, 248:264]
    assert min(np.abs(middle - pure[:, 248:264]).mean() for pure in (left, right)) > 0.01

    plain = replace(settings, gradient="none")
    mask = np.repeat(np.arange(64)[None] < 32, 8, axis=0)
    regions = named_parts([(styles[0], 1.0, "left"), (styles[1], 1.0, "")], {"left": mask}, plain, 0.0)
    masked = make(stylizer, regions, plain)
    assert np.abs(masked[:, :64] - left[:, :64]).max() < LEVEL
    assert np.abs(masked[:, -64:] - right[:, -64:]).max() < LEVEL
    everywhere = named_parts([(styles[0], 1.0, "all")], {"all": np.ones((8, 64), np.float32)}, plain, 0.0)
    assert np.abs(make(stylizer, everywhere, plain)[:, :64] - left[:, :64]).max() < LEVEL


def test_ctrl_c_leaves_no_file(stylizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wctstyle.stylizer.Stylizer", lambda model: stylizer)

    def rows(self, painting):
        os.kill(os.getpid(), signal.SIGINT)
        painting(1, 4)
        yield np.zeros((64, 64, 3), np.float32)

    monkeypatch.setattr(Plane, "rows", rows)
    stopped = CliRunner().invoke(cli.app, ["texture", "sample:marbling", "--size", "64", "--style-size", "128"])
    assert (stopped.exit_code, list(tmp_path.iterdir())) == (130, [])
    assert "Nothing was written" in stopped.output


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"width": 31}, "width is 31, must be a whole number from 32"),
        ({"seed": -1}, "seed is -1"),
        ({"style_size": 8}, "style_size is 8"),
        ({"tileable": True, "width": 500}, "multiples of 32 with style_size=512; give 512 x 512"),
        ({"tileable": True, "style_size": 1024}, None),
        ({"tileable": True, "gradient": "vertical"}, "whose two ends do not meet"),
        ({"tileable": True, "gradient": "radial"}, None),
        ({"gradient": "diagonal"}, "must be one of none, horizontal"),
        ({"optimize": 5, "width": 4000}, "optimised in one piece, up to 2048 pixels a side"),
        ({"width": 32768, "height": 32768}, "at most 500 megapixels"),
    ],
)
def test_settings_are_checked(given, says):
    if says is None:
        TextureSettings(**given)
        return
    with pytest.raises(ConfigError) as caught:
        TextureSettings(**given)
    assert says in str(caught.value)


def test_styles_that_make_no_texture_are_refused(styles):
    along = replace(SETTINGS, gradient="radial")
    half = Region(np.tri(64), styles[0])
    for wrong, settings, says in (
        (styles[0], along, "give two styles or more"),
        ([(styles[0], 0.5), (styles[1], 1.0)], along, "leave out the weights"),
        ([(styles[0], 0.0)], SETTINGS, "nothing to make a texture of"),
        ([half], SETTINGS, "without a style"),
    ):
        with pytest.raises(ConfigError, match=says):
            parts_of(wrong, settings)
    with pytest.raises(ConfigError, match="no faces"):
        named_parts([(styles[0], 1.0, "face")], {}, SETTINGS, 0.0)
    assert len(parts_of([half, Region(None, styles[1])], SETTINGS)) == 2


def test_with_wrapping_borders_the_network_sees_no_border():
    params = parameters(NARROW, random_tensors())
    rgb = picture(64, 96, seed=4)[None]
    moved = np.roll(rgb, (16, 32), (1, 2))
    for border, same in (("wrap", True), ("reflect", False)):
        network = Network(border=border)
        look = jax.jit(lambda image, network=network: features(params, image, ("relu1_1", "relu5_1"), network))
        found = look(moved)
        for layer, x in look(rgb).items():
            step = 2 ** (int(layer[4]) - 1)
            wanted = np.roll(x, (16 // step, 32 // step), (1, 2))
            apart = np.abs(np.asarray(found[layer]) - wanted).max()
            assert (apart < 1e-4 * np.abs(wanted).max()) == same, (border, layer)


def test_the_optimiser_brings_a_texture_nearer_to_its_style(service, stylizer, styles):
    optimizer = service.backend.optimizer("medium")
    settings = TextureSettings(width=64, height=64, style_size=128, tileable=True, optimize=6)
    found = list(stages(stylizer, styles[0], settings, lambda: optimizer))
    assert [found[0].step, found[-1].step, found[-1].steps] == [0, 6, 6]

    def error(image):
        return optimizer.figures(image, image, [(styles[0], 1.0)])["style"]

    assert error(found[-1].image) < error(found[0].image)
    np.testing.assert_array_equal(make(stylizer, styles[0], settings, optimizer=optimizer), found[-1].image)
    with pytest.raises(ConfigError, match="multiples of 16"):
        optimizer.run(found[0].image[:60], styles[0], border="wrap", init=found[0].image[:60])


RECIPE = TextureRecipe(
    styles=(
        StyleSource("-a b.jpg", "1", 0.5, "sky", Source("part.png", "2")),
        StyleSource("sample:marbling", "3"),
    ),
    settings=TextureSettings(width=640, height=96, tileable=True, seed=3),
    masks=(MaskSource("sky.png#blue", "4", "sky"),),
)


def test_a_recipe_is_read_back_and_written_as_command_and_program():
    assert TextureRecipe.from_json(RECIPE.to_json()) == RECIPE
    assert RECIPE.command("out.png") == (
        "wctstyle texture './-a b.jpg:0.5@sky' sample:marbling --mask 'sky=sky.png#blue' --style-mask sky=part.png "
        "--feather 0.01 --size 640x96 --model slim --style-size 512 --tileable --seed 3 --blend barycenter "
        "--gradient none --optimize 0 -o out.png"
    )
    compile(RECIPE.program(), "texture.py", "exec")
    written = RECIPE.to_json()
    for wrong in ({"seed": "x"}, {"width": 1}, {"gradient": 3}):
        with pytest.raises(ConfigError, match=r"^t\.png: its recipe cannot be used"):
            TextureRecipe.from_json({**written, KEY: {**written[KEY], **wrong}}, source="t.png")


def test_the_command_writes_a_file_whose_recipe_makes_it_again(stylizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wctstyle.stylizer.Stylizer", lambda model: stylizer)
    images.save("mask.png", np.tri(32, dtype=np.float32))

    def run(*words):
        return CliRunner().invoke(cli.app, words)

    made = run(
        "texture", "sample:marbling@left", "sample:peacock:2", "--mask", "left=mask.png", "--size", "64x48",
        "--style-size", "128", "--seed", "5",
    )  # fmt: skip
    assert (made.exit_code, made.stdout) == (0, "marbling-texture.png\n"), made.output
    first = images.load("marbling-texture.png").rgb
    assert first.shape == (48, 64, 3)
    command = run("recipe", "marbling-texture.png").stdout.split()
    assert run(*command[1:], "-o", "again.png").exit_code == 0
    np.testing.assert_array_equal(images.load("again.png").rgb, first)
    exec(compile(run("recipe", "--python", "marbling-texture.png").stdout, "program", "exec"), {})
    np.testing.assert_array_equal(images.load("texture.png").rgb, first)
    for words, says in (
        (["--size", "axb"], "wanted WIDTHxHEIGHT"),
        (["--mask", "x=ready:sky"], "is found in a photo"),
        (["-o", "again.png"], "exists already"),
        (["-o", "-"], "is written to a file"),
    ):
        refused = run("texture", "sample:marbling", *words)
        assert refused.exit_code == 2, words
        assert says in refused.output, words


def test_the_page_makes_a_texture_of_its_blend(service, session, stylizer, tmp_path):
    composition = Composition(styles=(("sample:marbling", 0.7), ("sample:peacock", 0.0)), model="slim")
    settings = TextureSettings(width=64, height=64, style_size=128, tileable=True, optimize=2)

    told = []

    def made(stop):
        recipe = textures.recipe_of(service, session, composition, settings)
        return list(textures.make(service, session, composition, recipe, tmp_path, stop, told.append))

    found = made(threading.Event())
    file = found[-1].file
    assert file is not None
    assert found[-1].repeated
    assert [(now.step, now.steps) for now in told] == [(1, 1)]
    assert [progress.step for progress in found[:-1]] == sorted({progress.step for progress in found[:-1]})
    recipe = TextureRecipe.from_json(images.read_recipe(file))
    assert recipe.styles == (StyleSource("sample:marbling", samples.picture("marbling").content_hash, 0.7),)
    assert recipe.settings == settings
    stopped = threading.Event()
    stopped.set()
    assert not [progress for progress in made(stopped) if progress.file]
    for changed, blend, says in (
        ({"width": 512, "height": 512, "optimize": 0}, composition, f"up to {SMALL.max_size} pixels"),
        ({"width": 128, "height": 128}, composition, f"up to {SMALL.optimise_size} pixels"),
        ({}, replace(composition, styles=()), "there is none"),
        ({}, replace(composition, styles=(("sample:marbling", 0.0),)), "weights of all styles are 0"),
    ):
        with pytest.raises(ConfigError, match=says):
            textures.recipe_of(service, session, blend, replace(settings, **changed))
    assert dataclasses.replace(settings, optimize=STEPS).optimize == STEPS

    upload = tmp_path / "up.png"
    upload.write_bytes(file.read_bytes())
    added = actions.add_upload(service, session, str(upload), str(tmp_path), "up.png", shown=composition)
    assert added.composition is None
    assert added.held is not None
    assert recipe.model == DEFAULT_MODEL
