"""The kernel of maps: functions, slopes and sums against long doubles, however it is run."""

from itertools import product

import numpy as np
import pytest
from runs import bits
from strategies import DTYPES
from test_bitwise import every_level

from cybn.functional.maps import PIECE, TERMS, Point, maps_of
from cybn.kernels import levels

# (N, C, P) around the borders of the kernel: strips of 32, 4096 places for channels over and over,
# pieces of 65536 items
VIEWS = [
    (1, 1, 1), (3, 2, 1), (2, 3, 31), (2, 3, 32), (3, 5, 33), (1, 33, 70), (2, 31, 300),
    (2, 64, 49), (1, 4100, 3), (2, 7, 20_000), (1, 1, 140_000),
]  # fmt: skip
views = pytest.mark.parametrize("view", VIEWS, ids=lambda v: "x".join(map(str, v)))
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
POINTS = [point for point in Point if point not in (Point.MOMENTS, Point.SWISHED)]
STRAIGHT = Point.THRESHOLD, Point.LINEAR  # with a scale and a shift of their own
NARROW = Point.SWISH, Point.SQUASH  # in the dtype of the data
points = pytest.mark.parametrize("point", POINTS, ids=lambda p: p.name.lower())
sides = pytest.mark.parametrize("axis", [1, -1], ids=["first", "last"])


def function(point, x, v, s, t):
    """f and its slopes along x, v, s and t."""
    none, u = np.zeros_like(x), v * x
    if point is Point.LINEAR:
        return v * (x - t) + s, v + none, x, none + 1, none
    if point is Point.THRESHOLD:
        above = (u + s > t).astype(x.dtype)
        return np.maximum(u + s, t), v * above, x * above, above, 1 - above
    if point is Point.SWISH:
        gate = 1 / (1 + np.exp(-u))
        rise = gate / (1 + np.exp(u))
        return x * gate, gate + u * rise, x * x * rise, none, none
    if point is Point.SQUASH:
        rise = 1 / np.cosh(u) ** 2
        return np.tanh(u), v * rise, x * rise, none, none
    own = u + s
    below = np.maximum(own, t)
    along = -x / below**2
    of_own = np.where(own > t, along, 0)
    return x / below, 1 / below + v * of_own, x * of_own, of_own, along - of_own


def data(view, dtype, seed=0):
    """x, dy, and coefficients of each map; s and t so that both sides of them are met."""
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(0, 2, (2, *view)).astype(dtype)
    v, s, t, a, m, k, c = rng.uniform(0.5, 1.5, (7, *view[:2]))
    return x, dy, (v, s, t), (a, m, k, c)


def bent(point, inside):
    """v, s and t as gradients and sums take them: without a t it is LINEAR."""
    return inside if point is Point.THRESHOLD else (*inside[:2], None)


def moved(a, axis):
    return np.ascontiguousarray(np.moveaxis(a, 1, axis))


@points
@views
@both_dtypes
@sides
def test_output_gradient_and_sums_are_those_of_the_equations(point, view, dtype, axis):
    x, dy, inside, (a, m, k, c) = data(view, dtype)
    wide = [b.astype(np.longdouble) for b in (x, dy)]
    f, f_x, f_v, f_s, f_t = function(point, wide[0], *(b[:, :, None] for b in inside))
    a_, m_, k_, c_ = (b[:, :, None] for b in (a, m, k, c))
    x, dy = moved(x, axis), moved(dy, axis)
    maps = maps_of(x, axis)
    # roundings of the dtype that is computed in, and the one of the output
    u = 16 * (2.0**-24 if point in NARROW and dtype == np.float32 else 2.0**-53)
    once = u + np.finfo(dtype).eps / 2

    def close(got, expected, size, bound):
        assert (abs(got - expected) <= bound * size).all()

    if point in STRAIGHT:
        a_, b = 1.0, 0.0
        y = maps.output(x, point, *inside)
    else:
        b = c_
        y = maps.output(x, point, *inside, a=a, b=c)
    size = abs(a_ * f) + abs(b)
    if point is Point.LINEAR:  # whose two summands may cancel
        size += inside[0][:, :, None] * (abs(wide[0]) + inside[2][:, :, None])
    close(np.moveaxis(y, axis, 1), a_ * f + b, size, once)
    a_ = a[:, :, None]
    linear = (wide[0] - m_) * k_ + c_
    size = abs(wide[1] * a_) * (abs(f_x) + 1) + (abs(wide[0]) + m_) * k_ + c_
    if point in STRAIGHT:
        dx = maps.gradient(dy, x, *bent(point, inside), a, m, k, c)
        sums = maps.sums(dy, x, *bent(point, inside))
    else:
        slopes, sums = maps.slopes(dy, x, point, *inside, a)
        # v·x is rounded, and the slope falls with its exponential; it is 0 somewhere
        narrow = abs(a_ * wide[1]) * (abs(f_x) + abs(f / wide[0]))
        narrow *= 1 + abs(inside[0][:, :, None] * wide[0])
        close(np.moveaxis(slopes, axis, 1), wide[1] * a_ * f_x, narrow, once)
        dx, again = maps.through_moments(dy, x, point, inside, a, lambda sums: (m, k, c))
        assert bits(again) == bits(sums)
    close(np.moveaxis(dx, axis, 1), wide[1] * a_ * f_x + linear, size, 2 * once)
    terms = [np.ones_like(f), f, f_v, f_s, f_t][: TERMS[point]]
    if point in STRAIGHT:
        terms = [f_v, f_s, f_t][: TERMS[point]]
    for got, term in zip(sums, terms, strict=True):
        size = abs(wide[1] * term).sum(2)
        close(got, (wide[1] * term).sum(2), size + 1e-300, 2 * u + view[2] * 2.0**-53)


