"""Cut-outs: hidden pixels count in nothing, in every mode, from Python, the command line's functions and the page."""

import gc
import weakref

import jax.numpy as jnp
import numpy as np
import pytest
from narrow import NARROW, picture, quick_compilation, random_tensors

from wctstyle import images
from wctstyle.cutout import cut_out, visible_sides
from wctstyle.encoder import MODELS
from wctstyle.errors import ImageError
from wctstyle.fitting import fit_style
from wctstyle.losses import content_error, standardized_error
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.regions import Region
from wctstyle.settings import Settings
from wctstyle.sizes import of_cells
from wctstyle.stylizer import Stylizer

HEIGHT, WIDTH = 48, 64
LEVEL = 1 / 255


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


@pytest.fixture(scope="module")
def stylizer(tensors):
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        patch.setattr("wctstyle.large.optimizer_model", lambda model: model)
        yield Stylizer("slim", tensors=tensors)


@pytest.fixture(scope="module")
def optimizer(stylizer, tensors):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        yield Optimizer("slim", tensors=tensors)


@pytest.fixture(scope="module")
def photo():
    return (0.2 + 0.6 * picture(HEIGHT, WIDTH, seed=1)).astype(np.float32)


@pytest.fixture(scope="module")
def style():
    return picture(56, 56, seed=2)


def on_canvas(photo, share, opacity=None):
    """Put a photo onto a canvas of which it is `share`, with noise under the transparency; returns where it is too."""
    height, width = photo.shape[:2]
    rows, columns = round(height / share**0.5), round(width / share**0.5)
    rgb = np.random.default_rng(0).uniform(size=(rows, columns, 3)).astype(np.float32)
    alpha = np.zeros((rows, columns), np.float32)
    top, left = (rows - height) // 2, (columns - width) // 3
    box = slice(top, top + height), slice(left, left + width)
    rgb[box], alpha[box] = photo, 1 if opacity is None else opacity
    return images.Picture(rgb, alpha), box


def ellipse():
    rows, columns = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    return (rows**2 + columns**2 < 1).astype(np.float32)


SHARES = (1.0, 0.44, 0.25, 0.11, 0.05)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(color=0.3, detail=0.5, keep_faces=1),
        Settings(refine=2, strength=0.8),
        Settings(strength=0),
        Settings(colors="match"),
        Settings(colors="only"),
    ],
    ids=["pass", "dials", "refine", "photo", "match", "only"],
)
def test_a_cut_out_is_the_same_picture_on_every_canvas(stylizer, photo, style, settings):
    opaque = stylizer.stylize(photo, style, settings).image
    for share in SHARES:
        canvas, box = on_canvas(photo, share)
        result = stylizer.stylize(canvas, style, settings).image
        assert result.shape == canvas.rgb.shape
        np.testing.assert_allclose(result[box], opaque, atol=LEVEL)
        assert (result[canvas.alpha == 0] == 1).all()


def test_a_large_cut_out_is_composed_like_the_opaque_picture(stylizer, style):
    large = (0.2 + 0.6 * picture(120, 180, seed=6)).astype(np.float32)
    settings = Settings(look=128, refine=2)
    opaque = stylizer.stylize(large, style, settings).image
    canvas, box = on_canvas(large, 0.5)
    np.testing.assert_allclose(stylizer.stylize(canvas, style, settings).image[box], opaque, atol=LEVEL)
    opacity = np.ones(large.shape[:2], np.float32)
    opacity[:, :60] = 0
    opacity[0, 0] = 1
    spoilt = np.where(opacity[..., None] > 0, large, 0)
    one, other = (stylizer.stylize(images.Picture(rgb, opacity), style, settings).image for rgb in (large, spoilt))
    np.testing.assert_array_equal(one[opacity > 0], other[opacity > 0])


