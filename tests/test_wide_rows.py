"""Norms of a sample, and local response, where data or float32 run out of range: exact oracle."""

import numpy as np
import pytest
from oracle import assert_near, exact_norm
from sixteen import BFLOAT16, FLOAT16, finfo, words
from strategies import view_id

from cybn.kernels import of

# n and run: layer norm, group norm of short and long runs, instance norm, cells of 2048
SHAPES = [(2, 1), (48, 1), (700, 1), (2100, 1), (96, 6), (512, 128), (49, 49), (2100, 2100)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=view_id)
centrings = pytest.mark.parametrize("centred", [True, False], ids=["centred", "rms"])
scales = pytest.mark.parametrize("scale", [1e-44, 1e-37, 1e-20, 1.0, 1e20, 1e30, 1e38])
ROWS = 40  # more than a shard; the second is looked at


def normalize_rows(y, stats, x, *rest):
    of[x.dtype].rows_forward(words(y)[None], stats, words(x)[None], *rest)


def gradient_rows(dx, dweight, dbias, dy, x, *rest):
    data = (words(a)[None] for a in (dx, dy, x))
    of[x.dtype].rows_backward(next(data), dweight, dbias, *data, *rest)


def data(n, offset=0.0):
    rng = np.random.default_rng(n)
    x = rng.uniform(-3, 3, (ROWS, n)).astype(np.float32)
    return x, (offset + rng.uniform(-1.7, 1.7, (ROWS, n))).astype(np.float32)


def scaled(a, scale):
    """a with its second row scaled, in its dtype."""
    a = a.copy()
    with np.errstate(under="ignore"):
        a[1] = (a[1].astype(np.float64) * scale).astype(a.dtype)
    return a


def check(x, dy, shape, centred, weight=1.0, eps=1e-5, affine=True, threads=1, cache=1 << 40,
          units=64, dtype=np.float64):  # fmt: skip
    """The second row, and the first, which is as plain as data are."""
    n, run = shape
    values = n // run
    how = (threads, cache, False)
    w, b = (np.linspace(1, 2, values).astype(dtype) * dtype(weight), np.full(values, 0.5, dtype))
    dw, db = np.empty((2, values), dtype)
    stats, y, dx = np.empty((3, len(x))), np.empty_like(x), np.empty_like(x)
    if not affine:
        w = b = dw = db = None
    normalize_rows(y, stats, x, w, b, run, eps, centred, *how)
    gradient_rows(dx, dw, db, dy, x, stats, w, run, centred, *how)
    each = np.repeat(w, run).astype(float) if affine else 1.0
    bias = 0.5 if affine else 0.0
    out = float(finfo(x.dtype).eps) / 2
    u = min(out, 2.0**-24)  # sixteen bits are computed with in float32, and rounded once
    once, least = (out if out > u else 0), float(finfo(x.dtype).smallest_subnormal)
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    plain = np.delete(x, 1, 0)
    mean = plain.mean(1, keepdims=True) if centred else 0.0
    parts = (plain - mean) / np.sqrt(((plain - mean) ** 2).mean(1, keepdims=True) + eps)
    parts = list(parts * np.delete(dy, 1, 0))  # dy*xhat of each row
    for r in (0, 1):
        exact = exact_norm(x[r], dy[r], each, bias, eps, centred)
        assert_near(y[r], exact[0], (units * u + once) / out, "y")
        g = dy[r] * np.broadcast_to(each, n)
        remains = stats[2, r] * (np.std(g) if centred else np.sqrt(np.mean(g**2)))
        finite, most = np.abs(exact[1]) < float(finfo(dx.dtype).max), np.abs(exact[1]).max()
        error = np.abs(dx[r].astype(np.float64) - exact[1])
        bound = units * u * max(remains, most) + once * most + max(least, 2.0**-149)
        assert (error[finite] <= bound).all(), (r, error[finite].max(), bound)
    if affine:
        parts.append(exact[2])
        total = [np.sum(parts, 0), dy.sum(0)]
        sizes = np.abs(dy).sum(0)
        about = [np.abs(parts).sum(0) + sizes, sizes]  # xhat is right to what its mean is
        for got, right, size in zip((dw, db), total, about, strict=True):
            right, size = (a.reshape(values, run).sum(1) for a in (right, size))
            error = np.abs(got - right)
            assert (error <= units * (u + np.finfo(dtype).eps) * size + 2.0**-149).all()


@scales
@centrings
@shapes
def test_x_of_any_size(shape, centred, scale):
    x, dy = data(shape[0])
    check(scaled(x, scale), dy, shape, centred)
    check(scaled(x, scale), scaled(dy, scale), shape, centred, eps=1e-80, affine=False)


@centrings
@shapes
def test_opposites_whose_squares_float32_cannot_hold(shape, centred):
    # Most of them are 0, and the rest add up to 0: float32 sees a constant.
    x, dy = data(shape[0])
    x[1] = 0
    x[1, :2] = -1e-37, 1e-37
    check(x, dy, shape, centred, eps=1e-80, affine=False)


