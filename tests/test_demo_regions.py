"""Regions of a photo on the page and in the API: masks, dials and parts, without a browser."""

from __future__ import annotations

import base64
import json
import shlex
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from demo_service import SERVICE_FIXTURES, SMALL
from narrow import picture
from typer.testing import CliRunner

from wctstyle import images
from wctstyle.cli import app
from wctstyle.demo import actions, choosing, downloads, drawing, optimising, results
from wctstyle.demo.composition import MAX_REGIONS, Composition, PageRegion, compose, read_palette
from wctstyle.demo.masking import hold_mask, mask_id
from wctstyle.demo.memory import fitting
from wctstyle.demo.recipes import RESULT, from_recipe, recipe_for
from wctstyle.demo.registry import Sessions
from wctstyle.demo.sessions import FRESH_MASKS, Session
from wctstyle.demo.steps import Steps, changes
from wctstyle.demo.store import Store
from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import RegionSpec
from wctstyle.recipe import Recipe
from wctstyle.settings import Settings

KEY = "0123456789abcdef0123456789abcdef"
PHOTO, ONE, TWO, THREE = "sample:astronaut", "sample:marbling", "sample:peacock", "sample:woodcut-wave"
LOOK = Composition(PHOTO, ((ONE, 1.0),), Settings(keep_faces=0.0), size=128)


service, session = SERVICE_FIXTURES


