"""Calm video: flow of moved pictures, what is carried along, shots, keyframes, and the stylizer of a video."""

import itertools
from dataclasses import replace

import narrow
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from wctstyle import photoreal
from wctstyle.errors import ConfigError
from wctstyle.regions import Region
from wctstyle.settings import Settings
from wctstyle.video import carrying, painter, shots
from wctstyle.video.calm import DEFAULT_CALM, VideoStylizer
from wctstyle.video.carrying import MOST_MEMORY, memory_of
from wctstyle.video.extras import opencv
from wctstyle.video.flow import Flow, agreement, flow, grid, warped
from wctstyle.video.frames import Frame
from wctstyle.video.keyframes import Track, at, parse_track

HEIGHT, WIDTH = 64, 96

needs_opencv = pytest.mark.usefixtures("_opencv")


@pytest.fixture
def _opencv():
    pytest.importorskip("cv2", reason="OpenCV is not installed: pip install '.[video]'")


def scene(height=HEIGHT, width=2 * WIDTH, seed=0):
    """A picture with detail of several sizes, so that flow is sure everywhere."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0)) * s for s in (1.5, 4, 10)]
    total = np.sum(layers, axis=0)
    return np.clip(0.5 + 0.2 * total / total.std(), 0, 1).astype(np.float32)


def pan(count, step=2, seed=0):
    """Frames of a camera that moves to the right by `step` pixels a frame."""
    whole = scene(width=WIDTH + step * count, seed=seed)
    return [Frame(i, i / 25, np.ascontiguousarray(whole[:, step * i : step * i + WIDTH])) for i in range(count)]


# --------------------------------------------------------------------------------------------------------------- flow


@needs_opencv
@pytest.mark.parametrize(("down", "across"), [(0, 3), (2, -1), (0, 0)])
def test_flow_finds_a_shift_and_trusts_it(down, across):
    whole = scene(HEIGHT + 16, WIDTH + 16)
    last, new = (whole[8 + y : 8 + y + HEIGHT, 8 + x : 8 + x + WIDTH] for y, x in ((0, 0), (down, across)))
    found = flow(last, new)
    inner = (slice(10, -10), slice(10, -10))
    np.testing.assert_allclose(np.median(found.vectors[inner], axis=(0, 1)), (across, down), atol=0.1)
    assert found.confidence[inner].mean() > 0.9
    carried = warped(np.ascontiguousarray(last), found.vectors, sharp=True)
    assert np.abs(carried - new)[inner].mean() < 0.01


@needs_opencv
def test_flow_does_not_trust_what_was_hidden_or_outside():
    ground, figure = scene(seed=1)[:, :WIDTH], scene(seed=2)[:24, :24]

    def with_figure(left):
        frame = ground.copy()
        frame[20:44, left : left + 24] = figure
        return frame

    found = flow(with_figure(40), with_figure(30))  # it leaves 54..64
    assert found.confidence[24:40, 55:63].mean() < 0.5 * found.confidence[:16].mean()
    moved = flow(*(frame.rgb for frame in pan(2, step=8)))
    assert moved.confidence[:, -6:].mean() < 0.3 < 0.9 < moved.confidence[10:-10, 10:-16].mean()


@needs_opencv
def test_flow_does_not_trust_another_colour():
    frame = scene()[:, :WIDTH]
    assert flow(frame, np.clip(frame + 0.3, 0, 1)).confidence.mean() < 0.2


@needs_opencv
def test_flow_of_large_and_tiny_frames():
    large = [np.kron(frame.rgb, np.ones((7, 7, 1), np.float32)) for frame in pan(2, step=1)]
    assert abs(np.median(flow(*large).vectors[..., 0]) - 7) < 0.5
    tiny = scene(5, 9)
    assert flow(tiny, tiny).vectors.shape == (5, 9, 2)


def test_without_opencv_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"pip install 'wctstyle\[video\]'"):
        opencv()


# ----------------------------------------------------------------------------------------------------------- carrying


def sure(dx=0.0, dy=0.0, confidence=1.0):
    vectors = np.zeros((HEIGHT, WIDTH, 2), np.float32) + np.array([dx, dy], np.float32)
    return Flow(vectors, np.full((HEIGHT, WIDTH), confidence, np.float32))


def steadied(last, new, photo, flow, memory):
    """Blend a frame with the one before, as a video does."""
    return carrying.steadied(carrying.carried(last, flow), new, photo, flow.confidence, memory)


def gradient_energy(rgb):
    return sum(float((np.diff(rgb, axis=axis) ** 2).sum()) for axis in (0, 1))


@needs_opencv
def test_what_cannot_be_trusted_is_new():
    last, new, photo = (scene(seed=seed)[:, :WIDTH] for seed in range(3))
    np.testing.assert_array_equal(steadied(last, new, photo, sure(confidence=0.0), 0.9), new)


@needs_opencv
def test_what_a_slow_pan_brings_in_is_new_in_part():
    """At half a frame's size, 0.1 down is a fifth of a pixel outside for the last row."""
    back = np.zeros((8, 12, 2), np.float32) + np.array([0, 0.1], np.float32)
    np.testing.assert_allclose(agreement(back, -back)[-1], 0.8, atol=1e-5)
    np.testing.assert_allclose(agreement(back, -back)[:-1], 1, atol=1e-5)