@pytest.mark.parametrize("statistic", ["gram", "moments"])
def test_an_optimised_cut_out_is_the_same_picture_on_every_canvas(optimizer, photo, style, statistic):
    settings = OptimizeSettings(steps=3, init="content", smallest=32, statistic=statistic, strength=0.9)
    *_, opaque = optimizer.run(photo, [(style, 1.0)], settings)
    for share in SHARES[1::2]:
        canvas, box = on_canvas(photo, share)
        *_, last = optimizer.run(canvas, [(style, 1.0)], settings)
        assert last.image.shape == canvas.rgb.shape
        np.testing.assert_allclose(last.image[box], opaque.image, atol=LEVEL)
        own = optimizer.figures(last.image, canvas, [(style, 1.0)])
        assert own["style"] == pytest.approx(optimizer.figures(opaque.image, photo, [(style, 1.0)])["style"], rel=1e-3)


def test_the_start_and_the_faces_are_cut_as_the_photo_is(optimizer, photo, style):
    canvas, box = on_canvas(photo, 0.25)
    faces = np.zeros((HEIGHT, WIDTH), np.float32)
    faces[10:30, 20:40] = 1
    settings = OptimizeSettings(steps=2, init="image", smallest=64, keep_faces=1)
    *_, opaque = optimizer.run(photo, [(style, 1.0)], settings, init=photo[::-1].copy(), faces=faces)
    start, wide = canvas.rgb.copy(), np.zeros(canvas.rgb.shape[:2], np.float32)
    start[box], wide[box] = photo[::-1], faces
    *_, last = optimizer.run(canvas, [(style, 1.0)], settings, init=start, faces=wide)
    np.testing.assert_allclose(last.image[box], opaque.image, atol=LEVEL)
    with pytest.raises(ImageError, match="picture to start from"):
        optimizer.run(canvas, [(style, 1.0)], settings, init=photo)


def test_what_is_hidden_inside_does_not_count_either(stylizer, optimizer, photo, style):
    """The corners around an ellipse: whatever colours a file holds there, and whatever surrounds it."""
    opacity = ellipse()
    seen = opacity > 0
    pictures = []
    for seed in (3, 4):
        rgb = np.where(seen[..., None], photo, picture(HEIGHT, WIDTH, seed=seed)).astype(np.float32)
        pictures.append(images.Picture(rgb, opacity))
    settings = OptimizeSettings(steps=3, init="content", smallest=32)
    for paint in (
        lambda x: stylizer.stylize(x, style, Settings(refine=2)).image,
        lambda x: list(optimizer.run(x, [(style, 1.0)], settings))[-1].image,
    ):
        one, other = (paint(x)[seen] for x in pictures)
        np.testing.assert_array_equal(one, other)


def test_moments_are_those_of_what_is_visible(stylizer, photo):
    """Half of the photo is hidden: its moments are those of the other half, but for the cells along the border."""
    opacity = np.zeros((HEIGHT, WIDTH), np.float32)
    opacity[:, :32] = 1
    opacity[0, -1] = 1  # so that nothing is cut off
    split = photo.copy()
    split[:, 32:] = [0.9, 0.1, 0.1]
    code = stylizer.content(images.Picture(split, opacity), texture=0)
    np.testing.assert_allclose(code.mean_color(of_cells(code.counted())), photo[:, :32].mean((0, 1)), atol=0.01)
    colors = code.moments.mean[-3:]
    np.testing.assert_allclose(colors, stylizer.content(photo[:, :32].copy(), texture=0).moments.mean[-3:], atol=0.05)


def test_masks_belong_to_the_canvas(stylizer, photo, style):
    left = np.zeros((HEIGHT, WIDTH), np.float32)
    left[:, :32] = 1
    opaque = stylizer.stylize(photo, [Region(left, style)]).image
    canvas, box = on_canvas(photo, 0.25)
    wide = np.ones(canvas.rgb.shape[:2], np.float32)
    wide[box] = left
    result = stylizer.stylize(canvas, [Region(wide, style)]).image
    np.testing.assert_allclose(result[box], opaque, atol=LEVEL)


