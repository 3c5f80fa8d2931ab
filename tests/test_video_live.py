"""Live painting: the ladder of sizes with a fake clock, and frames of a camera painted with a narrow model."""

from __future__ import annotations

import logging
import sys
import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest
from narrow import NARROW, picture, quick_compilation, random_tensors

from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError
from wctstyle.look import sides_at
from wctstyle.regions import Region
from wctstyle.settings import Settings
from wctstyle.stylizer import Stylizer
from wctstyle.video import ladder, live
from wctstyle.video.ladder import RATE, SIZES, Ladder
from wctstyle.video.live import LiveStylizer

# ------------------------------------------------------------------------------------------------------- the ladder


class Machine:
    """Paints a frame of 256 pixels in so many seconds, and others by their area, with a fixed part.

    From the size `cliff` on it takes five times as long, which the ladder cannot know.
    """

    def __init__(self, seconds, *, waited=0.005, fixed=0.004, cliff=10_000):
        self.now, self.seconds, self.waited, self.fixed, self.cliff = 0.0, seconds, waited, fixed, cliff
        self.ladder = Ladder(lambda size: size * size, clock=lambda: self.now)
        self.painted = []

    def takes(self, size):
        return (self.fixed + (self.seconds - self.fixed) * (size / 256) ** 2) * (5 if size >= self.cliff else 1)

    def run(self, seconds):
        end = self.now + seconds
        while self.now < end:
            size = self.ladder.size
            self.painted.append(size)
            self.now += self.takes(size) + self.waited
            if (wanted := self.ladder.note(self.takes(size), self.waited, size)) != size:
                self.ladder.go(wanted)


@pytest.mark.parametrize("seconds", [0.004, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4])
def test_the_largest_size_that_holds_the_rate_is_found_and_kept(seconds):
    machine = Machine(seconds)
    machine.run(5)
    found = machine.ladder.size
    before = len(machine.painted)
    machine.run(60)
    assert set(machine.painted[before:]) == {found}
    assert machine.takes(found) + machine.waited <= 1 / RATE or found == SIZES[0]
    larger = [size for size in SIZES if size > found][:1]
    assert all(machine.takes(size) + machine.waited > ladder.UP * 0.9 / RATE for size in larger)


def test_a_busy_machine_paints_smaller_and_larger_again_when_it_is_free():
    machine = Machine(0.02)
    machine.run(5)
    large = machine.ladder.size
    machine.seconds = 0.2
    machine.run(5)
    assert machine.ladder.size < 256 < large
    machine.seconds = 0.02
    machine.run(30)
    assert machine.ladder.size == large


def test_a_size_that_was_too_slow_is_tried_ever_more_seldom():
    machine = Machine(0.02, cliff=512)
    machine.run(150)
    tried = [at for at, size in enumerate(machine.painted) if size >= 512 and machine.painted[at - 1] < 512]
    apart = np.diff(tried)
    assert len(tried) >= 4
    assert (np.diff(apart) > 0).all()
    assert np.mean(np.array(machine.painted) < 512) > 0.95


def test_a_slow_line_does_not_make_the_picture_smallest():
    machine = Machine(0.05, waited=1.0)
    machine.run(60)
    assert machine.ladder.size == 256


# ------------------------------------------------------------------------------------------------------ the painter


@pytest.fixture(scope="module")
def _narrow():
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        yield Stylizer("slim", tensors=random_tensors())


@pytest.fixture
def stylizer(_narrow, sizes):
    return _narrow


