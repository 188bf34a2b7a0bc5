"""Channels as vectors: covariances, maps by a matrix, and an inverse root with its gradient.

Channels are taken in G groups of d side by side, each by itself; matrices are (G, d, d). The
products are compiled (kernels/matrices.pxi), in an order that the shapes fix whatever the threads.
Data is float32 or float64, and covariances and roots are float64 for either.

Channels are mapped in the dtype of the data. So that no data is too small or too large for it,
what a matrix has beyond numbers about 1 is taken out in powers of two, which round nothing, and
multiplied to its inputs and outputs in float64.
"""

from __future__ import annotations

import numpy as np

from ..arrays.dtypes import FLOAT32
from ..arrays.layout import arrange
from ..kernels import of
from ..kernels.policy import plan

__all__ = ["InverseRoot", "covariances", "map_channels"]

_PER_ITEM = 16  # multiplications that cost what an item of a norm does


def covariances(
    a: np.ndarray,
    mean: np.ndarray,
    axis: int,
    groups: int,
    scale: float,
    b: np.ndarray | None = None,
    b_mean: np.ndarray | float = 0.0,
) -> np.ndarray:
    """(G, d, d): scale·Σ (a - mean)(b - b_mean)ᵀ over all positions; without b of a with itself.

    Channels are on `axis`, and means (C,).
    """
    a, arrangement = arrange(a, axis)
    channels = a.shape[axis]
    result = np.zeros((channels, channels // groups))
    if not a.size:
        return result.reshape(groups, -1, channels // groups)
    beside = None if b is None else (arrangement.gather(b), _pair(b_mean, 1.0, channels))
    of[FLOAT32].covariances(
        result, arrangement.gather(a), _pair(mean, 1.0, channels), *(beside or (None, None)),
        groups, scale, _threads(a.size * channels // groups),
    )  # fmt: skip
    return result.reshape(groups, -1, channels // groups)


def map_channels(
    terms: list[tuple[np.ndarray, np.ndarray, np.ndarray | float]],
    shift: np.ndarray | float,
    axis: int,
    out: np.ndarray | None,
) -> np.ndarray:
    """The sum over (matrix, a, mean) of matrix·(a - mean), and shift; in `out` where it is given.

    One term or two, of arrays of one shape; `out` may be one of them. Means and shift are (C,).
    """
    groups, d, _ = terms[0][0].shape
    matrices = np.empty((groups, len(terms), d, d))  # the last two axes: from and to
    for i, (matrix, _, _) in enumerate(terms):
        matrices[:, i] = matrix.swapaxes(1, 2)
    before = _power(np.abs(matrices).max(3))  # of the data that comes in
    matrices /= before[..., None]
    after = _power(np.abs(matrices).max((1, 2)))  # (G, d)
    matrices /= after[:, None, None]
    x, arrangement = arrange(terms[0][1], axis)
    x, y, target = arrangement.with_output(x, out)
    if not x.size:
        return y
    values = np.empty_like(x) if target is None else target
    given = []
    for i, (_, a, mean) in enumerate(terms):
        view = x if i == 0 else arrangement.gather(a)
        given += view, _pair(mean, before[:, i].reshape(-1), groups * d)
    of[FLOAT32].map_channels(
        values, _pair(after.reshape(-1), shift, groups * d), *given, *[None] * (4 - len(given)),
        matrices.reshape(-1, d), groups, _threads(len(terms) * x.size * d),
    )  # fmt: skip
    if target is None:
        arrangement.scatter(values, y)
    return y


class InverseRoot:
    """Newton's iteration for Sigma^(-1/2) of each group, and its gradient.

    A step is p <- h p of h = (3 - p² S)/2. For exact numbers that is p <- (3 p - p³ S)/2, whose
    rounding errors grow from step to step once p is near its limit. Here r = p² S is not computed
    from p but followed, r <- r h², so that errors of p do not come back into it.

    All are polynomials in S, so that they are symmetric and half of each product is enough. For the
    same reason the gradient is the derivative in its own direction: that of a polynomial in a
    symmetric matrix is its own adjoint. It goes through the steps forwards, with half products.

    root: the result, Sigma being `covariance` + eps·I.
    """

    def __init__(self, covariance: np.ndarray, eps: float, iterations: int) -> None:
        groups, d, _ = covariance.shape
        self.groups = groups
        self.identity = np.concatenate([np.eye(d)] * groups)
        sigma = _flat(covariance) + eps * self.identity
        # of each group, for each of its rows
        self.trace = self._spread(np.einsum("gii->g", sigma.reshape(covariance.shape)))
        self.scaled = r = sigma / self.trace
        p = h = 1.5 * self.identity - 0.5 * r
        self.steps = []  # r, h and r h before a step, h and p in it
        for _ in range(iterations - 1):
            half = self._product(r, h)
            before, r = (r, h, half), self._product(half, h)
            h = 1.5 * self.identity - 0.5 * r
            self.steps.append((*before, h, p))
            p = self._product(h, p)
        self.root = (p / np.sqrt(self.trace)).reshape(covariance.shape)

    def gradient(self, droot: np.ndarray) -> np.ndarray:
        """The gradient of Sigma, symmetric: of it and its transpose the mean."""
        # the derivatives of r, h and p, as S goes in the direction dr
        dr = _flat(droot + droot.swapaxes(1, 2)) / (2 * np.sqrt(self.trace))
        dp = dh = -0.5 * dr
        for r, h, half, next_h, p in self.steps:
            dhalf = self._product(r, dh, dr, h)
            dr = self._product(half, dh, dhalf, h)
            dh = -0.5 * dr
            dp = self._product(dh, p, next_h, dp)
        # of the trace: root = p/sqrt(trace) and S = sigma/trace
        by_root = (self.root * droot).sum((1, 2)) / 2
        by_scaled = (self.scaled * dp).reshape(droot.shape).sum((1, 2))
        dsigma = (dp - self._spread(by_root + by_scaled) * self.identity) / self.trace
        return dsigma.reshape(droot.shape)

    def _spread(self, values: np.ndarray) -> np.ndarray:
        return np.repeat(values, self.identity.shape[1])[:, None]

    def _product(self, a, b, c=None, e=None) -> np.ndarray:
        """a b + c e of (G*d, d), which is symmetric, as all of them are."""
        out = np.empty_like(a)
        d = out.shape[1]
        of[FLOAT32].square_products(out, a, b, c, e, self.groups, d, _threads(out.size * d))
        return out


def _flat(matrices: np.ndarray) -> np.ndarray:
    """(G, d, d) as (G*d, d) in C order."""
    return np.ascontiguousarray(matrices).reshape(-1, matrices.shape[2])


def _pair(first, second, channels: int) -> np.ndarray:
    """Both as (2, C) float64."""
    pair = np.empty((2, channels))
    pair[0], pair[1] = first, second
    return pair


def _power(size: np.ndarray) -> np.ndarray:
    """The power of two at or below each size; some number where that is 0."""
    return np.ldexp(1.0, np.frexp(size)[1] - 1)


def _threads(products: int) -> int:
    return plan(products // _PER_ITEM, 8).threads
