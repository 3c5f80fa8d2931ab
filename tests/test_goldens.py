"""The shipped weights paint what they painted: pictures of each way to make one, kept in tests/goldens/."""

import numpy as np
import pytest
from make_goldens import CASES, FOLDER, picture, stylizer

from wctstyle import images, pixel_metrics
from wctstyle.settings import MAX_STRENGTH, Settings


@pytest.mark.parametrize("name", CASES)
def test_the_picture_is_the_one_that_was_looked_at(name):
    make, floor = CASES[name]
    assert pixel_metrics.psnr(make(), images.load(FOLDER / f"{name}.png").rgb) >= floor


@pytest.mark.parametrize(("dial", "most"), [("strength", MAX_STRENGTH), ("detail", 1.0), ("color", 1.0)])
def test_equal_steps_of_a_dial_change_the_picture_about_equally(dial, most):
    photo, painting = picture("cat"), picture("impasto-night")
    painted = [
        stylizer("slim").stylize(photo, painting, Settings(**{dial: value})).image for value in np.linspace(0, most, 6)
    ]
    steps = [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(painted, painted[1:], strict=False)]
    assert min(steps) > 0.002
    assert max(steps) <= 2 * min(steps)
