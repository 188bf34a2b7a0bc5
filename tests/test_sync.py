"""SyncBatchNorm: however a batch is split over ranks, each part is normalized as in the whole.

The ranks are threads of this process; test_processes.py has real ones.
"""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranks import Counting, all_of, cuts_of, in_ranks, of_whole
from runs import bits, state_bits

import cybn
from cybn.distributed import Alone, run_threads

RANKS = {"SyncBatchNorm1d": (9, 3, 5), "SyncBatchNorm2d": (9, 3, 4, 5),
         "SyncBatchNorm3d": (9, 3, 2, 3, 4)}  # fmt: skip
HALVES = {"rtol": 0, "atol": 2e-6}


def data(shape, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 2, shape).astype(dtype), rng.normal(0.2, 1, shape).astype(dtype)


def state_of(channels, seed=1):
    rng = np.random.default_rng(seed)
    return {
        "weight": rng.uniform(0.5, 2, channels), "bias": rng.normal(0, 1, channels),
        "running_mean": rng.normal(0, 1, channels), "running_var": rng.uniform(1, 2, channels),
        "num_batches_tracked": np.array(3),
    }  # fmt: skip


def compared(parts, whole, x, atol):
    """Assert that the parts are those of the whole, with the same bits of state on every rank."""
    y, dx, layer = whole
    np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), y, rtol=0, atol=atol)
    np.testing.assert_allclose(np.concatenate([p[1] for p in parts]), dx, rtol=0, atol=atol)
    assert len({bits(p[2].running_mean) + bits(p[2].running_var) for p in parts}) == 1
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        got, want = getattr(parts[0][2], name), getattr(layer, name)
        last = 4 * np.finfo(got.dtype).eps if got.dtype.kind == "f" else 0  # of a mean near 0, too
        np.testing.assert_allclose(got, want, rtol=4 * last, atol=4 * last)
    for name in layer.grads:
        total = sum(p[2].grads[name].astype(np.float64) for p in parts)
        np.testing.assert_allclose(total, layer.grads[name], rtol=0, atol=atol * len(x) * 10)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 5),
    st.integers(2, 40),
    st.sampled_from([(), (1,), (7,), (4, 5), (2, 3, 2)]),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([1, -1]),
    st.sampled_from([None, "relu", "leaky_relu"]),
    st.booleans(),
)
def test_any_split_is_the_whole(seed, size, n, inner, dtype, axis, activation, masked):
    rng = np.random.default_rng(seed)
    shape = (n, 3, *inner) if axis == 1 else (n, *inner, 3)
    x, dy, residual = rng.normal(rng.normal(0, 3), 2, (3, *shape)).astype(dtype)
    masks = rng.random((n, *inner)) < 0.6 if masked else None
    if masked and masks.sum() < 2:
        masks[:2] = True
    options = {
        "dtype": dtype, "channel_axis": axis, "activation": activation, "masks": masks,
        "residual": residual if activation else None, "state": state_of(3), "eps": 1e-2,
    }  # fmt: skip
    parts = in_ranks(cuts_of(rng, n, size), x, dy, **options)
    compared(parts, of_whole(x, dy, **options), x, 2e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("layout", ["first", "last", "strided"])
def test_every_rank_of_input_and_layout(name, layout):
    shape, options = RANKS[name], {}
    if layout == "last":
        shape, options = (shape[0], *shape[2:], shape[1]), {"channel_axis": -1}
    x, dy = data((2 * shape[0], *shape[1:]) if layout == "strided" else shape)
    if layout == "strided":
        x, dy = x[::2], dy[::2]
    places = [slice(0, 1), slice(1, 1), slice(1, 9)]
    parts = in_ranks(places, x, dy, getattr(cybn, name), **options)
    compared(parts, of_whole(x, dy, **options), x, 2e-6)


@pytest.mark.parametrize("dtype", [np.float16, "bfloat16"], ids=str)
def test_sixteen_bits(dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes", reason='pip install ".[bfloat16]"').bfloat16
    x, dy = data((8, 3, 5), dtype)
    parts, (y, dx, _) = in_ranks([slice(0, 3), slice(3, 8)], x, dy), of_whole(x, dy)
    assert bits(np.concatenate([p[0] for p in parts])) == bits(y)
    got = np.concatenate([p[1] for p in parts]).astype(np.float32)
    np.testing.assert_allclose(got, dx.astype(np.float32), rtol=2**-7, atol=1e-3)


def test_the_same_bits_on_every_rank_and_every_time():
    x, dy = data((11, 3, 5))
    places = cuts_of(np.random.default_rng(4), 11, 4)
    runs = [in_ranks(places, x, dy, activation="relu") for _ in range(3)]
    for parts in zip(*runs, strict=True):
        assert len({bits(p[0]) + bits(p[1]) + bits(p[2].running_var) for p in parts}) == 1
    assert len({bits(p[2].running_var) for p in runs[0]}) == 1


def test_sums_that_are_exact_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    x, dy = rng.integers(-8, 9, (2, 16, 3, 4)).astype(np.float64)
    y, _, layer = of_whole(x, dy, dtype="float64")
    parts = in_ranks([slice(0, 3), slice(3, 4), slice(4, 16)], x, dy, dtype="float64")
    got = np.concatenate([p[0] for p in parts])
    np.testing.assert_allclose(got, y, rtol=0, atol=4e-16)
    np.testing.assert_allclose(parts[1][2].running_var, layer.running_var, rtol=1e-15)


def test_a_large_mean_costs_nothing():
    x, dy = data((12, 2, 30), np.float64)
    x = 1e8 + 1e-3 * x
    parts, whole = in_ranks([slice(0, 5), slice(5, 12)], x, dy), of_whole(x, dy)
    np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), whole[0], rtol=0, atol=1e-6)


