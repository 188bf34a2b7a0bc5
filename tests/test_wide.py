"""Batch norm where float32 runs out of range, or the mean of dy hides the rest: exact oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_near, exact_norm
from runs import bits
from strategies import channels_last, view_id

from cybn import reference
from cybn.functional import batch_norm_backward, batch_norm_forward

# Rows and columns, folded, with lines left over, one tile and several; m from 2 to thousands.
VIEWS = [
    (2, 3, 1), (5, 3, 1), (67, 3, 1), (40, 600, 1), (3000, 2, 1), (9, 3, 7), (33, 70, 9),
    (2, 3, 40), (7, 3, 65), (3, 2, 2100), (1, 2, 300),
]  # fmt: skip
SCALES = [1e-44, 1e-37, 1e-30, 1e-20, 1.0, 1e20, 1e30, 1e38]
UNITS = 64  # roundings: those of the sums, of which few are as large as they may be
every_view = pytest.mark.parametrize("view", VIEWS, ids=view_id)
layouts = pytest.mark.parametrize("layout", [np.ascontiguousarray, channels_last])
scales = pytest.mark.parametrize("scale", SCALES)


def data(view, seed=0, offset=0.0):
    """x, and dy of a mean and deviations of 1; either times 1e38 is in float32."""
    rng = np.random.default_rng(seed)
    x, dy = rng.uniform(-3, 3, view), offset + rng.uniform(-(3**0.5), 3**0.5, view)
    return x.astype(np.float32), dy.astype(np.float32)


def scaled(a, scale):
    """a * scale in float32, a channel in the middle of which some others are left as they are."""
    a = a.copy()
    with np.errstate(under="ignore"):
        a[:, 1] = (a[:, 1].astype(np.float64) * scale).astype(np.float32)
    return a


def check(x, dy, layout=np.ascontiguousarray, weight=1.0, bias=0.5, eps=1e-5, units=UNITS):
    """Channels 0 and 1, forward and backward."""
    weight = np.full(x.shape[1], weight)
    bias = np.full(x.shape[1], bias)
    y, stats = batch_norm_forward(layout(x), weight, bias, eps=eps)
    dx, dweight, dbias = batch_norm_backward(layout(dy), layout(x), stats, weight)
    for c in (0, 1):
        exact = exact_norm(x[:, c].ravel(), dy[:, c].ravel(), weight[c], bias[c], eps)
        assert_near(y[:, c].ravel(), exact[0], units, "y")
        # what is subtracted rounds in units of what dy is without its mean
        remains = np.abs(weight[c] * stats[2, c]) * np.std(dy[:, c].astype(np.float64))
        error = np.abs(dx[:, c].ravel() - exact[1])
        finite = np.abs(exact[1]) < 3.4e38
        u = 2.0**-24
        bound = units * u * np.maximum(remains, np.abs(exact[1]).max()) + 2.0**-149
        assert (error[finite] <= bound).all(), (c, error[finite].max(), bound)
        about = np.abs(exact[2]).sum()
        assert abs(dweight[c] - exact[3]) <= units * u * about + 1e-300, c
        assert abs(dbias[c] - exact[4]) <= units * u * np.abs(dy[:, c].astype(float)).sum(), c


@layouts
@every_view
def test_opposites_whose_squares_float32_cannot_hold(view, layout):
    # Most of them are 0, and the rest add up to 0: float32 sees a constant.
    _, dy = data(view)
    x = np.zeros((view[1], view[0] * view[2]), np.float32)
    x[1, :2] = x[1, -2:] = -1e-37, 1e-37
    x = np.ascontiguousarray(x.reshape(view[1], view[0], view[2]).swapaxes(0, 1))
    check(x, dy, layout, eps=1e-80)


@scales
@layouts
@every_view
def test_x_of_any_size(view, layout, scale):
    x, dy = data(view)
    check(scaled(x, scale), dy, layout)


@scales
@every_view
def test_x_of_any_size_and_an_eps_below_float32(view, scale):
    x, dy = data(view)
    check(scaled(x, scale), scaled(dy, scale), eps=1e-80)


@scales
@layouts
@every_view
def test_dy_of_any_size(view, layout, scale):
    x, dy = data(view)
    check(x, scaled(dy, scale), layout)


@scales
@pytest.mark.parametrize("x_scale", [1e-37, 1e-20, 1.0, 1e20, 1e38])
@pytest.mark.parametrize("view", [(5, 3, 1), (67, 3, 1), (3, 2, 210)], ids=view_id)
def test_weight_of_any_size(view, x_scale, scale):
    x, dy = data(view)
    check(scaled(x, x_scale), dy, weight=scale, bias=0.0, eps=1e-80)
    check(scaled(x, x_scale), scaled(dy, 1 / x_scale), weight=1 / scale, eps=1e-80)


@pytest.mark.parametrize("ratio", [1.0, 3.0, 15.0, 17.0, 100.0, 1e3, 1e6])
@layouts
@every_view
def test_dy_with_a_large_mean(view, layout, ratio):
    """As exact arithmetic on the stored floats: dy without its mean is what counts."""
    x, dy = data(view, offset=ratio)
    m = view[0] * view[2]
    # the spread that few values happen to have may be small: then T would do less well
    units = UNITS * 16 if m < 60 else UNITS * 2
    check(x, dy, layout, units=units)


@pytest.mark.parametrize("places", [5, 32, 64])
@pytest.mark.parametrize("view", [(1, 2, 2048), (2048, 2, 1), (64, 2, 32)], ids=view_id)
def test_outliers_of_dy_where_anybody_would_look_first(view, places):
    """A mean of 1e5 deviations is hidden from a sample of first, last or equally spaced items."""
    x, dy = data(view, offset=1e5)
    flat = dy.transpose(1, 0, 2).reshape(2, -1)
    for at in (slice(0, places), slice(-places, None), slice(None, None, flat.shape[1] // places)):
        spoilt = flat.copy()
        spoilt[:, at] += 1e3
        check(x, spoilt.reshape(2, view[0], view[2]).transpose(1, 0, 2).copy(), units=256)


@pytest.mark.parametrize("value", [1.0, 0.1, 3e37, -3e38, 1e-40])
@pytest.mark.parametrize("view", [(5000, 2, 1), (3, 2, 1000), (9, 70, 7), (2, 3, 1)], ids=view_id)
def test_a_constant_dy_gives_no_gradient_at_all(view, value):
    x, _ = data(view)
    dy = np.full(view, value, np.float32)
    _, stats = batch_norm_forward(x)
    dx, dweight, dbias = batch_norm_backward(dy, x, stats, np.ones(view[1]))
    assert not dx.any()
    assert not dweight.any()
    assert dbias.tolist() == [dy[:, 0].sum(dtype=np.float64)] * view[1]


@pytest.mark.parametrize("shape", [(4, 1), (1, 1, 4), (100, 1), (1, 1, 100), (4, 3)], ids=str)
def test_deviations_beyond_the_largest_float32(shape):
    x = np.resize(np.float32([3e38, 3e38, 3e38, -3e38]), shape)
    if shape == (4, 3):
        x = np.repeat(np.float32([3e38, 3e38, 3e38, -3e38])[:, None], 3, 1)
    y, stats = batch_norm_forward(x)
    right = np.where(x > 0, 0.5773503, -1.7320508).astype(np.float32)
    np.testing.assert_allclose(y, right, rtol=2e-7)
    dx, _, _ = batch_norm_backward(np.ones_like(x), x, stats)
    assert not dx.any()
    dy = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    dx, _, _ = batch_norm_backward(dy, x, stats, np.full(x.shape[1], 1e38))
    exact = exact_norm(x[:, 0].ravel(), dy[:, 0].ravel(), 1e38, 0.0, 1e-5)
    np.testing.assert_allclose(dx[:, 0].ravel(), exact[1], rtol=1e-6, atol=1e-7)


def test_gradients_of_values_near_1e30_are_right_to_rounding():
    rng = np.random.default_rng(1)
    for view in ((40, 2, 1), (3, 2, 300)):
        x = (rng.normal(0, 1, view) * 1e30).astype(np.float32)
        check(x, rng.normal(0, 1, view).astype(np.float32), units=16)


@scales
@pytest.mark.parametrize("view", [(9, 3, 1), (70, 3, 1), (5, 3, 20), (3, 3, 300)], ids=view_id)
def test_evaluation(view, scale):
    """Statistics, weights and data of any size, as long as what comes out has one."""
    x, dy = data(view)
    x = scaled(x, scale)
    for weight in (1.0, scale, 1 / scale, 1e-30, 1e30):
        mean, var = np.full(3, -2.0 * scale), np.full(3, (scale / 4) ** 2 + 1e-300)
        how = {"training": False, "eps": 1e-300}
        args = np.full(3, weight), np.full(3, 0.25), mean, var
        y, stats = batch_norm_forward(x, *args, **how)
        got = batch_norm_backward(dy, x, stats, args[0], training=False)
        with np.errstate(over="ignore"):
            right = reference.normalize(x, mean, var, weight, 0.25, eps=1e-300)
            exact = reference.backward_inference(dy, x, mean, var, weight, eps=1e-300)
        assert_near(y[:, 1], right[:, 1], 8, "y")
        assert_near(got[0][:, 1], exact[0][:, 1], 8, "dx")
        size = (np.abs(dy) * np.abs(x.astype(float) - mean[0]) / np.sqrt(var[0])).sum((0, 2))
        assert (np.abs(got[1] - exact[1]) <= 1e-6 * size)[1]


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu", "relu6"])
@pytest.mark.parametrize("added", [False, True], ids=["plain", "residual"])
@pytest.mark.parametrize("kind", ["x", "dy mean", "dy size"])
@pytest.mark.parametrize("view", [(70, 3, 1), (33, 70, 9), (3, 2, 300)], ids=view_id)
def test_gates_and_residuals(view, kind, added, activation):
    x, dy = data(view, offset=1e5 if kind == "dy mean" else 0.0)
    if kind == "x":
        x = scaled(x, 1e38)
    elif kind == "dy size":
        dy = scaled(dy, 1e38)
    z = data(view, seed=1)[1]
    channels = view[1]
    weight, bias = np.linspace(0.5, 2, channels), np.full(channels, 5.0)
    how = {"activation": activation}
    y, stats = batch_norm_forward(x, weight, bias, residual=z if added else None, **how)
    wide = x.astype(np.float64)
    mean, var = reference.moments(wide)
    v = reference.normalize(wide, mean, var, weight, bias) + (z if added else 0)
    slope = {None: 1.0, "leaky_relu": float(np.float32(0.01))}.get(activation, 0.0)
    most = 6.0 if activation == "relu6" else np.inf
    np.testing.assert_allclose(y, np.minimum(np.where(v > 0, v, slope * v), most), atol=2e-5)
    dz = np.empty_like(x)
    got = batch_norm_backward(dy, x, stats, weight, y=y, dresidual=dz, **how)
    g = dy * np.where(y < most, np.where(y > 0, 1.0, slope), 0.0)
    np.testing.assert_array_equal(dz, g.astype(np.float32))
    right = reference.backward_training(g, wide, mean, var, weight)
    size = np.abs(right[0]).max((0, 2), keepdims=True)
    assert (np.abs(got[0] - right[0]) <= 2e-5 * size).all()
    about = np.abs(g * reference.xhat_of(wide, mean, var, 1e-5)).sum((0, 2))
    assert (np.abs(got[1] - right[1]) <= 1e-6 * about).all()


@given(st.data())
def test_channels_without_doubt_are_as_they_were(draw):
    """To the bit, whatever the others are, and in place too."""
    view = draw.draw(st.sampled_from(VIEWS))
    rng = np.random.default_rng(draw.draw(st.integers(0, 1000)))
    x, dy = data(view, seed=int(rng.integers(1000)))
    weight = np.ones(view[1])
    y, stats = batch_norm_forward(x, weight)
    dx, dweight, dbias = batch_norm_backward(dy, x, stats, weight)
    clean = rng.random(view[1]) < 0.5
    spoilt, above = x.copy(), dy.copy()
    spoilt[:, ~clean] *= np.float32(1e38)
    above[:, ~clean] += np.float32(1e6)
    got, stats = batch_norm_forward(spoilt, weight)
    grads = batch_norm_backward(above, spoilt, stats, weight)
    assert bits(got[:, clean]) == bits(y[:, clean])
    assert bits(grads[0][:, clean]) == bits(dx[:, clean])
    assert bits(grads[1][clean]) == bits(dweight[clean])
    assert bits(grads[2][clean]) == bits(dbias[clean])
    assert bits(batch_norm_backward(above, spoilt, stats, weight, out=above)[0]) == bits(grads[0])
    assert bits(batch_norm_forward(spoilt, weight, out=spoilt)[0]) == bits(got)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e140, 1e160, 1e300])
@pytest.mark.parametrize("view", [(5, 2, 1), (70, 2, 1), (3, 2, 700)], ids=view_id)
def test_float64_beyond_the_squares_that_it_holds(view, scale):
    x, dy = (a.astype(np.float64) for a in data(view))
    x *= scale
    y, stats = batch_norm_forward(x)
    dx = batch_norm_backward(dy, x, stats)[0]
    for c in (0, 1):
        exact = exact_norm(x[:, c].ravel(), dy[:, c].ravel(), 1.0, 0.0, 1e-5)
        assert_near(y[:, c].ravel(), exact[0], 64, "y")
        assert_near(dx[:, c].ravel(), exact[1], 64, "dx")


def test_float64_deviations_beyond_the_largest_double():
    x = np.array([1.7e308, 1.7e308, 1.7e308, -1.7e308])[:, None]
    y, stats = batch_norm_forward(x)
    np.testing.assert_allclose(y.ravel(), [3**-0.5] * 3 + [-(3**0.5)], rtol=1e-14)
    assert np.isfinite(batch_norm_backward(x / 1e308, x, stats)[0]).all()


@pytest.mark.parametrize("ratio", [1.0, 1e3, 1e6, 1e9])
@every_view
def test_float64_dy_with_a_large_mean(view, ratio):
    x, dy = (a.astype(np.float64) for a in data(view))
    dy = dy + ratio
    _, stats = batch_norm_forward(x)
    dx = batch_norm_backward(dy, x, stats)[0]
    exact = exact_norm(x[:, 0].ravel(), dy[:, 0].ravel(), 1.0, 0.0, 1e-5)
    error = np.abs(dx[:, 0].ravel() - exact[1]).max()
    assert error <= 512 * 2.0**-53 * stats[2, 0] * np.std(dy[:, 0])


def test_statistics_of_more_than_x_are_taken_at_their_word():
    """What a process has of a batch: sums of dy*xhat, where xhat has a mean."""
    x, dy = data((300, 2, 1), offset=1e4)
    stats = np.array([[0.2, 0.02], [4.0, 1.0], [0.5, 0.5]])
    _, dweight, dbias = batch_norm_backward(dy, x, stats, np.ones(2))
    xhat = (x.astype(np.float64) - stats[0][:, None]) * stats[2][:, None]
    np.testing.assert_allclose(dweight, (dy * xhat).sum((0, 2)), rtol=1e-7)
    np.testing.assert_allclose(dbias, dy.sum((0, 2), dtype=np.float64), rtol=1e-12)
