"""Mean and variance against exact rational arithmetic over the stored floats."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from oracle import U64, assert_within, exact_stats, mean_bound, var_bound
from strategies import DTYPES, VIEWS, batches, view_id

import cybn
from cybn.functional import batch_norm_forward
from cybn.functional.gates import OPEN
from cybn.kernels import of

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
every_view = pytest.mark.parametrize("view", VIEWS, ids=view_id)


def stats_of(x):
    """mean and var of (N, C, L) data, as the kernels find them."""
    return batch_norm_forward(x)[1][:2]


def channels_last(x):
    """The same data, C last in memory; still (N, C, L) to look at."""
    return np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1)


def exactly_summable(rng, n, dtype):
    """Pairs mean*(1 ± j/1024) around mean = ±2^k/4, and one mean more where n is odd.

    Every difference of two is at most 62 units of mean/1024, so that 2048 squares fit 24 bits, and
    mean and variance have no rounding error but that of writing them down.
    """
    mean = rng.choice([-1, 1]) * 2.0 ** rng.integers(-4, 9) / 4
    j = rng.integers(0, 32, n // 2) / 1024
    values = np.concatenate([1 + j, 1 - j, np.ones(n % 2)]) * mean
    return rng.permutation(values).astype(dtype)


@both_dtypes
@every_view
@pytest.mark.parametrize("layout", [np.ascontiguousarray, channels_last])
def test_exactly_summable_data_have_no_error_at_all(view, dtype, layout):
    n, c, length = view
    rng = np.random.default_rng(n + c + length)
    x = np.empty(view, dtype)
    for i in range(c):
        x[:, i] = exactly_summable(rng, n * length, dtype).reshape(n, length)
    got, exact = stats_of(layout(x)), exact_stats(x)[:2]
    assert got.tobytes() == exact.tobytes()


def check_moments(x):
    """Within the two-pass bound, and the kernels' own."""
    mean, var = exact_stats(x)[:2]
    m = x.shape[0] * x.shape[2]
    got = stats_of(x)
    assert_within(got[0], mean, mean_bound(var, mean, m, x.dtype), "mean")
    assert_within(got[1], var, var_bound(var, mean, m, x.dtype), "var")
    assert (got[1] >= 0).all()


@given(batches(offsets=(0, 1, -30, 1e4, 1e7)))
@example(np.random.default_rng(1).normal(0, 1, (2, 8, 2)))  # four values, and little cancellation
def test_moments_are_within_the_two_pass_bound(x):
    check_moments(x)


