"""The kernels of the norms of a sample: exactness, and the same bits however they are run."""

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
    spread,
    var_bound,
)
from rowdata import ABOVE, HOSTILE, SANE, both_dtypes, centrings, data, values
from runs import HUGE, bits
from test_bitwise import every_level

from cybn.kernels import levels

# rows, n, run and the number of values of weight: layer norm, then group and instance norm. Around
# the borders of the kernels: lanes of 32, runs from 32 on, cells of 2048, shards of 32 rows.
LAYER = [
    (1, 1, 1, 1), (3, 2, 1, 2), (33, 3, 1, 3), (7, 31, 1, 31), (64, 32, 1, 32), (65, 33, 1, 33),
    (300, 49, 1, 49), (70, 300, 1, 300), (3000, 7, 1, 7), (1, 5000, 1, 5000), (33, 2049, 1, 2049),
    (2, 100_000, 1, 100_000),
]  # fmt: skip
GROUP = [
    (1, 3, 3, 1), (12, 4, 1, 16), (40, 6, 3, 4), (9, 98, 49, 6), (6, 62, 31, 4), (6, 64, 32, 4),
    (200, 64, 64, 5), (12, 600, 200, 9), (6, 4098, 2049, 2), (64, 49, 49, 64), (5, 20_000, 5000, 4),
    (40, 400, 200, 2), (2, 100_000, 50_000, 4),
]  # fmt: skip
shapes = pytest.mark.parametrize("shape", LAYER + GROUP, ids=lambda s: "x".join(map(str, s)))


def run(level, x, dy, shape, centred, *, other=None, threads=1, cache=HUGE, stream=False,
        affine=True, in_place=False):  # fmt: skip
    """y, stats, dx, dweight and dbias of the kernels of a level."""
    _, _, repeat, count = shape
    module, dtype = levels.load(level, x.dtype.name), np.dtype(other or x.dtype)
    how = threads, cache, stream
    weight, bias = values(count, dtype) if affine else (None, None)
    dweight, dbias = np.empty((2, count), dtype) if affine else (None, None)
    stats, source, dx = np.empty((3, len(x))), x.copy(), dy.copy()
    y = source if in_place else np.empty_like(x)
    module.rows_forward(y[None], stats, source[None], weight, bias, repeat, 1e-5, centred, *how)
    above = dx if in_place else dy
    module.rows_backward(
        dx[None], dweight, dbias, above[None], x[None], stats, weight, repeat, centred, *how
    )
    return {"y": y, "stats": stats, "dx": dx, "dweight": dweight, "dbias": dbias}


@shapes
@both_dtypes
def test_moments_output_and_gradients_are_exact_within_their_bounds(shape, dtype):
    x, dy = data(shape, dtype, SANE)
    n, repeat, count = shape[1:]
    weight, bias = values(count, dtype)
    got = run("baseline", x, dy, shape, True)
    mean, var, _ = exact_stats(x[None])
    assert_within(got["stats"][0], mean, mean_bound(var, mean, n, dtype), "mean")
    assert_within(got["stats"][1], var, var_bound(var, mean, n, dtype), "var")

    xhat = exact_xhat(x[None])[0]
    w, b = (spread(a, repeat, x.shape).ravel() for a in (weight, bias))
    bound = output_bound(xhat.reshape(-1, 1), w, b, n, dtype)[:, 0]
    assert_within(got["y"].ravel(), w * xhat.ravel() + b, bound, "y")

    exact, bounds = row_gradients(dy, x, got["stats"], weight, repeat)
    for name, right, bound in zip(("dx", "dweight", "dbias"), exact, bounds, strict=True):
        # gradients come in the parameters' dtype
        assert_within(got[name], right, bound + np.abs(right) * roundoff(dtype), name)


@shapes
@both_dtypes
def test_the_mean_square_too(shape, dtype):
    x, dy = data(shape, dtype, SANE)
    n, repeat, count = shape[1:]
    weight, bias = values(count, dtype)
    got = run("baseline", x, dy, shape, False)
    moments = [exact_moments(row) for row in x]
    square = np.array([float(var + mean**2) for mean, var in moments])
    u = (min(n, TERMS) + 3) * roundoff(dtype) + (n / 16 + 512) * U64
    assert not got["stats"][0].any()
    assert_within(got["stats"][1], square, u * square, "mean square")
    xhat = x / np.sqrt(square + 1e-5)[:, None]
    w, b = (spread(a, repeat, x.shape) for a in (weight, bias))
    bound = (u + 6 * roundoff(dtype)) * (np.abs(w * xhat) + np.abs(b))
    assert_within(got["y"], w * xhat + b, bound, "y")
    exact, bounds = row_gradients(dy, x, got["stats"], weight, repeat, centred=False)
    for name, right, bound in zip(("dx", "dweight", "dbias"), exact, bounds, strict=True):
        assert_within(got[name], right, bound + np.abs(right) * roundoff(dtype), name)


@every_level
@both_dtypes
@centrings
@shapes
def test_threads_walks_stores_and_levels_give_the_same_bits(shape, centred, dtype, level):
    x, dy = data(shape, dtype, HOSTILE, ABOVE)
    for affine in (True, False):
        plain = run("baseline", x, dy, shape, centred, affine=affine)
        want = {name: bits(a) for name, a in plain.items()}
        for threads, cache in product([1, 2, 3, 7], [0, HUGE]):
            how = {"threads": threads, "cache": cache, "stream": (threads + (cache > 0)) % 2 > 0,
                   "in_place": threads == 2}  # fmt: skip
            got = run(level, x, dy, shape, centred, affine=affine, **how)
            wrong = [name for name, a in got.items() if bits(a) != want[name]]
            assert not wrong, (how, wrong)


@every_level
@pytest.mark.parametrize("shape", [LAYER[6], GROUP[4], GROUP[7]], ids=str)
def test_parameters_of_the_other_dtype(shape, level):
    """They are taken as they are; gradients come rounded to them."""
    for dtype, other in ((np.float32, "d"), (np.float64, "f")):
        x, dy = data(shape, dtype, SANE)
        plain = run("baseline", x, dy, shape, True, other=other)
        got = run(level, x, dy, shape, True, other=other, threads=3, cache=0)
        assert list(map(bits, got.values())) == list(map(bits, plain.values()))
        exact, bounds = row_gradients(dy, x, plain["stats"], values(shape[3], other)[0], shape[2])
        coarse = max(roundoff(dtype), roundoff(other))
        for name, right, bound in zip(("dx", "dweight", "dbias"), exact, bounds, strict=True):
            assert_within(plain[name], right, bound + np.abs(right) * coarse, name)


@both_dtypes
@shapes
def test_what_is_not_finite_stays_in_its_row(shape, dtype):
    x, dy = data(shape, dtype, [np.asarray])
    want = run("baseline", x, dy, shape, True)
    x[0, -1] = np.nan
    got = run("baseline", x, dy, shape, True)
    for name in ("y", "dx"):
        assert np.isnan(got[name][0]).any()
        assert bits(got[name][1:]) == bits(want[name][1:])


@both_dtypes
@shapes
def test_constant_rows_give_the_bias_and_no_variance(shape, dtype):
    repeat, count = shape[2:]
    for value in (1234.0, 0.1, 1e10, -3e7):
        x = np.full(shape[:2], value, dtype)
        got = run("baseline", x, np.ones_like(x), shape, True)
        assert got["stats"][0].tolist() == x[:, 0].tolist()
        assert not got["stats"][1].any()
        assert got["y"].tolist() == spread(values(count, dtype)[1], repeat, x.shape).tolist()
