import numpy as np
import pytest
from narrow import picture

from wctstyle import samples
from wctstyle.faces import LEAST_FACE, SEARCHED_SIDE, face_map
from wctstyle.images import resize


@pytest.fixture(scope="module")
def portrait():
    return samples.picture("astronaut").rgb


def centre(faces):
    return np.array([np.average(np.arange(n), weights=faces.sum(axis=1 - k)) for k, n in enumerate(faces.shape)])


def test_a_face_is_found_where_it_is(portrait):
    faces = face_map(portrait)
    assert faces.shape == portrait.shape[:2]
    assert faces.dtype == np.float32
    assert faces.min() == 0
    assert faces.max() == 1
    eyes, mouth, forehead, above, flag, badge = (110, 225), (150, 225), (70, 225), (10, 225), (200, 60), (400, 150)
    assert min(float(faces[at]) for at in (eyes, mouth, forehead)) > 0.8
    assert max(float(faces[at]) for at in (above, flag, badge)) < 0.05


@pytest.mark.parametrize("side", [SEARCHED_SIDE, 700, 1100])
def test_it_is_found_there_at_every_size(portrait, side):
    faces = face_map(resize(samples.picture("astronaut"), long_side=side, enlarge=True).rgb)
    np.testing.assert_allclose(centre(faces) / side, centre(face_map(portrait)) / 512, atol=0.02)
    assert faces.mean() == pytest.approx(face_map(portrait).mean(), rel=0.3)


def test_its_edge_is_soft(portrait):
    across = face_map(portrait)[114]
    assert np.abs(np.diff(across)).max() < 0.2


def test_it_ends_where_the_head_does(portrait, monkeypatch):
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


def test_it_fades_out_before_it_ends(monkeypatch):
    even = np.full((300, 300, 3), 0.5, np.float32)
    found = [{"r": 60, "c": 60, "width": 60, "height": 60}]
    monkeypatch.setattr("wctstyle.faces._detector", lambda: Found(found))
    faces = face_map(even)
    assert faces[86, 90] > 0.9
    steps = [np.abs(np.diff(faces, axis=axis)).max() for axis in (0, 1)]
    assert max(steps) < 0.06


class Found:
    """A detector that finds the same everywhere."""

    def __init__(self, found):
        self.found = found

    def detect_multi_scale(self, **_):
        return self.found


@pytest.mark.parametrize("name", ["cat", "coffee", "hubble", "rocket"])
def test_pictures_without_a_face(name):
    assert face_map(samples.picture(name).rgb) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (LEAST_FACE - 1, 300), (64, 64), (33, 500)], ids=str)
def test_odd_pictures_have_none(size):
    assert face_map(picture(*size, seed=3)) is None
    assert face_map(np.zeros((*size, 3), np.float32)) is None


def test_the_search_is_the_same_each_time(portrait):
    np.testing.assert_array_equal(face_map(portrait), face_map(portrait.copy()))
