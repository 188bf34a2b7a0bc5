"""What is right, computed exactly over the stored floats, and how far a kernel may be from it.

With u the unit roundoff of x's dtype, u64 that of float64, m values per channel of standard
deviation sigma, and k the item that a kernel subtracts from all the others:

- In x's dtype at most TERMS = 100 numbers meet in one partial sum: 64 to a lane and one more for
  the remainder of each row, at most 31 rows of 65 items, and 5 for folding. Beyond that sums are
  in float64, where it takes fewer than m/16 + 512 additions.
- Rows whose (mean - k)^2 > 3 sigma^2 are summed again in float64, so Σ|x - k|/m <= 2 sigma and
  Σ(x - k)^2 <= 4 m sigma^2. Hence the mean is within 2 TERMS u sigma, and the variance within
  4 (TERMS + 3) u of itself, hence rstd within 206 u. In columns, where a quarter as many numbers
  meet, up to four times as much is allowed of (mean - k)^2 + sigma^2, which comes to less.
- Chan, Golub and LeVeque's bound for two passes, constants written out, is
  (m + 3) u + m^2 u^2 (1 + mean^2/var). Both must hold.
"""

from fractions import Fraction
from math import isqrt

import numpy as np
from sixteen import finfo

from cybn import reference

U64 = 2.0**-53
TERMS = 100


def roundoff(dtype):
    return float(np.finfo(dtype).eps) / 2


def exact_moments(values):
    """Mean and biased variance of finite floats as Fractions: integers over one power of two."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64).ravel())
    low = int(exponent.min()) - 53
    whole = (mantissa * 2.0**53).astype(np.int64).tolist()
    items = [w << (e - 53 - low) for w, e in zip(whole, exponent.tolist(), strict=True)]
    n, total = len(items), sum(items)
    unit = Fraction(2) ** low
    mean = Fraction(total, n) * unit
    var = Fraction(n * sum(i * i for i in items) - total * total, n * n) * unit * unit
    return mean, var


def exact_stats(x, eps=1e-5):
    """The (3, C) statistics of (N, C, L) data, each correctly rounded but for rstd's two ulps."""
    moments = [exact_moments(x[:, c]) for c in range(x.shape[1])]
    mean = [float(mean) for mean, _ in moments]
    var = [float(var) for _, var in moments]
    rstd = [1 / np.sqrt(float(var + Fraction(eps))) for _, var in moments]
    return np.array([mean, var, rstd])


def exact_xhat(x, eps=1e-5):
    """(x - mean)/sqrt(var + eps) of (N, C, L) data in float64, right to 4 u64."""
    result = np.empty(x.shape)
    for c in range(x.shape[1]):
        mean, var = exact_moments(x[:, c])
        away = [float(Fraction(v) - mean) for v in x[:, c].ravel().tolist()]
        rstd = 1 / np.sqrt(float(var + Fraction(eps)))
        result[:, c] = np.reshape(away, x[:, c].shape) * rstd
    return result