# Options


@pytest.mark.parametrize("momentum", [0.3, None, 0.0, 1.0])
@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_statistics(momentum, unbiased, dtype):
    x, dy = data((9, 3, 5))
    options = {"momentum": momentum, "unbiased": unbiased, "dtype": dtype, "state": state_of(3)}
    parts = in_ranks([slice(0, 2), slice(2, 9)], x, dy, **options)
    compared(parts, of_whole(x, dy, **options), x, 2e-6)


@pytest.mark.parametrize("options", [
    {"affine": False}, {"bias": False}, {"track_running_stats": False}, {"weight_init": "zeros"},
], ids=str)  # fmt: skip
def test_arrays_that_options_leave_out(options):
    x, dy = data((9, 3, 5))
    parts, (y, dx, layer) = (
        in_ranks([slice(0, 2), slice(2, 9)], x, dy, **options),
        of_whole(x, dy, **options),
    )
    np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), y, **HALVES)
    np.testing.assert_allclose(np.concatenate([p[1] for p in parts]), dx, **HALVES)
    assert all(set(p[2].grads) == set(layer.grads) for p in parts)


@pytest.mark.parametrize("on_nonfinite", ["propagate", "skip", "error"])
def test_a_batch_with_nan_in_one_part(on_nonfinite):
    x, _ = data((6, 3, 5))
    x[4, 1, 2] = np.nan
    whole = cybn.BatchNorm1d(3, on_nonfinite=on_nonfinite)

    def work(group):
        layer = cybn.SyncBatchNorm(3, on_nonfinite=on_nonfinite, comm=group)
        before, place = state_bits(layer)[1], slice(0, 3) if group.rank else slice(3, 6)
        if on_nonfinite == "error":
            with pytest.raises(ValueError, match="SyncBatchNorm got"):
                layer(x[place])
            assert state_bits(layer)[1] == before
        return layer(x[place]) if on_nonfinite != "error" else None, layer

    results = all_of(run_threads(2, work))
    if on_nonfinite != "error":
        y = whole(x)
        np.testing.assert_allclose(results[0][0], y[3:], **HALVES)
        np.testing.assert_allclose(results[1][1].running_mean, whole.running_mean, rtol=1e-6)


@pytest.mark.parametrize("empty", ["rows", "masked"])
def test_no_data_anywhere(empty):
    def work(group):
        layer = cybn.SyncBatchNorm(3, comm=group)
        before = state_bits(layer)[1]
        x = np.ones((0 if empty == "rows" else 4, 3, 5), np.float32)
        y = layer(x, mask=np.zeros(len(x), bool))
        dx = layer.backward(np.ones_like(x))
        assert (y.shape, dx.shape) == (x.shape, x.shape)
        assert not y.any()
        assert not dx.any()
        assert not layer.grads["weight"].any()
        assert state_bits(layer)[1] == before

    all_of(run_threads(2, work))


def test_one_value_in_all_parts():
    x = np.array([[1.0, 2.0, 3.0]], np.float32)

    def work(group):
        part = x[group.rank :]
        layer = cybn.SyncBatchNorm(3, comm=group)
        before = state_bits(layer)[1]
        with pytest.raises(ValueError, match="got one in the parts of all 2 processes"):
            layer(part)
        assert state_bits(layer)[1] == before
        layer.on_single = "running"
        y, dx = layer(part), layer.backward(2 * part)
        alone = cybn.BatchNorm1d(3, on_single="running")
        np.testing.assert_array_equal(y, alone(x)[group.rank :])
        np.testing.assert_array_equal(dx, alone.backward(2 * x)[group.rank :])
        assert state_bits(layer)[1] == before

    all_of(run_threads(2, work))


