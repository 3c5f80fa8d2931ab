"""The same look at every size: how a small painting becomes the photo of a large one."""

import numpy as np
import pytest
from feature_strategies import law
from hypothesis import given
from hypothesis import strategies as st
from narrow import NARROW, picture, quick_compilation, random_tensors
from scipy.ndimage import gaussian_filter

from wctstyle import images, look, pixel_metrics
from wctstyle.encoder import MODELS
from wctstyle.regions import Region
from wctstyle.settings import MAX_SIDE, Settings
from wctstyle.stylizer import Stylizer

SMALL = Settings(look=128, keep_faces=0)
"""A look that keeps the tests quick."""


@pytest.fixture(scope="module")
def stylizer():
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        yield Stylizer("slim", tensors=random_tensors())


@pytest.fixture(scope="module")
def photo():
    return 0.2 + 0.6 * picture(256, 192, seed=1)


@pytest.fixture(scope="module")
def style():
    return picture(256, 256, seed=2) ** 2


def scaled(image, height, width):
    return images.resize_planes(image, height=height, width=width)


def blurred(image, deviation):
    return gaussian_filter(image, (deviation, deviation, 0), mode="nearest")


def enlarged(small, photo, kept):
    shape = photo.shape[:2]
    return look.Lift(small, scaled(photo, *small.shape[:2]), kept, shape).part(photo, whole(photo))


def with_broad(image, small):
    filtered = look.Broad(small, image.shape[:2])
    assert filtered.feed(image) == len(image)
    return filtered.part(filtered.wide(), image, whole(image))


def whole(image):
    return slice(0, image.shape[0]), slice(0, image.shape[1])


# ------------------------------------------------------------------------------------------------ the functions


@law
@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(128, 4096))
def test_larger_pictures_are_composed_at_the_look(height, width, side):
    sides = look.small_sides((height, width, 3), side)
    if max(height, width) <= look.MARGIN * side:
        assert sides is None
    else:
        twice = max(height, width) > 2 * side and 2 * side <= MAX_SIDE
        long = 2 * side if twice else side
        assert sides is not None
        assert max(sides) == long
        assert min(sides) == max(1, round(min(height, width) * long / max(height, width)))
    assert look.small_sides((height, width), 0) is None


def test_a_photo_that_was_only_shrunk_comes_back_whole(photo):
    np.testing.assert_allclose(enlarged(scaled(photo, 64, 48), photo, 1.0), photo, atol=1e-5)


def test_of_what_is_painted_over_only_light_and_dark_come_along(photo):
    """What is added to the enlarged painting is the same in R, G and B."""
    small = np.full((64, 48, 3), 0.5, np.float32)
    added = enlarged(small, photo, 0.0) - small[0, 0]
    assert added.std() > 0.02
    np.testing.assert_allclose(np.ptp(added, axis=-1), 0, atol=1e-5)
    assert np.abs(scaled(added / 2 + 0.5, 64, 48) - 0.5).max() < 0.02  # nothing broad


def test_what_is_broad_is_the_small_pictures_and_what_is_fine_stays(photo, style):
    image, small = 0.3 + 0.4 * style[:, :192], scaled(photo, 64, 48)
    result = with_broad(image, small)
    wide = look.BROAD * 4 * 256
    np.testing.assert_allclose(blurred(result, wide), blurred(scaled(small, 256, 192), wide), atol=0.05)
    fine = [layer - blurred(layer, 1) for layer in (image, result)]
    assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.95


def test_a_picture_with_its_own_broad_light_is_itself(photo):
    np.testing.assert_allclose(with_broad(photo, scaled(photo, 64, 48)), photo, atol=1e-3)


# ------------------------------------------------------------------------------------------------ the stylizer


def test_a_large_picture_looks_as_the_small_one(stylizer, photo, style):
    """By thumbnails of 32 pixels, in 255ths, against what it looks like without."""
    small = stylizer.stylize(scaled(photo, 128, 96), scaled(style, 128, 128), SMALL).image
    apart = {}
    for name, settings in (("look", SMALL), ("none", Settings(look=0, keep_faces=0))):
        large = stylizer.stylize(photo, style, settings).image
        assert large.shape == photo.shape
        apart[name] = 255 * np.abs(scaled(large, 32, 24) - scaled(small, 32, 24)).mean()
    assert apart["look"] < 6
    assert apart["look"] < apart["none"]


def test_thumbnails_of_large_pictures_are_alike(stylizer, photo, style, monkeypatch):
    """At twice the look, of results two and three times as large as that, with a region of its own."""
    corner = np.zeros((32, 24), np.float32)
    corner[:20, :12] = 1

    def thumbnails():
        for factor in (1, 2, 3):
            content, own = (scaled(rgb, *(factor * side for side in rgb.shape[:2])) for rgb in (photo, style))
            regions = [Region(corner, own), Region(None, np.rot90(own))]
            yield scaled(stylizer.stylize(content, regions, SMALL).image, 256, 192)

    def apart():
        own, *larger = thumbnails()
        return [float(255 * np.abs(found - own).mean()) for found in larger]

    close = max(apart())
    assert close < 6
    monkeypatch.setattr(look, "CLOSE", 4.0)
    assert min(apart()) > 1.2 * close