class Clock:
    """Goes on by so much each time it is looked at."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


STYLES = [(picture(64, 64, seed=2), 0.7), (picture(64, 64, seed=3), 0.3)]
WIDE = picture(60, 120, seed=1)
FRAMES = [WIDE[:, at : at + 80] for at in range(0, 40, 2)]  # 80 x 60, moving to the left


@pytest.fixture
def sizes(monkeypatch):
    """Sizes that compile quickly."""
    monkeypatch.setattr(live, "SIZES", (64, 96))
    monkeypatch.setattr(ladder, "START", 64)


@pytest.mark.parametrize("calm", [0, 0.85])
def test_the_first_frame_is_painted_as_a_picture_is(stylizer, calm):
    if calm:
        pytest.importorskip("cv2")
    photo = picture(48, 64, seed=5)
    settings = Settings(detail=0.3, strength=0.9)
    painted = LiveStylizer(stylizer, STYLES, settings, calm=calm).frame(photo)
    np.testing.assert_allclose(painted, stylizer.stylize(photo, STYLES, settings).image, atol=2e-3)


def test_frames_are_made_smaller_and_never_larger(stylizer):
    painter = LiveStylizer(stylizer, STYLES, calm=0)
    assert painter.size == 64
    assert painter.frame(picture(96, 128)).shape == (48, 64, 3)
    assert painter.frame(picture(24, 32)).shape == (24, 32, 3)
    assert painter.frame(picture(128, 96)).shape == (64, 48, 3)  # the camera was turned


def test_calm_frames_differ_less_from_those_before(stylizer):
    pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    noisy = [np.clip(FRAMES[0] + rng.normal(0, 0.03, FRAMES[0].shape), 0, 1).astype(np.float32) for _ in range(8)]

    def wander(calm):
        painter = LiveStylizer(stylizer, STYLES, Settings(texture=0), calm=calm, most=64)
        painted = [painter.frame(frame) for frame in noisy]
        return np.mean([np.abs(one - other).mean() for one, other in zip(painted[3:], painted[4:], strict=False)])

    assert wander(0.85) < 0.5 * wander(0)


def test_a_change_is_whole_in_the_very_next_frame(stylizer):
    """Also with the frame before carried along, which would let it come in slowly."""
    pytest.importorskip("cv2")
    painter = LiveStylizer(stylizer, STYLES, calm=1)
    for _ in range(3):
        painter.frame(FRAMES[0])
    painter.change(STYLES, Settings(strength=0))
    np.testing.assert_allclose(painter.frame(FRAMES[0]), live.images.resize_planes(FRAMES[0], height=48, width=64))
    painter.change(STYLES[:1])
    alone = painter.frame(FRAMES[0])
    np.testing.assert_allclose(alone, LiveStylizer(stylizer, STYLES[:1]).frame(FRAMES[0]), atol=2e-3)


def test_it_paints_without_opencv(stylizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"needs OpenCV .* or give calm 0"):
        LiveStylizer(stylizer, STYLES)
    painter = LiveStylizer(stylizer, STYLES, calm=0)
    first, *_, last = [painter.frame(frame) for frame in FRAMES[:6]]
    assert np.abs(last - first).mean() > 0.01


def test_what_cannot_be_painted_is_refused(stylizer):
    masked = Region(np.ones((4, 4)), STYLES)
    for styles, more, message in (
        ([masked], {}, "a live picture has no regions"),
        ([], {}, "no style given"),
        (STYLES, {"calm": 2}, "calm is 2, must be"),
        (STYLES, {"rate": 0}, "rate is 0, must be"),
        (STYLES, {"settings": Settings(refine=3)}, "refine is 3, and a live frame has no time"),
    ):
        with pytest.raises(ConfigError, match=message):
            LiveStylizer(stylizer, styles, **{"calm": 0, **more})
    with pytest.raises(ImageError, match="frame"):
        LiveStylizer(stylizer, STYLES, calm=0).frame(np.zeros((4, 4), np.float32))


def test_faces_are_sought_now_and_then_and_beside_the_painting(stylizer, monkeypatch):
    threads = []
    monkeypatch.setattr(live, "face_map", lambda photo: threads.append(threading.get_ident()))
    clock = Clock(0.02)
    painter = LiveStylizer(stylizer, STYLES, calm=0, most=64, clock=clock)
    while clock.now < 5:
        painter.frame(FRAMES[0])
        time.sleep(0.001)
    assert threads[0] == threading.get_ident()  # the first frame has its faces
    assert threading.get_ident() not in threads[1:]
    assert 3 <= len(threads) <= 5 / live.FACES_EVERY + 1


def test_frames_leave_the_cache_to_others(stylizer):
    painter = LiveStylizer(stylizer, STYLES, Settings(strength=0.8), calm=0, most=64)
    kept = []
    for frame in FRAMES[:6]:
        painter.frame(frame)
        kept.append((len(stylizer.cache._items), stylizer.cache.total))
    assert len(set(kept)) == 1


def test_a_larger_size_is_prepared_beside_the_painting(stylizer, monkeypatch):
    prepared, prepare = [], LiveStylizer._prepare
    monkeypatch.setattr(LiveStylizer, "_prepare", lambda self, *sides: (prepare(self, *sides), prepared.append(sides)))
    camera = picture(90, 120, seed=4)
    painter = LiveStylizer(stylizer, STYLES, calm=0, clock=Clock(0.001))
    for _ in range(ladder.SEEN + 1):
        assert painter.frame(camera).shape == (48, 64, 3)
    end = time.monotonic() + 60
    while painter.frame(camera).shape[1] == 64:
        assert time.monotonic() < end
    assert prepared == [(72, 96)]
    before = dict(stylizer.traces)
    assert painter.frame(camera).shape == (72, 96, 3)
    assert stylizer.traces == before


# ------------------------------------------------------------------------------------- the painter's sizes, unpainted


class Still:
    """Takes the place of the clock and of the workers: a frame takes so many seconds per pixel, preparing none."""

    def __init__(self, stylizer, monkeypatch, camera):
        self.now, self.pace, self.camera, self.prepared, self.fault = 0.0, 0.0, camera, [], None
        monkeypatch.setattr(ladder, "START", 256)
        monkeypatch.setattr(live, "SIZES", SIZES)
        self.painter = LiveStylizer(stylizer, STYLES, calm=0, clock=lambda: self.now)
        monkeypatch.setattr(self.painter, "_painted", self.painted)
        monkeypatch.setattr(self.painter, "_prepare", self.prepare)
        monkeypatch.setattr(self.painter, "_beside", self)
        self.last = None

    def painted(self, photo, away):
        self.now += self.pace * photo.shape[0] * photo.shape[1]
        same, self.last = self.last == photo.shape, photo.shape
        return photo, same

    def prepare(self, *sides):
        self.prepared.append(max(sides))
        if self.fault is not None:
            raise self.fault

    def submit(self, work, *given):
        done = Future()
        try:
            done.set_result(work(*given))
        except MemoryError as error:
            done.set_exception(error)
        return done

    def send(self, count, *, pace, told=True):
        """Send frames at the size that was told, or as the camera has them; returns their last long side."""
        self.pace = pace
        for _ in range(count):
            longest = min(self.painter.size if told else 10_000, max(self.camera))
            sides = sides_at(self.camera, longest)
            made = self.painter.frame(np.zeros((*sides, 3), np.float32))
        return max(made.shape)


@pytest.mark.parametrize("camera", [(480, 720), (288, 352), (1024, 1280), (353, 641)])
def test_a_camera_of_any_form_grows_though_its_sides_are_rounded(stylizer, monkeypatch, camera):
    still = Still(stylizer, monkeypatch, camera)
    assert still.send(60, pace=1e-9) == min(max(camera), 1024)
    assert len(still.prepared) < 4


@pytest.mark.parametrize("told", [True, False])
def test_a_size_above_the_camera_s_own_is_left_when_it_is_too_slow(stylizer, monkeypatch, told):
    still = Still(stylizer, monkeypatch, (480, 640))
    assert still.send(30, pace=1e-9, told=told) == 640
    assert told or still.prepared[0] == 640
    assert still.send(30, pace=1e-6, told=told) < 640
    assert still.send(30, pace=1e-9, told=told) < 640  # what was too slow rests


def test_frames_below_the_first_size_become_smaller_too(stylizer, monkeypatch):
    still = Still(stylizer, monkeypatch, (150, 200))
    assert still.send(30, pace=1e-5) == SIZES[0]


def test_what_is_prepared_for_a_camera_that_was_turned_since_is_not_used(stylizer, monkeypatch):
    still = Still(stylizer, monkeypatch, (480, 640))
    while not still.prepared:
        still.send(1, pace=1e-9)
    still.camera = 640, 480
    assert still.send(3, pace=1e-9) == 256


def test_a_size_that_cannot_be_prepared_rests_and_is_told_in_the_log(stylizer, monkeypatch, caplog):
    still = Still(stylizer, monkeypatch, (480, 640))
    still.fault = MemoryError("no room")
    with caplog.at_level(logging.ERROR):
        assert still.send(60, pace=1e-9) == 256
    assert {record.exc_info[1] for record in caplog.records} == {still.fault}
    assert len(still.prepared) == len(set(still.prepared))  # each is tried once
    still.fault, still.now = None, still.now + ladder.FIRST_REST
    assert still.send(30, pace=1e-9) == 640
