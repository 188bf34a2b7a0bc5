"""recalibrate: the exact moments of a population, in any batches, and nothing else changed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import exact_moments
from runs import bits, state_bits
from strategies import batches

import cybn


def assert_population(layer, x, calls):
    """running_mean and running_var are those of (N, C, ...) x, but for their dtype's rounding."""
    x = x.reshape(len(x), x.shape[1], -1)
    m = x.shape[0] * x.shape[2]
    u = np.finfo(layer.running_mean.dtype).eps
    for c in range(x.shape[1]):
        mean, var = map(float, exact_moments(x[:, c]))
        assert abs(layer.running_mean[c] - mean) <= u * abs(mean) + 1e-13 * var**0.5
        assert abs(layer.running_var[c] - var * m / (m - 1)) <= (u + 1e-13) * var * m / (m - 1)
    assert layer.num_batches_tracked == calls


@given(
    x=batches(st.tuples(st.integers(4, 40), st.integers(1, 4), st.integers(2, 40))),
    cuts=st.lists(st.floats(0, 1), max_size=4),
    dtype=st.sampled_from(["float32", "float64"]),
    training=st.booleans(),
)
def test_any_batches_give_the_moments_of_the_population(x, cuts, dtype, training):
    layer = cybn.BatchNorm1d(x.shape[1], dtype=dtype, momentum=0.3).train(training)
    layer.running_mean[:], layer.num_batches_tracked[...] = 7, 100
    edges = sorted({0, len(x), *(int(cut * len(x)) for cut in cuts)})
    data = [x[a:b] for a, b in pairwise(edges)]
    cybn.recalibrate(layer, layer, data)
    assert_population(layer, x, len(data))
    assert layer.training is training


def network(rng, dtype="float64"):
    """Two norms with a product and a kink between them, and the inputs that reach the second."""
    first, second = (cybn.BatchNorm1d(n, dtype=dtype) for n in (3, 4))
    for norm in (first, second):
        norm.weight[...] = rng.normal(1, 0.3, norm.weight.shape)
    weight = rng.normal(0, 1, (3, 4))
    reached = []

    def forward(x):
        hidden = np.maximum(first(x), 0) @ weight
        reached.append(hidden)
        return second(hidden)

    return first, second, forward, reached


def test_later_layers_see_what_they_see_in_training():
    rng = np.random.default_rng(0)
    data = [rng.normal(3, 2, (n, 3)) for n in (20, 7, 33)]
    first, second, forward, reached = network(rng)
    for x in data:
        forward(x)
    in_training, reached[:] = np.concatenate(reached), []
    for norm in (first, second):
        norm.eval()
    cybn.recalibrate([first, second], forward, data)
    assert bits(np.concatenate(reached)) == bits(in_training)
    assert_population(first, np.concatenate(data), 3)
    assert_population(second, in_training, 3)
    assert not first.training
    assert not second.training


def test_evaluation_of_the_population_is_then_its_training():
    """One batch that is the population: the same but for m/(m-1) and the buffers' rounding."""
    x = np.random.default_rng(0).normal(5, 3, (4000, 2))
    layer = cybn.BatchNorm1d(2, dtype="float64")
    y = layer(x)
    cybn.recalibrate(layer, layer, [x])
    np.testing.assert_allclose(layer.eval()(x), y, rtol=1e-3)


def test_a_layer_used_several_times_counts_every_time():
    rng = np.random.default_rng(0)
    layer = cybn.BatchNorm1d(2)
    data = [rng.normal(size=(n, 2)) for n in (5, 8)]
    seen = []

    def forward(x):
        for part in (x, 3 * x[:2], x + 1):
            seen.append(part)
            layer(part)

    cybn.recalibrate(layer, forward, data)
    assert_population(layer, np.concatenate(seen), 6)


