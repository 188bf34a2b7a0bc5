"""State that loads: whatever a layer's statistics have become, and checkpoints of every age."""

import numpy as np
import pytest
from runs import bits, state_bits

import cybn
from cybn.terms.signature import options_of

HUGE = {  # batches after which statistics are as far off as they get
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "huge": 3e38,
    "too large to square": 1e20,
}


def spoilt(case, value, dtype):
    """A batch with a value and its negative in it, and one that is all of it."""
    x = case.x(dtype)
    mixed = x.copy()
    mixed.reshape(-1)[::3] = value
    mixed.reshape(-1)[1::3] = -value
    return mixed, np.full_like(x, value)


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_the_statistics_have_become_loads(layer_spec, value, dtype):
    modes = ["propagate", "skip", "error"]
    known = "on_nonfinite" in options_of(type(layer_spec.make()))
    for mode in modes if known else [None]:
        layer = layer_spec.make(**({} if mode is None else {"on_nonfinite": mode}))
        for x in (*spoilt(layer_spec, HUGE[value], dtype), layer_spec.x(dtype)):
            try:
                layer_spec.call(layer, x)
            except ValueError:
                assert mode == "error"
            for name, a in layer.named_buffers():
                assert mode in (None, "propagate") or np.isfinite(a).all(), name
            other = cybn.create(layer.get_config())
            assert other.load_state_dict(layer.state_dict()) == ([], [])
            assert layer.load_state_dict(other.state_dict()) == ([], [])
            assert state_bits(other)[1:2] == state_bits(layer)[1:2]


@pytest.mark.parametrize("name", ["BatchNorm1d", "GhostBatchNorm1d", "SplitBatchNorm1d", "DSBN1d"])
def test_a_finite_batch_that_float32_statistics_cannot_hold_is_skipped(name):
    x = np.array([[1e20], [-1e20]] * 2, np.float32)
    layer = cybn.create(name, num_features=1, on_nonfinite="skip")
    before = state_bits(layer)
    assert np.isfinite(layer(x)).all()
    assert state_bits(layer) == before
    strict = cybn.create(name, num_features=1, on_nonfinite="error")
    with pytest.raises(ValueError, match=r"variance 1e\+40 in channel 0 is more than float32"):
        strict(x)
    assert state_bits(strict) == state_bits(cybn.create(name, num_features=1, on_nonfinite="error"))
    wide = cybn.create(name, num_features=1, on_nonfinite="skip", dtype="float64")
    wide(x)
    assert max(a.max() for n, a in wide.named_buffers() if n.endswith("var")) > 1e38


def test_a_finite_batch_makes_no_statistics_that_are_not():
    """As large as they can be instead: the next batches bring them back."""
    layer = cybn.BatchNorm1d(1, momentum=0.5)
    layer(np.array([[1e20], [-1e20]], np.float32))
    assert layer.running_var[0] == np.finfo(np.float32).max
    for _ in range(200):
        layer(np.array([[0], [2]], np.float32))
    np.testing.assert_allclose(layer.running_var, 2, rtol=1e-6)


def test_a_checkpoint_from_before_batches_were_counted():
    for name in ("BatchNorm1d", "SplitBatchNorm1d", "InstanceNorm1d", "LazyBatchNorm1d"):
        layer = cybn.create(name, num_features=3, track_running_stats=True)
        state = {n: a + 1 for n, a in layer.state_dict().items() if not n.endswith("tracked")}
        assert layer.load_state_dict(state) == ([], [])
        assert layer.num_batches_tracked == 0
        np.testing.assert_array_equal(layer.running_var, 2)
        del state["weight" if "weight" in state else "running_mean"]
        with pytest.raises(LookupError, match="lacks"):
            layer.load_state_dict(state)


def test_what_a_buffer_may_hold_is_declared(layer_spec):
    """Variances, mean squares and counts are not negative, whatever they are called."""
    layer, state = layer_spec.make(), layer_spec.make().state_dict()
    before = state_bits(layer)
    for name in layer._bounds.keys() & state.keys():
        bad = {**state, name: np.full_like(state[name], -1)}
        with pytest.raises(ValueError, match=f"{name} must be >"):
            layer.load_state_dict(bad)
    assert state_bits(layer) == before
    squares = [n for n in state if n.rpartition(".")[2] in ("running_var", "running_phi", "std")]
    assert set(squares) <= set(layer._bounds)


def test_a_count_that_is_loaded_can_go_on_counting():
    layer = cybn.BatchNorm1d(1)
    state = layer.state_dict()
    for count in (2**63 - 1, 2**62 + 1):
        with pytest.raises(ValueError, match=r"num_batches_tracked must be >= 0 and <= 4611686018"):
            layer.load_state_dict({**state, "num_batches_tracked": np.array(count)})
    layer.load_state_dict({**state, "num_batches_tracked": np.array(2**62)})
    layer(np.array([[1], [2]], np.float32))
    assert layer.num_batches_tracked == 2**62 + 1


def test_masked_arrays_are_no_state():
    layer = cybn.BatchNorm1d(2)
    masked = np.ma.masked_array(np.ones(2, np.float32), [True, False])
    before = state_bits(layer)
    with pytest.raises(TypeError, match="masked array"):
        layer.load_state_dict({**layer.state_dict(), "weight": masked})
    with pytest.raises(TypeError, match="masked array"):
        layer.weight = masked
    assert state_bits(layer) == before


@pytest.mark.parametrize(
    "bad", [{"running_mean": np.nan}, {"running_var": np.inf}, {"running_mean": -np.inf}]
)
def test_what_no_batch_makes_of_statistics_does_not_load(bad):
    layer = cybn.BatchNorm1d(2)
    state = layer.state_dict()
    for name, value in bad.items():
        state[name][1] = value
    with pytest.raises(ValueError, match=r"running_\w+ must be finite"):
        layer.load_state_dict(state)
    assert bits(layer.running_mean) == bits(np.zeros(2, np.float32))
