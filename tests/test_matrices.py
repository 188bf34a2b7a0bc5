"""Products of matrices against long doubles, however they are run; the inverse root."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits
from strategies import DTYPES
from test_bitwise import every_level

from cybn.functional.matrices import InverseRoot, covariances, map_channels
from cybn.kernels import levels

# (N, C, L) and groups around the borders of the kernel: panels of 8 channels, 128 positions packed
# at a time, chunks of 1024
VIEWS = [
    ((1, 1, 1), 1), ((3, 2, 1), 1), ((5, 7, 3), 1), ((2, 8, 64), 2), ((3, 18, 43), 2),
    ((129, 16, 1), 1), ((2, 30, 127), 3), ((4, 9, 600), 9), ((3, 17, 1500), 1), ((2, 140, 9), 1),
]  # fmt: skip
views = pytest.mark.parametrize(("view", "groups"), VIEWS, ids=str)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
sides = pytest.mark.parametrize("axis", [1, -1], ids=["first", "last"])


def data(view, groups, dtype):
    """Two arrays and their means, which are not small, and two matrices of each group."""
    rng = np.random.default_rng(sum(view))
    a, b = rng.normal(3, 2, (2, *view)).astype(dtype)
    d = view[1] // groups
    return a, b, rng.normal(3, 1, (2, view[1])), rng.normal(size=(2, groups, d, d))


def moved(a, axis):
    return np.ascontiguousarray(np.moveaxis(a, 1, axis))


def grouped(a, mean, groups):
    """(G, d, m) of (N, C, L), less the means, in long doubles."""
    away = np.moveaxis(a.astype(np.longdouble), 1, 0).reshape(a.shape[1], -1) - mean[:, None]
    return away.reshape(groups, a.shape[1] // groups, -1)


@views
@both_dtypes
@sides
def test_covariances_are_those_of_the_equation(view, groups, dtype, axis):
    a, b, means, _ = data(view, groups, dtype)
    wide = [grouped(each, mean, groups) for each, mean in zip((a, b), means, strict=True)]
    for other, mean, right in ((None, 0.0, wide[0]), (moved(b, axis), means[1], wide[1])):
        got = covariances(moved(a, axis), means[0], axis, groups, 0.25, other, mean)
        size = abs(wide[0]) @ abs(right).swapaxes(1, 2) / 4
        error = abs(got - wide[0] @ right.swapaxes(1, 2) / 4)
        assert (error <= 200 * np.finfo(float).eps * size).all()


@views
@both_dtypes
@sides
def test_mapped_channels_are_those_of_the_equation(view, groups, dtype, axis):
    a, b, means, matrices = data(view, groups, dtype)
    shift = np.arange(view[1], dtype=float)
    terms = list(zip(matrices, (moved(a, axis), moved(b, axis)), means, strict=True))
    for count in (1, 2):
        got = map_channels(terms[:count], shift, axis, None)
        wide = [grouped(each, mean, groups) for each, mean in zip((a, b), means, strict=True)]
        pairs = list(zip(matrices, wide, strict=True))[:count]
        expected = sum(matrix @ each for matrix, each in pairs)
        size = sum(abs(matrix) @ abs(each) for matrix, each in pairs)
        expected, size = (e.reshape(view[1], -1) + shift[:, None] for e in (expected, size))
        got = np.moveaxis(got, axis, 0).reshape(view[1], -1)
        assert (abs(got - expected) <= 20 * np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize("far", [1e-34, 1e34])
def test_matrices_beyond_the_dtype_of_the_data(far):
    """Each channel of another size: what is out of range are the numbers of the matrix alone."""
    rng = np.random.default_rng(0)
    sizes = np.array([1, far, 1 / far])
    x = (rng.normal(size=(50, 3)) * sizes).astype(np.float32)
    matrix = rng.normal(size=(3, 3)) / sizes  # y is about 1
    matrix *= np.array([1.0, 1e-30, 1e30])[:, None]
    got = map_channels([(matrix[None], x, 0.0)], 0.0, 1, None)
    expected = x.astype(float) @ matrix.T
    assert (abs(got - expected) <= 2e-6 * (abs(x.astype(float)) @ abs(matrix).T)).all()


def run(level, a, b, before, after, matrices, groups, threads, in_place):
    """Every output of the kernels at a level."""
    module, channels = levels.load(level, "float32"), a.shape[1]
    gram, own = np.empty((2, channels, channels // groups))
    how = before[1], groups, 0.5, threads
    module.covariances(gram, a, before[0], b, *how)
    module.covariances(own, a, before[0], None, None, *how[1:])
    y = a.copy() if in_place else np.empty_like(a)
    module.map_channels(
        y, after, y if in_place else a, before[0], b, before[1], matrices, groups, threads
    )
    squared, d = np.empty_like(own), channels // groups
    module.square_products(squared, own, own, own, own, groups, d, threads)
    return [bits(each) for each in (gram, own, y, squared)]


@every_level
@views
@both_dtypes
@pytest.mark.parametrize("last", [False, True])
def test_the_same_bits_at_any_level_with_any_threads_and_in_place(level, view, groups, dtype, last):
    a, b, means, matrices = data(view, groups, dtype)
    if last:
        a, b = (moved(each, -1).reshape(-1, view[1], 1) for each in (a, b))
    before = np.stack([means, abs(means)], 1)
    packed = np.moveaxis(matrices, 0, 1).reshape(-1, view[1] // groups)
    rest = b, before, before[0], packed, groups
    expected = run("baseline", a, *rest, 1, False)
    for threads, in_place in product((1, 2, 3), (False, True)):
        assert run(level, a, *rest, threads, in_place) == expected


def spread_out(seed, groups, d, condition):
    """Covariances with eigenvalues between 1 and `condition`, and their inverse roots."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(groups, d, d)))
    values = condition ** rng.uniform(0, 1, (groups, 1, d))
    return q * values @ q.swapaxes(1, 2), q / np.sqrt(values) @ q.swapaxes(1, 2)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 8, 11]), st.sampled_from([1, 1e3, 1e6]))
def test_many_steps_reach_the_inverse_root_and_stay(seed, d, condition):
    sigma, root = spread_out(seed, 2, d, condition)
    for iterations in (40, 80):
        found = InverseRoot(sigma, 1e-300, iterations).root
        assert (found == found.swapaxes(1, 2)).all()
        np.testing.assert_allclose(found, root, atol=1e-14 * d * condition)


@pytest.mark.parametrize("iterations", [1, 2, 3, 7])
@pytest.mark.parametrize("d", [1, 2, 9])
def test_the_gradient_of_the_root_is_that_of_central_differences(iterations, d):
    sigma, _ = spread_out(iterations, 2, d, 10)
    rng = np.random.default_rng(1)
    droot, way = rng.normal(size=(2, 2, d, d))
    way = way + way.swapaxes(1, 2)
    h = 1e-6
    up, down = (InverseRoot(sigma + s * h * way, 0.1, iterations).root for s in (1, -1))
    expected = ((up - down) * droot).sum() / (2 * h)
    found = InverseRoot(sigma, 0.1, iterations).gradient(droot)
    np.testing.assert_allclose((found * way).sum(), expected, rtol=1e-7)
    np.testing.assert_allclose(found, found.swapaxes(1, 2), rtol=1e-12)