@both_dtypes
@every_view
@pytest.mark.parametrize("order", ["sorted", "outliers sampled", "one outlier", "two heaps"])
def test_moments_of_adversarial_orders(view, dtype, order):
    """Data arranged so that the item a sum is shifted by lies far from the mean."""
    n, c, length = view
    m = n * length
    x = np.random.default_rng(m).normal(3, 1e-2, (c, m))
    if order == "sorted":
        x.sort(axis=1)
    elif order == "one outlier":
        x[:, m // 2] = 1e4
    elif order == "two heaps":
        x[:, : m // 2] += 1e3
    else:
        x[:, [0, -1, *(i * (m - 1) // 4 for i in range(5))]] += 100
        starts = np.arange(0, m, 2048)
        x[:, np.minimum(starts[:, None] + [0, 512, 1024, 1536, 2047], m - 1)] += 100
    check_moments(x.reshape(c, n, length).transpose(1, 0, 2).astype(dtype))


@pytest.mark.parametrize(
    ("values", "var"),
    [
        ([1e7, 1e7 + 1], 0.25),
        ([40000, 40001, 40002, 40003], 1.25),
        ([1, 2, 3, 4], 1.25),
        ([0, 2**-149], 2.0**-300),  # the least subnormal
    ],
)
def test_hard_cases_in_float32(values, var):
    assert stats_of(np.float32(values)[:, None, None])[1, 0] == var
    assert stats_of(np.float32(values)[None, None])[1, 0] == var


@both_dtypes
@pytest.mark.parametrize("repeat", [(1, 1), (1, 300), (300, 1), (20, 300)])
@pytest.mark.parametrize("value", [1234.0, 0.1, -1e10, 1e30, 2.0**-140, 0.0])
def test_a_constant_channel_has_that_mean_and_no_variance(value, repeat, dtype):
    n, length = repeat
    x = np.full((2 * n, 3, length), value, dtype)
    mean, var = stats_of(x)
    assert (mean == float(x[0, 0, 0])).all()
    assert (var == 0).all()


@both_dtypes
def test_huge_and_nearly_equal_values(dtype):
    x = (1e6 + np.tile([1e-3, -1e-3], 200)).astype(dtype)[:, None, None]
    check_moments(x)
    check_moments(x.transpose(2, 1, 0))


@pytest.mark.parametrize("shape", [(400, 2, 1), (2, 2, 400), (16, 2, 20)], ids=view_id)
def test_values_near_1e30_have_a_finite_variance(shape):
    x = np.random.default_rng(0).normal(0, 1e30, shape).astype(np.float32)
    check_moments(x)


@pytest.mark.parametrize("scale", [1e-44, 1e-40, 1e-30, 1e-22, 3e-22, 1e-21, 1e-20, 1e19, 1e38])
@pytest.mark.parametrize("shape", [(400, 2, 1), (2, 2, 400), (16, 2, 20), (40, 2, 1)], ids=view_id)
def test_squares_may_leave_the_range_of_float32(shape, scale):
    """The bounds hold where squares in float32 would under- or overflow, and for subnormals."""
    x = np.random.default_rng(1).uniform(-3, 3, shape) * scale
    x = x.astype(np.float32)
    mean, var = exact_stats(x)[:2]
    m = shape[0] * shape[2]
    got = stats_of(x)
    # no absolute slack here, as assert_within leaves: these variances are below it
    assert (np.abs(got[1] - var) <= var_bound(var, mean, m, x.dtype)).all()
    assert (np.abs(got[0] - mean) <= mean_bound(var, mean, m, x.dtype)).all()


def test_a_small_spread_around_100_over_33_million_values():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1024, 32768), np.float32)
    x *= 0.01
    x += 100
    mean, var = stats_of(x[:, None])
    exact = x.mean(dtype=np.float64), x.var(dtype=np.float64)  # pairwise and two-pass: 30 u64
    assert_within(mean, exact[0], mean_bound(exact[1], exact[0], x.size, np.float32))
    assert_within(var, exact[1], var_bound(exact[1], exact[0], x.size, np.float32))
    assert abs(var[0] - 1e-4) < 1e-6  # 33 million draws: 1e-4 within 1e-4/4000, and float32's grid


@given(batches(offsets=(0, 1)), st.data())
def test_statistics_of_parts_merge_to_those_of_the_whole(x, data):
    """By Chan's formula, for any split of the batch; an empty part changes nothing."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(x)), min_size=1, max_size=4)))
    parts = [p for p in np.split(x, cuts) if p.shape[0] * p.shape[2] != 1]
    if not any(p.size for p in parts):
        return
    whole = np.concatenate(parts)
    mean, var = stats_of(whole)
    slack = var_bound(var, mean, whole[:, 0].size, x.dtype)
    merged_mean, merged_var = np.zeros_like(mean), np.zeros_like(var)
    for part in parts:
        share = part[:, 0].size / whole[:, 0].size
        part_mean, part_var = stats_of(part)
        merged_mean += share * part_mean
        merged_var += share * (part_var + (part_mean - mean) ** 2)
        # the errors of a part go into the whole with its share
        bound = mean_bound(part_var, part_mean, part[:, 0].size, x.dtype)
        slack += share * 2 * np.abs(part_mean - mean) * bound + share * bound**2
        slack += share * var_bound(part_var, part_mean, part[:, 0].size, x.dtype)
    # Σ share * bound of the means is at most that of the whole (sigma is concave), and its own
    assert_within(merged_mean, mean, 2 * mean_bound(var, mean, 1 << 20, x.dtype), "mean")
    assert_within(merged_var, var, slack + 16 * U64 * var, "var")


@pytest.mark.parametrize(("n", "c", "length"), [(2049, 1, 1 << 20), (4_194_305, 512, 1)])
def test_more_items_than_an_int_counts(n, c, length):
    """2^31 items and more, as rows that are all the same memory."""
    row = exactly_summable(np.random.default_rng(0), c * length, np.float32)
    x = as_strided(row, (n, c, length), (0, 4 * length, 4))
    y = as_strided(np.empty_like(row), x.shape, x.strides)
    assert x.size > 2**31
    stats = np.empty((3, c))
    how = (cybn.get_num_threads(), 1 << 20, False)
    of[x.dtype].batch_forward(
        y, stats, None, None, None, x, None, None, None, 1e-5, 0.1, *OPEN, True, *how
    )
    exact = exact_stats(row.reshape(1, c, length))
    assert stats[:2].tolist() == exact[:2].tolist()
    dweight, dbias = np.empty((2, c), np.float32)
    of[x.dtype].batch_backward(
        y, None, dweight, dbias, x, x, None, stats, None, *OPEN[:2], True, *how
    )
    # sums of at most 100 values below 2^11 units are exact in float32, and all of them in float64
    total = row.reshape(c, length).sum(1, dtype=np.float64) * n
    assert dbias.tolist() == total.astype(np.float32).tolist()