@needs_opencv
def test_a_kept_photo_is_not_blended():
    last, new = (scene(seed=seed)[:, :WIDTH] for seed in range(2))
    np.testing.assert_array_equal(steadied(last, new, new, sure(), 0.9), new)


@needs_opencv
def test_a_blend_flickers_less_and_stays_sharp():
    """Fine paint that is as different in each frame as can be, over the same stripes, in a pan of half a pixel."""
    rng = np.random.default_rng(0)
    photo = np.full((HEIGHT, WIDTH, 3), 0.1, np.float32)
    stripes = gaussian_filter(rng.normal(size=(HEIGHT, 1, 1)), (4, 0, 0))

    def paint():
        fine = gaussian_filter(rng.normal(size=photo.shape), (1, 1, 0))
        return np.clip(0.5 + 0.1 * stripes / stripes.std() + 0.1 * fine / fine.std(), 0, 1).astype(np.float32)

    frames = [paint() for _ in range(30)]
    out = frames[0]
    for new in frames[1:]:
        before, out = out, steadied(out, new, photo, sure(0.5), 0.9)
    moved = warped(before, sure(0.5).vectors, sharp=True)
    inner = (slice(4, -4), slice(4, -4))
    assert np.sqrt(np.mean((out - moved)[inner] ** 2)) < 0.4 * np.sqrt(np.mean((frames[-1] - frames[-2])[inner] ** 2))
    assert gradient_energy(out) > 0.6 * gradient_energy(frames[-1])  # a plain blend has 0.05


@needs_opencv
def test_paint_has_no_specks_after_a_long_slow_pan():
    """Paint of its own in each frame: where it is strengthened again and again, specks grow (kurtosis 14)."""
    rng, ground = np.random.default_rng(0), scene()[:, :WIDTH]
    out = ground
    for _ in range(150):
        fine = gaussian_filter(rng.normal(size=ground.shape), (1, 1, 0))
        new = np.clip(ground + 0.1 * fine / fine.std(), 0, 1).astype(np.float32)
        out = steadied(out, new, np.zeros_like(new), sure(0.3), 0.95)
    fine = (out - gaussian_filter(out, (2, 2, 0)))[8:-8, 8:-16]
    assert (fine**4).mean() / (fine**2).mean() ** 2 < 5


