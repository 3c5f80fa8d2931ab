"""Looks: those that come along, own ones, files of them, and `--use-look`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from wctstyle import cli, images, looks, samples
from wctstyle.cli import optimize_command
from wctstyle.errors import ConfigError
from wctstyle.looks import MAX_NAME, SHIPPED, Look
from wctstyle.recipe import Optimisation, Recipe
from wctstyle.settings import DEFAULT_MODEL, STROKE_SCALES, Settings
from wctstyle.sources import MaskSource, Source, StyleSource

SETTINGS = Settings(strength=1.2, color=0.4, detail=0.25, blend="mixture", look=256)
STYLES = (StyleSource("sample:marbling", "a", 0.7), StyleSource("waves.png", "b", 0.3))
RECIPE = Recipe(Source("sea.png", "c"), STYLES, 96, SETTINGS, stroke_scale=2.0)


def run(*args: object) -> Any:
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


def done(*args: object) -> str:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*args: object) -> str:
    result = run(*args)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


def written(file: Path, recipe: Recipe = RECIPE) -> Path:
    """A picture that was made by a recipe."""
    images.save(file, np.full((8, 8, 3), 0.5, np.float32), recipe=recipe.to_json())
    return file


# ------------------------------------------------------------------------------------------------------- a look


def test_a_recipe_gives_a_look_and_a_photo_makes_it_a_recipe_again():
    look = Look.of(RECIPE, "mine")
    assert look.recipe(RECIPE.content, RECIPE.size) == RECIPE
    assert Look.from_json(json.loads(json.dumps(look.to_json()))) == look
    assert not {"content", "size", "style_size"} & look.to_json().keys()
    assert Look.of(replace(RECIPE, style_size=48), "mine").stroke_scale == 0.5
    assert Look.of(replace(RECIPE, optimisation=Optimisation(None, "medium")), "mine") == look  # pyright: ignore


def test_a_look_of_regions_or_without_a_style_is_refused():
    for styles, masks, why in (
        ((replace(STYLES[0], region="face"),), (), "its masks belong to its photo"),
        (STYLES, (MaskSource("m.png", "", "cup"),), "its masks belong to its photo"),
        ((), (), "at least one style"),
    ):
        with pytest.raises(ConfigError, match=why):
            Look.of(replace(RECIPE, styles=styles, masks=masks), "mine")


@pytest.mark.parametrize(
    "name", ["", "../evil", "a/b", "a.json", ".hidden", "a\0", "a\n", " a", "a ", "x" * 61, 3, None]
)
def test_names_are_no_paths(name: Any):
    with pytest.raises(ConfigError, match="cannot be the name of a look"):
        looks.checked_name(name)


@pytest.mark.parametrize("text", ["my.painting (2).jpg", "../..", "", "x" * 300, "Straße – am Meer"])
def test_every_text_gives_a_name(text: str):
    assert 0 < len(looks.fitting_name(text)) <= MAX_NAME


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"strength": 7}, "strength is 7, must be between 0 and 1.5; save the look again"),
        ({"stroke_scale": 9}, "stroke_scale is 9, must be between 0.25 and 4"),
        ({"model": "huge"}, "model is 'huge'"),
        ({"styles": 3}, "cannot be used"),
        ({"name": "../x"}, "cannot be the name"),
        ({"detail": None}, "detail is None"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(tmp_path: Path, change: dict[str, Any], why: str):
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(Look.of(RECIPE, "mine").to_json() | change))
    with pytest.raises(ConfigError, match=rf"odd\.json: .*{why}"):
        looks.read(file)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b'{"a": 1}', b"{" * 100_000, b"\xff\xd8\xff", b'{"styles": 1' * 10]
)
def test_what_is_no_look_is_told(tmp_path: Path, data: bytes):
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(ConfigError, match=r"x\.json: has no look or recipe in it"):
        looks.read(tmp_path / "x.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        looks.read(tmp_path / "gone.json")


# -------------------------------------------------------------------------------------------- those that come along


def test_six_to_eight_looks_come_along_each_with_its_picture():
    assert 6 <= len(looks.shipped()) <= 8
    assert {path.stem for path in SHIPPED.iterdir()} == {*looks.shipped()}
    assert {path.suffix for path in SHIPPED.iterdir()} == {".json", ".jpg"}


@pytest.mark.parametrize("name", looks.shipped())
def test_a_look_that_comes_along_is_named_plainly_and_made_of_our_styles(name: str):
    look = looks.find(name)
    assert look.name == json.loads((SHIPPED / f"{name}.json").read_text())["name"] == name
    assert name not in samples.names("style")
    assert 10 < len(look.text) < 60
    assert not look.text.endswith(".")
    assert look.model == DEFAULT_MODEL
    assert STROKE_SCALES[0] <= look.stroke_scale <= STROKE_SCALES[1]
    for style in look.styles:
        assert style.hash == samples.picture(style.name.removeprefix(samples.PREFIX)).content_hash
        assert style.weight > 0
    assert max(looks.thumbnail(name).rgb.shape[:2]) < 200
    assert Look.from_json(look.to_json()) == look


def test_looks_that_come_along_differ():
    assert len({(look.styles, look.settings, look.stroke_scale) for look in map(looks.find, looks.shipped())}) >= 6


# ------------------------------------------------------------------------------------------------- the command line


def test_looks_are_listed_saved_used_and_removed(here: Path):
    first = looks.shipped()[0]
    assert all(name in done("looks") for name in looks.shipped())
    path = Path(done("looks", "save", "my sea", written(here / "made.png")).strip())
    assert path.is_file()
    assert "my sea" in done("looks")
    assert [entry["name"] for entry in json.loads(done("looks", "--json"))] == [*looks.shipped(), "my sea"]
    assert looks.find("my sea") == replace(Look.of(RECIPE, "my sea"))
    assert "you have a look of this name; give --overwrite" in fails("looks", "save", "my sea", "made.png")
    done("looks", "save", "my sea", path, "--overwrite")
    done("looks", "save", "other", path)
    assert f"{first}: is the name of a look that comes with" in fails("looks", "save", first, "made.png", "--overwrite")
    assert f"{first}: comes with wctstyle and stays" in fails("looks", "remove", first)
    done("looks", "remove", "my sea")
    assert looks.own() == ("other",)
    assert "my sea: you have no look of this name; yours are other" in fails("looks", "remove", "my sea")
    assert "'../x' cannot be the name of a look" in fails("looks", "save", "../x", "made.png")
    assert "sea.png: has no look or recipe in it" in fails("looks", "save", "x", "sea.png")


def test_a_recipe_as_json_is_a_look_too(here: Path):
    written(here / "made.png")
    (here / "my recipe.json").write_text(done("recipe", "made.png", "--json"))
    assert looks.read("my recipe.json") == Look.of(RECIPE, "my recipe")


def test_a_name_that_is_unknown_suggests_another(here: Path):
    first = looks.shipped()[0]
    message = fails("stylize", "sea.png", "--use-look", first[:-1])
    assert f"{first[:-1]}: no look has this name; did you mean {first}?" in message


def made(*args: object) -> Recipe:
    """Stylise, and return the recipe of the result."""
    return Recipe.from_json(images.read_recipe(done("stylize", "sea.png", *args).strip()) or {})


def test_stylize_takes_everything_from_a_look_and_options_besides_win(here: Path, one_model: Any):
    written(here / "made.png")
    done("looks", "save", "mine", "made.png")
    recipe = made("--use-look", "mine")
    assert [(style.name, style.weight) for style in recipe.styles] == [("sample:marbling", 0.7), ("waves.png", 0.3)]
    assert (recipe.settings, recipe.stroke_scale, recipe.model) == (SETTINGS, 2.0, DEFAULT_MODEL)
    default = Settings()
    over = ("--strength", default.strength, "--color", 1, "--stroke-scale", 1, "--style", "waves.png")
    recipe = made("--use-look", "mine", *over)
    assert recipe.settings == replace(SETTINGS, strength=default.strength, color=1.0)
    assert ([style.name for style in recipe.styles], recipe.stroke_scale) == (["waves.png"], 1.0)
    recipe = made("--use-look", "mine", "--style-size", 64)
    assert (recipe.style_size, recipe.stroke_scale) == (64, None)


def test_a_file_of_a_look_brings_styles_beside_it_and_names_those_that_are_missing(here: Path, one_model: Any):
    (away := here / "away").mkdir()
    (away / "waves.png").write_bytes((here / "waves.png").read_bytes())
    (here / "waves.png").unlink()
    file = away / "mine.json"
    file.write_text(json.dumps(Look.of(RECIPE, "mine").to_json()))
    assert [style.name for style in made("--use-look", file).styles] == ["sample:marbling", "waves.png"]
    (away / "waves.png").unlink()
    assert "needs waves.png, which the current folder does not have" in fails("stylize", "sea.png", "--use-look", file)


def test_folders_in_a_strangers_look_do_not_count(here: Path):
    (here / "below").mkdir()
    (here / "secret.png").write_bytes((here / "waves.png").read_bytes())
    file = here / "below" / "odd.json"
    for name in (here / "secret.png", "../secret.png"):
        look = Look.of(replace(RECIPE, styles=(StyleSource(str(name)),)), "odd")
        file.write_text(json.dumps(look.to_json()))
        (here / "elsewhere").mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here / "elsewhere")
            assert "needs secret.png, which" in fails("stylize", here / "sea.png", "--use-look", file)


def test_optimize_takes_a_look_as_far_as_it_has_the_dials(here: Path, monkeypatch: pytest.MonkeyPatch):
    wanted: list[Any] = []
    monkeypatch.setattr(optimize_command, "_run", lambda asked, *_, **__: wanted.append(asked))
    written(here / "made.png")
    done("looks", "save", "mine", "made.png")
    for extra in ((), ("--strength", 0.3, "--style-size", 64)):
        done("optimize", "sea.png", "--use-look", "mine", *extra)
    look, over = wanted
    assert (look.settings.strength, look.settings.blend) == (1.0, "mixture")
    assert (look.settings.colors, look.settings.color) == (RECIPE.settings.colors, RECIPE.settings.color)
    assert (look.model, look.sizes.strokes.stroke_scale, len(look.named.styles)) == ("medium", 2.0, 2)
    assert (over.settings.strength, over.settings.blend, over.sizes.strokes.style_size) == (0.3, "mixture", 64)