def _root(value):
    """The square root of a Fraction, right to 60 digits."""
    shift = 2 * max(0, 200 + value.denominator.bit_length() - value.numerator.bit_length())
    return Fraction(isqrt((value.numerator << shift) // value.denominator), 1 << shift // 2)


def _rounded(value):
    """A Fraction of 200 bits near another: products of long ones would take for ever."""
    size = value.numerator.bit_length() - value.denominator.bit_length()
    unit = Fraction(2) ** (size - 200)
    return round(value / unit) * unit


def _floats(values):
    most = Fraction(np.finfo(np.float64).max)
    return np.array([float(v) if abs(v) <= most else np.copysign(np.inf, v) for v in values])


def exact_norm(x, dy, weight, bias, eps, centred=True):
    """y, dx, dy*xhat and their sums of a norm over all of x, from Fractions, as float64.

    x and dy have one axis; weight and bias one value for each item, or are numbers.
    """
    weight, bias = np.broadcast_to(weight, x.shape), np.broadcast_to(bias, x.shape)
    x, dy, weight, bias = ([Fraction(v) for v in a.tolist()] for a in (x, dy, weight, bias))
    m = len(x)
    mean = sum(x) / m if centred else 0
    away = [v - mean for v in x]
    rstd = 1 / _rounded(_root(sum(v * v for v in away) / m + Fraction(eps)))
    xhat = [_rounded(v * rstd) for v in away]
    g = [a * w for a, w in zip(dy, weight, strict=True)]
    g_mean = sum(g) / m if centred else 0
    along = sum(a * h for a, h in zip(g, xhat, strict=True)) / m
    y = [h * w + b for h, w, b in zip(xhat, weight, bias, strict=True)]
    dx = [rstd * (a - g_mean - h * along) for a, h in zip(g, xhat, strict=True)]
    products = [a * h for a, h in zip(dy, xhat, strict=True)]
    return (*map(_floats, (y, dx, products)), *_floats([sum(products), sum(dy)]))


def mean_bound(var, mean, m, dtype):
    """|mean - exact| at most; the last rounding is that of the float64 it is kept in."""
    terms = min(m, 2 * TERMS) * roundoff(dtype) + (m / 8 + 512) * U64
    return terms * np.sqrt(var) + 2 * U64 * np.abs(mean)


def var_bound(var, mean, m, dtype):
    """|var - exact| at most: the lower of the two-pass bound and of the kernels' own."""
    u = roundoff(dtype)
    two_pass = (m + 3) * u * var + (m * u) ** 2 * (var + mean**2)
    own = (4 * (TERMS + 3) * u + (m / 4 + 2048) * U64) * var
    return np.minimum(two_pass, own)


def _stats_terms(m, dtype):
    """How many u a mean, relative to sigma, and rstd, relative to itself, may be off."""
    return min(m + 3, 2 * (TERMS + 3)) + (m / 8 + 1024) * U64 / roundoff(dtype)


def output_bound(xhat, weight, bias, m, dtype):
    """|y - exact|: statistics, then six roundings of terms no larger than xhat + 1 and bias."""
    u, (w, b) = roundoff(dtype), (np.abs(np.reshape(a, (-1, 1))) for a in (weight, bias))
    return u * (_stats_terms(m, dtype) + 6) * w * (1 + np.abs(xhat)) + 6 * u * b


def gradients(dy, x, stats, weight=1.0, training=True):
    """dx, dweight, dbias for (N, C, L) arrays, and a bound for the error of each.

    The sums take TERMS roundings and dy*xhat five more; then as output_bound, term by term. The
    formula takes the mean as it is given, rounded to float64; what is summed again in double takes
    Σ xhat = 0, which is so about the mean that is not rounded. `away` is the difference in xhat.
    """
    mean, _, rstd = stats
    twin = reference.backward_training if training else reference.backward_inference
    exact = twin(dy, x, mean, 1 / rstd**2, weight, eps=0.0)
    g = np.abs(np.asarray(dy, np.float64))
    xhat = np.abs((x.astype(np.float64) - mean[:, None]) * rstd[:, None])
    m = x.shape[0] * x.shape[2]
    u = roundoff(x.dtype)
    sums = (min(m, TERMS) + 8) * u + (m / 16 + 512) * U64
    stat = _stats_terms(m, x.dtype) * u
    sum_g, sum_gx = g.sum((0, 2)), (g * xhat).sum((0, 2))
    dbias = sums * sum_g
    away = U64 * np.abs(mean) * rstd
    dweight = (sums + stat) * (sum_gx + sum_g) + away * sum_g
    scale = np.abs(np.reshape(weight, (-1, 1)) * rstd[:, None])
    both = ((sum_g + sum_gx) / m)[:, None]
    dx = scale * ((sums + 2 * stat + 10 * u) * (1 + xhat) * (both if training else 0))
    dx = dx + scale * (stat + 10 * u) * g
    if training:
        dx = dx + scale * (away / m)[:, None] * (xhat * sum_g[:, None] + sum_gx[:, None])
    return exact, (dx, dweight, dbias)


def row_gradients(dy, x, stats, weight, run, centred=True):
    """dx, dweight, dbias for x of (rows, n) and weight (K,), and a bound for the error of each.

    As in gradients; g = dy*weight takes one rounding more, and at most TERMS items meet in one
    partial sum of dweight and dbias too.
    """
    mean, _, rstd = stats[:, :, None]
    n, u = x.shape[1], roundoff(x.dtype)
    w, fold = spread(weight, run, x.shape), lambda a: fold_values(a, run, np.size(weight))
    dy = np.asarray(dy, np.float64)
    xhat = (x.astype(np.float64) - mean) * rstd
    g = dy * w
    through_mean = g.mean(1, keepdims=True) if centred else 0
    dx = rstd * (g - through_mean - xhat * (g * xhat).mean(1, keepdims=True))
    exact = dx, fold(dy * xhat), fold(dy)
    stat = _stats_terms(n, x.dtype) * u
    more = 8 * u + (x.size / 16 + 512) * U64
    both = np.abs(g) * (1 + np.abs(xhat))
    dx = (min(n, TERMS) * u + more + 2 * stat + 12 * u) * (1 + np.abs(xhat))
    dx = rstd * (dx * both.mean(1, keepdims=True) + (stat + 12 * u) * np.abs(g))
    sums = TERMS * u + more
    dweight = (sums + stat) * fold(np.abs(dy) * (1 + np.abs(xhat)))
    return exact, (dx, dweight, sums * fold(np.abs(dy)))


def spread(values, run, shape):
    """What of the (K,) values lies on each item of (rows, n)."""
    rows, n = shape
    table = np.repeat(np.asarray(values, np.float64), run).reshape(-1, n)
    return table[np.arange(rows) % len(table)]


def fold_values(a, run, count):
    """The sums of (rows, n) over the items that share one of `count` values."""
    return a.reshape(-1, count, run).sum((0, 2))


def assert_within(got, exact, bound, what=""):
    """|got - exact| <= bound everywhere; says where it is exceeded most."""
    got, exact = np.asarray(got, np.float64), np.asarray(exact, np.float64)
    error = np.abs(got - exact)
    bad = ~(error <= bound + np.finfo(np.float32).tiny)
    if bad.any():
        bound = np.broadcast_to(bound, error.shape)
        at = np.unravel_index(np.argmax(np.where(bad, error / (bound + 1e-300), 0)), error.shape)
        raise AssertionError(
            f"{what} at {at}: got {got[at]!r}, exact {exact[at]!r}, off by {error[at]:.3g}, "
            f"bound {bound[at]:.3g}; {bad.sum()} of {bad.size} are off"
        )


def assert_near(got, exact, units, what=""):
    """Right to so many roundings of the largest exact value; infinite where it is beyond dtype."""
    got, exact = np.asarray(got), np.asarray(exact, np.float64)
    about = finfo(got.dtype)
    finite = np.abs(exact) <= float(about.max)
    with np.errstate(over="ignore"):
        assert np.array_equal(got[~finite], exact[~finite].astype(got.dtype)), what
    bound = units * float(about.eps) / 2 * np.abs(exact[finite]).max(initial=0)
    error = np.abs(got[finite].astype(np.float64) - exact[finite]).max(initial=0)
    assert error <= bound + float(about.smallest_subnormal), (what, error, bound)