@needs_opencv
def test_paint_of_another_place_does_not_stay():
    """Half of a carried frame is what was 24 pixels beside it, as where flow fails; the broad colour is the same."""
    rng, photo = np.random.default_rng(3), np.zeros((96, 192, 3), np.float32)
    paint = gaussian_filter(rng.normal(size=photo.shape), (4, 4, 0))
    new = np.clip(0.5 + 0.1 * paint / paint.std(), 0, 1).astype(np.float32)
    fine = gaussian_filter(rng.normal(size=photo.shape), (1, 1, 0)).astype(np.float32)
    last, sure_of_it = new + np.float32(0.03) * fine / fine.std(), np.ones(photo.shape[:2], np.float32)
    last[:, 96:] = np.roll(last, 24, axis=1)[:, 96:]
    kept = np.abs(carrying.steadied(last, new, photo, sure_of_it, 0.9) - new) / (np.abs(last - new) + np.float32(1e-3))
    assert np.median(kept[:, :72]) > 0.8
    assert np.median(kept[:, 120:]) < 0.3


@needs_opencv
def test_no_trail_of_another_colour_stays():
    """What was red is painted blue from one frame to the next, though the photo there did not change."""
    photo = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    red, blue = (np.full_like(photo, 0) + np.array(rgb, np.float32) for rgb in ((0.8, 0.2, 0.2), (0.2, 0.2, 0.8)))
    assert np.abs(steadied(red, blue, photo, sure(), 0.97) - blue).max() < 0.03
    near = blue + np.float32(0.04)
    assert np.abs(steadied(near, blue, photo, sure(), 0.97) - blue).min() > 0.03


@needs_opencv
def test_noise_goes_along_and_what_is_new_gets_its_own():
    own = carrying.own_places(HEIGHT, WIDTH)
    still = carrying.carried_places(own, sure())
    np.testing.assert_array_equal(still, own)
    places = own
    for _ in range(40):
        places = carrying.carried_places(places, sure(0.25))
    np.testing.assert_allclose(places[:, : WIDTH - 20, 0] - own[:, : WIDTH - 20, 0], 10, atol=0.01)
    before, after = carrying.noise_at(own), carrying.noise_at(places)
    np.testing.assert_allclose(after[:, : WIDTH - 20], before[:, 10 : WIDTH - 10], atol=0.02)
    np.testing.assert_array_equal(carrying.carried_places(places, sure(confidence=0.0)), own)
    zoom = Flow(np.float32(-0.05) * grid(HEIGHT, WIDTH), sure().confidence)
    once, places = (carrying.carried_places(own, zoom) for _ in range(2))
    for _ in range(6):
        places = carrying.carried_places(places, zoom)
    assert np.abs(once - own).max() > 1
    np.testing.assert_array_equal(places, own)  # 14 times 5 % is more than twice the area


@needs_opencv
@pytest.mark.parametrize(("dx", "dy"), [(4.0, 0.0), (-3.0, 2.0)])
def test_what_a_pan_brings_in_has_noise_that_goes_on(dx, dy):
    """Each frame's new columns took the same noise once, and the painting repeated it as streaks."""
    own = carrying.own_places(HEIGHT, WIDTH)
    shift = grid(HEIGHT, WIDTH) + np.float32([dx, dy])
    seen = ((shift >= 0) & (shift <= np.float32([WIDTH - 1, HEIGHT - 1]))).all(axis=-1)
    pan, places = sure(dx, dy)._replace(confidence=seen.astype(np.float32)), own
    for _ in range(6):
        places = carrying.carried_places(places, pan)
    moved = np.broadcast_to(np.float32([6 * dx, 6 * dy]), (HEIGHT, WIDTH, 2))
    np.testing.assert_allclose(places[..., :2] - own[..., :2], moved, atol=0.01)


@needs_opencv
def test_noise_repeats_like_the_field():
    own = carrying.own_places(8, 8)
    np.testing.assert_allclose(carrying.noise_at(own + np.float32(512)), carrying.noise_at(own), atol=1e-4)
    np.testing.assert_allclose(carrying.noise_at(own), carrying.field()[:8, :8], atol=1e-4)


# -------------------------------------------------------------------------------------------------------------- shots


