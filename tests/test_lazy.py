"""Lazy layers: nothing before the first input, the plain layer after it."""

import copy
import pickle

import numpy as np
import pytest
from runs import bits, state_bits

import cybn
from cybn.layers.base.state import StateError

NAMES = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
PAIRS = [
    (cybn.LazyBatchNorm1d, cybn.BatchNorm1d, (4, 3)),
    (cybn.LazyBatchNorm1d, cybn.BatchNorm1d, (4, 3, 5)),
    (cybn.LazyBatchNorm2d, cybn.BatchNorm2d, (4, 3, 2, 5)),
    (cybn.LazyBatchNorm3d, cybn.BatchNorm3d, (4, 3, 2, 2, 5)),
]
pairs = pytest.mark.parametrize(("lazy", "plain", "shape"), PAIRS)


def batch(*shape, seed=0):
    return np.random.default_rng(seed).normal(1, 2, (2, *shape)).astype(np.float32)


def copies(layer):
    return copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))


@pairs
def test_there_is_nothing_before_the_first_input(lazy, plain, shape):
    layer = lazy()
    assert layer.num_features is None
    assert all(getattr(layer, name) is None for name in NAMES)
    assert list(layer.parameters()) == list(layer.buffers()) == []
    assert layer.state_dict() == {}
    assert layer.load_state_dict({}) == ([], [])
    layer.reset_parameters()
    assert layer.weight is None
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        layer.backward(np.zeros(shape, np.float32))


@pairs
@pytest.mark.parametrize("training", [True, False])
def test_it_is_the_plain_layer_afterwards(lazy, plain, shape, training):
    options = {"eps": 1e-3, "momentum": None, "bias": False, "dtype": "float64"}
    layer, other = lazy(**options).train(training), plain(3, **options).train(training)
    assert isinstance(layer, plain)
    for seed in range(2):
        x, dy = batch(*shape, seed=seed)
        assert bits(layer(x)) == bits(other(x))
        assert bits(layer.backward(dy)) == bits(other.backward(dy))
        assert state_bits(layer)[1:] == state_bits(other)[1:]
    assert layer.num_features == 3


def test_options_are_those_of_the_plain_layer_without_num_features_by_position():
    layer = cybn.LazyBatchNorm2d(1e-3, 0.2, False, True, channel_axis=-1)
    assert repr(layer) == (
        "LazyBatchNorm2d(eps=0.001, momentum=0.2, affine=False, track_running_stats=True, "
        "channel_axis=-1)"
    )
    layer(np.zeros((2, 4, 4, 5), np.float32))
    assert (layer.num_features, layer.weight, layer.running_mean.shape) == (5, None, (5,))


def test_num_features_initializes_at_once():
    layer = cybn.create("LazyBatchNorm2d", num_features=16)
    assert layer.weight.shape == (16,)
    assert layer.state_dict().keys() == cybn.BatchNorm2d(16).state_dict().keys()
    with pytest.raises(ValueError, match="LazyBatchNorm2d expects 16 channels on axis 1, got 3"):
        layer(np.zeros((2, 3, 4, 4), np.float32))


@pytest.mark.parametrize("used", [False, True])
def test_config_and_repr_build_an_equal_layer(used):
    layer = cybn.LazyBatchNorm1d(momentum=0.3)
    if used:
        layer(batch(4, 3)[0])
    twin = cybn.create(layer.get_config())
    again = eval(repr(layer), {"LazyBatchNorm1d": cybn.LazyBatchNorm1d})
    for other in (twin, again):
        assert other.get_config() == layer.get_config()
        assert other.num_features == (3 if used else None)
        other.load_state_dict(layer.state_dict())
        assert state_bits(other) == state_bits(layer)


