"""GhostBatchNorm: each virtual batch is a batch of BatchNorm, in order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits
from strategies import LAYOUTS, layout_id

import cybn


def randomized(layer, seed=0):
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter[...] = rng.uniform(-2, 2, parameter.shape)
    return layer


def edges(n, size, single):
    """Virtual batches, as the class describes them."""
    sizes = [size] * (n // size) + ([n % size] if n % size else [])
    if single and len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    starts = np.cumsum([0, *sizes])
    return list(pairwise(starts))


@given(
    st.integers(2, 40),
    st.integers(2, 12),
    st.sampled_from([(), (1,), (3,), (70,)]),
    st.sampled_from([0.1, 0.0, 1.0, None]),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([1, -1]),
)
def test_each_virtual_batch_is_a_batch_of_batch_norm(n, size, inner, momentum, dtype, axis):
    options = {"momentum": momentum, "dtype": dtype, "channel_axis": axis}
    layer = randomized(cybn.GhostBatchNorm(5, virtual_batch_size=size, **options))
    plain = randomized(cybn.BatchNorm1d(5, **options))
    shape = (n, 5, *inner) if axis == 1 else (n, *inner, 5)
    x, dy = np.random.default_rng(n).normal(1, 2, (2, *shape)).astype(np.float32)
    y, dx = layer(x), layer.backward(dy)
    sums = {"weight": 0, "bias": 0}
    single = np.prod(inner) == 1
    parts = edges(n, size, single)
    for start, stop in parts:
        assert bits(y[start:stop]) == bits(plain(x[start:stop]))
        assert bits(dx[start:stop]) == bits(plain.backward(dy[start:stop]))
        sums = {name: sums[name] + plain.grads[name].astype(np.float64) for name in sums}
    assert state_bits(layer)[1] == state_bits(plain)[1]
    assert layer.num_batches_tracked == len(parts)
    for name, total in sums.items():
        np.testing.assert_array_equal(layer.grads[name], total.astype(dtype))


@pytest.mark.parametrize(
    ("n", "size", "positions", "sizes"),
    [
        (8, 4, 1, [4, 4]),
        (9, 4, 1, [4, 5]),  # a rest of one value per channel joins the one before
        (9, 4, 2, [4, 4, 1]),
        (10, 4, 1, [4, 4, 2]),
        (3, 4, 1, [3]),
        (4, 1, 2, [1, 1, 1, 1]),
        (5, 2, 1, [2, 3]),
    ],
)
def test_sizes_of_virtual_batches(n, size, positions, sizes):
    layer = cybn.GhostBatchNorm1d(1, virtual_batch_size=size, momentum=None)
    x = np.random.default_rng(0).normal(0, 1, (n, 1, positions))
    y = layer(x)
    at = 0
    for count in sizes:
        part = y[at : at + count]
        assert abs(part.mean()) < 1e-12
        at += count
    assert at == n
    assert layer.num_batches_tracked == len(sizes)


@pytest.mark.parametrize("shape", [(9, 3), (5, 3, 4)])
def test_a_large_virtual_batch_is_batch_norm(shape):
    layer, plain = randomized(cybn.GhostBatchNorm(3)), randomized(cybn.BatchNorm1d(3))
    x, dy = np.random.default_rng(0).normal(1, 2, (2, *shape)).astype(np.float32)
    assert bits(layer(x)) == bits(plain(x))
    assert bits(layer.backward(dy)) == bits(plain.backward(dy))
    assert state_bits(layer)[1:] == state_bits(plain)[1:]


@pytest.mark.parametrize("layout", LAYOUTS, ids=layout_id)
@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 5)])
def test_any_memory_layout(layout, shape):
    x, dy = np.random.default_rng(0).normal(1, 2, (2, *shape))
    one, other = (randomized(cybn.GhostBatchNorm(3, virtual_batch_size=3)) for _ in range(2))
    np.testing.assert_allclose(one(layout(x)), other(x), atol=1e-13)
    np.testing.assert_allclose(one.backward(layout(dy)), other.backward(dy), atol=1e-13)


def test_in_place():
    x, dy = np.random.default_rng(0).normal(1, 2, (2, 7, 3)).astype(np.float32)
    one, other = (randomized(cybn.GhostBatchNorm(3, virtual_batch_size=3)) for _ in range(2))
    y, dx = one(x), one.backward(dy)
    assert other(x, out=x) is x
    assert other.backward(dy, out=dy) is dy
    assert (bits(x), bits(dy)) == (bits(y), bits(dx))


def test_evaluation_takes_the_running_statistics_or_the_virtual_batches():
    x = np.random.default_rng(0).normal(1, 2, (7, 3))
    layer = cybn.GhostBatchNorm(3, virtual_batch_size=3)
    in_training = layer(x)
    plain = cybn.BatchNorm1d(3)
    plain.load_state_dict(layer.state_dict())
    assert bits(layer.eval()(x)) == bits(plain.eval()(x))
    layer.ghost_inference = True
    before = state_bits(layer)
    assert bits(layer(x)) == bits(in_training)
    assert state_bits(layer) == before
    untracked = cybn.GhostBatchNorm(3, virtual_batch_size=3, track_running_stats=False)
    assert bits(untracked(x)) == bits(untracked.eval()(x)) == bits(in_training)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_the_central_differences(training):
    layer = cybn.GhostBatchNorm(2, virtual_batch_size=3, ghost_inference=True, dtype="float64")
    randomized(layer).train(training)
    rng = np.random.default_rng(1)
    x, dy, v = rng.normal(0, 1, (3, 7, 2))
    layer(x)
    dx = layer.backward(dy)
    slope = ((layer(x + 1e-5 * v) - layer(x - 1e-5 * v)) * dy).sum() / 2e-5
    assert slope == pytest.approx((dx * v).sum(), rel=1e-8)


@pytest.mark.parametrize(
    ("shape", "size"), [((4, 3), 1), ((1, 3), 128), ((1, 3, 1), 2), ((6, 3, 1, 1), 1)]
)
def test_one_value_per_channel_is_refused(shape, size):
    layer = cybn.GhostBatchNorm(3, virtual_batch_size=size)
    before = state_bits(layer)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        layer(np.zeros(shape, np.float32))
    assert state_bits(layer) == before
    layer.eval()(np.zeros(shape, np.float32))


def test_a_failure_half_way_moves_no_statistics(monkeypatch):
    layer, x = cybn.GhostBatchNorm(3, virtual_batch_size=2), np.ones((8, 3), np.float32)
    normalize, calls = layer._normalize, []

    def failing(*args, **kwargs):
        calls.append(layer.num_batches_tracked.copy())
        if len(calls) == 3:
            raise MemoryError("no more")
        return normalize(*args, **kwargs)

    layer(x)
    dx, before = bits(layer.backward(x)), state_bits(layer)
    monkeypatch.setattr(layer, "_normalize", failing)
    again = x.copy()
    with pytest.raises(MemoryError):
        layer(again, out=again)
    assert [int(count) for count in calls] == [4, 4, 4]
    assert state_bits(layer) == before
    assert bits(again) == bits(x)
    assert bits(layer.backward(x)) == dx


def test_an_empty_batch():
    layer = cybn.GhostBatchNorm(3)
    before = state_bits(layer)
    x = np.zeros((0, 3), np.float32)
    assert layer(x).shape == (0, 3)
    assert state_bits(layer) == before
    assert layer.backward(x).shape == (0, 3)
    assert all((grad == 0).all() and grad.shape == (3,) for grad in layer.grads.values())


def test_options_are_those_of_batch_norm_and_two_more():
    layer = cybn.GhostBatchNorm2d(3, 1e-3, 0.2, True, True, virtual_batch_size=32, bias=False)
    assert repr(layer) == (
        "GhostBatchNorm2d(3, eps=0.001, momentum=0.2, affine=True, track_running_stats=True, "
        "virtual_batch_size=32, bias=False)"
    )
    own = {"virtual_batch_size", "ghost_inference"}
    described = {name: cybn.describe(name)["options"] for name in ("GhostBatchNorm", "BatchNorm")}
    assert set(described["GhostBatchNorm"]) == set(described["BatchNorm"]) | own
    with pytest.raises(ValueError, match="GhostBatchNorm: virtual_batch_size must be an int >= 1"):
        cybn.GhostBatchNorm(3, virtual_batch_size=0)


def test_the_name_without_a_rank_takes_any():
    layer = cybn.create("ghost_batch_norm", num_features=3)
    for rank in range(2, 6):
        layer(np.random.default_rng(0).normal(0, 1, (4, 3, 2, 2, 2)[:rank]))
    with pytest.raises(ValueError, match="GhostBatchNorm expects 2-D input"):
        layer(np.zeros(3))
    with pytest.raises(ValueError, match=r"GhostBatchNorm2d .*; use GhostBatchNorm1d"):
        cybn.GhostBatchNorm2d(3)(np.zeros((4, 3)))