def test_in_place_and_channels_last():
    rng = np.random.default_rng(0)
    layer = cybn.BatchNorm2d(3, channel_axis=-1)
    data = [rng.normal(2, 1, (n, 4, 5, 3)).astype(np.float32) for n in (2, 3)]
    whole = np.moveaxis(np.concatenate(data), -1, 1)
    whole = whole.reshape(5, 3, 20)
    cybn.recalibrate({"norm": layer}, lambda x: layer(x, out=x), [x.copy() for x in data])
    assert_population(layer, whole, 2)
    assert layer(data[0], out=data[0]) is data[0]


def test_a_mode_that_the_network_sets_does_not_matter():
    layer, x = cybn.BatchNorm1d(1), np.array([[1.0], [2.0], [6.0]])
    ys = []
    cybn.recalibrate(layer, lambda x: ys.append(layer.eval()(x)), [x])
    np.testing.assert_allclose(ys[0].mean(), 0, atol=1e-15)
    assert layer.training
    assert layer.running_mean == 3


def test_empty_batches_do_not_count():
    layer = cybn.BatchNorm1d(1)
    x = np.array([[1.0], [2.0], [6.0]])
    cybn.recalibrate(layer, layer, [x[:0], x, x[:0]])
    assert_population(layer, x, 1)


def test_trees_of_layers_and_a_layer_that_is_there_twice():
    a, b = cybn.BatchNorm1d(1), cybn.BatchNorm1d(1)
    x = np.array([[1.0], [2.0], [6.0]])
    cybn.recalibrate({"a": [a, None], "b": (b, {"again": a})}, lambda x: b(a(x)), [x, x])
    assert_population(a, np.concatenate([x, x]), 2)
    assert b.num_batches_tracked == 2


def test_cumulative_training_goes_on_from_there():
    layer = cybn.BatchNorm1d(1, momentum=None)
    cybn.recalibrate(layer, layer, [np.array([[1.0], [3.0]]), np.array([[5.0], [7.0]])])
    assert (layer.running_mean.tolist(), int(layer.num_batches_tracked)) == ([4], 2)
    layer(np.array([[9.0], [11.0]]))
    assert (layer.running_mean.tolist(), int(layer.num_batches_tracked)) == ([6], 3)


def test_a_pending_backward_is_that_of_the_forward_before():
    rng = np.random.default_rng(0)
    layer, x = cybn.BatchNorm1d(2), rng.normal(size=(6, 2))
    layer(x)
    dx, grads = layer.backward(x), {k: bits(v) for k, v in layer.grads.items()}
    cybn.recalibrate(layer, layer, [rng.normal(size=(9, 2))])
    assert {k: bits(v) for k, v in layer.grads.items()} == grads
    assert bits(layer.backward(x)) == bits(dx)


@pytest.mark.parametrize("name", ["BatchRenorm1d", "GhostBatchNorm1d", "LazyBatchNorm1d"])
def test_relatives_with_statistics_of_their_own(name):
    layer = cybn.create(name, num_features=2).eval()
    x = np.random.default_rng(0).normal(4, 2, (30, 2))
    cybn.recalibrate(layer, layer, [x[:10], x[10:]])
    assert_population(layer, x, 2)


def test_further_inputs_are_handed_on():
    layer = cybn.ConditionalBatchNorm1d(2)
    x = np.random.default_rng(0).normal(4, 2, (30, 2))
    further = layer.sample_inputs(x)
    assert further
    cybn.recalibrate(layer, lambda x: layer(x, **further), [x])
    assert_population(layer, x, 1)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("where", ["data", "forward", "layer"])
def test_a_failure_in_the_middle_changes_nothing(where, at):
    rng = np.random.default_rng(0)
    first, second, forward, _ = network(rng)
    forward(rng.normal(size=(5, 3)))
    second.eval()
    before = state_bits(first), state_bits(second)
    arrays = [id(a) for norm in (first, second) for a in norm.buffers()]
    attributes = [set(vars(norm)) for norm in (first, second)]

    def data():
        for i in range(3):
            if where == "data" and i == at:
                raise KeyError("no such file")
            yield rng.normal(size=(1 if where == "layer" and i == at else 6, 3))

    def failing(x):
        forward(x)
        if where == "forward" and second.num_batches_tracked == at + 2:
            raise KeyError("no such file")

    error = {"layer": ValueError, "data": KeyError, "forward": KeyError}[where]
    with pytest.raises(error, match="more than 1 value" if where == "layer" else "no such file"):
        cybn.recalibrate([first, second], failing, data())
    assert (state_bits(first), state_bits(second)) == before
    assert [id(a) for norm in (first, second) for a in norm.buffers()] == arrays
    assert [set(vars(norm)) for norm in (first, second)] == attributes