@pytest.mark.parametrize("used", [False, True])
def test_copies_and_pickles(used):
    layer = cybn.LazyBatchNorm1d(momentum=0.3)
    x, dy = batch(4, 3)
    if used:
        layer(x)
    for twin in copies(layer)[1:]:
        before = state_bits(layer)
        assert state_bits(twin) == before
        twin(x)
        twin.backward(dy)
        assert state_bits(layer) == before
    shallow = copies(layer)[0]
    assert state_bits(shallow) == state_bits(layer)
    assert shallow.weight is layer.weight


def test_loading_a_state_dict_initializes():
    plain = cybn.BatchNorm1d(3)
    x, _ = batch(4, 3)
    plain(x)
    layer = cybn.LazyBatchNorm1d()
    assert layer.load_state_dict(plain.state_dict()) == ([], [])
    assert layer.num_features == 3
    assert bits(layer(x)) == bits(plain(x))
    again = cybn.LazyBatchNorm1d()
    found = again.load_state_dict({"weight": np.ones(5), "other": np.ones(2)}, strict=False)
    assert found == (NAMES[1:], ["other"])
    assert again.num_features == 5


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"weight": np.ones(3)}, StateError),
        ({"other": np.ones(3)}, StateError),
        ({**cybn.BatchNorm1d(3).state_dict(), "bias": np.ones(4)}, ValueError),
        ({**cybn.BatchNorm1d(3).state_dict(), "bias": np.ones(3, int)}, TypeError),
        ({**cybn.BatchNorm1d(3).state_dict(), "weight": np.ones(0)}, ValueError),
        ({name: np.ones(0) for name in NAMES}, ValueError),
        (["weight"], TypeError),
    ],
)
def test_a_state_dict_that_does_not_load_initializes_nothing(state, error):
    layer = cybn.LazyBatchNorm1d()
    before = state_bits(layer)
    with pytest.raises(error, match="LazyBatchNorm1d"):
        layer.load_state_dict(state)
    assert state_bits(layer) == before
    assert layer.num_features is None


@pytest.mark.parametrize(
    ("x", "out", "error", "message"),
    [
        (np.zeros((4, 3), int), None, TypeError, "LazyBatchNorm1d takes float16, bfloat16"),
        (np.zeros(3), None, ValueError, "LazyBatchNorm1d expects 2-D input"),
        (np.zeros(()), None, ValueError, "LazyBatchNorm1d expects 2-D input"),
        (np.zeros((4, 3, 2, 2)), None, ValueError, "use LazyBatchNorm2d"),
        (np.zeros((4, 0)), None, ValueError, "LazyBatchNorm1d: num_features must be an int >= 1"),
        (np.zeros((1, 3)), None, ValueError, "Expected more than 1 value per channel"),
        (np.zeros((4, 3)), np.zeros((4, 4)), ValueError, "LazyBatchNorm1d expects out"),
    ],
)
def test_a_first_call_that_fails_initializes_nothing(x, out, error, message):
    layer = cybn.LazyBatchNorm1d()
    before = state_bits(layer)
    with pytest.raises(error, match=message):
        layer(x, out=out)
    assert state_bits(layer) == before
    assert layer.num_features is None
    layer(np.zeros((4, 7)))
    assert layer.num_features == 7


def test_an_empty_first_batch_tells_the_width():
    layer = cybn.LazyBatchNorm1d()
    x = np.zeros((0, 3), np.float32)
    assert layer(x).shape == (0, 3)
    assert layer.backward(x).shape == (0, 3)
    assert layer.grads["weight"].tolist() == [0, 0, 0]
    assert layer.num_batches_tracked == 0


@pairs
def test_to_plain_shares_the_arrays(lazy, plain, shape):
    layer = lazy(eps=1e-3, bias=False, affine=True)
    with pytest.raises(RuntimeError, match=f"{lazy.__name__}.to_plain needs num_features"):
        layer.to_plain()
    layer(batch(*shape)[0])
    other = layer.eval().to_plain()
    assert type(other) is plain
    assert not other.training
    assert repr(other) == repr(plain(3, eps=1e-3, bias=False))
    assert all(getattr(other, name) is getattr(layer, name) for name in NAMES)
