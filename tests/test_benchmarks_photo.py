"""The benchmark of photos that stay photos: its figures on pictures whose answer is known."""

import numpy as np
from narrow import picture
from scipy.ndimage import gaussian_filter

from benchmarks import photo


def test_edges_are_lost_by_blur_and_their_correlation_not_by_contrast():
    own = picture(64, 96, seed=1)
    assert photo.edge_ssim(own, own) == 1
    assert abs(photo.edge_correlation(own, own) - 1) < 1e-6
    faint, blurred = 0.25 + 0.5 * own, gaussian_filter(own, (1, 1, 0))
    assert photo.edge_ssim(faint, own) < 0.9 < 0.999 < photo.edge_correlation(faint, own)
    assert photo.edge_correlation(blurred, own) < 0.8


def test_the_transfer_gives_the_mean_and_covariance_of_the_style_in_lab():
    from skimage.color import rgb2lab

    own, style = (0.35 + 0.3 * picture(64, 64, seed=seed) ** power for seed, power in ((1, 1), (2, 2)))
    found, wanted = (rgb2lab(rgb).reshape(-1, 3) for rgb in (photo.transfer(own, style), style))
    np.testing.assert_allclose(found.mean(axis=0), wanted.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(np.cov(found.T), np.cov(wanted.T), rtol=0.1, atol=2)


def test_the_table_has_the_means_of_each_way():
    rows = [{"pair": k, "way": "photo", "edges": value, "edges r": value} for k, value in enumerate((0.5, 1.0))]
    assert photo.markdown(rows).splitlines()[-1].split("|")[1:-1] == [
        " photo ", "     2 ", " 0.7500 ", "  0.7500 ", "  0.5000 "
    ]  # fmt: skip
