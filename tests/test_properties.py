"""What batch norm is, as properties: xhat = (x - mean) rstd, m values per channel.

Tolerances come from `oracle`: an output is within output_bound of the exact one, so two runs that
should agree are within the sum of both bounds.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import U64, assert_within, gradients, mean_bound, output_bound, roundoff
from strategies import batches, views

import cybn
from cybn.functional import batch_norm_backward, batch_norm_forward

EPS = 1e-3
seeds = st.integers(0, 2**32 - 1)
near = batches(offsets=(0, 1, -30))
grids = st.sampled_from([-3.0, 0.25, 7.0, 1024.0])


def slack(y, x):
    """How far two outputs of the same values may be apart, without affine."""
    return 2 * output_bound(y, 1, 0, x.shape[0] * x.shape[2], x.dtype)


def xhat_and_stats(x, eps=EPS):
    xhat, stats = batch_norm_forward(x, eps=eps)
    return xhat.astype(np.float64), stats


def whole_numbers(seed, shape, dtype=np.float32):
    """Small whole numbers: sums and shifts of them are exact."""
    return np.random.default_rng(seed).integers(-40, 40, shape).astype(dtype)


@given(near)
def test_xhat_has_mean_0_and_mean_square_var_rstd2(x):
    xhat, (_, var, rstd) = xhat_and_stats(x)
    m = x.shape[0] * x.shape[2]
    off = slack(xhat, x).mean((0, 2))
    assert (np.abs(xhat.mean((0, 2))) <= off).all()
    square = (xhat**2).mean((0, 2))
    assert_within(square, var * rstd**2, (2 * np.abs(xhat) * slack(xhat, x)).mean((0, 2)) + off**2)
    assert (np.abs(xhat) <= np.sqrt(m - 1) + slack(xhat, x)).all()
    assert (var >= 0).all()


@given(seeds, st.floats(1e-3, 1e3), st.sampled_from([1e-5, 1.0]))
def test_two_values_give_plus_and_minus(seed, delta, eps):
    middle = np.random.default_rng(seed).normal(0, 10, 5)
    x = np.array([middle - delta, middle + delta])[:, :, None]
    y, _ = batch_norm_forward(x, eps=eps)
    half = (x[1] - x[0]).ravel() / 2  # what delta is for the stored floats
    exact = half / np.sqrt(half**2 + eps)
    off = 16 * U64 * (1 + np.abs(middle) / delta)  # x - mean in place of half
    assert_within(y[1, :, 0], exact, off)
    assert_within(y[0, :, 0], -exact, off)


@given(views(), seeds, grids, st.sampled_from([np.float32, np.float64]))
def test_a_shift_changes_nothing(shape, seed, b, dtype):
    """Whole numbers and a shift on their grid: x + b is exact."""
    x = whole_numbers(seed, shape, dtype)
    y, z = xhat_and_stats(x)[0], xhat_and_stats(x + dtype(b))[0]
    assert_within(z, y, slack(y, x))


@given(near, st.integers(-5, 5), st.sampled_from([-1, 1]))
def test_a_power_of_two_scales_to_the_same_bits(x, k, sign):
    """BN(ax; a²eps) = sgn(a) BN(x; eps); outputs of zero may differ in sign."""
    a = sign * 2.0**k
    y, _ = batch_norm_forward(x, eps=EPS)
    z, _ = batch_norm_forward(x * x.dtype.type(a), eps=EPS * a * a)
    if sign > 0:
        assert z.tobytes() == y.tobytes()
    else:
        # the median of five falls on the same item, so that all that changes is signs
        np.testing.assert_array_equal(z, -y)


@given(near, st.floats(0.01, 100))
def test_any_other_factor_scales_to_the_same_values(x, a):
    """In float64, where a*x differs from exact by no more than the rounding of an input, u|x|."""
    x = x.astype(np.float64)
    y, stats = batch_norm_forward(x, eps=EPS)
    z, _ = batch_norm_forward(x * a, eps=EPS * a * a)
    size = np.abs(x).max() * stats[2][:, None] + 1
    assert_within(z, y, slack(y, x) * size + 8 * U64 * size)


@given(near, seeds)
def test_order_within_a_channel_is_kept(x, seed):
    weight = np.random.default_rng(seed).uniform(0.1, 3, x.shape[1]).astype(np.float32)
    y, _ = batch_norm_forward(x, weight, weight)
    for c in range(x.shape[1]):
        order = np.argsort(x[:, c], axis=None)
        assert (np.diff(y[:, c].ravel()[order]) >= 0).all()


@given(near, seeds)
def test_permuting_channels_permutes_the_bits(x, seed):
    order = np.random.default_rng(seed).permutation(x.shape[1])
    dy = np.random.default_rng(seed).normal(0, 1, x.shape).astype(x.dtype)
    y, stats = batch_norm_forward(x)
    z, permuted = batch_norm_forward(np.ascontiguousarray(x[:, order]))
    assert z.tobytes() == np.ascontiguousarray(y[:, order]).tobytes()
    assert permuted.tobytes() == np.ascontiguousarray(stats[:, order]).tobytes()
    dx, dweight, dbias = batch_norm_backward(dy, x, stats)
    ex, eweight, ebias = batch_norm_backward(
        np.ascontiguousarray(dy[:, order]), np.ascontiguousarray(x[:, order]), permuted
    )
    assert ex.tobytes() == np.ascontiguousarray(dx[:, order]).tobytes()
    assert eweight.tobytes() == dweight[order].tobytes()
    assert ebias.tobytes() == dbias[order].tobytes()


@given(near, seeds)
def test_permuting_batch_and_positions_permutes_the_output(x, seed):
    rng = np.random.default_rng(seed)
    samples, positions = rng.permutation(x.shape[0]), rng.permutation(x.shape[2])
    y, stats = batch_norm_forward(x)
    z, permuted = batch_norm_forward(x[samples][:, :, positions])
    assert_within(z, y[samples][:, :, positions], slack(z, x))
    bound = 2 * mean_bound(stats[1], stats[0], x[:, 0].size, x.dtype)
    assert_within(permuted[0], stats[0], bound)


@given(near, seeds)
def test_a_channel_of_nan_leaves_the_others_bitwise_the_same(x, seed):
    y, stats = batch_norm_forward(x)
    c = seed % x.shape[1]
    x[:, c] = np.nan
    z, spoilt = batch_norm_forward(x)
    assert np.isnan(z[:, c]).all()
    others = np.arange(x.shape[1]) != c
    assert z[:, others].tobytes() == y[:, others].tobytes()
    assert spoilt[:, others].tobytes() == stats[:, others].tobytes()


@given(near)
def test_a_batch_twice_over_is_normalized_alike(x):
    y, _ = batch_norm_forward(x)
    z, _ = batch_norm_forward(np.concatenate([x, x]))
    assert_within(z, np.concatenate([y, y]), slack(z, np.concatenate([x, x])))


@given(seeds, st.sampled_from([(3, 2, 5, 4), (2, 4, 1, 300), (20, 3, 7, 7)]), st.booleans())
def test_2d_and_3d_are_1d_on_flattened_positions(seed, shape, training):
    x, dy = np.random.default_rng(seed).normal(0, 2, (2, *shape)).astype(np.float32)
    n, c, h, w = shape
    results = []
    for rank, view in enumerate([(n, c, h * w), shape, (n, c, h, 1, w)], 1):
        layer = cybn.create(f"BatchNorm{rank}d", num_features=c).train(training)
        y = layer(x.reshape(view))
        dx = layer.backward(dy.reshape(view))
        results.append(
            (
                y.tobytes(),
                dx.tobytes(),
                layer.running_var.tobytes(),
                layer.grads["weight"].tobytes(),
                layer.grads["bias"].tobytes(),
            )
        )
    assert results[0] == results[1] == results[2]


@given(batches(views(1 << 12), offsets=(0, 1)), seeds)
def test_evaluation_is_affine(x, seed):
    """eval(ax + (1-a)z) = a eval(x) + (1-a) eval(z), with whole numbers and halves."""
    z, x = whole_numbers(seed, x.shape), whole_numbers(seed + 1, x.shape)
    layer = cybn.BatchNorm1d(x.shape[1]).eval()
    layer.running_mean[:] = np.random.default_rng(seed).normal(0, 1, x.shape[1])
    layer.running_var[:] = np.random.default_rng(seed).uniform(0.5, 2, x.shape[1])
    middle = layer((x + z) / 2)
    size = np.abs(layer(x)) + np.abs(layer(z)) + np.abs(layer(0 * x))
    assert_within(middle, (layer(x) + layer(z)) / 2, 8 * roundoff(np.float32) * size)


@given(batches(offsets=(0, 1)), seeds, st.booleans())
def test_identities_of_the_gradients(x, seed, shifted):
    """Σdx = 0 and Σdx·xhat = weight rstd dweight eps/(var + eps), channel by channel."""
    rng = np.random.default_rng(seed)
    dy = rng.normal(2 * shifted, 1, x.shape).astype(x.dtype)
    weight = rng.normal(0, 1, x.shape[1])
    xhat, stats = xhat_and_stats(x)
    var, rstd = stats[1:]
    dx, dweight, _ = batch_norm_backward(dy, x, stats, weight)
    _, (off, off_dweight, _) = gradients(dy, x, stats, weight)
    m = x.shape[0] * x.shape[2]
    sums = m * U64 * np.abs(dx)
    assert (np.abs(dx.astype(float).sum((0, 2))) <= (off + sums).sum((0, 2))).all()
    expected = weight * rstd * dweight * EPS / (var + EPS)
    bound = ((off + sums) * np.abs(xhat) + np.abs(dx) * slack(xhat, x)).sum((0, 2))
    bound += np.abs(weight * rstd) * off_dweight * EPS / (var + EPS) + 8 * U64 * np.abs(expected)
    assert_within((dx * xhat).sum((0, 2)), expected, bound)


@given(batches(offsets=(0, 1)), st.sampled_from([0.0, 1.0, -2.5, 100.0]))
def test_a_constant_gradient_has_no_effect_on_the_input(x, g):
    dy = np.full_like(x, g)
    _, stats = batch_norm_forward(x, eps=EPS)
    dx, dweight, dbias = batch_norm_backward(dy, x, stats)
    _, (off, off_dweight, _) = gradients(dy, x, stats)
    assert (np.abs(dx) <= off).all()
    assert (np.abs(dweight) <= off_dweight).all()
    assert (dbias == np.float32(g * x[:, 0].size)).all()


@given(near, seeds)
def test_backward_is_linear(x, seed):
    g, h = np.random.default_rng(seed).normal(0, 1, (2, *x.shape)).astype(x.dtype)
    _, stats = batch_norm_forward(x, eps=EPS)
    both = batch_norm_backward(g + h, x, stats)[0]
    parts = [batch_norm_backward(a, x, stats)[0].astype(float) for a in (g, h)]
    off = sum(gradients(a, x, stats)[1][0] for a in (g, h, g + h))
    rounding = roundoff(x.dtype) * np.abs(g + h).max() * stats[2][:, None]
    assert_within(both, parts[0] + parts[1], off + rounding * (3 + np.abs(parts[0]).max()))


@given(near, seeds)
def test_evaluation_passes_the_gradient_through(x, seed):
    rng = np.random.default_rng(seed)
    dy = rng.normal(0, 1, x.shape).astype(x.dtype)
    c = x.shape[1]
    weight, mean, var = rng.normal(0, 1, c), rng.normal(0, 1, c), rng.uniform(0.1, 2, c)
    _, stats = batch_norm_forward(x, weight, None, mean, var, training=False)
    dx, _, _ = batch_norm_backward(dy, x, stats, weight, training=False)
    exact = (weight * stats[2])[:, None] * dy
    assert_within(dx, exact, 3 * roundoff(x.dtype) * np.abs(exact))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(seed=seeds, momentum=st.sampled_from([0.0, 0.1, 0.5, 1.0, None]), count=st.integers(1, 6))
def test_running_statistics_follow_the_formula(dtype, seed, momentum, count):
    rng = np.random.default_rng(seed)
    layer = cybn.BatchNorm1d(3, momentum=momentum, dtype=dtype)
    mean, var = np.zeros(3), np.ones(3)
    for k in range(1, count + 1):
        x = rng.normal(2, 3, (7, 3, 2))
        layer(x)
        step = 1 / k if momentum is None else momentum
        mean += step * (x.mean((0, 2)) - mean)
        var += step * (x.var((0, 2), ddof=1) - var)
    # one rounding to the buffers' dtype and two in float64 for each batch, of values below 2^7
    off = count * (roundoff(dtype) + 16 * U64) * 128
    assert_within(layer.running_mean, mean, off)
    assert_within(layer.running_var, var, off)
    assert layer.num_batches_tracked == count
