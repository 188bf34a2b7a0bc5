"""Moments of parts merge into those of the whole; of values and gradients of any size, too."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from inparts import EVERY, cuts, in_parts, places
from oracle import (
    U64,
    assert_near,
    exact_moments,
    exact_norm,
)
from runs import bits
from strategies import batches, views

from cybn.functional import (
    Moments,
    batch_norm_apply,
    batch_norm_backward,
    batch_norm_backward_apply,
    batch_norm_backward_reduce,
    batch_norm_forward,
    batch_norm_moments,
    merge_moments,
)

# Merging


@pytest.mark.parametrize("dtype", EVERY, ids=str)
def test_what_sums_exactly_merges_exactly(dtype):
    """A mean of a quarter or so, and values in pairs about it: there is no error at all."""
    rng = np.random.default_rng(0)
    for mean, step in ((0.25, 2.0**-3), (3.0, 0.25), (-16.0, 1.0)):
        away = rng.integers(0, 4, 512) * step
        x = (mean + np.concatenate([away, -away])).astype(dtype)[:, None]
        for _ in range(20):
            x = rng.permutation(x)
            edges = [0, 1, 2, *(2 + 70 * np.sort(rng.integers(1, 14, 5))), 1024]  # 1, 0 or many
            parts = [batch_norm_moments(part) for part in np.split(x, edges)]
            one_by_one = Moments(1)
            for part in rng.permutation(len(parts)):
                one_by_one.merge(parts[part])
            for whole in (merge_moments(parts), one_by_one):
                assert (whole.mean[0], whole.var()[0]) == (mean, (away**2).sum() / 512)


@given(st.lists(st.lists(st.integers(-(2**20), 2**20), max_size=5), min_size=1, max_size=6))
def test_sums_of_integers_merge_without_rounding(parts):
    """Sums that were exact in the parts are those of the whole, about one of its values."""
    whole = [v for part in parts for v in part]
    assume(whole)
    moments = []
    for part in parts:
        away = [v - part[0] for v in part]
        sums = np.array([part[:1] or [7], [sum(away)], [sum(v * v for v in away)]], float)
        moments.append(Moments.of_sums(len(part), sums))
    shift, total, squares = map(int, merge_moments(moments).sums[:, 0])
    assert shift in whole
    assert total == sum(v - shift for v in whole)
    assert squares == sum((v - shift) ** 2 for v in whole)


@given(x=batches(shapes=views(most=500)), cuts=cuts)
def test_merging_has_an_order_and_changes_no_part(x, cuts):
    parts = [batch_norm_moments(x[at]) for at in places(len(x), cuts)]
    before = [(part.count, bits(part.sums)) for part in parts]
    whole = merge_moments(parts)
    assert bits(merge_moments(iter(parts)).sums) == bits(whole.sums)
    assert [(part.count, bits(part.sums)) for part in parts] == before
    sent = [Moments.of_sums(part.count, part.sums) for part in parts]
    assert bits(merge_moments(sent).sums) == bits(whole.sums)
    filled = [part for part in parts if part.count]
    assert bits(merge_moments(filled).sums) == bits(whole.sums)


def test_nothing_but_empty_parts():
    empty = np.empty((0, 2, 3), np.float32)
    whole = merge_moments([batch_norm_moments(empty), Moments(2)])
    y, stats = batch_norm_forward(empty)
    assert whole.count == 0
    assert bits(whole.stats()) == bits(stats)
    assert batch_norm_apply(empty, whole).shape == y.shape
    sums = batch_norm_backward_reduce(empty, empty, stats)
    assert sums.tolist() == [[0, 0], [0, 0]]
    assert batch_norm_backward_apply(empty, empty, stats, sums, 0).shape == y.shape
    # beside parts that are not
    one = np.array([[[1.0, 2, 3], [4, 5, 9]]])
    whole = merge_moments([Moments(2), batch_norm_moments(one), Moments(2)])
    assert bits(whole.sums) == bits(batch_norm_moments(one).sums)


def test_moments_of_a_far_part_keep_their_digits():
    """A mean in float64 would not: what it lacks is 1e-4 of this std."""
    x = 1e12 + np.array([[0.1], [0.2], [0.3], [0.7]])
    whole = merge_moments([batch_norm_moments(x[:1]), batch_norm_moments(x[1:])])
    mean, var = exact_moments(x)
    assert abs(whole.var()[0] - float(var)) <= 8 * U64 * float(var)
    left = float(mean - Fraction(float(whole.mean[0])))
    assert abs(whole.rest[0] - left) <= 8 * U64 * float(var) ** 0.5


# Large and small


@pytest.mark.parametrize("scale", [1e-160, 1e-30, 1e30, 1e150, 1.3e154, 1e200, 1.7e308])
@pytest.mark.parametrize("view", [(40, 2, 1), (4, 2, 100)], ids=str)
def test_float64_of_any_size(view, scale):
    """Squares of the last ones, or their sums alone, are beyond float64."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, view)
    x[:, 0] *= scale
    dy = rng.normal(0, 1, view)
    weight, bias = np.array([2.0, 3.0]), np.array([0.5, 0])
    y, dx, _, stats = in_parts(x, dy, weight, bias, places(view[0], [0.1, 0.3]), eps=1e-300)
    given_y, given_stats = batch_norm_forward(x, weight, bias, eps=1e-300)
    np.testing.assert_allclose(stats, given_stats, rtol=1e-13, atol=1e-13 * scale)
    np.testing.assert_allclose(y, given_y, rtol=1e-13, atol=1e-13)
    given_dx, _, _ = batch_norm_backward(dy, x, given_stats, weight)
    for c in range(2):
        assert_near(dx[:, c], given_dx[:, c], 64)


