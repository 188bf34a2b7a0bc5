"""Lazy instance norm: as lazy batch norm (test_lazy.py), and single samples without the axis N."""

import numpy as np
import pytest
from runs import bits, state_bits

import cybn

CASES = [
    ("1d", (4, 3, 5)), ("1d", (3, 5)), ("2d", (4, 3, 2, 5)), ("2d", (3, 2, 5)),
    ("3d", (4, 3, 2, 2, 5)), ("3d", (3, 2, 2, 5)),
]  # fmt: skip
cases = pytest.mark.parametrize(("rank", "shape"), CASES)


def pair(rank, **options):
    lazy = cybn.create(f"LazyInstanceNorm{rank}", **options)
    plain = cybn.create(f"InstanceNorm{rank}", num_features=3, **{
        "affine": True, "track_running_stats": True, **options,
    })  # fmt: skip
    return lazy, plain


@cases
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"affine": False, "track_running_stats": False}], ids=str)
def test_it_is_the_plain_layer_afterwards(rank, shape, axis, training, options):
    lazy, plain = pair(rank, channel_axis=axis, **options)
    assert lazy.state_dict() == {}
    x, dy = np.random.default_rng(0).normal(1, 2, (2, *shape)).astype(np.float32)
    if axis == -1:
        at = len(shape) - int(rank[0]) - 1
        x, dy = np.moveaxis(x, at, -1), np.moveaxis(dy, at, -1)
    assert bits(lazy.train(training)(x)) == bits(plain.train(training)(x))
    assert bits(lazy.backward(dy)) == bits(plain.backward(dy))
    assert state_bits(lazy)[1:] == state_bits(plain)[1:]
    assert lazy.num_features == 3
    assert repr(lazy.to_plain()) == repr(plain)


@pytest.mark.parametrize("rank", ["1d", "2d", "3d"])
def test_a_state_dict_initializes(rank):
    lazy, plain = pair(rank)
    assert lazy.load_state_dict(plain.state_dict()) == ([], [])
    assert state_bits(lazy)[1] == state_bits(plain)[1]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(3), "LazyInstanceNorm1d expects"),
        (np.zeros((2, 3, 4, 5)), "LazyInstanceNorm1d expects"),
        (np.zeros((2, 3, 1)), "Expected more than 1 spatial element"),
    ],
)
def test_a_first_call_that_fails_initializes_nothing(x, message):
    lazy, _ = pair("1d")
    with pytest.raises(ValueError, match=message):
        lazy(x)
    assert lazy.num_features is None
    assert lazy.weight is None
