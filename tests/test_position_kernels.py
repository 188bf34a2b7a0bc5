"""The kernels of layer and RMS norm over the channels of (N, C, ...): positions as exact as rows.

The checks are those of rows: the same data, one row to a position.
"""

from itertools import product

import numpy as np
import pytest
from oracle import (
    TERMS,
    U64,
    assert_within,
    exact_moments,
    exact_stats,
    exact_xhat,
    mean_bound,
    output_bound,
    roundoff,
    row_gradients,
    var_bound,
)
from rowdata import ABOVE, HOSTILE, SANE, both_dtypes, centrings, data, values
from runs import bits
from test_bitwise import every_level

from cybn.kernels import levels

# N, C, L. Around the borders of the kernels: lanes of 32, few positions, bands of 64 and 512, rows
# of 2048 channels, 64 channels summed in double, shards of bands.
SHAPES = [
    (1, 1, 1), (3, 1, 40), (2, 3, 11), (1, 7, 12), (2, 33, 31), (1, 64, 32), (2, 65, 100),
    (1, 300, 513), (70, 5, 13), (1, 2049, 17), (2, 900, 70), (3, 16, 1100),
]  # fmt: skip
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))


def lines(rows, shape):
    """(N*L, C) as (N, C, L)."""
    n, c, length = shape
    return rows.reshape(n, length, c).transpose(0, 2, 1).copy()


def rows_of(a):
    return a.transpose(0, 2, 1).reshape(-1, a.shape[1])


def run(level, x, dy, shape, centred, *, other=None, threads=1, stream=False, affine=True,
        in_place=False):  # fmt: skip
    """y, stats, dx, dweight and dbias of the kernels of a level, of rows and as rows."""
    n, c, length = shape
    module, dtype = levels.load(level, x.dtype.name), np.dtype(other or x.dtype)
    weight, bias = values(c, dtype) if affine else (None, None)
    dweight, dbias = np.empty((2, c), dtype) if affine else (None, None)
    source, above = lines(x, shape), lines(dy, shape)
    stats, first = np.empty((3, n * length)), source.copy()
    y = source if in_place else np.empty_like(source)
    module.positions_forward(y, stats, source, weight, bias, 1e-5, centred, threads, stream)
    dx = above if in_place else np.empty_like(above)
    module.positions_backward(
        dx, dweight, dbias, above, first, stats, weight, centred, threads, stream
    )
    return {"y": rows_of(y), "stats": stats, "dx": rows_of(dx), "dweight": dweight, "dbias": dbias}


def drawn(shape, dtype, *kinds):
    n, c, length = shape
    return data((n * length, c), dtype, *kinds)


@shapes
@both_dtypes
def test_moments_output_and_gradients_are_exact_within_their_bounds(shape, dtype):
    x, dy = drawn(shape, dtype, SANE)
    c = shape[1]
    weight, bias = values(c, dtype)
    got = run("baseline", x, dy, shape, True)
    mean, var, _ = exact_stats(x[None])
    assert_within(got["stats"][0], mean, mean_bound(var, mean, c, dtype), "mean")
    assert_within(got["stats"][1], var, var_bound(var, mean, c, dtype), "var")

    xhat = exact_xhat(x[None])[0]
    w, b = (np.broadcast_to(a, x.shape).ravel() for a in (weight, bias))
    bound = output_bound(xhat.reshape(-1, 1), w, b, c, dtype)[:, 0]
    assert_within(got["y"].ravel(), w * xhat.ravel() + b, bound, "y")

    exact, bounds = row_gradients(dy, x, got["stats"], weight, 1)
    for name, right, bound in zip(("dx", "dweight", "dbias"), exact, bounds, strict=True):
        assert_within(got[name], right, bound + np.abs(right) * roundoff(dtype), name)


@shapes
@both_dtypes
def test_the_mean_square_too(shape, dtype):
    x, dy = drawn(shape, dtype, SANE)
    c = shape[1]
    weight, bias = values(c, dtype)
    got = run("baseline", x, dy, shape, False)
    moments = [exact_moments(row) for row in x]
    square = np.array([float(var + mean**2) for mean, var in moments])
    u = (min(c, TERMS) + 3) * roundoff(dtype) + (c / 16 + 512) * U64
    assert not got["stats"][0].any()
    assert_within(got["stats"][1], square, u * square, "mean square")
    xhat = x / np.sqrt(square + 1e-5)[:, None]
    bound = (u + 6 * roundoff(dtype)) * (np.abs(weight * xhat) + np.abs(bias))
    assert_within(got["y"], weight * xhat + bias, bound, "y")
    exact, bounds = row_gradients(dy, x, got["stats"], weight, 1, centred=False)
    for name, right, bound in zip(("dx", "dweight", "dbias"), exact, bounds, strict=True):
        assert_within(got[name], right, bound + np.abs(right) * roundoff(dtype), name)