def half(side, shape=(40, 40)):
    """A mask of one half of a picture: left, right, top or bottom."""
    plane = np.zeros(shape, np.float32)
    rows = {"top": slice(0, shape[0] // 2), "bottom": slice(shape[0] // 2, None)}.get(side, slice(None))
    columns = {"left": slice(0, shape[1] // 2), "right": slice(shape[1] // 2, None)}.get(side, slice(None))
    plane[rows, columns] = 1
    return plane


def drawn(session, plane):
    return session.add_mask(hold_mask(plane, SMALL.max_size)).id


def address(rgb, alpha=None):
    return "data:image/png;base64," + base64.b64encode(images.encode(rgb, alpha)).decode()


def rich(session):
    """Two regions with dials of their own, a soft border, and a part of a style."""
    sky, left = drawn(session, half("top")), drawn(session, np.clip(half("bottom") - half("right"), 0, 1))
    part = drawn(session, half("left", (30, 50)))
    return replace(
        LOOK,
        styles=((ONE, 1.0, part), (TWO, 0.5)),
        regions=(
            PageRegion("Sky", sky, ((THREE, 0.7), (ONE, 0.3)), RegionSpec(strength=0.6, texture=0.2, stroke=2.0)),
            PageRegion("Region 2", left, ((TWO, 1.0),), RegionSpec(detail=0.5)),
        ),
        feather=0.03,
    )


def rendered(service, session, look):
    return service.backend.render(session, look).image


# ------------------------------------------------------------------------------------------------ the same picture


def command_line(service, recipe, folder, monkeypatch):
    """Run the command of a recipe in a folder."""
    monkeypatch.setattr("wctstyle.stylizer.Stylizer", service.backend.stylizer)
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, shlex.split(recipe.command(RESULT))[1:])
    assert done.exit_code == 0, done.output
    return images.load(folder / RESULT)


def test_page_and_command_make_the_same_picture_of_regions(service, session, tmp_path, monkeypatch):
    look = rich(session)
    made = rendered(service, session, look)
    for change in ({"regions": ()}, {"feather": 0.0}, {"styles": ((ONE, 1.0), (TWO, 0.5))}):
        assert np.abs(rendered(service, session, replace(look, **change)) - made).max() > 0.02, change
    wanted = downloads.target(service, session, look, downloads.AS_SHOWN)
    with zipfile.ZipFile(downloads.masks(session, wanted, tmp_path)) as archive:
        assert sorted(archive.namelist()) == ["marbling-part.png", "region-2.png", "sky.png"]
        archive.extractall(tmp_path)
    recipe = recipe_for(look, session, size=128)
    assert "--mask 'Region 2=region-2.png'" in recipe.command()
    again = command_line(service, recipe, tmp_path, monkeypatch)
    assert np.abs(again.rgb - made).max() <= 1.01 / 255
    written = images.read_recipe(tmp_path / RESULT)
    assert Recipe.from_json(written) == recipe  # masks, their hashes, parts and dials too
    back = from_recipe(written, session.find, SMALL, fallback="")
    assert (back[0], back[2]) == (look, [])


def test_the_program_of_a_recipe_names_the_regions(service, session, tmp_path, monkeypatch):
    look = rich(session)
    downloads.masks(session, downloads.target(service, session, look, downloads.AS_SHOWN), tmp_path)
    zipfile.ZipFile(tmp_path / "masks.zip").extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = recipe_for(look, session, size=128).program().replace(" Stylizer(", " stylizer(")
    exec(compile(code, "recipe", "exec"), {"stylizer": service.backend.stylizer})
    assert np.abs(images.load(tmp_path / RESULT).rgb - rendered(service, session, look)).max() <= 1.01 / 255


def test_a_larger_download_has_the_regions_at_their_places(service, session, tmp_path):
    look = replace(rich(session), size=64)
    path, recipe = downloads.export(
        service,
        session,
        downloads.target(service, session, look, 128),
        format="PNG",
        quality=90,
        folder=tmp_path,
    )
    assert np.abs(images.load(path).rgb - rendered(service, session, replace(look, size=128))).max() <= 1.01 / 255
    assert [mask.region for mask in recipe.masks] == ["Sky", "Region 2"]


def test_the_dials_of_a_region_act_inside_it_alone(service, session):
    mask = drawn(session, half("left"))
    plain = replace(LOOK, regions=(PageRegion("Left", mask, ((TWO, 1.0),)),), feather=0.0)
    moved = replace(plain, regions=(replace(plain.regions[0], dials=RegionSpec(strength=0.0)),))
    before, after = (rendered(service, session, look) for look in (plain, moved))
    photo = service.backend.content(session.picture(PHOTO), 128).rgb
    np.testing.assert_allclose(after[:, :16], photo[:, :16], atol=1e-5)
    assert np.abs(before[:, :16] - photo[:, :16]).mean() > 0.02
    np.testing.assert_allclose(after[:, 112:], before[:, 112:], atol=1e-5)


def test_an_empty_region_changes_nothing_and_one_without_styles_keeps_the_photo(service, session):
    nothing, left = drawn(session, np.zeros((8, 8), np.float32)), drawn(session, half("left"))
    plain = rendered(service, session, LOOK)
    empty = replace(LOOK, regions=(PageRegion("Nothing", nothing, ((TWO, 1.0),)),))
    assert np.abs(rendered(service, session, empty) - plain).max() < 1 / 255
    kept = rendered(service, session, replace(LOOK, regions=(PageRegion("Kept", left),), feather=0.0))
    photo = service.backend.content(session.picture(PHOTO), 128).rgb
    np.testing.assert_allclose(kept[:, :16], photo[:, :16], atol=1e-5)
    alone = replace(LOOK, styles=(), regions=(PageRegion("Painted", left, ((TWO, 1.0),)),), feather=0.0)
    made = rendered(service, session, alone)
    np.testing.assert_allclose(made[:, 112:], photo[:, 112:], atol=1e-5)
    assert np.abs(made[:, :16] - photo[:, :16]).mean() > 0.02
    with pytest.raises(ConfigError, match="no style in the blend"):
        rendered(service, session, replace(alone, regions=(PageRegion("Bare", left),)))


def test_eight_regions_are_painted_and_nine_refused(service, session):
    columns = []
    for at in range(MAX_REGIONS + 1):
        plane = np.zeros((18, 18), np.float32)
        plane[:, 2 * at : 2 * at + 2] = 1
        columns.append(PageRegion(f"Column {at}", drawn(session, plane), (((ONE, TWO, THREE)[at % 3], 1.0),)))
    look = replace(LOOK, regions=tuple(columns[:MAX_REGIONS]))
    session.composition = look
    assert rendered(service, session, look).shape == (128, 128, 3)
    assert compose(SMALL, look.palette, **look.dials) == look
    with pytest.raises(ConfigError, match="9 regions are too many; a photo here takes up to 8"):
        compose(SMALL, replace(look, regions=tuple(columns)).palette)


def test_a_moved_slider_measures_nothing_anew(service, session, monkeypatch):
    look = rich(session)
    rendered(service, session, look)
    stylizer = service.backend.stylizer("slim")
    monkeypatch.setattr(type(stylizer._programs), "encode", lambda *_: pytest.fail("encoded again"))
    monkeypatch.setattr("wctstyle.demo.backend.feathered", lambda *_: pytest.fail("softened again"))
    first = replace(look.regions[0], styles=((THREE, 0.2), (ONE, 0.8)))
    assert rendered(service, session, replace(look, regions=(first, look.regions[1]))).any()


# ---------------------------------------------------------------------------------------------- ready-made masks


@pytest.fixture
def found(monkeypatch):
    """Ready-made masks that find the left half of every photo as sky, and nothing else."""
    asked = []

    def ready(kind, photo):
        asked.append(kind)
        if kind != "sky":
            raise ImageError(f"no {kind} was found in this photo")
        return half("left", photo.rgb.shape[:2])

    monkeypatch.setattr("wctstyle.masks.ready", ready)
    return asked


def test_a_ready_made_mask_is_found_once_in_each_photo(service, session, found):
    look = replace(LOOK, regions=(PageRegion("Sky", "ready:sky", ((TWO, 1.0),)),))
    made = rendered(service, session, look)
    same = replace(look, regions=(replace(look.regions[0], mask=drawn(session, half("left", (128, 128)))),))
    np.testing.assert_allclose(made, rendered(service, session, same), atol=1e-5)
    rendered(service, session, replace(look, settings=Settings(strength=0.5, keep_faces=0.0)))
    assert len(found) == 1
    rendered(service, session, replace(look, content="sample:cat"))
    assert len(found) == 2
    (mask,) = recipe_for(look, session, size=128).masks
    assert (mask.name, mask.hash, mask.region) == ("ready:sky", "", "Sky")
    back, _, missing = from_recipe(recipe_for(look, session, size=128).to_json(), session.find, SMALL, fallback="")
    assert (back, missing) == (look, [])
    assert downloads.masks(session, downloads.target(service, session, look, 0), None) is None


def test_page_and_command_find_the_same_ready_made_masks(service, session, tmp_path, monkeypatch):
    region = PageRegion("Light", "ready:light", ((TWO, 1.0, "ready:dark"),), RegionSpec(stroke=0.5))
    look = replace(LOOK, content="sample:cat", regions=(region,))
    made = rendered(service, session, look)
    assert np.abs(made - rendered(service, session, replace(look, regions=()))).max() > 0.02
    recipe = recipe_for(look, session, size=128)
    assert np.abs(command_line(service, recipe, tmp_path, monkeypatch).rgb - made).max() <= 1.01 / 255
    assert Recipe.from_json(images.read_recipe(tmp_path / RESULT)) == recipe
    assert from_recipe(recipe.to_json(), session.find, SMALL, fallback="")[0] == look


def test_what_is_not_found_in_a_photo_is_told(service, session, found):
    look = replace(LOOK, regions=(PageRegion("Hair", "ready:face", ((TWO, 1.0),)),))
    with pytest.raises(ImageError, match="no face was found"):
        rendered(service, session, look)


def test_the_region_face_is_that_of_the_command_line(service, session, tmp_path, monkeypatch):
    look = replace(LOOK, regions=(PageRegion("face", "ready:face", ((TWO, 1.0),)),), size=256)
    made = rendered(service, session, look)
    assert np.abs(made - rendered(service, session, replace(look, regions=()))).max() > 0.02
    recipe = recipe_for(look, session, size=256)
    assert (recipe.masks, recipe.styles[1].region) == ((), "face")
    assert np.abs(command_line(service, recipe, tmp_path, monkeypatch).rgb - made).max() <= 1.01 / 255
    assert from_recipe(recipe.to_json(), session.find, SMALL, fallback="")[0] == look
    bare = replace(look, regions=(replace(look.regions[0], styles=()),))
    assert recipe_for(bare, session, size=256).masks[0].name == "ready:face"


# ---------------------------------------------------------------------------------------------- what the page sends


def palette_with(**region):
    return {**LOOK.palette, "regions": [{"name": "Sky", "mask": "ready:sky", "styles": [[TWO, 1]], **region}]}


def test_a_palette_without_regions_has_none():
    assert read_palette({"content": PHOTO, "styles": [[ONE, 1]]}, SMALL) == Composition(PHOTO, ((ONE, 1.0),))
    assert read_palette(palette_with(), SMALL).regions == (PageRegion("Sky", "ready:sky", ((TWO, 1.0),)),)


@pytest.mark.parametrize(
    ("palette", "message"),
    [
        (palette_with(name=""), "A region cannot be called ''"),
        (palette_with(name="a@b"), "cannot be called 'a@b'. Names have 1 to 24 characters, none of @ = , / :"),
        (palette_with(name="x" * 25), "1 to 24 characters"),
        (palette_with(name="a\nb"), "cannot be called"),
        (palette_with(name=3), "load it again"),
        (palette_with(name="rest"), "that is the name of all that lies in no region"),
        (palette_with(name="face"), "that is the name of the faces"),
        (palette_with(mask="ready:nonsense"), "load it again"),
        (palette_with(mask="upload:abc"), "load it again"),
        (palette_with(mask=None), "load it again"),
        (palette_with(styles=[[TWO, -1]]), "must be a number >= 0"),
        (palette_with(styles=[[TWO, 1]] * 7), "takes up to 6"),
        (palette_with(styles=[[TWO, 1, "ready:nonsense"]]), "load it again"),
        (palette_with(styles=[[TWO, 1, "mask:a", "mask:b"]]), "load it again"),
        (palette_with(dials={"strength": -1}), "Sky: strength of a region is -1"),
        (palette_with(dials={"detail": "much"}), "Sky: detail of a region is 'much'"),
        (palette_with(dials={"size": 3}), "load it again"),
        (palette_with(dials=[1]), "load it again"),
        ({**LOOK.palette, "regions": 3}, "load it again"),
        ({**LOOK.palette, "regions": [3]}, "load it again"),
        ({**LOOK.palette, "regions": [*palette_with()["regions"] * 2]}, "Two regions are called 'Sky'"),
        ({**LOOK.palette, "feather": 2}, "feather is 2"),
        ({**LOOK.palette, "feather": None}, "feather is None, must be a number"),
    ],
)
def test_what_a_page_sends_of_regions_is_checked(palette, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        compose(SMALL, palette)


def test_a_drag_of_a_region_is_one_step_and_another_mask_is_another(session):
    look, steps = rich(session), Steps()
    steps.record(look)
    for strength in (0.5, 0.4, 0.3):
        region = replace(look.regions[0], dials=replace(look.regions[0].dials, strength=strength))
        moved = replace(look, regions=(region, look.regions[1]))
        steps.record(moved)
        steps.rest()
    assert changes(look, moved) == {"dial Sky/strength"}
    assert len(steps.past) == 1
    steps.record(replace(moved, regions=(replace(region, mask="mask:other"), look.regions[1])))
    assert len(steps.past) == 2
    back = steps.undo(steps.now, lambda step: actions.repaired(session, step, LOOK))
    assert back == moved
    assert changes(look, replace(look, feather=0.0)) == {"feather"}


# ------------------------------------------------------------------------------------------------------- masks


def test_a_mask_that_is_drawn_is_held_and_shown_again(service, session):
    asked = {"do": "draw", "png": address(half("left"))}
    mask = drawing.answer(service, session, asked, "")["mask"]
    np.testing.assert_array_equal(session.mask(mask).plane, half("left"))
    assert drawing.answer(service, session, asked, "") == {"mask": mask, "png": None}
    assert len(session.masks) == 1
    shown = drawing.answer(service, session, {"do": "show", "mask": mask, "content": PHOTO}, "")
    head, _, data = shown["png"].partition(",")
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(images.load(base64.b64decode(data)).rgb[..., 0], half("left"))


def test_a_scribble_is_green_inside_and_red_outside(service, session, monkeypatch):
    rgb, alpha = np.zeros((64, 64, 3), np.float32), np.zeros((64, 64), np.float32)
    rgb[8:12, 4:20], rgb[8:12, 40:60], alpha[8:12, 4:20], alpha[8:12, 40:60] = (0, 1, 0), (1, 0, 0), 1, 1
    seen = []
    monkeypatch.setattr("wctstyle.masks.from_scribble", lambda rgb, hints: seen.append((rgb, hints)) or half("left"))
    asked = {"do": "scribble", "png": address(rgb, alpha), "content": PHOTO}
    made = drawing.answer(service, session, asked, "")
    np.testing.assert_array_equal(session.mask(made["mask"]).plane, half("left"))
    assert made["png"].startswith("data:image/png;base64,")
    ((photo, hints),) = seen
    assert photo.shape[:2] == hints.shape == (512, 512)
    assert (hints[80, 64], hints[80, 400], hints[300, 300]) == (1, -1, 0)
    assert set(np.unique(hints)) == {-1, 0, 1}


def test_ready_made_masks_are_shown(service, session, found):
    made = drawing.answer(service, session, {"do": "ready", "kind": "sky", "content": PHOTO}, "")
    assert made["mask"] == "ready:sky"
    plane = images.load(base64.b64decode(made["png"].partition(",")[2])).rgb[..., 0]
    np.testing.assert_array_equal(plane, half("left", (512, 512)))
    assert session.masks == []
    with pytest.raises(ImageError, match="no face was found"):
        drawing.answer(service, session, {"do": "ready", "kind": "face", "content": PHOTO}, "")


def test_a_file_is_one_mask_or_several(service, session, tmp_path):
    images.save(tmp_path / "cup.png", half("left"))
    asked = {"do": "file", "path": str(tmp_path / "cup.png"), "name": "cup.png"}
    ((mask),) = drawing.answer(service, session, asked, str(tmp_path))["masks"]
    assert mask["name"] == "cup"
    held = session.mask(mask["mask"])
    np.testing.assert_array_equal(held.plane, half("left"))
    assert held.content_hash == images.load(half("left")).content_hash
    assert not (tmp_path / "cup.png").exists()
    colors = np.zeros((12, 12, 3), np.float32)
    colors[:, :4], colors[:, 4:8], colors[:, 8:] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    images.save(tmp_path / "map.png", colors)
    several = drawing.answer(
        service, session, {"do": "file", "path": str(tmp_path / "map.png"), "name": "map.png"}, str(tmp_path)
    )["masks"]
    assert {mask["name"] for mask in several} == {"red", "green", "blue"}
    np.testing.assert_array_equal(sum(session.mask(mask["mask"]).plane for mask in several), np.ones((12, 12)))
    with pytest.raises(ImageError, match="gone.png: This upload is not there any more"):
        drawing.answer(service, session, {**asked, "name": "gone.png"}, str(tmp_path))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "load it again"),
        ({"do": "dance"}, "load it again"),
        ({"do": []}, "load it again"),
        ({"do": "draw"}, "load it again"),
        ({"do": "draw", "png": "data:image/png;base64,???"}, "load it again"),
        ({"do": "draw", "png": "data:image/png;base64,AAAA"}, "could not be read as a picture"),
        ({"do": "show", "mask": "mask:gone", "content": PHOTO}, "not kept here any more"),
        ({"do": "show", "mask": "ready:nonsense", "content": PHOTO}, "load it again"),
        ({"do": "ready", "kind": "sky", "content": "upload:gone"}, "not kept here any more"),
        ({"do": "ready", "kind": "sky"}, "load it again"),
    ],
)
def test_what_the_page_asks_of_masks_is_checked(service, session, asked, message):
    with pytest.raises((ConfigError, ImageError), match=message):
        drawing.answer(service, session, asked, "")


def test_masks_that_nothing_uses_are_let_go_but_for_the_latest(session):
    look = rich(session)
    session.composition = look
    for seed in range(3 * FRESH_MASKS):
        drawn(session, picture(6, 6, seed=seed)[..., 0])
    assert len(session.masks) == len(look.masks) + FRESH_MASKS
    assert all(map(session.holds_mask, look.masks))
    session.composition = None
    session.steps.record(look)
    session.steps.record(LOOK)
    drawn(session, half("right"))
    assert all(map(session.holds_mask, look.masks))  # undo may bring them back


def test_masks_count_as_bytes_of_the_session(session):
    before = session.nbytes
    mask = session.add_mask(hold_mask(picture(40, 40, seed=1)[..., 0], 40))
    assert session.nbytes == before + len(mask.data)
    small = Session("small", replace(SMALL, session_bytes=4 * len(mask.data)))
    for seed in range(8):
        small.add_mask(hold_mask(picture(40, 40, seed=seed)[..., 0], 40))
    assert 1 <= len(small.masks) <= 4


# --------------------------------------------------------------------------------------------- kept and brought back


def test_regions_and_masks_outlast_a_restart(service, tmp_path):
    store = Store(tmp_path / "sessions", 10**9, 10**6)
    sessions = Sessions(SMALL, store)
    session = sessions.get("page", KEY)
    session.moves = 1
    look = rich(session)
    own = session.add(images.Picture(picture(40, 50, seed=1), np.full((40, 50), 0.5, np.float32)), "ghost.png")
    kept = actions.keep(service, session, look)
    sessions.write()
    back = Sessions(SMALL, store).get("page", KEY)
    assert back.composition == look
    assert back.masks == session.masks
    assert back.result(kept.id) == kept
    assert back.picture(own.id).pixels.shape == (40, 50, 4)
    np.testing.assert_array_equal(rendered(service, back, look), rendered(service, session, look))
    assert fitting(service, back, look) == look


def test_a_result_with_regions_is_opened_again_and_described(service, session):
    look = rich(session)
    kept = actions.keep(service, session, look)
    assert actions.describe(kept).startswith(
        "styled: astronaut in marbling 67% + peacock 33%, Sky: woodcut wave 70% + marbling 30%, Region 2: peacock 100%"
    )
    results.reopened(service, session, kept.id)
    (row,) = results.figures(service, session, [kept.id])
    assert row["style"] > 0
    assert row["ssim"] is not None
    nowhere = PageRegion("Nothing", drawn(session, np.zeros((4, 4), np.float32)), ((TWO, 1.0),))
    bare = replace(look, styles=(), regions=(nowhere,))
    measured = service.backend.figures(session, bare, images.load(kept.data).rgb)
    assert (measured["style"], measured["style_by_level"]) == (None, [])


def test_what_is_gone_leaves_the_composition(session):
    look = rich(session)
    stranger = Session("stranger", SMALL)
    assert actions.repaired(stranger, look, LOOK) == replace(look, styles=((ONE, 1.0), (TWO, 0.5)), regions=())
    session.composition = look
    assert actions.repaired(session, look, LOOK) == look
    gone = replace(look.regions[0], styles=(("upload:gone", 1.0), (ONE, 0.3)))
    here = actions.repaired(session, replace(look, styles=(), regions=(gone,)), LOOK)
    assert (here.styles, here.regions[0].styles) == ((), ((ONE, 0.3),))


def test_optimising_keeps_to_the_regions(service, session):
    look = replace(rich(session), size=64, styles=())
    *_, last = optimising.optimise(service, session, look, 2)
    assert last.kept.recipe.masks[0].region == "Sky"
    made, photo = images.load(last.kept.data).rgb, service.backend.content(session.picture(PHOTO), 64).rgb
    assert np.abs(made[:20] - photo[:20]).mean() > 0.01
    assert np.abs(made[44:, 44:] - photo[44:, 44:]).max() <= 1.01 / 255  # outside all regions the photo stays


def test_masks_that_are_not_here_are_awaited(service, session, tmp_path):
    look = rich(session)
    recipe = recipe_for(look, session, size=128)
    files = dict(downloads.recipes.mask_files(look, session).values())
    stranger = Session("stranger", SMALL)
    added = actions.restore_recipe(service, stranger, recipe.to_json(), shown=LOOK)
    assert "Not here: sky.png, region-2.png, marbling-part.png. Add them to complete it." in added.message
    assert added.composition == look  # ids are by hashes
    assert recipe_for(look, stranger, size=128) == recipe
    empty = replace(look, regions=(), styles=((ONE, 1.0), (TWO, 0.5)))
    first = rendered(service, stranger, look)
    assert np.abs(first - rendered(service, stranger, empty)).max() < 1 / 255
    shown = added.composition
    for name, mask in files.items():
        (tmp_path / name).write_bytes(mask.data)
        added = actions.add_upload(service, stranger, str(tmp_path / name), str(tmp_path), name, shown=shown)
        assert (added.masks, added.held, added.message) == ((mask.id,), None, f"{name} is a mask again.")
        assert added.palette == look.palette
    np.testing.assert_allclose(rendered(service, stranger, look), rendered(service, session, look), atol=1e-5)
    assert recipe_for(look, stranger, size=128) == recipe
    (tmp_path / name).write_bytes(mask.data)
    again = actions.add_upload(service, stranger, str(tmp_path / name), str(tmp_path), name, shown=shown)
    assert again.held is not None  # it is a picture like others now


def test_one_colour_of_a_map_is_awaited_by_the_map(service, session, tmp_path):
    colors = np.zeros((40, 40, 3), np.float32)
    colors[:20], colors[20:] = (1, 0, 0), (0, 0, 1)
    images.save(tmp_path / "map.png", colors)
    written = recipe_for(LOOK, session, size=128).to_json()
    hash = images.load(tmp_path / "map.png").content_hash
    written["masks"] = [{"name": f"map.png#{name}", "hash": hash, "region": name} for name in ("red", "blue")]
    look = actions.restore_recipe(service, session, written | {"feather": 0.0}, shown=LOOK).composition
    added = actions.add_upload(service, session, str(tmp_path / "map.png"), str(tmp_path), "map.png", shown=look)
    assert added.message == "map.png is a mask again."
    planes = [session.mask(region.mask).plane for region in look.regions]
    np.testing.assert_array_equal(planes, [half("top"), half("bottom")])
    again = recipe_for(look, session, size=128)
    assert [mask.name for mask in again.masks] == ["map-red.png", "map-blue.png"]
    back = from_recipe(again.to_json(), session.find, SMALL, fallback="", find_mask=session.find_mask)
    assert back[0] == look


def test_styles_of_regions_are_awaited_with_their_parts(service, session, tmp_path):
    own = {name: images.Picture(picture(40, 40, seed=seed)) for seed, name in enumerate(("a.png", "b.png"))}
    ids = {name: session.add(images.load(images.encode(each.rgb)), name).id for name, each in own.items()}
    mask, part = drawn(session, half("left")), drawn(session, half("top"))
    region = PageRegion("Sky", mask, ((ids["a.png"], 4.0, part), (ONE, 1.0), (ids["b.png"], 2.0)))
    recipe = recipe_for(replace(LOOK, regions=(region,)), session, size=128)
    stranger = Session("stranger", SMALL)
    added = actions.restore_recipe(service, stranger, recipe.to_json(), shown=LOOK)
    assert added.composition.regions[0].styles == ((ONE, 0.25),)
    assert added.composition.styles == ((ONE, 1.0),)
    shown = added.composition
    for name in ("b.png", "a.png"):
        images.save(tmp_path / name, own[name].rgb)
        added = actions.add_upload(service, stranger, str(tmp_path / name), str(tmp_path), name, shown=shown)
        shown = read_palette(added.palette, SMALL)
    assert shown.regions[0].styles == ((ids["a.png"], 1.0, part), (ONE, 0.25), (ids["b.png"], 0.5))


def test_a_recipe_of_the_command_line_with_dials_of_the_rest_is_restored(service, session, tmp_path, monkeypatch):
    images.save(tmp_path / "half.png", half("left"))
    monkeypatch.setattr("wctstyle.stylizer.Stylizer", service.backend.stylizer)
    monkeypatch.chdir(tmp_path)
    command = (
        f"stylize {PHOTO} --style {ONE}:2 --style {TWO}@half --mask half=half.png --size 128 --keep-faces 0 "
        "--strength 0.8 --region rest:strength=0.5,detail=0.4,stroke=0.5 --region half:texture=0.1 -o out.png"
    )
    done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0, done.output
    expected = images.load(tmp_path / "out.png").rgb  # here, as the upload is deleted
    added = actions.add_upload(service, session, str(tmp_path / "out.png"), str(tmp_path), "out.png", shown=LOOK)
    assert "Not here: half.png. Add it" in added.message
    actions.add_upload(service, session, str(tmp_path / "half.png"), str(tmp_path), "half.png", shown=LOOK)
    assert added.composition.settings.strength == pytest.approx(0.4)
    assert added.composition.regions[0].dials == RegionSpec(strength=2.0, detail=0.0, texture=0.1, stroke=1.0)
    assert np.abs(rendered(service, session, added.composition) - expected).max() <= 1.01 / 255


def test_a_look_leaves_the_regions_and_is_saved_without_them(service, session):
    look = rich(session)
    worn = actions.wear(service, session, "engraving", shown=look).composition
    assert (worn.regions, worn.feather, worn.content) == (look.regions, look.feather, look.content)
    assert worn.styles != look.styles
    saved = actions.look_of(session, look)
    assert [(style["name"], style["weight"]) for style in saved["styles"]] == [(ONE, 1.0), (TWO, 0.5)]
    assert json.dumps(saved).count("mask") == 0
    with pytest.raises(ConfigError, match="at least one style"):
        actions.look_of(session, replace(look, styles=()))


def test_styles_are_tried_in_the_region_that_is_chosen(service, session):
    look = replace(LOOK, regions=(PageRegion("Left", drawn(session, half("left")), ((TWO, 1.0),)),))

    def tried(region):
        (made,) = choosing.tried(service, session, look, [THREE], lambda: False, region)
        data = base64.b64decode(made[THREE].partition(",")[2])
        return images.load(data).rgb

    for region, blends in (("Left", {"Left": THREE}), (None, {"rest": THREE}), ("gone", {"rest": THREE})):
        expected = replace(look, size=256, settings=replace(look.settings, look=0))
        for name, id in blends.items():
            expected = expected.with_blend(name, ((id, 1.0),))
        assert np.abs(tried(region) - rendered(service, session, expected)).mean() < 0.03
    assert np.abs(tried("Left") - tried(None)).mean() > 0.05


def test_the_id_of_a_mask_follows_from_the_hash_in_a_recipe(session):
    held = session.add_mask(hold_mask(half("left"), SMALL.max_size))
    assert held.id == mask_id(images.load(images.encode(half("left"))).content_hash)
