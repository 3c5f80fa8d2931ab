"""Independent float64 implementations in NumPy and SciPy, which the tests compare the package with.

Nothing here imports the package. Where a formula can be written in two ways, this is the other one.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import linalg, signal

VGG19_TO_RELU5_1 = [
    *("conv1_1", "conv1_2", "M"),
    *("conv2_1", "conv2_2", "M"),
    *("conv3_1", "conv3_2", "conv3_3", "conv3_4", "M"),
    *("conv4_1", "conv4_2", "conv4_3", "conv4_4", "M"),
    "conv5_1",
]

CAFFE_MEAN_BGR = np.array([103.939, 116.779, 123.68])


# ------------------------------------------------------------------------------------------------ moments


def positions(features):
    """All positions as rows, float64."""
    features = np.asarray(features, np.float64)
    return features.reshape(-1, features.shape[-1])


def moments(features, weights=None):
    """Mean and covariance, by np.average and np.cov."""
    x = positions(features)
    w = None if weights is None else np.asarray(weights, np.float64).ravel()
    covariance = np.cov(x, rowvar=False, bias=True, aweights=w).reshape(x.shape[1], x.shape[1])
    return np.average(x, axis=0, weights=w), covariance


def floored(covariance, *, relative=1e-4, absolute=1e-8):
    """Eigenvalues kept above a share of their mean."""
    values, vectors = linalg.eigh(np.asarray(covariance, np.float64))
    floor = max(relative * values.mean(), absolute)
    return vectors @ np.diag(np.maximum(values, floor)) @ vectors.T


# --------------------------------------------------------------------------------------------- transforms


def sqrtm(s):
    """Principal square root by Schur decomposition (not by eigh)."""
    return np.real(linalg.sqrtm(np.asarray(s, np.float64)))


def wct(content, target):
    return sqrtm(target) @ linalg.inv(sqrtm(content))


def bures(g, h):
    """Bures distance at trace 1, from the eigenvalues of G H instead of singular values of roots."""
    shared = np.sqrt(np.maximum(np.real(linalg.eigvals(g @ h)), 0)).sum()
    return np.sqrt(max(2 - 2 * shared / np.sqrt(np.trace(g) * np.trace(h)), 0))


def mk(content, target):
    """T^1/2 (T^1/2 S T^1/2)^-1/2 T^1/2: the form with the target's root outside."""
    root = sqrtm(target)
    return root @ linalg.inv(sqrtm(root @ content @ root)) @ root


def adain(content, target):
    return np.diag(np.sqrt(np.diag(target) / np.diag(content)))


TRANSFORMS = {"wct": wct, "mk": mk, "adain": adain}


def displacement(matrix, covariance):
    """E |A x - x|^2 of centred x with this covariance."""
    moved = np.asarray(matrix, np.float64) - np.eye(len(covariance))
    return float(np.trace(moved @ np.asarray(covariance, np.float64) @ moved.T))


def wasserstein2(a, b):
    """Squared 2-Wasserstein distance of centred Gaussians."""
    root = sqrtm(a)
    return float(np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(root @ b @ root)))


def barycenter(covariances, shares, *, steps=2000, tolerance=1e-13):
    """Solve S = sum_i w_i (S^1/2 S_i S^1/2)^1/2 by plain iteration (Agueh & Carlier 2011, eq. 6.2)."""
    s = np.eye(len(covariances[0])) * np.mean([np.trace(c) for c in covariances]) / len(covariances[0])
    for _ in range(steps):
        root = sqrtm(s)
        previous, s = s, sum(w * sqrtm(root @ c @ root) for w, c in zip(shares, covariances, strict=True))
        if np.abs(s - previous).max() < tolerance * np.abs(s).max():
            return s
    raise AssertionError("the oracle's iteration did not converge")


# ------------------------------------------------------------------------------------------------- losses


def gram(features):
    return np.stack([x.T @ x / len(x) for x in map(positions, np.asarray(features))])


def content_error(features, target, *, epsilon=1e-5):
    def standard(x):
        x = positions(x)
        return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + epsilon)

    pairs = zip(np.asarray(features), np.asarray(target), strict=True)
    return np.array([np.sum((standard(a) - standard(b)) ** 2) / np.sum(standard(b) ** 2) for a, b in pairs])


# ------------------------------------------------------------------------------------------------ networks


def correlate3x3(x, kernel, bias, *, border="reflect"):
    """3x3 cross-correlation of every pair of channels by scipy.signal, over a border made by np.pad."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=border)
    out = np.zeros((*x.shape[:3], kernel.shape[3]))
    for n in range(x.shape[0]):
        for o in range(kernel.shape[3]):
            for i in range(kernel.shape[2]):
                out[n, :, :, o] += signal.correlate(padded[n, :, :, i], kernel[:, :, i, o], mode="valid")
    return out + np.asarray(bias, np.float64)


def correlate3x3_wide(x, kernel, bias, *, border="reflect"):
    """The same as nine shifted matrix products, in the dtype of `x`: fast enough for hundreds of channels."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=border)
    windows = sliding_window_view(padded, (3, 3), axis=(1, 2))
    return sum(windows[..., i, j] @ kernel[i, j] for i in range(3) for j in range(3)) + bias


def max_pool(x):
    return np.max([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)


def avg_pool(x):
    return np.mean([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)


def upsample(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def vgg(image, tensors, *, correlate=correlate3x3, border="reflect", pool=max_pool, upto="conv5_1"):
    """Every ReLU output of VGG-19 up to layer `upto`; `tensors` are named conv1_1/kernel and so on."""
    x, out = image, {}
    for layer in VGG19_TO_RELU5_1:
        if layer == "M":
            x = pool(x)
            continue
        x = np.maximum(correlate(x, tensors[f"{layer}/kernel"], tensors[f"{layer}/bias"], border=border), 0)
        out["relu" + layer[4:]] = x
        if layer == upto:
            return out
    raise ValueError(upto)


def code(deep, image):
    """relu4_1 and, behind it, four times the mean colour less grey of each cell of 8 x 8 pixels."""
    cells = np.zeros((*deep.shape[:3], 3))
    for row in range(deep.shape[1]):
        for column in range(deep.shape[2]):
            cells[:, row, column] = image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].mean(axis=(1, 2))
    return np.concatenate([deep, 4 * (cells - 0.5)], axis=-1).astype(deep.dtype)


def decode(x, tensors):
    """Paint a code: the layers of `VGG19_TO_RELU5_1` from conv4_1 backwards, doubled where the encoder halves."""
    for layer in VGG19_TO_RELU5_1[VGG19_TO_RELU5_1.index("conv4_1") :: -1]:
        if layer == "M":
            x = upsample(x)
            continue
        x = correlate3x3(x, tensors[f"{layer}/kernel"], tensors[f"{layer}/bias"])
        if layer != "conv1_1":
            x = np.maximum(x, 0)
    return x


def caffe(rgb):
    """What the original VGG-19 takes: BGR, 0..255, minus the mean of its training set."""
    return rgb[..., ::-1] * 255.0 - CAFFE_MEAN_BGR
