import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import jax
import numpy as np
import platformdirs
import pytest
from feature_strategies import law
from hypothesis import given
from hypothesis import strategies as st
from narrow import NARROW, picture, quick_compilation, random_tensors

import wctstyle.stylizer
from wctstyle import metrics, transforms, weights
from wctstyle.encoder import MODELS, SIZE_MULTIPLE
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.moments import measure
from wctstyle.settings import DEFAULT_DETAIL, MAX_SIDE, BlendKind, Settings, TransformKind
from wctstyle.stylizer import (
    StyleCode,
    Stylizer,
    content_hash,
    enable_compilation_cache,
    pad_to_family,
    padded_side,
    stylize,
)

# fmt: off
TWELVE_SIZES = [
    (65, 65), (70, 128), (75, 90), (80, 112), (97, 66), (100, 100),
    (101, 127), (112, 80), (119, 99), (125, 77), (127, 101), (128, 128),
]
# fmt: on


@pytest.fixture(scope="module", autouse=True)
def _quick(tmp_path_factory):
    with quick_compilation(tmp_path_factory.mktemp("programs")):
        yield


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


@pytest.fixture(scope="module")
def narrow_models():
    """The narrow model under the name of `slim`, for as long as a stylizer is made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        yield


@pytest.fixture(scope="module")
def stylizer(narrow_models, tensors):
    """One stylizer for the tests that do not count: each keeps its compiled programs."""
    return Stylizer("slim", tensors=tensors)


@pytest.fixture
def fresh(narrow_models, tensors):
    return Stylizer("slim", tensors=tensors)


@pytest.fixture(scope="module")
def photo_64():
    return picture(64, 64, seed=1)


@pytest.fixture(scope="module")
def styles(stylizer):
    return [stylizer.style(picture(64, 64, seed=seed) ** power) for seed, power in ((2, 1), (3, 2), (4, 0.5))]


def assert_picture(image, shape):
    assert image.shape == (*shape, 3)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1


# --------------------------------------------------------------------------------------------- the size family


@law
@given(st.integers(1, MAX_SIDE))
def test_sides_are_rounded_up_to_the_family(side):
    padded = padded_side(side)
    assert padded >= side
    assert padded % SIZE_MULTIPLE == 0
    assert padded_side(padded) == padded
    assert padded - side < max(64, side / 4 + 64)


def test_the_family_is_small():
    family = {padded_side(side) for side in range(1, MAX_SIDE + 1)}
    assert family == {*range(64, 513, 64), *range(640, 1025, 128), *range(1280, 4097, 256)}


@law
@given(st.integers(1, 150), st.integers(1, 150))
def test_padding_reflects_at_the_bottom_and_right(height, width):
    rgb = picture(height, width)
    padded = pad_to_family(rgb)
    assert padded.shape == (1, padded_side(height), padded_side(width), 3)
    np.testing.assert_array_equal(padded[0, :height, :width], rgb)
    if 1 < height < padded.shape[1]:
        np.testing.assert_array_equal(padded[0, height, :width], rgb[height - 2])
    if 1 < width < padded.shape[2]:
        np.testing.assert_array_equal(padded[0, :height, width], rgb[:, width - 2])


def test_a_picture_of_the_family_is_not_padded(photo_64):
    np.testing.assert_array_equal(pad_to_family(photo_64)[0], photo_64)


@pytest.mark.parametrize("shape", [(64, 64), (64, 128)], ids=str)
def test_without_padding_moments_are_those_of_the_whole_map(stylizer, tensors, shape):
    rgb = picture(*shape, seed=5)
    features = stylizer.content(rgb).features
    for got, level in zip(stylizer.measure(rgb), features, strict=True):
        want = measure(level)
        assert got.count == want.count
        np.testing.assert_allclose(got.mean, want.mean, atol=1e-4)
        np.testing.assert_allclose(got.covariance, want.covariance, atol=1e-4)


def test_padding_is_not_counted(stylizer):
    rgb = picture(48, 80, seed=5)
    for level, (got, features) in enumerate(
        zip(stylizer.measure(rgb), stylizer.content(rgb).features, strict=True), start=1
    ):
        cell = 2 ** (level - 1)
        want = measure(features[:, : 48 // cell, : 80 // cell])
        assert got.count == 48 * 80 / cell**2
        np.testing.assert_allclose(got.mean, want.mean, atol=1e-4)
        np.testing.assert_allclose(got.covariance, want.covariance, atol=1e-4)


# ------------------------------------------------------------------------------------------- traces and caches


def test_many_sizes_share_one_trace(fresh, styles):
    for number, (height, width) in enumerate(TWELVE_SIZES):
        out = fresh.stylize(picture(height, width, seed=number), styles[0])
        assert_picture(out.image, (height, width))
        fresh.style(picture(height, width, seed=number))
    assert fresh.traces == {"encode": 1, "decode": 1, "measure": 1}


def test_every_size_of_the_family_is_traced_once(fresh, styles):
    for shape in ((10, 10), (64, 64), (64, 65), (30, 100), (33, 44)):
        fresh.content(picture(*shape))
    assert fresh.traces == {"encode": 2}


def test_a_slider_move_plans_and_decodes_alone(fresh, photo_64, monkeypatch):
    paintings = [picture(64, 64, seed=seed) for seed in (2, 3)]
    fresh.stylize(photo_64, [(paintings[0], 0.5), (paintings[1], 0.5)])
    traces = dict(fresh.traces)

    def never(*_args):
        raise AssertionError("encoded again")

    monkeypatch.setattr(fresh, "_encode", never)
    monkeypatch.setattr(fresh, "_measure", never)
    images = [
        fresh.stylize(photo_64.copy(), [(paintings[0].copy(), weight), (paintings[1], 1)], settings).image
        for weight in (0.2, 3.0)
        for settings in (Settings(), Settings(strength=0.5), Settings(detail=0.9, level_strength={5: 0.1}))
    ]
    assert fresh.traces == traces
    assert len({image.tobytes() for image in images}) == len(images)


def test_contents_and_styles_are_remembered_by_what_they_show(fresh, photo_64):
    content, style = fresh.content(photo_64), fresh.style(photo_64)
    assert fresh.content(photo_64.copy()) is content
    assert fresh.style(photo_64.astype(np.float64)) is style
    changed = photo_64.copy()
    changed[0, 0, 0] = 1 - changed[0, 0, 0]
    assert fresh.content(changed) is not content
    assert fresh.style(changed) is not style


def test_the_contents_used_longest_ago_are_forgotten(fresh):
    pictures = [picture(20, 20, seed=seed) for seed in range(4)]
    fresh._contents.capacity = 3 * fresh.content(pictures[0]).nbytes
    codes = [fresh.content(rgb) for rgb in pictures[:-1]]
    assert fresh.content(pictures[0]) is codes[0]
    fresh.content(pictures[-1])
    assert fresh.content(pictures[0]) is codes[0]
    assert fresh.content(pictures[1]) is not codes[1]


def test_a_content_that_failed_is_not_remembered(fresh, photo_64, monkeypatch):
    def fail(*_args):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(fresh, "_encode", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            fresh.content(photo_64)
    assert len(fresh.content(photo_64).features) == 5


def test_hashes_tell_pictures_apart():
    rgb = picture(6, 8)
    hashes = {content_hash(x) for x in (rgb, rgb[::-1], rgb.reshape(8, 6, 3), rgb.astype(np.float64))}
    assert len(hashes) == 4
    assert content_hash(rgb[:, ::-1]) == content_hash(rgb[:, ::-1].copy())


# --------------------------------------------------------------------------------------------------- stylising


def test_a_style_changes_the_picture(stylizer, photo_64, styles):
    images = [stylizer.stylize(photo_64, style).image for style in styles]
    for image in images:
        assert_picture(image, (64, 64))
        assert image.std() > 0.01
    assert np.abs(images[0] - images[1]).max() > 0.01


def test_the_same_input_gives_the_same_bytes(fresh, stylizer, photo_64, styles):
    blend = [(styles[0], 0.3), (styles[1], 0.6), (styles[2], 0.1)]
    images = [s.stylize(photo_64, blend).image.tobytes() for s in (stylizer, stylizer, fresh)]
    assert len(set(images)) == 1


def test_threads_share_a_stylizer(stylizer, styles):
    jobs = [(picture(64, 64, seed=seed), style) for seed in (7, 8, 9) for style in styles]
    alone = [stylizer.stylize(*job).image for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: stylizer.stylize(*job).image, jobs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_styles_may_be_given_in_every_form(stylizer, photo_64):
    painting = picture(64, 64, seed=2)
    code = stylizer.style(painting)
    content = stylizer.content(photo_64)
    want = stylizer.stylize(photo_64, painting).image
    for given_content, given_style in [
        (content, painting),
        (photo_64, code),
        (photo_64, [painting]),
        (photo_64, [code]),
        (photo_64, [(painting, 0.4)]),
        (photo_64, ((code, 7),)),
    ]:
        np.testing.assert_array_equal(stylizer.stylize(given_content, given_style).image, want)


def test_all_weights_zero_give_the_photo(stylizer, styles):
    rgb = picture(50, 60, seed=6)
    result = stylizer.stylize(rgb, [(styles[0], 0), (styles[1], 0.0)])
    np.testing.assert_array_equal(result.image, rgb)
    assert result.plan is None


def test_a_result_is_the_callers_own(fresh, styles):
    rgb = picture(50, 60, seed=6)
    fresh.stylize(rgb, [(styles[0], 0)]).image[:] = 0
    np.testing.assert_array_equal(fresh.stylize(rgb, [(styles[0], 0)]).image, rgb)


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 8.0, 1e300])
@pytest.mark.parametrize("kind", get_args(BlendKind))
def test_only_the_ratio_of_weights_matters(stylizer, photo_64, styles, scale, kind):
    settings = Settings(blend=kind)
    want = stylizer.stylize(photo_64, [(styles[0], 1), (styles[1], 3)], settings).image
    got = stylizer.stylize(photo_64, [(styles[0], scale), (styles[1], 3 * scale)], settings).image
    np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize("kind", get_args(BlendKind))
def test_a_style_of_weight_zero_is_as_good_as_absent(stylizer, photo_64, styles, kind):
    settings = Settings(blend=kind)
    want = stylizer.stylize(photo_64, [(styles[0], 1), (styles[1], 2)], settings).image
    got = stylizer.stylize(photo_64, [(styles[0], 1), (styles[2], 0), (styles[1], 2)], settings).image
    np.testing.assert_array_equal(got, want)
    alone = stylizer.stylize(photo_64, [(styles[2], 0), (styles[1], 2)], settings).image
    np.testing.assert_array_equal(alone, stylizer.stylize(photo_64, styles[1], settings).image)


def test_a_blend_lies_between_its_styles(stylizer, styles):
    half = stylizer.target([(styles[0], 1), (styles[1], 1)])
    for k, moments in enumerate(half):
        a, b = styles[0].moments[k], styles[1].moments[k]
        np.testing.assert_allclose(moments.mean, (a.mean + b.mean) / 2, atol=1e-5)


@pytest.mark.parametrize("weights", [(1, 2, 3), (5, 1, 1)])
def test_three_styles_meet_near_their_barycenter(stylizer, styles, weights):
    got = stylizer.target(list(zip(styles, weights, strict=True)))
    shares = np.float32(weights) / sum(weights)
    for k, moments in enumerate(got):
        parts = [style.moments[k] for style in styles]
        want = jax.jit(transforms.blend)(parts, shares)
        np.testing.assert_allclose(moments.mean, want.mean, atol=1e-5)
        apart = max(np.linalg.norm(a.covariance - b.covariance) for a in parts for b in parts)
        assert np.linalg.norm(moments.covariance - want.covariance) <= 0.05 * apart


def test_where_styles_meet_is_found_once(fresh, monkeypatch):
    codes = [fresh.style(picture(64, 64, seed=seed)) for seed in (1, 2, 3)]
    fresh.target([(code, 1) for code in codes])
    monkeypatch.setattr(fresh, "_meet", lambda *_: pytest.fail("found again"))
    near = fresh.target([(codes[0], 8), (codes[1], 1), (codes[2], 1)])
    far = fresh.target([(codes[0], 1), (codes[1], 1), (codes[2], 8)])
    assert np.abs(near[0].mean - far[0].mean).max() > 1e-3


@pytest.mark.parametrize("kind", get_args(TransformKind))
def test_rendering_a_plan_is_stylising(stylizer, styles, kind):
    settings = Settings(strength=0.8, transform=kind)
    content = stylizer.content(picture(50, 60, seed=6))
    target = stylizer.target([(styles[0], 1), (styles[1], 1)])
    plan = stylizer.plan(content, target, settings)
    result = stylizer.stylize(content, [(styles[0], 1), (styles[1], 1)], settings)
    np.testing.assert_allclose(stylizer.render(content, plan, detail=settings.mixed_detail), result.image, atol=1e-5)
    for a, b in zip(jax.tree.leaves(plan), jax.tree.leaves(result.plan), strict=True):
        np.testing.assert_array_equal(a, b)


# -------------------------------------------------------------------------------------------------------- faces


def faces_are(monkeypatch, found):
    """Let every picture have its faces where `found(height, width)` says."""
    monkeypatch.setattr("wctstyle.stylizer.face_map", lambda rgb: found(*rgb.shape[:2]))


def test_a_face_that_fills_the_picture_is_more_detail(fresh, styles, monkeypatch):
    faces_are(monkeypatch, lambda h, w: np.ones((h, w), np.float32))
    photo = picture(50, 60, seed=6)
    found = fresh.stylize(photo, styles[0], Settings(detail=0.2, keep_faces=0.5)).image
    wanted = fresh.stylize(photo, styles[0], Settings(detail=0.6, keep_faces=0.0)).image
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_faces_keep_themselves_and_the_rest_is_painted(fresh, styles, monkeypatch):
    faces_are(monkeypatch, lambda h, w: np.repeat(np.arange(w)[None] < w // 2, h, axis=0).astype(np.float32))
    photo = picture(64, 96, seed=6)
    plain, kept = (
        fresh.stylize(photo, styles[0], Settings(detail=0.0, keep_faces=share, level_strength={1: 0})).image
        for share in (0.0, 1.0)
    )
    nearer = np.abs(plain - photo).mean(axis=(0, 2)) - np.abs(kept - photo).mean(axis=(0, 2))
    assert nearer[:40].mean() > 4 * abs(nearer[-24:].mean())


def test_rendering_a_plan_with_faces_is_stylising(fresh, styles, monkeypatch):
    faces_are(monkeypatch, lambda h, w: np.repeat(np.linspace(0, 1, w, dtype=np.float32)[None], h, axis=0))
    content = fresh.content(picture(50, 60, seed=6))
    result = fresh.stylize(content, styles[0], Settings(keep_faces=0.7))
    again = fresh.render(content, result.plan, keep_faces=0.7)
    np.testing.assert_allclose(again, result.image, atol=1e-5)
    assert np.abs(fresh.render(content, result.plan, keep_faces=0) - again).max() > 1e-3


@pytest.mark.parametrize("settings", [Settings(keep_faces=0), Settings(passes=5)], ids=["none to keep", "five passes"])
def test_faces_nobody_needs_are_not_looked_for(fresh, styles, monkeypatch, settings):
    faces_are(monkeypatch, lambda *_: pytest.fail("looked for faces"))
    assert_picture(fresh.stylize(picture(50, 60, seed=6), styles[0], settings).image, (50, 60))


def test_one_program_serves_photos_with_faces_and_without(fresh, styles, monkeypatch):
    for faces in (lambda *_: None, lambda h, w: np.ones((h, w), np.float32)):
        faces_are(monkeypatch, faces)
        fresh.stylize(picture(50, 60, seed=6 + fresh.traces.get("decode", 0)), styles[0])
    assert fresh.traces["decode"] == 1


def test_faces_are_looked_for_once(fresh, styles, monkeypatch):
    searches = []
    faces_are(monkeypatch, lambda *size: searches.append(size))
    photo = picture(50, 60, seed=6)
    for strength in (0.5, 1):
        fresh.stylize(photo, styles[0], Settings(strength=strength))
    assert searches == [(50, 60)]


def test_a_plan_renders_other_pictures_too(stylizer, styles, photo_64):
    plan = stylizer.plan(stylizer.content(photo_64), styles[0].moments)
    assert_picture(stylizer.render(stylizer.content(picture(50, 60, seed=8)), plan), (50, 60))


def test_strength_zero_leads_back_to_the_photo(stylizer, styles, photo_64):
    """The sharpest the model can do: decoded from relu1_1 with nothing transformed."""
    got = stylizer.stylize(photo_64, styles[0], Settings(strength=0)).image
    np.testing.assert_allclose(got, stylizer.reconstruct(photo_64, level=1), atol=1e-5)


@pytest.mark.parametrize("level", [1, 3])
def test_reconstructing_encodes_and_decodes(stylizer, level):
    rgb = picture(50, 60, seed=8)
    assert_picture(stylizer.reconstruct(rgb, level=level), (50, 60))


def test_five_passes_are_another_way_to_the_same_end(stylizer, styles, photo_64):
    result = stylizer.stylize(photo_64, [(styles[0], 1), (styles[1], 1)], Settings(passes=5, strength=0.9))
    assert_picture(result.image, (64, 64))
    assert result.plan is None
    assert result.image.std() > 0.01
    assert np.abs(result.image - stylizer.stylize(photo_64, styles[0]).image).max() > 1e-3


def test_refining_brings_the_moments_nearer_and_keeps_what_it_is_told(stylizer, styles, photo_64):
    def distance(image):
        found, wanted = stylizer.measure(image), styles[0].moments
        return float(metrics.wasserstein_errors(found, wanted).mean())

    plain = stylizer.stylize(photo_64, styles[0]).image
    near, nearer = (stylizer.stylize(photo_64, styles[0], Settings(refine=steps)) for steps in (4, 16))
    assert distance(nearer.image) < distance(near.image) < distance(plain)
    assert set(near.seconds) == {"encode", "blend", "render", "refine"}
    told = []
    stylizer.stylize(photo_64, styles[0], Settings(refine=4), refining=lambda *at: told.append(at))
    assert told[-1] == (4, 4)
    again = stylizer.stylize(photo_64, [(styles[0], 2.0), (styles[1], 0.0)], Settings(refine=4)).image
    np.testing.assert_array_equal(again, near.image)
    levels = dict.fromkeys(range(1, 6), 0.0)
    untouched = Settings(level_strength=levels, refine=4)
    np.testing.assert_array_equal(
        stylizer.stylize(photo_64, styles[0], untouched).image,
        stylizer.stylize(photo_64, styles[0], Settings(level_strength=levels)).image,
    )
    faithful = stylizer.stylize(photo_64, styles[0], Settings(strength=0, refine=4)).image
    np.testing.assert_array_equal(faithful, stylizer.stylize(photo_64, styles[0], Settings(strength=0)).image)


def test_seconds_are_told_by_part(stylizer, styles, photo_64):
    seconds = stylizer.stylize(photo_64, styles[0]).seconds
    assert list(seconds) == ["encode", "blend", "render"]
    assert all(value >= 0 for value in seconds.values())


# ------------------------------------------------------------------------------------------------- odd pictures


def full(shape, color):
    return np.broadcast_to(np.float32(color), (*shape, 3)).copy()


ODD = {
    "one pixel": full((1, 1), [0.2, 0.5, 0.9]),
    "one row": picture(1, 40, seed=1),
    "one column": picture(40, 1, seed=1),
    "two by two": picture(2, 2, seed=1),
    "smaller than a cell": picture(11, 15, seed=1),
    "black": full((30, 40), 0),
    "white": full((30, 40), 1),
    "one colour": full((30, 40), [0.1, 0.7, 0.3]),
    "two colours": np.concatenate([full((30, 20), 0), full((30, 20), 1)], axis=1),
}


@pytest.mark.parametrize("kind", get_args(TransformKind))
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_odd_pictures_stay_finite_in_every_role(stylizer, photo_64, styles, odd, kind):
    settings = Settings(transform=kind, detail=0.0)
    assert_picture(stylizer.stylize(odd, styles[0], settings).image, odd.shape[:2])
    assert_picture(stylizer.stylize(photo_64, odd, settings).image, (64, 64))
    assert_picture(stylizer.stylize(odd, odd, settings).image, odd.shape[:2])


@pytest.mark.parametrize("kind", get_args(BlendKind))
@pytest.mark.parametrize("odd", ["one pixel", "black", "two colours"])
def test_odd_pictures_blend(stylizer, photo_64, styles, odd, kind):
    for blend in ([ODD[odd], styles[0]], [ODD[odd], styles[0], ODD["white"]]):
        assert_picture(stylizer.stylize(photo_64, blend, Settings(blend=kind)).image, (64, 64))


def test_odd_pictures_pass_five_times(stylizer, styles):
    for odd in (ODD["one pixel"], ODD["black"]):
        assert_picture(stylizer.stylize(odd, styles[0], Settings(passes=5)).image, odd.shape[:2])


@pytest.mark.parametrize("odd", ODD)
def test_odd_pictures_are_refined(stylizer, photo_64, styles, odd):
    assert_picture(stylizer.stylize(ODD[odd], styles[0], Settings(refine=2)).image, ODD[odd].shape[:2])
    assert_picture(stylizer.stylize(photo_64, ODD[odd], Settings(refine=2)).image, (64, 64))


# ------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -0.1}, "strength is -0.1, must be between 0 and 1"),
        ({"strength": 1.01}, "strength is 1.01, must be between 0 and 1"),
        ({"strength": float("nan")}, "strength is nan, must be between 0 and 1"),
        ({"detail": 2}, "detail is 2, must be between 0 and 1"),
        ({"detail": float("-inf")}, "detail is -inf, must be between 0 and 1"),
        ({"keep_faces": 1.5}, "keep_faces is 1.5, must be between 0 and 1"),
        ({"level_strength": {0: 1.0}}, "level_strength names level 0, must be one of 1, 2, 3, 4, 5"),
        ({"level_strength": {6: 1.0}}, "level_strength names level 6, must be one of 1, 2, 3, 4, 5"),
        ({"level_strength": {3: 1.5}}, "level_strength of level 3 is 1.5, must be between 0 and 1"),
        ({"transform": "ot"}, "transform is 'ot', must be one of mixed, mk, wct, adain"),
        ({"blend": "mean"}, "blend is 'mean', must be one of barycenter, linear, mixture"),
        ({"passes": 2}, "passes is 2, must be 1 or 5"),
        ({"passes": 0}, "passes is 0, must be 1 or 5"),
        ({"refine": -1}, "refine is -1, must be a whole number of steps from 0 to 200"),
        ({"refine": 201}, "refine is 201, must be a whole number of steps from 0 to 200"),
        ({"refine": 2.5}, "refine is 2.5, must be a whole number of steps from 0 to 200"),
        ({"refine": True}, "refine is True, must be a whole number of steps from 0 to 200"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(ConfigError) as caught:
        Settings(**options)
    assert str(caught.value) == message


def test_settings_take_every_kind_that_the_types_name():
    for transform in get_args(TransformKind):
        for blend in get_args(BlendKind):
            assert Settings(transform=transform, blend=blend).passes == 1


def test_strengths_of_levels_multiply_the_whole():
    settings = Settings(strength=0.5, level_strength={1: 0.0, 4: 0.5})
    np.testing.assert_allclose(settings.alphas, [0, 0.5, 0.5, 0.25, 0.5])
    assert Settings().mixed_detail == pytest.approx(DEFAULT_DETAIL)
    assert Settings(strength=0.0, detail=0.2).mixed_detail == 1
    assert Settings(strength=0.5, detail=0.2).mixed_detail == pytest.approx(0.6)


BAD_PICTURES = {
    "grey": (np.zeros((8, 8), np.float32), r"shape \(8, 8\), wanted height x width x 3"),
    "with alpha": (np.zeros((8, 8, 4), np.float32), r"shape \(8, 8, 4\), wanted"),
    "a batch": (np.zeros((1, 8, 8, 3), np.float32), r"shape \(1, 8, 8, 3\), wanted"),
    "empty": (np.zeros((0, 8, 3), np.float32), r"shape \(0, 8, 3\), wanted"),
    "bytes": (np.zeros((8, 8, 3), np.uint8), "got uint8 values, wanted floats"),
    "not a number": (np.full((8, 8, 3), np.nan, np.float32), "outside .* or not finite"),
    "infinite": (np.full((8, 8, 3), np.inf, np.float32), "outside .* or not finite"),
    "0..255": (np.full((8, 8, 3), 255.0, np.float32), "outside"),
    "negative": (np.full((8, 8, 3), -0.5, np.float32), "outside"),
    "too wide": (np.zeros((1, MAX_SIDE + 1, 3), np.float32), "4097x1 pixels, the longest side rendered is 4096"),
    "too high": (np.zeros((MAX_SIDE + 1, 2, 3), np.float32), "2x4097 pixels, the longest side rendered is 4096"),
}


@pytest.mark.parametrize(("bad", "message"), BAD_PICTURES.values(), ids=BAD_PICTURES.keys())
def test_bad_pictures_are_refused_by_role(stylizer, photo_64, styles, bad, message):
    with pytest.raises(ImageError, match=f"^content picture: .*{message}"):
        stylizer.stylize(bad, styles[0])
    with pytest.raises(ImageError, match=f"^style picture: .*{message}"):
        stylizer.stylize(photo_64, [bad])
    with pytest.raises(ImageError, match=f"^content picture: .*{message}"):
        stylizer.reconstruct(bad, level=1)


@pytest.mark.parametrize("weight", [-1, -1e-9, float("nan"), float("inf")])
def test_bad_weights_are_refused_by_number(stylizer, photo_64, styles, weight):
    with pytest.raises(ConfigError, match=rf"weight of style 2 is {float(weight)}, must be a number >= 0"):
        stylizer.stylize(photo_64, [(styles[0], 1), (styles[1], weight)])


def test_no_style_is_an_error(stylizer, photo_64):
    with pytest.raises(ConfigError, match="no style given: give at least one"):
        stylizer.stylize(photo_64, [])


@pytest.mark.parametrize("level", [0, 6])
def test_an_unknown_level_is_an_error(stylizer, photo_64, level):
    with pytest.raises(ConfigError, match=f"level is {level}, must be one of 1, 2, 3, 4, 5"):
        stylizer.reconstruct(photo_64, level=level)


def test_an_unknown_model_is_an_error():
    with pytest.raises(ConfigError, match="model 'huge' is not known: use one of slim, vgg19"):
        Stylizer("huge")


@pytest.mark.parametrize(
    ("broken", "level"),
    [("encoder/conv5_1", 5), ("decoder/conv5_1", 4), ("decoder/conv3_1", 2), ("decoder/conv2_1", 1)],
)
def test_broken_weights_are_named_by_level(narrow_models, tensors, photo_64, styles, broken, level):
    """The deepest level whose features are not finite; blocks of the decoder spoil the level they lead to."""
    kernel = np.full_like(tensors[f"{broken}/kernel"], np.nan)
    stylizer = Stylizer("slim", tensors={**tensors, f"{broken}/kernel": kernel})
    with pytest.raises(NonFiniteError) as caught:
        stylizer.stylize(photo_64, styles[0])
    assert caught.value.level == level
    assert str(caught.value) == f"the stylised picture is not finite (at relu{level}_1)"


def test_a_picture_that_breaks_in_the_last_layer_names_no_level(narrow_models, tensors, photo_64, styles):
    bias = np.full_like(tensors["decoder/conv1_1/bias"], np.inf) * np.float32([1, -1, 1])
    bias[0] = np.nan
    stylizer = Stylizer("slim", tensors={**tensors, "decoder/conv1_1/bias": bias})
    for settings in (Settings(), Settings(passes=5)):
        with pytest.raises(NonFiniteError) as caught:
            stylizer.stylize(photo_64, styles[0], settings)
        assert caught.value.level is None


# ------------------------------------------------------------------------------------- one call, and its surroundings


def test_one_call_does_what_a_stylizer_does(narrow_models, tensors, stylizer, photo_64, monkeypatch):
    monkeypatch.setattr(weights, "load", lambda name: (tensors, {"asked for": name}))
    painting = picture(64, 64, seed=2)
    got = stylize(photo_64, [(painting, 2.0)], strength=0.7, transform="wct")
    want = stylizer.stylize(photo_64, painting, Settings(strength=0.7, transform="wct")).image
    np.testing.assert_array_equal(got, want)


def test_style_codes_keep_moments_alone(stylizer, photo_64):
    code = stylizer.style(photo_64)
    assert isinstance(code, StyleCode)
    assert [m.covariance.shape for m in code.moments] == [(c, c) for c in NARROW.channels]
    assert sum(leaf.size for leaf in jax.tree.leaves(code.moments)) < 200


@pytest.fixture
def cache_settings():
    """Put jax's own settings of the compilation cache back after the test."""
    names = [
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    ]
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures("cache_settings")
class TestCompilationCache:
    def test_it_lies_in_the_users_cache_folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
        enable_compilation_cache()
        assert Path(jax.config.jax_compilation_cache_dir) == tmp_path / "wctstyle" / "jax"
        assert (tmp_path / "wctstyle" / "jax").is_dir()

    def test_a_folder_that_was_set_is_kept(self, tmp_path, monkeypatch):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
        enable_compilation_cache()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
        assert not (tmp_path / "wctstyle").exists()

    def test_a_folder_that_cannot_be_made_is_done_without(self, tmp_path, monkeypatch):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))

        def refuse(*_args, **_kwargs):
            raise PermissionError(errno.EACCES, "not allowed")

        monkeypatch.setattr(wctstyle.stylizer.Path, "mkdir", refuse)
        enable_compilation_cache()
        assert jax.config.jax_compilation_cache_dir is None
