"""The readable twin against exact arithmetic and central differences: it is an oracle elsewhere."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from oracle import U64, assert_within, exact_stats, exact_xhat
from strategies import batches

import cybn
from cybn import reference

doubles = batches(dtypes=(np.float64,), offsets=(0, 1, -30, 1e4))


@given(doubles)
def test_moments_are_exact_within_the_two_pass_bound(x):
    m = x.shape[0] * x.shape[2]
    mean, var = exact_stats(x)[:2]
    got_mean, got_var = reference.moments(x)
    # corrected: second-order terms are gone, and the mean is off by roundings of deviations only
    assert_within(got_mean, mean, 4 * U64 * np.abs(mean) + (m * U64) ** 2 * np.abs(x).max()
                  + (m + 4) * U64 * np.sqrt(var))  # fmt: skip
    assert_within(got_var, var, (m + 8) * U64 * var + (m * U64 * np.abs(x).max()) ** 2)


@given(doubles)
def test_xhat_is_exact_to_a_few_roundings(x):
    m = x.shape[0] * x.shape[2]
    mean, var = reference.moments(x)
    size = np.abs(x).max() * 1 / np.sqrt(var + 1e-5)[:, None]
    got, want = reference.xhat_of(x, mean, var, 1e-5), exact_xhat(x)
    assert_within(got, want, (m + 12) * U64 * (1 + np.abs(want)) + 6 * U64 * size)


def test_normalize_scales_and_shifts():
    x = np.random.default_rng(0).normal(0, 1, (4, 3, 5))
    weight, bias = np.array([1.0, -2, 0]), np.array([0.5, 0, 3])
    mean, var = reference.moments(x)
    xhat = reference.xhat_of(x, mean, var, 1e-3)
    y = reference.normalize(x, mean, var, weight, bias, 1e-3)
    np.testing.assert_array_equal(y, xhat * weight[:, None] + bias[:, None])
    np.testing.assert_array_equal(reference.normalize(x, mean, var, eps=1e-3), xhat)


@pytest.mark.parametrize(
    ("shape", "axis", "ncl"),
    [((4, 3), 1, (4, 3, 1)), ((4, 3, 5, 6), 1, (4, 3, 30)), ((4, 5, 6, 3), -1, (120, 3, 1)),
     ((3, 4, 5), 0, (1, 3, 20)), ((2, 3, 4, 5), 2, (6, 4, 5))],
)  # fmt: skip
def test_every_layout_is_one_view(shape, axis, ncl):
    x = np.arange(np.prod(shape)).reshape(shape)
    view = reference.to_ncl(x, axis)
    assert view.shape == ncl
    for c in range(shape[axis]):
        assert view[:, c].ravel().tolist() == x.take(c, axis).ravel().tolist()


def test_running_statistics():
    mean, var = reference.update_running(
        np.array([1.0]), np.array([2.0]), np.array([3.0]), np.array([4.0]), m=5, momentum=0.25
    )
    assert mean.tolist() == [1.5]  # 1 + (3 - 1)/4
    assert var.tolist() == [2.75]  # 2 + (4*5/4 - 2)/4


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_the_central_differences(training):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(0, 1, (2, 3, 2, 4))
    weight, bias = rng.normal(0, 1, (2, 2))
    given_moments = rng.normal(0, 1, 2), rng.uniform(0.5, 2, 2)

    def loss(x, weight, bias):
        mean, var = reference.moments(x) if training else given_moments
        return (reference.normalize(x, mean, var, weight, bias, 1e-2) * dy).sum()

    mean, var = reference.moments(x) if training else given_moments
    backward = reference.backward_training if training else reference.backward_inference
    got = backward(dy, x, mean, var, weight, 1e-2)
    step, arrays = 1e-5, [x, weight, bias]
    for which, gradient in enumerate(got):
        for at in np.ndindex(gradient.shape):
            losses = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[which][at] += sign * step
                losses.append(loss(*moved))
            slope = (losses[0] - losses[1]) / (2 * step)
            assert abs(slope - gradient[at]) < 1e-8  # step^2 * f''', and 1e-10 of rounding


def test_it_is_no_fallback():
    """Nothing in the package calls it: what is fast is what was tested."""
    package = Path(cybn.__file__).parent
    for path in package.rglob("*.py"):
        if path.parent.name != "reference":
            assert "import reference" not in path.read_text(), path
            assert "reference import" not in path.read_text(), path