@every_level
@both_dtypes
@centrings
@shapes
def test_threads_stores_and_levels_give_the_same_bits(shape, centred, dtype, level):
    x, dy = drawn(shape, dtype, HOSTILE, ABOVE)
    for affine in (True, False):
        plain = run("baseline", x, dy, shape, centred, affine=affine)
        want = {name: bits(a) for name, a in plain.items()}
        for threads, stream in product([1, 2, 3, 7], [False, True]):
            how = {"threads": threads, "stream": stream, "in_place": threads == 2}
            got = run(level, x, dy, shape, centred, affine=affine, **how)
            wrong = [name for name, a in got.items() if bits(a) != want[name]]
            assert not wrong, (how, wrong)


@both_dtypes
@centrings
@shapes
def test_a_hostile_position_is_what_it_is_as_a_row(shape, centred, dtype):
    """What T cannot do is left to the kernels of rows; the rest is as near as its bound."""
    x, dy = drawn(shape, dtype, HOSTILE, ABOVE)
    got = run("baseline", x, dy, shape, centred)
    module, (weight, bias) = levels.load("baseline", x.dtype.name), values(shape[1], dtype)
    y, stats, dx = np.empty_like(x), np.empty((3, len(x))), np.empty_like(dy)
    how = 1, 1 << 20, False
    module.rows_forward(y[None], stats, x[None], weight, bias, 1, 1e-5, centred, *how)
    module.rows_backward(dx[None], None, None, dy[None], x[None], stats, weight, 1, centred, *how)
    for name, right in (("y", y), ("dx", dx)):
        finite = np.isfinite(right)
        assert (np.isfinite(got[name]) == finite).all(), name
        most = np.max(np.abs(right), axis=1, initial=0, where=finite, keepdims=True)
        near = 1e3 * roundoff(dtype) * (most + np.abs(bias).max() * (name == "y"))
        away = np.abs(np.subtract(got[name], right, where=finite, out=np.zeros_like(right)))
        well = (stats[1] > 1e-4)[:, None]  # beside eps; else the last bits of x are what is divided
        assert (away <= near)[well & finite].all(), name


@every_level
def test_parameters_of_the_other_dtype(level):
    shape = SHAPES[6]
    for dtype, other in ((np.float32, "d"), (np.float64, "f")):
        x, dy = drawn(shape, dtype, SANE)
        plain = run("baseline", x, dy, shape, True, other=other)
        got = run(level, x, dy, shape, True, other=other, threads=3)
        assert list(map(bits, got.values())) == list(map(bits, plain.values()))
        exact, bounds = row_gradients(dy, x, plain["stats"], values(shape[1], other)[0], 1)
        coarse = max(roundoff(dtype), roundoff(other))
        for name, right, bound in zip(("dx", "dweight", "dbias"), exact, bounds, strict=True):
            assert_within(plain[name], right, bound + np.abs(right) * coarse, name)


@both_dtypes
@shapes
def test_what_is_not_finite_stays_in_its_position(shape, dtype):
    x, dy = drawn(shape, dtype, [np.asarray])
    want = run("baseline", x, dy, shape, True)
    x[0, -1] = np.nan
    got = run("baseline", x, dy, shape, True)
    for name in ("y", "dx"):
        assert np.isnan(got[name][0]).any()
        assert bits(got[name][1:]) == bits(want[name][1:])


@both_dtypes
@shapes
def test_constant_positions_give_the_bias_and_no_variance(shape, dtype):
    for value in (1234.0, 0.1, 1e10, -3e7):
        x = np.full((shape[0] * shape[2], shape[1]), value, dtype)
        got = run("baseline", x, np.ones_like(x), shape, True)
        assert got["stats"][0].tolist() == x[:, 0].tolist()
        assert not got["stats"][1].any()
        assert got["y"].tolist() == np.broadcast_to(values(shape[1], dtype)[1], x.shape).tolist()