def test_a_variance_whose_sum_of_squares_overflows():
    x = np.resize([1.3e154, -1.3e154], (40, 1))
    whole = merge_moments([batch_norm_moments(x[:30]), batch_norm_moments(x[30:])])
    np.testing.assert_allclose(whole.var(), [1.69e308], rtol=1e-14)
    assert whole.mean.tolist() == [0.0]
    assert np.isinf(whole.squares)
    assert bits(Moments.of_sums(40, whole.sums).stats()) == bits(whole.stats())
    beside = merge_moments([whole, batch_norm_moments(np.ones((1, 1)))])
    np.testing.assert_allclose(beside.var(), [1.69e308 / 41 * 40], rtol=1e-14)
    assert abs(beside.mean[0]) <= 4 * U64 * 1.3e154


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e20, 1e38])
@pytest.mark.parametrize("of", ["x", "dy", "weight"])
@pytest.mark.parametrize("view", [(67, 2, 1), (7, 2, 65), (9, 2, 7)], ids=str)
def test_float32_of_any_size(view, of, scale):
    rng = np.random.default_rng(0)
    x, dy = (rng.uniform(-3, 3, (2, *view))).astype(np.float32)
    weight = np.array([1.0, 2.0])
    with np.errstate(under="ignore"):
        if of == "weight":
            weight[0] = scale
        else:
            a = {"x": x, "dy": dy}[of]
            a[:, 0] = (a[:, 0].astype(np.float64) * scale).astype(np.float32)
    y, dx, sums, _ = in_parts(x, dy, weight, np.zeros(2), places(view[0], [0.2]), eps=1e-80)
    for c in range(2):
        flat = x[:, c].ravel(), dy[:, c].ravel()
        right = exact_norm(*flat, weight[c], 0.0, 1e-80)
        assert_near(y[:, c].ravel(), right[0], 64, "y")
        assert_near(dx[:, c].ravel(), right[1], 64, "dx")
        assert abs(sums[1, c] - right[3]) <= 64 * 2.0**-24 * np.abs(right[2]).sum() + 1e-300