def changes(frames):
    following = [*frames[2:], None]
    triples = zip(frames, frames[1:], following, strict=False)
    return [shots.change(last, new, after, flow(last, new)).value for last, new, after in triples]


@needs_opencv
def test_a_cut_is_found_and_a_pan_a_flash_and_a_fade_are_none():
    one, other = ([frame.rgb for frame in pan(4, step=5, seed=seed)] for seed in (0, 5))
    assert changes([*one, *other]) == [*["goes on"] * 3, "cut", *["goes on"] * 3]
    levels = (1, 0.7, 0.4, 0.1, 0, 0.1, 0.5, 1)
    assert set(changes([np.float32(level) * one[0] for level in levels])) == {"goes on"}
    assert changes([one[0], np.ones_like(one[0]), one[1]])[0] == "goes on"
    odd = scene(seed=9)[:, :WIDTH]
    assert changes([one[0], odd, one[1]])[0] == "odd"
    assert changes([one[0], odd]) == ["cut"]


# ---------------------------------------------------------------------------------------------------------- keyframes


def test_a_track_is_eased_between_its_keyframes_and_constant_outside():
    track = parse_track("1s=1, 3s=0", "--strength")
    assert [track.at(seconds) for seconds in (0, 1, 1.5, 2, 3, 9)] == [1, 1, 0.84375, 0.5, 0, 0]
    assert parse_track(str(track), "") == track
    assert parse_track("0.7", "--strength").at(5) == 0.7
    assert [at(0.3, 2.0), at(track, 2.0)] == [0.3, 0.5]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0s=1,4=0", "'4=0' is no keyframe; write SECONDSs=VALUE"),
        ("0s=1,", "'' is no keyframe"),
        ("xs=1", "'x' in 'xs=1' is no number"),
        ("0s=much", "'much' in '0s=much' is no number"),
        ("4s=1,0s=0", "0s comes after 4s; give each time once, in rising order"),
        ("1s=1,1s=0", "1s comes after 1s"),
        ("-1s=1", "the time of -1s=1 is -1.0, must be a number >= 0"),
        ("0s=3", "the value of 0s=3 is 3.0, must be between 0 and 1.5"),
        ("0s=nan", "the value of 0s=nan is 'nan', must be between 0 and 1.5"),
        ("2", "is 2.0, must be between 0 and 1.5"),
        ("", "is no number"),
    ],
)
def test_bad_keyframes_are_told(text, problem):
    with pytest.raises(ConfigError) as error:
        parse_track(text, "--strength", 0, 1.5)
    assert str(error.value).startswith(f"--strength {text}")
    assert problem in str(error.value)


def test_a_track_needs_as_many_times_as_values():
    with pytest.raises(ConfigError, match="wanted as many"):
        Track((0.0,), ())


# ---------------------------------------------------------------------------------------------------- a whole video


@pytest.fixture(scope="module")
def stylizer():
    from wctstyle import encoder
    from wctstyle.stylizer import Stylizer

    with pytest.MonkeyPatch.context() as patch, narrow.quick_compilation():
        patch.setitem(encoder.MODELS, "slim", narrow.NARROW)
        yield Stylizer("slim", tensors=narrow.random_tensors())


STYLE, OTHER_STYLE = (narrow.picture(64, 64, seed=seed) for seed in (1, 2))
PLAIN = Settings(keep_faces=0.0)


def pictures(frames):
    return [frame.rgb for frame in frames]


def test_calm_0_is_each_frame_by_itself(stylizer):
    frames = pan(3)
    frames[1] = replace(frames[1], alpha=np.linspace(0, 1, WIDTH, dtype=np.float32) * np.ones((HEIGHT, 1), np.float32))
    out = list(VideoStylizer(stylizer, STYLE, PLAIN, calm=0).frames(frames))
    assert [(f.index, f.seconds) for f in out] == [(f.index, f.seconds) for f in frames]
    assert out[1].alpha is frames[1].alpha
    for index in (0, 2):
        np.testing.assert_array_equal(out[index].rgb, stylizer.stylize(frames[index].rgb, STYLE, PLAIN).image)


