"""The readable twins of the norms of a sample, by hand and by central differences."""

import numpy as np
import pytest
from oracle import exact_moments

from cybn import reference

RNG = np.random.default_rng(0)
X, DY = RNG.normal(0.5, 1, (2, 2, 4, 3))
W, B = RNG.normal(1, 1, (2, 4))
PAIRS = {
    "layer": (
        lambda x, w, b: reference.layer_norm(x, (4, 3), np.outer(w, [1, 2, 3])),
        lambda: reference.layer_norm_backward(DY, X, (4, 3), np.outer(W, [1, 2, 3])),
    ),
    "rms": (
        lambda x, w, b: reference.rms_norm(x, 3, eps=1e-2),
        lambda: reference.rms_norm_backward(DY, X, 3, eps=1e-2),
    ),
    "layer over channels": (
        lambda x, w, b: reference.layer_norm(x, 4, w, b, channel_axis=1),
        lambda: reference.layer_norm_backward(DY, X, 4, W, channel_axis=1),
    ),
    "rms over channels": (
        lambda x, w, b: reference.rms_norm(x, 4, w, 1e-2, b, channel_axis=1, counted=2),
        lambda: [
            *reference.rms_norm_backward(DY, X, 4, W, 1e-2, channel_axis=1, counted=2),
            DY.sum((0, 2)),
        ],
    ),
    "group": (
        lambda x, w, b: reference.group_norm(x, 2, w, b),
        lambda: reference.group_norm_backward(DY, X, 2, W),
    ),
    "instance": (
        lambda x, w, b: reference.instance_norm(x, w, b),
        lambda: reference.instance_norm_backward(DY, X, W),
    ),
    "response": (
        lambda x, w, b: reference.local_response_norm(x, 2, 0.7, 0.6, 1.5),
        lambda: [reference.local_response_norm_backward(DY, X, 2, 0.7, 0.6, 1.5)],
    ),
}


def slope(loss, a, at, step=1e-5):
    losses = []
    for sign in (1, -1):
        moved = a.copy()
        moved[at] += sign * step
        losses.append(loss(moved))
    return (losses[0] - losses[1]) / (2 * step)


@pytest.mark.parametrize("name", PAIRS)
def test_dx_is_the_central_difference(name):
    forward, backward = PAIRS[name]
    dx = backward()[0]
    for at in np.ndindex(X.shape):
        found = slope(lambda x: (forward(x, W, B) * DY).sum(), X, at)
        assert abs(found - dx[at]) < 1e-7  # step^2 * f''', and 1e-10 of rounding


@pytest.mark.parametrize("name", ["group", "instance", "layer over channels", "rms over channels"])
def test_dweight_and_dbias_are_the_central_differences(name):
    forward, backward = PAIRS[name]
    _, dweight, dbias = backward()
    for c in range(4):
        assert abs(slope(lambda w: (forward(X, w, B) * DY).sum(), W, c) - dweight[c]) < 1e-8
        assert abs(slope(lambda b: (forward(X, W, b) * DY).sum(), B, c) - dbias[c]) < 1e-8


def test_gradients_of_items_are_sums_over_the_rows():
    """By the definition, row by row."""
    _, dweight, dbias = reference.layer_norm_backward(DY, X, 3)
    xhat = reference.layer_norm(X, 3)
    rows = [(n, c) for n in range(2) for c in range(4)]
    np.testing.assert_allclose(dweight, sum(DY[at] * xhat[at] for at in rows), rtol=1e-13)
    np.testing.assert_allclose(dbias, sum(DY[at] for at in rows), rtol=1e-13)
    _, dweight = reference.rms_norm_backward(DY, X, 3)
    xhat = reference.rms_norm(X, 3)
    np.testing.assert_allclose(dweight, sum(DY[at] * xhat[at] for at in rows), rtol=1e-13)


def test_moments_of_rows():
    x = RNG.normal(1e6, 1, (3, 40))
    mean, var = reference.row_moments(x)
    for r in range(3):
        exact = exact_moments(x[r])
        # corrected two-pass: the mean to its own rounding, the variance to that of 40 squares
        assert abs(mean[r] - float(exact[0])) <= 2.0**-52 * abs(mean[r])
        assert abs(var[r] - float(exact[1])) <= 50 * 2.0**-53 * var[r]
    assert reference.row_moments(np.array([[3.0, 4.0]]), centred=False)[1].tolist() == [12.5]


def test_running_statistics_of_instances():
    x = np.array([[[1.0, 3.0]], [[2.0, 8.0]]])  # means 2 and 5, unbiased variances 2 and 18
    mean, var = reference.update_running_instances(np.array([1.0]), np.array([2.0]), x, 0.5)
    assert (mean.tolist(), var.tolist()) == ([2.25], [6.0])
