"""NumPy's integers are taken wherever an int is: as options, arguments of functions and tools."""

import numpy as np
import pytest

import cybn
from cybn import functional
from cybn.functional import Moments

X = np.random.default_rng(0).normal(1, 2, (4, 6, 5)).astype(np.float32)
STATE = np.zeros(6, np.float32), np.ones(6, np.float32)
SCALARS = [np.int64, np.int8, np.uint8]
KINDS = [*SCALARS, np.array]  # a 0-D array of integers is an int to NumPy, too


def with_axis(axis):
    """Every function that takes channel_axis, in one list of what they return."""
    y, stats = functional.batch_norm_forward(X, channel_axis=axis)
    group, group_stats = functional.group_norm_forward(X, 2, channel_axis=axis)
    instance, instance_stats = functional.instance_norm_forward(X, channel_axis=axis)
    moments = Moments(6).add(X, axis)
    return [
        y, stats, functional.batch_norm(X, *STATE, channel_axis=axis),
        *functional.batch_norm_backward(X, X, stats, channel_axis=axis),
        functional.batch_norm_stats(X, channel_axis=axis),
        group, functional.group_norm(X, 3, channel_axis=axis),
        *functional.group_norm_backward(X, X, group_stats, 2, channel_axis=axis),
        instance, functional.instance_norm(X, channel_axis=axis),
        *functional.instance_norm_backward(X, X, instance_stats, channel_axis=axis),
        functional.local_response_norm(X, 3, channel_axis=axis),
        functional.local_response_norm_backward(X, X, 3, channel_axis=axis),
        moments.mean, moments.var(),
        cybn.Normalize.fit(X, channel_axis=axis)(X),
    ]  # fmt: skip


def same(got, expected):
    return all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("kind", SCALARS, ids=lambda kind: kind.__name__)
def test_channel_axis(kind):
    assert same(with_axis(kind(1)), with_axis(1))
    x = np.ascontiguousarray(np.moveaxis(X, 1, 0))
    got = functional.batch_norm(x, *STATE, channel_axis=kind(0))
    assert np.array_equal(got, functional.batch_norm(x, *STATE, channel_axis=0))


@pytest.mark.parametrize("axis", [True, np.True_, 1.0, np.float64(1), "1", None, [1], np.ones(1)])
def test_what_is_no_int_is_no_axis(axis):
    with pytest.raises(TypeError, match="batch_norm needs an int as channel_axis, got"):
        functional.batch_norm(X, *STATE, channel_axis=axis)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_groups_of_fold(kind):
    norm, weight = cybn.BatchNorm1d(6).eval(), np.ones((6, 2, 3))
    assert same(cybn.fold(weight, None, norm, groups=kind(2)), cybn.fold(weight, None, norm))
    transposed = np.random.default_rng(0).normal(0, 1, (4, 3, 3))
    got = cybn.fold(transposed, None, norm, transposed=True, groups=kind(2))
    assert same(got, cybn.fold(transposed, None, norm, transposed=True, groups=2))
    deep = np.ones((4, 3, 3))
    got = cybn.fold_into_next(deep, None, norm, groups=kind(2))
    assert same(got, cybn.fold_into_next(deep, None, norm, groups=2))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_numbers_of_things(kind, restore_threads):
    x = X.reshape(-1, 6)
    assert same([cybn.Normalize.fit(x, batch_size=kind(7)).std],
                [cybn.Normalize.fit(x, batch_size=7).std])  # fmt: skip
    cybn.set_num_threads(kind(2))
    if cybn.get_num_threads() != 1:  # without OpenMP it is always 1
        assert cybn.get_num_threads() == 2
        assert type(cybn.get_num_threads()) is int
    cybn.set_output_cache(kind(100))
    cybn.set_output_cache(512 << 20)


@pytest.mark.parametrize("value", [True, np.True_, 2.0, "2", np.ones(2), None])
def test_what_is_no_number_of_things(value):
    with pytest.raises(TypeError, match="set_num_threads takes an int"):
        cybn.set_num_threads(value)
    with pytest.raises(TypeError, match="set_output_cache takes bytes as an int"):
        cybn.set_output_cache(value)
    with pytest.raises(ValueError, match="fold needs groups as an int"):
        cybn.fold(np.ones((6, 2)), None, cybn.BatchNorm1d(6).eval(), groups=value)


def test_shapes_and_widths_of_a_conformance_check():
    shape = tuple(np.int64([4, 6]))
    for given in (shape, [shape], np.array([[4, 6]])):
        report = cybn.testing.check_layer("BatchNorm1d", input_shapes=given)
        assert report.named("failed") == []
    report = cybn.testing.check_layer({"type": "BatchNorm1d", "num_features": np.int64(6)})
    assert report.named("failed") == []
    with pytest.raises(ValueError, match="input_shapes are shapes"):
        cybn.testing.check_layer("BatchNorm1d", input_shapes=[(4.0, 6)])