@views
@both_dtypes
@sides
def test_moments(view, dtype, axis):
    """At a mean of a thousand deviations too."""
    x = (data(view, dtype)[0] + 2000).astype(dtype)
    wide = x.astype(np.longdouble)
    maps = maps_of(moved(x, axis), axis)
    mean, var = maps.moments(moved(x, axis))
    np.testing.assert_allclose(mean, wide.mean(2), rtol=1e-15)
    np.testing.assert_allclose(var, wide.var(2), rtol=1e-12, atol=1e-25)
    squares = maps.squares(moved(x, axis))
    np.testing.assert_allclose(squares, (wide**2).sum(2), rtol=1e-15 + view[2] * 2.0**-53)


SIZES = np.concatenate([10.0 ** np.arange(-30, 3), np.linspace(1e-3, 40, 4001)])


@both_dtypes
@pytest.mark.parametrize("v", [1.0, -0.75])
def test_squash_and_swish_of_every_size(dtype, v):
    """Next to 0, where a tanh is its argument, and where it is nearly flat."""
    x = np.concatenate([SIZES, -SIZES]).astype(dtype).reshape(1, 1, -1)
    maps, ones, wide = maps_of(x, 1), np.ones_like(x), x.astype(np.longdouble)
    for point in NARROW:
        f, f_x, *_ = function(point, wide, np.longdouble(v), 0, 0)
        # the argument is rounded, too, and an exponential makes that larger by its size
        u = 5 * np.finfo(dtype).eps * (1 + abs(v * wide))
        assert (abs(maps.output(x, point, v) - f) <= u * abs(f) + 1e-37).all()
        dx, _ = maps.slopes(ones, x, point, v)
        # of SWISH it is 0 at one place
        flat = abs(f / x) if point is Point.SWISH else 0
        u = 8 * np.finfo(dtype).eps * (1 + abs(v * wide))
        assert (abs(dx - f_x) <= u * (abs(f_x) + flat) + 1e-37).all()


@views
@both_dtypes
@sides
def test_products_with_a_swish_and_its_slope(view, dtype, axis):
    x, dy, (v, *_), (a, *_) = data(view, dtype)
    wide, upstream = x.astype(np.longdouble), dy.astype(np.longdouble)
    f, f_x, *_ = function(Point.SWISH, wide, v[:, :, None], 0, 0)
    x, dy = moved(x, axis), moved(dy, axis)
    maps, size = maps_of(x, axis), abs(upstream * a[:, :, None])
    for point, by in ((Point.SWISHED, f), (Point.SWISH, f_x)):
        got = np.moveaxis(maps.product(dy, x, point, v, a), axis, 1)
        slack = 8 * np.finfo(dtype).eps * size * (abs(by) + abs(f / wide))
        slack *= 1 + abs(wide * v[:, :, None])
        assert (abs(got - upstream * a[:, :, None] * by) <= slack).all()


@pytest.mark.parametrize("size", [1e-34, 1e34])
def test_coefficients_that_float32_has_not_all_digits_of(size):
    """They are computed in double, and what comes out is rounded once."""
    x, dy, (v, *_), _ = data((2, 3, 40), np.float32)
    x, a = x * np.float32(size**-0.5), np.full((2, 3), size)
    wide, upstream, maps = x.astype(np.longdouble), dy.astype(np.longdouble), maps_of(x, 1)
    with np.errstate(over="ignore"):
        f, f_x, f_v, *_ = function(Point.SWISH, wide, v[:, :, None], 0, 0)
    y = maps.output(x, Point.SWISH, v, a=a)
    dx, sums = maps.slopes(dy, x, Point.SWISH, v, a=a)
    np.testing.assert_allclose(y, (f * size).astype(float), 2.0**-23.9, 1e-45)
    np.testing.assert_allclose(dx, (upstream * f_x * size).astype(float), 2.0**-23.9, 1e-45)
    for got, term in zip(sums, (upstream, upstream * f, upstream * f_v), strict=True):
        close = 1e-13 * abs(term).sum(2)
        assert (abs(got - term.sum(2)) <= close).all()


@both_dtypes
@points
def test_what_is_not_finite_comes_out(point, dtype):
    x = np.array([[[np.nan, np.inf, -np.inf, 1.0]]], dtype)
    y = maps_of(x, 1).output(x, point, 1.0, 0.0, 2.0).ravel()
    assert np.isnan(y[0])
    assert np.isfinite(y[3])
    if point is Point.SQUASH:
        assert y[1:3].tolist() == [1, -1]
    if point is Point.LINEAR:
        assert y[1:3].tolist() == [np.inf, -np.inf]
    if point is Point.THRESHOLD:
        assert y[1:3].tolist() == [np.inf, 2]
        assert np.isnan(maps_of(x, 1).output(x, point, 1.0, 0.0, np.nan)).all()