@pytest.mark.parametrize("strength", [0.5, 1.5])
def test_the_look_holds_at_other_strengths(stylizer, photo, style, strength):
    settings = Settings(look=128, keep_faces=0, strength=strength)
    small = stylizer.stylize(scaled(photo, 128, 96), scaled(style, 128, 128), settings).image
    large = stylizer.stylize(photo, style, settings).image
    assert 255 * np.abs(scaled(large, 32, 24) - scaled(small, 32, 24)).mean() < 6


def test_small_styles_are_not_shrunk_to_nothing():
    assert look.shrunk(np.zeros((80, 160, 3), np.float32), 0.1).shape == (32, 64, 3)
    assert look.shrunk(np.zeros((20, 40, 3), np.float32), 0.1).shape == (20, 40, 3)
    assert look.shrunk(np.zeros((800, 400, 3), np.float32), 0.5).shape == (400, 200, 3)


def test_up_to_the_margin_a_picture_is_painted_at_once(stylizer, photo, style):
    near = scaled(photo, 160, 120)
    once, composed = (stylizer.stylize(near, style, Settings(look=side, keep_faces=0)).image for side in (0, 128))
    np.testing.assert_array_equal(composed, once)


def test_the_laws_hold_for_large_pictures(stylizer, photo, style):
    with np.errstate(all="raise"):
        nothing = stylizer.stylize(photo, style, Settings(look=128, strength=0))
    np.testing.assert_array_equal(nothing.image, photo)
    faint = stylizer.stylize(photo, style, Settings(look=128, strength=1e-4, keep_faces=0)).image
    assert np.abs(faint - photo).max() < 1 / 255
    own = stylizer.stylize(photo, photo, SMALL).image
    assert pixel_metrics.psnr(own, photo) >= 26
    other = picture(192, 256, seed=3)
    pairs = [(style, 0.3), (other, 0.7)]
    one, two = (stylizer.stylize(photo, styles, SMALL).image for styles in (pairs, pairs[::-1]))
    np.testing.assert_allclose(one, two, atol=1e-3)
    without = stylizer.stylize(photo, [(style, 0.0)], SMALL)
    assert without.parts == ()
    np.testing.assert_array_equal(without.image, photo)


def test_codes_and_pictures_give_the_same(stylizer, photo, style):
    given_codes = stylizer.stylize(stylizer.content(photo), stylizer.style(style), SMALL).image
    np.testing.assert_array_equal(given_codes, stylizer.stylize(photo, style, SMALL).image)


def test_large_pictures_keep_their_own_colours(stylizer, photo, style):
    from wctstyle import color

    result = stylizer.stylize(photo, style, Settings(look=128, color=0, keep_faces=0)).image
    whole = stylizer.stylize(photo, style, SMALL).image
    np.testing.assert_allclose(result, color.original_colors(whole, photo, share=1), atol=1e-5)
    result = stylizer.stylize(photo, style, Settings(look=128, colors="photo", keep_faces=0)).image
    np.testing.assert_allclose(result, color.original_colors(whole, photo, share=1), atol=1e-5)


def test_large_pictures_have_their_styles_matched_once_at_full_size(stylizer, photo, style):
    from wctstyle import color

    matched = color.with_colors(style, color.colors_of(photo))
    result = stylizer.stylize(photo, style, Settings(look=128, colors="match")).image
    np.testing.assert_allclose(result, stylizer.stylize(photo, matched, Settings(look=128)).image, atol=1e-5)


def test_colors_only_are_the_same_at_every_look(stylizer, photo, style):
    small, whole = (stylizer.stylize(photo, style, Settings(look=look, colors="only")).image for look in (128, 0))
    np.testing.assert_array_equal(small, whole)


def test_faces_come_from_the_large_photo(stylizer, photo, style, monkeypatch):
    """Drawn from the full size, where the photo has faces; a painting that looks like one is no face."""
    seen = []

    def found(rgb):
        seen.append(rgb.shape)
        height, width = rgb.shape[:2]
        return np.repeat(np.arange(height)[:, None] < height / 2, width, axis=1).astype(np.float32)

    monkeypatch.setattr("wctstyle.codes.face_map", found)
    monkeypatch.setattr("wctstyle.large.face_map", found)
    fresh = 1 - photo  # whose faces have not been looked for
    plain, kept = (stylizer.stylize(fresh, style, Settings(look=128, keep_faces=share)).image for share in (0.0, 1.0))
    assert set(seen) == {(128, 96, 3), fresh.shape}
    alike = [np.corrcoef((image - blurred(image, 2))[:96].ravel(), (fresh - blurred(fresh, 2))[:96].ravel())[0, 1]
             for image in (plain, kept)]  # fmt: skip
    assert alike[1] > alike[0] + 0.1
    seen.clear()
    monkeypatch.setattr("wctstyle.codes.face_map", lambda rgb: seen.append(rgb.shape))
    stylizer.stylize(0.9 * photo, style, Settings(look=128, keep_faces=1.0))
    assert seen == [(128, 96, 3)]