@scales
@centrings
@shapes
def test_dy_of_any_size(shape, centred, scale):
    x, dy = data(shape[0])
    check(x, scaled(dy, scale), shape, centred)
    check(x, scaled(dy, scale), shape, centred, affine=False, threads=2, cache=0)


@scales
@centrings
@shapes
def test_weight_of_any_size(shape, centred, scale):
    x, dy = data(shape[0])
    check(x, dy, shape, centred, weight=scale / 2)
    check(scaled(x, scale), dy, shape, centred, weight=1 / scale, eps=1e-80)
    if 1e-38 < scale < 1e38:
        check(x, dy, shape, centred, weight=scale / 2, dtype=np.float32)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(FLOAT16, s) for s in (1e-7, 1e-3, 1.0, 1e4)]
    + [(BFLOAT16, s) for s in (1e-39, 1e-37, 1e-20, 1.0, 1e20, 1e38)],
    ids=str,
)
@centrings
@shapes
def test_sixteen_bits_of_any_size(shape, centred, dtype, scale):
    x, dy = (a.astype(dtype) for a in data(shape[0]))
    check(scaled(x, scale), dy, shape, centred)
    check(scaled(x, scale), scaled(dy, scale), shape, centred, eps=1e-80, affine=False)
    check(x, scaled(dy, scale), shape, centred, threads=2, cache=0)
    check(x, dy, shape, centred, weight=scale / 2)
    check(scaled(x, scale), dy, shape, centred, weight=1 / scale, eps=1e-80)


@pytest.mark.parametrize("ratio", [1.0, 15.0, 17.0, 1e3, 1e6])
@centrings
@shapes
def test_dy_with_a_large_mean(shape, centred, ratio):
    x, dy = data(shape[0])
    dy = (dy + ratio).astype(np.float32)
    check(x, dy, shape, centred, affine=False, units=256)
    check(x, dy, shape, centred, affine=False, units=256, threads=3, cache=0)


@pytest.mark.parametrize("value", [1.0, 0.1, 3e37])
@shapes
def test_a_constant_dy_gives_no_gradient_at_all(shape, value):
    x, _ = data(shape[0])
    dy, dx, stats = np.full_like(x, value), np.empty_like(x), np.empty((3, len(x)))
    how = (shape[1], 1e-5, True, 1, 1 << 40, False)
    normalize_rows(np.empty_like(x), stats, x, None, None, *how)
    gradient_rows(dx, None, None, dy, x, stats, None, shape[1], *how[2:])
    assert not dx.any()


@pytest.mark.parametrize("scale", [1e-300, 1e140, 1e160, 1e300, 0.5e308])
@centrings
@shapes
def test_float64_beyond_the_squares_that_it_holds(shape, centred, scale):
    x, dy = (a.astype(np.float64) for a in data(shape[0]))
    x[1] *= scale
    check(x, dy, shape, centred, units=256)


def exact_response(x, dy, size, alpha, beta, k):
    """y and dx of local response norm over axis 1, in extended precision."""

    def windows(a, before, after):
        places = range(a.shape[1])
        return np.stack([a[:, max(0, i - before) : i + after + 1].sum(1) for i in places], 1)

    x, dy = x.astype(np.longdouble), dy.astype(np.longdouble)
    before, after = size // 2, (size - 1) // 2
    s = k + np.longdouble(alpha) / size * windows(x * x, before, after)
    y = x * s ** -np.longdouble(beta)
    slopes = windows(dy * y / s, after, before)
    dx = dy * s ** -np.longdouble(beta)
    return y, dx - 2 * np.longdouble(beta) * np.longdouble(alpha) / size * x * slopes


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 10_000, reason="no type beyond float64")
@pytest.mark.parametrize("k", [0.0, 1.0])
@pytest.mark.parametrize("beta", [0.5, 0.75, 1.0, 0.6])
@pytest.mark.parametrize("scale", [1e-37, 1e-20, 1.0, 1e10, 1e19, 1e30, 1e38])
@pytest.mark.parametrize("shape", [(2, 7, 11), (3, 40, 1), (1, 3, 1500)], ids=view_id)
def test_local_response_of_any_size(shape, scale, beta, k):
    rng = np.random.default_rng(0)
    x = (rng.uniform(1, 3, shape) * rng.choice([-1, 1], shape) * scale).astype(np.float32)
    for above in (1e-20, 1.0, 1e20, 1e38):
        dy = (rng.uniform(-3, 3, shape) * above).astype(np.float32)
        args = (5, 0.1, beta, k)
        right, slopes = exact_response(x, dy, *args)
        y = np.empty_like(x)
        of[x.dtype].response_forward(y, x, *args, 2)
        assert_near(y.ravel(), right.ravel(), 16, "y")
        of[x.dtype].response_backward(dy, dy, x, *args, 1)
        assert_near(dy.ravel(), slopes.ravel(), 32, "dx")
