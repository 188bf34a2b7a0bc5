"""Moments of a population in parts: exact however it is cut, laid out, or far from zero."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import U64, exact_moments
from runs import bits
from strategies import DTYPES, batches, layouts

import cybn
from cybn.functional import Moments
from cybn.functional.moments import BLOCK


def assert_exact(moments, x):
    """Against rational arithmetic over (N, C, L), which is rounded once, as moments.mean is."""
    for c in range(x.shape[1]):
        mean, var = map(float, exact_moments(x[:, c]))
        assert abs(moments.mean[c] - mean) <= 2 * U64 * abs(mean) + 1e-14 * var**0.5
        assert abs(moments.var()[c] - var) <= 1e-13 * var
    assert moments.count == x.shape[0] * x.shape[2]


@given(x=batches(), cuts=st.lists(st.floats(0, 1), max_size=4))
def test_any_split_merges_into_the_moments_of_the_whole(x, cuts):
    edges = sorted({0, len(x), *(int(cut * len(x)) for cut in cuts)})
    parts = [x[a:b] for a, b in pairwise(edges)]
    added, merged = Moments(x.shape[1]), Moments(x.shape[1])
    for part in parts:
        added.add(part)
        merged.merge(Moments(x.shape[1]).add(part))
    assert_exact(added, x)
    assert_exact(merged, x)


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16, np.uint8, np.int32, bool], ids=str)
def test_any_real_dtype(dtype):
    x = np.random.default_rng(0).integers(0, 2, (70, 3, 11)).astype(dtype)
    assert_exact(Moments(3).add(x), x)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((BLOCK + 3, 2), 1), ((2, 2, BLOCK + 5), 1), ((3, BLOCK // 2, 3), -1), ((2, BLOCK + 7), 1)],
    ids=str,
)
def test_data_of_several_blocks(shape, axis):
    x = np.random.default_rng(0).normal(1e3, 1, shape)
    moments = Moments(shape[axis]).add(x, axis)
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    assert moments.count == x.size // shape[axis]
    np.testing.assert_allclose(moments.mean, x.mean(others), rtol=1e-13)
    np.testing.assert_allclose(moments.var(), x.var(others), rtol=1e-9)


@given(x=batches(), layout=layouts)
def test_memory_layout_does_not_matter(x, layout):
    plain, other = Moments(x.shape[1]).add(x), Moments(x.shape[1]).add(layout(x))
    assert bits(other.mean) == bits(plain.mean)
    assert bits(other.squares) == bits(plain.squares)


def test_the_number_of_threads_does_not_matter(threads):
    x = np.random.default_rng(0).normal(0, 1, (300, 5, 400)).astype(np.float32)
    got = Moments(5).add(x)
    cybn.set_num_threads(1)
    alone = Moments(5).add(x)
    assert (bits(got.mean), bits(got.squares)) == (bits(alone.mean), bits(alone.squares))


def test_a_constant_channel_is_exact():
    moments = Moments(2)
    for n in (1, 3, 1000):
        moments.add(np.full((n, 2), [0.1, 1e10]))
    assert moments.mean.tolist() == [0.1, 1e10]
    assert moments.var().tolist() == [0, 0]


def test_single_values_and_empty_batches():
    moments = Moments(2)
    moments.add(np.empty((0, 2)))
    assert (moments.count, moments.var().tolist()) == (0, [0, 0])
    moments.add(np.array([[1.0, 5.0]]))
    assert (moments.count, moments.mean.tolist(), moments.var(1).tolist()) == (1, [1, 5], [0, 0])
    moments.add(np.array([[3.0, 5.0]])).add(np.empty((0, 2)))
    assert (moments.count, moments.mean.tolist(), moments.var(1).tolist()) == (2, [2, 5], [2, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 5])
def test_what_is_not_finite_stays_in_its_channel(bad, n):
    x = np.ones((n, 3))
    x[0, 1] = bad
    moments = Moments(3).add(np.ones((4, 3))).add(x).add(np.ones((2, 3)))
    assert np.isfinite(moments.mean).tolist() == [True, False, True]
    assert np.isnan(moments.var()).tolist() == [False, True, False]


def test_what_is_no_data_is_an_error_and_changes_nothing():
    moments = Moments(2).add(np.array([[1.0, 2.0], [3.0, 5.0]]))
    before = moments.count, bits(moments.mean), bits(moments.squares)
    for bad, error, message in (
        (np.ones((2, 2), complex), TypeError, "real numbers, got complex128"),
        (np.array([["a", "b"]]), TypeError, "real numbers, got <U1"),
        (np.ones((2, 3)), ValueError, r"moments of 2 channels got 3 on axis 1 in \(2, 3\)"),
        (np.ones(2), ValueError, "at least 2-D"),
    ):
        with pytest.raises(error, match=message):
            moments.add(bad)
    assert (moments.count, bits(moments.mean), bits(moments.squares)) == before


WIDE = {
    "int64": [2**62, 2**62 + 2, 2**62 + 4],
    "int64 below": [-(2**63), -(2**63) + 1, -(2**63) + 5],
    "int64 from end to end": [-(2**63), 2**63 - 1, 0, 3],
    "int64 around a power": [2**53 - 1, 2**53, 2**53 + 1, 2**53 + 3],
    "int64 small": [-3, 0, 7, 2**31, -(2**32) - 1],
    "uint64": [2**64 - 1, 2**64 - 3, 2**64 - 8],
    "uint64 from end to end": [0, 2**64 - 1, 5],
    "int32": [-(2**31), 2**31 - 1, 17],
    "uint32": [0, 2**32 - 1, 17],
    "int8": [-128, 127, 3],
    "uint8": [255, 0, 3],
    "bool": [True, False, True],
    "longdouble": [2**62, 2**62 + 2**11, 2**62 + 2**12],
}


def exact_of(values):
    """Mean and variance of Python integers, exactly, each rounded once."""
    n = len(values)
    mean = Fraction(sum(map(int, values)), n)
    return float(mean), float(sum((int(v) - mean) ** 2 for v in values) / n)


@pytest.mark.parametrize("swap", [False, True], ids=["native", "swapped"])
@pytest.mark.parametrize("kind", WIDE)
def test_integers_are_subtracted_before_they_become_floats(kind, swap):
    dtype = np.dtype(kind.split()[0])
    x = np.array(WIDE[kind], dtype)[:, None].repeat(2, 1)
    x = x.astype(dtype.newbyteorder()) if swap else x
    mean, var = exact_of(WIDE[kind])
    in_parts = Moments(2).add(x[:1]).merge(Moments(2).add(x[1:]))
    for moments in (Moments(2).add(x), Moments(2).add(x.T, 0), Moments(2).add(x[::-1]), in_parts):
        np.testing.assert_allclose(moments.mean, mean, rtol=4 * U64, atol=1e-14 * var**0.5)
        np.testing.assert_allclose(moments.var(), var, rtol=1e-13)
    constant = Moments(2).add(x[:1]).add(x[:1]).add(np.concatenate([x[:1]] * 3))
    assert constant.var().tolist() == [0, 0]
    assert constant.mean.tolist() == [float(WIDE[kind][0])] * 2


@given(st.data())
def test_batches_of_any_integers(data):
    """Of several dtypes and magnitudes, in an order that is left open."""
    whole = []
    moments = Moments(1)
    for dtype in data.draw(st.lists(st.sampled_from("bhilqBHILQ?"), min_size=1, max_size=4)):
        info = np.iinfo(dtype) if dtype != "?" else None
        lowest, highest = (0, 1) if info is None else (int(info.min), int(info.max))
        low = data.draw(st.integers(lowest, highest))
        high = min(highest, low + data.draw(st.sampled_from([1, 5, 1000, 2**40, 2**64])))
        part = data.draw(st.lists(st.integers(low, high), min_size=1, max_size=6))
        moments.add(np.array(part, dtype)[:, None])
        whole += part
    mean, var = exact_of(whole)
    assert abs(moments.mean[0] - mean) <= 4 * U64 * abs(mean) + 1e-14 * var**0.5
    assert abs(moments.var()[0] - var) <= 1e-12 * var


def test_a_long_double_that_is_not_finite_stays_in_its_channel():
    x = np.array([[np.inf, 1], [1, 3]], np.longdouble)
    moments = Moments(2).add(x)
    assert not np.isfinite(moments.mean[0])
    assert (moments.mean[1], moments.var()[1]) == (2, 1)