def test_a_layer_that_no_batch_reaches_is_an_error():
    a, b = cybn.BatchNorm1d(1), cybn.BatchNorm1d(1)
    x = np.array([[1.0], [2.0]])
    before = state_bits(a), state_bits(b)
    for data, name in (([x], "b"), ([], "a"), ([x[:0]], "a")):
        with pytest.raises(ValueError, match=rf"no batch reached layers\['{name}'\] \(BatchNorm1d"):
            cybn.recalibrate({"a": a, "b": b}, a, data)
        assert (state_bits(a), state_bits(b)) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_statistics_that_are_not_finite_are_an_error(bad):
    layer = cybn.BatchNorm1d(2)
    before = state_bits(layer)
    with pytest.raises(ValueError, match=r"of layers \(BatchNorm1d\) is not finite in channel 1"):
        cybn.recalibrate(layer, layer, [np.array([[1.0, 1], [2, bad], [3, 2]])])
    assert state_bits(layer) == before


def test_what_cannot_be_recalibrated_is_an_error():
    x = np.ones((4, 2))
    untracked = cybn.BatchNorm1d(2, track_running_stats=False)
    read_only = cybn.BatchNorm1d(2)
    read_only.running_var.flags.writeable = False
    for layer, error, message in (
        (untracked, ValueError, r"layers\[0\] \(BatchNorm1d\) without running statistics"),
        (cybn.LazyBatchNorm1d(), ValueError, "call it with x first if it is lazy"),
        (cybn.FrozenBatchNorm1d(2), TypeError, r"takes batch norms .* got layers\[0\] \(Frozen"),
        (cybn.SplitBatchNorm1d(2), TypeError, r"takes batch norms .* got layers\[0\] \(Split"),
        (cybn.DomainSpecificBatchNorm1d(2), TypeError, "takes batch norms"),
        (cybn.Normalize([0.0, 0.0]), TypeError, "takes batch norms"),
        (read_only, ValueError, "read-only running_var"),
        (3, TypeError, r"takes layers, or lists and dicts of them, got 3 \(int\) at layers\[0\]"),
    ):
        with pytest.raises(error, match=message):
            cybn.recalibrate([layer], layer, [x])
    for nothing in (None, [], {"norm": None}):
        with pytest.raises(ValueError, match="got no layers"):
            cybn.recalibrate(nothing, lambda x: x, [x])


def test_padding_has_no_part_in_it():
    rng = np.random.default_rng(0)
    batches = [(rng.normal(3, 2, (4, 2, 5)), rng.random((4, 5)) < 0.5) for _ in range(3)]
    layer = cybn.BatchNorm1d(2, dtype="float64")
    cybn.recalibrate(layer, lambda batch: layer(batch[0], mask=batch[1]), batches)
    valid = np.concatenate([np.moveaxis(x, 1, -1)[mask] for x, mask in batches])
    np.testing.assert_allclose(layer.running_mean, valid.mean(0), rtol=1e-14)
    np.testing.assert_allclose(layer.running_var, valid.var(0, ddof=1), rtol=1e-14)


BATCH_NORMS = [
    ("BatchNorm1d", {}),
    ("LazyBatchNorm1d", {"num_features": 2}),
    ("GhostBatchNorm1d", {"virtual_batch_size": 3}),
]