@pytest.mark.parametrize("target", ["new", "x"])
def test_out(target):
    x, dy = data((6, 3, 5))
    y = of_whole(x, dy)[0]

    def work(group):
        layer, part = cybn.SyncBatchNorm(3, comm=group), x[3 * group.rank :][:3].copy()
        out = part if target == "x" else np.empty_like(part)
        assert layer(part, out=out) is out
        dx = np.empty_like(out)
        assert layer.backward(dy[3 * group.rank :][:3], out=dx) is dx
        return out

    np.testing.assert_allclose(np.concatenate(all_of(run_threads(2, work))), y, **HALVES)


# Modes, and where there is one process


def test_alone_it_is_batch_norm_to_the_bit():
    x, dy = data((6, 3, 5))
    for layer in (cybn.SyncBatchNorm(3), cybn.SyncBatchNorm1d(3, comm=Alone())):
        plain = cybn.BatchNorm1d(3)
        assert bits(layer(x)) == bits(plain(x))
        assert bits(layer.backward(dy)) == bits(plain.backward(dy))
        assert state_bits(layer)[1] == state_bits(plain)[1]


def test_evaluation_exchanges_nothing():
    x, dy = data((6, 3, 5))

    def work(group):
        counting = Counting(group)
        layer = cybn.SyncBatchNorm(3, comm=counting).eval()
        untracked = cybn.SyncBatchNorm(3, track_running_stats=False, comm=counting).eval()
        for each in (layer, untracked):
            each(x)
            each.backward(dy)
        return counting.places

    assert all_of(run_threads(2, work)) == [[], []]


def test_one_exchange_in_each_pass_of_three_numbers_and_two():
    x, dy = data((6, 64, 5))

    def work(group):
        counting = Counting(group)
        layer = cybn.SyncBatchNorm(64, comm=counting)
        layer(x)
        layer.backward(dy)
        layer.backward(dy)  # again, of the same forward
        return counting.sent

    forward, backward = 16 + 8 * 3 * 64, 16 + 8 * 2 * 64
    assert all_of(run_threads(2, work)) == [[forward, backward, backward]] * 2


def test_a_layer_that_is_used_twice():
    x, dy = data((6, 3, 5))
    x2 = x[::-1] * 2

    def work(group):
        place = slice(0, 2) if group.rank == 0 else slice(2, 6)
        layer = cybn.SyncBatchNorm(3, comm=group)
        _, first = layer.apply(x[place])
        _, second = layer.apply(x2[place])
        layer.weight[...] = 9  # after the forward: its gradient is that of the weight of then
        return layer.pullback(first, dy[place])[0], layer.pullback(second, dy[place])[0]

    parts = all_of(run_threads(2, work))
    for i, each in enumerate((x, x2)):
        whole = of_whole(np.ascontiguousarray(each), dy)[1]
        np.testing.assert_allclose(np.concatenate([p[i] for p in parts]), whole, **HALVES)


# comm is no part of what a layer is


def test_comm_is_no_option():
    def work(group):
        layer = cybn.SyncBatchNorm2d(3, eps=1e-3, comm=group)
        assert "comm" not in layer.get_config()
        assert "comm" not in repr(layer)
        assert "comm" not in cybn.schema("SyncBatchNorm2d")["properties"]
        assert cybn.create(layer.get_config()).comm is None
        assert pickle.loads(pickle.dumps(layer)).comm is None
        assert copy.deepcopy(layer).comm is group
        assert copy.copy(layer).comm is group
        layer.comm = None
        assert layer.comm is None

    all_of(run_threads(2, work))


def test_what_is_no_communicator():
    layer = cybn.SyncBatchNorm(3, comm=(alone := Alone()))
    with pytest.raises(TypeError, match="takes as comm an mpi4py communicator, a process group"):
        layer.comm = "world"
    assert layer.comm is alone
    with pytest.raises(TypeError, match="got 3"):
        cybn.SyncBatchNorm(3, comm=3)


def test_connect_a_network():
    net = cybn.build({"a": ["SyncBN1d", None], "b": "BN1d"}, num_features=4)
    group = Alone()
    assert cybn.distributed.connect(net, group) == 1
    assert (net["a"][0].comm, net["a"][0].label) == (group, "['a'][0]")
    with pytest.raises(TypeError, match="comm"):
        cybn.distributed.connect(net, 3)
    with pytest.raises(TypeError, match="connect takes layers"):
        cybn.distributed.connect(group, net)


def test_it_converts_freezes_and_folds():
    layer = cybn.convert(cybn.BatchNorm2d(3, activation="relu"), {"BN2d": "SyncBN2d"})
    assert type(layer) is cybn.SyncBatchNorm2d
    assert type(cybn.convert(layer, "BN2d")) is cybn.BatchNorm2d
    assert type(cybn.freeze(cybn.SyncBatchNorm1d(3))) is cybn.FrozenBatchNorm1d
    assert cybn.fold(np.ones((3, 3)), None, cybn.SyncBatchNorm1d(3).eval())