@needs_opencv
def test_calm_frames_flicker_less_the_calmer_they_are(stylizer):
    """Noise on a still photo, as a camera adds it."""
    rng, photo = np.random.default_rng(0), scene()[:, :WIDTH]
    noisy = [np.clip(photo + rng.normal(0, 0.02, photo.shape), 0, 1).astype(np.float32) for _ in range(6)]
    frames = [Frame(i, i / 25, rgb) for i, rgb in enumerate(noisy)]

    def flicker(calm):
        out = pictures(VideoStylizer(stylizer, STYLE, PLAIN, calm=calm).frames(frames))
        return float(np.mean([np.abs(a - b).mean() for a, b in itertools.pairwise(out[1:])]))

    none, default, most = (flicker(calm) for calm in (0, DEFAULT_CALM, 1))
    assert most < default < 0.5 * none


@needs_opencv
def test_the_first_frame_and_one_after_a_cut_are_as_alone(stylizer):
    frames = [replace(f, index=i, seconds=i / 25) for i, f in enumerate([*pan(3, seed=0), *pan(2, seed=5)])]
    out = pictures(VideoStylizer(stylizer, STYLE, PLAIN).frames(frames))
    for index in (0, 3):
        alone = stylizer.stylize(frames[index].rgb, STYLE, PLAIN).image
        np.testing.assert_allclose(out[index], alone, atol=1e-4)
    assert np.abs(out[2] - stylizer.stylize(frames[2].rgb, STYLE, PLAIN).image).max() > 0.01


@needs_opencv
def test_after_an_odd_frame_the_shot_goes_on(stylizer):
    frames = [replace(frame, rgb=pan(1)[0].rgb) for frame in pan(5)]
    steady = pictures(VideoStylizer(stylizer, STYLE, PLAIN).frames(frames))
    odd = replace(frames[2], rgb=scene(seed=9)[:, :WIDTH])
    out = pictures(VideoStylizer(stylizer, STYLE, PLAIN).frames([*frames[:2], odd, *frames[3:]]))
    np.testing.assert_array_equal(out[2], stylizer.stylize(odd.rgb, STYLE, PLAIN).image)
    np.testing.assert_allclose(out[3], steady[3], atol=0.02)