def test_an_encoded_cut_out_is_painted_like_the_picture(stylizer, photo, style):
    canvas, _ = on_canvas(photo, 0.25, ellipse())
    code = stylizer.content(canvas)
    for settings in (Settings(), Settings(texture=0.9)):
        direct = stylizer.stylize(canvas, style, settings).image
        np.testing.assert_array_equal(stylizer.stylize(code, style, settings).image, direct)


@pytest.mark.parametrize("opacity", [None, ellipse()], ids=["box", "ellipse"])
def test_a_cut_out_stays_a_photo_as_its_picture_does(stylizer, photo, style, opacity):
    canvas, _ = on_canvas(photo, 0.25, opacity)
    left = np.zeros(canvas.rgb.shape[:2], np.float32)
    left[:, :60] = 1
    regions, settings = [Region(left, style), Region(None, style, strength=0.3)], Settings(photo=True)
    direct = stylizer.stylize(canvas, regions, settings).image
    for given in (cut_out(canvas), stylizer.content(canvas)):
        np.testing.assert_array_equal(stylizer.stylize(given, regions, settings).image, direct)


@pytest.mark.parametrize("opacity", [0.0, 1.0])
def test_all_or_nothing_visible(stylizer, photo, style, opacity):
    canvas = images.Picture(photo, np.full((HEIGHT, WIDTH), opacity, np.float32))
    result = stylizer.stylize(canvas, style).image
    assert result.shape == photo.shape
    if opacity:
        np.testing.assert_array_equal(result, stylizer.stylize(photo, style).image)


def test_one_visible_pixel(stylizer, optimizer, photo, style):
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    alpha[7, 9] = 1
    dot = images.Picture(photo, alpha)
    assert visible_sides(dot) == (1, 1)
    result = stylizer.stylize(dot, style, Settings(refine=1)).image
    assert (result[alpha == 0] == 1).all()
    with pytest.raises(ImageError, match="at least 2 pixels"):
        optimizer.run(dot, [(style, 1.0)], OptimizeSettings(init="content"))


def test_soft_edges_are_painted_in_full(stylizer, photo, style):
    """Opacity weighs the measurement; it does not weaken the style."""
    soft = stylizer.stylize(images.Picture(photo, np.full((HEIGHT, WIDTH), 0.5, np.float32)), style).image
    np.testing.assert_allclose(soft, stylizer.stylize(photo, style).image, atol=3 * LEVEL)


def test_pictures_without_transparency_need_no_cutting(photo):
    assert cut_out(photo) is None
    assert cut_out(images.Picture(photo)) is None
    assert visible_sides(photo) == visible_sides(images.Picture(photo)) == (HEIGHT, WIDTH)


def test_a_style_loses_its_transparent_border_and_the_rest_lies_on_white(photo):
    opacity = np.ones((HEIGHT, WIDTH), np.float32)
    opacity[:9, :9] = 0
    canvas, _ = on_canvas(photo, 0.25, opacity)
    style = fit_style(canvas, 0).rgb
    assert style.shape[:2] == (HEIGHT, WIDTH)
    assert (style[:9, :9] == 1).all()
    np.testing.assert_array_equal(style[9:], photo[9:])


def test_losses_of_features_count_positions():
    rng = np.random.default_rng(5)
    a, b = jnp.asarray(rng.normal(size=(2, 1, 6, 8, 3)), jnp.float32)
    counted = jnp.zeros((1, 6, 8, 1)).at[:, :, :5].set(1)
    for loss in (content_error, lambda x, y, c=None: standardized_error(x, y, 1.0, c)):
        np.testing.assert_allclose(loss(a, b, counted), loss(a[:, :, :5], b[:, :, :5]), rtol=1e-4)
        np.testing.assert_allclose(loss(a, b, jnp.ones_like(counted)), loss(a, b), rtol=1e-4)


def test_a_cut_out_is_made_once_and_goes_with_its_picture(photo):
    canvas, _ = on_canvas(photo, 0.25)
    first = weakref.ref(cut_out(canvas))
    assert cut_out(canvas) is first()
    del canvas
    gc.collect()
    assert first() is None
