"""The two-pass bound where outliers lie on the items that a kernel takes its shift from.

The median of the five is then an outlier itself, far from the mean, and the sums about it cancel.
The families are those that a search over values, places and shapes has found to be worst.
"""

import numpy as np
import pytest
from oracle import assert_within, exact_moments, mean_bound, var_bound
from strategies import DTYPES

from cybn.functional import batch_norm_stats, layer_norm_forward

PIECE = 2048  # items of a row that have a shift of their own


def of_columns(data, n, length):
    """Mean and variance of (C, m) data, a channel in each row, as (n, C, length): by columns."""
    return batch_norm_stats(np.ascontiguousarray(data.reshape(-1, n, length).swapaxes(0, 1)))[:2]


def of_rows(data, n, length):
    """The same call takes long rows one by one."""
    return of_columns(data, n, length)


def of_samples(data, n, length):
    assert n == 1
    return layer_norm_forward(data, length)[1][:2]


def sampled(kernel, n, length):
    """The places among n*length values that the kernel looks at for its shifts."""
    if kernel is of_columns:
        return [i * (n - 1) // 4 * length + i * (length - 1) // 4 for i in range(5)]
    rows = max(1, PIECE // length)
    return [
        row * length + start + at
        for row in range(0, n, rows)
        for start in range(0, length, PIECE)
        for end in [min(PIECE, length - start)]
        for at in (0, end // 4, end // 2, end // 4 * 3, end - 1)
    ]


# where the bound is tightest, and some of all sizes
SHAPES = [
    *((of_columns, m, 1) for m in (5, 9, 33, 64, 65, 66, 67, 72, 79, 80, 96, 128, 200, 350, 1000)),
    *((of_columns, n, 7) for n in (8, 9, 10, 11, 13, 20, 60)),
    *((of_columns, n, length) for n, length in ((33, 2), (24, 3), (8, 9), (12, 31), (400, 12))),
    *((of_rows, 1, m) for m in (33, 65, 66, 79, 96, 200, 441, 1000, 2015, 2048, 2100, 5000)),
    *((of_rows, n, length) for n, length in ((2, 33), (3, 32), (7, 63), (31, 65), (20, 70))),
    *((of_samples, 1, m) for m in (7, 65, 66, 79, 96, 200, 1000, 2048, 2049, 5000)),
]


def case_id(value):
    return value.__name__ if callable(value) else str(value)


def check(kernel, data, n, length):
    got = kernel(data, n, length)
    exact = np.array([[float(a) for a in exact_moments(channel)] for channel in data]).T
    m = n * length
    assert_within(got[0], exact[0], mean_bound(exact[1], exact[0], m, data.dtype), "mean")
    assert_within(got[1], exact[1], var_bound(exact[1], exact[0], m, data.dtype), "var")


def two_values(rng, channels, m, places, dtype):
    """All but the outliers alike, so that every rounding goes the same way."""
    ratio = 2.0 ** rng.uniform(-6, 6, (channels, 1))
    base = rng.uniform(1, 2, (channels, 1))
    other = np.where(
        rng.random((channels, 1)) < 0.3, 0, base + rng.uniform(-1, 1, ratio.shape) * ratio
    )
    data = np.repeat(base, m, axis=1)
    more = rng.random((channels, m)) < rng.uniform(0, 1, (channels, 1)) ** 2 * 0.4
    data = np.where(more & (rng.random((channels, 1)) < 0.7), other, data)
    data[:, places] = other
    return data.astype(dtype)


def noisy(rng, channels, m, places, dtype):
    data = two_values(rng, channels, m, places, np.float64)
    spread = np.ptp(data, axis=1, keepdims=True) * 2.0 ** rng.uniform(-14, 0, (channels, 1))
    return (data + rng.normal(0, 1, data.shape) * spread).astype(dtype)


def far_from_zero(rng, channels, m, places, dtype):
    data = two_values(rng, channels, m, places, np.float64)
    return (data + rng.choice([-1, 1]) * 2.0 ** rng.integers(2, 10, (channels, 1))).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "n", "length"), SHAPES, ids=case_id)
def test_outliers_on_the_items_sampled(kernel, n, length, dtype):
    rng = np.random.default_rng(0)
    places = np.unique(sampled(kernel, n, length))
    for family in (two_values, noisy, far_from_zero):
        data = family(rng, max(20, 24_000 // (n * length)), n * length, places, dtype)
        check(kernel, data, n, length)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kernel", "n", "length"), SHAPES, ids=case_id)
def test_three_outliers_of_the_five_are_enough(kernel, n, length, dtype):
    rng = np.random.default_rng(1)
    places = np.array(sampled(kernel, n, length)).reshape(-1, 5)[:, [0, 2, 4]].ravel()
    data = two_values(rng, max(20, 24_000 // (n * length)), n * length, places, dtype)
    check(kernel, data, n, length)


@pytest.mark.parametrize(
    ("kernel", "n", "length", "dtype", "base", "other"),
    [
        (of_columns, 79, 1, "float64", "0x1.a15be96c7b000p-1", "0x1.696428c32a7c4p+1"),
        (of_columns, 79, 1, "float64", "0x1.d3af924fbf6d5p+0", "0x1.f0f375afe37e7p+1"),
        (of_columns, 79, 1, "float32", "0x1.eebd72p+0", "0x1.20950cp-3"),
        (of_columns, 10, 7, "float64", "0x1.bd4dc7f670054p+0", "0"),
        (of_columns, 11, 7, "float64", "0x1.cf51c2b414e64p+0", "0"),
        (of_rows, 1, 66, "float64", "0x1.1130debed7a68p+0", "0"),
        (of_rows, 1, 79, "float64", "0x1.fb8d83701f61ep+0", "0"),
        (of_samples, 1, 79, "float64", "0x1.dcdae8d8673e2p+0", "0"),
        (of_rows, 1, 2048, "float32", "0x1.cb5142p+0", "0"),
        (of_samples, 1, 2048, "float32", "0x1.d51bccp+0", "0x1.4343bcp+0"),
    ],
    ids=case_id,
)
def test_the_worst_that_was_found(kernel, n, length, dtype, base, other):
    """Two values, of which the sums' roundings all go one way, to 2.8 times the bound."""
    places = sampled(kernel, n, length)
    if n * length == PIECE:
        places = [*places, *range(3, PIECE, 16)]
    data = np.full((512, n * length), float.fromhex(base), dtype)
    data[:, places] = float.fromhex(other)
    check(kernel, data[:2], n, length)
    assert len(set(kernel(data, n, length)[1])) == 1  # alike, in whatever tile a channel lies