@needs_opencv
@pytest.mark.parametrize("stop", [1, 4])
def test_a_restored_state_goes_on_to_the_same_frames(stylizer, stop, tmp_path, monkeypatch):
    ellipse = np.zeros((HEIGHT, WIDTH), np.float32)
    ellipse[20:40, 30:50] = 1
    monkeypatch.setattr(painter, "face_map", lambda photo: ellipse)
    frames = [replace(f, index=i, seconds=i / 25) for i, f in enumerate([*pan(6, seed=0), *pan(2, seed=5)])]
    styles, settings = [(STYLE, Track((0.0, 0.2), (1.0, 0.2))), (OTHER_STYLE, 0.5)], Settings(texture=1.0)

    def video():
        return VideoStylizer(stylizer, styles, settings, texture=Track((0.0, 0.1), (0.2, 1.0)))

    whole = pictures(video().frames(frames))
    first = video()
    begun = list(itertools.islice(first.frames(frames), stop))
    np.savez(tmp_path / "state.npz", **first.state())
    second = video()
    with np.load(tmp_path / "state.npz") as state:
        second.restore(dict(state))
    rest = list(second.frames(frames[stop:]))
    for got, wanted in zip(pictures([*begun, *rest]), whole, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_nothing_is_carried_before_the_first_frame(stylizer):
    video = VideoStylizer(stylizer, STYLE, PLAIN, calm=0)
    assert video.state() == {}
    video.restore({})
    assert list(video.frames([])) == []


@needs_opencv
def test_masks_move_and_the_rest_stays_the_photo(stylizer):
    """The mask is a function of the frame: the left half, then the right half."""

    def half(frame):
        plane = np.zeros((HEIGHT, WIDTH), np.float32)
        plane[:, WIDTH // 2 * frame.index : WIDTH // 2 * (frame.index + 1)] = 1
        return plane

    frames = [replace(frame, rgb=pan(1)[0].rgb) for frame in pan(2)]
    first, second = pictures(VideoStylizer(stylizer, [Region(half, [STYLE])], PLAIN).frames(frames))
    photo, far = frames[0].rgb, 16
    assert np.abs(first - photo)[:, : WIDTH // 2 - far].mean() > 0.02
    assert np.abs(second - photo)[:, WIDTH // 2 + far :].mean() > 0.02
    assert np.abs(second - photo)[:, : WIDTH // 2 - 2 * far].mean() < 0.02


@needs_opencv
def test_strength_over_time_begins_with_the_photo(stylizer):
    frames = [replace(frame, rgb=pan(1)[0].rgb) for frame in pan(4)]
    track = parse_track("0s=0,0.12s=1", "--strength")
    out = pictures(VideoStylizer(stylizer, STYLE, PLAIN, strength=track).frames(frames))
    apart = [float(np.abs(rgb - frames[0].rgb).mean()) for rgb in out]
    assert apart[0] < 1e-3
    assert apart[0] < apart[1] < apart[2] < apart[3]


@needs_opencv
@pytest.mark.parametrize("colors", ["match", "only", "photo"])
def test_every_way_of_colours_can_be_calm(stylizer, colors):
    frames = [replace(frame, rgb=pan(1)[0].rgb) for frame in pan(3)]
    settings = replace(PLAIN, colors=colors)
    out = pictures(VideoStylizer(stylizer, STYLE, settings).frames(frames))
    np.testing.assert_allclose(out[0], stylizer.stylize(frames[0].rgb, STYLE, settings).image, atol=1e-4)


@needs_opencv
def test_faces_are_sought_now_and_then_and_carried_between(stylizer, monkeypatch):
    sought = []

    def one_face(photo):
        sought.append(1)
        plane = np.zeros(photo.shape[:2], np.float32)
        plane[20:40, 40:60] = 1
        return plane

    monkeypatch.setattr(painter, "face_map", one_face)
    own = painter.Painter(stylizer)
    regions = VideoStylizer(stylizer, STYLE, calm=0)._regions_at(pan(1)[0])
    for frame in pan(painter.SOUGHT_EVERY + 1):
        own.paint(frame, regions, Settings(), sure(2.0) if frame.index else None)
        if frame.index == 3:
            assert own.shot.faces[30, 40] == 1  # moved 6 to the left, from 40..60
            assert own.shot.faces[30, 56] == 0
    assert len(sought) == 2


@needs_opencv
def test_plans_are_shared_and_made_anew_for_what_looks_different(stylizer, monkeypatch):
    made = []
    plan = type(stylizer).plan
    monkeypatch.setattr(type(stylizer), "plan", lambda *a, **kw: made.append(1) or plan(*a, **kw))
    frames = [replace(frame, rgb=pan(1)[0].rgb) for frame in pan(painter.PLANNED_EVERY)]
    list(VideoStylizer(stylizer, STYLE, PLAIN).frames(frames))
    assert len(made) == 1
    changed = [*frames[:2], *(replace(frame, rgb=frame.rgb * np.float32(0.5)) for frame in frames[2:])]
    list(VideoStylizer(stylizer, STYLE, PLAIN).frames(changed))
    assert len(made) > 2


def test_memory_rises_with_calm():
    assert memory_of(0) == 0
    assert memory_of(1) == MOST_MEMORY
    assert 0.9 < memory_of(DEFAULT_CALM) < MOST_MEMORY


@pytest.mark.parametrize(
    ("styles", "options", "problem"),
    [
        ([STYLE], {"calm": 2}, "calm is 2"),
        ([], {}, "no style given"),
        ([(STYLE, -1)], {}, "weight of style 1 is -1"),
        ([STYLE, Region(None, [STYLE])], {}, "styles and regions are mixed"),
        ([STYLE], {"strength": Track((0.0,), (9.0,))}, "strength is 9"),
    ],
)
def test_bad_arguments_are_told(stylizer, styles, options, problem):
    with pytest.raises(ConfigError, match=problem):
        VideoStylizer(stylizer, styles, **{"calm": 0, **options})


# --------------------------------------------------------------------------------------------------- kept a photo


KEPT = replace(PLAIN, photo=True)


@needs_opencv
@pytest.mark.parametrize("colors", ["style", "photo", "match"])
def test_a_video_kept_a_photo_begins_as_its_picture(stylizer, colors):
    frames, settings = pan(1), replace(KEPT, colors=colors)
    plane = np.zeros((HEIGHT, WIDTH), np.float32)
    plane[:, : WIDTH // 2] = 1
    regions = [Region(plane, [STYLE]), Region(None, [(OTHER_STYLE, 0.5)], strength=0.7)]
    (out,) = pictures(VideoStylizer(stylizer, regions, settings).frames(frames))
    np.testing.assert_allclose(out, stylizer.stylize(frames[0].rgb, regions, settings).image, atol=2e-3)


@needs_opencv
def test_a_photo_in_motion_is_never_blended_with_the_frame_before(stylizer, monkeypatch):
    """Each frame is a smooth map of its own pixels, planned every few frames: a still figure on a flat ground stays."""
    made = []
    local_maps = type(stylizer).local_maps
    monkeypatch.setattr(type(stylizer), "local_maps", lambda *a: made.append(1) or local_maps(*a))
    frames = pan(painter.PLANNED_EVERY + 1)
    out = pictures(VideoStylizer(stylizer, STYLE, KEPT, calm=1).frames(frames))
    assert len(made) == 2
    for rgb, frame in zip(out[:-1], frames, strict=False):  # the map of all is that of the first
        (planned,) = local_maps(stylizer, frames[0].rgb, [Region(None, STYLE)], KEPT)
        wanted = photoreal.graded(frame.rgb, [planned.widened(WIDTH)], [None], slice(0, HEIGHT), HEIGHT)
        np.testing.assert_allclose(rgb, wanted, atol=1e-5)


@needs_opencv
def test_the_colours_of_a_photo_follow_those_of_the_light_the_slower_the_calmer(stylizer):
    """Its light halves: a calm video goes there step by step, without calm it is there with the next plan."""
    frames = [replace(f, rgb=pan(1)[0].rgb * np.float32(0.5 if f.index >= 4 else 1)) for f in pan(12)]

    def first_step(calm):
        out = pictures(VideoStylizer(stylizer, STYLE, KEPT, calm=calm).frames(frames))
        end = stylizer.stylize(frames[-1].rgb, STYLE, KEPT).image
        return [float(np.abs(rgb - end).mean()) for rgb in out[4:]]

    calm, some, none = (first_step(calm) for calm in (1, 0.3, 0))
    assert none[0] < 1e-3
    assert calm[1] > some[1] > 1.2 * some[-1]
    assert calm[-1] < calm[0]


@needs_opencv
def test_a_photo_in_motion_goes_on_from_a_saved_state(stylizer, tmp_path):
    frames = pan(7)
    whole = pictures(VideoStylizer(stylizer, STYLE, KEPT).frames(frames))
    first, second = (VideoStylizer(stylizer, STYLE, KEPT) for _ in range(2))
    begun = list(itertools.islice(first.frames(frames), 5))
    np.savez(tmp_path / "state.npz", **first.state())
    with np.load(tmp_path / "state.npz") as state:
        second.restore(dict(state))
    for got, wanted in zip(pictures([*begun, *second.frames(frames[5:])]), whole, strict=True):
        np.testing.assert_array_equal(got, wanted)
