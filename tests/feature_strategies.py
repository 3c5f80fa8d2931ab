"""Random features and covariances for the laws. Few shapes, as every shape compiles anew."""

import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st

law = settings(max_examples=25, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink))

SHAPE = (1, 8, 9, 4)
OTHER_SHAPE = (1, 7, 12, 4)

seeds = st.integers(0, 2**32 - 1)


def rotation(rng, c):
    return np.linalg.qr(rng.normal(size=(c, c)))[0]


def correlated(rng, shape, *, spread=4.0, scale=1.0, mean=0.0):
    """Gaussian features whose standard deviations range over a factor of `spread` along random axes."""
    c = shape[-1]
    axes = rotation(rng, c) * np.geomspace(1, 1 / spread, c) * scale
    return (rng.normal(size=shape) @ axes.T + mean * rng.normal(size=c)).astype(np.float32)


@st.composite
def features(draw, shape=SHAPE, means=2.0):
    """Features of full rank: scales over three decades, standard deviations over a factor of up to 8."""
    return correlated(
        np.random.default_rng(draw(seeds)),
        shape,
        spread=draw(st.floats(1, 8)),
        scale=10 ** draw(st.floats(-1.5, 1.5)),
        mean=draw(st.floats(0, means)),
    )


@st.composite
def degenerate_features(draw, shape):
    """Features of any rank from 0 (one flat colour) up to what the shape allows, some channels dead."""
    rng = np.random.default_rng(draw(seeds))
    c = shape[-1]
    rank = draw(st.integers(0, c - 1))
    x = rng.normal(size=(*shape[:-1], rank)) @ rng.normal(size=(rank, c)) + rng.normal(size=c)
    dead = rng.random(c) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return (np.where(dead, 0.0, x) * draw(st.sampled_from([0.01, 1.0, 10.0]))).astype(np.float32)


@st.composite
def shares(draw, n):
    """Shares that sum to one, zeros among them."""
    raw = np.array(draw(st.lists(st.floats(0, 1), min_size=n, max_size=n).filter(lambda w: sum(w) > 0.1)))
    return (raw / raw.sum()).astype(np.float32)
