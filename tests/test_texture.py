"""Texture: noise in plain areas, the same everywhere and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from wctstyle import texture


def test_the_field_is_noise_that_tiles_without_a_seam():
    field = texture.field()
    assert field.shape == (texture.SIDE, texture.SIDE)
    assert float(field.mean()) == pytest.approx(0, abs=1e-4)
    assert float(field.std()) == pytest.approx(1, abs=1e-4)
    steps = np.abs(np.diff(field, axis=1)).mean()
    assert np.abs(field[:, 0] - field[:, -1]).mean() < 1.2 * steps


def test_an_even_area_is_plain_and_detail_is_not():
    assert texture.plainness(np.full((40, 60, 3), 0.4, np.float32)) == pytest.approx(np.ones((40, 60)), abs=1e-5)
    noise = np.random.default_rng(0).uniform(size=(64, 64, 3)).astype(np.float32)
    assert texture.plainness(noise).max() < 1e-3


def test_only_plain_areas_get_texture():
    photo = np.full((96, 160, 3), 0.5, np.float32)
    photo[:, 80:] = np.random.default_rng(1).uniform(size=(96, 80, 3))
    added = texture.textured(photo, 1.0) - photo
    assert added[:, :60].std() == pytest.approx(texture.DEVIATION, rel=0.15)
    assert np.abs(added[:, 110:]).max() < 1e-3


def test_a_pixel_gets_the_same_value_in_every_picture():
    large = texture.textured(np.full((600, 700, 3), 0.5, np.float32), 0.5)
    small = texture.textured(np.full((64, 80, 3), 0.5, np.float32), 0.5)
    assert np.allclose(large[:64, :80], small, atol=1e-6)
    assert np.allclose(large[512 : 512 + 64, 512 : 512 + 80], small, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 33), (47, 2), (3, 3)])
def test_any_size_and_range(shape: tuple[int, int]):
    photo = np.ones((*shape, 3), np.float32)
    result = texture.textured(photo, 1.0)
    assert result.shape == photo.shape
    assert result.dtype == np.float32
    assert result.min() >= 0
    assert result.max() <= 1


def test_no_texture_is_the_photo_itself():
    photo = np.random.default_rng(2).uniform(size=(20, 30, 3)).astype(np.float32)
    assert texture.textured(photo, 0.0) is photo