@pytest.mark.parametrize(("name", "options"), BATCH_NORMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_what_a_layer_skips_in_training_is_left_out_and_counted(name, options, bad):
    """The statistics are those of the other batches, whatever comes before and after."""
    rng = np.random.default_rng(0)
    good = [rng.normal(3, 2, (6, 2)) for _ in range(3)]
    spoilt = rng.normal(3, 2, (6, 2))
    spoilt[4, 1] = bad
    layer = cybn.create(name, **{"num_features": 2, **options}, on_nonfinite="skip")
    layer.running_mean[:] = 7
    with pytest.warns(RuntimeWarning, match=rf"left out 1 of 4 calls of layers \({name}\), from"):
        cybn.recalibrate(layer, layer, [good[0], spoilt, *good[1:]])
    assert_population(layer, np.concatenate(good)[..., None], 3)


def test_every_layer_goes_by_its_own_rule():
    """The second layer would keep the batch that the first has skipped, and is told so."""
    x = np.random.default_rng(0).normal(0, 1, (6, 1))
    data = [x, np.full((2, 1), np.nan), x + 1]
    first = cybn.BatchNorm1d(1, on_nonfinite="skip")
    second = cybn.BatchNorm1d(1)
    before = state_bits(first), state_bits(second)
    with pytest.raises(ValueError, match=r"layers\[1\] \(BatchNorm1d\) is not finite.* to 'skip'"):
        cybn.recalibrate([first, second], lambda x: second(first(x)), data)
    assert (state_bits(first), state_bits(second)) == before
    second.on_nonfinite = "error"
    before = state_bits(first), state_bits(second)
    with pytest.raises(ValueError, match="clean the batch"):
        cybn.recalibrate([first, second], lambda x: second(first(x)), data)
    assert (state_bits(first), state_bits(second)) == before
    second.on_nonfinite = "skip"
    both = r"left out 1 of 3 calls of layers\[0\] .* and 1 of 3 calls of layers\[1\]"
    with pytest.warns(RuntimeWarning, match=both):
        cybn.recalibrate([first, second], lambda x: second(first(x)), data)
    assert int(second.num_batches_tracked) == 2


def test_single_values_are_left_out_where_training_leaves_them_out():
    x = np.random.default_rng(0).normal(0, 1, (7, 2))
    layer = cybn.BatchNorm1d(2, on_single="running")
    with pytest.warns(RuntimeWarning, match="left out 1 of 2 calls"):
        cybn.recalibrate(layer, layer, [x[:6], x[6:]])
    assert_population(layer, x[:6, :, None], 1)


def test_a_layer_that_would_learn_from_no_batch_is_an_error():
    layer = cybn.BatchNorm1d(1, on_nonfinite="skip")
    before = state_bits(layer)
    with pytest.raises(ValueError, match="none of the 2 batches that reached layers"):
        cybn.recalibrate(layer, layer, [np.full((2, 1), np.nan)] * 2)
    assert state_bits(layer) == before


def test_arguments_in_another_order_are_named():
    layer, x = cybn.BatchNorm1d(1), np.array([[1.0], [2.0]])
    order = r"; the order is recalibrate\(layers, forward, data\)"
    for arguments, message in (
        ((layer, [x], layer), "needs a function as forward, got "),
        ((layer, layer, 3), "needs batches as data, got 3"),
        ((layer, layer, None), "needs batches as data, got None"),
        ((lambda x: x, layer, [x]), "takes layers, or lists and dicts of them, got <function"),
        (([x], layer, layer), "takes layers, or lists and dicts of them, got array"),
    ):
        before = state_bits(layer)
        with pytest.raises(TypeError, match=message + ".*" + order):
            cybn.recalibrate(*arguments)
        assert state_bits(layer) == before


def test_a_subclass_that_computes_otherwise_is_not_known():
    class Doubled(cybn.BatchNorm1d):
        """Of twice its input."""

        def apply(self, x, **inputs):
            return super().apply(2 * x, **inputs)

    class Declared(Doubled):
        """Nobody can say this of it, but if somebody does it is taken."""

        running_moments = True

    x = np.random.default_rng(0).normal(0, 1, (7, 2))
    layer = Doubled(2)
    with pytest.raises(TypeError, match=r"takes batch norms .*got layers \(Doubled\); leave it"):
        cybn.recalibrate(layer, layer, [x])
    layer = Declared(2)
    cybn.recalibrate(layer, layer, [x])
    assert_population(layer, x[..., None], 1)