@pytest.mark.parametrize("ratio", [3.0, 17.0, 100.0, 1e3, 1e6])
@pytest.mark.parametrize("view", [(3000, 2, 1), (33, 2, 9), (7, 2, 65), (6, 2, 2100)], ids=str)
def test_dy_with_a_large_mean(view, ratio):
    """Within the roundings of dy as it is: parts do not know the mean of all, to take it off first.

    xhat has a mean in each part, samples being in order, and dweight is what is left of large sums.
    """
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-3, 3, view), axis=0).astype(np.float32)
    dy = (ratio + rng.uniform(-(3**0.5), 3**0.5, view)).astype(np.float32)
    _, dx, _, stats = in_parts(x, dy, np.ones(2), None, places(view[0], [0.3, 0.35]))
    for c in range(2):
        right = exact_norm(x[:, c].ravel(), dy[:, c].ravel(), 1.0, 0.0, 1e-5)
        off = np.abs(dx[:, c].ravel() - right[1]).max()
        assert off <= 32 * 2.0**-24 * stats[2, c] * ratio


def test_a_constant_dy_gives_next_to_no_gradient():
    x = np.random.default_rng(0).normal(5, 2, (700, 2)).astype(np.float32)
    for value in (1.0, 0.1, 3e37):
        dy = np.full_like(x, value)
        at = places(700, [0.1])
        stats = merge_moments(batch_norm_moments(x[each]) for each in at).stats()
        sums = sum(batch_norm_backward_reduce(dy[each], x[each], stats) for each in at)
        dx = np.concatenate(
            [batch_norm_backward_apply(dy[each], x[each], stats, sums, 700) for each in at]
        )
        assert abs(dx).max() <= 8 * 2.0**-24 * stats[2].max() * value


@pytest.mark.parametrize("dtype", EVERY, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_channel(bad, dtype):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(0, 1, (2, 40, 3)).astype(dtype)
    at = places(40, [0.3])
    clean = in_parts(x, dy, None, None, at)
    x[4, 1] = bad
    spoilt = in_parts(x, dy, None, None, at)
    for a, b in zip(spoilt, clean, strict=True):
        assert bits(a[:, [0, 2]]) == bits(b[:, [0, 2]])
    assert np.isnan(spoilt[0][:, 1].astype(float)).all()
    assert np.isnan(spoilt[3][1, 1])


def test_sums_that_are_not_finite_stay_in_their_channel():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(0, 1, (2, 40, 3)).astype(np.float32)
    stats = batch_norm_moments(x).stats()
    sums = batch_norm_backward_reduce(dy, x, stats)
    clean = batch_norm_backward_apply(dy, x, stats, sums, 40)
    for row in (0, 1):
        spoilt = sums.copy()
        spoilt[row, 1] = np.nan
        dx = batch_norm_backward_apply(dy, x, stats, spoilt, 40)
        assert bits(dx[:, [0, 2]]) == bits(clean[:, [0, 2]])
        assert np.isnan(dx[:, 1]).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([0, 1e8, 1e200]))
def test_parts_at_once_have_the_bits_of_parts_one_by_one(seed, parts, scale):
    rng = np.random.default_rng(seed)
    each = [
        batch_norm_moments(rng.normal(1, 1, (rng.integers(0, 4), 3)) * (scale or 1))
        for _ in range(parts)
    ]
    counts, sums = np.array([p.count for p in each]), np.stack([p.sums for p in each])
    whole = Moments.of_parts(counts, sums)
    one_by_one = merge_moments(Moments.of_sums(part.count, part.sums) for part in each)
    assert whole.count == one_by_one.count
    assert bits(whole.sums) == bits(one_by_one.sums)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([1, 1e200, 1e307]))
def test_each_channel_is_merged_by_itself(seed, parts, scale):
    """Wherever it lies among others: the compiled loop goes by strips of them."""
    rng = np.random.default_rng(seed)
    counts, sums = rng.integers(0, 3, parts), rng.normal(1, 1, (parts, 3, 70)) * scale
    sums[:, 2] = abs(sums[:, 2])
    sums[0, int(rng.integers(3)), 40] = np.nan
    whole = Moments.of_parts(counts, sums)
    for c in (0, 31, 32, 39, 40, 69):
        alone = Moments.of_parts(counts, sums[:, :, c : c + 1])
        for got, want in ((whole.sums, alone.sums), (whole.stats(), alone.stats())):
            np.testing.assert_array_equal(got[:, c], want[:, 0])
