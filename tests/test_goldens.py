"""The shipped weights paint what they painted: pictures of each way to make one, kept in tests/goldens/."""

import pytest
from make_goldens import CASES, FOLDER

from wctstyle import images, pixel_metrics


@pytest.mark.parametrize("name", CASES)
def test_the_picture_is_the_one_that_was_looked_at(name):
    make, floor = CASES[name]
    assert pixel_metrics.psnr(make(), images.load(FOLDER / f"{name}.png").rgb) >= floor
