"""For equations on whole arrays in float64: axes, and gradients item by item."""

import numpy as np

STEP = 1e-5  # of the central differences: error step^2 * f''' + u64 * f / step, about 1e-10


def draw(shape, dtype=np.float64, seed=1):
    """An array of a seed's numbers."""
    return np.random.default_rng(seed).normal(0.5, 2, shape).astype(dtype)


def channels(a, x):
    """A parameter as it goes with x, (N, C, ...); one value as it is."""
    return a if a.shape == (1,) else a.reshape(-1, *(1,) * (x.ndim - 2))


def inner(x):
    """The axes of x, (N, C, ...), that are neither samples nor channels."""
    return tuple(range(2, x.ndim))


def outer(x):
    """All axes of x but the channels'."""
    return (0, *inner(x))


def central_differences(loss, a):
    """d loss / d a, item by item; a is changed and restored."""
    slope = np.empty_like(a)
    for at in np.ndindex(a.shape):
        kept = a[at]
        a[at] = kept + STEP
        above = loss()
        a[at] = kept - STEP
        slope[at] = (above - loss()) / (2 * STEP)
        a[at] = kept
    return slope