def run(level, point, x, dy, coefs, last, threads, in_place):
    """Every output of the kernel at a level."""
    module = levels.load(level, x.dtype.name)
    samples, channels, positions = (x.shape[0], *x.shape[:0:-1]) if last else x.shape
    pieces = -(-positions // max(1, PIECE // channels)) if last else 1
    sums = np.zeros((TERMS[point], samples * pieces, channels))
    how, packed = (last, int(point), 0, threads), [b.reshape(-1, channels) for b in coefs]
    flat = sums.reshape(-1, channels)
    if point is Point.MOMENTS:
        module.map_points(None, x, None, packed[0], flat, *how)
        return [bits(sums)]
    y, dx = (b.copy() if in_place else np.empty_like(b) for b in (x, dy))
    if point is Point.SWISHED:
        module.map_points(dx, x, dx if in_place else dy, np.concatenate(packed), None, *how)
        return [bits(dx)]
    module.map_points(y, y if in_place else x, None, np.concatenate(packed[:5]), None, *how)
    upstream = dx if in_place else dy
    if point in STRAIGHT:
        module.map_points(None, x, dy, np.concatenate(packed[:3]), flat, *how)
        module.map_points(dx, x, upstream, np.concatenate(packed), None, *how)
    else:
        module.map_points(dx, x, upstream, np.concatenate(packed[:4]), flat, *how)
    return [bits(b) for b in (y, dx, sums)]


@every_level
@pytest.mark.parametrize("point", Point, ids=lambda p: p.name.lower())
@views
@both_dtypes
@sides
def test_the_same_bits_at_any_level_with_any_threads_and_in_place(level, point, view, dtype, axis):
    x, dy, inside, outside = data(view, dtype)
    x, dy = moved(x, axis), moved(dy, axis)
    coefs = inside + outside
    expected = run("baseline", point, x, dy, coefs, axis == -1, 1, False)
    for threads, in_place in product((1, 2, 3), (False, True)):
        assert run(level, point, x, dy, coefs, axis == -1, threads, in_place) == expected


@every_level
@pytest.mark.parametrize("dtype", [np.float16, "bfloat16"])
@pytest.mark.parametrize("view", [(2, 3, 31), (2, 3, 32), (3, 5, 70), (1, 33, 70)], ids=str)
@points
@sides
def test_words_give_the_bits_of_float32_rounded(level, dtype, view, point, axis):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes").bfloat16
    x, dy, inside, outside = data(view, np.float32)
    x, dy = (moved(a, axis).astype(dtype) for a in (x, dy))
    wide, upstream = x.astype(np.float32), dy.astype(np.float32)
    maps, own = maps_of(wide, axis), maps_of(x, axis)
    a, b = outside[0], outside[3]
    expected = maps.output(wide, point, *inside, a, b).astype(dtype)
    assert bits(own.output(x, point, *inside, a, b)) == bits(expected)
    assert [bits(s) for s in own.moments(x)] == [bits(s) for s in maps.moments(wide)]
    if point in STRAIGHT:
        at = bent(point, inside)
        dx, sums = maps.gradient(upstream, wide, *at, *outside), maps.sums(upstream, wide, *at)
        pair = own.gradient(dy, x, *at, *outside), own.sums(dy, x, *at)
    else:
        follow = inside, a, lambda sums: outside[1:]
        dx, sums = maps.through_moments(upstream, wide, point, *follow)
        pair = own.through_moments(dy, x, point, *follow)
    assert [bits(s) for s in pair] == [bits(dx.astype(dtype)), bits(sums)]
    y = np.empty_like(x).view(np.uint16)
    coefs = np.concatenate([c.reshape(-1, view[1]) for c in (*inside, a, b)])
    words = 1 if dtype is np.float16 else 2
    levels.load(level, "float32").map_points(
        y, x.view(np.uint16), None, coefs, None, axis == -1, int(point), words, 1
    )
    assert bits(y.view(dtype)) == bits(expected)


@sides
@points
def test_shared_coefficients_are_those_of_every_sample(point, axis):
    x, dy, inside, _ = data((3, 5, 40), np.float32)
    x, dy = moved(x, axis), moved(dy, axis)
    shared = [a[0] for a in inside]
    spread = [np.repeat(a[:1], 3, 0) for a in inside]
    maps = maps_of(x, axis)
    assert bits(maps.output(x, point, *shared)) == bits(maps.output(x, point, *spread))
    once = maps_of(x, axis, shared=True)
    if point in STRAIGHT:
        each = maps.sums(dy, x, *bent(point, spread))
        got = once.sums(dy, x, *bent(point, shared))
    else:
        _, each = maps.slopes(dy, x, point, *spread)
        _, got = once.slopes(dy, x, point, *shared)
    np.testing.assert_allclose(got.sum(1), each.sum(1), rtol=1e-12)
